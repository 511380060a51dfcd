package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// plannedMoves are what a plan does to budgets. They are collected first and
// written at once: while budgets are held alone, nothing is recorded that they
// count and no lease is granted, so it must be over in milliseconds.
type plannedMoves struct {
	book    *book // as budgets are before
	actor   string
	now     time.Time // of the plan
	present time.Time // from which budgets that are made or deleted are so

	made    []*booked
	moved   []*booked       // as they are after
	deleted []*booked       // as they were before
	ids     map[string]bool // of made
	entries []auditEntry
}

func (s *Store) newPlannedMoves(b *book, actor string, now time.Time) *plannedMoves {
	return &plannedMoves{book: b, actor: actor, ids: make(map[string]bool),
		now: now.UTC().Truncate(time.Microsecond), present: s.now().UTC().Truncate(time.Microsecond)} // as PostgreSQL keeps them
}

// plannedNonessential are the purposes that a planned budget protects nobody
// for, as those of the budget monthly-ai.
var plannedNonessential = []string{accounting.PurposeTesting, accounting.PurposeResearch}

// plannedThresholds are the percentages at which a planned budget alerts: its
// limit may move each day, which arms them again.
var plannedThresholds = []int{100}

// make adds the monthly budget of a campaign and returns its id.
func (m *plannedMoves) make(campaign string, limit accounting.Amount, mode accounting.Mode) (string, error) {
	b := accounting.NormalizeBudget(accounting.Budget{
		Name: accounting.PlanBudgetName(campaign), Scope: accounting.Scope{CampaignID: campaign}, Period: accounting.PeriodMonth,
		Limit: limit, Currency: accounting.EUR, Mode: mode, NonessentialPurposes: plannedNonessential, Thresholds: plannedThresholds,
		Origin: accounting.OriginPlan, Enabled: true,
	})
	slug := accounting.BudgetSlug(b.Name)
	b.ID = slug
	for n := 2; m.book.byID[b.ID] != nil || m.ids[b.ID]; n++ {
		b.ID = fmt.Sprintf("%s-%d", slug, n)
	}
	if err := b.Validate(nil); err != nil {
		return "", err
	}
	zone, err := accounting.LoadZone(b.Timezone)
	if err != nil {
		return "", err
	}
	b.CountsFrom, _ = b.Period.Window(m.present, zone)
	b.CreatedAt, b.UpdatedAt = m.present, m.present
	m.ids[b.ID] = true
	m.made = append(m.made, &booked{Budget: b, zone: zone})
	m.entries = append(m.entries, auditEntry{actor: m.actor, action: accounting.ActionBudgetCreate, subject: budgetSubject(b.ID), after: auditedBudget(&b)})
	return b.ID, nil
}

// move sets the limit of a budget, and its mode unless that is empty.
func (m *plannedMoves) move(id string, limit decimal.Decimal, mode accounting.Mode) error {
	before := m.book.byID[id]
	if before == nil || before.DeletedAt != nil {
		return accounting.ErrUnknownBudget
	}
	after := *before
	after.Limit = accounting.Amount{Decimal: limit}
	if mode != "" {
		after.Mode = mode
	}
	if err := after.Validate(nil); err != nil {
		return err
	}
	was, is := budgetDifferences(&before.Budget, &after.Budget)
	if len(is) == 0 {
		return nil
	}
	after.UpdatedAt = m.now
	m.moved = append(m.moved, &after)
	m.entries = append(m.entries, auditEntry{actor: m.actor, action: accounting.ActionBudgetChange, subject: budgetSubject(id), before: was, after: is})
	return nil
}

// remove deletes a budget.
func (m *plannedMoves) remove(id, reason string) error {
	before := m.book.byID[id]
	if before == nil || before.DeletedAt != nil {
		return accounting.ErrUnknownBudget
	}
	m.deleted = append(m.deleted, before)
	m.entries = append(m.entries, auditEntry{actor: m.actor, action: accounting.ActionBudgetDelete, subject: budgetSubject(id), reason: reason, before: auditedBudget(&before.Budget)})
	return nil
}

// writeMoves does what was collected, with its entries of the audit log.
func (s *Store) writeMoves(ctx context.Context, tx pgx.Tx, m *plannedMoves) error {
	if len(m.entries) == 0 {
		return nil
	}
	if err := s.writeDeleted(ctx, tx, m); err != nil {
		return fmt.Errorf("delete %d budgets: %w", len(m.deleted), err)
	}
	if err := s.writeMoved(ctx, tx, m); err != nil {
		return fmt.Errorf("move %d budgets: %w", len(m.moved), err)
	}
	if err := s.writeMade(ctx, tx, m); err != nil {
		return fmt.Errorf("make %d budgets: %w", len(m.made), err)
	}
	if err := bumpVersion(ctx, tx); err != nil {
		return err
	}
	return auditAll(ctx, tx, m.entries)
}

