package guard

import (
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// question is one account's part in a question to the bank.
type question struct {
	account *account
	accounting.LeaseRequest
	pot  pot          // that what is granted goes to
	need amount       // Need
	back [pots]amount // Return, by the pot that it was taken from
}

func newQuestion(a *account) *question {
	return &question{account: a, LeaseRequest: accounting.LeaseRequest{LeaseKey: a.key}}
}

func (q *question) returned() amount { return q.back[common] + q.back[essential] }

// plan is what the bank should be asked for an account now, nil for nothing.
// Money that goes back is no longer in the account.
func (l *leaser) plan(a *account, set *ruleSet, now time.Time, tick bool) *question {
	if a.retired.Load() {
		return l.clear(a)
	}
	if tick {
		a.pace.measure(a, now)
		a.low.Store(a.pace.low())
	}
	if len(l.waiters[a]) > 0 {
		l.serve(a, [pots]amount{})
		if q := l.need(a, now); q != nil {
			return q
		}
	}
	r := set.byID[a.key.BudgetID]
	if r != nil && r.budget.Mode != accounting.ModeHard {
		r = nil
	}
	if l.failing.IsZero() { // else nothing is risked that a call may still use
		if q := l.spare(a, r, now, tick); q != nil {
			return q
		}
		if q := l.topUp(a, r, now); q != nil {
			return q
		}
	}
	if tick && a.book.doubtful() {
		return newQuestion(a) // only to be told what the database holds
	}
	if tick && a.inHand(essential) <= 0 && a.users.Load() == 0 {
		delete(l.funded, a)
	}
	return nil
}

// clear gives back the money of an account that has left the table. Nobody
// will ask for it again, whatever the answer is.
func (l *leaser) clear(a *account) *question {
	q := l.giveBack(a, 0)
	if q == nil {
		delete(l.funded, a)
	}
	return q
}

// need is a question for calls that wait. The two kinds of calls take turns,
// since one question has one cap. Those whose like the bank has just refused
// are refused without it.
func (l *leaser) need(a *account, now time.Time) *question {
	a.book.turn = essential - a.book.turn
	for _, p := range [pots]pot{a.book.turn, essential - a.book.turn} {
		smallest, sum, limit := l.demand(a, p)
		if smallest == 0 {
			continue
		}
		have := a.inHand(p)
		need := max(1, smallest-have)
		if a.book.refusal[p].holds(need, now) {
			l.turnAway(a, p, smallest)
			continue
		}
		want := sum - have
		a.pace.sawLargest(a)
		if !a.tight.Load() {
			want += max(a.pace.target(), min(smallest, most/4))
		}
		q := newQuestion(a)
		q.pot, q.need, q.Cap = p, need, limit
		q.Need, q.Want = exact(need), exact(min(max(need, want), most))
		return q
	}
	return nil
}

// demand is what calls of one kind wait for, and the cap of a lease for them.
func (l *leaser) demand(a *account, p pot) (smallest, sum amount, limit decimal.Decimal) {
	for _, w := range l.waiters[a] {
		if w.pot != p || w.state.Load() != waiting {
			continue
		}
		if smallest == 0 || w.charge < smallest {
			smallest = w.charge
		}
		sum = min(sum+w.charge, most)
		limit = w.rule.lease(p)
	}
	return smallest, sum, limit
}

// spare is a question that gives money back: all of it if the account is idle
// or no longer under a hard budget (r is nil), or if somebody is short; what is
// clearly too much if spending has slowed down.
func (l *leaser) spare(a *account, r *rule, now time.Time, tick bool) *question {
	if r == nil || a.tight.Load() {
		return l.giveBack(a, 0)
	}
	if !tick {
		return nil
	}
	if now.UnixNano()-a.lastUsed.Load() >= int64(l.idle) {
		return l.giveBack(a, 0)
	}
	if target := a.pace.target(); a.inHand(essential) > 2*min(target, most/2) {
		return l.giveBack(a, target)
	}
	return nil
}

// giveBack is a question that returns what the account has beyond keep, nil if
// there is nothing.
func (l *leaser) giveBack(a *account, keep amount) *question {
	q := newQuestion(a)
	q.back[essential] = a.withdraw(essential, keep)
	q.back[common] = a.withdraw(common, max(0, keep-max(0, a.free[essential].Load())))
	if q.returned() == 0 {
		return nil
	}
	q.Return = exact(q.returned())
	return q
}

// topUp asks for money before it runs out. Near the limit it asks for no more
// than a fair share of what is left.
func (l *leaser) topUp(a *account, r *rule, now time.Time) *question {
	p := pot(a.latest.Load())
	if r == nil || a.tight.Load() || now.UnixNano() >= a.end || now.UnixNano()-a.lastUsed.Load() >= int64(l.idle) {
		return nil
	}
	have := a.inHand(p)
	if have >= a.low.Load() {
		return nil
	}
	a.pace.sawLargest(a)
	want := a.pace.target() - have
	if f := a.figures.Load(); f != nil {
		left := floor(f.Ceiling.Sub(f.Total)) / (2 * max(1, l.living.Load()))
		want = min(want, left)
	}
	if want <= 0 {
		return nil
	}
	q := newQuestion(a)
	q.pot, q.Want, q.Cap = p, exact(want), r.lease(p)
	return q
}

// serve gives calls that wait what the account has in hand and money that is
// new.
func (l *leaser) serve(a *account, money [pots]amount) {
	for p, have := range a.empty() {
		money[p] += have
	}
	kept := l.waiters[a][:0]
	for _, w := range l.waiters[a] {
		if !w.serve(&money) {
			kept = append(kept, w)
		}
	}
	l.keep(a, kept)
	for p, left := range money {
		a.free[p].Add(left)
	}
}

func (l *leaser) keep(a *account, ws []*waiter) {
	if len(ws) == 0 {
		delete(l.waiters, a)
		return
	}
	l.waiters[a] = ws
}

// turnAway refuses the calls of one kind whose charge is at least so much.
func (l *leaser) turnAway(a *account, p pot, charge amount) {
	kept := l.waiters[a][:0]
	for _, w := range l.waiters[a] {
		if w.pot != p || w.charge < charge {
			kept = append(kept, w)
			continue
		}
		w.answer(noRoom)
	}
	l.keep(a, kept)
}

// book takes the bank's answer to a question.
func (l *leaser) book(q *question, lease *accounting.Lease) {
	a, now := q.account, l.now()
	if a.retired.Load() {
		// What the database holds beyond what was asked for may be another
		// account's of the same key.
		a.book.known = false
	}
	fresh, found := a.book.answer(lease.Granted, lease.Held, a.consumed.Load(), now)
	set := l.rules()
	if limit, ok := set.limitOf(a.key.BudgetID); ok {
		a.observe(lease.PeriodFigures, limit, now)
	}
	money := [pots]amount{common: fresh + found}
	if r := set.byID[a.key.BudgetID]; r != nil && r.split {
		money = [pots]amount{essential: fresh + found}
		if q.pot == common && q.Cap.Equal(r.allowance) {
			money = [pots]amount{common: fresh, essential: found}
		}
	}
	if q.returned() > 0 {
		a.book.refusal = [pots]refusal{} // there is more now
	}
	l.serve(a, money)
	if q.Want.IsPositive() && !lease.Granted.IsPositive() {
		a.low.Store(0) // until the next tick
	}
	if q.need > 0 && !lease.Granted.IsPositive() {
		a.book.refusal[q.pot] = refusal{need: q.need, until: now.Add(refusalLasts)}
		l.turnAway(a, q.pot, a.inHand(q.pot)+q.need)
	}
}
