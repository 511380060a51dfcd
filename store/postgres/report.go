package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// ratesSQL are the days from $1 to $2 with the exchange rate of each: the latest
// that is dated on or before the day (the ECB has none for weekends), else $3.
const ratesSQL = `rates AS (
		SELECT d::date AS day, coalesce(
			(SELECT usd_to_eur FROM exchange_rates x WHERE x.day <= d::date ORDER BY x.day DESC LIMIT 1), $3::numeric) AS rate
		FROM generate_series($1::date, $2::date, '1 day') AS d
	)`

// totalsSQL sums rows u of usage_daily at the rates of their days r, in the
// order in which scanTotals wants them.
const totalsSQL = `coalesce(sum(u.calls), 0)::bigint, coalesce(sum(u.failed_calls), 0)::bigint, coalesce(sum(u.cancelled_calls), 0)::bigint,
		coalesce(sum(u.truncated_calls), 0)::bigint, coalesce(sum(u.unsettled_calls), 0)::bigint,
		coalesce(sum(u.cost_usd), 0), coalesce(sum(u.cost_usd * r.rate), 0),
		coalesce(sum(u.prompt_tokens), 0)::bigint, coalesce(sum(u.completion_tokens), 0)::bigint, coalesce(sum(u.total_tokens), 0)::bigint,
		coalesce(sum(u.cached_tokens), 0)::bigint, coalesce(sum(u.reasoning_tokens), 0)::bigint`

func totalsFields(t *accounting.UsageTotals) []any {
	return []any{&t.Calls, &t.FailedCalls, &t.CancelledCalls, &t.TruncatedCalls, &t.UnsettledCalls, &t.CostUSD, &t.CostEUR,
		&t.PromptTokens, &t.CompletionTokens, &t.TotalTokens, &t.CachedTokens, &t.ReasoningTokens}
}

// UsageReport sums the calls of the UTC days from from to to, both included. It
// reads the sums of days, so its time depends on the days and the lines of the
// report and not on the calls.
func (s *Store) UsageReport(ctx context.Context, from, to accounting.Day) (accounting.UsageReport, error) {
	report := accounting.UsageReport{From: from, To: to}
	groups := map[string]*[]accounting.UsageGroup{
		dimensionCampaign: &report.Campaign, dimensionPurpose: &report.Purpose, dimensionPlatform: &report.Platform,
		dimensionModel: &report.Model, dimensionKey: &report.Key,
	}
	for _, list := range groups {
		*list = []accounting.UsageGroup{}
	}
	rows, err := s.pool.Query(ctx, `-- name: usage_report
		WITH `+ratesSQL+`, sums AS (
			SELECT u.dimension, u.value, `+totalsSQL+`
			FROM usage_daily u JOIN rates r USING (day)
			WHERE u.campaign_id = '' AND u.dimension IN ('campaign', 'purpose', 'platform', 'model', 'key') AND u.day BETWEEN $1 AND $2
			GROUP BY u.dimension, u.value
		)
		SELECT * FROM sums s (dimension, value, calls, failed, cancelled, truncated, unsettled, cost)
		ORDER BY dimension, cost DESC, calls DESC, value`,
		from.Start(), to.Start(), s.opts.USDToEURRate)
	if err != nil {
		return report, fmt.Errorf("report usage of %s to %s: %w", from, to, err)
	}
	var dimension string
	var g accounting.UsageGroup
	if _, err = pgx.ForEachRow(rows, append([]any{&dimension, &g.Name}, totalsFields(&g.UsageTotals)...), func() error {
		if list := groups[dimension]; list != nil {
			*list = appendGroup(*list, g)
		}
		return nil
	}); err != nil {
		return report, fmt.Errorf("report usage of %s to %s: %w", from, to, err)
	}
	for _, list := range groups {
		for i := range *list {
			(*list)[i].Derive()
		}
	}
	if report.Days, err = s.usageDays(ctx, from, to); err != nil {
		return report, fmt.Errorf("report usage of %s to %s: %w", from, to, err)
	}
	for _, day := range report.Days {
		addTotals(&report.Totals, &day.UsageTotals)
	}
	report.Totals.Derive()
	return report, nil
}

