package guard

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// request is the body of a call, as a test says what it costs.
type request struct {
	models   []string
	anyModel bool
	bounds   map[string]string // by model; "": of any
	err      error
	reads    int
}

func (r *request) Models() ([]string, bool) {
	r.reads++
	return r.models, r.anyModel
}

func (r *request) Bound(model string) (decimal.Decimal, error) {
	r.reads++
	if model == "" && len(r.models) > 0 {
		model = r.models[0]
	}
	if r.err != nil {
		return decimal.Decimal{}, r.err
	}
	if b, ok := r.bounds[model]; ok {
		return decimal.RequireFromString(b), nil
	}
	return decimal.RequireFromString(r.bounds[""]), nil
}

func bounded(by string) *request {
	return &request{models: []string{"a/b"}, bounds: map[string]string{"": by}}
}

// unbounded is an error that names a field.
type unbounded struct{ field string }

func (u unbounded) Error() string { return u.field + " has no limit: send max_tokens" }
func (u unbounded) Field() string { return u.field }

// records is a Recorder.
type records struct {
	mu     sync.Mutex
	events []accounting.Event
}

func (r *records) Record(e *accounting.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, *e)
	return nil
}

func (r *records) all() []accounting.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]accounting.Event(nil), r.events...)
}

// amountOf is a decimal of a literal.
func amountOf(s string) decimal.Decimal { return decimal.RequireFromString(s) }

// hardBudget is a hard budget over everything, in total.
func hardBudget(id, limit string, change ...func(*accounting.Budget)) accounting.Budget {
	b := accounting.Budget{
		ID: id, Name: id, Period: accounting.PeriodTotal, Timezone: "UTC", Limit: accounting.Amount{Decimal: amountOf(limit)},
		Currency: accounting.USD, Mode: accounting.ModeHard, Enabled: true, OnExceed: accounting.ExceedBlock, Bound: accounting.BoundComputed,
	}
	for _, f := range change {
		f(&b)
	}
	return b
}

func softBudget(id, limit string, change ...func(*accounting.Budget)) accounting.Budget {
	return hardBudget(id, limit, append([]func(*accounting.Budget){func(b *accounting.Budget) { b.Mode = accounting.ModeSoft }}, change...)...)
}

// fixture is one guard with its bank and what it recorded, in a synctest
// bubble.
type fixture struct {
	*Guard
	t       *testing.T
	bank    *bank
	records *records
	serial  uint64
	stop    func()
}

func options(b *bank, r *records) Options {
	return Options{
		Replica: "replica-1", Bank: b, Rules: b, StopBook: b, Recorder: r, Logger: zerolog.Nop(),
		Rate: func() decimal.Decimal { return amountOf("0.92") },
	}
}

// open starts a guard that has read its rules. It ends with the test.
func open(t *testing.T, b *bank, change ...func(*Options)) *fixture {
	t.Helper()
	r := &records{}
	o := options(b, r)
	for _, f := range change {
		f(&o)
	}
	g, err := New(o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Run(ctx)
	}()
	f := &fixture{Guard: g, t: t, bank: b, records: r, stop: func() { cancel(); <-done }}
	t.Cleanup(f.stop)
	synctest.Wait()
	time.Sleep(2 * beat)
	synctest.Wait()
	return f
}

// ask is a call that would be made now.
func (f *fixture) ask(tags accounting.Tags, r accounting.AskedRequest) *accounting.Ask {
	f.serial++
	now := time.Now()
	return &accounting.Ask{ID: accounting.NewRequestID(now, 0, f.serial), At: now, Tags: &tags, Endpoint: "/api/v1/chat/completions", Request: r}
}

func (f *fixture) reserve(tags accounting.Tags, r accounting.AskedRequest) *accounting.BudgetDecision {
	return f.Reserve(context.Background(), f.ask(tags, r))
}

// ended is the Closed of a call that cost so much; "" is not known yet.
func ended(ask *accounting.Ask, d *accounting.BudgetDecision, cost string) *accounting.Event {
	e := &accounting.Event{Kind: accounting.Closed, ID: ask.ID, Tags: *ask.Tags, GenerationID: "gen-" + ask.ID.String(), HTTPStatus: 200, Decision: d}
	if cost != "" {
		e.Usage.Cost = accounting.Some(amountOf(cost))
	}
	return e
}

// call makes a call that the budgets let pass, and ends it. shipped: Postgres
// has it.
func (f *fixture) call(tags accounting.Tags, bound, cost string, shipped bool) *accounting.BudgetDecision {
	f.t.Helper()
	ask := f.ask(tags, bounded(bound))
	d := f.Reserve(context.Background(), ask)
	if d == nil || d.Verdict == accounting.VerdictBlocked {
		return d
	}
	e := ended(ask, d, cost)
	f.Settle(e)
	if shipped {
		f.bank.ship(time.Now(), *e)
		f.Wake()
	}
	return d
}

// total is the key of a budget without periods.
func total(id string) accounting.LeaseKey {
	return accounting.LeaseKey{BudgetID: id, PeriodStart: accounting.TotalStart}
}

func TestAGuardNeedsItsPartsAndSaysWhichAreMissing(t *testing.T) {
	_, err := New(Options{GrantWait: -time.Second})
	for _, missing := range []string{"replica's id", "a bank", "rules", "a recorder", "an exchange rate", "a duration is negative"} {
		require.ErrorContains(t, err, missing)
	}
}

func TestACallThatNoBudgetHoldsHasNoDecisionAndIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("q4", "1", func(b *accounting.Budget) { b.Scope.CampaignID = "q4" })))
		r := bounded("1")
		require.Nil(t, f.reserve(accounting.Tags{CampaignID: "q3"}, r))
		require.Zero(t, r.reads)
	})
}

func TestACallFitsAHardBudgetToTheLastDigit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, newBank(hardBudget("all", "1")))
		d := f.reserve(accounting.Tags{}, bounded("1"))
		require.Equal(t, accounting.VerdictAllowed, d.Verdict)
		require.Equal(t, "replica-1", d.Replica)
		require.Equal(t, "1", d.Budgets[0].Charge.String())
		refused := f.reserve(accounting.Tags{}, bounded("0.000000000001"))
		require.Equal(t, accounting.VerdictBlocked, refused.Verdict)
		require.Equal(t, accounting.ReasonNoRoom, refused.Reason)
		f.Release(d)
		require.Equal(t, accounting.VerdictAllowed, f.reserve(accounting.Tags{}, bounded("0.000000000001")).Verdict)
		require.NoError(t, f.bank.problems())
	})
}
