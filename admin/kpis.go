package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/errgroup"

	"bursar/accounting"
)

// KPIReports sums what key figures are made of. It is called concurrently and
// must return when ctx ends.
type KPIReports interface {
	// KPISums sums the days from from to to, both included, over all campaigns.
	KPISums(ctx context.Context, from, to, wasteBefore accounting.Day, value accounting.MeetingValue) (accounting.KPISums, error)
}

func init() {
	economicsColumns[reflect.TypeFor[accounting.KPI]()] = map[string]string{
		"id":          "Of the figure; it does not change.",
		"name":        "As the founding documents name it.",
		"group":       "primary, secondary (strategy), dashboard (cost tracking system), year_1 (strategy, against the baseline).",
		"formula":     "In words.",
		"unit":        "EUR, share (0.05 is 5 %), days, score (0 to 100), ratio.",
		"aim":         "Where the value should be: below, above, at_least the target, between target and target_high, or none.",
		"target":      "Null: the founding documents name none.",
		"target_high": "Of between; else null.",
		"value":       "Null: not measurable.",
		"state":       "met, missed, no_target (measured, but there is nothing to hold it to), not_measurable.",
		"reason":      "Why it is not measurable; else empty.",
		"parts":       "What it is made of, where it compares things.",
	}
	economicsColumns[reflect.TypeFor[accounting.KPIPart]()] = map[string]string{
		"name":  "A platform, a model.",
		"value": "As the formula says; null: unknown.",
	}
	economicsColumns[reflect.TypeFor[accounting.Saving]()] = map[string]string{
		"id":      "emails, meetings, waste.",
		"formula": "In words.",
		"eur":     "Negative: this month pays more; null: one of the months does not have the figure.",
		"reason":  "Why it is null; else empty.",
	}
}

var kpisOperation = huma.Operation{
	OperationID: "kpis", Method: http.MethodGet, Path: "/api/kpis",
	Summary: "The key figures of a month, with target, value and state",
	Description: "The primary and secondary KPIs of the strategy and the dashboard's, each with its formula in words. What cannot be measured is not_measurable, with the reason. " +
		"With baseline, the savings against that month (they overlap, and so are not to be added up) and the strategy's targets for the first year. Amounts are EUR.",
	Tags: []string{"costs"}, Security: needsToken, Errors: economicsErrors, RejectUnknownQueryParameters: true,
}

// kpisInput is the query of GET /api/kpis.
type kpisInput struct {
	Month    string `query:"month" maxLength:"7" doc:"UTC month; default: the present one." example:"2026-11"`
	Baseline string `query:"baseline" maxLength:"7" doc:"Earlier month to compare with; default: none." example:"2026-08"`
}

// Resolve checks what no single parameter's schema can say.
func (in *kpisInput) Resolve(ctx huma.Context) []error {
	address := ctx.URL()
	return checkQuery(address.RawQuery)
}

// months reads the parameters; a baseline that was not asked for is nil.
func (in *kpisInput) months(present accounting.Month) (month accounting.Month, baseline *accounting.Month, err error) {
	month = present
	if in.Month != "" {
		if month, err = accounting.ParseMonth(in.Month); err != nil || present.Before(month) {
			return month, nil, invalid(fieldError{Field: "month", Value: shown(in.Month), Message: "expected a month that has begun", Allowed: "a month up to " + present.String()})
		}
	}
	if in.Baseline == "" {
		return month, nil, nil
	}
	base, err := accounting.ParseMonth(in.Baseline)
	if err != nil || !base.Before(month) {
		return month, nil, invalid(fieldError{Field: "baseline", Value: shown(in.Baseline), Message: "expected a month before month", Allowed: "a month before " + month.String()})
	}
	return month, &base, nil
}

// kpiReport is the data of GET /api/kpis.
type kpiReport struct {
	Month    accounting.Month    `json:"month" doc:"UTC." example:"2026-11"`
	Running  bool                `json:"running" doc:"The month is not over."`
	KPIs     []accounting.KPI    `json:"kpis" nullable:"false"`
	Baseline *accounting.Month   `json:"baseline" doc:"Null: none was asked for."`
	Savings  []accounting.Saving `json:"savings" nullable:"false" doc:"Against the baseline; empty without one."`
	Year1    []accounting.KPI    `json:"year_1" nullable:"false" doc:"The strategy's targets for the first year, against the baseline; empty without one."`
}

