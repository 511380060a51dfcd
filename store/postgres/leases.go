package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// Lease answers requests of a replica for money, in one transaction: first it
// takes all returns, then it grants in the order of the requests. The answers
// are in that order too. A budget that is not hard, is disabled or deleted
// grants nothing, but takes back.
//
// After an error whose transaction may have been committed all the same, the
// next answer tells in Held what the replica holds.
func (s *Store) Lease(ctx context.Context, replica string, now time.Time, requests []accounting.LeaseRequest) ([]accounting.Lease, error) {
	if len(requests) == 0 {
		return nil, nil
	}
	var leases []accounting.Lease
	err := s.inTx(ctx, func(tx pgx.Tx) (err error) {
		if err := endSoon(ctx, tx); err != nil {
			return err
		}
		leases, err = s.lease(ctx, tx, replica, now, requests)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lease money for replica %s: %w", replica, err)
	}
	return leases, nil
}

// endSoon bounds how long the transaction can live on without its client, and
// so how long after a lost answer it may still be committed. Guards count on
// less than ten seconds.
func endSoon(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `-- name: lease_timeouts
		SELECT set_config('statement_timeout', '3s', true), set_config('idle_in_transaction_session_timeout', '3s', true)`); err != nil {
		return fmt.Errorf("bound the transaction's life: %w", err)
	}
	return nil
}

func (s *Store) lease(ctx context.Context, tx pgx.Tx, replica string, now time.Time, requests []accounting.LeaseRequest) ([]accounting.Lease, error) {
	budgets, err := s.readBook(ctx, tx)
	if err != nil {
		return nil, err
	}
	accounts, err := lockAccounts(ctx, tx, budgets, replica, requests)
	if err != nil {
		return nil, err
	}
	living, err := countLiving(ctx, tx, replica, now)
	if err != nil {
		return nil, err
	}
	leases := make([]accounting.Lease, len(requests))
	for i := range requests {
		if a := accounts[periodKeyOf(requests[i].LeaseKey)]; a != nil {
			a.giveBack(requests[i].Return)
		}
	}
	for i := range requests {
		if a := accounts[periodKeyOf(requests[i].LeaseKey)]; a != nil {
			leases[i].Granted = a.grant(&requests[i], living, now)
		}
	}
	for i := range requests {
		leases[i].LeaseKey = requests[i].LeaseKey
		if a := accounts[periodKeyOf(requests[i].LeaseKey)]; a != nil {
			leases[i].Held, leases[i].PeriodFigures = a.held, a.figures(now)
		}
	}
	return leases, saveAccounts(ctx, tx, replica, accounts)
}

// lockAccounts locks the periods of requests in key order, making those that
// have no row yet, and then the replica's leases. Budgets that are unknown have
// no account.
func lockAccounts(ctx context.Context, tx pgx.Tx, budgets *book, replica string, requests []accounting.LeaseRequest) (map[periodKey]*account, error) {
	wanted := make(map[periodKey]bool, len(requests))
	for i := range requests {
		if key := periodKeyOf(requests[i].LeaseKey); budgets.byID[key.budget] != nil {
			wanted[key] = true
		}
	}
	keys := slices.SortedFunc(maps.Keys(wanted), comparePeriods)
	periods, err := lockPeriods(ctx, tx, keys)
	if err != nil {
		return nil, err
	}
	if len(periods) < len(keys) {
		if err := insertPeriods(ctx, tx, budgets, keys); err != nil {
			return nil, err
		}
		if periods, err = lockPeriods(ctx, tx, keys); err != nil {
			return nil, err
		}
	}
	accounts := make(map[periodKey]*account, len(keys))
	for key, p := range periods {
		accounts[key] = &account{period: *p, grants: budgets.byID[key.budget].grants()}
	}
	names, eaches, starts := periodArrays(keys)
	rows, err := tx.Query(ctx, `-- name: budget_leases_lock
		SELECT l.budget_id, l.each_value, l.period_start, l.held
		FROM unnest($2::text[], $3::text[], $4::timestamptz[]) AS wanted (budget_id, each_value, period_start)
		JOIN budget_leases l USING (budget_id, each_value, period_start)
		WHERE l.replica = $1
		FOR UPDATE OF l`, replica, names, eaches, starts)
	if err != nil {
		return nil, fmt.Errorf("lock leases: %w", err)
	}
	var k periodKey
	var start time.Time
	var held decimal.Decimal
	if _, err := pgx.ForEachRow(rows, []any{&k.budget, &k.each, &start, &held}, func() error {
		k.start = start.Unix()
		accounts[k].held = held
		return nil
	}); err != nil {
		return nil, fmt.Errorf("lock leases: %w", err)
	}
	return accounts, nil
}

