package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func onDay(t testing.TB, s string) accounting.Day {
	t.Helper()
	d, err := accounting.ParseDay(s)
	require.NoError(t, err)
	return d
}

func TestTheGroupsOfAUsageReportAddUpToItsTotal(t *testing.T) {
	s := newStore(t)
	first, second := forLead(noon, "ada", "gen-1", "0.10"), closed(noon.AddDate(0, 0, 1), "gen-2", "0.03")
	first.Usage.PromptTokens, first.Usage.CachedTokens = accounting.Some[int64](100), accounting.Some[int64](25)
	second.Tags = accounting.Tags{}
	second.Model = "anthropic/claude"
	failed := closed(noon, "", "")
	failed.HTTPStatus, failed.Error = 429, "rate_limit_exceeded"
	open := closed(noon, "gen-4", "")
	open.Usage, open.Truncated = accounting.Usage{}, true
	outside := closed(noon.AddDate(0, 0, 2), "gen-3", "9")
	ship(t, s, first, second, failed, open, outside)

	report, err := s.UsageReport(t.Context(), onDay(t, "2026-11-22"), onDay(t, "2026-11-23"))
	require.NoError(t, err)
	require.EqualValues(t, 4, report.Totals.Calls)
	require.EqualValues(t, 1, report.Totals.FailedCalls)
	require.EqualValues(t, 1, report.Totals.UnsettledCalls)
	require.Equal(t, "0.13", report.Totals.CostUSD.String())
	require.Equal(t, "0.1196", report.Totals.CostEUR.String())
	require.Equal(t, "0.25", report.Totals.CacheShare.String())
	require.Equal(t, "0.25", report.Totals.ErrorShare.String())
	require.Equal(t, "0.065", report.Totals.CostPerCall.String(), "an open call is not a free one")
	require.Len(t, report.Days, 2)
	require.Equal(t, "2026-11-23", report.Days[1].Name)
	for name, groups := range map[string][]accounting.UsageGroup{
		"days": report.Days, "campaigns": report.Campaign, "purposes": report.Purpose,
		"platforms": report.Platform, "models": report.Model, "keys": report.Key,
	} {
		var sum accounting.UsageTotals
		for _, g := range groups {
			addTotals(&sum, &g.UsageTotals)
		}
		sum.Derive()
		require.Equal(t, report.Totals.CostUSD.String(), sum.CostUSD.String(), name)
		require.Equal(t, report.Totals.Calls, sum.Calls, name)
	}
	require.Equal(t, "q4", report.Campaign[0].Name, "the dearest first")
	require.Empty(t, report.Campaign[1].Name, "calls without a campaign are a group of their own")
	require.Nil(t, report.Campaign[1].CacheShare, "no prompt tokens, no share")
}

func TestAReportConvertsAtTheLatestRateOnOrBeforeTheDay(t *testing.T) {
	s := newStore(t)
	ship(t, s, closed(noon, "gen-1", "1"), closed(noon.AddDate(0, 0, 1), "gen-2", "1"), closed(noon.AddDate(0, 0, 3), "gen-3", "1"))
	_, err := s.pool.Exec(t.Context(), `INSERT INTO exchange_rates (day, usd_to_eur, source) VALUES ('2026-11-23', 0.90, 'api'), ('2026-11-26', 0.5, 'api')`)
	require.NoError(t, err)
	report, err := s.UsageReport(t.Context(), onDay(t, "2026-11-22"), onDay(t, "2026-11-25"))
	require.NoError(t, err)
	require.Equal(t, "2.72", report.Totals.CostEUR.String(), "0.92 as configured, 0.90 on the 23rd and still on the 25th")
	require.Equal(t, "0", report.Days[2].CostUSD.String(), "a day without calls is there")
}

func TestManyGroupsEndInOneRest(t *testing.T) {
	var list []accounting.UsageGroup
	for range accounting.MaxUsageGroups + 5 {
		list = appendGroup(list, accounting.UsageGroup{UsageTotals: accounting.UsageTotals{Calls: 2}})
	}
	require.Len(t, list, accounting.MaxUsageGroups+1)
	require.True(t, list[accounting.MaxUsageGroups].Rest)
	require.EqualValues(t, 10, list[accounting.MaxUsageGroups].Calls)
}

func TestEmptyMonthsCarryFixedCosts(t *testing.T) {
	s := newStore(t)
	ship(t, s, closed(noon, "gen-1", "5.50"))
	record(t, s, happened(accounting.EmailSent, "", noon))
	months, err := s.Months(t.Context(), accounting.Month{Year: 2026, Month: time.October}, accounting.MonthOf(noon))
	require.NoError(t, err)
	require.Len(t, months, 2)
	require.Equal(t, "123", months[0].TotalEUR().String())
	require.False(t, months[0].CostPerEmail().Known)
	require.Equal(t, "128.06", months[1].TotalEUR().String())
	require.Equal(t, "128.06", months[1].CostPerEmail().Value.String())
}
