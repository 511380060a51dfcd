package postgres

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func rateOn(day, rate string) accounting.ExchangeRate {
	d, err := accounting.ParseDay(day)
	if err != nil {
		panic(err)
	}
	return accounting.ExchangeRate{Day: d, USDToEUR: accounting.Amount{Decimal: dec(rate)}}
}

func putRate(t testing.TB, s *Store, rates ...accounting.ExchangeRate) accounting.RateChange {
	t.Helper()
	change, err := s.PutExchangeRates(t.Context(), rates, "Finance")
	require.NoError(t, err)
	return change
}

// euros are openrouter_cost_eur, exchange_rate and total_cost of a month.
func euros(t testing.TB, s *Store, m accounting.Month) string {
	t.Helper()
	var figures string
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT concat_ws(' ', trim_scale(openrouter_cost_eur), trim_scale(exchange_rate), trim_scale(total_cost))
		FROM monthly_costs WHERE (year, month) = ($1, $2)`, m.Year, int(m.Month)).Scan(&figures))
	return figures
}

func TestAMonthIsConvertedAtTheRateOfEachDay(t *testing.T) {
	s := newStore(t)
	s.opts.Now = func() time.Time { return noon }
	putRate(t, s, rateOn("2026-11-10", "0.9"), rateOn("2026-11-20", "0.8"))
	day := func(n int) time.Time { return time.Date(2026, 11, n, 23, 59, 0, 0, time.UTC) }
	ship(t, s, closed(day(9), "gen-1", "10"), closed(day(10), "gen-2", "10"), closed(day(19), "gen-3", "10"), closed(day(22), "gen-4", "10"))
	// 10 × 0.92 + 20 × 0.9 + 10 × 0.8
	require.Equal(t, "35.2 0.88 158.2", euros(t, s, november))
	requireExactRollups(t, s)

	months, err := s.Months(t.Context(), november, november)
	require.NoError(t, err)
	require.Equal(t, "35.2", months[0].VariableEUR().String())
	require.Equal(t, "158.2", months[0].TotalEUR().String())
	require.Equal(t, "0.88", months[0].USDToEUR.String())
	report, err := s.UsageReport(t.Context(), accounting.DayOf(november.Start()), accounting.DayOf(noon))
	require.NoError(t, err)
	require.Equal(t, "35.2", report.Totals.CostEUR.String(), "the report of the same days says the same")
}

func TestALaterRateMovesOpenMonthsAndNeverClosedOnes(t *testing.T) {
	s := newStore(t)
	s.opts.Now = func() time.Time { return fifth }
	ship(t, s, closed(noon, "gen-1", "10"), closed(fifth, "gen-2", "100"))
	october := accounting.Month{Year: 2026, Month: time.October}
	ship(t, s, closed(noon.AddDate(0, -1, 0), "gen-3", "1000"))
	closeMonth(t, s, november, fifth)

	change := putRate(t, s, rateOn("2026-10-01", "0.5"))
	require.Equal(t, 1, change.Changed)
	require.Equal(t, []accounting.Month{october, november.Next()}, change.Months)
	require.Equal(t, "9.2 0.92 132.2", euros(t, s, november), "it is closed")
	require.Equal(t, "500 0.5 623", euros(t, s, october))
	require.Equal(t, "50 0.5 173", euros(t, s, november.Next()))
	report, err := s.UsageReport(t.Context(), accounting.DayOf(noon), accounting.DayOf(noon))
	require.NoError(t, err)
	require.Equal(t, "9.2", report.Totals.CostEUR.String(), "reports of a closed month keep its rates too")
	requireExactRollups(t, s)

	require.Zero(t, putRate(t, s, rateOn("2026-10-01", "0.5")).Changed, "again")
	page, err := s.ListAudit(t.Context(), accounting.AuditFilter{Subject: "exchange-rates", Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Entries, 1, "what changes nothing is not audited")
	require.Equal(t, "Finance", page.Entries[0].Actor)
	require.JSONEq(t, `{"2026-10-01": 0.5}`, string(page.Entries[0].After))
}

func TestACorrectionIsBookedAtTheRateOfItsCallsDay(t *testing.T) {
	s := newStore(t)
	s.opts.Now = func() time.Time { return fifth }
	putRate(t, s, rateOn("2026-11-01", "0.9"), rateOn("2026-12-01", "0.5"))
	ship(t, s, closed(noon, "gen-1", "10"))
	closeMonth(t, s, november, fifth)
	ship(t, s, closed(fifth, "gen-2", "100"), closed(noon, "gen-3", "1"))
	require.Equal(t, "9 0.9 132", euros(t, s, november))
	require.Equal(t, "50.9 0.503960396 173.9", euros(t, s, november.Next()), "100 × 0.5 + 1 × 0.9")
	requireExactRollups(t, s)

	putRate(t, s, rateOn("2026-11-01", "0.1e1"), rateOn("2026-12-02", "0.6"))
	require.Equal(t, "60.9 0.602970297 183.9", euros(t, s, november.Next()), "November's rates are closed with it")
	requireExactRollups(t, s)
}

func TestTheConfiguredRateHoldsWhereNoneIsDated(t *testing.T) {
	s := newStore(t)
	ship(t, s, closed(noon, "gen-1", "10"))
	s.opts.USDToEURRate, s.opts.WorkspaceCost = dec("0.8"), dec("50")
	require.NoError(t, s.EnsureDefaults(t.Context()))
	require.NoError(t, s.EnsureDefaults(t.Context()))
	require.Equal(t, "8 0.8 133", euros(t, s, november))
	requireExactRollups(t, s)
	book, err := s.ExchangeRates(t.Context(), accounting.EarliestRate, accounting.DayOf(noon))
	require.NoError(t, err)
	require.Equal(t, "0.8", book.Default.String())
	require.Empty(t, book.Rates)
}

func TestWhatWasSetByHandStandsAgainstTheFeed(t *testing.T) {
	s := newStore(t)
	putRate(t, s, rateOn("2026-11-20", "0.9"))
	_, claimed, err := s.ClaimRates(t.Context(), accounting.RateOfECB, noon, noon.Add(time.Minute))
	require.NoError(t, err)
	require.True(t, claimed)
	_, claimed, err = s.ClaimRates(t.Context(), accounting.RateOfECB, noon, noon.Add(time.Minute))
	require.NoError(t, err)
	require.False(t, claimed, "another replica does it")
	require.NoError(t, s.PostponeRates(t.Context(), accounting.RateOfECB, noon.Add(time.Second)))
	failures, claimed, err := s.ClaimRates(t.Context(), accounting.RateOfECB, noon.Add(time.Second), noon.Add(time.Minute))
	require.NoError(t, err)
	require.True(t, claimed)
	require.Equal(t, 1, failures)

	change, err := s.SaveRates(t.Context(), accounting.RateOfECB, []accounting.ExchangeRate{rateOn("2026-11-19", "0.87"), rateOn("2026-11-20", "0.86")}, noon, noon.AddDate(0, 0, 1))
	require.NoError(t, err)
	require.Equal(t, 1, change.Changed)
	_, claimed, err = s.ClaimRates(t.Context(), accounting.RateOfECB, noon.Add(time.Hour), noon.Add(2*time.Hour))
	require.NoError(t, err)
	require.False(t, claimed, "not before tomorrow")
	book, err := s.ExchangeRates(t.Context(), accounting.EarliestRate, accounting.DayOf(noon))
	require.NoError(t, err)
	var list []string
	for _, r := range book.Rates {
		list = append(list, r.Day.String()+" "+r.USDToEUR.String()+" "+r.Source)
	}
	require.Equal(t, []string{"2026-11-20 0.9 api", "2026-11-19 0.87 ecb"}, list)
}

func TestRatesThatChangeUnderWritersLeaveEveryEuroRight(t *testing.T) {
	s := newStore(t)
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := range 12 {
				at := time.Date(2026, 11+time.Month(i%2), 1+i, w, 0, 0, 0, time.UTC)
				if _, err := s.Ship(t.Context(), []accounting.Event{closed(at, "gen-"+callAt(at).String(), "0.37")}); err != nil {
					t.Errorf("ship: %v", err)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 8 {
			rate := rateOn("2026-11-05", "0.7")
			rate.USDToEUR.Decimal = rate.USDToEUR.Add(decimal.New(int64(i), -2))
			if _, err := s.PutExchangeRates(t.Context(), []accounting.ExchangeRate{rate}, "Finance"); err != nil {
				t.Errorf("put: %v", err)
			}
			c := accounting.DatedFixedCost{Name: "apollo", From: november, EUR: accounting.Amount{Decimal: decimal.NewFromInt(int64(i))}}
			if err := s.PutFixedCost(t.Context(), c, "Finance"); err != nil {
				t.Errorf("put: %v", err)
			}
		}
	})
	wg.Go(func() {
		for range 4 {
			if _, err := s.RecordActivities(t.Context(), []accounting.CampaignActivity{{Type: accounting.EmailSent, LeadID: "ada", OccurredAt: noon}}); err != nil {
				t.Errorf("record: %v", err)
			}
		}
	})
	wg.Wait()
	requireExactRollups(t, s)
}

func TestAValueInDollarsIsConvertedAtTheRateOfTheDayOnWhichItHappened(t *testing.T) {
	s := newStore(t)
	s.opts.Now = func() time.Time { return noon }
	putRate(t, s, rateOn("2026-11-12", "0.5"), rateOn("2026-11-13", "0.8"))
	midnight := time.Date(2026, 11, 13, 0, 0, 0, 0, time.UTC)
	deal := func(at time.Time) accounting.CampaignActivity {
		return accounting.CampaignActivity{Type: accounting.DealWon, CampaignID: "q4", Value: accounting.Some(dec("100")), Currency: accounting.USD, OccurredAt: at}
	}
	record(t, s, deal(noon), deal(midnight), deal(midnight.Add(-time.Millisecond)), deal(midnight.AddDate(0, 0, -30)))
	rows, err := s.pool.Query(t.Context(), `SELECT value_eur FROM activities ORDER BY occurred_at`)
	require.NoError(t, err)
	values, err := pgx.CollectRows(rows, pgx.RowTo[decimal.Decimal])
	require.NoError(t, err)
	require.Equal(t, "[92 50 80 80]", fmt.Sprint(values), "the first one at the configured rate: none is dated before it")
	requireExactRollups(t, s)
}

func TestAnOlderBursarAndPsqlLeaveTheEurosRight(t *testing.T) {
	s := newStore(t)
	ship(t, s, closed(noon, "gen-1", "10"))
	putRate(t, s, rateOn("2026-11-01", "0.5"))
	// As the release before writes it.
	_, err := s.pool.Exec(t.Context(), `INSERT INTO monthly_costs AS m (year, month, openrouter_cost, instantly_cost, google_workspace_cost, exchange_rate)
		VALUES (2026, 11, 2, 75, 48, 0.92), (2026, 10, 100, 75, 48, 0.92)
		ON CONFLICT (year, month) DO UPDATE SET openrouter_cost = m.openrouter_cost + excluded.openrouter_cost, updated_at = now()
		WHERE m.closed_at IS NULL`)
	require.NoError(t, err)
	require.Equal(t, "6 0.5 129", euros(t, s, november))
	require.Equal(t, "92 0.92 215", euros(t, s, accounting.Month{Year: 2026, Month: time.October}), "a month without calls is at the rate beside it")
}

func TestACallCountsTowardsBudgetsAtTheRateThatIsKnownWhenItIsMade(t *testing.T) {
	s := newStore(t)
	rate := dec("0.8")
	s.opts.BudgetRate = func() decimal.Decimal { return rate }
	unseen, decided := closed(noon, "gen-1", "1"), closed(noon, "gen-2", "1")
	decided.Decision = &accounting.BudgetDecision{Verdict: accounting.VerdictAllowed, Rate: dec("0.7")}
	ship(t, s, unseen, decided)
	rate = dec("0.5")
	ship(t, s, unseen, decided, closed(noon, "gen-3", "1")) // the first two again

	putRate(t, s, rateOn("2026-11-20", "0.9"))
	rows, err := s.pool.Query(t.Context(), `SELECT usd_to_eur FROM openrouter_usage ORDER BY generation_id`)
	require.NoError(t, err)
	kept, err := pgx.CollectRows(rows, pgx.RowTo[decimal.Decimal])
	require.NoError(t, err)
	require.Equal(t, "[0.8 0.7 0.5]", fmt.Sprint(kept))

	for day, want := range map[string]string{"2026-11-19": "0.92", "2026-11-20": "0.9", "2026-11-22": "0.9"} {
		of, err := s.RateOn(t.Context(), onDay(t, day))
		require.NoError(t, err)
		require.Equal(t, want, of.String(), day)
	}
}
