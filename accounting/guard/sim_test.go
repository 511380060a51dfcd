package guard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// sim is several replicas with one bank and one OpenRouter, in a synctest
// bubble. OpenRouter's ledger is the truth: what it bills counts, whether or
// not any Bursar ever hears of it.
type sim struct {
	bank       *bank
	budget     string
	options    func(*Options)
	uninformed bool // no guard knows what has been shipped
	mu         sync.Mutex
	replicas   []*replica
	serial     uint64
	billed     map[time.Time]decimal.Decimal            // by period
	bills      map[accounting.RequestID]decimal.Decimal // USD
	lost       map[string]bool                          // replicas that died with their journal
	passed     int
	refused    map[accounting.BudgetReason]int
	problems   []error
}

// replica is one life of a process.
type replica struct {
	sim   *sim
	id    string
	guard *Guard
	stop  func()

	mu       sync.Mutex
	cut      bool // from Postgres
	forget   int  // answers of the bank to lose
	dead     bool
	journal  []accounting.Event // closed and not shipped
	open     map[accounting.RequestID]accounting.Event
	informed bool // the guard is told when all is shipped
}

// link is the bank as a replica reaches it.
type link struct {
	*bank
	r *replica
}

func (l link) fate() fate {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	switch {
	case l.r.cut || l.r.dead:
		return refuses
	case l.r.forget > 0:
		l.r.forget--
		return forgets
	}
	return answers
}

func (l link) Lease(ctx context.Context, replica string, now time.Time, requests []accounting.LeaseRequest) ([]accounting.Lease, error) {
	how := l.fate()
	if how == refuses {
		return nil, errAway
	}
	leases, err := l.bank.Lease(ctx, replica, now, requests)
	if how == forgets {
		return nil, errAway
	}
	return leases, err
}

func (l link) Heartbeat(ctx context.Context, replica string, version int64, now time.Time) (int64, int, error) {
	if l.away() {
		return 0, 0, errAway
	}
	return l.bank.Heartbeat(ctx, replica, version, now)
}

func (l link) Periods(ctx context.Context, since time.Time, keys []accounting.LeaseKey) ([]accounting.PeriodState, error) {
	if l.away() {
		return nil, errAway
	}
	return l.bank.Periods(ctx, since, keys)
}

func (l link) away() bool {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	return l.r.cut || l.r.dead
}

func newSim(b *bank, budget string, change func(*Options)) *sim {
	return &sim{bank: b, budget: budget, options: change, billed: map[time.Time]decimal.Decimal{}, bills: map[accounting.RequestID]decimal.Decimal{}, lost: map[string]bool{},
		refused: map[accounting.BudgetReason]int{}}
}

// start adds a replica.
func (s *sim) start() *replica {
	s.mu.Lock()
	s.serial++
	r := &replica{sim: s, id: fmt.Sprintf("replica-%d", s.serial), open: map[accounting.RequestID]accounting.Event{}, informed: !s.uninformed}
	s.replicas = append(s.replicas, r)
	s.mu.Unlock()
	l := link{s.bank, r}
	o := Options{Replica: r.id, Bank: l, Rules: l, Recorder: &records{}, Logger: zerolog.Nop(),
		Rate: func() decimal.Decimal { return amountOf("0.9173") }}
	if r.informed {
		o.Shipped = func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.journal) == 0
		}
	}
	s.options(&o)
	guard, err := New(o)
	if err != nil {
		panic(err)
	}
	r.guard = guard
	ctx, cancel := context.WithCancel(context.Background())
	var loops sync.WaitGroup
	loops.Go(func() { _ = guard.Run(ctx) })
	loops.Go(func() { r.shipping(ctx) })
	r.stop = func() {
		cancel()
		loops.Wait()
	}
	return r
}

// living are the replicas that have not died.
func (s *sim) living() []*replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	var living []*replica
	for _, r := range s.replicas {
		if !r.dead {
			living = append(living, r)
		}
	}
	return living
}

const shipEvery = 330 * time.Millisecond

func (r *replica) shipping(ctx context.Context) {
	for {
		pause(ctx, shipEvery)
		if ctx.Err() != nil {
			return
		}
		r.ship()
	}
}

// ship writes the journal to Postgres, unless that is away.
func (r *replica) ship() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cut || len(r.journal) == 0 {
		return
	}
	r.sim.bank.ship(time.Now(), r.journal...)
	r.journal = nil
	r.guard.Wake()
}

// end is how a call ends.
type end int

const (
	settled end = iota
	pending     // answered, its cost is not known yet
	cutOff      // interrupted before an id was known
	failed
	ends
)

