package admin

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// costADay is what a day costs in fakeEconomics that has a history.
var costADay = decimal.RequireFromString("2")

func (f *fakeEconomics) CostHistories(_ context.Context, from, today accounting.Day, currency accounting.Currency, scopes []accounting.Scope) ([]accounting.Optional[accounting.CostHistory], error) {
	f.ask("histories %s %s of %d", currency, today, len(scopes))
	list := make([]accounting.Optional[accounting.CostHistory], len(scopes))
	for i, scope := range scopes {
		if scope.CampaignID == "none" {
			continue
		}
		h := accounting.CostHistory{First: from, Days: []decimal.Decimal{}}
		for d := from; d.Before(today); d = d.Add(1) {
			cost := costADay
			if len(f.months) == 0 { // a month without a row is of a young installation
				cost = decimal.Decimal{}
			}
			h.Days = append(h.Days, cost)
		}
		list[i] = accounting.Some(h)
	}
	return list, nil
}

func (f *fakeEconomics) ForecastOutcomes(_ context.Context, from, to, today accounting.Day) ([]accounting.ForecastOutcome, error) {
	f.ask("outcomes %s %s", from, to)
	if len(f.months) == 0 {
		return nil, nil
	}
	at := func(s string) accounting.Amount { return accounting.Amount{Decimal: decimal.RequireFromString(s)} }
	return []accounting.ForecastOutcome{{
		ForecastSnapshot: accounting.ForecastSnapshot{Day: today.Add(-24), Expected: at("9").Decimal,
			Bounds80: accounting.Bounds{Low: at("8"), High: at("9.5")}, Bounds95: accounting.Bounds{Low: at("7"), High: at("10")}},
		MonthActual: accounting.Some(at("10").Decimal),
	}}, nil
}

func (f *fakeEconomics) BudgetStatuses(_ context.Context, id string, now time.Time, _ int) ([]accounting.BudgetStatus, error) {
	if len(f.months) == 0 {
		if id != "" {
			return nil, accounting.ErrUnknownBudget
		}
		return nil, nil
	}
	amount := func(s string) accounting.Amount { return accounting.Amount{Decimal: decimal.RequireFromString(s)} }
	reset, burn := accounting.MonthOf(now).End(), now.Add(time.Hour)
	list := []accounting.BudgetStatus{{Budget: accounting.Budget{ID: accounting.BudgetMonthlyAI, Currency: accounting.EUR}, Limit: amount("77"),
		Settled: amount("5.06"), Remaining: amount("13"), ResetsAt: &reset}}
	if id == "" {
		list = append(list,
			accounting.BudgetStatus{Budget: accounting.Budget{ID: "leads", Currency: accounting.USD, Each: accounting.EachLead}, EachValue: "ada", Remaining: amount("1"), ResetsAt: &reset, RunsOutAt: &burn},
			accounting.BudgetStatus{Budget: accounting.Budget{ID: "campaigns", Currency: accounting.USD, Each: accounting.EachCampaign}, EachValue: "q4", Remaining: amount("4"), ResetsAt: &reset})
	}
	return list, nil
}

func (f *fakeEconomics) KPISums(_ context.Context, from, to, wasteBefore accounting.Day, _ accounting.MeetingValue) (accounting.KPISums, error) {
	f.ask("kpis %s %s waste %s", from, to, wasteBefore)
	if len(f.months) == 0 {
		return accounting.KPISums{}, nil
	}
	d := decimal.RequireFromString
	return accounting.KPISums{AICost: d("5.06"), UnsentCost: d("1.012"), ValuedCost: d("5.06"), ProcessedLeads: 100, SentLeads: 90,
		Emails: 100, Meetings: 5, Value: accounting.Some(d("5000")), Alerts: 4, AlertsHandled: 3, Returned: 2, ReturnDays: 9}, nil
}

