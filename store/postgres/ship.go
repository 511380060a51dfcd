package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// Ship records a batch of events in one transaction: Closed, Interrupted,
// Polled and Refused ones, in the order in which they happened. Polls are
// applied after everything else, so that a job and its polls may come together.
// A Refused event makes a decision only, and counts in no figure of the
// Shipment.
//
// Shipping an event again changes nothing, in this batch or another, here or
// on another replica. An event whose generation (or job) another call's row
// has already, updates that row and makes none of its own.
func (s *Store) Ship(ctx context.Context, events []accounting.Event) (accounting.Shipment, error) {
	if len(events) == 0 {
		return accounting.Shipment{}, nil
	}
	var shipment accounting.Shipment
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		// Afresh in each attempt: merging writes to what was received.
		b, err := s.receive(events)
		if err != nil {
			return err
		}
		shipment, err = s.ship(ctx, tx, b)
		return err
	})
	if err != nil {
		return accounting.Shipment{}, fmt.Errorf("ship %d events: %w", len(events), err)
	}
	return shipment, nil
}

// entry is a row that a batch touches.
type entry struct {
	stored   *row      // as it is in the table; nil: as now
	now      *row      // with the batch's events
	maker    *incoming // whose row this transaction inserts; nil: it exists
	inserted bool
	absorbed bool // now may differ from stored
}

func (s *Store) ship(ctx context.Context, tx pgx.Tx, b batch) (accounting.Shipment, error) {
	var shipment accounting.Shipment
	budgets, err := s.readBook(ctx, tx)
	if err != nil {
		return shipment, err
	}
	d := newDeltas(budgets)
	if err := resolve(ctx, tx, b.calls, b.polls); err != nil {
		return shipment, err
	}
	entries, err := insertCalls(ctx, tx, b.calls)
	if err != nil {
		return shipment, fmt.Errorf("insert usage: %w", err)
	}
	all := slices.Concat(b.calls, b.polls)
	if err := lockOthers(ctx, tx, entries, all); err != nil {
		return shipment, fmt.Errorf("lock usage: %w", err)
	}
	for _, in := range all {
		e := entries[in.target]
		switch {
		case e == nil && in.poll():
			shipment.Orphans = append(shipment.Orphans, *in.event)
		case e == nil:
			// Neither inserted nor found: its month is being attached.
			return shipment, errRaced
		case e.maker == in:
			shipment.Inserted++
			d.budgets.step(nil, e.now, in.own())
		default:
			was := *e.now
			if e.stored == nil {
				e.stored = &was
			}
			e.absorbed = true
			if s.absorb(e.now, in); sameRow(&was, e.now) {
				shipment.Replayed++
			} else {
				shipment.Updated++
				d.budgets.step(&was, e.now, in.own())
			}
		}
	}
	if err := s.decided(ctx, tx, d, b.decided); err != nil {
		return shipment, err
	}
	shipment.Postings, err = s.write(ctx, tx, entries, d)
	return shipment, err
}

// insertCalls makes a row of the first event of each target. Those that are
// returned did not exist before.
func insertCalls(ctx context.Context, tx pgx.Tx, calls []*incoming) (map[requestID]*entry, error) {
	entries := make(map[requestID]*entry, len(calls))
	made := make([]entry, 0, len(calls)) // one piece of memory for all
	rows := make([]*row, 0, len(calls))
	for _, in := range calls {
		if entries[in.target] != nil {
			continue
		}
		r := in.row
		if r.id != in.target {
			// Its row exists already, unless retention has removed it, and
			// then this one takes its place.
			other := *r
			other.id, other.createdAt = in.target, in.target.time()
			r = &other
		}
		made = append(made, entry{now: r, maker: in})
		entries[in.target] = &made[len(made)-1]
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return entries, nil
	}
	slices.SortFunc(rows, compareRows)
	err := writeRows(ctx, tx, insertRowsSQL, rows, func(values [][]byte) {
		entries[requestID(values[0])].inserted = true
	})
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(entries, func(_ requestID, e *entry) bool { return !e.inserted })
	return entries, nil
}

// lockOthers adds to entries the rows that events belong to and that existed
// before.
func lockOthers(ctx context.Context, tx pgx.Tx, entries map[requestID]*entry, events []*incoming) error {
	wanted := make(map[requestID]bool)
	var ids []requestID
	for _, in := range events {
		if in.target != (requestID{}) && entries[in.target] == nil && !wanted[in.target] {
			wanted[in.target] = true
			ids = append(ids, in.target)
		}
	}
	rows, err := lockRows(ctx, tx, ids)
	for _, r := range rows {
		stored := *r
		entries[r.id] = &entry{stored: &stored, now: r}
	}
	return err
}

// lockRows reads rows under lock, in the order of their ids.
func lockRows(ctx context.Context, tx pgx.Tx, ids []requestID) ([]*row, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	found, err := tx.Query(ctx, lockRowsSQL, ids, times(ids))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, func(cr pgx.CollectableRow) (*row, error) {
		r := new(row)
		return r, cr.Scan(fields(r)...)
	})
}

// write brings the table and the sums up to what entries now say. The steps of
// the budgets are in d already, since each depends on the event that made it.
func (s *Store) write(ctx context.Context, tx pgx.Tx, entries map[requestID]*entry, d *deltas) ([]accounting.Posting, error) {
	var (
		all      = make([]*entry, 0, len(entries))
		changed  []*row
		postings []accounting.Posting
		steps    []step
	)
	for _, e := range entries {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int { return compareRows(a.now, b.now) })
	for _, e := range all {
		if e.absorbed && !sameRow(e.stored, e.now) {
			changed = append(changed, e.now)
		} else if !e.inserted {
			continue
		}
		var before *row
		if !e.inserted {
			before = e.stored
		}
		d.move(before, e.now)
		steps = append(steps, step{before, e.now})
		steps[len(steps)-1].rows(d.experiments.call)
		if p, recorded := posting(before, e.now); recorded {
			postings = append(postings, p)
		}
	}
	if err := updateRows(ctx, tx, changed); err != nil {
		return nil, err
	}
	d.tally()
	if err := postEconomics(ctx, tx, steps, d.groups); err != nil {
		return nil, err
	}
	if err := d.experiments.post(ctx, tx); err != nil {
		return nil, err
	}
	return postings, s.post(ctx, tx, d)
}

func updateRows(ctx context.Context, tx pgx.Tx, rows []*row) error {
	if len(rows) == 0 {
		return nil
	}
	if err := writeRows(ctx, tx, updateRowsSQL, rows, nil); err != nil {
		return fmt.Errorf("update usage: %w", err)
	}
	return nil
}

func compareRows(a, b *row) int { return slices.Compare(a.id[:], b.id[:]) }
