package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// TestBudgetsHoldUnderAnyConcurrency has replicas lease, spend, ship in batches
// that overlap, die and be settled, while somebody creates, changes and deletes
// budgets. At every moment every figure equals its rows and leases; and the hard
// budget whose calls all went through leases never passes its limit.
func TestBudgetsHoldUnderAnyConcurrency(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	one := budgetStore(t)
	two := openStore(t, one.opts.URL)
	two.opts.Now = one.opts.Now
	createBudget(t, one, budgetOf(accounting.ModeHard, "3"))
	euro := budgetOf(accounting.ModeHard, "1")
	euro.ID, euro.Each, euro.Currency, euro.Period = "euro", accounting.EachLead, accounting.EUR, accounting.PeriodDay
	createBudget(t, one, euro)

	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	var spenders, others sync.WaitGroup
	for i := range 6 {
		spender := &spender{t: t, s: []*Store{one, two}[i%2], random: rand.New(rand.NewPCG(seed, uint64(i)))}
		spenders.Go(func() { spender.spend(8, fmt.Sprint("r", i)) })
	}
	others.Go(func() { changeUntil(t, stop, one, rand.New(rand.NewPCG(seed, 100))) })
	others.Go(func() { watchUntil(t, stop, two) })
	spenders.Wait()
	cancel()
	others.Wait()

	requireExactBudgets(t, one)
	requireExactRollups(t, one)
	p := periodState(t, one, novemberOf("q4", ""))
	require.True(t, p.Settled.IsPositive() && p.Total.Equal(p.Settled.Add(p.Reserved)), "all leases are closed: %+v", p.PeriodFigures)
	var rows decimal.Decimal
	require.NoError(t, one.pool.QueryRow(t.Context(), `SELECT sum(cost_usd) FROM openrouter_usage`).Scan(&rows))
	require.True(t, p.Settled.Equal(rows))
}

// spender is a guard, its journal and its settler.
type spender struct {
	t      *testing.T
	s      *Store
	random *rand.Rand

	replica string
	held    decimal.Decimal // of q4, as the guard knows it
	journal []accounting.Event
	shipped int
}

func (p *spender) spend(rounds int, name string) {
	life := 0
	for round := range rounds {
		if p.replica == "" {
			p.replica, p.held = fmt.Sprintf("%s-%d", name, life), decimal.Decimal{}
			life++
		}
		p.call()
		switch p.random.IntN(4) {
		case 0:
			p.settle()
		case 1:
			p.giveBack()
		case 2:
			if round%5 == 4 {
				p.die()
			}
		}
		p.ship()
	}
	p.die()
	p.settle()
	if err := p.s.CloseLeases(p.t.Context(), p.replica); err != nil {
		p.t.Error(err)
	}
}

// call makes some calls, each within what is held for it.
func (p *spender) call() {
	for range 1 + p.random.IntN(4) {
		charge := decimal.New(1+p.random.Int64N(40), -3)
		if p.held.LessThan(charge) {
			p.lease(accounting.LeaseRequest{LeaseKey: novemberOf("q4", ""), Need: charge, Want: charge.Mul(dec("5"))})
		}
		if p.held.LessThan(charge) {
			continue // refused
		}
		p.held = p.held.Sub(charge)
		generation := fmt.Sprintf("gen-%d", p.random.Uint64())
		e := charged(p.replica, charge.String(), generation, "")
		e.Tags.LeadID = fmt.Sprint("lead-", p.random.IntN(3))
		switch p.random.IntN(5) {
		case 0: // its cost is not known: what was charged is consumed
		case 1:
			e = cut(e)
		default:
			cost := charge.Mul(decimal.New(p.random.Int64N(101), -2))
			e.Usage.Cost = accounting.Some(cost)
			p.held = p.held.Add(charge.Sub(cost))
		}
		p.journal = append(p.journal, e)
	}
}

func (p *spender) lease(r accounting.LeaseRequest) {
	leases, err := p.s.Lease(p.t.Context(), p.replica, p.s.now(), []accounting.LeaseRequest{r})
	if err != nil {
		p.t.Errorf("lease: %v", err)
		return
	}
	p.held = p.held.Add(leases[0].Granted).Sub(r.Return)
}

func (p *spender) giveBack() {
	if half := p.held.Mul(dec("0.5")); half.IsPositive() {
		p.lease(accounting.LeaseRequest{LeaseKey: novemberOf("q4", ""), Return: half})
	}
}

