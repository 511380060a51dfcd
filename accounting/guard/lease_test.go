package guard

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// leased is what the replica's guard has in hand, reserved or not.
func (f *fixture) leased(id string) string {
	synctest.Wait() // the leaser may have it in its own hands
	a := f.table.find(id, "", accounting.TotalStart.UnixNano())
	return exact(a.inHand(essential) + a.reserved.Load()).String()
}

func TestCallsThatComeTogetherShareOneQuestionToTheBank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(hardBudget("all", "1000"))
		b.takes = 10 * time.Millisecond // all of them are there before the first answer
		f := open(t, b)
		var calls sync.WaitGroup
		asks := make([]*accounting.Ask, 200)
		for i := range asks {
			asks[i] = f.ask(accounting.Tags{}, bounded("0.01"))
		}
		for _, ask := range asks {
			calls.Go(func() { f.Reserve(t.Context(), ask) })
		}
		calls.Wait()
		require.Less(t, f.bank.asked(), 20)
	})
}

func TestMoneyInHandLastsForSecondsSoThatCallsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("all", "1000")))
		waits := 0
		for range 500 {
			began := f.bank.asked()
			f.call(accounting.Tags{}, "0.02", "0.01", true)
			if f.bank.asked() > began {
				waits++
			}
			f.time(20 * time.Millisecond)
		}
		require.Less(t, waits, 25)
		leased := amountOf(f.leased("all"))
		require.True(t, leased.GreaterThan(amountOf("0.1")) && leased.LessThan(amountOf("15")), "ten seconds cost 5 USD, in hand are %s", leased)
	})
}

func TestIdleMoneyGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("all", "10")))
		f.call(accounting.Tags{}, "1", "0.5", true)
		f.time(10 * time.Second)
		require.Equal(t, "0", f.leased("all"))
		require.Equal(t, "0.5", f.bank.stand(total("all")).granted.String())
	})
}

func TestAReplicaThatIsShortGetsWhatAnotherHasInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(hardBudget("all", "1"))
		one := open(t, b)
		two := open(t, b, func(o *Options) { o.Replica = "replica-2" })
		one.call(accounting.Tags{}, "0.3", "0.1", true)
		one.call(accounting.Tags{}, "0.3", "0.1", true)
		require.NotEqual(t, "0", one.leased("all"))
		var d *accounting.BudgetDecision
		for range 20 { // it is refused at first, and tries again
			if d = two.reserve(accounting.Tags{}, bounded("0.8")); d.Verdict == accounting.VerdictAllowed {
				break
			}
			one.time(100 * time.Millisecond)
		}
		require.Equal(t, accounting.VerdictAllowed, d.Verdict)
		require.NoError(t, b.problems())
	})
}

func TestWithPostgresAwayOnlyWhatIsInHandIsSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(hardBudget("all", "100"))
		f := open(t, b)
		f.call(accounting.Tags{}, "1", "1", true)
		f.time(beat)
		hand := amountOf(f.leased("all"))
		b.mu.Lock()
		b.away = func(string) fate { return refuses }
		b.mu.Unlock()
		spent := decimal.Zero
		var d *accounting.BudgetDecision
		for {
			if d = f.call(accounting.Tags{}, "0.1", "0.1", false); d.Verdict == accounting.VerdictBlocked {
				break
			}
			spent = spent.Add(amountOf("0.1"))
		}
		require.Equal(t, accounting.ReasonNoLease, d.Reason)
		require.True(t, spent.GreaterThan(hand.Sub(amountOf("0.1"))) && !spent.GreaterThan(hand), "%s of %s", spent, hand)
		began := time.Now()
		require.Equal(t, accounting.ReasonNoLease, f.call(accounting.Tags{}, "0.1", "0.1", false).Reason)
		require.Zero(t, time.Since(began), "while the database is known to be away nobody waits")
		b.mu.Lock()
		b.away = nil
		b.mu.Unlock()
		f.time(2 * time.Second)
		require.Equal(t, accounting.VerdictAllowed, f.call(accounting.Tags{}, "0.1", "0.1", false).Verdict)
	})
}

func TestAGrantWhoseAnswerWasLostIsFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(hardBudget("all", "1"))
		f := open(t, b)
		a := f.table.find("all", "", accounting.TotalStart.UnixNano())
		b.mu.Lock()
		b.away = func(string) fate {
			if a.asked.Load() && b.leases == 0 {
				return forgets // the first question for money is obeyed, and its answer lost
			}
			return answers
		}
		b.mu.Unlock()
		require.Equal(t, accounting.VerdictAllowed, f.reserve(accounting.Tags{}, bounded("1")).Verdict)
		require.Equal(t, 2, b.leases)
		require.NoError(t, b.problems())
	})
}

func TestALeaseThatSomebodyTookAwayIsNotSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(hardBudget("all", "10"))
		f := open(t, b)
		f.call(accounting.Tags{}, "1", "0.5", true)
		require.NotEqual(t, "0", f.leased("all"))
		b.closeLeases("replica-1")
		f.reserve(accounting.Tags{}, bounded("9.4")) // has the bank be asked
		require.Equal(t, b.stand(total("all")).held["replica-1"].String(), f.leased("all"))
	})
}

func TestClosingGivesAllMoneyBackButWhatIsReserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(hardBudget("all", "10"), hardBudget("leads", "10", each(accounting.EachLead)))
		f := open(t, b)
		d := f.reserve(accounting.Tags{LeadID: "1"}, bounded("0.5"))
		require.Equal(t, accounting.VerdictAllowed, d.Verdict)
		f.stop()
		require.NoError(t, f.Close(t.Context()))
		require.Equal(t, "0.5", b.stand(total("all")).granted.String())
		require.Equal(t, accounting.ReasonNoLease, f.reserve(accounting.Tags{}, bounded("0.5")).Reason)
	})
}

func TestCountersOfDividedBudgetsAreBoundedAndReturnTheirLeaseWhenEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(hardBudget("leads", "10", each(accounting.EachLead)))
		f := open(t, b, func(o *Options) { o.MaxCached, o.LeaseIdle = shards, time.Hour })
		open := f.ask(accounting.Tags{LeadID: "open"}, bounded("1"))
		d := f.Reserve(t.Context(), open)
		for i := range 500 {
			f.call(accounting.Tags{LeadID: decimal.NewFromInt(int64(i)).String()}, "1", "0.25", true)
		}
		f.time(time.Second)
		count := 0
		f.table.visit(func(*account) { count++ })
		require.LessOrEqual(t, count, shards+1)
		e := ended(open, d, "1")
		f.Settle(e)
		b.ship(time.Now(), *e)
		f.stop()
		require.NoError(t, f.Close(t.Context()))
		for k, p := range b.periods {
			require.True(t, p.granted.Equal(p.settled), "%v: %s is granted, %s settled", k, p.granted, p.settled)
		}
		require.NoError(t, b.problems())
	})
}
