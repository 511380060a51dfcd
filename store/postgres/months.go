package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// bookCorrections books changes of closed months in the month of now, or in
// the first open one after the closed ones. It is called with the changed
// months locked; the booking month comes after all of them, as lock order
// wants it.
func (s *Store) bookCorrections(ctx context.Context, tx pgx.Tx, late []costChange, d *deltas) error {
	if len(late) == 0 {
		return nil // a free call of a closed month
	}
	var total decimal.Decimal
	booked := accounting.MonthOf(s.now())
	for _, c := range late {
		total = total.Add(c.amount)
		if of := (accounting.Month{Year: c.month.year, Month: time.Month(c.month.month)}); !of.Before(booked) {
			booked = of.Next() // our clock is behind the one that closed it
		}
	}
	for {
		key := monthKey{booked.Year, int(booked.Month)}
		d.months[key] = total // in place of what was added to it before
		open, err := s.addToMonths(ctx, tx, []monthKey{key}, d)
		if err != nil {
			return fmt.Errorf("book corrections in %s: %w", booked, err)
		}
		if open[key] {
			break
		}
		booked = booked.Next()
	}
	if err := insertCorrections(ctx, tx, late, booked); err != nil {
		return fmt.Errorf("insert corrections: %w", err)
	}
	return nil
}

func insertCorrections(ctx context.Context, tx pgx.Tx, late []costChange, booked accounting.Month) error {
	slices.SortFunc(late, func(a, b costChange) int { return slices.Compare(a.id[:], b.id[:]) })
	ids, generations := make([]requestID, len(late)), make([]text, len(late))
	years, months, amounts := make([]int32, len(late)), make([]int32, len(late)), make([]decimal.Decimal, len(late))
	for i, c := range late {
		ids[i], generations[i] = c.id, c.generation
		years[i], months[i], amounts[i] = int32(c.month.year), int32(c.month.month), c.amount
	}
	_, err := tx.Exec(ctx, `-- name: cost_corrections_insert
		INSERT INTO cost_corrections (usage_id, created_at, generation_id, year, month, amount_usd, booked_year, booked_month)
		SELECT d.*, $7, $8
		FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::integer[], $5::integer[], $6::numeric[]) AS d`,
		ids, times(ids), generations, years, months, amounts, booked.Year, int(booked.Month))
	return err
}

// OpenMonths are the months before the one of now that are not closed, the
// oldest first.
func (s *Store) OpenMonths(ctx context.Context, now time.Time) ([]accounting.Month, error) {
	present := accounting.MonthOf(now)
	rows, err := s.pool.Query(ctx, `-- name: months_open
		SELECT year, month FROM monthly_costs
		WHERE closed_at IS NULL AND (year, month) < ($1, $2) ORDER BY year, month`, present.Year, int(present.Month))
	if err == nil {
		var open []accounting.Month
		if open, err = pgx.CollectRows(rows, pgx.RowToStructByPos[accounting.Month]); err == nil {
			return open, nil
		}
	}
	return nil, fmt.Errorf("list open months: %w", err)
}

// MonthRest counts what of a month is not confirmed. It may read the month's
// whole partition.
func (s *Store) MonthRest(ctx context.Context, m accounting.Month) (accounting.MonthRest, error) {
	var rest accounting.MonthRest
	err := s.pool.QueryRow(ctx, `-- name: month_rest
		SELECT count(*) FILTER (WHERE status <> 'settled'), count(*) FILTER (WHERE status = 'settled')
		FROM openrouter_usage
		WHERE created_at >= $1 AND created_at < $2
		  AND (status IN ('pending', 'awaiting_key', 'unresolved', 'interrupted') OR status = 'settled' AND verified_at IS NULL)`,
		m.Start(), m.End()).Scan(&rest.OpenCalls, &rest.UnverifiedCalls)
	if err != nil {
		return accounting.MonthRest{}, fmt.Errorf("count what is open in %s: %w", m, err)
	}
	return rest, nil
}

// CloseMonth closes a month at now in the name of by, whatever of it is still
// open or unverified, and returns it with a count of that. It is audited in the
// same transaction. Closing it again changes nothing and returns it as it was
// closed. Errors: [accounting.ErrMonthNotOver].
func (s *Store) CloseMonth(ctx context.Context, m accounting.Month, by string, now time.Time) (accounting.ClosedMonth, error) {
	closed := accounting.ClosedMonth{Month: m}
	if !m.Before(accounting.MonthOf(now)) {
		return closed, fmt.Errorf("close %s: %w", m, accounting.ErrMonthNotOver)
	}
	// Before the month is locked, since the count may take long.
	rest, err := s.MonthRest(ctx, m)
	if err != nil {
		return accounting.ClosedMonth{}, err
	}
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		// A month without calls has no row yet. It begins as any other, with the
		// fixed costs that are dated to it.
		if _, err := tx.Exec(ctx, `-- name: month_open
			INSERT INTO monthly_costs (year, month) VALUES ($1, $2) ON CONFLICT DO NOTHING`, m.Year, int(m.Month)); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `-- name: month_close
			UPDATE monthly_costs SET closed_at = $3, closed_by = $4, updated_at = now()
			WHERE (year, month) = ($1, $2) AND closed_at IS NULL`, m.Year, int(m.Month), now, string(clean(by)))
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `-- name: month_closed
			SELECT openrouter_cost, total_cost, closed_at, closed_by FROM monthly_costs WHERE (year, month) = ($1, $2)`,
			m.Year, int(m.Month)).Scan(&closed.OpenRouterCostUSD, &closed.TotalCostEUR, &closed.ClosedAt, &closed.ClosedBy)
		if err != nil || tag.RowsAffected() == 0 {
			return err // closed before
		}
		return audit(ctx, tx, auditEntry{actor: by, action: accounting.ActionCloseMonth, subject: "months/" + m.String(),
			after: map[string]any{"openrouter_cost": closed.OpenRouterCostUSD, "open_calls": rest.OpenCalls, "unverified_calls": rest.UnverifiedCalls}})
	})
	if err != nil {
		return accounting.ClosedMonth{}, fmt.Errorf("close %s: %w", m, err)
	}
	closed.ClosedAt = closed.ClosedAt.UTC()
	closed.OpenCalls, closed.UnverifiedCalls = rest.OpenCalls, rest.UnverifiedCalls
	return closed, nil
}