// call makes a call and reports whether it was sent. bill is what OpenRouter
// takes, at most bound.
func (r *replica) call(tags accounting.Tags, bound, bill decimal.Decimal, how end, lasts time.Duration) bool {
	s := r.sim
	s.mu.Lock()
	s.serial++
	id := accounting.NewRequestID(time.Now(), 0, s.serial)
	s.mu.Unlock()
	ask := &accounting.Ask{ID: id, At: id.Time(), Tags: &tags, Request: bounded(bound.String())}
	d := r.guard.Reserve(context.Background(), ask)
	r.mu.Lock()
	if d == nil || d.Verdict == accounting.VerdictBlocked || r.dead {
		r.mu.Unlock()
		s.refuse(d)
		return false
	}
	opened := accounting.Event{Kind: accounting.Opened, ID: id, Tags: tags, Decision: d}
	r.open[id] = opened
	r.mu.Unlock()
	if how == failed {
		bill = decimal.Zero
	}
	s.bill(id, d, bill)
	time.Sleep(lasts)

	r.mu.Lock()
	if r.dead {
		r.mu.Unlock()
		return true
	}
	e := opened
	e.Kind, e.HTTPStatus = accounting.Closed, 200
	switch how {
	case settled:
		e.Usage.Cost = accounting.Some(bill)
	case pending:
		e.GenerationID = "gen-" + id.String()
	case cutOff:
		e.HTTPStatus, e.Truncated = 0, true
	case failed:
		e.HTTPStatus = 500
	}
	delete(r.open, id)
	r.journal = append(r.journal, e)
	r.mu.Unlock()
	r.guard.Settle(&e)
	return true
}

func (s *sim) refuse(d *accounting.BudgetDecision) {
	if d != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refused[d.Reason]++
	}
}

// bill is OpenRouter taking money, which must be within what the budget ever
// allowed.
func (s *sim) bill(id accounting.RequestID, d *accounting.BudgetDecision, amount decimal.Decimal) {
	share := &d.Budgets[0]
	usd := amount
	if s.bank.budget(s.budget).Currency == accounting.EUR {
		amount = amount.Mul(d.Rate)
	}
	stand := s.bank.stand(accounting.LeaseKey{BudgetID: s.budget, EachValue: share.EachValue, PeriodStart: share.PeriodStart})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passed++
	s.bills[id] = usd
	sum := s.billed[share.PeriodStart].Add(amount)
	s.billed[share.PeriodStart] = sum
	if sum.GreaterThan(stand.ceiling) {
		s.problems = append(s.problems, fmt.Errorf("OpenRouter has billed %s, and the ceiling is %s", sum, stand.ceiling))
	}
}

// crash kills the replica. Without its journal, nobody ever hears of its calls.
func (s *sim) crash(r *replica, journal bool) {
	r.mu.Lock()
	r.dead = true
	if !journal {
		s.lost[r.id] = true
	}
	r.mu.Unlock()
	r.stop()
}

// adopt ships the journals of the dead, as another process does, and closes
// their leases.
func (s *sim) adopt() {
	for _, r := range s.replicas {
		if !r.dead || s.lost[r.id] || r.journal == nil && r.open == nil {
			continue
		}
		for _, e := range r.open {
			e.Kind = accounting.Interrupted
			r.journal = append(r.journal, e)
		}
		s.bank.ship(time.Now(), r.journal...)
		s.bank.closeLeases(r.id)
		r.journal, r.open = nil, nil
	}
}

// settleSome has the settler find the costs of calls for which it has an id.
func (s *sim) settleSome() {
	s.bank.mu.Lock()
	var ids []accounting.RequestID
	for id, row := range s.bank.rows {
		if row.status == accounting.StatusPending {
			ids = append(ids, id)
		}
	}
	s.bank.mu.Unlock()
	for _, id := range ids {
		s.mu.Lock()
		bill := s.bills[id]
		s.mu.Unlock()
		s.bank.settle(time.Now(), id, accounting.StatusSettled, accounting.Some(bill))
	}
}

// quiet heals everything and lets calls, shipping and settling come to rest.
func (s *sim) quiet() {
	for _, r := range s.living() {
		r.mu.Lock()
		r.cut, r.forget = false, 0
		r.mu.Unlock()
	}
	time.Sleep(10 * time.Second)
	s.adopt()
	time.Sleep(time.Minute)
	synctest.Wait()
}

// left is what may still be spent in the present period: all but what is
// settled, unresolved, or held by replicas that died with their journals.
func (s *sim) left(k accounting.LeaseKey) decimal.Decimal {
	p := s.bank.stand(k)
	left := p.limit.Sub(p.settled).Sub(p.reserved)
	for replica := range s.lost {
		left = left.Sub(p.held[replica])
	}
	return left
}

// exhaust makes small calls one after the other, from replicas by turns, until
// none has passed for a while. It returns what they cost.
func (s *sim) exhaust(tags accounting.Tags, each decimal.Decimal, rng *rand.Rand) decimal.Decimal {
	spent := decimal.Zero
	living := s.living()
	for failures := 0; failures < 3*len(living); {
		r := living[rng.IntN(len(living))]
		if r.call(tags, each, each, settled, time.Millisecond) {
			failures = 0
			spent = spent.Add(each)
			continue
		}
		failures++
		time.Sleep(2500 * time.Millisecond)
	}
	return spent
}

// close ends all replicas, which must leave no money behind but what the lost
// ones hold.
func (s *sim) close() {
	for _, r := range s.living() {
		r.stop()
		r.ship()
		if err := r.guard.Close(context.Background()); err != nil {
			s.problems = append(s.problems, err)
		}
		s.bank.closeLeases(r.id)
	}
}

func (s *sim) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(append([]error{s.bank.problems()}, s.problems...)...)
}
