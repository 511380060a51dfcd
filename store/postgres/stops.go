package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// CreateStop records a stop and raises the version that replicas watch. Without
// an id it gets one; CreatedAt is kept if it is set, since the stop may have
// been given while the database was away. One with its id that exists is
// returned as it is. It is audited.
func (s *Store) CreateStop(ctx context.Context, stop accounting.Stop) (accounting.Stop, error) {
	var made accounting.Stop
	err := s.inTx(ctx, func(tx pgx.Tx) (err error) {
		made, err = s.createStop(ctx, tx, stop)
		return err
	})
	if err != nil {
		return accounting.Stop{}, fmt.Errorf("create stop %s: %w", stop.ID, err)
	}
	return made, nil
}

func (s *Store) createStop(ctx context.Context, tx pgx.Tx, stop accounting.Stop) (accounting.Stop, error) {
	// The row of the version is the lock of all who change stops.
	var version int64
	if err := tx.QueryRow(ctx, `-- name: guard_version_lock
		SELECT version + 1 FROM guard_state FOR UPDATE`).Scan(&version); err != nil {
		return stop, err
	}
	var id string
	err := tx.QueryRow(ctx, `-- name: stops_insert
		INSERT INTO guard_stops (id, kind, campaign_id, purpose, platform, model, key_fingerprint, reason, actor, cut_streams, drill, version, created_at)
		VALUES (coalesce($1, 'stop-' || gen_random_uuid()), coalesce($2, 'emergency'), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, coalesce($13, now()))
		ON CONFLICT (id) DO NOTHING RETURNING id`,
		clean(stop.ID), clean(string(stop.Kind)), clean(stop.Scope.CampaignID), clean(stop.Scope.Purpose), clean(stop.Scope.Platform),
		clean(stop.Scope.Model), clean(stop.Scope.Key), string(clean(stop.Reason)), string(clean(stop.Actor)), stop.CutStreams, stop.Drill,
		version, timeOrNil(stop.CreatedAt)).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return s.findStop(ctx, tx, stop.ID)
	}
	if err != nil {
		return stop, err
	}
	if err := bumpVersion(ctx, tx); err != nil {
		return stop, err
	}
	err = audit(ctx, tx, auditEntry{actor: stop.Actor, action: accounting.ActionStop, subject: "stop/" + id, reason: stop.Reason,
		after: map[string]any{"kind": cmp.Or(stop.Kind, accounting.StopEmergency), "scope": stop.Scope, "cut_streams": stop.CutStreams, "drill": stop.Drill}})
	if err != nil {
		return stop, err
	}
	return s.findStop(ctx, tx, id)
}

// LiftStop ends an active stop at now. It is audited. Errors:
// [accounting.ErrUnknownStop].
func (s *Store) LiftStop(ctx context.Context, id, actor string, now time.Time) (accounting.Stop, error) {
	var lifted accounting.Stop
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if err := bumpVersion(ctx, tx); err != nil { // which is the lock, too
			return err
		}
		tag, err := tx.Exec(ctx, `-- name: stops_lift
			UPDATE guard_stops SET lifted_at = $2, lifted_by = $3 WHERE id = $1 AND lifted_at IS NULL`, clean(id), now, clean(actor))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return accounting.ErrUnknownStop
		}
		if err := audit(ctx, tx, auditEntry{actor: actor, action: accounting.ActionResume, subject: "stop/" + id}); err != nil {
			return err
		}
		lifted, err = s.findStop(ctx, tx, id)
		return err
	})
	if err != nil {
		return accounting.Stop{}, fmt.Errorf("lift stop %s: %w", id, err)
	}
	return lifted, nil
}

// ListStops lists the active stops, or all of them, the newest first. The reach
// of each has the replicas that live and those that have obeyed it.
func (s *Store) ListStops(ctx context.Context, all bool) ([]accounting.Stop, error) {
	stops, err := s.queryStops(ctx, s.pool, `WHERE $1 OR lifted_at IS NULL ORDER BY created_at DESC, id`, all)
	if err != nil {
		return nil, fmt.Errorf("list stops: %w", err)
	}
	return stops, nil
}

