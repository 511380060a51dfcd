package postgres

import (
	"maps"
	"slices"

	"github.com/shopspring/decimal"
)

// budgetDeltas are what a transaction adds to the periods of budgets.
type budgetDeltas struct {
	book    *book
	periods map[periodKey]periodDelta
	taken   map[leaseID]decimal.Decimal // of it, from leases; less than 0 goes back there

	before, after []share // reused
}

type periodDelta struct{ settled, reserved, estimated decimal.Decimal }

func (d periodDelta) plus(o periodDelta) periodDelta {
	return periodDelta{plus(d.settled, 1, o.settled), plus(d.reserved, 1, o.reserved), plus(d.estimated, 1, o.estimated)}
}

func (d periodDelta) minus(o periodDelta) periodDelta {
	return periodDelta{plus(d.settled, -1, o.settled), plus(d.reserved, -1, o.reserved), plus(d.estimated, -1, o.estimated)}
}

func (d periodDelta) isZero() bool {
	return d.settled.IsZero() && d.reserved.IsZero() && d.estimated.IsZero()
}

// leaseID is the key of budget_leases.
type leaseID struct {
	replica string
	period  periodKey
}

func newBudgetDeltas(b *book) *budgetDeltas {
	return &budgetDeltas{book: b, periods: make(map[periodKey]periodDelta), taken: make(map[leaseID]decimal.Decimal)}
}

// step adds the step of a row from before to after; before is nil for a row
// that is new. own: the call's own event has made it, so what it consumes was
// charged to its replica's lease. Everything else moves granted directly.
func (d *budgetDeltas) step(before, after *row, own bool) {
	d.before, d.after = d.before[:0], d.after[:0]
	if before != nil {
		d.before = d.book.sharesOf(before, d.before)
	}
	d.after = d.book.sharesOf(after, d.after)
	d.move(d.before, d.after)
	if !own || after.reservation == nil {
		return
	}
	for i := range after.reservation.Charges {
		key := after.reservation.Charges[i].key()
		if d.book.byID[key.budget] == nil {
			continue
		}
		var consumed decimal.Decimal
		if s := find(d.after, key); s != nil {
			consumed = s.consumption()
		}
		if s := find(d.before, key); s != nil {
			consumed = consumed.Sub(s.consumption())
		}
		lease := leaseID{after.reservation.Replica, key}
		d.taken[lease] = d.taken[lease].Add(consumed)
	}
}

// move adds the step from what was counted to what is.
func (d *budgetDeltas) move(was, is []share) {
	for i := range was {
		d.periods[was[i].key] = d.periods[was[i].key].minus(was[i].periodDelta)
	}
	for i := range is {
		d.periods[is[i].key] = d.periods[is[i].key].plus(is[i].periodDelta)
	}
}

// changed are the keys of what is not zero, in the order in which their rows
// are locked. Those of leases are among them, since a lease is only touched
// under its period's lock.
func (d *budgetDeltas) changed() []periodKey {
	maps.DeleteFunc(d.taken, func(_ leaseID, amount decimal.Decimal) bool { return amount.IsZero() })
	touched := make(map[periodKey]bool, len(d.taken))
	for id := range d.taken {
		touched[id.period] = true
	}
	maps.DeleteFunc(d.periods, func(k periodKey, p periodDelta) bool { return p.isZero() && !touched[k] })
	return slices.SortedFunc(maps.Keys(d.periods), comparePeriods)
}
