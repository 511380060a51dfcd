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
	owners        map[text]requestID
	claimed       map[text]requestID // owners that this transaction adds
}

func newIdentities(table, column string) *identities {
	return &identities{table: table, column: column, owners: make(map[text]requestID), claimed: make(map[text]requestID)}
}

// claim makes target the owner of id, unless it has one.
func (i *identities) claim(id text, target requestID) {
	if id == "" {
		return
	}
	if _, owned := i.owners[id]; !owned {
		i.owners[id], i.claimed[id] = target, target
	}
}

// find loads the owners of ids.
func (i *identities) find(ctx context.Context, tx pgx.Tx, ids []text) error {
	rows, err := tx.Query(ctx, fmt.Sprintf(`-- name: %[1]s_find
		SELECT %[2]s, usage_id FROM %[1]s WHERE %[2]s = ANY($1)`, i.table, i.column), parameterArray(ids))
	if err != nil {
		return err
	}
	var id text
	var owner requestID
	_, err = pgx.ForEachRow(rows, []any{&id, &owner}, func() error {
		i.owners[id] = owner
		return nil
	})
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
	tag, err := tx.Exec(ctx, fmt.Sprintf(`-- name: %[1]s_insert
		INSERT INTO %[1]s (%[2]s, usage_id, created_at)
		SELECT * FROM unnest($1::text[], $2::uuid[], $3::timestamptz[])
		ON CONFLICT (%[2]s) DO NOTHING`, i.table, i.column), parameterArray(ids), parameterArray(owners), parameterArray(times(owners)))
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
		if owner, ok := jobs.owners[in.row.jobID]; ok {
			in.target = owner
		}
		if owner, ok := generations.owners[in.row.generationID]; ok {
			in.target = owner
		}
		generations.claim(in.row.generationID, in.target)
		jobs.claim(in.row.jobID, in.target)
	}
	for _, in := range polls {
		if in.target = jobs.owners[in.row.jobID]; in.target == (requestID{}) {
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
	seen := make(map[text]bool)
	for _, in := range events {
		if v := value(in); v != "" {
			seen[v] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// times are created_at of the rows with these ids.
func times(ids []requestID) []time.Time {
	created := make([]time.Time, len(ids))
	for i, id := range ids {
		created[i] = id.time()
	}
	return created
}
