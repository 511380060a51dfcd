package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// FixedCosts lists the fixed costs: those of the configuration, every dated
// entry, and what holds in the present month.
func (s *Store) FixedCosts(ctx context.Context) (accounting.FixedCostBook, error) {
	var book accounting.FixedCostBook
	present := accounting.MonthOf(s.now())
	rows, err := s.pool.Query(ctx, `-- name: fixed_costs_list
		SELECT name, year, month, eur, platform, recorded_at FROM fixed_costs ORDER BY name, year DESC, month DESC`)
	if err != nil {
		return book, fmt.Errorf("list fixed costs: %w", err)
	}
	if book.Entries, err = pgx.CollectRows(rows, scanDatedCost); err != nil {
		return book, fmt.Errorf("list fixed costs: %w", err)
	}
	if rows, err = s.pool.Query(ctx, `-- name: default_fixed_costs
		SELECT name, eur, platform FROM default_fixed_costs ORDER BY name`); err == nil {
		book.Defaults, err = pgx.CollectRows(rows, pgx.RowToStructByPos[accounting.NamedCost])
	}
	if err != nil {
		return book, fmt.Errorf("list configured fixed costs: %w", err)
	}
	if rows, err = s.pool.Query(ctx, `-- name: fixed_costs_of
		SELECT name, eur, platform FROM fixed_costs_of($1, $2) WHERE eur > 0 ORDER BY name`, present.Year, int(present.Month)); err == nil {
		book.Present, err = pgx.CollectRows(rows, pgx.RowToStructByPos[accounting.NamedCost])
	}
	if err != nil {
		return book, fmt.Errorf("list fixed costs of %s: %w", present, err)
	}
	return book, nil
}

func scanDatedCost(cr pgx.CollectableRow) (accounting.DatedFixedCost, error) {
	var c accounting.DatedFixedCost
	var month int
	err := cr.Scan(&c.Name, &c.From.Year, &month, &c.EUR, &c.Platform, &c.RecordedAt)
	c.From.Month, c.RecordedAt = time.Month(month), c.RecordedAt.UTC()
	return c, err
}

// PutFixedCost stores an entry in the name of by, in place of the one with its
// name and month. Open months follow, closed ones do not. It is audited in the
// same transaction. Errors: [accounting.ErrTooManyFixedCosts].
func (s *Store) PutFixedCost(ctx context.Context, c accounting.DatedFixedCost, by string) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if err := lockRates(ctx, tx); err != nil {
			return err
		}
		before, err := findFixedCost(ctx, tx, c.Name, c.From)
		if err != nil {
			return err
		}
		if before == nil {
			var n int
			if err := tx.QueryRow(ctx, `-- name: fixed_costs_count
				SELECT count(*) FROM fixed_costs`).Scan(&n); err != nil {
				return err
			}
			if n >= accounting.MaxFixedCosts {
				return accounting.ErrTooManyFixedCosts
			}
		}
		if _, err := tx.Exec(ctx, `-- name: fixed_cost_put
			INSERT INTO fixed_costs (name, year, month, eur, platform) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (name, year, month) DO UPDATE SET eur = excluded.eur, platform = excluded.platform, recorded_at = now()`,
			c.Name, c.From.Year, int(c.From.Month), c.EUR.Decimal, c.Platform); err != nil {
			return err
		}
		if err := applyFixedCosts(ctx, tx); err != nil {
			return err
		}
		return auditFixedCost(ctx, tx, by, accounting.ActionFixedCostPut, c.Name, before, &c)
	})
	if err != nil {
		return fmt.Errorf("store fixed cost %s from %s: %w", c.Name, c.From, err)
	}
	return nil
}

// DeleteFixedCost takes an entry away in the name of by: what was dated before
// it holds again. Open months follow. It is audited in the same transaction.
// Errors: [accounting.ErrUnknownFixedCost].
func (s *Store) DeleteFixedCost(ctx context.Context, name string, from accounting.Month, by string) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if err := lockRates(ctx, tx); err != nil {
			return err
		}
		before, err := findFixedCost(ctx, tx, name, from)
		if err != nil {
			return err
		}
		if before == nil {
			return accounting.ErrUnknownFixedCost
		}
		if _, err := tx.Exec(ctx, `-- name: fixed_cost_delete
			DELETE FROM fixed_costs WHERE (name, year, month) = ($1, $2, $3)`, name, from.Year, int(from.Month)); err != nil {
			return err
		}
		if err := applyFixedCosts(ctx, tx); err != nil {
			return err
		}
		return auditFixedCost(ctx, tx, by, accounting.ActionFixedCostDelete, name, before, nil)
	})
	if err != nil {
		return fmt.Errorf("delete fixed cost %s from %s: %w", name, from, err)
	}
	return nil
}

func findFixedCost(ctx context.Context, tx pgx.Tx, name string, from accounting.Month) (*accounting.DatedFixedCost, error) {
	rows, err := tx.Query(ctx, `-- name: fixed_cost_find
		SELECT name, year, month, eur, platform, recorded_at FROM fixed_costs WHERE (name, year, month) = ($1, $2, $3)`,
		name, from.Year, int(from.Month))
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, scanDatedCost)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

func auditFixedCost(ctx context.Context, tx pgx.Tx, by, action, name string, before, after *accounting.DatedFixedCost) error {
	object := func(c *accounting.DatedFixedCost) map[string]any {
		if c == nil {
			return nil
		}
		return map[string]any{"from": c.From, "eur": c.EUR, "platform": c.Platform}
	}
	return audit(ctx, tx, auditEntry{actor: by, action: action, subject: "fixed-costs/" + name, before: object(before), after: object(after)})
}

// applyFixedCosts brings open months up to what the entries say. The caller
// holds the lock of rates.
func applyFixedCosts(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `-- name: months_fixed_costs
		WITH open AS (
			SELECT id, year, month FROM monthly_costs WHERE closed_at IS NULL ORDER BY year, month FOR UPDATE
		), sums AS (
			SELECT o.id, coalesce(sum(f.eur) FILTER (WHERE f.name = 'instantly'), 0) AS instantly,
				coalesce(sum(f.eur) FILTER (WHERE f.name = 'google_workspace'), 0) AS workspace,
				coalesce(sum(f.eur) FILTER (WHERE f.name NOT IN ('instantly', 'google_workspace')), 0) AS other
			FROM open o LEFT JOIN LATERAL fixed_costs_of(o.year, o.month) f ON true GROUP BY o.id
		)
		UPDATE monthly_costs m SET instantly_cost = s.instantly, google_workspace_cost = s.workspace, other_fixed_cost = s.other, updated_at = now()
		FROM sums s
		WHERE m.id = s.id AND (m.instantly_cost, m.google_workspace_cost, m.other_fixed_cost) <> (s.instantly, s.workspace, s.other)`)
	if err != nil {
		return fmt.Errorf("apply fixed costs to open months: %w", err)
	}
	return nil
}
