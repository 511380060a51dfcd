package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// planItem is a row of budget_plan_items.
type planItem struct {
	accounting.PlanItem
	beforeMode accounting.Mode // empty: there was no budget
}

func planSubject(id int64) string { return fmt.Sprintf("budget-plans/%d", id) }

func insertPlan(ctx context.Context, tx pgx.Tx, p *accounting.BudgetPlan, a *accounting.PlanApplication, before *accounting.AppliedPlan, now time.Time) (id int64, err error) {
	var replaces *int64
	if before != nil {
		replaces = &before.ID
	}
	err = tx.QueryRow(ctx, `-- name: budget_plans_insert
		INSERT INTO budget_plans (request_id, year, month, from_day, to_day, amount_eur, reserve_eur,
			high_roi_percent, standard_percent, testing_percent, step_percent, mode, automatic, actor, reason, created_at, moved_on, replaces)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) RETURNING id`,
		clean(a.ID), p.Month.Year, int(p.Month.Month), p.From.Start(), p.To.Start(), p.Amount, p.Reserve,
		p.Split.HighROI, p.Split.Standard, p.Split.Testing, p.StepPercent, string(a.Mode), a.Automatic, clean(a.Actor), clean(a.Reason),
		now, accounting.DayOf(now).Start(), replaces).Scan(&id)
	return id, err
}

func insertPlanItems(ctx context.Context, tx pgx.Tx, plan int64, items []planItem) error {
	columns := []string{"plan_id", "campaign_id", "class", "decision", "why", "model_class", "model", "budget_id",
		"before_eur", "before_mode", "target_eur", "limit_eur", "state"}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"budget_plan_items"}, columns, pgx.CopyFromSlice(len(items), func(i int) ([]any, error) {
		item := &items[i]
		return []any{plan, item.CampaignID, item.Class, item.Decision, item.Why, item.ModelClass, item.Model, item.BudgetID,
			decimalOf(item.Before), text(item.beforeMode), decimalOf(item.Target), decimalOf(item.Limit), string(item.State)}, nil
	}))
	return err
}

// decimalOf is what an amount is in PostgreSQL; nil: NULL.
func decimalOf(a *accounting.Amount) *decimal.Decimal {
	if a == nil {
		return nil
	}
	return &a.Decimal
}

// planInForce locks the plan that is in force; nil: there is none.
func planInForce(ctx context.Context, tx pgx.Tx) (*accounting.AppliedPlan, error) {
	var id int64
	err := tx.QueryRow(ctx, `-- name: budget_plans_in_force
		SELECT id FROM budget_plans WHERE ended_at IS NULL FOR UPDATE`).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find plan in force: %w", err)
	}
	p, err := findPlan(ctx, tx, id)
	return &p, err
}

// endPlan ends a plan as it was in force, and keeps which of its budgets people
// had taken from it: later they may be another's.
func endPlan(ctx context.Context, tx pgx.Tx, p *accounting.AppliedPlan, ending, actor string, now time.Time) error {
	stopped := []string{}
	for i := range p.Items {
		if p.Items[i].State == accounting.PlanStopped {
			stopped = append(stopped, p.Items[i].CampaignID)
		}
	}
	var batch pgx.Batch
	batch.Queue(`-- name: budget_plan_items_stopped
		UPDATE budget_plan_items SET state = 'stopped' WHERE plan_id = $1 AND campaign_id = ANY($2)`, p.ID, stopped)
	batch.Queue(`-- name: budget_plans_end
		UPDATE budget_plans SET ended_at = $2, ended_by = $3, ending = $4 WHERE id = $1`, p.ID, now, clean(actor), ending)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("end plan %d: %w", p.ID, err)
	}
	return nil
}

// tellOfPlan writes the entry of the audit log, and the alert of a plan that
// nobody has asked for.
func (s *Store) tellOfPlan(ctx context.Context, tx pgx.Tx, id int64, p *accounting.BudgetPlan, a *accounting.PlanApplication) error {
	limits := make(map[string]accounting.Amount, len(p.Rows))
	for i := range p.Rows {
		limits[p.Rows[i].CampaignID] = p.Rows[i].Limit
	}
	figures := map[string]any{
		"month": p.Month, "amount": p.Amount, "reserve": p.Reserve, "split": p.Split, "step_percent": p.StepPercent, "mode": a.Mode,
		"automatic": a.Automatic, "targets": limits,
	}
	if len(p.Again) > 0 {
		figures["again"] = p.Again
	}
	if err := audit(ctx, tx, auditEntry{actor: a.Actor, action: accounting.ActionPlanApply, subject: planSubject(id), reason: a.Reason, after: figures}); err != nil {
		return err
	}
	if !a.Automatic {
		return nil
	}
	alert := accounting.Alert{
		Key: "budget_plan/" + a.ID, Kind: "budget_plan", Severity: accounting.SeverityInfo, Subject: planSubject(id),
		Title: fmt.Sprintf("Budget plan of %s: %s EUR over %d campaigns", p.Month, shown(p.Allocated.Decimal), len(p.Rows)),
		Text: fmt.Sprintf("The AI budget of %s EUR was split anew over campaigns, from what they cost and brought from %s to %s; %s EUR stay in reserve. "+
			"Limits move by at most %s %% a day. GET /api/budget-plans shows each of them, POST /api/budget-plan/rollback puts the plan before back.",
			shown(p.Amount.Decimal), p.From, p.To, shown(p.Reserve.Decimal), p.StepPercent),
	}
	alert.Data, _ = json.Marshal(map[string]any{ // strings and amounts cannot fail
		"month": p.Month, "amount_eur": p.Amount, "allocated_eur": p.Allocated, "reserve_eur": p.Reserve, "campaigns": len(p.Rows),
	})
	return s.raise(ctx, tx, []accounting.Alert{alert})
}

