package settle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// fakeFigures has the same figures for every time, and remembers what it was
// asked.
type fakeFigures struct {
	mu    sync.Mutex
	asked []string
	spend decimal.Decimal // AI cost of any days, EUR
	err   error
}

func (f *fakeFigures) ask(format string, args ...any) error {
	meet()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
	return f.err
}

// questions are what was asked since the last time.
func (f *fakeFigures) questions() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = nil
	return asked
}

func (f *fakeFigures) cost() accounting.Amount {
	f.mu.Lock()
	defer f.mu.Unlock()
	return accounting.Amount{Decimal: f.spend}
}

func (f *fakeFigures) Months(_ context.Context, from, to accounting.Month) ([]accounting.MonthReport, error) {
	err := f.ask("months %s %s", from, to)
	var list []accounting.MonthReport
	for m := from; !to.Before(m); m = m.Next() {
		list = append(list, accounting.MonthReport{MonthFigures: accounting.MonthFigures{Month: m, USDToEUR: usd("1"), OpenRouterUSD: f.cost().Decimal,
			Fixed: []accounting.FixedCost{{Name: "a", EUR: usd("31")}}, EmailsSent: 200, MeetingsBooked: 4}})
	}
	return list, err
}

func (f *fakeFigures) UsageReport(_ context.Context, from, to accounting.Day) (accounting.UsageReport, error) {
	return accounting.UsageReport{Totals: accounting.UsageTotals{Calls: 40, CostEUR: f.cost()}}, f.ask("usage %s %s", from, to)
}

func (f *fakeFigures) KPISums(_ context.Context, from, to, wasteBefore accounting.Day, _ accounting.MeetingValue) (accounting.KPISums, error) {
	return accounting.KPISums{AICost: f.cost().Decimal, ProcessedLeads: 50, SentLeads: 20, Emails: 100, Meetings: 2}, f.ask("sums %s %s waste %s", from, to, wasteBefore)
}

func (f *fakeFigures) Campaigns(_ context.Context, from, to, _ accounting.Day, id *string, limit int) ([]accounting.CampaignSums, error) {
	list := []accounting.CampaignSums{
		{ID: "q4", AICostEUR: f.cost(), ProcessedLeads: 50, SentLeads: 10, Emails: 100, Meetings: 1},
		{ID: "small", ProcessedLeads: 2},
	}
	name := "all"
	if id != nil {
		name, list = *id, list[:1]
	}
	return list, f.ask("campaigns %s %s %s limit %d", from, to, name, limit)
}

func (f *fakeFigures) EmailsByCampaign(_ context.Context, from, to accounting.Day) (accounting.EmailsByCampaign, error) {
	return accounting.EmailsByCampaign{"q4": {"instantly": 100}}, f.ask("emails %s %s", from, to)
}

func (f *fakeFigures) Platforms(_ context.Context, from, to, _ accounting.Day) ([]accounting.PlatformSums, error) {
	return []accounting.PlatformSums{{Platform: "instantly", AICostEUR: f.cost(), ProcessedLeads: 50, SentLeads: 40, Emails: 100, Meetings: 2}}, f.ask("platforms %s %s", from, to)
}

func (f *fakeFigures) Models(_ context.Context, from, to accounting.Day) ([]accounting.ModelSums, error) {
	return []accounting.ModelSums{{UsageGroup: accounting.UsageGroup{Name: "m", UsageTotals: accounting.UsageTotals{CostEUR: f.cost()}},
		Leads: 40, CostPerLead: &accounting.Amount{Decimal: usd("0.1")}}}, f.ask("models %s %s", from, to)
}

func (f *fakeFigures) Waste(_ context.Context, from, to, _ accounting.Day, _ *string) ([]accounting.WasteSum, error) {
	return []accounting.WasteSum{{Kind: accounting.WasteUnsent, Count: 3, CostEUR: accounting.Amount{Decimal: usd("0.5")}}}, f.ask("waste %s %s", from, to)
}

func (f *fakeFigures) CostHistories(_ context.Context, from, today accounting.Day, _ accounting.Currency, _ []accounting.Scope) ([]accounting.Optional[accounting.CostHistory], error) {
	h := accounting.CostHistory{First: today.Add(-30)}
	for range 30 {
		h.Days = append(h.Days, usd("1"))
	}
	return []accounting.Optional[accounting.CostHistory]{accounting.Some(h)}, f.ask("history %s %s", from, today)
}

