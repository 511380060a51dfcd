package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/store/postgres/postgrestest"
)

// budgetBehaviors are answers that are billed by the price list, or less. Some take
// their time, to be in flight when something dies; some leave the cost to be
// found out later.
var budgetBehaviors = []string{"ok", "ok", "ok", "delay=20ms", "delay=150ms", "chunks=20,interval=5ms", "cost-absent", "no-usage", "cost-tiny"}

// budgetChaos is traffic of one campaign at all replicas, whose budget allows
// only some of it.
type budgetChaos struct {
	*chaos
	limit  decimal.Decimal
	client http.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup

	passed, blocked, failed atomic.Int64
}

const budgetCampaign = "chaos"

func (b *budgetChaos) call(base string, random *rand.Rand) (status int) {
	body := fmt.Sprintf(`{"model":%q,"max_tokens":20,"stream":%t,"messages":[{"role":"user","content":"hello %d"}]}`,
		cheapModel, random.IntN(2) == 0, random.IntN(1000))
	request, err := http.NewRequest(http.MethodPost, base+chatPath, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Campaign-ID", budgetCampaign)
	request.Header.Set("X-Fake-Behavior", budgetBehaviors[random.IntN(len(budgetBehaviors))])
	response, err := b.client.Do(request)
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	switch {
	case err != nil:
		b.failed.Add(1)
		return 0
	case response.StatusCode == http.StatusOK:
		b.passed.Add(1)
	case response.StatusCode == http.StatusPaymentRequired:
		b.blocked.Add(1)
	default:
		b.failed.Add(1)
	}
	return response.StatusCode
}

// start sends calls from many clients at once.
func (b *budgetChaos) start(clients int) {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	b.client.Transport = &http.Transport{MaxIdleConnsPerHost: clients}
	for i := range clients {
		b.wg.Go(func() {
			random := rand.New(rand.NewPCG(b.seed, uint64(i)+1))
			for ctx.Err() == nil {
				if status := b.call(b.bursars[random.IntN(len(b.bursars))].base, random); status != http.StatusOK {
					time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond)
				}
			}
		})
	}
	b.t.Cleanup(b.stop)
}

func (b *budgetChaos) stop() {
	b.cancel()
	b.wg.Wait()
	b.client.CloseIdleConnections()
}

// makeBudget makes the budget and waits until every replica goes by it.
func (b *budgetChaos) makeBudget() {
	b.t.Helper()
	response, err := http.Post(b.bursars[0].admin+"/api/budgets", "application/json", strings.NewReader(fmt.Sprintf(
		`{"id":"chaos","name":"Chaos","scope":{"campaign_id":%q},"period":"total","limit":%s,"mode":"hard"}`, budgetCampaign, b.limit)))
	require.NoError(b.t, err)
	answer, err := io.ReadAll(response.Body)
	response.Body.Close()
	require.NoError(b.t, err)
	require.Equal(b.t, http.StatusCreated, response.StatusCode, "%s", answer)
	for _, replica := range b.bursars {
		require.Eventually(b.t, func() bool {
			response, err := http.Get(replica.admin + "/metrics")
			if err != nil {
				return false
			}
			defer response.Body.Close()
			metrics, err := io.ReadAll(response.Body)
			return err == nil && strings.Contains(string(metrics), `bursar_budget_limit{budget="chaos"`)
		}, time.Minute, 20*time.Millisecond, "a replica does not know the budget")
	}
}

// requireWithin checks what OpenRouter has billed so far. Its ledger only
// grows, so at no earlier moment was it more.
func (b *budgetChaos) requireWithin() decimal.Decimal {
	b.t.Helper()
	billed := b.fake.Total()
	require.True(b.t, billed.LessThanOrEqual(b.limit), "%s billed of %s (CHAOS_SEED=%d)", billed, b.limit, b.seed)
	return billed
}

