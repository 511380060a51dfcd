package admin

import (
	"cmp"
	"context"
	"html/template"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/shopspring/decimal"
	"golang.org/x/sync/errgroup"

	"bursar/accounting"
	"bursar/admin/chart"
)

const (
	overviewDays      = 30 // of the chart of days
	overviewPurposes  = 7  // one by one in it
	overviewAlerts    = 5
	overviewCampaigns = 6 // that ask for a decision
	overviewBudgets   = 6
)

// overviewPage is the content of /.
type overviewPage struct {
	Figures  *dashboardMetrics
	Forecast *monthForecast
	Alerts   []accounting.Alert
	Stops    []accounting.Stop
	Decide   []accounting.CampaignRow // whose decision asks for something
	Waste    *wasteReport
	Budgets  []accounting.BudgetStatus

	PerDay, Burn, Parts template.HTML

	NoCalls bool
	Start   startPage
	Targets *accounting.Targets
	Score   accounting.Band // decides the colour
}

// overviewPage answers GET /: what this month costs, where it is heading, what
// is wasted and what needs a decision.
func (h *Handler) overviewPage(w http.ResponseWriter, r *http.Request) error {
	if h.economics == nil {
		http.Redirect(w, r, "/calls", http.StatusSeeOther)
		return nil
	}
	content, err := h.readOverview(r.Context(), h.moneyOf(r))
	if err != nil {
		return err
	}
	return h.renderPage(w, r, http.StatusOK, "overview", "Overview", content)
}