func TestTheForecastShowsTheMonthsEndAndWhenBudgetsRunOut(t *testing.T) {
	f := &fakeEconomics{months: []accounting.MonthReport{goldenMonth()}, emails: accounting.EmailsByCampaign{"q4": {"": 50, "instantly": 6}}}
	h := newEconomicsHandler(t, f, func(o *EconomicsOptions) {
		o.Now = func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }
	})
	data := ask(t, h, "GET", "/api/costs/forecast", "", 200)
	require.Equal(t, "holt_winters", data["model"])
	require.Equal(t, json.Number("146.06"), data["expected"], "5.06 settled, nine days of 2, 123 fixed")
	require.Equal(t, json.Number("23.06"), data["expected_ai"])
	require.Equal(t, map[string]any{"low": json.Number("146.06"), "high": json.Number("146.06")}, data["interval_80"], "what never changes is certain")
	require.Len(t, data["days"], 9)
	require.Len(t, data["weekdays"], 7)
	require.Equal(t, json.Number("0.25"), data["ai_cost_per_email"], "seven days of 2 over 56 emails")
	require.Equal(t, json.Number("0.9"), data["accuracy"].(map[string]any)["mean"])
	require.Equal(t, json.Number("0"), data["accuracy"].(map[string]any)["in_80"])
	require.Equal(t, json.Number("1"), data["accuracy"].(map[string]any)["in_95"])

	budgets := data["budgets"].([]any)
	all, lead, campaign := budgets[0].(map[string]any), budgets[1].(map[string]any), budgets[2].(map[string]any)
	require.Equal(t, "2026-11-28T12:00:00Z", all["runs_out_at"])
	require.Equal(t, json.Number("23.06"), all["expected_at_reset"])
	require.Equal(t, json.Number("52"), all["emails_left"])
	require.Equal(t, "last_24_hours", lead["basis"], "there are no daily sums of a lead")
	require.Equal(t, "2026-11-22T01:00:00Z", lead["runs_out_at"])
	require.Equal(t, "2026-11-24T00:00:00Z", campaign["runs_out_at"])
	require.Equal(t, json.Number("14"), campaign["emails_left"], "4 USD at 0.25 ÷ 0.92 USD")
}

func TestAYoungInstallationHasNotEnoughDataAndSaysSo(t *testing.T) {
	h := newEconomicsHandler(t, &fakeEconomics{}, nil)
	data := ask(t, h, "GET", "/api/costs/forecast", "", 200)
	require.Equal(t, "not_enough_data", data["model"])
	require.Nil(t, data["expected"])
	require.Nil(t, data["interval_95"])
	require.Nil(t, data["ai_cost_per_email"])
	require.Equal(t, []any{}, data["budgets"])
	require.Equal(t, []any{}, data["days"])
	require.Equal(t, json.Number("123"), data["fixed"])
	ask(t, h, "GET", "/api/costs/forecast?days=3", "", 422)
}

// kpisOf indexes key figures by id.
func kpisOf(list any) map[string]map[string]any {
	byID := map[string]map[string]any{}
	for _, k := range list.([]any) {
		byID[k.(map[string]any)["id"].(string)] = k.(map[string]any)
	}
	return byID
}