func (s *Store) writeDeleted(ctx context.Context, tx pgx.Tx, m *plannedMoves) error {
	if len(m.deleted) == 0 {
		return nil
	}
	ids, after := make([]string, len(m.deleted)), make([]*booked, len(m.deleted))
	for i, before := range m.deleted {
		gone := *before
		gone.DeletedAt = &m.present
		ids[i], after[i] = gone.ID, &gone
	}
	if _, err := tx.Exec(ctx, `-- name: budgets_delete_planned
		UPDATE budgets SET deleted_at = $2, updated_at = $2 WHERE id = ANY($1)`, ids, m.present); err != nil {
		return err
	}
	was, is := bookOf(m.deleted...), bookOf(after...)
	d := newDeltas(is)
	// Calls that start from now on: there are hardly any yet.
	if err := scanShares(ctx, tx, `-- name: usage_of_deleted
		SELECT `+shareColumns+` FROM openrouter_usage WHERE created_at >= $1`,
		func(r *row) { d.budgets.move(was.sharesOf(r, nil), is.sharesOf(r, nil)) }, m.present); err != nil {
		return err
	}
	if err := s.postBudgets(ctx, tx, d); err != nil {
		return err
	}
	return s.raise(ctx, tx, d.alerts)
}

func (s *Store) writeMoved(ctx context.Context, tx pgx.Tx, m *plannedMoves) error {
	if len(m.moved) == 0 {
		return nil
	}
	n := len(m.moved)
	ids, limits, modes := make([]string, n), make([]decimal.Decimal, n), make([]string, n)
	for i, b := range m.moved {
		ids[i], limits[i], modes[i] = b.ID, b.Limit.Decimal, string(b.Mode)
	}
	if _, err := tx.Exec(ctx, `-- name: budgets_move
		UPDATE budgets b SET limit_amount = m.max, mode = m.mode, updated_at = $4
		FROM unnest($1::text[], $2::numeric[], $3::text[]) AS m (id, max, mode)
		WHERE b.id = m.id`, ids, limits, modes, m.now); err != nil {
		return err
	}
	return s.moveCeilings(ctx, tx, m.moved, m.now)
}

// writeMade inserts budgets and adds to their periods what the calls of their
// campaigns have cost in the present month.
func (s *Store) writeMade(ctx context.Context, tx pgx.Tx, m *plannedMoves) error {
	if len(m.made) == 0 {
		return nil
	}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"budgets"}, budgetColumnNames(), pgx.CopyFromSlice(len(m.made), func(i int) ([]any, error) {
		return budgetValues(&m.made[i].Budget), nil
	})); err != nil {
		return err
	}
	d := newDeltas(bookOf(m.made...))
	rates, err := sumCampaigns(ctx, tx, d.budgets, m.made)
	if err == nil && !rates { // rows from before there were budgets
		if err = s.setRates(ctx, tx, m.made[0].CountsFrom); err == nil {
			clear(d.budgets.periods)
			_, err = sumCampaigns(ctx, tx, d.budgets, m.made)
		}
	}
	if err != nil {
		return err
	}
	if err := s.postBudgets(ctx, tx, d); err != nil {
		return err
	}
	return s.raise(ctx, tx, d.alerts)
}

// sumCampaigns adds what the calls of campaigns have cost in EUR since their
// budgets count, as sharesOf has it of single rows: no call was charged to
// budgets that are new. rates is false where calls have no rate yet.
func sumCampaigns(ctx context.Context, tx pgx.Tx, d *budgetDeltas, made []*booked) (rates bool, err error) {
	byCampaign, campaigns := make(map[string]*booked, len(made)), make([]string, len(made))
	for i, b := range made {
		byCampaign[b.Scope.CampaignID], campaigns[i] = b, b.Scope.CampaignID
	}
	start, end := made[0].window(made[0].CountsFrom)
	rows, err := tx.Query(ctx, `-- name: usage_of_campaigns
		SELECT campaign_id, coalesce(sum(cost_usd * usd_to_eur), 0),
			coalesce(sum(estimated_cost_usd * usd_to_eur) FILTER (WHERE cost_usd IS NULL AND status IN ('pending', 'awaiting_key', 'unresolved', 'interrupted')), 0),
			count(usd_to_eur) = count(*)
		FROM openrouter_usage
		WHERE created_at >= $1 AND created_at < $2 AND campaign_id = ANY($3) AND (cost_usd IS NOT NULL OR estimated_cost_usd IS NOT NULL)
		GROUP BY 1`, start, end, campaigns)
	if err != nil {
		return false, fmt.Errorf("sum calls of campaigns: %w", err)
	}
	rates = true
	var campaign string
	var p periodDelta
	var known bool
	if _, err = pgx.ForEachRow(rows, []any{&campaign, &p.settled, &p.estimated, &known}, func() error {
		rates = rates && known
		d.periods[periodKey{budget: byCampaign[campaign].ID, start: start.Unix()}] = p
		return nil
	}); err != nil {
		return false, fmt.Errorf("sum calls of campaigns: %w", err)
	}
	// Calls of a clock that is ahead are of a later month.
	err = scanShares(ctx, tx, `-- name: usage_ahead
		SELECT `+shareColumns+` FROM openrouter_usage WHERE created_at >= $1 AND campaign_id = ANY($2)`, func(r *row) {
		rates = rates && r.usdToEUR != nil
		d.move(nil, d.book.sharesOf(r, nil))
	}, end, campaigns)
	return rates, err
}