// readOverview asks for all that the page shows at once: each question takes
// milliseconds, and together they take as long as the slowest.
func (h *Handler) readOverview(ctx context.Context, m moneyFormat) (*overviewPage, error) {
	now := h.economics.Now().UTC()
	today := accounting.DayOf(now)
	first := accounting.DayOf(accounting.MonthOf(now).Start())
	from := today.Add(1 - overviewDays)
	if first.Before(from) {
		from = first
	}
	page := &overviewPage{Start: h.startPage(), Targets: &h.economics.Targets}
	var days []accounting.DailySeries
	group, ctx := errgroup.WithContext(ctx)
	readInto(group, func() (*dashboardMetrics, error) { return h.economics.figures(ctx) },
		func(d *dashboardMetrics) { page.Figures = d })
	readInto(group, func() (*monthForecast, error) { return h.economics.forecasts.read(ctx, h.economics, now) },
		func(f *monthForecast) { page.Forecast = f })
	readInto(group, func() (*answer[wasteReport], error) { return h.economics.waste(ctx, &wasteInput{}) },
		func(a *answer[wasteReport]) { page.Waste = &a.Body.Data })
	readInto(group, func() (*answer[campaignList], error) {
		return h.economics.listCampaigns(ctx, &campaignsInput{Limit: 100})
	}, func(a *answer[campaignList]) { page.Decide = toDecide(a.Body.Data.Rows) })
	readInto(group, func() ([]accounting.DailySeries, error) {
		return h.economics.Store.DailyCosts(ctx, from, today, accounting.ByPurpose, nil, overviewPurposes)
	}, func(series []accounting.DailySeries) { days = series })
	if h.budgets != nil {
		readInto(group, func() (accounting.AlertPage, error) {
			return h.budgets.Store.ListAlerts(ctx, accounting.AlertFilter{Unacknowledged: true, Limit: overviewAlerts})
		}, func(alerts accounting.AlertPage) { page.Alerts = alerts.Alerts })
		readInto(group, func() ([]accounting.Stop, error) { return h.budgets.Store.ListStops(ctx, false) },
			func(stops []accounting.Stop) { page.Stops = stops })
		readInto(group, func() ([]accounting.BudgetStatus, error) {
			return h.budgets.Store.BudgetStatuses(ctx, "", now, 1)
		}, func(statuses []accounting.BudgetStatus) { page.Budgets = statuses })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	page.NoCalls = len(days) == 0 && page.Figures.TotalMonthlySpend.Equal(page.Figures.CostBreakdown.Fixed.Total.Decimal)
	if page.Figures.EfficiencyScore != nil {
		page.Score = h.economics.Targets.Bands.Of(page.Figures.EfficiencyScore.Decimal)
	}
	page.PerDay = perDayChart(days, today.Add(1-overviewDays), m)
	page.Burn = burnChart(days, page.Forecast, accounting.MonthlyAILimit(page.Budgets, page.Figures.ExchangeRate.Decimal), now, m)
	page.Parts = partsChart(&page.Figures.CostBreakdown, m)
	slices.SortFunc(page.Budgets, func(a, b accounting.BudgetStatus) int {
		return value(b.Percent).Compare(value(a.Percent).Decimal)
	})
	page.Budgets = page.Budgets[:min(len(page.Budgets), overviewBudgets)]
	return page, nil
}

// forecastLife is how old the forecast on the page may be. It simulates
// thousands of futures, and hardly moves within an hour.
const forecastLife = time.Minute

// forecastCache keeps one forecast for all browsers.
type forecastCache struct {
	mu    sync.Mutex
	kept  *monthForecast
	until time.Time
	begun int // of the dashboard's cache: what drops that drops this
}

// read returns the kept forecast, or makes one. Whoever asks meanwhile waits for
// it rather than make another.
func (c *forecastCache) read(ctx context.Context, e *economics, now time.Time) (*monthForecast, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, begun := e.dashboard.get(now)
	if c.kept != nil && now.Before(c.until) && c.begun == begun && c.kept.Month == accounting.MonthOf(now) {
		return c.kept, nil
	}
	found, err := e.forecast(ctx, &noInput{})
	if err != nil {
		return nil, err
	}
	c.kept, c.until, c.begun = &found.Body.Data, now.Add(forecastLife), begun
	return c.kept, nil
}

// readInto asks one question of a group and keeps its answer.
func readInto[T any](group *errgroup.Group, question func() (T, error), keep func(T)) {
	group.Go(func() error {
		found, err := question()
		if err == nil {
			keep(found)
		}
		return err
	})
}

// toDecide are the campaigns that should not go on as they are, the dearest
// first.
func toDecide(rows []accounting.CampaignRow) []accounting.CampaignRow {
	var list []accounting.CampaignRow
	for i := range rows {
		if rows[i].ID != "" && rows[i].Decision != "" && rows[i].Decision != accounting.NotEnoughData && len(list) < overviewCampaigns {
			list = append(list, rows[i])
		}
	}
	return list
}

// dayCategory names a day at the axis of a chart.
func dayCategory(d accounting.Day) chart.Category {
	return chart.Category{Label: d.Start().Format("2"), Name: d.Start().Format("Mon 2 January")}
}

// chartFrame is what charts of amounts have in common.
func (m moneyFormat) chartFrame(id, title, empty string) chart.Frame {
	return chart.Frame{ID: id, Title: title, Unit: string(m.Currency), Sign: m.sign(), Format: readable, Empty: empty}
}

// perDayChart stacks the days from first on by purpose.
func perDayChart(series []accounting.DailySeries, first accounting.Day, m moneyFormat) template.HTML {
	c := chart.StackedBars{Frame: m.chartFrame("per-day", "AI spend per day by purpose", "Nothing was spent in these days."), Of: "Day"}
	for i := range series {
		s := chart.Series{Name: purposeName(&series[i])}
		for _, day := range series[i].Days {
			if day.Day.Before(first) {
				continue
			}
			if i == 0 {
				c.Categories = append(c.Categories, chart.Category{Label: day.Day.Start().Format("2 Jan"), Name: day.Day.Start().Format("Mon 2 January")})
			}
			s.Values = append(s.Values, accounting.Some(m.in(day.CostEUR.Decimal)))
		}
		c.Series = append(c.Series, s)
	}
	var sum decimal.Decimal
	for i := range c.Series {
		for _, v := range c.Series[i].Values {
			sum = sum.Add(v.Value)
		}
	}
	c.Mean = accounting.Per(sum, int64(len(c.Categories)))
	return c.HTML()
}

// purposeName names a series of a chart.
func purposeName(s *accounting.DailySeries) string {
	if s.Rest {
		return "other"
	}
	return cmp.Or(s.Name, "no purpose")
}

// burnChart adds up the days of the present month, and goes on with the
// forecast.
func burnChart(series []accounting.DailySeries, f *monthForecast, budget chart.Value, now time.Time, m moneyFormat) template.HTML {
	month := accounting.MonthOf(now)
	today := accounting.DayOf(now)
	c := chart.Burn{Frame: m.chartFrame("burn", "AI spend of "+month.Start().Format("January 2006")+" against its budget", "Nothing was spent this month yet.")}
	if budget.Known {
		c.Budget = accounting.Some(m.in(budget.Value))
	}
	spent := accounting.Amount{}
	for day := accounting.DayOf(month.Start()); day.Before(accounting.DayOf(month.End())); day = day.Add(1) {
		c.Days = append(c.Days, dayCategory(day))
		if today.Before(day) {
			continue
		}
		for i := range series {
			for _, d := range series[i].Days {
				if d.Day == day {
					spent.Decimal = spent.Add(d.CostEUR.Decimal)
				}
			}
		}
		c.Spent = append(c.Spent, accounting.Some(m.in(spent.Decimal)))
	}
	if f.ExpectedAI == nil || len(series) == 0 {
		return c.HTML()
	}
	c.Forecast = outlook(f, spent.Decimal, len(c.Days), m)
	return c.HTML()
}

// outlook is the expected sum at the end of each day from today on. The bands
// widen evenly from nothing at present to the month's end, whose bounds are all
// that the forecast knows.
func outlook(f *monthForecast, spent decimal.Decimal, days int, m moneyFormat) []chart.Outlook {
	list := make([]chart.Outlook, days)
	expected, steps := spent, decimal.NewFromInt(int64(max(len(f.Days), 1)))
	for i, d := range f.Days {
		expected = expected.Add(d.Expected.Decimal)
		at := &list[d.Day.Start().Day()-1]
		at.Expected = accounting.Some(m.in(expected))
		bound := func(end accounting.Amount) chart.Value {
			away := end.Sub(f.Fixed.Decimal).Sub(f.ExpectedAI.Decimal)
			return accounting.Some(m.in(expected.Add(away.Mul(decimal.NewFromInt(int64(i+1))).DivRound(steps, accounting.QuotientPlaces))))
		}
		if f.Interval80 != nil {
			at.Low80, at.High80 = bound(f.Interval80.Low), bound(f.Interval80.High)
		}
		if f.Interval95 != nil {
			at.Low95, at.High95 = bound(f.Interval95.Low), bound(f.Interval95.High)
		}
	}
	return list
}

// partsChart divides the month's total.
func partsChart(b *costBreakdown, m moneyFormat) template.HTML {
	other := b.Fixed.Total.Sub(b.Fixed.Instantly.Decimal).Sub(b.Fixed.GoogleWorkspace.Decimal)
	c := chart.Share{Frame: m.chartFrame("parts", "Fixed and variable costs of this month", "This month has no costs yet."), Of: "Cost"}
	for _, part := range []struct {
		name   string
		amount accounting.Amount
	}{
		{"Instantly", b.Fixed.Instantly}, {"Google Workspace", b.Fixed.GoogleWorkspace},
		{"Other fixed costs", accounting.Amount{Decimal: other}}, {"OpenRouter", b.Variable.OpenRouter},
	} {
		if !part.amount.IsZero() {
			c.Parts = append(c.Parts, chart.Part{Name: part.name, Value: accounting.Some(m.in(part.amount.Decimal))})
		}
	}
	return c.HTML()
}