func TestEveryKeyFigureHasAFormulaATargetAndAState(t *testing.T) {
	f := &fakeEconomics{months: []accounting.MonthReport{goldenMonth()}, models: []accounting.ModelSums{
		{UsageGroup: accounting.UsageGroup{Name: "haiku", UsageTotals: accounting.UsageTotals{CostEUR: accounting.Amount{Decimal: decimal.NewFromInt(2)}}}, Meetings: accounting.Amount{Decimal: decimal.NewFromInt(4)}}}}
	data := ask(t, newEconomicsHandler(t, f, nil), "GET", "/api/kpis", "", 200)
	require.Equal(t, true, data["running"])
	require.Equal(t, []any{}, data["savings"])
	kpis := kpisOf(data["kpis"])
	for id, want := range map[string][2]string{
		"cost_per_email": {"1.2806", "missed"}, "cost_per_meeting": {"25.612", "missed"}, "ai_roi": {"988.1422924901", "met"},
		"waste": {"0.2", "missed"}, "send_rate": {"0.9", "met"}, "conversion_rate": {"0.05", "missed"},
		"budget_utilisation": {"", ""}, "prediction_accuracy": {"0.9", "missed"},
		"platform_efficiency": {"", "not_measurable"}, "model_performance": {"0.5", "no_target"}, "time_to_roi": {"4.5", "no_target"},
		"optimisation_speed": {"", "not_measurable"}, "trend_accuracy": {"", "not_measurable"}, "predictive_performance": {"0", "no_target"},
		"alert_effectiveness": {"0.75", "no_target"}, "decision_support": {"", "not_measurable"},
		"dashboard_cost_per_email": {"1.2806", "missed"}, "dashboard_cost_per_meeting": {"25.612", "missed"}, "efficiency_score": {"13.6654693113", "no_target"},
	} {
		k := kpis[id]
		require.NotNil(t, k, id)
		assert.NotEmpty(t, k["formula"], id)
		assert.NotEmpty(t, k["name"], id)
		if want[1] != "" {
			assert.Equal(t, want[1], k["state"], id)
			assert.Equal(t, want[1] == "not_measurable", k["reason"] != "", id)
		}
		if want[0] != "" {
			assert.Equal(t, json.Number(want[0]), k["value"], id)
		}
	}
	assert.Len(t, kpis, 19)
	use := kpis["budget_utilisation"]
	require.Equal(t, "missed", use["state"])
	require.Equal(t, json.Number("0.95"), use["target_high"])
}

func TestAMonthIsComparedWithABaseline(t *testing.T) {
	base := goldenMonth()
	base.Month = accounting.Month{Year: 2026, Month: time.August}
	base.EmailsSent, base.MeetingsBooked = 50, 4
	f := &fakeEconomics{months: []accounting.MonthReport{goldenMonth(), base}}
	h := newEconomicsHandler(t, f, nil)
	data := ask(t, h, "GET", "/api/kpis?baseline=2026-08", "", 200)
	savings := data["savings"].([]any)
	require.Equal(t, json.Number("128.06"), savings[0].(map[string]any)["eur"], "half the price for 100 emails")
	require.Equal(t, json.Number("32.015"), savings[1].(map[string]any)["eur"])
	year := kpisOf(data["year_1"])
	require.Len(t, year, 5)
	require.Equal(t, json.Number("0.2"), year["cost_per_meeting_improvement"]["value"])
	require.Equal(t, "missed", year["cost_per_meeting_improvement"]["state"])
	require.Equal(t, json.Number("1"), year["budget_predictability"]["value"])
	require.Equal(t, "met", year["budget_predictability"]["state"])
	require.Equal(t, json.Number("0"), year["waste_reduction"]["value"])

	empty := ask(t, newEconomicsHandler(t, &fakeEconomics{}, nil), "GET", "/api/kpis?month=2026-10&baseline=2026-09", "", 200)
	require.Equal(t, false, empty["running"])
	for _, k := range kpisOf(empty["kpis"]) {
		require.Equal(t, "not_measurable", k["state"], k["id"])
		require.NotEmpty(t, k["reason"], k["id"])
	}
	for _, s := range empty["savings"].([]any) {
		require.Nil(t, s.(map[string]any)["eur"])
	}
	for _, query := range []string{"?month=2026-12", "?month=x", "?baseline=2026-11", "?month=2026-10&baseline=2026-10", "?baseline=august", "?base=2026-08"} {
		ask(t, h, "GET", "/api/kpis"+query, "", 422)
	}
}

func TestAnErrorOfTheStoreIsNoKeyFigure(t *testing.T) {
	e := &economics{EconomicsOptions: EconomicsOptions{Store: brokenBudgets{&fakeEconomics{}}, Now: func() time.Time { return economicsNow }}}
	_, err := e.kpis(t.Context(), &kpisInput{})
	require.ErrorIs(t, err, errBroken)
	_, err = e.forecast(t.Context(), nil)
	require.ErrorIs(t, err, errBroken)
}

var errBroken = errors.New("connection refused")

// brokenBudgets cannot say how budgets stand.
type brokenBudgets struct{ *fakeEconomics }

func (brokenBudgets) BudgetStatuses(context.Context, string, time.Time, int) ([]accounting.BudgetStatus, error) {
	return nil, errBroken
}
