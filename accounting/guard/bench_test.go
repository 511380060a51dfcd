package guard

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// benchGuard is a guard with n hard budgets, each of a campaign, and all the
// money that calls will ask for.
func benchGuard(tb testing.TB, n int, change func(*accounting.Budget)) *Guard {
	var budgets []accounting.Budget
	for i := range n {
		budgets = append(budgets, hardBudget(fmt.Sprintf("b%d", i), "1000000", campaign(fmt.Sprintf("c%d", i)), change))
	}
	b := newBank(budgets...)
	b.unchecked = true
	o := options(b, &records{})
	o.Logger = zerolog.Nop()
	o.LeaseIdle = time.Hour
	o.GrantWait = time.Minute
	g, err := New(o)
	require.NoError(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	var loops sync.WaitGroup
	loops.Go(func() { _ = g.Run(ctx) })
	tb.Cleanup(func() {
		cancel()
		loops.Wait()
	})
	for deadline := time.Now().Add(30 * time.Second); g.set.Load() == nil || !g.loaded.Load(); time.Sleep(time.Millisecond) {
		require.True(tb, time.Now().Before(deadline), "the rules were not read")
	}
	return g
}

func BenchmarkDecision(b *testing.B) {
	for _, mode := range []accounting.Mode{accounting.ModeHard, accounting.ModeSoft} {
		for _, budgets := range []int{1, 100, 10_000} {
			b.Run(fmt.Sprintf("%s/budgets=%d", mode, budgets), func(b *testing.B) {
				g := benchGuard(b, budgets, func(b *accounting.Budget) { b.Mode = mode })
				warm(g, budgets)
				for _, goroutines := range []int{1, 8, 64} {
					b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) { decide(b, g, budgets, goroutines) })
				}
			})
		}
	}
}

// warm makes a call in each campaign, so that all have money in hand.
func warm(g *Guard, budgets int) {
	var calls sync.WaitGroup
	for i := range budgets {
		calls.Go(func() {
			g.Release(g.Reserve(context.Background(), &accounting.Ask{
				At: time.Now(), Tags: &accounting.Tags{CampaignID: fmt.Sprintf("c%d", i)}, Request: benchRequest{bound: amountOf("10")},
			}))
		})
	}
	calls.Wait()
}

// cpu is the time that this process has computed for.
func cpu(tb testing.TB) time.Duration {
	var used syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// decide makes b.N calls, each reserved and settled, from goroutines that all
// go through the campaigns. cpu-ns/op is what says something on a machine that
// others use too.
func decide(b *testing.B, g *Guard, budgets, goroutines int) {
	b.ReportAllocs()
	campaigns := make([]string, budgets)
	for i := range campaigns {
		campaigns[i] = fmt.Sprintf("c%d", i)
	}
	r := benchRequest{bound: amountOf("0.0000025")}
	cost := accounting.Some(amountOf("0.000000713"))
	var calls sync.WaitGroup
	b.ResetTimer()
	began := cpu(b)
	for n := range goroutines {
		calls.Go(func() {
			tags := accounting.Tags{}
			ask := accounting.Ask{At: time.Now(), Tags: &tags, Request: r}
			e := accounting.Event{Kind: accounting.Closed, HTTPStatus: 200}
			for i := n; i < b.N; i += goroutines {
				tags.CampaignID = campaigns[i%budgets]
				d := g.Reserve(context.Background(), &ask)
				if d == nil || d.Verdict != accounting.VerdictAllowed {
					b.Errorf("the call was not allowed: %+v", d)
					return
				}
				e.Decision, e.Usage.Cost = d, cost
				g.Settle(&e)
			}
		})
	}
	calls.Wait()
	b.ReportMetric(float64(cpu(b)-began)/float64(b.N), "cpu-ns/op")
}

// benchRequest is a body of which only the bound is asked.
type benchRequest struct{ bound decimal.Decimal }

func (benchRequest) Models() ([]string, bool)                { return nil, true }
func (r benchRequest) Bound(string) (decimal.Decimal, error) { return r.bound, nil }

func TestThousandsOfCallsAtOnceNeverReserveMoreThanTheLimit(t *testing.T) {
	const replicas, calls, limit = 2, 2000, 100 // of 0.1 each: half of them fit
	b := newBank(hardBudget("all", "100"))
	var guards []*Guard
	var loops sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for i := range replicas {
		o := options(b, &records{})
		o.Replica, o.GrantWait = fmt.Sprintf("replica-%d", i), time.Minute
		g, err := New(o)
		require.NoError(t, err)
		guards = append(guards, g)
		loops.Go(func() { _ = g.Run(ctx) })
	}
	require.Eventually(t, func() bool {
		return guards[0].loaded.Load() && guards[1].loaded.Load()
	}, 30*time.Second, time.Millisecond)
	var passed, refused atomic.Int64
	var work sync.WaitGroup
	for i := range calls {
		g := guards[i%replicas]
		work.Go(func() {
			now := time.Now()
			ask := &accounting.Ask{ID: accounting.NewRequestID(now, 1, uint64(i)), At: now, Tags: &accounting.Tags{}, Request: bounded("0.1")}
			d := g.Reserve(ctx, ask)
			if d.Verdict == accounting.VerdictBlocked {
				refused.Add(1)
				return
			}
			passed.Add(1)
			e := ended(ask, d, "0.1")
			g.Settle(e)
			b.ship(time.Now(), *e)
			g.Wake()
		})
	}
	work.Wait()
	cancel()
	loops.Wait()
	for _, g := range guards {
		require.NoError(t, g.Close(context.Background()))
	}
	require.NoError(t, b.problems())
	stand := b.stand(total("all"))
	require.False(t, stand.settled.GreaterThan(decimal.NewFromInt(limit)))
	require.Equal(t, stand.settled.String(), stand.granted.String(), "all leases are back")
	require.EqualValues(t, calls, passed.Load()+refused.Load())
	require.Greater(t, passed.Load(), int64(limit*10/2))
}
