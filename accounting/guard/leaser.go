package guard

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"bursar/accounting"
)

const (
	leaseTick   = 250 * time.Millisecond // between looks at what is in hand
	bankTimeout = 2 * time.Second        // of one question
	maxRequests = 500                    // in one question
	// outage is for how long calls are refused at once when the bank has failed
	// for as long as a call waits, before one may ask again.
	outage = 500 * time.Millisecond
	retry  = 20 * time.Millisecond // after the bank failed, while calls wait
)

// leaser gets money from the bank and gives it back. All questions to the bank
// come from one round after the other; what calls want meanwhile gathers and is
// the next round.
//
// Calls put waiters and accounts into the inbox, under mu; everything below
// turn belongs to whoever holds it.
type leaser struct {
	bank    Bank
	replica string
	rules   func() *ruleSet
	shipped func() bool // may be nil
	now     func() time.Time
	idle    time.Duration
	wait    time.Duration // at most, of a call
	log     zerolog.Logger

	living    atomic.Int64 // replicas
	downUntil atomic.Int64 // Unix nanoseconds: until then nobody waits
	closed    atomic.Bool
	wake      chan struct{}

	mu      sync.Mutex
	inbox   []*waiter
	flagged []*account

	turn    sync.Mutex
	waiters map[*account][]*waiter
	funded  map[*account]struct{} // that have, or may have, a lease
	failing time.Time             // since when the bank does not answer; zero: it does
}

func newLeaser(o *Options, rules func() *ruleSet) *leaser {
	return &leaser{
		bank: o.Bank, replica: o.Replica, rules: rules, shipped: o.Shipped, now: o.Now, idle: o.LeaseIdle, wait: o.GrantWait, log: o.Logger,
		wake: make(chan struct{}, 1), waiters: make(map[*account][]*waiter), funded: make(map[*account]struct{}),
	}
}

// enqueue has the leaser get the charge of w. The answer is at once noLease if
// the bank is known to be away.
func (l *leaser) enqueue(w *waiter, now time.Time) {
	if l.closed.Load() || now.UnixNano() < l.downUntil.Load() {
		w.answer(noLease)
		return
	}
	l.mu.Lock()
	l.inbox = append(l.inbox, w)
	l.mu.Unlock()
	l.call()
}

// flag has the leaser look at an account.
func (l *leaser) flag(a *account) {
	if a.queued.Load() || !a.queued.CompareAndSwap(false, true) {
		return
	}
	l.mu.Lock()
	l.flagged = append(l.flagged, a)
	l.mu.Unlock()
	l.call()
}

func (l *leaser) call() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run works until the context ends.
func (l *leaser) run(ctx context.Context) {
	ticker := time.NewTicker(leaseTick)
	defer ticker.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		tick := false
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			tick = true
		case <-l.wake:
		case <-again.C:
		}
		if l.round(ctx, tick) {
			wait := time.Duration(0)
			if !l.failing.IsZero() {
				wait = retry
			}
			again.Reset(wait)
		}
	}
}

// round asks the bank for everything that is wanted now. It reports whether
// there is more to ask.
func (l *leaser) round(ctx context.Context, tick bool) bool {
	l.turn.Lock()
	defer l.turn.Unlock()
	questions, postponed := l.questions(tick)
	for part := range slices.Chunk(questions, maxRequests) {
		if err := l.ask(ctx, part); err != nil {
			l.failed(err)
			break
		}
		if !l.failing.IsZero() {
			l.failing = time.Time{}
			l.downUntil.Store(0)
			l.log.Info().Msg("the database leases money again")
		}
	}
	return postponed || len(l.waiters) > 0
}

// questions are what the bank should be asked now, one an account. postponed:
// one had to wait for another with the same key.
func (l *leaser) questions(tick bool) (questions []*question, postponed bool) {
	now, set := l.now(), l.rules()
	keys := make(map[tableKey]bool)
	add := func(q *question) {
		if q == nil {
			return
		}
		key := tableKey{q.account.key.BudgetID, q.account.key.EachValue, q.account.start}
		if keys[key] {
			postponed = true
			l.putBack(q)
			return
		}
		keys[key] = true
		questions = append(questions, q)
	}
	gone, rest := l.wanted(tick)
	for _, a := range gone {
		add(l.plan(a, set, now, tick))
	}
	for _, a := range rest {
		add(l.plan(a, set, now, tick))
	}
	return questions, postponed
}