func (s *Store) findStop(ctx context.Context, db querier, id string) (accounting.Stop, error) {
	stops, err := s.queryStops(ctx, db, `WHERE id = $1`, clean(id))
	if err == nil && len(stops) == 0 {
		err = accounting.ErrUnknownStop
	}
	if err != nil {
		return accounting.Stop{}, err
	}
	return stops[0], nil
}

func (s *Store) queryStops(ctx context.Context, db querier, where string, arg any) ([]accounting.Stop, error) {
	replicas, err := livingReplicas(ctx, db, s.now())
	if err != nil {
		return nil, err
	}
	rows, err := db.Query(ctx, `-- name: stops_list
		SELECT id, kind, campaign_id, purpose, platform, model, key_fingerprint, reason, actor, cut_streams, drill,
			created_at, lifted_at, lifted_by, reached
		FROM guard_stops `+where, arg)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(cr pgx.CollectableRow) (accounting.Stop, error) {
		var stop accounting.Stop
		var campaign, purpose, platform, model, key text
		var reached map[string]time.Time
		err := cr.Scan(&stop.ID, &stop.Kind, &campaign, &purpose, &platform, &model, &key, &stop.Reason, &stop.Actor, &stop.CutStreams, &stop.Drill,
			&stop.CreatedAt, &stop.LiftedAt, &stop.LiftedBy, &reached)
		stop.Scope = accounting.Scope{
			CampaignID: string(campaign), Purpose: string(purpose), Platform: string(platform), Model: string(model), Key: string(key),
		}
		stop.CreatedAt, stop.LiftedAt = stop.CreatedAt.UTC(), utc(stop.LiftedAt)
		stop.Reach = reachOf(&stop, replicas, reached)
		return stop, err
	})
}

// livingReplicas are when the replicas that live at now were last heard of.
func livingReplicas(ctx context.Context, db querier, now time.Time) (map[string]time.Time, error) {
	rows, err := db.Query(ctx, `-- name: replicas_list
		SELECT replica, seen_at FROM guard_replicas WHERE ended_at IS NULL AND seen_at > $1`, now.Add(-livingFor))
	if err != nil {
		return nil, err
	}
	replicas := make(map[string]time.Time)
	var name string
	var seen time.Time
	_, err = pgx.ForEachRow(rows, []any{&name, &seen}, func() error { replicas[name] = seen.UTC(); return nil })
	return replicas, err
}

// reachOf is each replica's part in a stop: those that live, unless it is
// lifted, and those that have obeyed it.
func reachOf(stop *accounting.Stop, living, reached map[string]time.Time) []accounting.StopReach {
	reach := make([]accounting.StopReach, 0, len(living))
	for name, at := range reached {
		r := accounting.StopReach{Replica: name, SeenAt: at.UTC(), ActiveAt: new(at.UTC())}
		if seen, alive := living[name]; alive {
			r.SeenAt = seen
		}
		r.After = new(max(0, at.Sub(stop.CreatedAt).Seconds())) // a clock may run behind
		reach = append(reach, r)
	}
	for name, seen := range living {
		if _, obeyed := reached[name]; !obeyed && stop.LiftedAt == nil {
			reach = append(reach, accounting.StopReach{Replica: name, SeenAt: seen})
		}
	}
	slices.SortFunc(reach, func(a, b accounting.StopReach) int { return cmp.Compare(a.Replica, b.Replica) })
	return reach
}

// GuardRules returns what the guards of all replicas go by, as of one version.
func (s *Store) GuardRules(ctx context.Context) (accounting.GuardRules, error) {
	var rules accounting.GuardRules
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		if err := tx.QueryRow(ctx, `-- name: guard_version
			SELECT version FROM guard_state`).Scan(&rules.Version); err != nil {
			return err
		}
		if rules.Budgets, err = queryBudgets(ctx, tx, `WHERE deleted_at IS NULL ORDER BY id`); err != nil {
			return err
		}
		if rules.Stops, err = s.queryStops(ctx, tx, `WHERE $1 OR lifted_at IS NULL ORDER BY created_at DESC, id`, false); err != nil {
			return err
		}
		rules.Experiments, err = queryExperiments(ctx, tx, `WHERE state = 'running' AND enforce ORDER BY id`)
		return err
	})
	if err != nil {
		return accounting.GuardRules{}, fmt.Errorf("read rules of the guard: %w", err)
	}
	return rules, nil
}
