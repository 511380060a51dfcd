package settle

import (
	"context"
	"errors"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// campaignWeeks is how many weeks a weekly report judges campaigns by: few have
// enough leads in one.
const campaignWeeks = 4

// Build makes the report of a span as it is at now. It is safe for concurrent
// use.
func (r *Reports) Build(ctx context.Context, span accounting.ReportSpan, now time.Time) (accounting.PeriodReport, error) {
	now = now.UTC()
	made := accounting.PeriodReport{Period: span.Period, Of: span.String(), From: span.From, To: span.To, MadeAt: now}
	for _, step := range []func(context.Context, *accounting.PeriodReport, accounting.ReportSpan, time.Time) error{
		r.addSpend, r.addCampaigns, r.addWaste, r.addForecast, r.addAlerts,
	} {
		if err := step(ctx, &made, span, now); err != nil {
			return accounting.PeriodReport{}, err
		}
	}
	return made, nil
}

func (r *Reports) addSpend(ctx context.Context, made *accounting.PeriodReport, span accounting.ReportSpan, now time.Time) (err error) {
	if made.Spend, err = r.spend(ctx, span, now); err != nil {
		return err
	}
	made.Before, err = r.spend(ctx, span.Before(), now)
	return err
}

// spend is what a span has cost and brought. A month is as its own figures have
// it, with the corrections that were booked in it; a week is as its calls are.
func (r *Reports) spend(ctx context.Context, span accounting.ReportSpan, now time.Time) (accounting.ReportSpend, error) {
	months, err := r.months(ctx, span.From, span.To)
	if err != nil {
		return accounting.ReportSpend{}, err
	}
	fixed := accounting.AccruedFixed(months, span.From, span.To)
	if span.Period == accounting.ReportMonthly {
		m := &months[0]
		return accounting.NewReportSpend(fixed, m.VariableEUR(), m.EmailsSent, m.MeetingsBooked), nil
	}
	usage, err := r.opts.Figures.UsageReport(ctx, span.From, span.To)
	if err != nil {
		return accounting.ReportSpend{}, err
	}
	sums, err := r.opts.Figures.KPISums(ctx, span.From, span.To, r.opts.Economics.wasteBefore(now), r.opts.Economics.value())
	if err != nil {
		return accounting.ReportSpend{}, err
	}
	return accounting.NewReportSpend(fixed, usage.Totals.CostEUR.Decimal, sums.Emails, sums.Meetings), nil
}

// months are those that days fall into.
func (r *Reports) months(ctx context.Context, from, to accounting.Day) ([]accounting.MonthFigures, error) {
	list, err := r.opts.Figures.Months(ctx, accounting.MonthOf(from.Start()), accounting.MonthOf(to.Start()))
	if err != nil {
		return nil, err
	}
	months := make([]accounting.MonthFigures, len(list))
	for i := range list {
		months[i] = list[i].MonthFigures
	}
	return months, nil
}

// addCampaigns judges campaigns by the month, or by four weeks.
func (r *Reports) addCampaigns(ctx context.Context, made *accounting.PeriodReport, span accounting.ReportSpan, now time.Time) error {
	from, to := span.From, span.To
	if span.Period == accounting.ReportWeekly {
		from = from.Add(-7 * (campaignWeeks - 1))
	}
	months, err := r.months(ctx, from, to)
	if err != nil {
		return err
	}
	emails, err := r.opts.Figures.EmailsByCampaign(ctx, from, to)
	if err != nil {
		return err
	}
	shares, _ := accounting.AllocateFixed(accounting.AccruedFixed(months, from, to), emails)
	sums, err := r.opts.Figures.Campaigns(ctx, from, to, r.opts.Economics.wasteBefore(now), nil, maxRuleCampaigns)
	if err != nil {
		return err
	}
	made.CampaignsFrom, made.CampaignsTo = from, to
	made.Campaigns, made.CampaignsMore = accounting.CampaignsToActOn(r.opts.Economics.rows(sums, shares))
	return nil
}

func (r *Reports) addWaste(ctx context.Context, made *accounting.PeriodReport, span accounting.ReportSpan, now time.Time) error {
	sums, err := r.opts.Figures.Waste(ctx, span.From, span.To, r.opts.Economics.wasteBefore(now), nil)
	if err != nil {
		return err
	}
	made.SetWaste(sums)
	return nil
}

// addForecast says where the present month is heading, in the report of the
// latest period: an older one is about another time.
func (r *Reports) addForecast(ctx context.Context, made *accounting.PeriodReport, span accounting.ReportSpan, now time.Time) error {
	if span.Next().Over(now) {
		return nil
	}
	month := accounting.MonthOf(now)
	months, err := r.opts.Figures.Months(ctx, month, month)
	if err != nil {
		return err
	}
	end, err := forecastMonth(ctx, r.opts.Figures, &months[0].MonthFigures, now)
	if err != nil {
		return err
	}
	f := &accounting.ReportForecast{
		Month: month, Settled: accounting.Amount{Decimal: months[0].TotalEUR()},
		Expected: accounting.AmountOf(end.Expected), Bounds80: end.Bounds80.Pointer(), ExpectedAI: accounting.AmountOf(end.AI()),
		Threshold: r.opts.Threshold.Pointer(),
	}
	budget, err := r.aiBudget(ctx, months[0].USDToEUR, now)
	if err != nil {
		return err
	}
	if budget.Known {
		f.AIBudget = accounting.AmountOf(budget)
		if ai := end.AI(); ai.Known {
			f.BudgetUse = accounting.AmountOf(accounting.Quotient(ai.Value, budget.Value))
		}
	}
	made.Forecast = f
	return nil
}

// aiBudget is the limit of the month's AI budget, EUR.
func (r *Reports) aiBudget(ctx context.Context, rate decimal.Decimal, now time.Time) (limit accounting.Optional[decimal.Decimal], err error) {
	statuses, err := r.opts.Book.BudgetStatuses(ctx, accounting.BudgetMonthlyAI, now, 1)
	if errors.Is(err, accounting.ErrUnknownBudget) {
		err = nil
	}
	return accounting.MonthlyAILimit(statuses, rate), err
}

func (r *Reports) addAlerts(ctx context.Context, made *accounting.PeriodReport, span accounting.ReportSpan, _ time.Time) (err error) {
	if made.Alerts, err = r.opts.Book.AlertsOf(ctx, span.From, span.To); err != nil {
		return err
	}
	made.Open, err = r.opts.Book.OpenOf(ctx, span.From, span.To)
	return err
}
