package proxy

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/proxy/openrouter"
)

// fakeGuard answers with decide and notes what it is told.
type fakeGuard struct {
	decide func(ctx context.Context, ask *accounting.Ask) *accounting.BudgetDecision

	mu       sync.Mutex
	settled  []accounting.Event
	released []*accounting.BudgetDecision
}

func (g *fakeGuard) Reserve(ctx context.Context, ask *accounting.Ask) *accounting.BudgetDecision {
	return g.decide(ctx, ask)
}

func (g *fakeGuard) Settle(e *accounting.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settled = append(g.settled, *e)
}

func (g *fakeGuard) Release(d *accounting.BudgetDecision) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.released = append(g.released, d)
}

func (g *fakeGuard) counts() (settled, released int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.settled), len(g.released)
}

// deciding is a guard that always answers d.
func deciding(d *accounting.BudgetDecision) *fakeGuard {
	return &fakeGuard{decide: func(context.Context, *accounting.Ask) *accounting.BudgetDecision { return d }}
}

// fakeBodies reads {"model":…}, and writes what the decision wants.
type fakeBodies struct{}

type fakeFacts string

func (fakeBodies) Read(_ openrouter.Class, body []byte) accounting.AskedRequest {
	return fakeFacts(body)
}

func (f fakeFacts) Models() ([]string, bool) {
	var body struct{ Model string }
	err := json.Unmarshal([]byte(f), &body)
	return []string{body.Model}, err != nil || body.Model == ""
}

// Bound is a millionth of a dollar a byte.
func (f fakeFacts) Bound(string) (decimal.Decimal, error) {
	return decimal.New(int64(len(f)), -6), nil
}

func (fakeBodies) Rewrite(_ openrouter.Class, body []byte, d *accounting.BudgetDecision) ([]byte, error) {
	if strings.Contains(string(body), "fixed") {
		return nil, &bodyError{"plugins", "it has a plugin"}
	}
	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, err
	}
	if model := d.SentModel(); model != "" {
		members["model"] = model
	}
	if d.BoundBy == accounting.BoundProvider {
		members["provider"] = map[string]any{"max_price": 1}
	}
	return json.Marshal(members)
}

// guardedRig echoes the request body in the answer's.
func guardedRig(t testing.TB, guard *fakeGuard, adjust ...func(*Options)) (g *rig, sent *atomic.Int32) {
	sent = new(atomic.Int32)
	g = newRig(t, func(w http.ResponseWriter, r *http.Request) {
		sent.Add(1)
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Generation-Id", "gen-1")
		w.Header().Set("X-Seen-Length", r.Header.Get("Content-Length"))
		if r.ContentLength < 0 {
			w.Header().Set("X-Seen-Length", "chunked")
		}
		for name, values := range r.Trailer {
			w.Header()["X-Seen-"+name] = values
		}
		_, _ = w.Write(body)
	}, append([]func(*Options){func(o *Options) {
		o.Guard, o.Bodies = guard, fakeBodies{}
	}}, adjust...)...)
	return g, sent
}

func share(budget string, charge string) accounting.BudgetShare {
	return accounting.BudgetShare{
		BudgetID: budget, PeriodStart: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Verdict: accounting.VerdictAllowed,
		Limit: decimal.RequireFromString("12.50"), Settled: decimal.RequireFromString("12.4999999999999999"), Reserved: decimal.RequireFromString("0.25"),
		Charge: decimal.RequireFromString(charge),
	}
}

// charged is the decision about a call that a hard budget allows.
func charged() *accounting.BudgetDecision {
	return &accounting.BudgetDecision{Verdict: accounting.VerdictAllowed, Budgets: []accounting.BudgetShare{share("campaign", "0.01")}}
}