// standing is the budget as Postgres has it. overshoots is how often it was
// beyond its limit, if only until other money came back.
func (b *budgetChaos) standing() (settled, reserved decimal.Decimal, overshoots int) {
	b.t.Helper()
	conn := connect(b.t, b.database)
	defer func() { _ = conn.Close(context.Background()) }()
	require.NoError(b.t, conn.QueryRow(context.Background(),
		`SELECT settled, reserved, (SELECT count(*) FROM alerts WHERE kind = 'budget_overshoot') FROM budget_periods WHERE budget_id = 'chaos'`).
		Scan(&settled, &reserved, &overshoots))
	return settled, reserved, overshoots
}

// requireUsable sends single calls until the budget is used up to 95 % of what
// calls of unknown cost leave of it: no replica sits on money.
func (b *budgetChaos) requireUsable() (settled, reserved decimal.Decimal) {
	b.t.Helper()
	random := newRandom(b.seed)
	share := decimal.RequireFromString("0.95")
	var overshoots int
	for began := time.Now(); time.Since(began) < chaosPatience; {
		for refused := 0; refused < 2*len(b.bursars); {
			if b.call(b.bursars[random.IntN(len(b.bursars))].base, random) == http.StatusPaymentRequired {
				refused++
			}
		}
		b.requireLedgersAgree(afterKill)
		settled, reserved, overshoots = b.standing()
		if settled.GreaterThanOrEqual(share.Mul(b.limit.Sub(reserved))) {
			require.Zero(b.t, overshoots, "more was billed than had been reserved for it (CHAOS_SEED=%d)", b.seed)
			return settled, reserved
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.t.Fatalf("%s settled and %s reserved of %s (CHAOS_SEED=%d)", settled, reserved, b.limit, b.seed)
	return settled, reserved
}

// Four replicas, each with a data directory of its own, share a hard budget.
// They are killed with calls in flight and cut off from Postgres, whose answers
// to their grants are lost as well.
func TestChaosAHardBudgetHoldsOverReplicasThatAreKilledAndCutOff(t *testing.T) {
	t.Parallel()
	database := postgrestest.New(t)
	b := &budgetChaos{chaos: newChaos(t, database)}
	b.limit = decimal.New(int64(3*b.rounds(1)), -2)
	networks := make([]*link, 4)
	for i := range networks {
		networks[i] = newLink(t, database)
		b.addBursar("DATABASE_URL="+networks[i].url(t, database), "BURSAR_DATA_DIR="+filepath.Join(b.dataDir, fmt.Sprint(i)),
			"BURSAR_BUDGETS_LEASE_IDLE=500ms")
	}
	b.makeBudget()
	clients := 64
	if os.Getenv("CHAOS_ROUNDS") != "" {
		clients = 2000
	}
	b.start(clients)
	for round := range b.rounds(3) {
		b.pause(200, 700)
		i := b.random.IntN(len(b.bursars))
		if round%3 == 1 {
			networks[i].set([]linkState{linkDeaf, linkDown, linkHung}[b.random.IntN(3)])
			b.pause(200, 900)
			networks[i].set(linkUp)
		} else {
			b.bursars[i].kill()
			b.pause(0, 400)
			b.bursars[i].start()
		}
		b.faults++
		b.requireWithin()
	}
	b.stop()
	settled, reserved := b.requireUsable()
	billed := b.requireWithin()
	calls, blocked, failed := b.passed.Load(), b.blocked.Load(), b.failed.Load()
	require.Positive(t, blocked)
	t.Logf("%d faults; %d calls passed, %d blocked, %d failed; %s billed of %s USD, %s settled, %s held for calls whose generation nobody knows; %s in all",
		b.faults, calls, blocked, failed, billed, b.limit, settled, reserved, time.Since(b.began).Round(time.Millisecond))
	for _, replica := range b.bursars {
		b.terminate(replica)
	}
	left, err := filepath.Glob(filepath.Join(b.dataDir, "*", "journal", "*", "*"))
	require.NoError(t, err)
	require.Empty(t, left, "the journals, and the names of those whose leases they spent, are gone")
}
