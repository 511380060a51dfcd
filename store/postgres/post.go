package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// post adds deltas to the sums: hours, months and the periods of budgets, each
// in key order, and raises what alerts come of it. Every writer does it in this
// order and after it has locked its rows.
func (s *Store) post(ctx context.Context, tx pgx.Tx, d *deltas) error {
	if err := postHours(ctx, tx, d); err != nil {
		return fmt.Errorf("update usage_hourly: %w", err)
	}
	if err := s.postMonths(ctx, tx, d); err != nil {
		return fmt.Errorf("update monthly_costs: %w", err)
	}
	if err := s.postBudgets(ctx, tx, d); err != nil {
		return err
	}
	return s.raise(ctx, tx, d.alerts)
}

func postHours(ctx context.Context, tx pgx.Tx, d *deltas) error {
	keys := d.changedHours()
	if len(keys) == 0 {
		return nil
	}
	var (
		hours                               = make([]time.Time, len(keys))
		campaigns, purposes                 = make([]string, len(keys)), make([]string, len(keys))
		models, platforms                   = make([]string, len(keys)), make([]string, len(keys))
		calls, failed, cancelled, unsettled = make([]int64, len(keys)), make([]int64, len(keys)), make([]int64, len(keys)), make([]int64, len(keys))
		costs, byok                         = make([]decimal.Decimal, len(keys)), make([]decimal.Decimal, len(keys))
		prompt, completion, total           = make([]int64, len(keys)), make([]int64, len(keys)), make([]int64, len(keys))
		cached, reasoning                   = make([]int64, len(keys)), make([]int64, len(keys))
	)
	for i, k := range keys {
		f := d.hours[k]
		hours[i] = time.Unix(k.hour, 0).UTC()
		campaigns[i], purposes[i], models[i], platforms[i] = k.campaign, k.purpose, k.model, k.platform
		calls[i], failed[i], cancelled[i], unsettled[i] = f.calls, f.failed, f.cancelled, f.unsettled
		costs[i], byok[i] = f.cost, f.byokUpstream
		prompt[i], completion[i], total[i], cached[i], reasoning[i] = f.prompt, f.completion, f.total, f.cached, f.reasoning
	}
	_, err := tx.Exec(ctx, `-- name: usage_hourly_post
		INSERT INTO usage_hourly AS h (
			hour, campaign_id, purpose, model, platform,
			calls, failed_calls, cancelled_calls, unsettled_calls,
			cost_usd, byok_upstream_cost_usd,
			prompt_tokens, completion_tokens, total_tokens, cached_tokens, reasoning_tokens)
		SELECT * FROM unnest(
			$1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[],
			$6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
			$10::numeric[], $11::numeric[],
			$12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[])
		ON CONFLICT (hour, campaign_id, purpose, model, platform) DO UPDATE SET
			calls                  = h.calls                  + excluded.calls,
			failed_calls           = h.failed_calls           + excluded.failed_calls,
			cancelled_calls        = h.cancelled_calls        + excluded.cancelled_calls,
			unsettled_calls        = h.unsettled_calls        + excluded.unsettled_calls,
			cost_usd               = h.cost_usd               + excluded.cost_usd,
			byok_upstream_cost_usd = h.byok_upstream_cost_usd + excluded.byok_upstream_cost_usd,
			prompt_tokens          = h.prompt_tokens          + excluded.prompt_tokens,
			completion_tokens      = h.completion_tokens      + excluded.completion_tokens,
			total_tokens           = h.total_tokens           + excluded.total_tokens,
			cached_tokens          = h.cached_tokens          + excluded.cached_tokens,
			reasoning_tokens       = h.reasoning_tokens       + excluded.reasoning_tokens`,
		hours, campaigns, purposes, models, platforms,
		calls, failed, cancelled, unsettled,
		costs, byok,
		prompt, completion, total, cached, reasoning)
	return err
}

func (s *Store) postMonths(ctx context.Context, tx pgx.Tx, d *deltas) error {
	keys := d.changedMonths()
	if len(keys) == 0 {
		return nil
	}
	open, err := s.addToMonths(ctx, tx, keys, d)
	if err != nil || len(open) == len(keys) {
		return err
	}
	late := slices.DeleteFunc(d.costs, func(c costChange) bool { return open[c.month] })
	return s.bookCorrections(ctx, tx, late, d)
}

// addToMonths adds the costs of d to the months that are open, and returns
// which of keys those were. The others are locked by it all the same, so none
// is closed or opened under our hands. A month that has become too dear is
// among the alerts of d. Fixed costs and EUR are the schema's to fill in; see
// monthly_costs_follow in 0010_rates.sql.
func (s *Store) addToMonths(ctx context.Context, tx pgx.Tx, keys []monthKey, d *deltas) (map[monthKey]bool, error) {
	years, months, amounts := make([]int32, len(keys)), make([]int32, len(keys)), make([]decimal.Decimal, len(keys))
	for i, k := range keys {
		years[i], months[i], amounts[i] = int32(k.year), int32(k.month), d.months[k]
	}
	rows, err := tx.Query(ctx, `-- name: monthly_costs_post
		INSERT INTO monthly_costs AS m (
			year, month, openrouter_cost, exchange_rate)
		SELECT year, month, cost, $4::numeric
		FROM unnest($1::integer[], $2::integer[], $3::numeric[]) AS d (year, month, cost)
		ON CONFLICT (year, month) DO UPDATE SET
			openrouter_cost = m.openrouter_cost + excluded.openrouter_cost,
			updated_at      = now()
		WHERE m.closed_at IS NULL
		RETURNING year, month, total_cost`,
		years, months, amounts, s.opts.USDToEURRate)
	if err != nil {
		return nil, err
	}
	open := make(map[monthKey]bool, len(keys))
	var k monthKey
	var total decimal.Decimal
	_, err = pgx.ForEachRow(rows, []any{&k.year, &k.month, &total}, func() error {
		open[k] = true
		if s.opts.CostAlertThreshold.IsPositive() && total.GreaterThan(s.opts.CostAlertThreshold) {
			d.alerts = append(d.alerts, s.monthAlert(k, total))
		}
		return nil
	})
	return open, err
}
