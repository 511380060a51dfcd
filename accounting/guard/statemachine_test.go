package guard

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"bursar/accounting"
)

// step is one thing that happens in a [scenario].
type step struct {
	Kind  string
	Who   int // replica, counted among the living
	Count int // calls at once
	Bound int // of each, in thousandths
	Bill  int // percent of it
	End   end
	Lasts time.Duration
	Pause time.Duration // afterwards
}

// scenario is what the state machine is tried with.
type scenario struct {
	Replicas int
	Limit    int // in tenths
	Share    int // of the limit for essential calls, in percent
	EUR      bool
	Lowered  bool // the limit may be lowered as well
	// Uninformed guards do not know what has been shipped. A lost answer may
	// then cost a part of what could be spent, never more than the limit.
	Uninformed bool
	Steps      []step
}

var kinds = []string{
	"calls", "calls", "calls", "calls", "calls", "calls", "cut", "heal", "forget", "forget", "crash", "crash without journal", "start",
	"adopt", "settle", "limit", "midnight",
}

func drawScenario(t *rapid.T) scenario {
	millis := func(most int, name string) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Millisecond
	}
	return scenario{
		Replicas:   rapid.IntRange(1, 3).Draw(t, "replicas"),
		Limit:      rapid.IntRange(1, 100).Draw(t, "limit"),
		Share:      rapid.SampledFrom([]int{0, 0, 20, 50}).Draw(t, "share"),
		EUR:        rapid.Bool().Draw(t, "EUR"),
		Lowered:    rapid.SampledFrom([]bool{false, false, true}).Draw(t, "lowered"),
		Uninformed: rapid.SampledFrom([]bool{false, false, true}).Draw(t, "uninformed"),
		Steps: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Who: rapid.IntRange(0, 2).Draw(t, "who"),
				Count: rapid.IntRange(1, 30).Draw(t, "count"), Bound: rapid.IntRange(0, 900).Draw(t, "bound"),
				Bill: rapid.IntRange(0, 100).Draw(t, "bill"), End: end(rapid.IntRange(0, int(ends)-1).Draw(t, "end")),
				Lasts: millis(3000, "lasts"), Pause: millis(1500, "pause"),
			}
		}), 1, 40).Draw(t, "steps"),
	}
}

// machine plays a scenario.
type machine struct {
	*sim
	scenario
	calls    sync.WaitGroup
	midnight bool
}

// play runs the scenario and returns what went wrong.
func (c scenario) play() error {
	limit := decimal.New(int64(c.Limit), -1)
	budget := hardBudget("all", limit.String(), func(b *accounting.Budget) {
		b.Period = accounting.PeriodDay
		b.EssentialShare.Decimal = decimal.New(int64(c.Share), -2)
		b.NonessentialPurposes = []string{accounting.PurposeTesting}
		if c.EUR {
			b.Currency = accounting.EUR
		}
	})
	time.Sleep(23 * time.Hour) // of the bubble's first day
	m := &machine{sim: newSim(newBank(budget), "all", func(*Options) {}), scenario: c}
	m.uninformed = c.Uninformed
	for range c.Replicas {
		m.start()
	}
	time.Sleep(time.Second)
	for i, s := range c.Steps {
		m.step(s)
		time.Sleep(s.Pause)
		synctest.Wait()
		if err := m.err(); err != nil {
			return fmt.Errorf("after step %d, %s: %w", i, s.Kind, err)
		}
	}
	if len(m.living()) == 0 {
		m.start()
	}
	m.quiet()
	m.calls.Wait()
	m.settleSome()
	m.quiet()
	used := m.checkUse()
	m.close()
	return errors.Join(m.err(), used)
}

func (m *machine) step(s step) {
	if s.Kind == "start" {
		if len(m.living()) < 4 {
			m.start()
		}
		return
	}
	switch s.Kind {
	case "adopt":
		m.adopt()
		return
	case "settle":
		m.settleSome()
		return
	case "limit":
		m.changeLimit(s.Bill)
		return
	case "midnight":
		if !m.midnight {
			m.midnight = true
			now := time.Now().UTC()
			time.Sleep(now.Truncate(24 * time.Hour).Add(24*time.Hour - time.Second/2).Sub(now))
		}
		return
	}
	living := m.living()
	if len(living) == 0 {
		return
	}
	r := living[s.Who%len(living)]
	switch s.Kind {
	case "calls":
		m.makeCalls(r, s)
	case "cut", "heal":
		r.mu.Lock()
		r.cut = s.Kind == "cut"
		r.mu.Unlock()
	case "forget":
		r.mu.Lock()
		r.forget = 1 + s.Count%3
		r.mu.Unlock()
	case "crash", "crash without journal":
		m.crash(r, s.Kind == "crash")
	}
}

// makeCalls makes calls at once, half of them essential.
func (m *machine) makeCalls(r *replica, s step) {
	bound := decimal.New(int64(s.Bound), -3)
	bill := bound.Mul(decimal.New(int64(s.Bill), -2))
	for i := range s.Count {
		tags := accounting.Tags{Purpose: []string{"", accounting.PurposeTesting}[i%2]}
		m.calls.Go(func() { r.call(tags, bound, bill, s.End, s.Lasts+time.Duration(i)*10*time.Millisecond) })
	}
}

// changeLimit raises the limit, or lowers it if the scenario says so.
func (m *machine) changeLimit(percent int) {
	m.bank.mu.Lock()
	limit := m.bank.budget("all").Limit.Decimal
	m.bank.mu.Unlock()
	if m.Lowered {
		limit = limit.Mul(decimal.New(int64(50+percent), -2))
	} else {
		limit = limit.Mul(decimal.New(int64(100+percent), -2))
	}
	m.bank.setLimit("all", limit)
}

// checkUse spends what is left, of which at least 95 % must be possible.
func (m *machine) checkUse() error {
	start, _ := accounting.PeriodDay.Window(time.Now(), time.UTC)
	key := accounting.LeaseKey{BudgetID: "all", PeriodStart: start}
	if m.bank.stand(key).ceiling.IsZero() {
		key.PeriodStart = start // nothing was asked for on this day yet
		m.bank.mu.Lock()
		m.bank.period(key)
		m.bank.mu.Unlock()
	}
	before := m.left(key)
	if before.LessThan(decimal.New(1, -1)) || before.LessThan(m.bank.stand(key).limit.Div(decimal.NewFromInt(20))) {
		return nil
	}
	each := before.Div(decimal.NewFromInt(60)).Truncate(6)
	m.exhaust(accounting.Tags{}, each, rand.New(rand.NewPCG(1, 2)))
	time.Sleep(5 * time.Second)
	if after := m.left(key); !m.Uninformed && after.GreaterThan(before.Div(decimal.NewFromInt(20))) {
		return fmt.Errorf("of %s that were left, %s could not be spent: %+v", before, after, m.bank.stand(key))
	}
	return nil
}

func TestNoInterleavingOfReplicasSpendsMoreThanAHardBudget(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := drawScenario(rt)
		var err error
		synctest.Test(t, func(*testing.T) { err = c.play() })
		if err != nil {
			rt.Fatal(err)
		}
	})
}