func TestABlockedCallIsAnsweredInTheEndpointsEnvelopeAndNotSent(t *testing.T) {
	guard := deciding(&accounting.BudgetDecision{
		Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonNoRoom, Detail: "The budget is used up.",
		Budgets: []accounting.BudgetShare{share("q4-launch", "0")},
	})
	g, sent := guardedRig(t, guard, func(o *Options) {
		o.FindBudget = func(id string) (accounting.Budget, bool) {
			return accounting.Budget{ID: id, Period: accounting.PeriodMonth, Timezone: "UTC", Currency: accounting.EUR}, true
		}
	})
	const about = `"error_type":"payment_required","limit_source":"bursar_budget","reason":"budget_no_room",
		"budget":"q4-launch","limit":12.5,"settled":12.4999999999999999,"reserved":0.25,"currency":"EUR","resets_at":"2026-12-01T00:00:00Z"`
	for path, want := range map[string]string{
		"/api/v1/chat/completions": `{"error":{"code":402,"message":"The budget is used up.","metadata":{` + about + `}}}`,
		"/api/v1/messages":         `{"type":"error","request_id":null,"error":{"type":"payment_required","message":"The budget is used up.",` + about + `}}`,
	} {
		response, body := g.post(path, `{"model":"m"}`)
		assert.Equal(t, http.StatusPaymentRequired, response.StatusCode)
		assert.Equal(t, "false", response.Header.Get("X-Should-Retry"))
		assert.Equal(t, "blocked", response.Header.Get("X-Bursar-Verdict"))
		_, err := accounting.ParseRequestID(response.Header.Get("X-Bursar-Request-Id"))
		assert.NoError(t, err)
		assert.JSONEq(t, want, body)
		assert.Contains(t, body, "12.4999999999999999", "every digit, which a float would not have")
	}
	assert.Zero(t, sent.Load(), "nothing went upstream")
	assert.Empty(t, g.recorder.kinds(), "the guard records its refusals itself")
	settled, released := guard.counts()
	assert.Zero(t, settled+released)
}

func TestAStopIsNamedAsWhatLimitsTheCall(t *testing.T) {
	g, _ := guardedRig(t, deciding(&accounting.BudgetDecision{
		Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonEmergencyStop, Detail: "Stopped: a leak.", Stop: "stop-1"}))
	response, body := g.post(chat, `{"model":"m"}`)
	assert.Equal(t, http.StatusPaymentRequired, response.StatusCode)
	assert.JSONEq(t, `{"error":{"code":402,"message":"Stopped: a leak.","metadata":{
		"error_type":"payment_required","limit_source":"bursar_emergency_stop","reason":"emergency_stop","stop":"stop-1"}}}`, body)
}

func TestTheGuardIsAskedAboutBillableCallsOnly(t *testing.T) {
	var asked atomic.Pointer[accounting.Ask]
	guard := &fakeGuard{decide: func(_ context.Context, ask *accounting.Ask) *accounting.BudgetDecision {
		seen := *ask
		asked.Store(&seen)
		return nil
	}}
	g, _ := guardedRig(t, guard)
	response, err := g.client.Get(g.base + "/api/v1/models")
	require.NoError(t, err)
	response.Body.Close()
	assert.Nil(t, asked.Load())

	response, _ = g.post(chat, `{"model":"m"}`, "Authorization", "Bearer sk-1", "X-Campaign-ID", "q4")
	assert.Equal(t, "allowed", response.Header.Get("X-Bursar-Verdict"))
	ask := asked.Load()
	assert.Equal(t, response.Header.Get("X-Bursar-Request-Id"), ask.ID.String())
	assert.True(t, ask.ID.Time().Equal(ask.At), "the period is that of the row")
	assert.Equal(t, "q4", ask.Tags.CampaignID)
	assert.Equal(t, accounting.Fingerprint("sk-1"), ask.KeyFingerprint)
	assert.Equal(t, chat, ask.Endpoint)
	g.recorder.last(t)
	settled, released := guard.counts()
	assert.Zero(t, settled+released, "nothing applied, so nothing is to be settled")
}

func TestWhatWasReservedIsSettledOnceAfterTheEndIsRecorded(t *testing.T) {
	d := charged()
	guard := deciding(d)
	g, _ := guardedRig(t, guard)
	g.post(chat, `{"usage":{"cost":0.004},"id":"gen-1"}`)
	e := g.recorder.last(t)
	require.Eventually(t, func() bool { settled, _ := guard.counts(); return settled == 1 }, 30*time.Second, time.Millisecond)
	assert.Equal(t, accounting.Closed, guard.settled[0].Kind)
	assert.Same(t, d, guard.settled[0].Decision)
	assert.Same(t, d, e.Decision)
	assert.Same(t, d, g.recorder.events[0].Decision, "a crash right now would keep the reservation")
	_, released := guard.counts()
	assert.Zero(t, released)
}

