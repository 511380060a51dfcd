package guard

import (
	"context"
	"sync/atomic"
	"time"
)

// outcome is how a wait for money ended.
type outcome int

const (
	granted outcome = iota
	noRoom          // the budget has not that much left
	noLease         // the bank did not answer in time
)

// waiter is a call that waits for money of one account. Its caller is a user of
// the account.
type waiter struct {
	account *account
	rule    *rule
	pot     pot
	charge  amount

	state atomic.Int32 // see below; whoever moves it from waiting decides
	done  chan outcome // one value, sent by the leaser
}

const (
	waiting int32 = iota
	answered
	left
)

// answer ends the wait, false if the caller has left.
func (w *waiter) answer(o outcome) bool {
	if !w.state.CompareAndSwap(waiting, answered) {
		return false
	}
	w.done <- o
	return true
}

// wait waits for the leaser's answer, until the timer or the context end.
func (w *waiter) wait(ctx context.Context, expired <-chan time.Time) outcome {
	select {
	case o := <-w.done:
		return o
	case <-expired:
	case <-ctx.Done():
	}
	if w.leave() {
		return noLease
	}
	return <-w.done // the answer came first
}

// leave gives the wait up, false if the answer came first.
func (w *waiter) leave() bool { return w.state.CompareAndSwap(waiting, left) }

// cancel gives the wait up and gives back what came of it.
func (w *waiter) cancel() {
	if !w.leave() && <-w.done == granted {
		w.account.settle(w.pot, w.charge, 0)
	}
}

// serve gives the waiter its charge out of money, if there is enough. served
// reports whether it waits no longer.
func (w *waiter) serve(money *[pots]amount) (served bool) {
	if w.state.Load() == left {
		return true
	}
	have := money[common]
	if w.pot == essential {
		have += money[essential]
	}
	if have < w.charge {
		return false
	}
	a := w.account
	a.reserved.Add(w.charge)
	if !w.answer(granted) {
		a.reserved.Add(-w.charge)
		return true
	}
	a.charged.Add(w.charge)
	a.latest.Store(int32(w.pot))
	a.noteLargest(w.charge)
	if w.pot == essential {
		part := min(w.charge, max(0, money[essential]))
		// A debt of the essential pot stays there.
		money[essential] -= part
		money[common] -= w.charge - part
		return true
	}
	money[common] -= w.charge
	return true
}
