package guard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// bank is Postgres as the guards know it: budgets, what was shipped, and the
// leases, by the rules of accounting.Lease. It checks itself after each change.
type bank struct {
	mu      sync.Mutex
	rules   accounting.GuardRules
	seen    map[string]time.Time // replicas
	obeyed  map[string]int64
	periods map[accounting.LeaseKey]*bankPeriod
	rows    map[accounting.RequestID]*bankRow
	ids     map[string]bool // stops that were ever created
	broken  []error         // rules that did not hold
	leases  int             // questions

	unchecked bool // for benchmarks, which the check would take longer than

	// away says, if it is not nil, what becomes of a question of a replica.
	away func(replica string) fate
	// takes is for how long a question is under way.
	takes time.Duration
}

// fate is what becomes of a question.
type fate int

const (
	answers fate = iota
	refuses      // it fails, and nothing was done
	forgets      // it is done, and the answer is lost
)

var errAway = errors.New("the connection broke")

type bankPeriod struct {
	limit, ceiling, granted, settled, reserved, overshoot decimal.Decimal
	held                                                  map[string]decimal.Decimal // by replica
	shortAt, updatedAt                                    time.Time
}

// bankRow is a call in openrouter_usage.
type bankRow struct {
	decision *accounting.BudgetDecision
	status   accounting.Status
	cost     accounting.Optional[decimal.Decimal]
	closed   bool // its own event was shipped
}

func newBank(budgets ...accounting.Budget) *bank {
	b := &bank{
		rules: accounting.GuardRules{Version: 1, Budgets: budgets}, seen: map[string]time.Time{}, obeyed: map[string]int64{},
		periods: map[accounting.LeaseKey]*bankPeriod{}, rows: map[accounting.RequestID]*bankRow{}, ids: map[string]bool{},
	}
	return b
}

// meet answers whether a question of the replica gets through.
func (b *bank) meet(replica string) fate {
	if b.away == nil {
		return answers
	}
	return b.away(replica)
}

func (b *bank) budget(id string) *accounting.Budget {
	for i := range b.rules.Budgets {
		if b.rules.Budgets[i].ID == id {
			return &b.rules.Budgets[i]
		}
	}
	return nil
}

func (b *bank) period(k accounting.LeaseKey) *bankPeriod {
	k.PeriodStart = k.PeriodStart.UTC()
	p := b.periods[k]
	if p == nil {
		limit := b.budget(k.BudgetID).Limit.Decimal
		p = &bankPeriod{limit: limit, ceiling: limit, held: map[string]decimal.Decimal{}}
		b.periods[k] = p
	}
	return p
}

func (p *bankPeriod) speak(delta decimal.Decimal) {
	spoken := p.granted.Add(p.overshoot).Add(delta)
	p.granted = decimal.Min(spoken, p.ceiling)
	p.overshoot = spoken.Sub(p.granted)
	p.ceiling = decimal.Max(p.limit, p.granted)
}

func (p *bankPeriod) figures(now time.Time) accounting.PeriodFigures {
	return accounting.PeriodFigures{Ceiling: p.ceiling, Total: p.granted, Settled: p.settled, Reserved: p.reserved, Overshoot: p.overshoot,
		Short: !p.shortAt.IsZero() && now.Sub(p.shortAt) < 5*time.Second}
}

// check notes the rules that do not hold.
func (b *bank) check(what string) {
	if b.unchecked {
		return
	}
	for k, p := range b.periods {
		held := decimal.Zero
		for replica, h := range p.held {
			held = held.Add(h)
			b.must(!h.IsNegative(), "%s: %s holds %s of %v", what, replica, h, k)
		}
		b.must(p.granted.Equal(p.settled.Add(p.reserved).Add(held).Sub(p.overshoot)),
			"%s: granted %s is not settled %s + reserved %s + held %s - overshoot %s", what, p.granted, p.settled, p.reserved, held, p.overshoot)
		b.must(!p.granted.IsNegative() && !p.granted.GreaterThan(p.ceiling), "%s: granted %s, ceiling %s", what, p.granted, p.ceiling)
		b.must(!p.overshoot.IsNegative(), "%s: overshoot %s", what, p.overshoot)
	}
}