// wanted empties the inbox and lists the accounts to look at, those that have
// left the table first.
func (l *leaser) wanted(tick bool) (gone, rest []*account) {
	l.mu.Lock()
	inbox, flagged := l.inbox, l.flagged
	l.inbox, l.flagged = nil, nil
	l.mu.Unlock()
	for _, w := range inbox {
		l.waiters[w.account] = append(l.waiters[w.account], w)
	}
	seen := make(map[*account]bool)
	list := func(a *account) {
		switch {
		case seen[a]:
		case a.retired.Load():
			gone = append(gone, a)
		default:
			rest = append(rest, a)
		}
		seen[a] = true
	}
	for _, a := range flagged {
		a.queued.Store(false)
		list(a)
	}
	for a := range l.waiters {
		list(a)
	}
	if tick {
		for a := range l.funded {
			list(a)
		}
	}
	return gone, rest
}

// putBack undoes a question that is not asked now.
func (l *leaser) putBack(q *question) {
	for p, back := range q.back {
		q.account.free[p].Add(back)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.account.queued.CompareAndSwap(false, true) {
		l.flagged = append(l.flagged, q.account)
	}
}

// ask asks the bank and books its answer, or that there was none.
func (l *leaser) ask(ctx context.Context, questions []*question) error {
	requests := make([]accounting.LeaseRequest, len(questions))
	consumed := make([]amount, len(questions))
	for i, q := range questions {
		consumed[i] = q.account.consumed.Load()
	}
	// What is read above has ended, and been recorded, before this:
	shipped := l.shipped != nil && l.shipped()
	for i, q := range questions {
		b := &q.account.book
		if shipped {
			b.shipped(consumed[i], l.now())
		} else if l.shipped == nil {
			b.clean = true // nobody will ever know better
		}
		b.send(q.returned())
		q.account.asked.Store(true)
		l.funded[q.account] = struct{}{}
		requests[i] = q.LeaseRequest
	}
	ctx, cancel := context.WithTimeout(ctx, bankTimeout)
	defer cancel()
	leases, err := l.bank.Lease(ctx, l.replica, l.now(), requests)
	if err != nil {
		for _, q := range questions {
			q.account.book.lost(q.returned(), l.now())
		}
		return fmt.Errorf("lease money of %d budgets: %w", len(requests), err)
	}
	answers := make(map[tableKey]*accounting.Lease, len(leases))
	for i := range leases {
		k := &leases[i].LeaseKey
		answers[tableKey{k.BudgetID, k.EachValue, k.PeriodStart.UnixNano()}] = &leases[i]
	}
	for _, q := range questions {
		k := &q.LeaseKey
		if lease := answers[tableKey{k.BudgetID, k.EachValue, k.PeriodStart.UnixNano()}]; lease != nil {
			l.book(q, lease)
		} else {
			q.account.book.lost(q.returned(), l.now())
		}
	}
	return nil
}

// failed keeps calls waiting at first: a connection that broke may be replaced
// before their time is over. After that nobody waits in vain.
func (l *leaser) failed(err error) {
	now := l.now()
	if l.failing.IsZero() {
		l.failing = now
		l.log.Warn().Err(err).Msg("the database does not lease money")
	}
	if now.Sub(l.failing) >= l.wait {
		l.downUntil.Store(now.Add(outage).UnixNano())
		l.refuse()
	}
}

// refuse ends all waits.
func (l *leaser) refuse() {
	for a, ws := range l.waiters {
		for _, w := range ws {
			w.answer(noLease)
		}
		delete(l.waiters, a)
	}
}

// close refuses all calls that wait, from now on too, and gives back what is
// not reserved.
func (l *leaser) close(ctx context.Context) error {
	l.closed.Store(true)
	l.turn.Lock()
	defer l.turn.Unlock()
	l.wanted(true)
	l.refuse()
	var questions []*question
	for a := range l.funded {
		if q := l.giveBack(a, 0); q != nil {
			questions = append(questions, q)
		}
	}
	for part := range slices.Chunk(questions, maxRequests) {
		if err := l.ask(ctx, part); err != nil {
			return fmt.Errorf("return the leases: %w", err)
		}
	}
	return nil
}
