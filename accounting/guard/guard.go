package guard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"
	"golang.org/x/sync/errgroup"

	"bursar/accounting"
)

// Bank grants money of hard budgets to replicas.
type Bank interface {
	// Lease answers requests, one for each key, in one transaction: it takes
	// what is returned, then grants at least Need or nothing, and up to Want.
	// After an error nobody knows whether it was committed.
	Lease(ctx context.Context, replica string, now time.Time, requests []accounting.LeaseRequest) ([]accounting.Lease, error)
}

// Rules is where budgets and stops come from, and what is settled.
type Rules interface {
	// Heartbeat says that the replica lives and obeys a version of the rules.
	// latest is the present version, living how many replicas there are.
	Heartbeat(ctx context.Context, replica string, version int64, now time.Time) (latest int64, living int, err error)
	// GuardRules are the present rules.
	GuardRules(ctx context.Context) (accounting.GuardRules, error)
	// Periods are the figures of those of keys that changed since, of all that
	// have any if since is zero.
	Periods(ctx context.Context, since time.Time, keys []accounting.LeaseKey) ([]accounting.PeriodState, error)
}

// StopBook takes the stops that were given or lifted while the database was
// away.
type StopBook interface {
	// CreateStop is idempotent by ID.
	CreateStop(ctx context.Context, s accounting.Stop) (accounting.Stop, error)
	// LiftStop answers [accounting.ErrUnknownStop] if there is nothing to lift.
	LiftStop(ctx context.Context, id, actor string, now time.Time) (accounting.Stop, error)
}

// Recorder takes the events of refused calls.
type Recorder interface {
	// Record keeps no reference to e and is safe for concurrent use.
	Record(e *accounting.Event) error
}

// Options configure a [Guard]. A zero duration or number stands for its
// default.
type Options struct {
	Replica  string // UUID, of this life of the process
	Bank     Bank
	Rules    Rules
	StopBook StopBook // may be nil: stops that were given here stay here
	Recorder Recorder // of refused calls
	// StopFile holds the rules, so that stops and hard budgets hold after a
	// restart without the database; empty: they do not.
	StopFile string
	// Required are tags without which a call is refused by the budgets that
	// are divided by them; without it such a call is outside of them.
	Required []accounting.Each
	// Rate is EUR for one USD, at which calls are charged to budgets in EUR.
	Rate func() decimal.Decimal
	// Shipped reports whether the database has every call that ended before it
	// was asked; nil: nobody knows. It is what recovers the last of a grant
	// whose answer was lost while calls were being shipped.
	Shipped func() bool

	GrantWait       time.Duration // at most, of a call for money; default 200 ms
	RefreshInterval time.Duration // between looks at what is settled; default 1 s
	LeaseIdle       time.Duration // after which unused money goes back; default 5 s
	MaxCached       int           // counters of divided budgets; default 100,000

	Registerer prometheus.Registerer
	Logger     zerolog.Logger
	Now        func() time.Time // default time.Now
}

// Guard decides which calls may be sent. Its methods are safe for concurrent
// use.
type Guard struct {
	o        Options
	required map[accounting.Each]bool
	set      atomic.Pointer[ruleSet] // nil: nothing is known yet
	loaded   atomic.Bool             // set comes from the database, not from the stop file
	table    *table
	leaser   *leaser
	renewer  *renewer
	refusals *refusals
	metrics  *metrics

	rulesMu sync.Mutex // over the exchange of set, and what follows
	local   localStops
	onCut   func(match func(*accounting.Tags, string, []string) bool)
}

// New checks the options and reads the stop file. It starts nothing.
func New(o Options) (*Guard, error) {
	var problems []error
	require := func(ok bool, what string) {
		if !ok {
			problems = append(problems, errors.New("guard: "+what))
		}
	}
	require(o.Replica != "", "it needs the replica's id")
	require(o.Bank != nil, "it needs a bank")
	require(o.Rules != nil, "it needs rules")
	require(o.Recorder != nil, "it needs a recorder")
	require(o.Rate != nil, "it needs an exchange rate")
	require(o.GrantWait >= 0 && o.RefreshInterval >= 0 && o.LeaseIdle >= 0, "a duration is negative")
	require(o.MaxCached >= 0, fmt.Sprintf("%d cached counters: must not be negative", o.MaxCached))
	if problems != nil {
		return nil, errors.Join(problems...)
	}
	setDefault(&o.GrantWait, 200*time.Millisecond)
	setDefault(&o.RefreshInterval, time.Second)
	setDefault(&o.LeaseIdle, 5*time.Second)
	setDefault(&o.MaxCached, 100_000)
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &Guard{o: o, required: make(map[accounting.Each]bool)}
	for _, each := range o.Required {
		g.required[each] = true
	}
	g.leaser = newLeaser(&o, g.set.Load)
	g.table = newTable(o.MaxCached, g.leftTable)
	g.renewer = newRenewer(&o, g.table, g.set.Load)
	g.refusals = newRefusals(o.Recorder, o.Logger)
	if err := g.readStopFile(); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	metrics, err := newMetrics(g, o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("guard: register its metrics: %w", err)
	}
	g.metrics = metrics
	return g, nil
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// leftTable is told of accounts that have left the table.
func (g *Guard) leftTable(a *account) {
	if a.asked.Load() {
		g.leaser.flag(a)
	}
}

// OnCut sets who is called with what a new stop wants to cut: match reports
// whether a call in flight is to end. It is set before Run.
func (g *Guard) OnCut(f func(match func(tags *accounting.Tags, key string, models []string) bool)) {
	g.onCut = f
}

// Run keeps rules, figures and leases up to date until the context ends. It
// returns nil.
func (g *Guard) Run(ctx context.Context) error {
	var loops errgroup.Group
	for _, loop := range []func(context.Context){g.heartbeat, g.renewer.run, g.leaser.run, g.refusals.run} {
		loops.Go(func() error {
			loop(ctx)
			return nil
		})
	}
	return loops.Wait()
}

// Close records what is left to record and gives all leases back but what calls
// in flight have reserved. It comes after Run and after the last flush of the
// calls that ended: what Postgres does not know of yet would be charged to a
// lease that is gone. From then on hard budgets refuse.
func (g *Guard) Close(ctx context.Context) error {
	g.refusals.flush()
	if err := g.leaser.close(ctx); err != nil {
		return fmt.Errorf("close the guard: %w", err)
	}
	return nil
}

// Wake has the guard look at once at what is settled. It does not wait.
func (g *Guard) Wake() { g.renewer.call() }
