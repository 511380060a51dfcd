package postgres

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

var (
	november = accounting.Month{Year: 2026, Month: time.November}
	fifth    = time.Date(2026, 12, 5, 9, 0, 0, 0, time.UTC)
)

// monthFigure is openrouter_cost of a month.
func monthFigure(t testing.TB, s *Store, m accounting.Month) string {
	t.Helper()
	var figure string
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT coalesce((SELECT trim_scale(openrouter_cost)::text
		FROM monthly_costs WHERE (year, month) = ($1, $2)), '-')`, m.Year, int(m.Month)).Scan(&figure))
	return figure
}

// corrections are the rows of cost_corrections as text, in the order of time.
func corrections(t testing.TB, s *Store) []string {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), `SELECT concat_ws(' ', generation_id, trim_scale(amount_usd), year, month, booked_year, booked_month)
		FROM cost_corrections ORDER BY corrected_at, generation_id`)
	require.NoError(t, err)
	defer rows.Close()
	var list []string
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		list = append(list, line)
	}
	require.NoError(t, rows.Err())
	return list
}

func closeMonth(t testing.TB, s *Store, m accounting.Month, now time.Time) accounting.ClosedMonth {
	t.Helper()
	closed, err := s.CloseMonth(t.Context(), m, "Finance", now)
	require.NoError(t, err)
	return closed
}

func TestAChangeAfterTheCloseIsACorrectionOfTheMonthInWhichItBecameKnown(t *testing.T) {
	s := newStore(t)
	s.opts.Now = func() time.Time { return fifth }
	known, open := closed(noon, "gen-1", "1"), closed(noon, "gen-2", "")
	ship(t, s, known, open)
	month := closeMonth(t, s, november, fifth)
	require.Equal(t, "1", month.OpenRouterCostUSD.String())
	require.Equal(t, "123.92", month.TotalCostEUR.String())
	require.Equal(t, "Finance", month.ClosedBy)
	require.EqualValues(t, 1, month.OpenCalls)
	require.EqualValues(t, 1, month.UnverifiedCalls)
	require.Equal(t, fifth, month.ClosedAt)

	_, err := s.Settle(t.Context(), accounting.Unsettled{ID: open.ID}, accounting.Generation{ID: "gen-2", Usage: usd("0.25")}, fifth)
	require.NoError(t, err)
	_, err = s.Settle(t.Context(), accounting.Unsettled{ID: known.ID}, accounting.Generation{ID: "gen-1", Usage: usd("0.9")}, fifth)
	require.NoError(t, err)
	require.Equal(t, 1, ship(t, s, closed(noon.Add(time.Hour), "gen-3", "0.125")).Inserted, "from a journal that was away for days")
	december := closed(fifth, "gen-4", "7")
	require.Equal(t, 1, ship(t, s, december).Inserted)

	requireAmount(t, "0.9", stored(t, s, known.ID).cost)
	require.Equal(t, "1", monthFigure(t, s, november), "the closed figure stays")
	require.Equal(t, "7.275", monthFigure(t, s, november.Next()))
	require.Equal(t, []string{"gen-2 0.25 2026 11 2026 12", "gen-1 -0.1 2026 11 2026 12", "gen-3 0.125 2026 11 2026 12"}, corrections(t, s))
	requireExactRollups(t, s)

	before := snapshot(t, s)
	require.Equal(t, 3, ship(t, s, known, open, december).Replayed)
	_, err = s.Settle(t.Context(), accounting.Unsettled{ID: open.ID}, accounting.Generation{ID: "gen-2", Usage: usd("0.25")}, fifth)
	require.NoError(t, err)
	require.Equal(t, before, snapshot(t, s))
	require.Len(t, corrections(t, s), 3, "a replay corrects nothing")
	requireExactRollups(t, s)
}

func TestAFreeCallThatComesLateCorrectsNothing(t *testing.T) {
	s := newStore(t)
	s.opts.Now = func() time.Time { return fifth }
	closeMonth(t, s, november, fifth)
	ship(t, s, closed(noon, "gen-1", "0"))
	require.Empty(t, corrections(t, s))
	require.Equal(t, "-", monthFigure(t, s, november.Next()))
	requireExactRollups(t, s)
}

func TestCorrectionsAreBookedInTheFirstOpenMonth(t *testing.T) {
	s := newStore(t)
	january := fifth.AddDate(0, 1, 0)
	closeMonth(t, s, november, january)
	closeMonth(t, s, november.Next(), january)
	for i, clock := range []time.Time{noon, fifth, january} {
		s.opts.Now = func() time.Time { return clock }
		ship(t, s, closed(noon, fmt.Sprintf("gen-%d", i), "1"))
		require.Equal(t, fmt.Sprint(i+1), monthFigure(t, s, november.Next().Next()), "the clock says %s", clock)
	}
	requireExactRollups(t, s)
}

func TestChangesOfSeveralClosedMonthsAreBookedOnce(t *testing.T) {
	s := newStore(t)
	january := fifth.AddDate(0, 1, 0)
	s.opts.Now = func() time.Time { return january }
	closeMonth(t, s, november, january)
	closeMonth(t, s, november.Next(), january)
	ship(t, s, closed(noon, "gen-1", "1"), closed(fifth, "gen-2", "2"), closed(january, "gen-3", "4"))
	require.Equal(t, []string{"gen-1 1 2026 11 2027 1", "gen-2 2 2026 12 2027 1"}, corrections(t, s))
	require.Equal(t, "7", monthFigure(t, s, november.Next().Next()))
	requireExactRollups(t, s)
}

func TestAMonthThatRunsCannotBeClosedAndAClosedOneStaysAsItWas(t *testing.T) {
	s := newStore(t)
	_, err := s.CloseMonth(t.Context(), november, "x", november.End().Add(-time.Second))
	require.ErrorIs(t, err, accounting.ErrMonthNotOver)
	require.Equal(t, "-", monthFigure(t, s, november))

	first := closeMonth(t, s, november, fifth)
	again, err := s.CloseMonth(t.Context(), november, "somebody else", fifth.AddDate(0, 0, 1))
	require.NoError(t, err)
	require.Equal(t, first.ClosedBy+first.ClosedAt.String(), again.ClosedBy+again.ClosedAt.String())
	page, err := s.ListAudit(t.Context(), accounting.AuditFilter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Entries, 1, "it was closed once")
	require.Equal(t, "Finance month.close months/2026-11", page.Entries[0].Actor+" "+page.Entries[0].Action+" "+page.Entries[0].Subject)
}

func TestMonthsAreOpenUntilTheyAreClosed(t *testing.T) {
	s := newStore(t)
	e := closed(noon, "gen-1", "1")
	ship(t, s, e, closed(fifth, "gen-2", "1"))
	open, err := s.OpenMonths(t.Context(), fifth)
	require.NoError(t, err)
	require.Equal(t, []accounting.Month{november}, open, "December still runs")
	rest, err := s.MonthRest(t.Context(), november)
	require.NoError(t, err)
	require.Equal(t, accounting.MonthRest{UnverifiedCalls: 1}, rest)
	_, err = s.Settle(t.Context(), accounting.Unsettled{ID: e.ID}, accounting.Generation{Usage: usd("1")}, fifth)
	require.NoError(t, err)
	rest, err = s.MonthRest(t.Context(), november)
	require.NoError(t, err)
	require.True(t, rest.IsZero())
	closeMonth(t, s, november, fifth)
	open, err = s.OpenMonths(t.Context(), fifth)
	require.NoError(t, err)
	require.Empty(t, open)
}

func TestAMonthIsClosedUnderWritersWithoutLosingACent(t *testing.T) {
	s := newStore(t)
	s.opts.Now = func() time.Time { return fifth }
	const writers, each = 4, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				e := closed(noon, fmt.Sprintf("gen-%d-%d", w, i), "0.01")
				if _, err := s.Ship(t.Context(), []accounting.Event{e, closed(fifth, fmt.Sprintf("gen-d-%d-%d", w, i), "0.01")}); err != nil {
					t.Errorf("ship: %v", err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		time.Sleep(30 * time.Millisecond) // into the middle of it
		if _, err := s.CloseMonth(t.Context(), november, "x", fifth); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	wg.Wait()
	requireExactRollups(t, s)
	var total, late string
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT trim_scale(sum(openrouter_cost))::text FROM monthly_costs`).Scan(&total))
	require.Equal(t, "2", total)
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT trim_scale(m.openrouter_cost + coalesce((SELECT sum(amount_usd) FROM cost_corrections), 0))::text
		FROM monthly_costs m WHERE month = 11`).Scan(&late))
	require.Equal(t, "1", late, "closed figure and corrections are the rows")
}
