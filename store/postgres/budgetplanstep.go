package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

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
	if _, err := s.readBookAlone(ctx, tx); err != nil {
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
	for i := range plan.Items {
		item := &plan.Items[i]
		if item.State != accounting.PlanMoving && item.State != accounting.PlanReached && item.State != accounting.PlanStopped {
			continue
		}
		if err := s.stepItem(ctx, tx, plan, item, own[item.CampaignID], steps, now); err != nil {
			return nil, fmt.Errorf("campaign %s: %w", item.CampaignID, err)
		}
	}
	_, err = tx.Exec(ctx, `-- name: budget_plans_moved
		UPDATE budget_plans SET moved_on = $2 WHERE id = $1`, plan.ID, today.Start())
	return steps, err
}

// stepItem moves one budget; nil: a person has changed or deleted it.
func (s *Store) stepItem(ctx context.Context, tx pgx.Tx, plan *accounting.AppliedPlan, item *accounting.PlanItem, b *accounting.PlanBudget, steps *accounting.PlanSteps, now time.Time) error {
	limit, state := item.Limit, accounting.PlanStopped
	if b == nil {
		steps.Stopped++
	} else {
		next := accounting.StepLimit(b.Limit.Decimal, item.Target.Decimal, plan.StepPercent.Decimal)
		limit, state = &accounting.Amount{Decimal: next}, accounting.PlanMoving
		if !next.Equal(b.Limit.Decimal) {
			if _, err := s.changeBudget(ctx, tx, b.ID, accounting.BudgetChange{Limit: &next}, fmt.Sprintf("budget plan %d", plan.ID), now, false); err != nil {
				return err
			}
			steps.Moved++
		}
		if next.Equal(item.Target.Decimal) {
			state = accounting.PlanReached
			if item.State == accounting.PlanMoving {
				steps.Arrived++
			}
		}
	}
	_, err := tx.Exec(ctx, `-- name: budget_plan_items_step
		UPDATE budget_plan_items SET limit_eur = $3, state = $4 WHERE plan_id = $1 AND campaign_id = $2`, plan.ID, item.CampaignID, limit, string(state))
	return err
}
