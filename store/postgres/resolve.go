package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// identities are who owns which id: the row of a generation, of a job.
type identities struct {
	table, column string
	owners        map[text]requestID // stored
	claimed       map[text]requestID // added by this transaction
}

func newIdentities(table, column string) *identities {
	return &identities{table: table, column: column, owners: make(map[text]requestID), claimed: make(map[text]requestID)}
}

// claim makes target the owner of id, unless it has one.
func (i *identities) claim(id text, target requestID) {
	if id == "" {
		return
	}
	if _, owned := i.ownerOf(id); !owned {
		i.claimed[id] = target
	}
}

// ownerOf is the row of id, stored or claimed.
func (i *identities) ownerOf(id text) (owner requestID, owned bool) {
	if owner, owned = i.owners[id]; !owned {
		owner, owned = i.claimed[id]
	}
	return owner, owned
}

// find loads the owners of ids.
func (i *identities) find(ctx context.Context, tx pgx.Tx, ids []text) error {
	a := newArrays()
	defer a.release()
	addAll(a, wireText, ids)
	_, err := a.query(ctx, tx, fmt.Sprintf(`-- name: %[1]s_find
		SELECT %[2]s, usage_id FROM %[1]s WHERE %[2]s = ANY($1)`, i.table, i.column),
		func(values [][]byte) { i.owners[text(values[0])] = requestID(values[1]) })
	return err
}

// save writes what was claimed, in the order of the ids. It waits for any
// transaction that is writing one of them, and returns errRaced if that one
// was quicker.
func (i *identities) save(ctx context.Context, tx pgx.Tx) error {
	if len(i.claimed) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(i.claimed))
	owners := make([]requestID, len(ids))
	for n, id := range ids {
		owners[n] = i.claimed[id]
	}
	a := newArrays()
	defer a.release()
	addAll(a, wireText, ids)
	addAll(a, wireID, owners)
	addAll(a, wireTime, times(owners))
	tag, err := a.query(ctx, tx, fmt.Sprintf(`-- name: %[1]s_insert
		INSERT INTO %[1]s (%[2]s, usage_id, created_at)
		SELECT * FROM unnest($1::text[], $2::uuid[], $3::timestamptz[])
		ON CONFLICT (%[2]s) DO NOTHING`, i.table, i.column), nil)
	if err == nil && tag.RowsAffected() < int64(len(ids)) {
		return errRaced
	}
	return err
}

// resolve finds for every event the row it belongs to: that of its generation,
// else that of its job, else its own. It claims the generations and jobs that
// are new. A poll belongs to its job's row only, and to none if the job is not
// known.
func resolve(ctx context.Context, tx pgx.Tx, calls, polls []*incoming) error {
	generations := newIdentities("generations", "generation_id")
	jobs := newIdentities("jobs", "job_id")
	all := slices.Concat(calls, polls)
	if ids := distinct(all, func(in *incoming) text { return in.row.generationID }); len(ids) > 0 {
		if err := generations.find(ctx, tx, ids); err != nil {
			return fmt.Errorf("find generations: %w", err)
		}
	}
	if ids := distinct(all, func(in *incoming) text { return in.row.jobID }); len(ids) > 0 {
		if err := jobs.find(ctx, tx, ids); err != nil {
			return fmt.Errorf("find jobs: %w", err)
		}
	}
	for _, in := range calls {
		in.target = in.row.id
		if owner, ok := jobs.ownerOf(in.row.jobID); ok {
			in.target = owner
		}
		if owner, ok := generations.ownerOf(in.row.generationID); ok {
			in.target = owner
		}
		generations.claim(in.row.generationID, in.target)
		jobs.claim(in.row.jobID, in.target)
	}
	for _, in := range polls {
		if in.target, _ = jobs.ownerOf(in.row.jobID); in.target == (requestID{}) {
			continue
		}
		generations.claim(in.row.generationID, in.target)
	}
	if err := generations.save(ctx, tx); err != nil {
		return fmt.Errorf("insert generations: %w", err)
	}
	if err := jobs.save(ctx, tx); err != nil {
		return fmt.Errorf("insert jobs: %w", err)
	}
	return nil
}

// distinct are the values of the events, without the empty one.
func distinct(events []*incoming, value func(*incoming) text) []text {
	values := make([]text, 0, len(events))
	for _, in := range events {
		if v := value(in); v != "" {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// times are created_at of the rows with these ids.
func times(ids []requestID) []time.Time {
	created := make([]time.Time, len(ids))
	for i, id := range ids {
		created[i] = id.time()
	}
	return created
}