// ship ships what is new with something that was shipped before.
func (p *spender) ship() {
	from := max(0, p.shipped-p.random.IntN(5))
	if batch := slices.Clone(p.journal[from:]); len(batch) > 0 {
		if _, err := p.s.Ship(p.t.Context(), batch); err != nil {
			p.t.Errorf("ship: %v", err)
		}
	}
	p.shipped = len(p.journal)
}

// die forgets what is held; whoever adopts the journal ships it and closes the
// leases.
func (p *spender) die() {
	p.ship()
	if err := p.s.CloseLeases(p.t.Context(), p.replica); err != nil {
		p.t.Errorf("close: %v", err)
	}
	p.replica = ""
}

// settle ends some of the open calls in any of the ways there are.
func (p *spender) settle() {
	for _, i := range p.random.Perm(len(p.journal))[:len(p.journal)/2] {
		e, ctx := &p.journal[i], p.t.Context()
		if i >= p.shipped || e.Usage.Cost.Known {
			continue
		}
		charge := e.Decision.Budgets[0].Charge
		bill := accounting.Generation{ID: e.GenerationID, Usage: accounting.Usage{Cost: accounting.Some(charge.Mul(dec("0.75")))}}
		var err error
		switch {
		case e.Kind == accounting.Interrupted && i%2 == 0:
			_, err = p.s.DismissCall(ctx, decisionOn(*e))
		case e.Kind == accounting.Interrupted:
			_, err = p.s.AttachGeneration(ctx, decisionOn(*e), fmt.Sprintf("gen-late-%d", p.random.Uint64()))
		default:
			_, err = p.s.SetEstimates(ctx, []accounting.CallEstimate{{ID: e.ID, Amount: charge}})
		}
		var refused *accounting.DecisionError
		if err != nil && !errors.As(err, &refused) {
			p.t.Errorf("decide: %v", err)
		}
		if e.Kind == accounting.Interrupted && i%2 == 0 {
			continue
		}
		if _, err := p.s.Settle(ctx, accounting.Unsettled{ID: e.ID}, bill, later); err != nil {
			p.t.Errorf("settle: %v", err)
		}
	}
}

// changeUntil makes, changes and deletes budgets beside those who spend.
func changeUntil(t *testing.T, stop context.Context, s *Store, random *rand.Rand) {
	ctx := t.Context()
	for stop.Err() == nil {
		b := budgetOf([]accounting.Mode{accounting.ModeSoft, accounting.ModeHard}[random.IntN(2)], "0.5")
		b.Each = []accounting.Each{accounting.EachNone, accounting.EachLead}[random.IntN(2)]
		made, err := s.CreateBudget(ctx, b, "tester")
		if err != nil {
			t.Errorf("create: %v", err)
			return
		}
		end := noon.Add(time.Duration(random.IntN(2)-1) * time.Second)
		for _, change := range []struct {
			id string
			c  accounting.BudgetChange
		}{
			{"q4", accounting.BudgetChange{Limit: ref(decimal.New(3000+random.Int64N(1000), -3))}}, // never below 3
			{"euro", accounting.BudgetChange{Limit: ref(decimal.New(random.Int64N(300), -3))}},
			{made.ID, accounting.BudgetChange{Limit: ref(decimal.New(random.Int64N(3000), -3)), EndsAt: ref(&end)}},
		} {
			if _, err := s.ChangeBudget(ctx, change.id, change.c, "tester", s.now()); err != nil {
				t.Errorf("change: %v", err)
				return
			}
		}
		if err := s.DeleteBudget(ctx, made.ID, "tester", ""); err != nil {
			t.Errorf("delete: %v", err)
			return
		}
	}
}

// watchUntil looks whether everything adds up and holds.
func watchUntil(t *testing.T, stop context.Context, s *Store) {
	for stop.Err() == nil {
		differences, err := s.CheckBudgets(t.Context())
		if err != nil || len(differences) > 0 {
			t.Errorf("budgets beside writers: %v %v", differences, err)
			return
		}
		states, err := s.Periods(t.Context(), time.Time{}, []accounting.LeaseKey{novemberOf("q4", "")})
		if err != nil {
			t.Errorf("periods: %v", err)
			return
		}
		for _, p := range states {
			if p.Total.GreaterThan(p.Ceiling) || p.Overshoot.IsPositive() || p.Settled.GreaterThan(dec("4")) {
				t.Errorf("the hard budget did not hold: %+v", p)
				return
			}
		}
	}
}
