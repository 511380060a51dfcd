package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// The settler's queue is the rows themselves: settle_next_at is when a row is
// due. None of these statements touches the sums, because pending,
// awaiting_key and unresolved count as one there; see unsettled.

// Claim hands out rows that are due, the longest overdue first, to one claimer
// only: two claimers at once get different rows. A row that waited for its key
// is pending again, since the claimer holds it.
func (s *Store) Claim(ctx context.Context, req accounting.ClaimRequest) ([]accounting.Unsettled, error) {
	if len(req.Fingerprints) == 0 || req.Limit <= 0 {
		return nil, nil
	}
	query := claimUnverifiedSQL
	if req.Missing {
		query = claimMissingSQL
	}
	rows, err := s.pool.Query(ctx, query, req.Now, req.Fingerprints, req.Limit, req.Now.Add(req.Lease), claimedBy(req.Claimer))
	if err == nil {
		var claimed []accounting.Unsettled
		if claimed, err = pgx.CollectRows(rows, scanUnsettled); err == nil {
			return claimed, nil
		}
	}
	return nil, fmt.Errorf("claim calls to look up: %w", err)
}

// The oldest of each key come straight from the index's order, so that a claim
// costs the same with ten rows due and with ten million. Twice as many as asked
// for are looked at (and only then locked), since another claimer may just be
// taking the first of them.
const claimSQL = `-- name: %[1]s
	WITH candidates AS MATERIALIZED (
		SELECT oldest.id, oldest.created_at
		FROM unnest($2::text[]) AS held (key)
		CROSS JOIN LATERAL (
			SELECT id, created_at, settle_next_at FROM openrouter_usage u
			WHERE key_fingerprint = held.key AND settle_next_at <= $1 AND %[2]s
			ORDER BY settle_next_at LIMIT 2 * $3::integer
		) AS oldest
		ORDER BY oldest.settle_next_at LIMIT 2 * $3::integer
	), due AS (
		SELECT u.id, u.created_at, u.settle_next_at
		FROM openrouter_usage u JOIN candidates c ON u.id = c.id AND u.created_at = c.created_at
		WHERE u.settle_next_at <= $1 AND %[2]s
		ORDER BY u.settle_next_at LIMIT $3::integer
		FOR UPDATE OF u SKIP LOCKED
	), claimed AS (
		UPDATE openrouter_usage u
		SET status = %[3]s, settle_next_at = $4, settle_attempts = u.settle_attempts + 1,
			settle_error = coalesce($5, settle_error), updated_at = now()
		FROM due WHERE u.id = due.id AND u.created_at = due.created_at
		RETURNING u.*, due.settle_next_at AS due_at
	)
	SELECT id, generation_id, job_id, key_fingerprint, endpoint, status, cost_usd, settle_attempts - 1
	FROM claimed ORDER BY due_at, id`

var (
	claimMissingSQL    = fmt.Sprintf(claimSQL, "claim_missing", `u.status IN ('pending', 'awaiting_key')`, `'pending'`)
	claimUnverifiedSQL = fmt.Sprintf(claimSQL, "claim_unverified", `u.status = 'settled' AND u.verified_at IS NULL`, `u.status`)
)

// claimedBy is what a claimed row says in settle_error until its outcome is
// written there: for the operator, and for [Store.ReleaseClaims].
func claimedBy(claimer string) *string {
	if claimer == "" {
		return nil
	}
	reason := "is being looked up by " + claimer
	return &reason
}

// ReleaseClaims makes the rows that a dead claimer had claimed due at once,
// those of the given keys, and returns how many: nobody has to wait for the end
// of their lease, which is at most lease from now.
func (s *Store) ReleaseClaims(ctx context.Context, claimer string, fingerprints []string, now time.Time, lease time.Duration) (int64, error) {
	if claimer == "" || len(fingerprints) == 0 {
		return 0, nil
	}
	tag, err := s.pool.Exec(ctx, releaseClaimsSQL, now, now.Add(lease), fingerprints, claimedBy(claimer))
	if err != nil {
		return 0, fmt.Errorf("release the claims of %s: %w", claimer, err)
	}
	return tag.RowsAffected(), nil
}

// A claim stands in the queue at the end of its lease, so the two indexes of
// the queue find it. The name is compared again under the row's lock: a claim
// that has run out may be somebody else's by now.
const releaseClaimsSQL = `-- name: release_claims
	WITH claimed AS (
		SELECT c.id, c.created_at
		FROM unnest($3::text[]) AS held (key)
		CROSS JOIN LATERAL (
			SELECT id, created_at FROM openrouter_usage
			WHERE key_fingerprint = held.key AND settle_next_at > $1 AND settle_next_at <= $2
			  AND status IN ('pending', 'awaiting_key') AND settle_error = $4
			UNION ALL
			SELECT id, created_at FROM openrouter_usage
			WHERE key_fingerprint = held.key AND settle_next_at > $1 AND settle_next_at <= $2
			  AND status = 'settled' AND settle_error = $4
		) AS c
	)
	UPDATE openrouter_usage u
	SET settle_next_at = $1, settle_error = 'its lookup died with the process that made it', updated_at = now()
	FROM claimed
	WHERE u.id = claimed.id AND u.created_at = claimed.created_at AND u.settle_error = $4`

