package admin

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

var dashboardOperation = huma.Operation{
	OperationID: "dashboard-metrics",
	Method:      http.MethodGet,
	Path:        "/api/costs/dashboard-metrics",
	Summary:     "This month: cost of an email, of a meeting, and of everything",
	Description: "Figures of the present UTC month. costBreakdown is EUR: fixed costs count whole from the first day on, OpenRouter's charge is converted at exchangeRate (EUR for one USD). " +
		"costPerEmail = total ÷ emails sent; costPerMeeting = total ÷ meetings booked; null where nothing was sent or booked. " +
		"efficiencyScore is the mean of target ÷ actual for both, each at most 100, against efficiencyTargets. " +
		"remainingCredits is USD, from OpenRouter's account where a key may read it, else null. " +
		"The answer may be a minute old; an activity, an exchange rate or a fixed cost that this replica records makes it new.",
	Tags:                         []string{"costs"},
	Security:                     needsToken,
	Errors:                       economicsErrors,
	RejectUnknownQueryParameters: true,
}

// dashboardMetrics is the data of GET /api/costs/dashboard-metrics, in the
// names that the founding document gave it.
type dashboardMetrics struct {
	CostPerEmail      *accounting.Amount `json:"costPerEmail" doc:"EUR; null: no email was sent."`
	CostPerMeeting    *accounting.Amount `json:"costPerMeeting" doc:"EUR; null: no meeting was booked."`
	TotalMonthlySpend accounting.Amount  `json:"totalMonthlySpend" doc:"EUR, fixed and variable."`
	CostBreakdown     costBreakdown      `json:"costBreakdown"`
	EmailsSent        int64              `json:"emailsSent" example:"100"`
	MeetingsBooked    int64              `json:"meetingsBooked" example:"5"`
	RemainingCredits  *accounting.Amount `json:"remainingCredits" doc:"USD that OpenRouter's account has left; null: no key may read it."`
	ExchangeRate      accounting.Amount  `json:"exchangeRate" doc:"EUR for one USD."`
	EfficiencyScore   *accounting.Amount `json:"efficiencyScore" doc:"0 to 100; null: nothing was sent or booked."`
	EfficiencyTargets efficiencyTargets  `json:"efficiencyTargets"`
	Month             accounting.Month   `json:"month" doc:"The month, UTC." example:"2026-11"`
	LastUpdated       time.Time          `json:"lastUpdated" doc:"When the figures were read."`
}

type costBreakdown struct {
	Fixed    fixedBreakdown    `json:"fixed"`
	Variable variableBreakdown `json:"variable"`
	Total    accounting.Amount `json:"total" doc:"EUR."`
}

type fixedBreakdown struct {
	Instantly       accounting.Amount `json:"instantly" doc:"EUR."`
	GoogleWorkspace accounting.Amount `json:"googleWorkspace" doc:"EUR."`
	Total           accounting.Amount `json:"total" doc:"EUR, with all other fixed costs."`
}

type variableBreakdown struct {
	OpenRouter accounting.Amount `json:"openRouter" doc:"EUR."`
	Total      accounting.Amount `json:"total" doc:"EUR."`
}

type efficiencyTargets struct {
	CostPerEmail   accounting.Amount `json:"costPerEmail" doc:"EUR."`
	CostPerMeeting accounting.Amount `json:"costPerMeeting" doc:"EUR."`
}

// breakdown is the fixed and variable costs of a month.
func breakdown(m *accounting.MonthFigures) costBreakdown {
	b := costBreakdown{
		Fixed:    fixedBreakdown{Total: accounting.Amount{Decimal: m.FixedEUR()}},
		Variable: variableBreakdown{OpenRouter: accounting.Amount{Decimal: m.VariableEUR()}, Total: accounting.Amount{Decimal: m.VariableEUR()}},
		Total:    accounting.Amount{Decimal: m.TotalEUR()},
	}
	for _, cost := range m.Fixed {
		switch cost.Name {
		case accounting.FixedInstantly:
			b.Fixed.Instantly.Decimal = cost.EUR
		case accounting.FixedWorkspace:
			b.Fixed.GoogleWorkspace.Decimal = cost.EUR
		}
	}
	return b
}