func TestACallThatCouldNotBeSentIsSettledAsFailed(t *testing.T) {
	guard := deciding(charged())
	g, _ := guardedRig(t, guard)
	g.upstream.CloseClientConnections()
	g.upstream.Listener.Close()
	response, _ := g.post(chat, `{"model":"m"}`)
	assert.Equal(t, http.StatusBadGateway, response.StatusCode)
	require.Eventually(t, func() bool { settled, _ := guard.counts(); return settled == 1 }, 30*time.Second, time.Millisecond)
	assert.Equal(t, accounting.StatusFailed, guard.settled[0].Status(), "nothing was billed, and the guard can tell")
}

func TestMoneyOfAHardBudgetIsNotSpentOnACallThatCannotBeRecorded(t *testing.T) {
	guard := deciding(charged())
	g, sent := guardedRig(t, guard, func(o *Options) { o.Recorder = fullRecorder{o.Recorder.(*recorder)} })
	response, _ := g.post(chat, `{"model":"m"}`)
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	assert.Zero(t, sent.Load())
	settled, released := guard.counts()
	assert.Equal(t, []int{0, 1}, []int{settled, released})
}

func TestACallWithinASoftBudgetPassesThoughItCannotBeRecorded(t *testing.T) {
	guard := deciding(&accounting.BudgetDecision{Verdict: accounting.VerdictWarned, Budgets: []accounting.BudgetShare{share("soft", "0")}})
	g, _ := guardedRig(t, guard, func(o *Options) { o.Recorder = fullRecorder{o.Recorder.(*recorder)} })
	response, _ := g.post(chat, `{"model":"m"}`)
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Equal(t, "warned", response.Header.Get("X-Bursar-Verdict"))
}

func TestADowngradedCallIsSentWithTheOtherModelAndSaysSo(t *testing.T) {
	guard := deciding(&accounting.BudgetDecision{
		Verdict: accounting.VerdictDowngraded, DowngradedTo: "cheap/model", Model: "m", Budgets: []accounting.BudgetShare{share("b", "0.01")}})
	g, _ := guardedRig(t, guard)
	for name, body := range map[string]string{
		"gathered": `{"id":"gen-1","model":"m"}`,
		"held":     `{"id":"gen-1","model":"m","messages":"` + strings.Repeat("x", 3*maxGathered) + `"}`,
	} {
		response, seen := g.post(chat, body)
		assert.Equal(t, "downgraded", response.Header.Get("X-Bursar-Verdict"), name)
		assert.Equal(t, "cheap/model", response.Header.Get("X-Bursar-Model"), name)
		assert.Equal(t, strings.Contains(body, "messages"), strings.Contains(seen, "xxx"))
		assert.Contains(t, seen, `"model":"cheap/model"`, name)
		e := g.recorder.last(t)
		assert.Equal(t, "cheap/model", e.RequestedModel, "what OpenRouter was asked for")
		assert.Equal(t, "m", e.Decision.Model)
	}
	assert.Equal(t, "cheap/model", g.recorder.events[0].RequestedModel)
}

func TestADowngradedUploadWithoutALengthStaysOne(t *testing.T) {
	g, _ := guardedRig(t, deciding(&accounting.BudgetDecision{Verdict: accounting.VerdictDowngraded, DowngradedTo: "cheap/model"}))
	request, err := http.NewRequest(http.MethodPost, g.base+chat, io.MultiReader(strings.NewReader(`{"model":`), strings.NewReader(`"m"}`)))
	require.NoError(t, err)
	response, seen := g.do(request)
	assert.Equal(t, "chunked", response.Header.Get("X-Seen-Length"))
	assert.JSONEq(t, `{"model":"cheap/model"}`, seen)
}

