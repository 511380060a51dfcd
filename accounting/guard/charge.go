package guard

import (
	"errors"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

var errNoRate = errors.New("no exchange rate from USD to EUR is known")

// charge reserves the call's worst case from every hard budget that applies, or
// from none.
func (q *inquiry) charge() {
	if !q.price() {
		return
	}
	missing := false
	for i := range q.count() {
		h := q.hit(i)
		if h.rule.budget.Mode != accounting.ModeHard {
			continue
		}
		q.chargeOne(h)
		missing = missing || h.waiter != nil
		if q.settleHard(i) {
			q.undo()
			return
		}
	}
	if missing && !q.await() {
		q.undo()
	}
}

// price finds out what the call can cost; false if nothing bounds it, or it
// cannot be said in a budget's currency.
func (q *inquiry) price() bool {
	q.boundBy = accounting.BoundComputed
	eur := false
	first := -1
	for i := range q.count() {
		b := &q.hit(i).rule.budget
		if b.Mode != accounting.ModeHard {
			continue
		}
		if first < 0 {
			first = i
		}
		if b.Bound == accounting.BoundProvider {
			q.boundBy = accounting.BoundProvider
		}
		eur = eur || b.Currency == accounting.EUR
	}
	q.bound, q.boundErr = q.ask.Request.Bound(q.model)
	if q.boundErr != nil {
		q.blockAll(first, accounting.ReasonNoBound)
		return false
	}
	q.bounded = true
	if eur {
		if q.readRate(); q.rate.IsZero() {
			q.boundErr = errNoRate
			q.blockAll(first, accounting.ReasonNotLoaded)
			return false
		}
	}
	return true
}

// readRate notes the rate at which the call counts towards budgets in EUR; 0 if
// none is known.
func (q *inquiry) readRate() {
	if q.rate.IsZero() {
		q.rate = decimal.Max(q.guard.o.Rate(), decimal.Zero)
	}
}

// blockAll has all hard budgets block, for the same reason.
func (q *inquiry) blockAll(first int, reason accounting.BudgetReason) {
	for i := range q.count() {
		h := q.hit(i)
		if h.rule.budget.Mode == accounting.ModeHard {
			h.verdict, h.reason = accounting.VerdictBlocked, reason
		}
	}
	q.verdict, q.decider = accounting.VerdictBlocked, first
}

// chargeOne reserves from one budget, or has it wait for a grant.
func (q *inquiry) chargeOne(h *hit) {
	g := q.guard
	if h.rule.zone == nil {
		h.verdict, h.reason = accounting.VerdictBlocked, accounting.ReasonNotLoaded
		return
	}
	h.charge = q.bound
	if h.rule.budget.Currency == accounting.EUR {
		h.charge = q.bound.Mul(q.rate)
	}
	h.account = g.table.of(h.rule, h.each, q.ask.At, true)
	a := h.account
	g.renewer.use(a, q.ask.At.UnixNano())
	h.reserved = a.reserved.Load()
	units, ok := ceil(h.charge)
	if units <= 0 && ok {
		a.unpin() // it can cost nothing
		return
	}
	h.units = units
	p := h.rule.pot(q.ask.Tags.Purpose)
	if ok && a.take(p, units) {
		h.taken = true
		if a.inHand(p) < a.low.Load() && !a.tight.Load() {
			g.leaser.flag(a)
		}
		return
	}
	limit := h.rule.budget.Limit.Decimal
	if h.rule.split && p == common {
		limit = h.rule.allowance
	}
	if !ok || h.charge.GreaterThan(limit) {
		a.unpin()
		q.refuseRoom(h)
		return
	}
	h.waiter = &waiter{account: a, rule: h.rule, pot: p, charge: units, done: make(chan outcome, 1)}
	g.leaser.enqueue(h.waiter, g.o.Now())
}

// refuseRoom is the verdict of a hard budget into which the call does not fit.
func (q *inquiry) refuseRoom(h *hit) {
	h.verdict, h.reason = accounting.VerdictBlocked, accounting.ReasonNoRoom
	if b := &h.rule.budget; b.OnExceed == accounting.ExceedDowngrade && !q.downgraded() && !q.asksFor(b.DowngradeTo) {
		h.verdict = accounting.VerdictDowngraded
	}
}

// settleHard takes the verdict of hit i into the call's. It reports whether
// there is no use in going on: the call will not be sent, not as it is.
func (q *inquiry) settleHard(i int) bool {
	q.settleVerdict(i)
	return strictness(q.hit(i).verdict) > strictness(accounting.VerdictWarned)
}

// await waits for the grants that are missing. It reports whether all came; if
// not, the rest is for undo.
func (q *inquiry) await() bool {
	g := q.guard
	started := g.o.Now()
	timer := time.NewTimer(g.o.GrantWait)
	defer timer.Stop()
	defer func() { g.metrics.waited(g.o.Now().Sub(started)) }()
	for i := range q.count() {
		h := q.hit(i)
		if h.waiter == nil {
			continue
		}
		o := h.waiter.wait(q.ctx, timer.C)
		h.waiter = nil
		if o == granted {
			h.taken = true
			continue
		}
		h.account.unpin()
		if o == noRoom {
			q.refuseRoom(h)
		} else {
			h.verdict, h.reason = accounting.VerdictBlocked, accounting.ReasonNoLease
		}
		q.settleVerdict(i)
		return false
	}
	return true
}

// undo gives back what was reserved, since the call is not sent like this.
func (q *inquiry) undo() {
	for i := range q.count() {
		h := q.hit(i)
		switch {
		case h.waiter != nil:
			h.waiter.cancel()
			h.account.unpin()
			h.waiter = nil
		case h.taken:
			q.guard.giveBack(h.account, h.rule.pot(q.ask.Tags.Purpose), h.units, 0)
			h.taken = false
		}
	}
}

// giveBack ends a reservation of which consumed was used up, and with it a use
// of the account.
func (g *Guard) giveBack(a *account, p pot, charge, consumed amount) {
	a.settle(p, charge, consumed)
	a.unpin()
	if a.tight.Load() && consumed < charge {
		g.leaser.flag(a) // somebody is short of it
	}
}
