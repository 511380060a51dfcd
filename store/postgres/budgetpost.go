package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// Whatever moves a period, moves what is spoken for,
//
//	spoken = settled + reserved + Σ held = granted + overshoot,
//
// and the rest follows: granted is as much of it as the ceiling admits, and the
// ceiling comes down with granted to the limit where that was lowered.

// postBudgets adds deltas to the periods, in key order, and takes from leases
// what was charged to them. What is newly reached is among the alerts of d.
func (s *Store) postBudgets(ctx context.Context, tx pgx.Tx, d *deltas) error {
	keys := d.budgets.changed()
	if len(keys) == 0 {
		return nil
	}
	moved, err := postPeriods(ctx, tx, d.budgets, keys)
	if err != nil {
		return fmt.Errorf("update budget_periods: %w", err)
	}
	spent, err := takeFromLeases(ctx, tx, d.budgets.taken)
	if err != nil {
		return fmt.Errorf("update budget_leases: %w", err)
	}
	for _, key := range keys {
		after, delta := moved[key], d.budgets.periods[key]
		net := delta.settled.Add(delta.reserved)
		if l, leased := spent[key]; leased {
			after.overshoot, net = l.overshoot, net.Sub(l.taken)
		}
		budget := d.budgets.book.byID[key.budget]
		d.alerts = append(d.alerts, thresholdAlerts(budget, key, after, delta)...)
		if budget.Mode == accounting.ModeHard && after.overshoot.IsPositive() && net.IsPositive() {
			d.alerts = append(d.alerts, overshootAlert(budget, key, after))
		}
	}
	return nil
}

// periodFigures are what a period's row says after a change.
type periodFigures struct{ limit, settled, reserved, estimated, overshoot decimal.Decimal }

func postPeriods(ctx context.Context, tx pgx.Tx, d *budgetDeltas, keys []periodKey) (map[periodKey]periodFigures, error) {
	n := len(keys)
	limits, settled, reserved, estimated := make([]decimal.Decimal, n), make([]decimal.Decimal, n), make([]decimal.Decimal, n), make([]decimal.Decimal, n)
	for i, k := range keys {
		p := d.periods[k]
		limits[i] = d.book.byID[k.budget].Limit.Decimal
		settled[i], reserved[i], estimated[i] = p.settled, p.reserved, p.estimated
	}
	budgets, eaches, starts := periodArrays(keys)
	// A step down meets a row that exists; but what would be inserted must pass
	// the CHECKs all the same, so it is no less than 0.
	rows, err := tx.Query(ctx, `-- name: budget_periods_post
		INSERT INTO budget_periods AS p (
			budget_id, each_value, period_start, limit_amount, settled, reserved, estimated,
			granted, overshoot, ceiling, updated_at)
		SELECT d.*, greatest(least(settled + reserved, limit_amount), 0), greatest(settled + reserved - limit_amount, 0), limit_amount, clock_timestamp()
		FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[])
			AS d (budget_id, each_value, period_start, limit_amount, settled, reserved, estimated)
		ON CONFLICT (budget_id, each_value, period_start) DO UPDATE SET
			settled    = p.settled   + excluded.settled,
			reserved   = p.reserved  + excluded.reserved,
			estimated  = p.estimated + excluded.estimated,
			granted    = least(p.granted + p.overshoot + excluded.settled + excluded.reserved, p.ceiling),
			overshoot  = greatest(p.granted + p.overshoot + excluded.settled + excluded.reserved - p.ceiling, 0),
			ceiling    = greatest(p.limit_amount, least(p.granted + p.overshoot + excluded.settled + excluded.reserved, p.ceiling)),
			updated_at = excluded.updated_at
		RETURNING budget_id, each_value, period_start, limit_amount, settled, reserved, estimated, overshoot`,
		budgets, eaches, starts, limits, settled, reserved, estimated)
	if err != nil {
		return nil, err
	}
	moved := make(map[periodKey]periodFigures, n)
	var k periodKey
	var start time.Time
	var f periodFigures
	_, err = pgx.ForEachRow(rows, []any{&k.budget, &k.each, &start, &f.limit, &f.settled, &f.reserved, &f.estimated, &f.overshoot}, func() error {
		k.start = start.Unix()
		moved[k] = f
		return nil
	})
	return moved, err
}

// spentLease is what a period's leases gave, and its overshoot after that.
type spentLease struct{ taken, overshoot decimal.Decimal }

// takeFromLeases takes what was consumed from the leases that it was charged
// to, as far as they hold it; the periods have it already, and get it back here.
// They are locked.
func takeFromLeases(ctx context.Context, tx pgx.Tx, taken map[leaseID]decimal.Decimal) (map[periodKey]spentLease, error) {
	if len(taken) == 0 {
		return nil, nil
	}
	leases := slices.SortedFunc(maps.Keys(taken), func(a, b leaseID) int {
		return cmp.Or(comparePeriods(a.period, b.period), cmp.Compare(a.replica, b.replica))
	})
	replicas, keys, amounts := make([]string, len(leases)), make([]periodKey, len(leases)), make([]decimal.Decimal, len(leases))
	for i, l := range leases {
		replicas[i], keys[i], amounts[i] = l.replica, l.period, taken[l]
	}
	budgets, eaches, starts := periodArrays(keys)
	rows, err := tx.Query(ctx, `-- name: budget_leases_spend
		WITH spent AS (
			SELECT l.replica, l.budget_id, l.each_value, l.period_start, least(l.held, d.amount) AS amount
			FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::numeric[])
				AS d (replica, budget_id, each_value, period_start, amount)
			JOIN budget_leases l USING (replica, budget_id, each_value, period_start)
			FOR UPDATE OF l
		), lease AS (
			UPDATE budget_leases l SET held = l.held - s.amount, updated_at = now()
			FROM spent s
			WHERE l.replica = s.replica AND l.budget_id = s.budget_id AND l.each_value = s.each_value AND l.period_start = s.period_start
		), total AS (
			SELECT budget_id, each_value, period_start, sum(amount) AS amount FROM spent GROUP BY 1, 2, 3
		)
		UPDATE budget_periods p SET
			granted   = least(p.granted + p.overshoot - t.amount, p.ceiling),
			overshoot = greatest(p.granted + p.overshoot - t.amount - p.ceiling, 0),
			ceiling   = greatest(p.limit_amount, least(p.granted + p.overshoot - t.amount, p.ceiling))
		FROM total t
		WHERE p.budget_id = t.budget_id AND p.each_value = t.each_value AND p.period_start = t.period_start
		RETURNING p.budget_id, p.each_value, p.period_start, t.amount, p.overshoot`,
		replicas, budgets, eaches, starts, amounts)
	if err != nil {
		return nil, err
	}
	spent := make(map[periodKey]spentLease)
	var k periodKey
	var start time.Time
	var l spentLease
	_, err = pgx.ForEachRow(rows, []any{&k.budget, &k.each, &start, &l.taken, &l.overshoot}, func() error {
		k.start = start.Unix()
		spent[k] = l
		return nil
	})
	return spent, err
}

func periodArrays(keys []periodKey) (budgets, eaches []string, starts []time.Time) {
	budgets, eaches, starts = make([]string, len(keys)), make([]string, len(keys)), make([]time.Time, len(keys))
	for i, k := range keys {
		budgets[i], eaches[i], starts[i] = k.budget, k.each, k.startTime()
	}
	return budgets, eaches, starts
}
