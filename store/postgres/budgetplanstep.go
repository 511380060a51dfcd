package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// StepBudgetPlan moves the budgets of the plan in force by one step, unless
// somebody has done so on now's UTC day, or has applied or put back the plan on
// it; days that were missed are not made up for. A campaign whose budget a
// person has changed or deleted is left alone from then on. The steps are nil
// where there was nothing to do.
func (s *Store) StepBudgetPlan(ctx context.Context, now time.Time) (*accounting.PlanSteps, error) {
	var due bool
	today := accounting.DayOf(now).Start()
	err := s.pool.QueryRow(ctx, `-- name: budget_plans_due
		SELECT EXISTS (SELECT FROM budget_plans WHERE ended_at IS NULL AND moved_on < $1)`, today).Scan(&due)
	var steps *accounting.PlanSteps
	if err == nil && due {
		err = s.inTx(ctx, func(tx pgx.Tx) (err error) {
			steps, err = s.stepPlan(ctx, tx, now)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("move budgets of plan: %w", err)
	}
	return steps, nil
}

func (s *Store) stepPlan(ctx context.Context, tx pgx.Tx, now time.Time) (*accounting.PlanSteps, error) {
	book, err := s.readBookAlone(ctx, tx)
	if err != nil {
		return nil, err
	}
	plan, err := planInForce(ctx, tx)
	today := accounting.DayOf(now)
	if err != nil || plan == nil || !plan.MovedOn.Before(today) {
		return nil, err // another replica was quicker
	}
	budgets, err := planBudgets(ctx, tx, now)
	if err != nil {
		return nil, err
	}
	own, steps := planned(budgets), &accounting.PlanSteps{Plan: plan.ID}
	moves := s.newPlannedMoves(book, fmt.Sprintf("budget plan %d", plan.ID), now)
	var campaigns, states []string
	var limits []*decimal.Decimal
	for i := range plan.Items {
		item := &plan.Items[i]
		if item.State != accounting.PlanMoving && item.State != accounting.PlanReached && item.State != accounting.PlanStopped {
			continue
		}
		if err := moves.step(plan, item, own[item.CampaignID], steps); err != nil {
			return nil, fmt.Errorf("campaign %s: %w", item.CampaignID, err)
		}
		campaigns, limits, states = append(campaigns, item.CampaignID), append(limits, decimalOf(item.Limit)), append(states, string(item.State))
	}
	if err := s.writeMoves(ctx, tx, moves); err != nil {
		return nil, err
	}
	if _, err = tx.Exec(ctx, `-- name: budget_plan_items_step
		UPDATE budget_plan_items i SET limit_eur = d.max, state = d.state
		FROM unnest($2::text[], $3::numeric[], $4::text[]) AS d (campaign_id, max, state)
		WHERE i.plan_id = $1 AND i.campaign_id = d.campaign_id`, plan.ID, campaigns, limits, states); err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, `-- name: budget_plans_moved
		UPDATE budget_plans SET moved_on = $2 WHERE id = $1`, plan.ID, today.Start())
	return steps, err
}

// step moves the budget of one item, and the item with it; b is nil where a
// person has changed or deleted it.
func (m *plannedMoves) step(plan *accounting.AppliedPlan, item *accounting.PlanItem, b *accounting.PlanBudget, steps *accounting.PlanSteps) error {
	if b == nil {
		item.State = accounting.PlanStopped
		steps.Stopped++
		return nil
	}
	next, was := accounting.StepLimit(b.Limit.Decimal, item.Target.Decimal, plan.StepPercent.Decimal), item.State
	item.Limit, item.State = &accounting.Amount{Decimal: next}, accounting.PlanMoving
	if !next.Equal(b.Limit.Decimal) {
		if err := m.move(b.ID, next, ""); err != nil {
			return err
		}
		steps.Moved++
	}
	if next.Equal(item.Target.Decimal) {
		item.State = accounting.PlanReached
		if was == accounting.PlanMoving {
			steps.Arrived++
		}
	}
	return nil
}
