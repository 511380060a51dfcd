package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// PlanBudgets are the budgets of one campaign alone, by campaign: those that
// plans have made, and those of people that are in force at now. One that a
// person has changed is theirs, even if it is disabled: they did not want it.
// Where they have deleted the latest one of the plans, that is among them.
func (s *Store) PlanBudgets(ctx context.Context, now time.Time) ([]accounting.PlanBudget, error) {
	return planBudgets(ctx, s.pool, now)
}

func planBudgets(ctx context.Context, db querier, now time.Time) ([]accounting.PlanBudget, error) {
	rows, err := db.Query(ctx, `-- name: plan_budgets
		WITH alone AS (
			SELECT *, row_number() OVER (PARTITION BY campaign_id, origin ORDER BY created_at DESC, id DESC) AS nth
			FROM budgets
			WHERE campaign_id IS NOT NULL AND each IS NULL AND purpose IS NULL AND platform IS NULL AND model IS NULL AND key_fingerprint IS NULL
		)
		SELECT id, campaign_id, limit_amount, currency, period, mode, origin = $2 AND edited_at IS NULL,
			origin = $2 AND edited_at IS NULL AND updated_at >= date_trunc('day', $1::timestamptz AT TIME ZONE 'UTC') AT TIME ZONE 'UTC',
			deleted_at IS NOT NULL
		FROM alone
		WHERE deleted_at IS NULL AND (origin = $2 OR enabled AND (ends_at IS NULL OR ends_at > $1))
		   OR deleted_at = edited_at AND origin = $2 AND nth = 1
		ORDER BY campaign_id, id`, now, accounting.OriginPlan)
	if err == nil {
		var budgets []accounting.PlanBudget
		budgets, err = pgx.CollectRows(rows, func(cr pgx.CollectableRow) (b accounting.PlanBudget, err error) {
			return b, cr.Scan(&b.ID, &b.CampaignID, &b.Limit, &b.Currency, &b.Period, &b.Mode, &b.Planned, &b.MovedToday, &b.Deleted)
		})
		if err == nil {
			return budgets, nil
		}
	}
	return nil, fmt.Errorf("read budgets of campaigns: %w", err)
}

// planned are the budgets that plans have made and nobody has changed, by
// campaign.
func planned(budgets []accounting.PlanBudget) map[string]*accounting.PlanBudget {
	byCampaign := make(map[string]*accounting.PlanBudget)
	for i := range budgets {
		if budgets[i].Planned {
			byCampaign[budgets[i].CampaignID] = &budgets[i]
		}
	}
	return byCampaign
}

// ApplyBudgetPlan turns a plan into budgets, as the budgets are now, and puts it
// in force in place of the one before: each limit takes its first step at now,
// the others follow with [Store.StepBudgetPlan]. made is false where there was
// nothing to do: a plan with the same id was applied before, or the one in force
// says the same. It is audited, and so is each budget. An automatic plan raises
// an alert.
//
// Errors: [accounting.ErrNothingToPlan].
func (s *Store) ApplyBudgetPlan(ctx context.Context, plan accounting.BudgetPlan, a accounting.PlanApplication, now time.Time) (applied accounting.AppliedPlan, made bool, err error) {
	if len(plan.Rows) == 0 {
		return accounting.AppliedPlan{}, false, fmt.Errorf("apply budget plan: %w", accounting.ErrNothingToPlan)
	}
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		id, known, err := s.applyPlan(ctx, tx, &plan, &a, now)
		if err != nil {
			return err
		}
		made = !known
		applied, err = findPlan(ctx, tx, id)
		return err
	})
	if err != nil {
		return accounting.AppliedPlan{}, false, fmt.Errorf("apply budget plan of %s: %w", plan.Month, err)
	}
	return applied, made, nil
}

// applyPlan returns the plan's id; known: it was applied before.
func (s *Store) applyPlan(ctx context.Context, tx pgx.Tx, plan *accounting.BudgetPlan, a *accounting.PlanApplication, now time.Time) (id int64, known bool, err error) {
	book, err := s.readBookAlone(ctx, tx)
	if err != nil {
		return 0, false, err
	}
	if a.ID != "" {
		err = tx.QueryRow(ctx, `-- name: budget_plans_by_request
			SELECT id FROM budget_plans WHERE request_id = $1`, clean(a.ID)).Scan(&id)
		if !errors.Is(err, pgx.ErrNoRows) {
			return id, true, err
		}
	}
	budgets, err := planBudgets(ctx, tx, now)
	if err != nil {
		return 0, false, err
	}
	plan.Meet(budgets)
	before, err := planInForce(ctx, tx)
	if err != nil {
		return 0, false, err
	}
	if before != nil && samePlan(before, plan, a.Mode) {
		return before.ID, true, nil
	}
	if before != nil {
		if err := endPlan(ctx, tx, before, accounting.PlanReplaced, a.Actor, now); err != nil {
			return 0, false, err
		}
	}
	if id, err = insertPlan(ctx, tx, plan, a, before, now); err != nil {
		return 0, false, fmt.Errorf("insert plan: %w", err)
	}
	if err := s.movePlan(ctx, tx, id, plan, a.Mode, planned(budgets), s.newPlannedMoves(book, a.Actor, now)); err != nil {
		return 0, false, err
	}
	return id, false, s.tellOfPlan(ctx, tx, id, plan, a)
}

