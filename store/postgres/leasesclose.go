package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// CloseLeases returns all that a replica holds and marks it as ended. That is
// safe once nothing is left that was charged to it: it stopped and has shipped
// its last event, or its journal was settled by another. Closing again changes
// nothing.
func (s *Store) CloseLeases(ctx context.Context, replica string) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := s.closeLeases(ctx, tx, replica); err != nil {
			return err
		}
		return s.endReplica(ctx, tx, replica)
	})
	if err != nil {
		return fmt.Errorf("close leases of replica %s: %w", replica, err)
	}
	return nil
}

// ReleaseLease does the same in the name of a person, who accepts the risk: calls
// of the replica that nobody knows of yet may have spent what is returned. It is
// audited. Errors: [accounting.ErrNoLease], [accounting.ErrReplicaAlive].
func (s *Store) ReleaseLease(ctx context.Context, replica, actor, reason string) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		var alive bool
		if err := tx.QueryRow(ctx, `-- name: replica_alive
			SELECT EXISTS (SELECT FROM guard_replicas WHERE replica = $1 AND ended_at IS NULL AND seen_at > $2)`,
			replica, s.now().Add(-livingFor)).Scan(&alive); err != nil {
			return err
		}
		if alive {
			return accounting.ErrReplicaAlive
		}
		returned, err := s.closeLeases(ctx, tx, replica)
		if err != nil {
			return err
		}
		if len(returned) == 0 {
			return accounting.ErrNoLease
		}
		if err := s.endReplica(ctx, tx, replica); err != nil {
			return err
		}
		return audit(ctx, tx, auditEntry{actor: actor, action: accounting.ActionLeaseRelease, subject: "replica/" + string(clean(replica)), reason: reason,
			before: map[string]any{"leases": returned}})
	})
	if err != nil {
		return fmt.Errorf("release leases of replica %s: %w", replica, err)
	}
	return nil
}

// closeLeases returns what there was.
func (s *Store) closeLeases(ctx context.Context, tx pgx.Tx, replica string) ([]accounting.LeaseRow, error) {
	budgets, err := s.readBook(ctx, tx)
	if err != nil {
		return nil, err
	}
	// Looked at without a lock, since the periods come before the leases; none
	// is added meanwhile, unless the replica is alive against all promises.
	rows, err := queryLeases(ctx, tx, `WHERE l.replica = $1`, replica)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	requests := make([]accounting.LeaseRequest, len(rows))
	for i, r := range rows {
		requests[i].LeaseKey = accounting.LeaseKey{BudgetID: r.BudgetID, EachValue: r.EachValue, PeriodStart: r.PeriodStart}
	}
	accounts, err := lockAccounts(ctx, tx, budgets, replica, requests)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		a := accounts[periodKeyOf(requests[i].LeaseKey)]
		rows[i].Held = accounting.Amount{Decimal: a.giveBack(a.held)}
		a.touched = true // a lease of 0 goes too
	}
	if err := saveAccounts(ctx, tx, replica, accounts); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(rows, func(r accounting.LeaseRow) bool { return r.Held.IsZero() }), nil
}

// ListLeases lists what replicas hold, of one budget or, if it is empty, of all.
func (s *Store) ListLeases(ctx context.Context, budget string) ([]accounting.LeaseRow, error) {
	return queryLeases(ctx, s.pool, `WHERE ($1::text IS NULL OR l.budget_id = $1) AND l.held > 0`, clean(budget))
}

func queryLeases(ctx context.Context, db querier, where string, arg any) ([]accounting.LeaseRow, error) {
	rows, err := db.Query(ctx, `-- name: budget_leases_list
		SELECT l.replica, l.budget_id, l.each_value, l.period_start, b.currency, l.held, l.updated_at, r.seen_at, r.ended_at,
			coalesce(r.ended_at IS NULL AND r.seen_at > now() - $2::interval, false)
		FROM budget_leases l JOIN budgets b ON b.id = l.budget_id LEFT JOIN guard_replicas r USING (replica)
		`+where+` ORDER BY l.budget_id, l.each_value, l.period_start, l.replica`, arg, livingFor)
	if err == nil {
		var leases []accounting.LeaseRow
		if leases, err = pgx.CollectRows(rows, scanLease); err == nil {
			return leases, nil
		}
	}
	return nil, fmt.Errorf("list leases: %w", err)
}

func scanLease(cr pgx.CollectableRow) (accounting.LeaseRow, error) {
	var l accounting.LeaseRow
	err := cr.Scan(&l.Replica, &l.BudgetID, &l.EachValue, &l.PeriodStart, &l.Currency, &l.Held, &l.UpdatedAt, &l.SeenAt, &l.EndedAt, &l.Alive)
	l.PeriodStart, l.UpdatedAt = l.PeriodStart.UTC(), l.UpdatedAt.UTC()
	l.SeenAt, l.EndedAt = utc(l.SeenAt), utc(l.EndedAt)
	return l, err
}