// kpis answers GET /api/kpis.
func (e *economics) kpis(ctx context.Context, in *kpisInput) (*answer[kpiReport], error) {
	month, baseline, err := in.months(accounting.MonthOf(e.Now()))
	if err != nil {
		return nil, err
	}
	reading, cancel := limited(ctx)
	defer cancel()
	m, err := e.kpiMonth(reading, month)
	if err != nil {
		return nil, err
	}
	report := kpiReport{Month: month, Running: m.Running, KPIs: e.Targets.KPIs(m), Baseline: baseline, Savings: []accounting.Saving{}, Year1: []accounting.KPI{}}
	if baseline != nil {
		base, err := e.kpiMonth(reading, *baseline)
		if err != nil {
			return nil, err
		}
		report.Savings, report.Year1 = accounting.Savings(base, m), e.Targets.Year1(base, m)
	}
	return answered(report), nil
}

// forecastMonths are the months before that count for the accuracy of forecasts.
const forecastMonths = 3

// kpiReaders are the questions of a month that are asked at a time: the machine
// of a small team has few cores, and others use the database as well.
const kpiReaders = 4

// kpiMonth reads everything that the figures of a month are made of.
func (e *economics) kpiMonth(ctx context.Context, month accounting.Month) (*accounting.KPIMonth, error) {
	now := e.Now().UTC()
	m := &accounting.KPIMonth{Running: now.Before(month.End())}
	from, to := monthWindow{month, month}.days()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(kpiReaders)
	readInto(group, func() (accounting.KPISums, error) {
		return e.Store.KPISums(ctx, from, to, e.wasteBefore(), *e.meetingValue())
	},
		func(sums accounting.KPISums) { m.Sums = sums })
	readInto(group, func() ([]accounting.PlatformSums, error) { return e.Store.Platforms(ctx, from, to, e.wasteBefore()) },
		func(platforms []accounting.PlatformSums) { m.Platforms = platformParts(platforms) })
	readInto(group, func() ([]accounting.ModelSums, error) { return e.Store.Models(ctx, from, to) },
		func(models []accounting.ModelSums) { m.Models = modelParts(models) })
	if m.Running {
		readInto(group, func() (*monthEnd, error) { return e.monthEnd(ctx, now) }, func(end *monthEnd) { m.Expected = end.forecast.AI() })
	}
	readInto(group, func() ([]accounting.ForecastOutcome, error) {
		return e.Store.ForecastOutcomes(ctx, accounting.DayOf(month.Start().AddDate(0, -forecastMonths, 0)), to, accounting.DayOf(now))
	}, func(outcomes []accounting.ForecastOutcome) { m.Forecasts = accounting.JudgeForecasts(outcomes) })
	readInto(group, func() ([]accounting.MonthReport, error) { return e.Store.Months(ctx, month, month) },
		func(months []accounting.MonthReport) { m.Month = months[0].MonthFigures })
	var budget []accounting.BudgetStatus
	readInto(group, func() ([]accounting.BudgetStatus, error) { return e.monthlyBudget(ctx) },
		func(statuses []accounting.BudgetStatus) { budget = statuses })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	m.Budget = accounting.MonthlyAILimit(budget, m.Month.USDToEUR)
	return m, nil
}

// monthlyBudget is how the month's AI budget stands; none, if it was deleted.
func (e *economics) monthlyBudget(ctx context.Context) ([]accounting.BudgetStatus, error) {
	statuses, err := e.Store.BudgetStatuses(ctx, accounting.BudgetMonthlyAI, e.Now(), 1)
	if errors.Is(err, accounting.ErrUnknownBudget) {
		err = nil
	}
	return statuses, err
}

// kpiPartsShown is how many models a figure lists, those that were used most.
const kpiPartsShown = 20

// platformParts are what a meeting costs on each platform.
func platformParts(platforms []accounting.PlatformSums) (parts []accounting.KPIPart) {
	for _, p := range platforms {
		cost := accounting.AmountOf(accounting.Per(p.AICostEUR.Decimal, p.Meetings))
		if p.AICostEUR.IsZero() {
			cost = nil // meetings that AI had no part in
		}
		if p.Platform != "" && len(parts) < kpiPartsShown {
			parts = append(parts, accounting.KPIPart{Name: p.Platform, Value: cost})
		}
	}
	return parts
}

// modelParts are what a meeting costs with each model.
func modelParts(models []accounting.ModelSums) (parts []accounting.KPIPart) {
	slices.SortStableFunc(models, func(a, b accounting.ModelSums) int { return cmp.Compare(b.Calls, a.Calls) })
	for _, model := range models[:min(len(models), kpiPartsShown)] {
		if model.Name != "" {
			parts = append(parts, accounting.KPIPart{Name: model.Name,
				Value: accounting.AmountOf(accounting.Quotient(model.CostEUR.Decimal, model.Meetings.Decimal))})
		}
	}
	return parts
}
