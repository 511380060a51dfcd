package postgres

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fillUsage writes n calls, ten of them in each second from noon on: by SQL,
// since shipping thousands takes its time.
func fillUsage(t testing.TB, s *Store, n int) {
	t.Helper()
	_, err := s.pool.Exec(t.Context(), `
		INSERT INTO openrouter_usage (id, campaign_id, metadata, model, status, cost_usd, inline_cost_usd, cost_source, created_at)
		SELECT gen_random_uuid(), 'c' || i % 3, jsonb_build_object('n', i::text), 'fake/model', 'settled',
			i * 0.00000000000000000001, i * 0.00000000000000000001, 'inline', $2::timestamptz + (i / 10) * interval '1 second'
		FROM generate_series(1, $1::int) i`, n, noon)
	require.NoError(t, err)
}

// export reads all pages, and calls between after each of them.
func export(t testing.TB, s *Store, f accounting.UsageFilter, between func()) (rows []accounting.ExportRow) {
	t.Helper()
	for {
		page, err := s.ExportUsage(t.Context(), f)
		require.NoError(t, err)
		rows = append(rows, page.Rows...)
		if f.Cursor = page.NextCursor; f.Cursor == "" {
			return rows
		}
		require.Len(t, page.Rows, f.Limit)
		between()
	}
}

func TestAnExportHoldsEveryRowOnceTheOldestFirstWhileMoreArrive(t *testing.T) {
	s := newStore(t)
	fillUsage(t, s, 5000)
	before := map[accounting.RequestID]bool{}
	sum := dec("0")
	f := accounting.UsageFilter{Limit: 700, Until: noon.Add(10 * time.Minute)}
	for _, r := range export(t, s, f, func() {}) {
		before[r.ID] = true
		sum = sum.Add(r.CostUSD.Decimal)
	}
	require.Len(t, before, 5000)
	require.True(t, sum.Equal(dec("0.00000000000012502500")), "every digit: %s", sum)

	seen, last, arrivals := map[accounting.RequestID]bool{}, accounting.ExportRow{}, 0
	for _, r := range export(t, s, f, func() {
		arrivals++
		ship(t, s, // older than all that was read, among the rows to come, and beyond the window
			closed(noon.Add(-time.Hour), "", "1"), closed(noon.Add(9*time.Minute), "", "1"), closed(noon.Add(time.Hour), "", "1"))
	}) {
		require.False(t, seen[r.ID], "twice: %s", r.ID)
		require.False(t, r.CreatedAt.Before(last.CreatedAt), "out of order")
		if r.CreatedAt.Equal(last.CreatedAt) {
			require.Less(t, last.ID.String(), r.ID.String(), "the same order each time")
		}
		seen[r.ID], last = true, r
	}
	for id := range before {
		require.True(t, seen[id], "missing: %s", id)
	}
	require.Len(t, seen, 5000+arrivals, "and what arrived ahead of the reader, in the window")
}

func TestAnExportedCallCarriesTheRateOfItsDay(t *testing.T) {
	s := newStore(t)
	_, err := s.pool.Exec(t.Context(), `INSERT INTO exchange_rates (day, usd_to_eur, source) VALUES ('2026-11-22', 0.90, 'api'), ('2026-11-25', 0.875, 'api')`)
	require.NoError(t, err)
	for _, day := range []int{-1, 0, 2, 3, 4} {
		ship(t, s, closed(noon.AddDate(0, 0, day), "", "2"))
	}
	ship(t, s, closed(time.Date(2026, 11, 24, 23, 59, 59, 999e6, time.UTC), "", "2")) // the last moment of the old rate
	var rates []string
	for _, r := range export(t, s, accounting.UsageFilter{Limit: 2}, func() {}) {
		rates = append(rates, r.USDToEUR.String()+" "+r.CostEUR().String())
	}
	require.Equal(t, []string{"0.92 1.84", "0.9 1.8", "0.9 1.8", "0.9 1.8", "0.875 1.75", "0.875 1.75"}, rates)
}

