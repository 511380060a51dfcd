package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// Settle records OpenRouter's own record of a call: its cost decides from now
// on, and the row leaves the queue. now becomes verified_at. What the response
// told is never erased; what it did not tell is filled in. A record of a job
// that failed without a charge makes the row failed; any other record without
// a cost is an error, and the row stays as it was.
//
// The posting holds the difference to what was recorded before, zero if the
// response had told the same. Settling twice adds nothing.
func (s *Store) Settle(ctx context.Context, u accounting.Unsettled, g accounting.Generation, now time.Time) (accounting.Posting, error) {
	postings, err := s.settleAll(ctx, []Settlement{{ID: u.ID, Generation: g, At: now}})
	if err != nil {
		return accounting.Posting{}, fmt.Errorf("settle call %s: %w", u.ID, err)
	}
	return postings[0], nil
}

// Settlement is OpenRouter's own record of a call, and when it was read.
type Settlement struct {
	ID         accounting.RequestID
	Generation accounting.Generation
	At         time.Time // becomes verified_at
}

// SettleAll is [Store.Settle] for a batch, in one transaction: all or none. A
// call is in it once. The postings are in the order of the settlements.
func (s *Store) SettleAll(ctx context.Context, all []Settlement) ([]accounting.Posting, error) {
	if len(all) == 0 {
		return nil, nil
	}
	postings, err := s.settleAll(ctx, all)
	if err != nil {
		return nil, fmt.Errorf("settle %d calls: %w", len(all), err)
	}
	return postings, nil
}

func (s *Store) settleAll(ctx context.Context, all []Settlement) (postings []accounting.Posting, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) (err error) {
		postings, err = s.settle(ctx, tx, all)
		return err
	})
	return postings, err
}

func (s *Store) settle(ctx context.Context, tx pgx.Tx, all []Settlement) ([]accounting.Posting, error) {
	budgets, err := s.readBook(ctx, tx)
	if err != nil {
		return nil, err
	}
	// The identities before the rows, as everywhere.
	generations, err := claimGenerations(ctx, tx, all)
	if err != nil {
		return nil, err
	}
	ids := make([]requestID, len(all))
	for i := range all {
		ids[i] = requestID(all[i].ID)
	}
	rows, err := lockRows(ctx, tx, ids)
	if err != nil {
		return nil, fmt.Errorf("lock usage: %w", err)
	}
	entries := make(map[requestID]*entry, len(rows))
	for _, r := range rows {
		stored := *r
		entries[r.id] = &entry{stored: &stored, now: r, absorbed: true}
	}
	if len(entries) < len(all) {
		return nil, errNoRow
	}
	d := newDeltas(budgets)
	postings := make([]accounting.Posting, len(all))
	for i, id := range ids {
		g, at, e := all[i].Generation, all[i].At, entries[id]
		if owner, owned := generations.ownerOf(clean(g.ID)); owned && owner != id {
			g.ID = "" // it stays with that row
		}
		if err := settleRow(e.now, &g, at); err != nil {
			return nil, err
		}
		d.budgets.step(e.stored, e.now, false)
		d.alerts = append(d.alerts, s.varianceAlerts(e.stored, e.now, at)...)
		postings[i], _ = posting(e.stored, e.now)
	}
	_, err = s.write(ctx, tx, entries, d)
	return postings, err
}

// errNoRow is the answer to the settlement of a call that has no row, or to two
// of one call.
var errNoRow = errors.New("no row with that id")

// claimGenerations makes each call the owner of its generation, unless another
// one is: a job learns its generation only here.
func claimGenerations(ctx context.Context, tx pgx.Tx, all []Settlement) (*identities, error) {
	generations := newIdentities("generations", "generation_id")
	var ids []text
	for i := range all {
		if id := clean(all[i].Generation.ID); id != "" {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return generations, nil
	}
	if err := generations.find(ctx, tx, ids); err != nil {
		return nil, fmt.Errorf("find generations: %w", err)
	}
	for i := range all {
		generations.claim(clean(all[i].Generation.ID), requestID(all[i].ID))
	}
	if err := generations.save(ctx, tx); err != nil {
		return nil, fmt.Errorf("insert generations: %w", err)
	}
	return generations, nil
}