// fakeRuleBook keeps rules and states as the database promises.
type fakeRuleBook struct {
	mu       sync.Mutex
	rules    []accounting.AlertRule
	switched map[string]bool
	due      time.Time
	claims   []time.Time
	recorded map[string][]accounting.RuleReading
	states   map[string]accounting.RuleState
	err      error
}

func (b *fakeRuleBook) AlertRules(_ context.Context, builtIn []accounting.AlertRule) ([]accounting.AlertRule, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []accounting.AlertRule
	for _, r := range builtIn {
		if on, ok := b.switched[r.ID]; ok {
			r.Enabled = on
		}
		list = append(list, r)
	}
	return append(list, b.rules...), b.err
}

func (b *fakeRuleBook) CreateAlertRule(_ context.Context, r accounting.AlertRule, _ string) (accounting.AlertRule, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules = append(b.rules, r)
	return r, nil
}

func (b *fakeRuleBook) ChangeAlertRule(_ context.Context, r accounting.AlertRule, _ string) (accounting.AlertRule, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.rules {
		if b.rules[i].ID == r.ID {
			b.rules[i] = r
			return r, nil
		}
	}
	return r, accounting.ErrUnknownAlertRule
}

func (b *fakeRuleBook) DeleteAlertRule(_ context.Context, id, _ string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.rules {
		if b.rules[i].ID == id {
			b.rules = append(b.rules[:i], b.rules[i+1:]...)
			return nil
		}
	}
	return accounting.ErrUnknownAlertRule
}

func (b *fakeRuleBook) SwitchAlertRule(_ context.Context, id string, enabled bool, _ string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.switched == nil {
		b.switched = make(map[string]bool)
	}
	b.switched[id] = enabled
	return nil
}

func (b *fakeRuleBook) ClaimAlertRules(_ context.Context, now, next time.Time) (bool, error) {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil || now.Before(b.due) {
		return false, b.err
	}
	b.due, b.claims = next, append(b.claims, now)
	return true, nil
}

func (b *fakeRuleBook) RecordReadings(_ context.Context, rules []accounting.AlertRule, readings [][]accounting.RuleReading, _ time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recorded = make(map[string][]accounting.RuleReading)
	for i := range rules {
		b.recorded[rules[i].ID] = readings[i]
	}
	return b.err
}

func (b *fakeRuleBook) RuleStates(context.Context, string) (map[string]accounting.RuleState, error) {
	return b.states, b.err
}

// fakeReportBook keeps which reports were sent as the database promises.
type fakeReportBook struct {
	mu    sync.Mutex
	since time.Time
	sent  map[string]accounting.Alert // by span
	byWho []string
	looks int
	err   error
}

func (b *fakeReportBook) ReportsSince(context.Context) (time.Time, error) { return b.since, b.err }

func (b *fakeReportBook) ReportSent(_ context.Context, span accounting.ReportSpan) (bool, error) {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looks++
	_, sent := b.sent[span.String()]
	return sent, b.err
}

func (b *fakeReportBook) SendReport(_ context.Context, r *accounting.PeriodReport, a accounting.Alert) (bool, error) {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return false, b.err
	}
	if _, sent := b.sent[r.Of]; sent {
		return false, nil
	}
	if b.sent == nil {
		b.sent = make(map[string]accounting.Alert)
	}
	a.CreatedAt = r.MadeAt
	b.sent[r.Of] = a
	return true, nil
}

func (b *fakeReportBook) SendReportNow(_ context.Context, _ *accounting.PeriodReport, a accounting.Alert, by string) (accounting.Alert, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.byWho = append(b.byWho, by)
	return a, b.err
}

func (b *fakeReportBook) AlertsOf(context.Context, accounting.Day, accounting.Day) (accounting.ReportAlerts, error) {
	return accounting.ReportAlerts{Warning: 1, Latest: []accounting.ReportAlert{}}, b.err
}

func (b *fakeReportBook) OpenOf(context.Context, accounting.Day, accounting.Day) (accounting.ReportOpen, error) {
	return accounting.ReportOpen{OpenCalls: 7}, b.err
}

func (b *fakeReportBook) BudgetStatuses(_ context.Context, id string, _ time.Time, _ int) ([]accounting.BudgetStatus, error) {
	if id != accounting.BudgetMonthlyAI {
		return nil, errors.New("another budget")
	}
	return []accounting.BudgetStatus{{Limit: accounting.Amount{Decimal: usd("77")}, Budget: accounting.Budget{ID: id, Currency: accounting.EUR}}}, nil
}

// moments are when which spans were sent.
func (b *fakeReportBook) moments() map[string]time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make(map[string]time.Time)
	for of, a := range b.sent {
		list[of] = a.CreatedAt
	}
	return list
}
