package postgres

import (
	"context"
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
	var p accounting.Posting
	err := s.inTx(ctx, func(tx pgx.Tx) (err error) {
		p, err = s.settle(ctx, tx, requestID(u.ID), g, now)
		return err
	})
	if err != nil {
		return accounting.Posting{}, fmt.Errorf("settle call %s: %w", u.ID, err)
	}
	return p, nil
}

func (s *Store) settle(ctx context.Context, tx pgx.Tx, id requestID, g accounting.Generation, now time.Time) (accounting.Posting, error) {
	budgets, err := s.readBook(ctx, tx)
	if err != nil {
		return accounting.Posting{}, err
	}
	// The identity before the row, as everywhere. A job learns its generation
	// only here; one that another row has stays with that row.
	if generation := clean(g.ID); generation != "" {
		generations := newIdentities("generations", "generation_id")
		if err := generations.find(ctx, tx, []text{generation}); err != nil {
			return accounting.Posting{}, fmt.Errorf("find generation: %w", err)
		}
		generations.claim(generation, id)
		if err := generations.save(ctx, tx); err != nil {
			return accounting.Posting{}, fmt.Errorf("insert generation: %w", err)
		}
		if owner, _ := generations.ownerOf(generation); owner != id {
			g.ID = ""
		}
	}
	rows, err := lockRows(ctx, tx, []requestID{id})
	if err != nil {
		return accounting.Posting{}, fmt.Errorf("lock usage: %w", err)
	}
	if len(rows) == 0 {
		return accounting.Posting{}, fmt.Errorf("no row with that id")
	}
	before := *rows[0]
	e := &entry{stored: &before, now: rows[0], absorbed: true}
	if err := settleRow(e.now, &g, now); err != nil {
		return accounting.Posting{}, err
	}
	d := newDeltas(budgets)
	d.budgets.step(e.stored, e.now, false)
	d.alerts = append(d.alerts, s.varianceAlerts(e.stored, e.now, now)...)
	if _, err := s.write(ctx, tx, map[requestID]*entry{id: e}, d); err != nil {
		return accounting.Posting{}, err
	}
	p, _ := posting(&before, e.now)
	return p, nil
}
