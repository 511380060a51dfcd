package guard

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// ruleSet is what calls are decided by: budgets and stops as of one version,
// indexed. It is not changed once it is in use.
type ruleSet struct {
	version int64
	budgets []accounting.Budget
	remote  []accounting.Stop // active ones, as the database lists them
	stops   []accounting.Stop // active ones, with those that only this replica knows; drills included
	index   index[*rule]      // enabled budgets
	byID    map[string]*rule  // enabled budgets
	blocks  index[*accounting.Stop]

	experiments []accounting.Experiment // as the database lists them
	running     running
}

// rule is one enabled budget.
type rule struct {
	budget accounting.Budget
	zone   *time.Location // nil: it could not be loaded
	limit  amount
	// split: a part of the limit is kept for essential calls, the others have
	// allowance.
	split     bool
	allowance decimal.Decimal
	window    atomic.Pointer[window]  // the one that was asked for last
	current   atomic.Pointer[account] // of that window, of a budget that is not divided
}

// window is one period: from start (included) to end (not included), Unix
// nanoseconds.
type window struct {
	start, end int64
}

// at is the budget's window that holds the moment.
func (r *rule) at(at time.Time) window {
	now := at.UnixNano()
	if w := r.window.Load(); w != nil && w.start <= now && now < w.end {
		return *w
	}
	start, end := r.budget.Period.Window(at, r.zone)
	w := window{start.UnixNano(), math.MaxInt64}
	if !end.IsZero() {
		w.end = end.UnixNano()
	}
	r.window.Store(&w)
	return w
}

// pot is the one that calls of the purpose are charged to.
func (r *rule) pot(purpose string) pot {
	if r.split && r.budget.Essential(purpose) {
		return essential
	}
	return common
}

// lease is the cap of a lease for the pot; zero: the ceiling.
func (r *rule) lease(p pot) decimal.Decimal {
	if r.split && p == common {
		return r.allowance
	}
	return decimal.Decimal{}
}

// compile makes the rule set of what the database says and of what only this
// replica knows about stops. before may be nil.
func compile(rules accounting.GuardRules, stops []accounting.Stop, before *ruleSet) (*ruleSet, error) {
	set := &ruleSet{version: rules.Version, budgets: rules.Budgets, remote: rules.Stops, stops: stops, byID: make(map[string]*rule),
		experiments: rules.Experiments, running: newRunning(rules.Experiments)}
	var bad []string
	sorted := slices.Clone(rules.Budgets)
	slices.SortFunc(sorted, func(a, b accounting.Budget) int { return cmp.Compare(a.ID, b.ID) })
	for i := range sorted {
		b := &sorted[i]
		if !b.Enabled || b.DeletedAt != nil {
			continue
		}
		r := &rule{budget: *b, limit: floor(b.Limit.Decimal)}
		zone, err := accounting.LoadZone(b.Timezone)
		if err != nil {
			bad = append(bad, fmt.Sprintf("budget %s: %v", b.ID, err))
		}
		r.zone = zone
		if r.split = b.Mode == accounting.ModeHard && b.EssentialShare.IsPositive(); r.split {
			r.allowance = b.NonessentialLimit()
		}
		if before != nil {
			r.inherit(before.byID[b.ID])
		}
		set.byID[b.ID] = r
		set.index.add(&r.budget.Scope, r)
	}
	for i := range stops {
		if !stops[i].Drill {
			set.blocks.add(&stops[i].Scope, &stops[i])
		}
	}
	if bad != nil {
		return set, fmt.Errorf("compile the rules: %s", strings.Join(bad, "; "))
	}
	return set, nil
}

// inherit keeps what a new version of the same budget can go on with. Period
// and time zone of a budget never change.
func (r *rule) inherit(old *rule) {
	if old == nil {
		return
	}
	r.window.Store(old.window.Load())
	r.current.Store(old.current.Load())
}

// limitOf is the limit and currency of a budget, in use or not; false if there
// is no such budget.
func (s *ruleSet) limitOf(id string) (decimal.Decimal, bool) {
	if r := s.byID[id]; r != nil {
		return r.budget.Limit.Decimal, true
	}
	for i := range s.budgets {
		if s.budgets[i].ID == id {
			return s.budgets[i].Limit.Decimal, true
		}
	}
	return decimal.Decimal{}, false
}
