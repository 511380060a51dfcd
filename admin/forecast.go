package admin

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// CostHistories reads what days have cost, how budgets stand and what became of
// earlier forecasts. It is called concurrently and must return when ctx ends.
type CostHistories interface {
	// CostHistories are the daily costs of scopes, in their order: whole days
	// from from on, and today so far. The history of a scope of which there are
	// no daily sums is unknown.
	CostHistories(ctx context.Context, from, today accounting.Day, currency accounting.Currency, scopes []accounting.Scope) ([]accounting.Optional[accounting.CostHistory], error)
	// ForecastOutcomes are the forecasts that were kept on the days from from to
	// to, both included, with what became of them by today.
	ForecastOutcomes(ctx context.Context, from, to, today accounting.Day) ([]accounting.ForecastOutcome, error)
	// BudgetStatuses are as [BudgetFigures] has them.
	BudgetStatuses(ctx context.Context, id string, now time.Time, limit int) ([]accounting.BudgetStatus, error)
}

func init() {
	economicsColumns[reflect.TypeFor[accounting.BudgetForecast]()] = map[string]string{
		"id":                "Of the budget.",
		"each_value":        "Of a divided budget, the value that this is about; empty: the budget is not divided.",
		"currency":          "Of all amounts here.",
		"limit":             "Of the period.",
		"settled":           "Exact costs that are recorded in the present period.",
		"remaining":         "Limit less settled and reserved, at least 0.",
		"resets_at":         "When the period ends; null: never.",
		"basis":             "forecast: from the daily costs of the budget's scope; last_24_hours: the scope has none, or too few days of them, and the mean of the last 24 hours is taken.",
		"runs_out_at":       "When nothing is left at that pace; null: not before it resets, or not within 92 days.",
		"expected_at_reset": "Settled and the forecast of the rest of the period; null: it never resets, or the basis is last_24_hours.",
		"emails_left":       "remaining ÷ ai_cost_per_email, rounded down; null: the cost of an email is not known.",
	}
	economicsColumns[reflect.TypeFor[accounting.WeekdayCost]()] = map[string]string{
		"weekday": "monday to sunday.",
		"days":    "That the mean is of.",
		"mean":    "AI cost, EUR; null: there was no such day.",
		"share":   "Of a week; null: a weekday is missing, or nothing was spent.",
	}
	economicsColumns[reflect.TypeFor[accounting.ForecastDay]()] = map[string]string{
		"day":      "UTC.",
		"expected": "AI cost, EUR; of the present day what is still to come.",
	}
	economicsColumns[reflect.TypeFor[accounting.Bounds]()] = map[string]string{
		"low":  "EUR, rounded down to cents.",
		"high": "EUR, rounded up to cents.",
	}
}

var forecastOperation = huma.Operation{
	OperationID: "cost-forecast", Method: http.MethodGet, Path: "/api/costs/forecast",
	Summary: "What the month will have cost, and when budgets run out",
	Description: "expected = settled (OpenRouter's charge of the present UTC month so far) + the forecast of the days that are left + fixed costs. All amounts are EUR, except of budgets in USD. " +
		"The forecast is made from whole days since the first call, 120 at most: from 21 on by damped additive Holt-Winters with a weekly season, from 7 on by the mean of the latest 14 with as much of a weekday pattern as they show; " +
		"with fewer there is none: model is not_enough_data and expected null. The intervals are of simulated futures whose daily errors are those made before; they hold the month's end with 80 % and 95 % as far as the days to come are like those behind. " +
		"ai_cost_per_email is the AI cost of the last 7 days and today ÷ emails sent in them. accuracy is how the forecasts kept each day have fared over the last three finished months.",
	Tags: []string{"costs"}, Security: needsToken, Errors: economicsErrors, RejectUnknownQueryParameters: true,
}