// dashboardLife is how old an answer of the dashboard may be.
const dashboardLife = time.Minute

// dashboardCache keeps one answer, until it is old or something that it shows is
// recorded.
type dashboardCache struct {
	mu    sync.Mutex
	kept  *dashboardMetrics
	until time.Time
	stale int // rises with each drop, so that a reading that began before one is not kept
}

func (c *dashboardCache) get(now time.Time) (*dashboardMetrics, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept != nil && now.Before(c.until) && c.kept.Month == accounting.MonthOf(now) {
		return c.kept, c.stale
	}
	return nil, c.stale
}

func (c *dashboardCache) put(d *dashboardMetrics, begun int, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if begun == c.stale {
		c.kept, c.until = d, until
	}
}

// drop makes the next answer a new one.
func (c *dashboardCache) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = nil
	c.stale++
}

// CostsChanged makes the next answer of GET /api/costs/dashboard-metrics a new
// one. It is to be called after an activity, a rate or a fixed cost was written
// by others than the handler, and may be at any time, by any goroutine.
func (h *Handler) CostsChanged() {
	if h.economics != nil {
		h.economics.dashboard.drop()
	}
}

// outdate drops an answer that is no longer what the database says.
func (c *dashboardCache) outdate(d *dashboardMetrics) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept != nil && (!c.kept.TotalMonthlySpend.Equal(d.TotalMonthlySpend.Decimal) ||
		c.kept.EmailsSent != d.EmailsSent || c.kept.MeetingsBooked != d.MeetingsBooked) {
		c.kept = nil
	}
}

// dashboardMetrics answers GET /api/costs/dashboard-metrics.
func (e *economics) dashboardMetrics(ctx context.Context, _ *noInput) (*answer[dashboardMetrics], error) {
	now := e.Now().UTC()
	kept, begun := e.dashboard.get(now)
	if kept != nil {
		return answered(*kept), nil
	}
	reading, cancel := limited(ctx)
	defer cancel()
	d, err := e.readDashboard(reading)
	if err != nil {
		return nil, err
	}
	credits := e.RemainingCredits(reading)
	e.credits.put(credits, now)
	d.RemainingCredits = accounting.AmountOf(credits)
	e.dashboard.put(d, begun, now.Add(dashboardLife))
	return answered(*d), nil
}

// figures are those of the dashboard for a page: as the API has them, but for
// what OpenRouter's account has left, which is what was known last.
func (e *economics) figures(ctx context.Context) (*dashboardMetrics, error) {
	now := e.Now().UTC()
	if kept, _ := e.dashboard.get(now); kept != nil {
		return kept, nil
	}
	reading, cancel := limited(ctx)
	defer cancel()
	d, err := e.readDashboard(reading)
	if err == nil {
		d.RemainingCredits = accounting.AmountOf(e.credits.latest(now))
	}
	return d, err
}

// readDashboard reads the present month's figures, which are all but what
// OpenRouter's account has left.
func (e *economics) readDashboard(ctx context.Context) (*dashboardMetrics, error) {
	now := e.Now().UTC()
	month := accounting.MonthOf(now)
	months, err := e.Store.Months(ctx, month, month)
	if err != nil {
		return nil, err
	}
	m := &months[0].MonthFigures
	return &dashboardMetrics{
		CostPerEmail: accounting.AmountOf(m.CostPerEmail()), CostPerMeeting: accounting.AmountOf(m.CostPerMeeting()),
		TotalMonthlySpend: accounting.Amount{Decimal: m.TotalEUR()}, CostBreakdown: breakdown(m),
		EmailsSent: m.EmailsSent, MeetingsBooked: m.MeetingsBooked, ExchangeRate: accounting.Amount{Decimal: m.USDToEUR},
		EfficiencyScore: accounting.AmountOf(e.Targets.DashboardScore(m)),
		EfficiencyTargets: efficiencyTargets{
			CostPerEmail:   accounting.Amount{Decimal: e.Targets.DashboardCostPerEmail},
			CostPerMeeting: accounting.Amount{Decimal: e.Targets.DashboardCostPerMeeting},
		},
		Month: month, LastUpdated: now,
	}, nil
}

