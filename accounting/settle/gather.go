package settle

import (
	"context"
	"slices"
	"time"

	"bursar/accounting"
)

// gather makes the next batch: it waits for a first event, and then for others
// to join it: until the flush interval has passed since the last batch, and for
// a tenth of it at least. So a busy proxy gets few and large transactions, and a
// single call is in Postgres at once. It returns without one when ctx ends.
func (s *Shipper) gather(ctx context.Context) {
	batch := s.inMemory(nil)
	if len(batch) == 0 {
		batch = s.waitForFirst(ctx)
	}
	if len(batch) == 0 {
		return
	}
	// From here on the events are ours alone: they go on to work even if ctx
	// ends while others are awaited.
	pause := s.opts.FlushInterval / 10
	until, cancel := context.WithTimeout(ctx, max(pause, s.opts.FlushInterval-time.Since(s.gathered)))
	defer cancel()
	for len(batch) < s.opts.BatchSize {
		more := s.next(until, s.opts.BatchSize-len(batch))
		if len(batch)+len(more) > cap(batch) {
			batch = slices.Grow(batch, max(len(more), min(3*len(batch), s.opts.BatchSize-len(batch))))
		}
		batch = append(batch, more...)
		// Not at once again, or a busy journal is read event by event.
		if len(batch) >= s.opts.BatchSize || !sleep(until, pause) {
			break
		}
	}
	s.gathered = time.Now()
	s.take(s.inMemory(batch))
}

// gatherReady makes a batch of what is there already and reports whether there
// was anything.
func (s *Shipper) gatherReady(ctx context.Context) bool {
	soon, cancel := context.WithTimeout(ctx, s.opts.FlushInterval)
	defer cancel()
	batch := s.inMemory(nil)
	if room := s.opts.BatchSize - len(batch); room > 0 {
		batch = append(batch, s.next(soon, room)...)
	}
	s.take(batch)
	return len(batch) > 0
}

// waitForFirst blocks until there is something to ship, or ctx ends.
func (s *Shipper) waitForFirst(ctx context.Context) []accounting.Event {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	if due, ok := s.orphans.nextOffer(); ok {
		waiting, cancel = context.WithDeadline(waiting, due)
		defer cancel()
	}
	s.overflow.onPush(cancel)
	defer s.overflow.onPush(nil)
	batch := s.next(waiting, s.opts.BatchSize)
	if ctx.Err() != nil {
		return batch
	}
	return s.inMemory(batch)
}

// next reads the journal. An error that is not ctx's own is waited out here, so
// that a broken disk does not keep the overflow from being shipped.
func (s *Shipper) next(ctx context.Context, n int) []accounting.Event {
	events, err := s.opts.Journal.Next(ctx, n)
	switch {
	case err == nil:
		s.reading.ended()
	case ctx.Err() == nil:
		s.reading.failed(err)
		sleep(ctx, time.Second)
	}
	return events
}

// inMemory fills batch up with overflowed events and with orphans whose time
// has come.
func (s *Shipper) inMemory(batch []accounting.Event) []accounting.Event {
	if room := s.opts.BatchSize - len(batch); room > 0 {
		if s.overflow.depth() > 0 {
			s.oldest.CompareAndSwap(0, time.Now().UnixNano()) // or they would be nowhere for a moment: see Idle
		}
		batch = append(batch, s.overflow.take(room)...)
	}
	if room := s.opts.BatchSize - len(batch); room > 0 {
		batch = append(batch, s.orphans.offer(time.Now(), room)...)
	}
	return batch
}

// take makes batch the work to do.
func (s *Shipper) take(batch []accounting.Event) {
	batch = withoutOvertaken(batch)
	if len(batch) == 0 {
		return
	}
	s.work = append(s.work, batch)
	oldest := ended(&batch[0])
	for i := range batch {
		if end := ended(&batch[i]); end.Before(oldest) {
			oldest = end
		}
	}
	s.oldest.Store(oldest.UnixNano())
}

// withoutOvertaken removes the rows that the recorder made of Identified events
// whose call has since ended in the same batch: Closed says all of it, and the
// ledger need not expect one call twice in a transaction. An Interrupted of the
// journal has no Closed.
func withoutOvertaken(batch []accounting.Event) []accounting.Event {
	var early map[accounting.RequestID]bool
	for i := range batch {
		if batch[i].Kind == accounting.Interrupted {
			if early == nil {
				early = make(map[accounting.RequestID]bool)
			}
			early[batch[i].ID] = false
		}
	}
	if early == nil {
		return batch
	}
	for i := range batch {
		if _, ok := early[batch[i].ID]; ok && batch[i].Kind == accounting.Closed {
			early[batch[i].ID] = true
		}
	}
	return slices.DeleteFunc(batch, func(e accounting.Event) bool {
		return e.Kind == accounting.Interrupted && early[e.ID]
	})
}

// ended is when the call of an event was over.
func ended(e *accounting.Event) time.Time { return e.CreatedAt().Add(e.Duration) }