func scanUnsettled(cr pgx.CollectableRow) (accounting.Unsettled, error) {
	var (
		u                                          accounting.Unsettled
		generation, job, fingerprint, path, status text
		cost                                       *decimal.Decimal
	)
	err := cr.Scan((*requestID)(&u.ID), &generation, &job, &fingerprint, &path, &status, &cost, &u.Attempts)
	u.GenerationID, u.JobID, u.KeyFingerprint = string(generation), string(job), string(fingerprint)
	u.Endpoint, u.Status = string(path), accounting.Status(status)
	u.Cost = accounting.FromPointer(cost)
	return u, err
}

// Postpone puts a claimed row back into the queue, due at next. reason says
// why, for the operator; a row that was settled meanwhile stays settled.
func (s *Store) Postpone(ctx context.Context, id accounting.RequestID, next time.Time, reason string) error {
	_, err := s.pool.Exec(ctx, `-- name: postpone
		UPDATE openrouter_usage SET settle_next_at = $3, settle_error = $4, updated_at = now()
		WHERE id = $1 AND created_at = $2 AND settle_next_at IS NOT NULL`,
		requestID(id), id.Time(), next, clean(reason))
	if err != nil {
		return fmt.Errorf("postpone call %s: %w", id, err)
	}
	return nil
}

// GiveUp takes a row out of the queue: without a cost it is unresolved and for
// the operator to decide; with one it stays settled and unverified.
func (s *Store) GiveUp(ctx context.Context, id accounting.RequestID, reason string) error {
	_, err := s.pool.Exec(ctx, `-- name: give_up
		UPDATE openrouter_usage SET
			status = CASE WHEN status IN ('pending', 'awaiting_key') THEN 'unresolved' ELSE status END,
			settle_next_at = NULL, settle_error = $3, updated_at = now()
		WHERE id = $1 AND created_at = $2 AND settle_next_at IS NOT NULL`,
		requestID(id), id.Time(), clean(reason))
	if err != nil {
		return fmt.Errorf("give up call %s: %w", id, err)
	}
	return nil
}

// MarkAwaitingKey marks the pending rows that have been due since before
// overdueBefore and whose key is not among held: nobody asks about them. It
// returns how many. They stay in the queue for whoever brings the key.
func (s *Store) MarkAwaitingKey(ctx context.Context, held []string, overdueBefore time.Time) (int64, error) {
	// A claimed row is not overdue, so this meets no other replica's work;
	// SKIP LOCKED keeps it out of the way of a batch that locks many rows.
	tag, err := s.pool.Exec(ctx, `-- name: mark_awaiting_key
		WITH orphaned AS (
			SELECT id, created_at FROM openrouter_usage
			WHERE status = 'pending' AND settle_next_at < $2
			  AND coalesce(key_fingerprint, '') <> ALL(coalesce($1::text[], '{}'))
			FOR UPDATE SKIP LOCKED
		)
		UPDATE openrouter_usage u SET status = 'awaiting_key', updated_at = now()
		FROM orphaned WHERE u.id = orphaned.id AND u.created_at = orphaned.created_at`,
		held, overdueBefore)
	if err != nil {
		return 0, fmt.Errorf("mark calls that await their key: %w", err)
	}
	return tag.RowsAffected(), nil
}

// SkipVerification takes unverified costs of calls made before createdBefore
// out of the queue. They keep their inline cost and are never marked verified.
// It returns how many.
func (s *Store) SkipVerification(ctx context.Context, createdBefore time.Time) (int64, error) {
	tag, err := s.pool.Exec(ctx, `-- name: skip_verification
		WITH stale AS (
			SELECT id, created_at FROM openrouter_usage
			WHERE status = 'settled' AND verified_at IS NULL AND settle_next_at IS NOT NULL AND created_at < $1
			FOR UPDATE SKIP LOCKED
		)
		UPDATE openrouter_usage u SET settle_next_at = NULL, updated_at = now()
		FROM stale WHERE u.id = stale.id AND u.created_at = stale.created_at`, createdBefore)
	if err != nil {
		return 0, fmt.Errorf("skip verification of calls before %s: %w", createdBefore.Format(time.RFC3339), err)
	}
	return tag.RowsAffected(), nil
}

// Backlog is how much of the ledger is still open.
type Backlog struct {
	Pending     int64
	AwaitingKey int64
	Unresolved  int64
	Interrupted int64
	Unverified  int64 // settled, and waiting in the queue for OpenRouter's own record

	OldestPending time.Duration // age of the oldest pending call; 0: there is none
}

// Backlog counts what is open, from partial indexes that hold nothing else.
func (s *Store) Backlog(ctx context.Context) (Backlog, error) {
	var b Backlog
	var oldestMS int64
	err := s.pool.QueryRow(ctx, `-- name: backlog
		SELECT
			count(*) FILTER (WHERE status = 'pending'),
			count(*) FILTER (WHERE status = 'awaiting_key'),
			count(*) FILTER (WHERE status = 'unresolved'),
			count(*) FILTER (WHERE status = 'interrupted'),
			(SELECT count(*) FROM openrouter_usage
			 WHERE status = 'settled' AND settle_next_at IS NOT NULL),
			coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE status = 'pending')) * 1000, 0)::bigint
		FROM openrouter_usage
		WHERE status IN ('pending', 'awaiting_key', 'unresolved', 'interrupted')`).
		Scan(&b.Pending, &b.AwaitingKey, &b.Unresolved, &b.Interrupted, &b.Unverified, &oldestMS)
	if err != nil {
		return Backlog{}, fmt.Errorf("count the backlog: %w", err)
	}
	b.OldestPending = max(0, time.Duration(oldestMS)*time.Millisecond) // a clock may run behind
	return b, nil
}
