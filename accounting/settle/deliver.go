package settle

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"bursar/accounting"
)

// deliver ships all work. It returns when there is none left or when ctx ends,
// with what is left still in work.
func (s *Shipper) deliver(ctx context.Context) {
	for failures := 0; len(s.work) > 0 && ctx.Err() == nil; {
		top := len(s.work) - 1
		part := s.work[top]
		shipment, err := s.ship(ctx, part)
		switch {
		case err == nil:
			failures = 0
			s.work = s.work[:top]
			s.shipped(part, &shipment)
		case ctx.Err() != nil:
			// Stopped in the middle: whether it was committed is not known,
			// and does not matter, since the same part may be shipped twice.
			return
		case isPermanent(err) && len(part) > 1:
			// One bad event must not hold up the others: halve until it is
			// alone.
			s.work = append(s.work[:top], part[len(part)/2:], part[:len(part)/2])
		case isPermanent(err):
			s.work = s.work[:top]
			s.reject(part[0], err)
		default:
			s.shipping.failed(err)
			sleep(ctx, s.retry.delay(failures, rand.Float64()))
			failures++
		}
	}
	if len(s.work) == 0 {
		s.oldest.Store(0)
	}
}

// ship tries one transaction.
func (s *Shipper) ship(ctx context.Context, part []accounting.Event) (accounting.Shipment, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.ShipTimeout)
	defer cancel()
	began := time.Now()
	shipment, err := s.opts.Ledger.Ship(ctx, part)
	s.metrics.observe(time.Since(began), len(part), err)
	if err == nil || isPermanent(err) {
		s.shipping.ended() // the ledger is there; it is the data that is bad
	}
	return shipment, err
}

// isPermanent reports whether the error is one of the data, which trying again
// cannot help: it says so itself, or it is PostgreSQL's and of SQLSTATE class 22
// (data exception) or 23 (integrity constraint violation).
func isPermanent(err error) bool {
	var p interface{ Permanent() bool }
	if errors.As(err, &p) {
		return p.Permanent()
	}
	var sql interface{ SQLState() string }
	if !errors.As(err, &sql) {
		return false
	}
	state := sql.SQLState()
	return strings.HasPrefix(state, "22") || strings.HasPrefix(state, "23")
}

// shipped follows up a commit: the journal may forget the events, except for
// polls that found no row; listeners hear what changed.
func (s *Shipper) shipped(part []accounting.Event, shipment *accounting.Shipment) {
	now := time.Now()
	s.metrics.count(shipment)
	done := s.keepOrphans(shipment.Orphans, part, now)
	if len(done) == 0 && len(s.orphans.kept) == 0 {
		done = part // as ever but for jobs; a copy of a full batch is large
	} else {
		done = s.appendAcknowledged(done, part)
	}
	pending := false
	for i := range part {
		e := &part[i]
		if s.orphans.holds(e.ID) {
			continue
		}
		s.metrics.delay.Observe(max(0, now.Sub(ended(e)).Seconds()))
		pending = pending || e.Status() == accounting.StatusPending
	}
	s.ack(done)
	if s.opts.Posted != nil && len(shipment.Postings) > 0 {
		s.opts.Posted(shipment.Postings)
	}
	if s.opts.Pending != nil && pending {
		s.opts.Pending()
	}
}

// appendAcknowledged appends to done the events of part that are not kept for
// another offer.
func (s *Shipper) appendAcknowledged(done, part []accounting.Event) []accounting.Event {
	for i := range part {
		if !s.orphans.holds(part[i].ID) {
			done = append(done, part[i])
		}
	}
	return done
}

// keepOrphans keeps the polls of part that found no row, for another offer. It
// returns those outside part that had to make room for them.
func (s *Shipper) keepOrphans(orphaned, part []accounting.Event, now time.Time) []accounting.Event {
	givenUp := s.orphans.keep(orphaned, part, now)
	if len(givenUp) == 0 {
		return nil
	}
	s.metrics.orphansGivenUp.Add(float64(len(givenUp)))
	s.opts.Logger.Warn().Int("polls", len(givenUp)).Str("first_job", givenUp[0].JobID).
		Msg("polled jobs that no recorded call created; their cost is not recorded")
	return slices.DeleteFunc(givenUp, func(e accounting.Event) bool {
		return slices.ContainsFunc(part, func(p accounting.Event) bool { return p.ID == e.ID })
	})
}

// reject sets aside an event that the ledger refuses for good.
func (s *Shipper) reject(e accounting.Event, cause error) {
	s.metrics.rejected.Inc()
	s.orphans.drop(e.ID)
	kept := errors.New("there is no place for it")
	if s.opts.Reject != nil {
		kept = s.opts.Reject(e, cause)
	}
	log := s.opts.Logger.Error().Stringer("request_id", e.ID).AnErr("cause", cause)
	if kept != nil {
		// Not acknowledged: the journal delivers it again after a restart.
		log.AnErr("rejects", kept).Msg("the ledger refuses an event; the journal keeps what it has of it")
		return
	}
	log.Msg("the ledger refuses an event; it is kept among the rejects")
	s.ack([]accounting.Event{e})
}

// ack tells the journal, together with what it did not take before. Should it
// fail for long, the oldest are let go: all it costs is that they are shipped
// again after a restart, which changes nothing.
func (s *Shipper) ack(done []accounting.Event) {
	if len(s.unacked) > 0 {
		done = append(s.unacked, done...)
	}
	if len(done) == 0 {
		return
	}
	if err := s.opts.Journal.Ack(done); err != nil {
		s.acking.failed(err)
		s.unacked = slices.Clone(done[max(0, len(done)-10*s.opts.BatchSize):])
		return
	}
	s.acking.ended()
	s.unacked = nil
}
