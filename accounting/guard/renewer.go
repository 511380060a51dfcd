package guard

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"bursar/accounting"
)

const (
	active     = time.Minute      // since its last call; only such accounts are renewed
	stale      = 30 * time.Second // figures this old are asked for without regard to when they changed
	overlap    = 5 * time.Second  // a transaction may commit so long after the time it writes
	spacing    = 50 * time.Millisecond
	maxPeriods = 5000 // keys in one question
	pruning    = time.Minute
	afterwards = 10 * time.Minute // for how long a period that is over keeps its account
)

// renewer brings the accounts' figures: each second, when the program has
// shipped, and on first use.
type renewer struct {
	periods  func(context.Context, time.Time, []accounting.LeaseKey) ([]accounting.PeriodState, error)
	table    *table
	rules    func() *ruleSet
	now      func() time.Time
	interval time.Duration
	log      zerolog.Logger
	wake     chan struct{}

	mu    sync.Mutex
	first []*account // that have no figures, or very old ones

	// The loop's:
	since   time.Time // the latest change that was seen
	full    time.Time // when all were last asked for without regard to that
	pruned  time.Time
	failing bool
}

func newRenewer(o *Options, t *table, rules func() *ruleSet) *renewer {
	return &renewer{periods: o.Rules.Periods, table: t, rules: rules, now: o.Now, interval: o.RefreshInterval, log: o.Logger,
		wake: make(chan struct{}, 1)}
}

func (r *renewer) call() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// use notes that a call at the time uses the account, whose figures are asked
// for if there are none.
func (r *renewer) use(a *account, at int64) {
	if last := a.lastUsed.Load(); at-last > int64(time.Millisecond) {
		a.lastUsed.Store(at)
	}
	if at-a.refreshedAt.Load() < int64(stale) || a.loading.Load() || !a.loading.CompareAndSwap(false, true) {
		return
	}
	r.mu.Lock()
	r.first = append(r.first, a)
	r.mu.Unlock()
	r.call()
}

func (r *renewer) run(ctx context.Context) {
	ticker := time.NewTicker(r.interval)
	defer ticker.Stop()
	for {
		wake := r.wake
		if r.failing {
			wake = nil // the next tick is soon enough
		}
		tick := false
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			tick = true
		case <-wake:
		}
		err := r.renew(ctx)
		if err != nil && ctx.Err() == nil && !r.failing {
			r.log.Warn().Err(err).Msg("budgets go by old figures")
		}
		r.failing = err != nil
		if now := r.now(); tick && now.Sub(r.pruned) >= pruning {
			r.pruned = now
			r.prune(now)
		}
		pause(ctx, spacing)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// renew asks for the figures of new accounts and of those in use.
func (r *renewer) renew(ctx context.Context) error {
	r.mu.Lock()
	first := r.first
	r.first = nil
	r.mu.Unlock()
	now := r.now()
	defer func() {
		for _, a := range first {
			a.loading.Store(false)
		}
	}()
	if err := r.load(ctx, time.Time{}, first, now); err != nil {
		return err
	}
	since := r.since.Add(-overlap)
	full := r.since.IsZero() || now.Sub(r.full) >= stale/2
	if full {
		since = time.Time{}
		r.current(now)
	}
	var used []*account
	r.table.visit(func(a *account) {
		if full && a.key.EachValue == "" || a.refreshedAt.Load() != 0 && now.UnixNano()-a.lastUsed.Load() < int64(active) {
			used = append(used, a)
		}
	})
	if err := r.load(ctx, since, used, now); err != nil {
		return err
	}
	if full {
		r.full = now
	}
	return nil
}

// current makes the present accounts of all budgets that are not divided, so
// that their first call finds figures.
func (r *renewer) current(now time.Time) {
	set := r.rules()
	if set == nil {
		return
	}
	for _, rule := range set.byID {
		if rule.budget.Each == accounting.EachNone && rule.zone != nil {
			r.table.of(rule, "", now, false)
		}
	}
}

// load asks for the figures of accounts that changed since.
func (r *renewer) load(ctx context.Context, since time.Time, accounts []*account, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, bankTimeout)
	defer cancel()
	for part := range slices.Chunk(accounts, maxPeriods) {
		byKey := make(map[tableKey]*account, len(part))
		keys := make([]accounting.LeaseKey, len(part))
		for i, a := range part {
			keys[i] = a.key
			byKey[tableKey{a.key.BudgetID, a.key.EachValue, a.start}] = a
		}
		states, err := r.periods(ctx, since, keys)
		if err != nil {
			return fmt.Errorf("read the figures of %d budget periods: %w", len(keys), err)
		}
		set := r.rules()
		observe := func(a *account, f *accounting.PeriodFigures) {
			if limit, ok := set.limitOf(a.key.BudgetID); ok {
				if f == nil { // no call has counted towards it yet
					f = &accounting.PeriodFigures{Ceiling: limit}
				}
				a.observe(*f, limit, now)
			}
			a.refreshedAt.Store(now.UnixNano())
		}
		for i := range states {
			s := &states[i]
			k := tableKey{s.BudgetID, s.EachValue, s.PeriodStart.UnixNano()}
			if a := byKey[k]; a != nil {
				observe(a, &s.PeriodFigures)
				delete(byKey, k)
			}
			if s.UpdatedAt.After(r.since) {
				r.since = s.UpdatedAt
			}
		}
		for _, a := range byKey { // nothing new, or nothing at all
			observe(a, a.figures.Load())
		}
	}
	return nil
}

// prune lets go of accounts whose period is over, or whose budget is gone.
func (r *renewer) prune(now time.Time) {
	set := r.rules()
	if set == nil {
		return
	}
	over := now.Add(-afterwards).UnixNano()
	r.table.prune(func(a *account) bool {
		return a.end <= over || set.byID[a.key.BudgetID] == nil && a.lastUsed.Load() <= over
	})
}
