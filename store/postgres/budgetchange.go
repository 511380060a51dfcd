package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// ChangeBudget changes a budget and returns it. The ceiling of its present
// periods follows the limit: where more is granted than a lowered limit admits,
// it stays at that and comes down as money comes back. Thresholds that the new
// limit has reached are alerted at once. It is audited.
//
// Errors: [accounting.ErrUnknownBudget], those of [accounting.Budget.Validate].
func (s *Store) ChangeBudget(ctx context.Context, id string, c accounting.BudgetChange, actor string, now time.Time) (accounting.Budget, error) {
	var changed accounting.Budget
	err := s.inTx(ctx, func(tx pgx.Tx) (err error) {
		changed, err = s.changeBudget(ctx, tx, id, c, actor, now, true)
		return err
	})
	if err != nil {
		return accounting.Budget{}, fmt.Errorf("change budget %s: %w", id, err)
	}
	return changed, nil
}

func (s *Store) changeBudget(ctx context.Context, tx pgx.Tx, id string, c accounting.BudgetChange, actor string, now time.Time, byHand bool) (accounting.Budget, error) {
	before, err := s.lockBudget(ctx, tx, id)
	if err != nil {
		return accounting.Budget{}, err
	}
	after := *before
	after.Budget = accounting.NormalizeBudget(c.Apply(before.Budget))
	if after.OnExceed != accounting.ExceedDowngrade && c.DowngradeTo == nil {
		after.DowngradeTo = "" // it went with what happens at the limit
	}
	if err := after.Validate(nil); err != nil {
		return accounting.Budget{}, err
	}
	was, is := budgetDifferences(&before.Budget, &after.Budget)
	if len(is) == 0 {
		return before.Budget, nil
	}
	after.UpdatedAt = now.UTC().Truncate(time.Microsecond)
	if err := updateBudget(ctx, tx, &after.Budget, byHand); err != nil {
		return accounting.Budget{}, fmt.Errorf("update budget: %w", err)
	}
	if !sameTime(before.EndsAt, after.EndsAt) {
		if err := s.recount(ctx, tx, before, &after, earlier(before.EndsAt, after.EndsAt)); err != nil {
			return accounting.Budget{}, err
		}
	}
	if err := s.moveCeilings(ctx, tx, []*booked{&after}, now); err != nil {
		return accounting.Budget{}, err
	}
	if err := bumpVersion(ctx, tx); err != nil {
		return accounting.Budget{}, err
	}
	return after.Budget, audit(ctx, tx, auditEntry{actor: actor, action: accounting.ActionBudgetChange, subject: budgetSubject(id), before: was, after: is})
}

// lockBudget keeps everybody else from what budgets count, and returns one that
// is not deleted.
func (s *Store) lockBudget(ctx context.Context, tx pgx.Tx, id string) (*booked, error) {
	all, err := s.readBookAlone(ctx, tx)
	if err != nil {
		return nil, err
	}
	b := all.byID[id]
	if b == nil || b.DeletedAt != nil {
		return nil, accounting.ErrUnknownBudget
	}
	return b, nil
}

func updateBudget(ctx context.Context, tx pgx.Tx, b *accounting.Budget, byHand bool) error {
	_, err := tx.Exec(ctx, `-- name: budgets_update
		UPDATE budgets SET name = $2, limit_amount = $3, mode = $4, thresholds = $5, on_exceed = $6, downgrade_to = $7,
			essential_purposes = $8, nonessential_purposes = $9, essential_share = $10, bound = $11, ends_at = $12, enabled = $13,
			updated_at = $14, edited_at = CASE WHEN $15 THEN $14 ELSE edited_at END
		WHERE id = $1`,
		b.ID, b.Name, b.Limit.Decimal, string(b.Mode), list(b.Thresholds), string(b.OnExceed), text(b.DowngradeTo),
		list(b.EssentialPurposes), list(b.NonessentialPurposes), b.EssentialShare.Decimal, string(b.Bound), b.EndsAt, b.Enabled,
		b.UpdatedAt, byHand)
	return err
}

