package postgres

import (
	"errors"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// absorb lays an event over an existing row. It is pure but for r, and
// absorbing the same event again changes nothing, whatever came in between.
//
// Three kinds of event meet an existing row:
//   - the call itself: it completes a row whose end was never seen (one that
//     was interrupted); to a complete row it is a replay;
//   - another call that returned the same generation or job: the later call
//     wins where it knows something. Which one was the latest is kept in
//     repeated_by, so that neither's replay undoes the other;
//   - a poll of the row's job: what it knows of the job wins.
func (s *Store) absorb(r *row, in *incoming) {
	before := *r
	src := in.row
	complete := !in.poll() && !in.foreign() && r.durationMS == nil && src.durationMS != nil
	newer := !in.poll() && in.foreign() && r.latestCall().before(src.id)
	decides := complete || newer || in.poll()
	for _, c := range columns {
		switch c.rule {
		case own:
			if !in.foreign() {
				c.merge(r, src, complete)
			}
		case first:
			c.merge(r, src, complete)
		case latest:
			c.merge(r, src, decides)
		}
	}
	if newer {
		id := src.id
		r.repeatedBy = &id
	}
	if in.served && decides || r.model == unknownModel && src.model != "" {
		r.model = src.model
	}
	if r.usdToEUR == nil { // from before there were budgets
		r.usdToEUR = src.usdToEUR
	}
	r.price()
	r.status = statusAfter(&before, r, in, complete, decides)
	s.reschedule(&before, r)
}

// latestCall is the latest call that wrote the row.
func (r *row) latestCall() requestID {
	if r.repeatedBy != nil {
		return *r.repeatedBy
	}
	return r.id
}

// statusAfter is the status of a row that was before and is now merged. Its
// inline cost is the event's if that decides, or was the first to tell one;
// that of another call may be equal by chance, and of an answer that broke off.
func statusAfter(before, merged *row, in *incoming, complete, decides bool) text {
	const pending = text(accounting.StatusPending)
	gainedIdentity := !before.hasIdentity() && merged.hasIdentity()
	switch {
	case merged.generationCost != nil, before.is(accounting.StatusSettled):
		return text(accounting.StatusSettled)
	case in.row.is(accounting.StatusSettled) && same(merged.inlineCost, in.row.inlineCost) && (decides || before.inlineCost == nil):
		return text(accounting.StatusSettled)
	case in.failed:
		return text(accounting.StatusFailed)
	case gainedIdentity, before.is(accounting.StatusDismissed) && merged.cost != nil:
		return pending
	case before.is(accounting.StatusDismissed) && in.row.is(accounting.StatusInterrupted, accounting.StatusUnresolved):
		// The operator knew as much.
		return before.status
	case complete && !merged.hasIdentity():
		return in.row.status
	}
	return before.status
}

// reschedule puts a row whose case has changed at its place in the settler's
// queue. One that has not keeps it: a replay must neither wake a row that was
// given up nor delay one that is due.
func (s *Store) reschedule(before, r *row) {
	if r.status != before.status || r.generationID != before.generationID {
		r.settleNextAt = s.firstDue(r)
	}
}

var errNoCost = errors.New("OpenRouter's record has no cost")

// settleRow lays OpenRouter's own record over a row. The record decides the
// cost; of everything else it fills in what the response did not tell, because
// its token counts are the provider's own and would not add up with the
// response's.
func settleRow(r *row, g *accounting.Generation, now time.Time) error {
	if !g.Usage.Cost.Known && !g.Failed {
		return errNoCost
	}
	before := *r
	record := &row{provider: clean(g.Provider), finishReason: clean(g.FinishReason), generationID: clean(g.ID)}
	record.setUsage(&g.Usage)
	for _, c := range columns {
		if c.rule == first || c.rule == latest {
			c.merge(r, record, false)
		}
	}
	// A row that was never settled knows at best the model it asked for.
	askedOnly := r.model == unknownModel || r.model == r.requestedModel && !before.is(accounting.StatusSettled)
	if askedOnly && g.Model != "" {
		r.model = clean(g.Model)
	}
	if r.durationMS == nil {
		r.streamed = r.streamed || g.Streamed.Value
		r.cancelled = r.cancelled || g.Cancelled.Value
	}
	switch {
	case g.Usage.Cost.Known:
		r.status = text(accounting.StatusSettled)
		r.generationCost = g.Usage.Cost.Pointer()
		if r.verifiedAt == nil || !same(before.generationCost, r.generationCost) {
			r.verifiedAt = &now
		}
	case r.generationCost == nil:
		r.status = text(accounting.StatusFailed)
	}
	r.price()
	r.settleNextAt, r.settleError = nil, ""
	return nil
}

// posting is what the step from before to after added to the recorded spend.
// before is nil for a new row. recorded reports whether it added anything; a
// cost of zero that was unknown until now is something.
func posting(before, after *row) (p accounting.Posting, recorded bool) {
	var was *decimal.Decimal
	if before != nil {
		was = before.cost
	}
	p = accounting.Posting{
		ID:       accounting.RequestID(after.id),
		Tags:     after.tags(),
		Model:    string(after.model),
		Amount:   difference(after.cost, was),
		Verified: after.generationCost != nil,
		Mismatch: after.generationCost != nil && after.inlineCost != nil && !after.generationCost.Equal(*after.inlineCost),
	}
	return p, !same(was, after.cost)
}

// difference is after less before, where what is unknown is nothing.
func difference(after, before *decimal.Decimal) decimal.Decimal {
	if before == nil {
		return amount(after)
	}
	return amount(after).Sub(*before)
}

// amount is a cost as it enters a sum: unknown adds nothing.
func amount(cost *decimal.Decimal) decimal.Decimal {
	if cost == nil {
		return decimal.Decimal{}
	}
	return *cost
}
