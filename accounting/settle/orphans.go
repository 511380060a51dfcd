package settle

import (
	"slices"
	"time"

	"bursar/accounting"
)

// orphanOffers is how often a poll whose job has no row is offered again. The
// row is at most some batches behind, on another shard of the journal or on
// another replica.
const orphanOffers = 5 * time.Second

// orphanage keeps the polls whose job the ledger does not know yet. They are
// offered again until they are too old: a client may well poll a job that was
// never created through Bursar. It belongs to the holder of the shipper's turn.
type orphanage struct {
	age   time.Duration // how long one is kept
	limit int           // how many; above that the oldest are given up

	kept  []orphan // in the order in which they came
	again time.Time
}

type orphan struct {
	event   accounting.Event
	since   time.Time
	offered bool // it is in the batch that is being shipped
}

// offer returns up to n orphans if it is time to.
func (o *orphanage) offer(now time.Time, n int) []accounting.Event {
	if len(o.kept) == 0 || now.Before(o.again) {
		return nil
	}
	o.again = now.Add(orphanOffers)
	var events []accounting.Event
	for i := range o.kept {
		if len(events) == n {
			break
		}
		if !o.kept[i].offered {
			o.kept[i].offered = true
			events = append(events, o.kept[i].event)
		}
	}
	return events
}

// nextOffer is when the next orphan is to be offered; false: there is none.
func (o *orphanage) nextOffer() (time.Time, bool) { return o.again, len(o.kept) > 0 }

// keep notes how shipping the events in part went: orphaned says which of them
// found no row. It returns those that are given up.
func (o *orphanage) keep(orphaned, part []accounting.Event, now time.Time) (givenUp []accounting.Event) {
	if len(orphaned) == 0 && len(o.kept) == 0 {
		return nil
	}
	shipped := make(map[accounting.RequestID]bool, len(part))
	for i := range part {
		shipped[part[i].ID] = true
	}
	still := make(map[accounting.RequestID]accounting.Event, len(orphaned))
	for _, e := range orphaned {
		still[e.ID] = e
	}
	kept := o.kept[:0]
	for _, k := range o.kept {
		_, found := still[k.event.ID]
		delete(still, k.event.ID)
		switch {
		case !shipped[k.event.ID]:
			kept = append(kept, k)
		case !found:
			// Its job's row has come.
		case now.Sub(k.since) >= o.age:
			givenUp = append(givenUp, k.event)
		default:
			k.offered = false
			kept = append(kept, k)
		}
	}
	if len(still) > 0 && len(kept) == 0 {
		o.again = now.Add(orphanOffers)
	}
	for _, e := range orphaned {
		if _, isNew := still[e.ID]; isNew {
			kept = append(kept, orphan{event: e, since: now})
		}
	}
	for len(kept) > o.limit {
		givenUp = append(givenUp, kept[0].event)
		kept = kept[1:]
	}
	o.kept = kept
	return givenUp
}

// hurry makes the next offer due at once.
func (o *orphanage) hurry() { o.again = time.Time{} }

// drop forgets the event with this id.
func (o *orphanage) drop(id accounting.RequestID) {
	o.kept = slices.DeleteFunc(o.kept, func(k orphan) bool { return k.event.ID == id })
}

// holds reports whether the event with this id is kept.
func (o *orphanage) holds(id accounting.RequestID) bool {
	for i := range o.kept {
		if o.kept[i].event.ID == id {
			return true
		}
	}
	return false
}
