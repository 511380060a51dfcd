package guard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bursar/accounting"
)

// beat is how often a replica asks for the version of the rules. An emergency
// stop holds everywhere within a second.
const beat = 250 * time.Millisecond

// heartbeat says that this replica lives, and loads the rules when they have
// changed, until the context ends.
func (g *Guard) heartbeat(ctx context.Context) {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	failing := false
	for {
		err := g.beat(ctx)
		if failing = g.logBeat(ctx, err, failing); ctx.Err() != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (g *Guard) logBeat(ctx context.Context, err error, failing bool) bool {
	switch {
	case err != nil && !failing && ctx.Err() == nil:
		g.o.Logger.Warn().Err(err).Msg("budgets and stops go by the last known rules")
	case err == nil && failing:
		g.o.Logger.Info().Msg("budgets and stops are up to date again")
	}
	return err != nil
}

func (g *Guard) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bankTimeout)
	defer cancel()
	version, err := g.living(ctx)
	if err != nil {
		return err
	}
	written, err := g.writeLocalStops(ctx)
	if err != nil {
		return err
	}
	if set := g.set.Load(); set != nil && set.version == version && g.loaded.Load() && !written {
		return nil
	}
	rules, err := g.o.Rules.GuardRules(ctx)
	if err != nil {
		return fmt.Errorf("read the budgets and stops: %w", err)
	}
	g.apply(rules)
	// At once, so that the database knows since when they are obeyed.
	_, err = g.living(ctx)
	return err
}

// living tells the database that this replica lives and what it obeys.
func (g *Guard) living(ctx context.Context) (version int64, err error) {
	var obeyed int64
	if set := g.set.Load(); set != nil && g.loaded.Load() {
		obeyed = set.version
	}
	version, living, err := g.o.Rules.Heartbeat(ctx, g.o.Replica, obeyed, g.o.Now())
	if err != nil {
		return 0, fmt.Errorf("send a heartbeat: %w", err)
	}
	g.leaser.living.Store(int64(living))
	return version, nil
}

// apply goes by rules that the database has sent.
func (g *Guard) apply(rules accounting.GuardRules) {
	g.rulesMu.Lock()
	g.local.forgetWritten()
	g.loaded.Store(true)
	added := g.exchange(rules)
	err := g.writeStopFile()
	g.rulesMu.Unlock()
	if err != nil {
		g.o.Logger.Error().Err(err).Msg("stops and hard budgets would not survive a restart without the database")
	}
	g.cut(added)
	g.renewer.call()
}

// exchange makes rules, and what only this replica knows of stops, what calls
// are decided by. It returns the stops that are new. rulesMu is held.
func (g *Guard) exchange(rules accounting.GuardRules) (added []accounting.Stop) {
	before := g.set.Load()
	stops := g.local.merge(rules.Stops)
	set, err := compile(rules, stops, before)
	if err != nil {
		g.o.Logger.Error().Err(err).Msg("a budget cannot be applied: if it is hard, it refuses")
	}
	g.set.Store(set)
	if before == nil {
		return slices.Clone(stops)
	}
	g.relimit(before, set)
	for _, s := range stops {
		if !slices.ContainsFunc(before.stops, func(b accounting.Stop) bool { return b.ID == s.ID }) {
			added = append(added, s)
		}
	}
	return added
}

// relimit adapts accounts to limits and shares that changed.
func (g *Guard) relimit(before, set *ruleSet) {
	changed := make(map[string]*rule)
	for id, r := range set.byID {
		old := before.byID[id]
		if old == nil || !old.budget.Limit.Equal(r.budget.Limit.Decimal) || old.split != r.split || !old.allowance.Equal(r.allowance) {
			changed[id] = r
		}
	}
	if len(changed) == 0 {
		return
	}
	now := g.o.Now()
	g.table.visit(func(a *account) {
		r := changed[a.key.BudgetID]
		if r == nil {
			return
		}
		a.relimit(r.budget.Limit.Decimal, now)
		// Money in hand was granted by the old share: what may be beyond the
		// new one is for essential calls only.
		from, to := common, essential
		if !r.split {
			from, to = essential, common
		}
		a.free[to].Add(a.free[from].Swap(0))
	})
}

// cut has calls in flight end that a new stop wants to cut.
func (g *Guard) cut(added []accounting.Stop) {
	if g.onCut == nil {
		return
	}
	for _, s := range added {
		if s.CutStreams && !s.Drill {
			g.onCut(func(t *accounting.Tags, key string, models []string) bool {
				return s.Scope.Covers(t, key, models, false)
			})
		}
	}
}

// Stops are the stops that this replica obeys, drills included.
func (g *Guard) Stops() []accounting.Stop {
	if set := g.set.Load(); set != nil {
		return slices.Clone(set.stops)
	}
	return nil
}

// PutStop has a stop hold here at once, although the database has not taken it.
// It is written there when the database is back, with its id. An error means
// that it holds, but would not survive a restart of this process.
func (g *Guard) PutStop(s accounting.Stop) error {
	if s.ID == "" {
		return errors.New("put a stop: it has no id")
	}
	return g.changeLocal(func() { g.local.put(s) })
}

// LiftStop lifts a stop here at once, although the database has not lifted it;
// it does when it is back. An error is [accounting.ErrUnknownStop], or means
// that the stop is lifted but might be back after a restart of this process.
func (g *Guard) LiftStop(id, actor string, at time.Time) error {
	if !slices.ContainsFunc(g.Stops(), func(s accounting.Stop) bool { return s.ID == id }) {
		return fmt.Errorf("lift stop %s: %w", id, accounting.ErrUnknownStop)
	}
	return g.changeLocal(func() { g.local.lift(id, actor, at) })
}

func (g *Guard) changeLocal(change func()) error {
	g.rulesMu.Lock()
	change()
	var rules accounting.GuardRules
	if set := g.set.Load(); set != nil {
		rules = accounting.GuardRules{Version: set.version, Budgets: set.budgets, Stops: set.remote, Experiments: set.experiments}
	}
	added := g.exchange(rules)
	err := g.writeStopFile()
	g.rulesMu.Unlock()
	g.cut(added)
	return err
}