// monthForecast is the data of GET /api/costs/forecast.
type monthForecast struct {
	Month       accounting.Month         `json:"month" doc:"UTC." example:"2026-11"`
	Model       accounting.ForecastModel `json:"model" enum:"holt_winters,weekday_mean,not_enough_data" doc:"How the forecast was made."`
	HistoryDays int                      `json:"history_days" doc:"Whole days that it was made from."`
	Settled     accounting.Amount        `json:"settled" doc:"OpenRouter's charge so far, EUR."`
	Fixed       accounting.Amount        `json:"fixed" doc:"EUR, whole from the first day on."`
	Expected    *accounting.Amount       `json:"expected" doc:"At the month's end, EUR; null: not enough data."`
	ExpectedAI  *accounting.Amount       `json:"expected_ai" doc:"The same without fixed costs."`
	Interval80  *accounting.Bounds       `json:"interval_80" doc:"That holds the month's end with 80 %; null: not enough data."`
	Interval95  *accounting.Bounds       `json:"interval_95" doc:"That holds the month's end with 95 %; null: not enough data."`
	Days        []accounting.ForecastDay `json:"days" nullable:"false" doc:"From today to the month's end."`
	Weekdays    []accounting.WeekdayCost `json:"weekdays" nullable:"false" doc:"Of the latest eight weeks."`

	AICostPerEmail *accounting.Amount          `json:"ai_cost_per_email" doc:"EUR; null: nothing was sent, or nothing was spent."`
	CostPerEmail   *accounting.Amount          `json:"cost_per_email_at_month_end" doc:"expected ÷ (emails sent + the latest week's daily mean × days left), EUR; null: there is no forecast, or nothing is sent."`
	Budgets        []accounting.BudgetForecast `json:"budgets" nullable:"false" doc:"When they run out; of a divided budget the five values that have used the most."`
	Accuracy       forecastAccuracy            `json:"accuracy"`
}

type forecastAccuracy struct {
	Forecasts int64              `json:"forecasts" doc:"Kept from the 11th day of a finished month on."`
	Mean      *accounting.Amount `json:"mean" doc:"Mean of 1 − |expected − actual| ÷ actual, of the AI cost; null: there was none."`
	In80      *accounting.Amount `json:"in_80" doc:"Share of them whose 80 % interval held what came."`
	In95      *accounting.Amount `json:"in_95" doc:"Share of them whose 95 % interval held what came."`
}

// forecast answers GET /api/costs/forecast.
func (e *economics) forecast(ctx context.Context, _ *noInput) (*answer[monthForecast], error) {
	reading, cancel := limited(ctx)
	defer cancel()
	now := e.Now().UTC()
	today, month := accounting.DayOf(now), accounting.MonthOf(now)
	end, err := e.monthEnd(reading, now)
	if err != nil {
		return nil, err
	}
	recent, err := e.emails(reading, today.Add(-accounting.EmailPaceDays), today.Add(-1))
	if err != nil {
		return nil, err
	}
	history, m := end.history, end.forecast
	perEmail, err := e.aiCostPerEmail(reading, &history)
	if err != nil {
		return nil, err
	}
	budgets, err := e.budgetForecasts(reading, perEmail, end.usdToEUR, now)
	if err != nil {
		return nil, err
	}
	outcomes, err := e.Store.ForecastOutcomes(reading, accounting.DayOf(month.Start().AddDate(0, -3, 0)), today, today)
	if err != nil {
		return nil, err
	}
	record := accounting.JudgeForecasts(outcomes)
	return answered(monthForecast{
		Month: month, Model: m.Rest.Model, HistoryDays: m.Rest.History,
		Settled: accounting.Amount{Decimal: m.Settled}, Fixed: accounting.Amount{Decimal: m.Fixed},
		Expected: accounting.AmountOf(m.Expected), ExpectedAI: accounting.AmountOf(m.AI()),
		Interval80: m.Bounds80.Pointer(), Interval95: m.Bounds95.Pointer(),
		Days: m.Rest.Days, Weekdays: history.WeekdayPattern(),
		AICostPerEmail: accounting.AmountOf(perEmail), CostPerEmail: accounting.AmountOf(m.CostPerEmailAtMonthEnd(end.sent, recent, now)), Budgets: budgets,
		Accuracy: forecastAccuracy{
			Forecasts: record.Months, Mean: accounting.AmountOf(record.Accuracy),
			In80: accounting.AmountOf(record.In80), In95: accounting.AmountOf(record.In95),
		},
	}), nil
}

// monthEnd is where the present month is heading, and from where.
type monthEnd struct {
	history  accounting.CostHistory
	usdToEUR decimal.Decimal // of the month so far
	sent     int64           // emails of the month so far
	forecast accounting.MonthForecast
}

