package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func putFixed(t testing.TB, s *Store, name string, from accounting.Month, eur, platform string) {
	t.Helper()
	c := accounting.DatedFixedCost{Name: name, From: from, EUR: accounting.Amount{Decimal: dec(eur)}}
	if platform != "" {
		c.Platform = &platform
	}
	require.NoError(t, s.PutFixedCost(t.Context(), c, "Finance"))
}

// fixed are the fixed costs of a month, as a report has them.
func fixed(t testing.TB, s *Store, m accounting.Month) string {
	t.Helper()
	months, err := s.Months(t.Context(), m, m)
	require.NoError(t, err)
	require.Len(t, months, 1)
	var list []string
	for _, c := range months[0].Fixed {
		list = append(list, strings.TrimSuffix(c.Name+"="+c.EUR.String()+"@"+c.Platform, "@"))
	}
	return strings.Join(list, " ")
}

func TestFixedCostsHoldFromTheirMonthOn(t *testing.T) {
	s := newStore(t)
	s.opts.Now = func() time.Time { return noon }
	ship(t, s, closed(noon, "gen-1", "10"))
	october, december := accounting.Month{Year: 2026, Month: time.October}, november.Next()
	require.Equal(t, "google_workspace=48 instantly=75@instantly", fixed(t, s, october))

	putFixed(t, s, "apollo", november, "99.99", "")
	putFixed(t, s, "heyreach", november, "79", "heyreach")
	putFixed(t, s, accounting.FixedInstantly, december, "97", "instantly")
	putFixed(t, s, "apollo", december, "0", "")
	require.Equal(t, "google_workspace=48 instantly=75@instantly", fixed(t, s, october))
	require.Equal(t, "apollo=99.99 google_workspace=48 heyreach=79@heyreach instantly=75@instantly", fixed(t, s, november))
	require.Equal(t, "apollo=0 google_workspace=48 heyreach=79@heyreach instantly=97@instantly", fixed(t, s, december))
	require.Equal(t, "9.2 0.92 311.19", euros(t, s, november), "the month's row follows")
	ship(t, s, closed(fifth, "gen-2", "10"))
	require.Equal(t, "9.2 0.92 233.2", euros(t, s, december), "and so does one that begins later")
	requireExactRollups(t, s)

	require.NoError(t, s.DeleteFixedCost(t.Context(), "heyreach", november, "Finance"))
	require.ErrorIs(t, s.DeleteFixedCost(t.Context(), "heyreach", november, "Finance"), accounting.ErrUnknownFixedCost)
	require.Equal(t, "9.2 0.92 232.19", euros(t, s, november))
	requireExactRollups(t, s)

	book, err := s.FixedCosts(t.Context())
	require.NoError(t, err)
	require.Len(t, book.Entries, 3)
	require.Equal(t, december, book.Entries[0].From, "of apollo, the newest first")
	require.Len(t, book.Defaults, 2)
	require.Len(t, book.Present, 3)
	page, err := s.ListAudit(t.Context(), accounting.AuditFilter{Subject: "fixed-costs/heyreach", Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Entries, 2)
	require.Equal(t, accounting.ActionFixedCostDelete, page.Entries[0].Action)
	require.JSONEq(t, `{"from":"2026-11","eur":79,"platform":"heyreach"}`, string(page.Entries[0].Before))
}

func TestAClosedMonthKeepsItsFixedCosts(t *testing.T) {
	s := newStore(t)
	s.opts.Now = func() time.Time { return fifth }
	october := accounting.Month{Year: 2026, Month: time.October}
	putFixed(t, s, "apollo", october, "100", "")
	require.Equal(t, "223", closeMonth(t, s, november, fifth).TotalCostEUR.String(), "without a call, its fixed costs are dated all the same")
	putFixed(t, s, "apollo", november, "1", "")
	putFixed(t, s, "heyreach", october, "5", "")
	require.Equal(t, "apollo=100 google_workspace=48 instantly=75@instantly", fixed(t, s, november))
	require.Equal(t, "apollo=1 google_workspace=48 heyreach=5 instantly=75@instantly", fixed(t, s, november.Next()))
	require.Equal(t, "0 0.92 223", euros(t, s, november))
	requireExactRollups(t, s)
}

func TestTheCheckFindsFixedCostsAndEurosThatDisagree(t *testing.T) {
	s := newStore(t)
	ship(t, s, closed(noon, "gen-1", "10"))
	_, err := s.pool.Exec(t.Context(), `UPDATE monthly_costs SET instantly_cost = 1; INSERT INTO exchange_rates VALUES ('2026-11-01', 0.5, 'api', now())`)
	require.NoError(t, err)
	differences, err := s.CheckRollups(t.Context())
	require.NoError(t, err)
	var figures []string
	for _, d := range differences {
		figures = append(figures, d.Figure+" "+d.Recorded.String()+" "+d.Recomputed.String())
	}
	require.ElementsMatch(t, []string{"fixed_cost 49 123", "openrouter_cost_eur 9.2 5"}, figures)
}