// appendGroup adds a group to those listed one by one, or to their rest.
func appendGroup(list []accounting.UsageGroup, g accounting.UsageGroup) []accounting.UsageGroup {
	switch {
	case len(list) < accounting.MaxUsageGroups:
		return append(list, g)
	case len(list) == accounting.MaxUsageGroups:
		list = append(list, accounting.UsageGroup{Rest: true})
	}
	addTotals(&list[len(list)-1].UsageTotals, &g.UsageTotals)
	return list
}

func addTotals(sum, t *accounting.UsageTotals) {
	sum.Calls += t.Calls
	sum.FailedCalls += t.FailedCalls
	sum.CancelledCalls += t.CancelledCalls
	sum.TruncatedCalls += t.TruncatedCalls
	sum.UnsettledCalls += t.UnsettledCalls
	sum.CostUSD.Decimal = sum.CostUSD.Add(t.CostUSD.Decimal)
	sum.CostEUR.Decimal = sum.CostEUR.Add(t.CostEUR.Decimal)
	sum.PromptTokens += t.PromptTokens
	sum.CompletionTokens += t.CompletionTokens
	sum.TotalTokens += t.TotalTokens
	sum.CachedTokens += t.CachedTokens
	sum.ReasoningTokens += t.ReasoningTokens
}

// usageDays are the days from from to to, those without calls included.
func (s *Store) usageDays(ctx context.Context, from, to accounting.Day) ([]accounting.UsageGroup, error) {
	rows, err := s.pool.Query(ctx, `-- name: usage_days
		WITH `+ratesSQL+`
		SELECT to_char(r.day, 'YYYY-MM-DD'), `+totalsSQL+`
		FROM rates r LEFT JOIN usage_daily u ON u.day = r.day AND u.dimension = 'all' AND u.campaign_id = ''
		GROUP BY r.day ORDER BY r.day`, from.Start(), to.Start(), s.opts.USDToEURRate)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(cr pgx.CollectableRow) (accounting.UsageGroup, error) {
		var g accounting.UsageGroup
		err := cr.Scan(append([]any{&g.Name}, totalsFields(&g.UsageTotals)...)...)
		g.Derive()
		return g, err
	})
}

// Months are the figures of the months from from to to, both included, in
// order. A month that has no row yet has the configured fixed costs and rate.
func (s *Store) Months(ctx context.Context, from, to accounting.Month) ([]accounting.MonthReport, error) {
	rows, err := s.pool.Query(ctx, `-- name: months_report
		SELECT year, month, openrouter_cost, exchange_rate, instantly_cost, google_workspace_cost, emails_sent, meetings_booked,
			closed_at IS NOT NULL, updated_at
		FROM monthly_costs WHERE (year, month) BETWEEN ($1, $2) AND ($3, $4)`, from.Year, int(from.Month), to.Year, int(to.Month))
	if err != nil {
		return nil, fmt.Errorf("report months %s to %s: %w", from, to, err)
	}
	known := make(map[accounting.Month]accounting.MonthReport)
	var r accounting.MonthReport
	var month int
	var instantly, workspace decimal.Decimal
	_, err = pgx.ForEachRow(rows, []any{&r.Month.Year, &month, &r.OpenRouterUSD, &r.USDToEUR, &instantly, &workspace,
		&r.EmailsSent, &r.MeetingsBooked, &r.Closed, &r.UpdatedAt}, func() error {
		r.Month.Month = time.Month(month)
		r.Fixed = fixedCosts(instantly, workspace)
		known[r.Month] = r
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("report months %s to %s: %w", from, to, err)
	}
	var list []accounting.MonthReport
	for m := from; !to.Before(m); m = m.Next() {
		r, ok := known[m]
		if !ok {
			r.MonthFigures = accounting.MonthFigures{Month: m, Fixed: fixedCosts(s.opts.InstantlyCost, s.opts.WorkspaceCost), USDToEUR: s.opts.USDToEURRate}
			r.Closed, r.UpdatedAt = false, time.Time{}
		}
		list = append(list, r)
	}
	return list, nil
}

func fixedCosts(instantly, workspace decimal.Decimal) []accounting.FixedCost {
	return []accounting.FixedCost{
		{Name: accounting.FixedInstantly, EUR: instantly, Platform: accounting.PlatformInstantly},
		{Name: accounting.FixedWorkspace, EUR: workspace},
	}
}