// monthEnd forecasts the present month from what its days have cost.
func (e *economics) monthEnd(ctx context.Context, now time.Time) (*monthEnd, error) {
	month := accounting.MonthOf(now)
	months, err := e.Store.Months(ctx, month, month)
	if err != nil {
		return nil, err
	}
	histories, err := e.histories(ctx, accounting.EUR, now, []accounting.Scope{{}})
	if err != nil {
		return nil, err
	}
	history := histories[0].Value
	return &monthEnd{history, months[0].USDToEUR, months[0].EmailsSent, accounting.ForecastMonth(history, months[0].VariableEUR(), months[0].FixedEUR(), now)}, nil
}

func (e *economics) histories(ctx context.Context, currency accounting.Currency, now time.Time, scopes []accounting.Scope) ([]accounting.Optional[accounting.CostHistory], error) {
	today := accounting.DayOf(now)
	return e.Store.CostHistories(ctx, today.Add(-accounting.MaxForecastDays), today, currency, scopes)
}

// emailDays are the days before today that the present AI cost of an email is
// of: a week, so that a day of writing and one of sending do not tell two prices.
const emailDays = 7

// aiCostPerEmail is what an email costs at present, EUR.
func (e *economics) aiCostPerEmail(ctx context.Context, h *accounting.CostHistory) (accounting.Optional[decimal.Decimal], error) {
	today := h.Present()
	emails, err := e.emails(ctx, today.Add(-emailDays), today)
	if err != nil {
		return accounting.Optional[decimal.Decimal]{}, err
	}
	cost := h.Today
	for _, d := range h.Days[max(0, len(h.Days)-emailDays):] {
		cost = cost.Add(d)
	}
	if !cost.IsPositive() {
		return accounting.Optional[decimal.Decimal]{}, nil
	}
	return accounting.Per(cost, emails), nil
}

// emails counts those sent on the days from from to to, both included.
func (e *economics) emails(ctx context.Context, from, to accounting.Day) (sent int64, err error) {
	byCampaign, err := e.Store.EmailsByCampaign(ctx, from, to)
	for _, platforms := range byCampaign {
		for _, n := range platforms {
			sent += n
		}
	}
	return sent, err
}

// budgetForecasts says when each budget runs out.
func (e *economics) budgetForecasts(ctx context.Context, perEmail accounting.Optional[decimal.Decimal], usdToEUR decimal.Decimal, now time.Time) ([]accounting.BudgetForecast, error) {
	statuses, err := e.Store.BudgetStatuses(ctx, "", now, accounting.BudgetForecastValues)
	if err != nil {
		return nil, err
	}
	histories := make([]accounting.Optional[accounting.CostHistory], len(statuses))
	for _, currency := range []accounting.Currency{accounting.EUR, accounting.USD} {
		var scopes []accounting.Scope
		var numbers []int
		for i := range statuses {
			if scope, ok := dailyScope(&statuses[i]); ok && statuses[i].Budget.Currency == currency {
				scopes, numbers = append(scopes, scope), append(numbers, i)
			}
		}
		if len(scopes) == 0 {
			continue
		}
		found, err := e.histories(ctx, currency, now, scopes)
		if err != nil {
			return nil, err
		}
		for i, number := range numbers {
			histories[number] = found[i]
		}
	}
	forecasts := make([]accounting.BudgetForecast, len(statuses))
	for i := range statuses {
		price := perEmail
		if statuses[i].Budget.Currency == accounting.USD && price.Known {
			price = accounting.Quotient(price.Value, usdToEUR)
		}
		forecasts[i] = accounting.ForecastBudget(&statuses[i], histories[i], price, now)
	}
	return forecasts, nil
}

// dailyScope is the scope that a budget, or one value of it, counts. There are
// no daily sums of single leads and emails.
func dailyScope(s *accounting.BudgetStatus) (accounting.Scope, bool) {
	scope := s.Budget.Scope
	switch s.Budget.Each {
	case accounting.EachNone:
		return scope, true
	case accounting.EachCampaign:
		scope.CampaignID = s.EachValue
		return scope, true
	}
	return scope, false
}