// samePlan reports whether the plan in force says the same of the same budgets.
func samePlan(before *accounting.AppliedPlan, plan *accounting.BudgetPlan, mode accounting.Mode) bool {
	if before.Month != plan.Month || !before.Amount.Equal(plan.Amount.Decimal) || before.Split.String() != plan.Split.String() ||
		!before.StepPercent.Equal(plan.StepPercent.Decimal) || before.Mode != mode || len(plan.Removed) > 0 {
		return false
	}
	items := make(map[string]*accounting.PlanItem, len(before.Items))
	for i := range before.Items {
		if item := &before.Items[i]; item.Target != nil {
			items[item.CampaignID] = item
		}
	}
	for i := range plan.Rows {
		row := &plan.Rows[i]
		item := items[row.CampaignID]
		if item == nil || !item.Target.Equal(row.Limit.Decimal) || row.Action == accounting.PlanMakes ||
			(row.Action == accounting.PlanConflict) != (item.State == accounting.PlanConflicted) ||
			row.Action == accounting.PlanDeclined && item.State != accounting.PlanStopped {
			return false
		}
	}
	return len(items) == len(plan.Rows)
}

// movePlan takes every budget's first step and writes down what became of it.
func (s *Store) movePlan(ctx context.Context, tx pgx.Tx, id int64, plan *accounting.BudgetPlan, mode accounting.Mode, before map[string]*accounting.PlanBudget, moves *plannedMoves) error {
	items := make([]planItem, 0, len(plan.Rows)+len(plan.Removed))
	removed := map[string]bool{}
	for i := range plan.Removed {
		b := &plan.Removed[i]
		if err := moves.remove(b.ID, fmt.Sprintf("budget plan %d has none for the campaign", id)); err != nil {
			return fmt.Errorf("delete budget %s: %w", b.ID, err)
		}
		removed[b.CampaignID] = true
	}
	for i := range plan.Rows {
		row := &plan.Rows[i]
		item := itemOf(row)
		if b := before[row.CampaignID]; b != nil {
			item.Before, item.beforeMode = &b.Limit, b.Mode
		}
		if row.FirstStep != nil {
			budget, err := moves.toFirstStep(before[row.CampaignID], row, mode)
			if err != nil {
				return fmt.Errorf("set budget of campaign %s: %w", row.CampaignID, err)
			}
			item.BudgetID = &budget
		}
		delete(removed, row.CampaignID)
		items = append(items, item)
	}
	for i := range plan.Removed {
		if b := &plan.Removed[i]; removed[b.CampaignID] {
			items = append(items, planItem{beforeMode: b.Mode, PlanItem: accounting.PlanItem{
				CampaignID: b.CampaignID, BudgetID: &b.ID, Before: &b.Limit, State: accounting.PlanRemoved}})
		}
	}
	if err := s.writeMoves(ctx, tx, moves); err != nil {
		return err
	}
	if err := insertPlanItems(ctx, tx, id, items); err != nil {
		return fmt.Errorf("insert items of plan: %w", err)
	}
	return nil
}

// itemOf is a row of a plan as it is when the plan has just been applied.
func itemOf(row *accounting.PlanRow) planItem {
	item := planItem{PlanItem: accounting.PlanItem{
		CampaignID: row.CampaignID, Class: &row.Class, Decision: &row.Decision, Why: &row.Why,
		ModelClass: &row.ModelClass, Model: row.Model, Target: &row.Limit, Limit: row.FirstStep, State: accounting.PlanMoving,
	}}
	switch {
	case row.Action == accounting.PlanConflict:
		item.State, item.BudgetID = accounting.PlanConflicted, &row.Budget.ID
	case row.Action == accounting.PlanDeclined:
		item.State = accounting.PlanStopped
	case row.FirstStep.Equal(row.Limit.Decimal):
		item.State = accounting.PlanReached
	}
	return item
}

// toFirstStep sets the first step of a campaign's planned budget, or makes one.
func (m *plannedMoves) toFirstStep(before *accounting.PlanBudget, row *accounting.PlanRow, mode accounting.Mode) (id string, err error) {
	if before == nil {
		return m.make(row.CampaignID, *row.FirstStep, mode)
	}
	return before.ID, m.move(before.ID, row.FirstStep.Decimal, mode)
}