// moveCeilings lets the present periods of budgets follow their limits, and
// raises alerts for the thresholds that are reached: those of before exist
// already, unless it is another limit or threshold.
func (s *Store) moveCeilings(ctx context.Context, tx pgx.Tx, budgets []*booked, now time.Time) error {
	byID := make(map[string]*booked, len(budgets))
	ids, starts, limits := make([]string, len(budgets)), make([]time.Time, len(budgets)), make([]decimal.Decimal, len(budgets))
	for i, b := range budgets {
		byID[b.ID], ids[i], limits[i] = b, b.ID, b.Limit.Decimal
		starts[i], _ = b.window(now)
	}
	rows, err := tx.Query(ctx, `-- name: budget_periods_limit
		UPDATE budget_periods p SET limit_amount = b.max,
			granted    = least(p.granted + p.overshoot, greatest(b.max, p.granted)),
			overshoot  = greatest(p.granted + p.overshoot - greatest(b.max, p.granted), 0),
			ceiling    = greatest(b.max, p.granted),
			updated_at = clock_timestamp()
		FROM unnest($1::text[], $2::timestamptz[], $3::numeric[]) AS b (id, start, max)
		WHERE p.budget_id = b.id AND p.period_start >= b.start
		RETURNING p.budget_id, p.each_value, p.period_start, p.limit_amount, p.settled, p.reserved, p.estimated, p.overshoot`, ids, starts, limits)
	if err != nil {
		return fmt.Errorf("move ceilings: %w", err)
	}
	var alerts []accounting.Alert
	var key periodKey
	var f periodFigures
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&key.budget, &key.each, &at, &f.limit, &f.settled, &f.reserved, &f.estimated, &f.overshoot}, func() error {
		key.start = at.Unix()
		alerts = append(alerts, thresholdAlerts(byID[key.budget], key, f, periodDelta{settled: f.settled, estimated: f.estimated})...)
		return nil
	})
	if err != nil {
		return fmt.Errorf("move ceilings: %w", err)
	}
	return s.raise(ctx, tx, alerts)
}

// DeleteBudget ends a budget: calls that start from now on do not count and are
// not charged, what is charged still settles. Its row stays, so that decisions
// can be explained. It is audited. Errors: [accounting.ErrUnknownBudget].
func (s *Store) DeleteBudget(ctx context.Context, id string, actor, reason string) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error { return s.deleteBudget(ctx, tx, id, actor, reason) })
	if err != nil {
		return fmt.Errorf("delete budget %s: %w", id, err)
	}
	return nil
}

func (s *Store) deleteBudget(ctx context.Context, tx pgx.Tx, id, actor, reason string) error {
	before, err := s.lockBudget(ctx, tx, id)
	if err != nil {
		return err
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	if _, err := tx.Exec(ctx, `-- name: budgets_delete
		UPDATE budgets SET deleted_at = $2, updated_at = $2, edited_at = $2 WHERE id = $1`, id, now); err != nil {
		return err
	}
	after := *before
	after.DeletedAt = &now
	if err := s.recount(ctx, tx, before, &after, now); err != nil {
		return err
	}
	if err := bumpVersion(ctx, tx); err != nil {
		return err
	}
	return audit(ctx, tx, auditEntry{actor: actor, action: accounting.ActionBudgetDelete, subject: budgetSubject(id), reason: reason, before: auditedBudget(&before.Budget)})
}

// auditedBudget is a budget as the API shows it.
func auditedBudget(b *accounting.Budget) map[string]any {
	var fields map[string]any
	document, err := json.Marshal(b)
	if err == nil {
		err = json.Unmarshal(document, &fields)
	}
	if err != nil {
		panic(err) // its fields are texts, times and amounts
	}
	for name, value := range map[string]decimal.Decimal{"limit": b.Limit.Decimal, "essential_share": b.EssentialShare.Decimal} {
		fields[name] = accounting.Amount{Decimal: value} // not the float that JSON makes of it
	}
	return fields
}

// budgetDifferences are the fields in which two states of a budget differ.
func budgetDifferences(before, after *accounting.Budget) (was, is map[string]any) {
	was, is = auditedBudget(before), auditedBudget(after)
	maps.DeleteFunc(was, func(name string, value any) bool { return sameField(value, is[name]) })
	maps.DeleteFunc(is, func(name string, _ any) bool { _, differs := was[name]; return !differs })
	return was, is
}

func sameField(a, b any) bool {
	if amount, ok := a.(accounting.Amount); ok {
		return amount.Equal(b.(accounting.Amount).Decimal)
	}
	return reflect.DeepEqual(a, b)
}

func sameTime(a, b *time.Time) bool { return a == b || a != nil && b != nil && a.Equal(*b) }

// earlier is the earlier of two times, of which nil is never.
func earlier(a, b *time.Time) time.Time {
	switch {
	case a == nil:
		return *b
	case b == nil || a.Before(*b):
		return *a
	}
	return *b
}