// lockPeriods reads periods under lock, in key order.
func lockPeriods(ctx context.Context, tx pgx.Tx, keys []periodKey) (map[periodKey]*period, error) {
	budgets, eaches, starts := periodArrays(keys)
	return readPeriods(ctx, tx, `JOIN unnest($1::text[], $2::text[], $3::timestamptz[]) WITH ORDINALITY AS wanted (budget_id, each_value, period_start, n)
			USING (budget_id, each_value, period_start)
		ORDER BY wanted.n
		FOR UPDATE OF p`, budgets, eaches, starts)
}

func insertPeriods(ctx context.Context, tx pgx.Tx, b *book, keys []periodKey) error {
	budgets, eaches, starts := periodArrays(keys)
	limits := make([]decimal.Decimal, len(keys))
	for i, k := range keys {
		limits[i] = b.byID[k.budget].Limit.Decimal
	}
	_, err := tx.Exec(ctx, `-- name: budget_periods_insert
		INSERT INTO budget_periods (budget_id, each_value, period_start, limit_amount, ceiling)
		SELECT budget_id, each_value, period_start, amount, amount
		FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::numeric[]) AS d (budget_id, each_value, period_start, amount)
		ON CONFLICT (budget_id, each_value, period_start) DO NOTHING`, budgets, eaches, starts, limits)
	if err != nil {
		return fmt.Errorf("insert periods: %w", err)
	}
	return nil
}

// saveAccounts writes what has changed.
func saveAccounts(ctx context.Context, tx pgx.Tx, replica string, accounts map[periodKey]*account) error {
	maps.DeleteFunc(accounts, func(_ periodKey, a *account) bool { return !a.touched })
	if len(accounts) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(accounts), comparePeriods)
	n := len(keys)
	ceilings, granted, overshoots, helds := make([]decimal.Decimal, n), make([]decimal.Decimal, n), make([]decimal.Decimal, n), make([]decimal.Decimal, n)
	shorts := make([]*time.Time, n)
	for i, k := range keys {
		a := accounts[k]
		ceilings[i], granted[i], overshoots[i], helds[i], shorts[i] = a.Ceiling, a.Total, a.Overshoot, a.held, a.shortAt
	}
	budgets, eaches, starts := periodArrays(keys)
	_, err := tx.Exec(ctx, `-- name: budget_leases_save
		WITH d AS (
			SELECT * FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::numeric[], $6::numeric[], $7::numeric[], $8::numeric[], $9::timestamptz[])
				AS d (budget_id, each_value, period_start, ceiling, granted, overshoot, held, short_at)
		), lease AS (
			INSERT INTO budget_leases (replica, budget_id, each_value, period_start, held)
			SELECT $1, budget_id, each_value, period_start, held FROM d WHERE held > 0
			ON CONFLICT (replica, budget_id, each_value, period_start) DO UPDATE SET held = excluded.held, updated_at = now()
		), ended AS (
			DELETE FROM budget_leases l USING d
			WHERE d.held = 0 AND l.replica = $1 AND l.budget_id = d.budget_id AND l.each_value = d.each_value AND l.period_start = d.period_start
		)
		UPDATE budget_periods p SET ceiling = d.ceiling, granted = d.granted, overshoot = d.overshoot, short_at = d.short_at, updated_at = clock_timestamp()
		FROM d WHERE p.budget_id = d.budget_id AND p.each_value = d.each_value AND p.period_start = d.period_start`,
		replica, budgets, eaches, starts, ceilings, granted, overshoots, helds, shorts)
	if err != nil {
		return fmt.Errorf("save leases: %w", err)
	}
	return nil
}

// countLiving counts the replicas that live at now, this one included.
func countLiving(ctx context.Context, tx pgx.Tx, replica string, now time.Time) (living int, err error) {
	err = tx.QueryRow(ctx, `-- name: replicas_living
		SELECT 1 + count(*) FROM guard_replicas WHERE replica <> $1 AND ended_at IS NULL AND seen_at > $2`, replica, now.Add(-livingFor)).Scan(&living)
	if err != nil {
		return 0, fmt.Errorf("count living replicas: %w", err)
	}
	return living, nil
}