func TestTheRowsOfAnExportAddUpToTheReport(t *testing.T) {
	s := newStore(t)
	_, err := s.pool.Exec(t.Context(), `INSERT INTO exchange_rates (day, usd_to_eur, source) VALUES ('2026-11-23', 0.91234, 'api')`)
	require.NoError(t, err)
	for i := range 6 {
		ship(t, s, closed(noon.Add(time.Duration(i)*9*time.Hour), "", fmt.Sprintf("0.0000000000%d7", i)))
	}
	from, to := accounting.DayOf(noon), accounting.DayOf(noon).Add(1)
	report, err := s.UsageReport(t.Context(), from, to)
	require.NoError(t, err)
	usd, eur := dec("0"), dec("0")
	rows := export(t, s, accounting.UsageFilter{Limit: 2, Since: from.Start(), Until: to.End()}, func() {})
	require.Len(t, rows, 4)
	for _, r := range rows {
		usd, eur = usd.Add(r.CostUSD.Decimal), eur.Add(r.CostEUR().Decimal)
	}
	require.True(t, usd.Equal(report.Totals.CostUSD.Decimal), "%s, not %s", usd, report.Totals.CostUSD)
	require.True(t, eur.Equal(report.Totals.CostEUR.Decimal), "%s, not %s", eur, report.Totals.CostEUR)
}

func TestEveryFilterNarrowsAnExport(t *testing.T) {
	s := newStore(t)
	e := closed(noon, "gen-1", "1")
	e.Tags = accounting.Tags{CampaignID: "c", EmailID: "e", LeadID: "l", SequenceID: "s", Purpose: "research", Platform: "p", Metadata: map[string]string{"k": "v"}}
	e.Model = "m"
	ship(t, s, e, closed(noon.Add(time.Hour), "gen-2", ""))
	for name, f := range map[string]accounting.UsageFilter{
		"campaign": {CampaignID: "c"}, "email": {EmailID: "e"}, "lead": {LeadID: "l"}, "sequence": {SequenceID: "s"},
		"purpose": {Purpose: "research"}, "platform": {Platform: "p"}, "model": {Model: "m"},
		"status": {Status: accounting.StatusSettled}, "generation": {GenerationID: "gen-1"},
		"until": {Until: noon.Add(time.Hour)}, "since": {Since: noon, Until: noon.Add(time.Millisecond)},
	} {
		f.Limit = 10
		page, err := s.ExportUsage(t.Context(), f)
		require.NoError(t, err, name)
		require.Len(t, page.Rows, 1, name)
		row, err := s.FindUsage(t.Context(), e.ID)
		require.NoError(t, err)
		require.Equal(t, row, page.Rows[0].UsageRow, name)
	}
}

func TestAnExportRefusesABadCursorOrLimit(t *testing.T) {
	s := newStore(t)
	_, err := s.ExportUsage(t.Context(), accounting.UsageFilter{Limit: 1, Cursor: "x"})
	require.ErrorIs(t, err, accounting.ErrBadCursor)
	for _, limit := range []int{0, accounting.MaxUsageRows + 1} {
		_, err = s.ExportUsage(t.Context(), accounting.UsageFilter{Limit: limit})
		require.ErrorContains(t, err, "limit")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.ExportUsage(ended, accounting.UsageFilter{Limit: 1})
	require.ErrorIs(t, err, context.Canceled)
}

// BenchmarkExport shows the rows a second, and that what is held at any time
// does not grow with their number.
func BenchmarkExport(b *testing.B) {
	s := newStore(b)
	for _, n := range []int{2_000, 20_000} {
		_, err := s.pool.Exec(b.Context(), `DELETE FROM openrouter_usage`)
		require.NoError(b, err)
		fillUsage(b, s, n)
		b.Run(fmt.Sprintf("rows=%d", n), func(b *testing.B) {
			var held uint64
			for b.Loop() {
				f := accounting.UsageFilter{Limit: accounting.MaxUsageRows}
				for {
					page, err := s.ExportUsage(b.Context(), f)
					require.NoError(b, err)
					if f.Cursor = page.NextCursor; f.Cursor == "" {
						break
					}
				}
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				held = max(held, m.HeapAlloc)
			}
			b.ReportMetric(float64(held)/(1<<20), "MB-held")
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
