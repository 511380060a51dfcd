package admin

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// fakeBudgets is a store that answers with what it was given and remembers what
// it was asked. err is the answer to everything, once set.
type fakeBudgets struct {
	budgets   []accounting.Budget
	statuses  []accounting.BudgetStatus
	decisions []accounting.DecisionRow
	alerts    []accounting.Alert
	leases    []accounting.LeaseRow
	cursor    string     // the next one
	searched  *time.Time // how far back decisions were
	err       error

	mu        sync.Mutex
	stops     []accounting.Stop
	lists     int                    // times the stops were listed
	obey      func(*accounting.Stop) // before each listing of an active stop
	wait      bool                   // stops and budgets wait for the end of their context
	made      []accounting.Budget
	changes   []accounting.BudgetChange
	done      []string // what was written, by whom and why
	decided   accounting.DecisionFilter
	alerted   accounting.AlertFilter
	asked     string
	askedHow  int
	actorSeen string
}

func (f *fakeBudgets) note(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, line)
}

func (f *fakeBudgets) CreateBudget(_ context.Context, b accounting.Budget, actor string) (accounting.Budget, error) {
	f.made, f.actorSeen = append(f.made, b), actor
	if b.ID == "" {
		b.ID = accounting.BudgetSlug(b.Name)
	}
	return b, f.err
}

func (f *fakeBudgets) ChangeBudget(_ context.Context, id string, c accounting.BudgetChange, actor string, _ time.Time) (accounting.Budget, error) {
	f.changes, f.actorSeen = append(f.changes, c), actor
	b, err := f.find(id)
	return c.Apply(b), err
}

func (f *fakeBudgets) DeleteBudget(_ context.Context, id, actor, reason string) error {
	if _, err := f.find(id); err != nil {
		return err
	}
	f.note("delete " + id + " by " + actor + ": " + reason)
	return nil
}

func (f *fakeBudgets) find(id string) (accounting.Budget, error) {
	for _, b := range f.budgets {
		if b.ID == id {
			return b, f.err
		}
	}
	if f.err != nil {
		return accounting.Budget{}, f.err
	}
	return accounting.Budget{}, accounting.ErrUnknownBudget
}