func TestPricesForOpenRouterToHoldArePutIntoTheCallAndSaid(t *testing.T) {
	d := charged()
	d.BoundBy = accounting.BoundProvider
	g, _ := guardedRig(t, deciding(d))
	response, seen := g.post(chat, `{"model":"m"}`)
	assert.Equal(t, "provider", response.Header.Get("X-Bursar-Bound"))
	assert.JSONEq(t, `{"model":"m","provider":{"max_price":1}}`, seen)
}

func TestACallThatCannotBeSentAsDecidedIsBlocked(t *testing.T) {
	d := charged()
	d.Verdict, d.Reason, d.DowngradedTo = accounting.VerdictDowngraded, accounting.ReasonExceeded, "cheap/model"
	guard := deciding(d)
	g, sent := guardedRig(t, guard)
	response, body := g.post(chat, `{"model":"fixed"}`)
	assert.Equal(t, http.StatusPaymentRequired, response.StatusCode)
	assert.Equal(t, "blocked", response.Header.Get("X-Bursar-Verdict"))
	assert.Empty(t, response.Header.Get("X-Bursar-Model"))
	assert.Contains(t, body, `Budget \"campaign\" lets this call pass only with the model cheap/model, which cannot be put into it: it has a plugin.`)
	assert.Contains(t, body, `"field":"plugins"`)
	assert.Zero(t, sent.Load())
	assert.Equal(t, []accounting.Kind{accounting.Refused}, g.recorder.kinds())
	recorded := g.recorder.events[0].Decision
	assert.Equal(t, accounting.VerdictBlocked, recorded.Verdict)
	assert.True(t, recorded.Budgets[0].Charge.IsZero())
	require.Len(t, guard.released, 1)
	assert.Same(t, d, guard.released[0], "with the money that it reserved")
	assert.True(t, d.Budgets[0].Charge.IsPositive(), "nobody writes to the guard's own decision")
}

func TestACallThatCannotCarryPricesIsBlockedInTheNameOfTheBudgetThatWantsThem(t *testing.T) {
	d := charged()
	d.BoundBy = accounting.BoundProvider
	d.Budgets = []accounting.BudgetShare{share("soft", "0"), d.Budgets[0]}
	g, sent := guardedRig(t, deciding(d), func(o *Options) {
		o.FindBudget = func(id string) (accounting.Budget, bool) {
			b := accounting.Budget{ID: id, Mode: accounting.ModeSoft, Period: accounting.PeriodMonth, Timezone: "UTC", Currency: accounting.USD}
			if id == "campaign" {
				b.Mode, b.Bound = accounting.ModeHard, accounting.BoundProvider
			}
			return b, true
		}
	})
	_, body := g.post(chat, `{"model":"fixed"}`)
	assert.Contains(t, body, `Budget \"campaign\" has OpenRouter hold the price of this call (bound: provider), which cannot be put into it: it has a plugin.`)
	assert.Contains(t, body, `"budget":"campaign"`)
	assert.Zero(t, sent.Load())
	recorded := g.recorder.events[0].Decision.Budgets
	assert.Equal(t, []string{"campaign", "soft"}, []string{recorded[0].BudgetID, recorded[1].BudgetID})
	assert.Equal(t, accounting.VerdictBlocked, recorded[0].Verdict)
	assert.Equal(t, accounting.ReasonNoBound, recorded[0].Reason)
}

func TestAClientThatLeavesWhileMoneyIsWaitedForIsNoticed(t *testing.T) {
	waiting, noticed := make(chan struct{}), make(chan struct{})
	g, _ := guardedRig(t, &fakeGuard{decide: func(ctx context.Context, ask *accounting.Ask) *accounting.BudgetDecision {
		ask.Request.Models()
		close(waiting)
		<-ctx.Done()
		close(noticed)
		return &accounting.BudgetDecision{Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonNoLease}
	}})
	ctx, leave := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.base+chat, strings.NewReader(strings.Repeat("x", 2*maxGathered)))
	require.NoError(t, err)
	go func() { <-waiting; leave() }()
	_, err = g.client.Do(request)
	require.ErrorIs(t, err, context.Canceled)
	select {
	case <-noticed:
	case <-time.After(30 * time.Second):
		t.Fatal("the guard still waits")
	}
}