func (b *bank) must(ok bool, format string, args ...any) {
	if !ok {
		b.broken = append(b.broken, fmt.Errorf(format, args...))
	}
}

// Lease implements Bank.
func (b *bank) Lease(_ context.Context, replica string, now time.Time, requests []accounting.LeaseRequest) ([]accounting.Lease, error) {
	time.Sleep(b.takes)
	b.mu.Lock()
	defer b.mu.Unlock()
	how := b.meet(replica)
	if how == refuses {
		return nil, errAway
	}
	b.leases++
	leases := make([]accounting.Lease, len(requests))
	for i := range requests {
		leases[i] = b.lease(replica, now, &requests[i])
	}
	b.check("lease")
	if how == forgets {
		return nil, errAway
	}
	return leases, nil
}

func (b *bank) lease(replica string, now time.Time, r *accounting.LeaseRequest) accounting.Lease {
	p := b.period(r.LeaseKey)
	back := decimal.Min(r.Return, p.held[replica])
	p.held[replica] = p.held[replica].Sub(back)
	p.speak(back.Neg())
	granted := decimal.Zero
	budget := b.budget(r.BudgetID)
	if want := decimal.Max(r.Want, r.Need); budget.Enabled && budget.Mode == accounting.ModeHard && want.IsPositive() {
		left := p.ceiling.Sub(p.granted)
		if r.Cap.IsPositive() {
			left = decimal.Min(left, r.Cap.Sub(p.granted))
		}
		left = decimal.Max(left, decimal.Zero)
		if r.Need.GreaterThan(left) {
			p.shortAt = now
		} else {
			share, _ := left.QuoRem(decimal.NewFromInt(2*int64(max(1, len(b.seen)))), digits)
			granted = decimal.Min(want, decimal.Max(share, r.Need))
		}
	}
	p.held[replica] = p.held[replica].Add(granted)
	p.granted = p.granted.Add(granted)
	p.updatedAt = now
	return accounting.Lease{LeaseKey: r.LeaseKey, Granted: granted, Held: p.held[replica], PeriodFigures: p.figures(now)}
}

// ship writes calls, as the shipper of their replica does.
func (b *bank) ship(now time.Time, events ...accounting.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range events {
		e := &events[i]
		if e.Decision == nil {
			continue
		}
		row := b.rows[e.ID]
		if row == nil {
			row = &bankRow{decision: e.Decision, status: accounting.StatusFailed}
			b.rows[e.ID] = row
		}
		if row.closed {
			continue
		}
		row.closed = true
		b.move(now, row, e.Status(), e.Usage.Cost, true)
		b.check("ship")
	}
}

// settle writes what became of a call whose cost was not known.
func (b *bank) settle(now time.Time, id accounting.RequestID, status accounting.Status, cost accounting.Optional[decimal.Decimal]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.move(now, b.rows[id], status, cost, false)
	b.check("settle")
}

// move brings a row to a state, and the budgets with it. own: by the call's own
// event.
func (b *bank) move(now time.Time, row *bankRow, status accounting.Status, cost accounting.Optional[decimal.Decimal], own bool) {
	for i := range row.decision.Budgets {
		s := &row.decision.Budgets[i]
		p := b.period(accounting.LeaseKey{BudgetID: s.BudgetID, EachValue: s.EachValue, PeriodStart: s.PeriodStart})
		factor := decimal.NewFromInt(1)
		if b.budget(s.BudgetID).Currency == accounting.EUR {
			factor = row.decision.Rate
		}
		settled0, reserved0 := row.parts(s, factor)
		next := bankRow{decision: row.decision, status: status, cost: cost}
		settled1, reserved1 := next.parts(s, factor)
		p.settled = p.settled.Add(settled1).Sub(settled0)
		p.reserved = p.reserved.Add(reserved1).Sub(reserved0)
		delta := settled1.Add(reserved1).Sub(settled0).Sub(reserved0)
		if own && delta.IsPositive() {
			taken := decimal.Min(delta, p.held[row.decision.Replica])
			p.held[row.decision.Replica] = p.held[row.decision.Replica].Sub(taken)
			delta = delta.Sub(taken)
		}
		p.speak(delta)
		p.updatedAt = now
	}
	row.status, row.cost = status, cost
}

