package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

const (
	// livingFor is how long a replica that was heard of is taken to live. It
	// decides about fair shares, not about what anybody may spend.
	livingFor = 10 * time.Second
	// beatEvery is how often a heartbeat is written; those between only ask.
	beatEvery = time.Second
	// forgetAfter is how long a replica that holds nothing is remembered.
	forgetAfter = 7 * 24 * time.Hour
)

// Heartbeat says that a replica lives at now and goes by a version of budgets
// and stops, 0 by none. It returns the latest version and how many replicas
// live, this one included. It is cheap enough for four times a second.
func (s *Store) Heartbeat(ctx context.Context, replica string, version int64, now time.Time) (latest int64, living int, err error) {
	var obeys bool
	err = s.pool.QueryRow(ctx, `-- name: replica_beat
		WITH beat AS (
			INSERT INTO guard_replicas AS r (replica, started_at, seen_at, version, version_at)
			VALUES ($1, $3, $3, $2, $3)
			ON CONFLICT (replica) DO UPDATE SET seen_at = $3, ended_at = NULL, version = $2,
				version_at = CASE WHEN r.version = $2 THEN r.version_at ELSE $3 END
			WHERE r.seen_at < $3::timestamptz - $4::interval OR r.version <> $2 OR r.ended_at IS NOT NULL
			RETURNING version_at = $3 AS obeys
		)
		SELECT g.version, coalesce((SELECT obeys FROM beat), false),
			1 + (SELECT count(*) FROM guard_replicas WHERE replica <> $1 AND ended_at IS NULL AND seen_at > $3::timestamptz - $5::interval)
		FROM guard_state g`, replica, version, now, beatEvery, livingFor).Scan(&latest, &obeys, &living)
	if err == nil && obeys && version > 0 {
		_, err = s.pool.Exec(ctx, `-- name: stops_reached
			UPDATE guard_stops SET reached = jsonb_build_object($1::text, $3::timestamptz) || reached
			WHERE version <= $2 AND lifted_at IS NULL AND NOT reached ? $1`, replica, version, now)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("heartbeat of replica %s: %w", replica, err)
	}
	return latest, living, nil
}

// ListReplicas are the lives of Bursar processes that are heard of, and the limit
// latest of the others.
func (s *Store) ListReplicas(ctx context.Context, limit int) ([]accounting.Replica, error) {
	rows, err := s.pool.Query(ctx, `-- name: replicas_list
		WITH known AS (
			SELECT replica, started_at, seen_at, ended_at, ended_at IS NULL AND seen_at > now() - $1::interval AS alive FROM guard_replicas
		)
		SELECT * FROM known WHERE alive
		UNION ALL (SELECT * FROM known WHERE NOT alive ORDER BY seen_at DESC LIMIT $2)
		ORDER BY alive DESC, seen_at DESC, replica`, livingFor, limit)
	if err == nil {
		var list []accounting.Replica
		if list, err = pgx.CollectRows(rows, scanReplica); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("list replicas: %w", err)
}

func scanReplica(cr pgx.CollectableRow) (accounting.Replica, error) {
	var r accounting.Replica
	err := cr.Scan(&r.ID, &r.StartedAt, &r.SeenAt, &r.EndedAt, &r.Alive)
	r.StartedAt, r.SeenAt = r.StartedAt.UTC(), r.SeenAt.UTC()
	if r.EndedAt != nil {
		*r.EndedAt = r.EndedAt.UTC()
	}
	return r, err
}

// EndReplica marks a replica as ended. What it holds stays its own, see
// [Store.CloseLeases].
func (s *Store) EndReplica(ctx context.Context, replica string) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error { return s.endReplica(ctx, tx, replica) })
	if err != nil {
		return fmt.Errorf("end replica %s: %w", replica, err)
	}
	return nil
}

// endReplica also forgets replicas that ended long ago: each life of a process
// is one.
func (s *Store) endReplica(ctx context.Context, tx pgx.Tx, replica string) error {
	now := s.now()
	_, err := tx.Exec(ctx, `-- name: replica_end
		UPDATE guard_replicas SET ended_at = $2 WHERE replica = $1 AND ended_at IS NULL`, replica, now)
	if err == nil {
		_, err = tx.Exec(ctx, `-- name: replicas_forget
			DELETE FROM guard_replicas r USING (
				SELECT replica FROM guard_replicas
				WHERE seen_at < $1 AND NOT EXISTS (SELECT FROM budget_leases l WHERE l.replica = guard_replicas.replica)
				FOR UPDATE SKIP LOCKED
			) AS old WHERE r.replica = old.replica`, now.Add(-forgetAfter))
	}
	return err
}
