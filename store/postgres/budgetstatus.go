package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// BudgetStatuses tells how the budget with an id stands at now, or, if it is
// empty, how all do, by id. Of a budget that is divided these are the values
// that have used the most, at most limit of them.
//
// The burn rate is what the calls of the last 24 hours have cost, from the
// period's start at the earliest, by the hour. It is read from usage_hourly (so
// from the full hour on) where that has the budget's scope, else from the rows;
// euros are made of it at the present rate.
//
// Errors: [accounting.ErrUnknownBudget].
func (s *Store) BudgetStatuses(ctx context.Context, id string, now time.Time, limit int) ([]accounting.BudgetStatus, error) {
	var budgets []accounting.Budget
	var err error
	if id == "" {
		budgets, err = s.ListBudgets(ctx)
	} else {
		budgets = make([]accounting.Budget, 1)
		budgets[0], err = s.FindBudget(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	if limit < 1 {
		return nil, fmt.Errorf("read status of budgets: limit %d: want 1 or more", limit)
	}
	all, err := newBook(0, budgets)
	if err == nil {
		var statuses []accounting.BudgetStatus
		if statuses, err = s.statuses(ctx, all, budgets, now, limit); err == nil {
			return statuses, nil
		}
	}
	return nil, fmt.Errorf("read status of budgets: %w", err)
}

func (s *Store) statuses(ctx context.Context, all *book, budgets []accounting.Budget, now time.Time, limit int) ([]accounting.BudgetStatus, error) {
	standings, err := s.standings(ctx, all, budgets, now, limit)
	if err != nil {
		return nil, err
	}
	statuses := []accounting.BudgetStatus{}
	for i := range budgets {
		b := all.byID[budgets[i].ID]
		for _, st := range standings[b.ID] {
			status := b.status(&st, now)
			if err := s.burn(ctx, b, &status, now); err != nil {
				return nil, err
			}
			statuses = append(statuses, status)
		}
	}
	return statuses, nil
}

// standing is what a present period has, and what of it replicas hold.
type standing struct {
	each                                            string
	settled, reserved, estimated, overshoot, leased decimal.Decimal
}

func (s *Store) standings(ctx context.Context, all *book, budgets []accounting.Budget, now time.Time, limit int) (map[string][]standing, error) {
	ids, starts := make([]string, len(budgets)), make([]time.Time, len(budgets))
	for i := range budgets {
		ids[i] = budgets[i].ID
		starts[i], _ = all.byID[ids[i]].window(now)
	}
	rows, err := s.pool.Query(ctx, `-- name: budgets_status
		SELECT p.budget_id, p.each_value, p.settled, p.reserved, p.estimated, p.overshoot, (
			SELECT coalesce(sum(l.held), 0) FROM budget_leases l
			WHERE l.budget_id = p.budget_id AND l.each_value = p.each_value AND l.period_start = p.period_start)
		FROM unnest($1::text[], $2::timestamptz[]) AS b (id, start)
		CROSS JOIN LATERAL (
			SELECT * FROM budget_periods p WHERE p.budget_id = b.id AND p.period_start = b.start
			ORDER BY settled + estimated DESC, reserved DESC, each_value LIMIT $3
		) AS p
		ORDER BY p.budget_id, p.settled + p.estimated DESC, p.reserved DESC, p.each_value`, ids, starts, limit)
	if err != nil {
		return nil, err
	}
	found := make(map[string][]standing, len(budgets))
	var id string
	var st standing
	if _, err := pgx.ForEachRow(rows, []any{&id, &st.each, &st.settled, &st.reserved, &st.estimated, &st.overshoot, &st.leased}, func() error {
		found[id] = append(found[id], st)
		return nil
	}); err != nil {
		return nil, err
	}
	for _, b := range budgets {
		if b.Each == accounting.EachNone && found[b.ID] == nil {
			found[b.ID] = []standing{{}} // nothing has been spent
		}
	}
	return found, nil
}

func (b *booked) status(st *standing, now time.Time) accounting.BudgetStatus {
	start, end := b.window(now)
	limit, used := b.Limit.Decimal, st.settled.Add(st.estimated)
	status := accounting.BudgetStatus{
		Budget: b.Budget, EachValue: st.each, PeriodStart: start, Limit: b.Limit,
		Settled: accounting.Amount{Decimal: st.settled}, Reserved: accounting.Amount{Decimal: st.reserved},
		Estimated: accounting.Amount{Decimal: st.estimated}, Leased: accounting.Amount{Decimal: st.leased},
		Overshoot: accounting.Amount{Decimal: st.overshoot},
		Remaining: accounting.Amount{Decimal: decimal.Max(limit.Sub(st.settled).Sub(st.reserved), decimal.Decimal{})},
		State:     b.state(used, now),
	}
	if !end.IsZero() {
		status.ResetsAt = &end
	}
	if limit.IsPositive() {
		status.Percent = &accounting.Amount{Decimal: used.Mul(hundred).DivRound(limit, 10)}
	}
	return status
}

func (b *booked) state(used decimal.Decimal, now time.Time) string {
	switch {
	case !b.Enabled:
		return "disabled"
	case b.EndsAt != nil && !now.Before(*b.EndsAt):
		return "ended"
	case used.GreaterThanOrEqual(b.Limit.Decimal):
		return "exceeded"
	}
	for _, t := range b.Thresholds {
		if reached(used, b.Limit.Decimal, t) {
			return "warning"
		}
	}
	return "ok"
}

const (
	burnWindow   = 24 * time.Hour
	minBurn      = time.Hour                  // less says nothing about the next hours
	maxRest      = 100 * 365 * 24 * time.Hour // beyond it nobody plans
	burnDecimals = 10
)

// burn sets the burn rate, and when the limit is reached at that.
func (s *Store) burn(ctx context.Context, b *booked, status *accounting.BudgetStatus, now time.Time) error {
	from := now.Add(-burnWindow).UTC().Truncate(time.Hour)
	if status.PeriodStart.After(from) {
		from = status.PeriodStart
	}
	if b.StartsAt != nil && b.StartsAt.After(from) {
		from = *b.StartsAt
	}
	if now.Sub(from) < minBurn {
		return nil
	}
	spent, err := s.spentSince(ctx, b, status.EachValue, from)
	if err != nil {
		return fmt.Errorf("burn rate of budget %s: %w", b.ID, err)
	}
	if b.Currency == accounting.EUR {
		spent = spent.Mul(s.budgetRate())
	}
	elapsed := decimal.NewFromInt(int64(now.Sub(from)))
	status.BurnRate = &accounting.Amount{Decimal: spent.Mul(decimal.NewFromInt(int64(time.Hour))).DivRound(elapsed, burnDecimals)}
	left := b.Limit.Sub(status.Settled.Decimal)
	if !spent.IsPositive() || !left.IsPositive() {
		return nil
	}
	rest := left.Mul(elapsed).DivRound(spent, 0)
	if rest.GreaterThan(decimal.NewFromInt(int64(maxRest))) {
		return nil
	}
	out := now.Add(time.Duration(rest.IntPart())).UTC().Truncate(time.Second)
	if status.ResetsAt == nil || out.Before(*status.ResetsAt) {
		status.RunsOutAt = &out
	}
	return nil
}

// spentSince is what the calls of a budget, or of one value of its tag, have
// cost since from, in USD.
func (s *Store) spentSince(ctx context.Context, b *booked, each string, from time.Time) (spent decimal.Decimal, err error) {
	scope, lead, email := b.Scope, "", ""
	switch b.Each {
	case accounting.EachCampaign:
		scope.CampaignID = each
	case accounting.EachLead:
		lead = each
	case accounting.EachEmail:
		email = each
	}
	if scope.Key == "" && lead == "" && email == "" {
		err = s.pool.QueryRow(ctx, `-- name: budget_burn
			SELECT coalesce(sum(cost_usd), 0) FROM usage_hourly
			WHERE hour >= $1 AND ($2::text IS NULL OR campaign_id = $2) AND ($3::text IS NULL OR purpose = $3)
			  AND ($4::text IS NULL OR platform = $4) AND ($5::text IS NULL OR model = $5)`,
			from, text(scope.CampaignID), text(scope.Purpose), text(scope.Platform), text(scope.Model)).Scan(&spent)
		return spent, err
	}
	err = s.pool.QueryRow(ctx, `-- name: budget_burn_rows
		SELECT coalesce(sum(cost_usd), 0) FROM openrouter_usage
		WHERE created_at >= $1 AND ($2::text IS NULL OR campaign_id = $2) AND ($3::text IS NULL OR purpose = $3)
		  AND ($4::text IS NULL OR platform = $4) AND ($5::text IS NULL OR model = $5 OR requested_model = $5)
		  AND ($6::text IS NULL OR key_fingerprint = $6) AND ($7::text IS NULL OR lead_id = $7) AND ($8::text IS NULL OR email_id = $8)`,
		from, text(scope.CampaignID), text(scope.Purpose), text(scope.Platform), text(scope.Model), text(scope.Key), text(lead), text(email)).Scan(&spent)
	return spent, err
}