var usageReportOperation = huma.Operation{
	OperationID: "usage-report",
	Method:      http.MethodGet,
	Path:        "/api/costs/usage-report",
	Summary:     "What calls have used, by day, campaign, purpose, platform, model and key",
	Description: "Sums of the calls of some UTC days: the last days, or start_date to end_date, both included. The groups of each kind add up to the totals; " +
		"calls without a tag are the group with the empty name, and beyond 200 groups of a kind the cheapest are one group with rest: true. " +
		"cost_eur is at the rate of each call's day; cache_share = cached ÷ prompt tokens; error_share = failed ÷ all calls.",
	Tags:                         []string{"costs"},
	Security:                     needsToken,
	Errors:                       economicsErrors,
	RejectUnknownQueryParameters: true,
}

// DaysInput is a window of UTC days. It is exported because huma looks into embedded structs that are.
type DaysInput struct {
	Days  int    `query:"days" minimum:"1" maximum:"400" doc:"Days up to today, UTC; default 30. Not together with start_date." example:"30"`
	Start string `query:"start_date" maxLength:"40" doc:"First day, UTC." example:"2026-11-01"`
	End   string `query:"end_date" maxLength:"40" doc:"Last day, UTC, included; default: today." example:"2026-11-22"`
}

// Resolve checks what no single parameter's schema can say.
func (in *DaysInput) Resolve(ctx huma.Context) []error {
	address := ctx.URL()
	return checkQuery(address.RawQuery)
}

const (
	defaultReportDays = 30
	maxReportDays     = 400
)

// days reads the window of the report.
func (in *DaysInput) days(now time.Time) (from, to accounting.Day, err error) {
	to = accounting.DayOf(now)
	var wrong []fieldError
	if in.End != "" {
		day, bad := dayOrTime("end_date", in.End)
		to, wrong = day, append(wrong, bad...)
	}
	switch {
	case in.Start != "" && in.Days != 0:
		wrong = append(wrong, fieldError{Field: "days", Value: strconv.Itoa(in.Days), Message: "expected either days or start_date", Allowed: "leave out one of them"})
	case in.Start != "":
		day, bad := dayOrTime("start_date", in.Start)
		from, wrong = day, append(wrong, bad...)
	case in.Days != 0:
		from = to.Add(1 - in.Days)
	default:
		from = to.Add(1 - defaultReportDays)
	}
	if len(wrong) > 0 {
		return from, to, invalid(wrong...)
	}
	switch {
	case to.Before(from):
		return from, to, invalid(fieldError{Field: "end_date", Value: shown(in.End), Message: "expected a day not before start_date"})
	case !to.Before(from.Add(maxReportDays)):
		return from, to, invalid(fieldError{Field: "start_date", Value: shown(in.Start), Message: "expected at most 400 days at once", Allowed: "a day from " + to.Add(1-maxReportDays).String() + " on"})
	}
	return from, to, nil
}

// dayOrTime reads a day, or the UTC day of a time: the founding document asks
// for the ISO format, which both are.
func dayOrTime(field, value string) (accounting.Day, []fieldError) {
	if t, err := time.Parse(time.RFC3339, value); err == nil {
		return accounting.DayOf(t), nil
	}
	return dayIn(field, value)
}