func (f *fakeBudgets) ListBudgets(ctx context.Context) ([]accounting.Budget, error) {
	if f.wait {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return f.budgets, f.err
}

func (f *fakeBudgets) FindBudget(_ context.Context, id string) (accounting.Budget, error) {
	return f.find(id)
}

func (f *fakeBudgets) BudgetStatuses(_ context.Context, id string, _ time.Time, limit int) ([]accounting.BudgetStatus, error) {
	f.asked, f.askedHow = id, limit
	return f.statuses, f.err
}

func (f *fakeBudgets) ListDecisions(_ context.Context, filter accounting.DecisionFilter) (accounting.DecisionPage, error) {
	f.decided = filter
	return accounting.DecisionPage{Rows: f.decisions, NextCursor: f.cursor, SearchedTo: f.searched}, f.err
}

func (f *fakeBudgets) FindDecision(_ context.Context, id accounting.RequestID) (accounting.DecisionRow, error) {
	for _, row := range f.decisions {
		for _, call := range append(row.Calls, row.ID) {
			if call == id {
				return row, f.err
			}
		}
	}
	if f.err != nil {
		return accounting.DecisionRow{}, f.err
	}
	return accounting.DecisionRow{}, accounting.ErrUnknownCall
}

func (f *fakeBudgets) CreateStop(ctx context.Context, s accounting.Stop) (accounting.Stop, error) {
	if f.wait {
		<-ctx.Done()
		return s, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.stops = append(f.stops, s)
	}
	return s, f.err
}

func (f *fakeBudgets) LiftStop(ctx context.Context, id, actor string, now time.Time) (accounting.Stop, error) {
	if f.wait {
		<-ctx.Done()
		return accounting.Stop{}, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return accounting.Stop{}, f.err
	}
	for i := range f.stops {
		if s := &f.stops[i]; s.ID == id && s.LiftedAt == nil {
			s.LiftedAt, s.LiftedBy = &now, &actor
			return *s, nil
		}
	}
	return accounting.Stop{}, accounting.ErrUnknownStop
}

func (f *fakeBudgets) ListStops(ctx context.Context, all bool) ([]accounting.Stop, error) {
	if f.wait {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lists++
	var list []accounting.Stop
	for i := range f.stops {
		if s := &f.stops[i]; all || s.LiftedAt == nil {
			if f.obey != nil {
				f.obey(s)
			}
			list = append(list, *s)
		}
	}
	return list, f.err
}

func (f *fakeBudgets) ListAlerts(_ context.Context, filter accounting.AlertFilter) (accounting.AlertPage, error) {
	f.alerted = filter
	return accounting.AlertPage{Alerts: f.alerts, NextCursor: f.cursor}, f.err
}

func (f *fakeBudgets) AcknowledgeAlert(_ context.Context, id int64, actor string, now time.Time) (accounting.Alert, error) {
	for _, a := range f.alerts {
		if a.ID == id {
			a.AcknowledgedAt, a.AcknowledgedBy = &now, &actor
			return a, f.err
		}
	}
	if f.err != nil {
		return accounting.Alert{}, f.err
	}
	return accounting.Alert{}, accounting.ErrUnknownAlert
}

func (f *fakeBudgets) ListLeases(_ context.Context, budget string) ([]accounting.LeaseRow, error) {
	f.asked = budget
	return f.leases, f.err
}

func (f *fakeBudgets) ListReplicas(context.Context, int) ([]accounting.Replica, error) {
	return []accounting.Replica{{ID: "01a2b3c4", StartedAt: q4().CreatedAt, SeenAt: q4().CreatedAt, Alive: true}}, f.err
}

func (f *fakeBudgets) ReleaseLease(_ context.Context, replica, actor, reason string) error {
	f.note("release " + replica + " by " + actor + ": " + reason)
	return f.err
}

// fakeGuard is the guard of this replica.
type fakeGuard struct {
	err   error // of keeping
	mu    sync.Mutex
	stops []accounting.Stop
}

func (g *fakeGuard) PutStop(s accounting.Stop) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stops = append(g.stops, s)
	return g.err
}

func (g *fakeGuard) LiftStop(id, _ string, _ time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.stops {
		if g.stops[i].ID == id {
			g.stops = append(g.stops[:i:i], g.stops[i+1:]...)
			return g.err
		}
	}
	return accounting.ErrUnknownStop
}

func (g *fakeGuard) Stops() []accounting.Stop {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]accounting.Stop(nil), g.stops...)
}

// fakeTester sends to two channels, of which one fails.
type fakeTester struct {
	alert accounting.Alert
	err   error
	actor string
	hook  func(ctx context.Context) // before answering; may be nil
}

func (f *fakeTester) TestAlert(ctx context.Context, actor string) (accounting.Alert, error) {
	f.actor = actor
	if f.hook != nil {
		f.hook(ctx)
	}
	return f.alert, f.err
}

// withBudgets is a handler over store; change edits its options first.
func withBudgets(t *testing.T, store *fakeBudgets, change ...func(*BudgetOptions)) *Handler {
	t.Helper()
	o := &BudgetOptions{Store: store, Guard: &fakeGuard{}, Tester: &fakeTester{}, Purposes: accounting.DefaultPurposes(),
		KeyLabels: map[string]string{"main-account": strings.Repeat("ab", 32)}}
	for _, f := range change {
		f(o)
	}
	return newHandler(t, &fakeUsage{}, func(all *Options) { all.Budgets = o })
}

// money is an amount from its literal.
func money(literal string) accounting.Amount { return *usd(literal) }

// q4 is a budget with everything that can be set.
func q4() accounting.Budget {
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	return accounting.NormalizeBudget(accounting.Budget{
		ID: "q4", Name: "Q4 outreach", Scope: accounting.Scope{CampaignID: "q4"}, Period: accounting.PeriodMonth, Timezone: "UTC",
		Limit: accounting.Amount{Decimal: decimal.RequireFromString("12.50")}, Currency: accounting.USD, Mode: accounting.ModeHard, Enabled: true,
		CountsFrom: at, CreatedAt: at, UpdatedAt: at,
	})
}
