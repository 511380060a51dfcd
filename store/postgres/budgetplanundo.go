package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// RollBackBudgetPlan takes the plan in force back: at once every budget that is
// still the plan's has the limit and the mode of before, those that it made are
// deleted, those that it deleted are made again. The plan before it is in force
// again, and goes on from the next day. id names the plan that is meant; 0: the
// one in force. One that was rolled back before is returned as it is. It is
// audited, and so is each budget.
//
// Errors: [accounting.ErrNoBudgetPlan], [accounting.ErrPlanNotInForce].
func (s *Store) RollBackBudgetPlan(ctx context.Context, id int64, actor, reason string, now time.Time) (accounting.PlanUndo, error) {
	var undo accounting.PlanUndo
	err := s.inTx(ctx, func(tx pgx.Tx) (err error) {
		undo, err = s.rollBackPlan(ctx, tx, id, actor, reason, now)
		return err
	})
	if err != nil {
		return accounting.PlanUndo{}, fmt.Errorf("roll back budget plan: %w", err)
	}
	return undo, nil
}

func (s *Store) rollBackPlan(ctx context.Context, tx pgx.Tx, id int64, actor, reason string, now time.Time) (accounting.PlanUndo, error) {
	undo := accounting.PlanUndo{Restored: []accounting.PlanRestored{}}
	book, err := s.readBookAlone(ctx, tx)
	if err != nil {
		return undo, err
	}
	plan, err := planInForce(ctx, tx)
	if err != nil {
		return undo, err
	}
	if id != 0 && (plan == nil || plan.ID != id) {
		return rolledBackBefore(ctx, tx, id, plan)
	}
	if plan == nil {
		return undo, accounting.ErrNoBudgetPlan
	}
	if undo.Restored, err = s.restorePlan(ctx, tx, plan, s.newPlannedMoves(book, actor, now)); err != nil {
		return undo, err
	}
	if err := endPlan(ctx, tx, plan, accounting.PlanRolledBack, actor, now); err != nil {
		return undo, err
	}
	if undo.InForce = plan.Replaces; plan.Replaces != nil {
		if _, err := tx.Exec(ctx, `-- name: budget_plans_again
			UPDATE budget_plans SET ended_at = NULL, ended_by = NULL, ending = NULL, moved_on = $2 WHERE id = $1`, *plan.Replaces, accounting.DayOf(now).Start()); err != nil {
			return undo, fmt.Errorf("put plan %d back: %w", *plan.Replaces, err)
		}
	}
	if undo.Plan, err = findPlan(ctx, tx, plan.ID); err != nil {
		return undo, err
	}
	return undo, audit(ctx, tx, auditEntry{actor: actor, action: accounting.ActionPlanRollback, subject: planSubject(plan.ID), reason: reason,
		before: map[string]any{"plan": plan.ID}, after: map[string]any{"plan": plan.Replaces, "budgets": undo.Restored}})
}

// rolledBackBefore is the answer about a plan that is not in force.
func rolledBackBefore(ctx context.Context, tx pgx.Tx, id int64, inForce *accounting.AppliedPlan) (accounting.PlanUndo, error) {
	undo := accounting.PlanUndo{Restored: []accounting.PlanRestored{}}
	if inForce != nil {
		undo.InForce = &inForce.ID
	}
	var err error
	if undo.Plan, err = findPlan(ctx, tx, id); err != nil {
		return undo, err
	}
	if *undo.Plan.Ending != accounting.PlanRolledBack {
		return undo, accounting.ErrPlanNotInForce
	}
	return undo, nil
}

// restorePlan puts the budgets back as they were before the plan.
func (s *Store) restorePlan(ctx context.Context, tx pgx.Tx, plan *accounting.AppliedPlan, moves *plannedMoves) ([]accounting.PlanRestored, error) {
	budgets, err := planBudgets(ctx, tx, moves.now)
	if err != nil {
		return nil, err
	}
	modes, err := modesBefore(ctx, tx, plan.ID)
	if err != nil {
		return nil, err
	}
	own, list := planned(budgets), []accounting.PlanRestored{}
	var campaigns, ids []string // of budgets that are made again
	for i := range plan.Items {
		item := &plan.Items[i]
		done, again, err := moves.restore(plan, item, own[item.CampaignID], modes[item.CampaignID])
		if err != nil {
			return nil, fmt.Errorf("restore budget of campaign %s: %w", item.CampaignID, err)
		}
		if done != nil {
			list = append(list, *done)
		}
		if again {
			campaigns, ids = append(campaigns, item.CampaignID), append(ids, *done.BudgetID)
		}
	}
	if err := s.writeMoves(ctx, tx, moves); err != nil {
		return nil, err
	}
	if plan.Replaces != nil && len(ids) > 0 {
		if _, err := tx.Exec(ctx, `-- name: budget_plan_items_again
			UPDATE budget_plan_items i SET budget_id = d.id
			FROM unnest($2::text[], $3::text[]) AS d (campaign_id, id)
			WHERE i.plan_id = $1 AND i.campaign_id = d.campaign_id`, *plan.Replaces, campaigns, ids); err != nil {
			return nil, fmt.Errorf("give plan %d its budgets again: %w", *plan.Replaces, err)
		}
	}
	return list, nil
}

func modesBefore(ctx context.Context, tx pgx.Tx, plan int64) (map[string]accounting.Mode, error) {
	rows, err := tx.Query(ctx, `-- name: budget_plan_items_modes
		SELECT campaign_id, before_mode FROM budget_plan_items WHERE plan_id = $1 AND before_mode IS NOT NULL`, plan)
	if err != nil {
		return nil, fmt.Errorf("read modes of before: %w", err)
	}
	modes := make(map[string]accounting.Mode)
	var campaign string
	var mode accounting.Mode
	_, err = pgx.ForEachRow(rows, []any{&campaign, &mode}, func() error { modes[campaign] = mode; return nil })
	return modes, err
}

// restore puts the budget of one item back. b is the planned one as it is now;
// nil: there is none, or a person has changed it. done is nil where there was
// none before, and none since; again: it is made again.
func (m *plannedMoves) restore(plan *accounting.AppliedPlan, item *accounting.PlanItem, b *accounting.PlanBudget, mode accounting.Mode) (done *accounting.PlanRestored, again bool, err error) {
	done = &accounting.PlanRestored{CampaignID: item.CampaignID, BudgetID: item.BudgetID, Limit: item.Before, Action: accounting.UndoRestored}
	deleted := item.State == accounting.PlanRemoved || item.State == accounting.PlanConflicted
	switch {
	case b != nil && item.Before != nil:
		done.BudgetID = &b.ID
		return done, false, m.move(b.ID, item.Before.Decimal, mode)
	case b != nil && !deleted:
		done.BudgetID, done.Action = nil, accounting.UndoRemoved
		return done, false, m.remove(b.ID, fmt.Sprintf("budget plan %d was rolled back", plan.ID))
	case item.Before != nil && deleted:
		id, err := m.make(item.CampaignID, *item.Before, mode)
		done.BudgetID = &id
		return done, true, err
	case deleted || item.BudgetID == nil:
		return nil, false, nil
	}
	done.Limit, done.Action = nil, accounting.UndoLeft
	return done, false, nil
}
