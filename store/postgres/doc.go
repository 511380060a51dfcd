// Package postgres is the ledger: every call's exact cost in PostgreSQL, the
// sums over them, and the queue of those that OpenRouter has still to confirm.
//
//	Ship ─────► generations, jobs ──► openrouter_usage ──► usage_hourly ──► monthly_costs
//	Settle ──►        (identity)           (rows)            (deltas)          (deltas)
//	              one transaction; locks are taken from left to right, each
//	              table in key order, so two writers never wait in a circle
//
// # Exactness
//
// Shipping a batch again changes nothing, whoever does it and whenever, because
// sums move only by the difference between a row before and after, read under
// the row's lock. [Store.CheckRollups] recomputes every sum from the rows.
// Amounts are NUMERIC without precision and decimal.Decimal in Go: no digit is
// lost between the wire and the table, and no float comes near them.
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
