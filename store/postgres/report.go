package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// ratesSQL are the days from $1 to $2 with the exchange rate of each: of a closed
// month the one it was closed with, else the latest that is dated on or before
// the day (the ECB has none for weekends), else the configured one, which is $3
// until the database knows it. Materialized, or the rate would be looked up for
// each row that is converted. A series of numbers, whose length the planner
// knows; one of days is taken for a thousand, and the compiler (jit) started.
const ratesSQL = `rates AS MATERIALIZED (
		SELECT $1::date + n AS day, coalesce(day_rate($1::date + n), $3::numeric) AS rate
		FROM generate_series(0, $2::date - $1::date) AS n
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
// order. A month that has no row yet has its fixed costs and rate.
func (s *Store) Months(ctx context.Context, from, to accounting.Month) ([]accounting.MonthReport, error) {
	rows, err := s.pool.Query(ctx, `-- name: months_report
		SELECT p.year, p.month, coalesce(m.openrouter_cost, 0), coalesce(m.openrouter_cost_eur, 0),
			coalesce(m.exchange_rate, day_rate((first + interval '1 month')::date - 1)), coalesce(m.emails_sent, 0), coalesce(m.meetings_booked, 0),
			m.closed_at IS NOT NULL, m.updated_at, f.names, f.amounts, f.platforms
		FROM (SELECT $1::date + n * interval '1 month' AS first FROM generate_series(0, $2::integer) AS n) months -- numbers: see ratesSQL
		CROSS JOIN LATERAL (SELECT extract(year FROM first)::integer AS year, extract(month FROM first)::integer AS month) p
		LEFT JOIN monthly_costs m ON (m.year, m.month) = (p.year, p.month)
		CROSS JOIN LATERAL (
			SELECT coalesce(array_agg(name ORDER BY name), '{}') AS names, coalesce(array_agg(eur ORDER BY name), '{}') AS amounts,
				coalesce(array_agg(coalesce(platform, '') ORDER BY name), '{}') AS platforms
			FROM fixed_costs_of(p.year, p.month)
		) f
		ORDER BY first`, from.Start(), (to.Year-from.Year)*12+int(to.Month-from.Month))
	if err == nil {
		var list []accounting.MonthReport
		if list, err = pgx.CollectRows(rows, scanMonth); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("report months %s to %s: %w", from, to, err)
}

func scanMonth(cr pgx.CollectableRow) (accounting.MonthReport, error) {
	var (
		r                accounting.MonthReport
		month            int
		updated          *time.Time
		names, platforms []string
		amounts          []decimal.Decimal
	)
	err := cr.Scan(&r.Month.Year, &month, &r.OpenRouterUSD, &r.OpenRouterEUR.Value, &r.USDToEUR, &r.EmailsSent, &r.MeetingsBooked,
		&r.Closed, &updated, &names, &amounts, &platforms)
	r.Month.Month, r.OpenRouterEUR.Known = time.Month(month), true
	if updated != nil {
		r.UpdatedAt = updated.UTC()
	}
	for i, name := range names {
		r.Fixed = append(r.Fixed, accounting.FixedCost{Name: name, EUR: amounts[i], Platform: platforms[i]})
	}
	return r, err
}
