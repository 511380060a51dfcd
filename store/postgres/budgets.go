package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// EnsureBudget makes a budget of the configuration, if there was never one with
// its id: one that was deleted stays deleted. The limit of one that exists
// follows the configuration, unless somebody has changed it by hand.
func (s *Store) EnsureBudget(ctx context.Context, b accounting.Budget) error {
	b.Origin = "config"
	b = accounting.NormalizeBudget(b)
	const actor = "configuration"
	var present decimal.Decimal
	var edited, deleted *time.Time
	err := s.pool.QueryRow(ctx, `-- name: budgets_ensure
		SELECT limit_amount, edited_at, deleted_at FROM budgets WHERE id = $1`, b.ID).Scan(&present, &edited, &deleted)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		if _, err = s.CreateBudget(ctx, b, actor); errors.Is(err, accounting.ErrBudgetExists) {
			return nil // another replica was quicker
		}
	case err == nil && edited == nil && deleted == nil && !present.Equal(b.Limit.Decimal):
		err = s.inTx(ctx, func(tx pgx.Tx) error {
			_, err := s.changeBudget(ctx, tx, b.ID, accounting.BudgetChange{Limit: &b.Limit.Decimal}, actor, s.now(), false)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("ensure budget %s: %w", b.ID, err)
	}
	return nil
}

// CreateBudget makes a budget and returns it. Without an id it gets one from
// its name, with -2, -3 and so on if that is taken. What the calls of its
// present window have cost is counted in the same transaction, during which
// nothing else is written that budgets count; so its time grows with the rows of
// the window that may be in its scope. It is audited.
//
// Errors: those of [accounting.Budget.Validate], [accounting.ErrBudgetExists].
func (s *Store) CreateBudget(ctx context.Context, b accounting.Budget, actor string) (accounting.Budget, error) {
	named := b.ID != ""
	if !named {
		b.ID = accounting.BudgetSlug(b.Name)
	}
	b = accounting.NormalizeBudget(b)
	if err := b.Validate(nil); err != nil {
		return accounting.Budget{}, fmt.Errorf("create budget %s: %w", b.ID, err)
	}
	var made accounting.Budget
	err := s.inTx(ctx, func(tx pgx.Tx) (err error) {
		made, err = s.createBudget(ctx, tx, b, named, actor)
		return err
	})
	if err != nil {
		return accounting.Budget{}, fmt.Errorf("create budget %s: %w", b.ID, err)
	}
	return made, nil
}

func (s *Store) createBudget(ctx context.Context, tx pgx.Tx, b accounting.Budget, named bool, actor string) (accounting.Budget, error) {
	known, err := s.readBookAlone(ctx, tx)
	if err != nil {
		return b, err
	}
	for n, slug := 2, b.ID; known.byID[b.ID] != nil; n++ {
		if named {
			return b, accounting.ErrBudgetExists
		}
		b.ID = fmt.Sprintf("%s-%d", slug, n)
	}
	now := s.now().UTC().Truncate(time.Microsecond) // as PostgreSQL keeps it
	zone, err := accounting.LoadZone(b.Timezone)
	if err != nil {
		return b, err
	}
	b.CountsFrom, _ = b.Period.Window(now, zone)
	b.CreatedAt, b.UpdatedAt, b.DeletedAt = now, now, nil
	if err := insertBudget(ctx, tx, &b); err != nil {
		return b, fmt.Errorf("insert budget: %w", err)
	}
	if err := s.recount(ctx, tx, nil, &booked{Budget: b, zone: zone}, b.CountsFrom); err != nil {
		return b, err
	}
	if err := bumpVersion(ctx, tx); err != nil {
		return b, err
	}
	return b, audit(ctx, tx, auditEntry{actor: actor, action: accounting.ActionBudgetCreate, subject: budgetSubject(b.ID), after: auditedBudget(&b)})
}

func insertBudget(ctx context.Context, tx pgx.Tx, b *accounting.Budget) error {
	_, err := tx.Exec(ctx, `-- name: budgets_insert
		INSERT INTO budgets (`+budgetColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28)`,
		budgetValues(b)...)
	return err
}

// budgetValues are those of budgetColumns.
func budgetValues(b *accounting.Budget) []any {
	return []any{
		b.ID, b.Name, text(b.Scope.CampaignID), text(b.Scope.Purpose), text(b.Scope.Platform), text(b.Scope.Model), text(b.Scope.Key), text(b.Each),
		string(b.Period), b.Timezone, b.StartsAt, b.EndsAt,
		b.Limit.Decimal, string(b.Currency), string(b.Mode), list(b.Thresholds), b.Enabled,
		string(b.OnExceed), text(b.DowngradeTo), list(b.EssentialPurposes), list(b.NonessentialPurposes), b.EssentialShare.Decimal, string(b.Bound),
		b.CountsFrom, b.Origin, b.CreatedAt, b.UpdatedAt, b.DeletedAt,
	}
}

// list is v, empty instead of nil, which would be NULL.
func list[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

const budgetColumns = `id, name, campaign_id, purpose, platform, model, key_fingerprint, each,
		period, timezone, starts_at, ends_at,
		limit_amount, currency, mode, thresholds, enabled,
		on_exceed, downgrade_to, essential_purposes, nonessential_purposes, essential_share, bound,
		counts_from, origin, created_at, updated_at, deleted_at`

func budgetColumnNames() []string {
	return strings.FieldsFunc(budgetColumns, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}

func queryBudgets(ctx context.Context, db querier, rest string, args ...any) ([]accounting.Budget, error) {
	rows, err := db.Query(ctx, `-- name: budgets_list
		SELECT `+budgetColumns+` FROM budgets `+rest, args...)
	if err == nil {
		var budgets []accounting.Budget
		if budgets, err = pgx.CollectRows(rows, scanBudget); err == nil {
			return budgets, nil
		}
	}
	return nil, fmt.Errorf("read budgets: %w", err)
}

func scanBudget(cr pgx.CollectableRow) (accounting.Budget, error) {
	var b accounting.Budget
	var campaign, purpose, platform, model, key, each, downgrade text
	err := cr.Scan(&b.ID, &b.Name, &campaign, &purpose, &platform, &model, &key, &each,
		&b.Period, &b.Timezone, &b.StartsAt, &b.EndsAt,
		&b.Limit, &b.Currency, &b.Mode, &b.Thresholds, &b.Enabled,
		&b.OnExceed, &downgrade, &b.EssentialPurposes, &b.NonessentialPurposes, &b.EssentialShare, &b.Bound,
		&b.CountsFrom, &b.Origin, &b.CreatedAt, &b.UpdatedAt, &b.DeletedAt)
	b.Scope = accounting.Scope{
		CampaignID: string(campaign), Purpose: string(purpose), Platform: string(platform), Model: string(model), Key: string(key),
	}
	b.Each, b.DowngradeTo = accounting.Each(each), string(downgrade)
	b.StartsAt, b.EndsAt, b.DeletedAt = utc(b.StartsAt), utc(b.EndsAt), utc(b.DeletedAt)
	b.CountsFrom, b.CreatedAt, b.UpdatedAt = b.CountsFrom.UTC(), b.CreatedAt.UTC(), b.UpdatedAt.UTC()
	return b, err
}

// ListBudgets lists the budgets that are not deleted, by id.
func (s *Store) ListBudgets(ctx context.Context) ([]accounting.Budget, error) {
	return queryBudgets(ctx, s.pool, `WHERE deleted_at IS NULL ORDER BY id`)
}

// FindBudget returns a budget that is not deleted. Errors:
// [accounting.ErrUnknownBudget].
func (s *Store) FindBudget(ctx context.Context, id string) (accounting.Budget, error) {
	found, err := queryBudgets(ctx, s.pool, `WHERE id = $1 AND deleted_at IS NULL`, strings.ToValidUTF8(id, "\uFFFD"))
	if err == nil && len(found) == 0 {
		err = accounting.ErrUnknownBudget
	}
	if err != nil {
		return accounting.Budget{}, fmt.Errorf("find budget %s: %w", id, err)
	}
	return found[0], nil
}

// bumpVersion tells every replica that budgets or stops have changed.
func bumpVersion(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `-- name: guard_version_bump
		UPDATE guard_state SET version = version + 1`); err != nil {
		return fmt.Errorf("raise version of budgets: %w", err)
	}
	if t, ok := tx.(*transaction); ok {
		t.bumped = true
	}
	return nil
}

func budgetSubject(id string) string { return "budget/" + id }
