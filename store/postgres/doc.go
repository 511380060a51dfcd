// Package postgres is the ledger: every call's exact cost in PostgreSQL, the
// sums over them, and the queue of those that OpenRouter has still to confirm.
//
//	Ship ─────► generations, jobs ──► openrouter_usage ──► usage_hourly ──► monthly_costs ──► budget_periods ──► alerts
//	Settle ──►        (identity)           (rows)            (deltas)          (deltas)         (deltas), leases
//	              one transaction; locks are taken from left to right, each
//	              table in key order, so two writers never wait in a circle
//
// # Exactness
//
// Shipping a batch again changes nothing, whoever does it and whenever, because
// sums move only by the difference between a row before and after, read under
// the row's lock. [Store.CheckRollups] recomputes every sum from the rows, and
// [Store.CheckBudgets] what budgets have counted and granted.
// Amounts are NUMERIC without precision and decimal.Decimal in Go: no digit is
// lost between the wire and the table, and no float comes near them.
//
// # Budgets
//
// What a budget has settled is one more sum over the rows. Who writes what it
// counts holds an advisory lock in common, who changes what there is to count
// holds it alone: so a budget that is made counts every row once. Money is
// leased, and comes back, under the lock of its period; [Store.Lease].
//
// # Connections
//
// Nothing relies on session state, so PgBouncer may stand in between in
// transaction mode: no named prepared statement, no session lock, no LISTEN,
// no SET, no temporary table. Locks are row locks and transaction advisory
// locks.
//
// # Schema
//
// migrations/ holds numbered, forward-only SQL files, which Migrate applies and
// `psql -f` applies as well.
package postgres