// usageReport answers GET /api/costs/usage-report.
func (e *economics) usageReport(ctx context.Context, in *DaysInput) (*answer[accounting.UsageReport], error) {
	from, to, err := in.days(e.Now())
	if err != nil {
		return nil, err
	}
	reading, cancel := limited(ctx)
	defer cancel()
	report, err := e.Store.UsageReport(reading, from, to)
	if err != nil {
		return nil, err
	}
	return answered(report), nil
}

var trendsOperation = huma.Operation{
	OperationID: "cost-trends",
	Method:      http.MethodGet,
	Path:        "/api/costs/trends",
	Summary:     "Months beside each other",
	Description: "The present UTC month and those before it, the oldest first. A month without calls has its fixed costs; ratios of nothing are null.",
	Tags:        []string{"costs"}, Security: needsToken, Errors: economicsErrors,
	RejectUnknownQueryParameters: true,
}

// trendsInput is the query of GET /api/costs/trends.
type trendsInput struct {
	Months int `query:"months" minimum:"1" maximum:"24" default:"6" doc:"How many months, with the present one." example:"6"`
}

// Resolve checks what no single parameter's schema can say.
func (in *trendsInput) Resolve(ctx huma.Context) []error {
	address := ctx.URL()
	return checkQuery(address.RawQuery)
}

// trendMonth is one month of GET /api/costs/trends.
type trendMonth struct {
	Month          accounting.Month   `json:"month" doc:"UTC." example:"2026-11"`
	Year           int                `json:"year" example:"2026"`
	MonthNumber    int                `json:"monthNumber" example:"11"`
	FixedCost      accounting.Amount  `json:"fixedCost" doc:"EUR."`
	VariableCost   accounting.Amount  `json:"variableCost" doc:"EUR, OpenRouter."`
	OpenRouterCost accounting.Amount  `json:"openrouterCost" doc:"USD, as OpenRouter bills it."`
	TotalCost      accounting.Amount  `json:"totalCost" doc:"EUR."`
	ExchangeRate   accounting.Amount  `json:"exchangeRate" doc:"EUR for one USD."`
	EmailsSent     int64              `json:"emailsSent"`
	MeetingsBooked int64              `json:"meetingsBooked"`
	CostPerEmail   *accounting.Amount `json:"costPerEmail" doc:"EUR; null: no email was sent."`
	CostPerMeeting *accounting.Amount `json:"costPerMeeting" doc:"EUR; null: no meeting was booked."`
	Closed         bool               `json:"closed" doc:"The figure no longer moves."`
}

type trendList struct {
	Months []trendMonth `json:"months" nullable:"false"`
}

// trends answers GET /api/costs/trends.
func (e *economics) trends(ctx context.Context, in *trendsInput) (*answer[trendList], error) {
	to := accounting.MonthOf(e.Now())
	from := accounting.MonthOf(time.Date(to.Year, to.Month-time.Month(in.Months-1), 1, 0, 0, 0, 0, time.UTC))
	reading, cancel := limited(ctx)
	defer cancel()
	months, err := e.Store.Months(reading, from, to)
	if err != nil {
		return nil, err
	}
	list := make([]trendMonth, 0, len(months))
	for i := range months {
		m := &months[i]
		list = append(list, trendMonth{
			Month: m.Month, Year: m.Month.Year, MonthNumber: int(m.Month.Month),
			FixedCost: accounting.Amount{Decimal: m.FixedEUR()}, VariableCost: accounting.Amount{Decimal: m.VariableEUR()},
			OpenRouterCost: accounting.Amount{Decimal: m.OpenRouterUSD}, TotalCost: accounting.Amount{Decimal: m.TotalEUR()},
			ExchangeRate: accounting.Amount{Decimal: m.USDToEUR}, EmailsSent: m.EmailsSent, MeetingsBooked: m.MeetingsBooked,
			CostPerEmail: accounting.AmountOf(m.CostPerEmail()), CostPerMeeting: accounting.AmountOf(m.CostPerMeeting()), Closed: m.Closed,
		})
	}
	return answered(trendList{list}), nil
}