// parts are what the row takes of a budget: known cost, and reserved beyond it.
func (r *bankRow) parts(s *accounting.BudgetShare, factor decimal.Decimal) (settled, reserved decimal.Decimal) {
	settled = r.cost.Value.Mul(factor) // zero if unknown
	if r.status != accounting.StatusSettled && r.status != accounting.StatusFailed && r.status != accounting.StatusDismissed {
		reserved = decimal.Max(s.Charge.Sub(settled), decimal.Zero)
	}
	return settled, reserved
}

// closeLeases gives back what a replica holds.
func (b *bank) closeLeases(replica string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.periods {
		held := p.held[replica]
		delete(p.held, replica)
		p.speak(held.Neg())
	}
	delete(b.seen, replica)
	b.check("close leases")
}

// setLimit changes the limit of a budget.
func (b *bank) setLimit(id string, limit decimal.Decimal) {
	b.change(func(r *accounting.GuardRules) {
		for i := range r.Budgets {
			if r.Budgets[i].ID == id {
				r.Budgets[i].Limit.Decimal = limit
			}
		}
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, p := range b.periods {
		if k.BudgetID == id {
			p.limit = limit
			p.ceiling = decimal.Max(limit, p.granted)
			p.speak(decimal.Zero)
		}
	}
	b.check("set limit")
}

// change changes the rules.
func (b *bank) change(f func(*accounting.GuardRules)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rules := accounting.GuardRules{Version: b.rules.Version + 1}
	rules.Budgets = append(rules.Budgets, b.rules.Budgets...)
	rules.Stops = append(rules.Stops, b.rules.Stops...)
	rules.Experiments = append(rules.Experiments, b.rules.Experiments...)
	f(&rules)
	b.rules = rules
}

// Heartbeat implements Rules.
func (b *bank) Heartbeat(_ context.Context, replica string, version int64, now time.Time) (int64, int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.meet(replica) != answers {
		return 0, 0, errAway
	}
	b.seen[replica] = now
	b.obeyed[replica] = version
	return b.rules.Version, len(b.seen), nil
}

// GuardRules implements Rules.
func (b *bank) GuardRules(context.Context) (accounting.GuardRules, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.meet("") != answers {
		return accounting.GuardRules{}, errAway
	}
	return b.rules, nil
}

// Periods implements Rules.
func (b *bank) Periods(_ context.Context, since time.Time, keys []accounting.LeaseKey) ([]accounting.PeriodState, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.meet("") != answers {
		return nil, errAway
	}
	var states []accounting.PeriodState
	for _, k := range keys {
		if p := b.periods[k]; p != nil && (since.IsZero() || p.updatedAt.After(since)) {
			states = append(states, accounting.PeriodState{LeaseKey: k, PeriodFigures: p.figures(p.updatedAt), UpdatedAt: p.updatedAt})
		}
	}
	return states, nil
}

// CreateStop implements StopBook.
func (b *bank) CreateStop(_ context.Context, s accounting.Stop) (accounting.Stop, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.meet("") != answers {
		return s, errAway
	}
	if !b.ids[s.ID] {
		b.ids[s.ID] = true
		b.rules.Stops = append(b.rules.Stops[:len(b.rules.Stops):len(b.rules.Stops)], s)
		b.rules.Version++
	}
	return s, nil
}

// LiftStop implements StopBook.
func (b *bank) LiftStop(_ context.Context, id, _ string, _ time.Time) (accounting.Stop, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.meet("") != answers {
		return accounting.Stop{}, errAway
	}
	var kept []accounting.Stop
	var lifted *accounting.Stop
	for _, s := range b.rules.Stops {
		if s.ID == id {
			lifted = &s
			continue
		}
		kept = append(kept, s)
	}
	if lifted == nil {
		return accounting.Stop{}, accounting.ErrUnknownStop
	}
	b.rules.Stops, b.rules.Version = kept, b.rules.Version+1
	return *lifted, nil
}

// stand is how a period stands.
func (b *bank) stand(k accounting.LeaseKey) bankPeriod {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.periods[k]; p != nil {
		return *p
	}
	return bankPeriod{}
}

// asked is how many questions the bank has had.
func (b *bank) asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.leases
}

// problems are the rules that did not hold.
func (b *bank) problems() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return errors.Join(b.broken...)
}