// ListBudgetPlans returns one page of plans, the newest first. Of the one in
// force a campaign counts as stopped as soon as somebody has changed or deleted
// its budget; of one that has ended none is moving. Errors: [accounting.ErrBadCursor].
func (s *Store) ListBudgetPlans(ctx context.Context, limit int, cursor string) (accounting.PlanPage, error) {
	before, err := parseAuditCursor(cursor)
	if err == nil && (limit < 1 || limit > accounting.MaxUsageRows) {
		err = fmt.Errorf("limit %d: want 1 to %d", limit, accounting.MaxUsageRows)
	}
	var plans []accounting.AppliedPlan
	if err == nil { // one more than asked for tells whether there is a next page
		plans, err = queryPlans(ctx, s.pool, `($1::bigint IS NULL OR id < $1) ORDER BY id DESC LIMIT $2`, before, limit+1)
	}
	if err != nil {
		return accounting.PlanPage{}, fmt.Errorf("list budget plans: %w", err)
	}
	page := accounting.PlanPage{Plans: plans}
	if len(plans) > limit {
		page.Plans = plans[:limit]
		page.NextCursor = formatAuditCursor(page.Plans[limit-1].ID)
	}
	return page, nil
}

func findPlan(ctx context.Context, db querier, id int64) (accounting.AppliedPlan, error) {
	found, err := queryPlans(ctx, db, `id = $1`, id)
	if err == nil && len(found) == 0 {
		err = accounting.ErrNoBudgetPlan
	}
	if err != nil {
		return accounting.AppliedPlan{}, fmt.Errorf("find budget plan %d: %w", id, err)
	}
	return found[0], nil
}

// queryPlans reads plans and their items.
func queryPlans(ctx context.Context, db querier, where string, args ...any) ([]accounting.AppliedPlan, error) {
	rows, err := db.Query(ctx, `-- name: budget_plans_list
		SELECT id, request_id, year, month, from_day, to_day, amount_eur, reserve_eur, high_roi_percent, standard_percent, testing_percent,
			step_percent, mode, automatic, actor, reason, created_at, moved_on, replaces, ended_at, ended_by, ending
		FROM budget_plans WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	plans, err := pgx.CollectRows(rows, scanPlan)
	if err != nil || len(plans) == 0 {
		return plans, err
	}
	ids, index := make([]int64, len(plans)), make(map[int64]*accounting.AppliedPlan, len(plans))
	for i := range plans {
		ids[i], index[plans[i].ID] = plans[i].ID, &plans[i]
	}
	rows, err = db.Query(ctx, `-- name: budget_plan_items_list
		SELECT i.plan_id, i.campaign_id, i.class, i.decision, i.why, i.model_class, i.model, i.budget_id, i.before_eur, i.target_eur, i.limit_eur,
			CASE WHEN p.ending = 'replaced' AND i.state = 'moving' OR p.ending = 'rolled_back' AND i.state IN ('moving', 'reached', 'removed') THEN p.ending
				WHEN p.ended_at IS NULL AND i.state IN ('moving', 'reached') AND (b.edited_at IS NOT NULL OR b.deleted_at IS NOT NULL) THEN 'stopped'
				ELSE i.state END
		FROM budget_plan_items i JOIN budget_plans p ON p.id = i.plan_id LEFT JOIN budgets b ON b.id = i.budget_id
		WHERE i.plan_id = ANY($1) ORDER BY i.plan_id, i.target_eur DESC NULLS LAST, i.campaign_id`, ids)
	if err != nil {
		return nil, err
	}
	var plan int64
	var item accounting.PlanItem
	fields := []any{&plan, &item.CampaignID, &item.Class, &item.Decision, &item.Why, &item.ModelClass, &item.Model, &item.BudgetID,
		&item.Before, &item.Target, &item.Limit, &item.State}
	_, err = pgx.ForEachRow(rows, fields, func() error {
		index[plan].Items = append(index[plan].Items, item)
		return nil
	})
	return plans, err
}

func scanPlan(cr pgx.CollectableRow) (accounting.AppliedPlan, error) {
	p := accounting.AppliedPlan{Items: []accounting.PlanItem{}}
	var month int
	var from, to, moved time.Time
	var high, standard, testing decimal.Decimal
	err := cr.Scan(&p.ID, &p.RequestID, &p.Month.Year, &month, &from, &to, &p.Amount, &p.Reserve, &high, &standard, &testing,
		&p.StepPercent, &p.Mode, &p.Automatic, &p.Actor, &p.Reason, &p.CreatedAt, &moved, &p.Replaces, &p.EndedAt, &p.EndedBy, &p.Ending)
	p.Month.Month, p.From, p.To, p.MovedOn = time.Month(month), accounting.DayOf(from), accounting.DayOf(to), accounting.DayOf(moved)
	p.Split = accounting.PlanSplit{HighROI: high, Standard: standard, Testing: testing}
	p.CreatedAt, p.EndedAt = p.CreatedAt.UTC(), utc(p.EndedAt)
	return p, err
}
