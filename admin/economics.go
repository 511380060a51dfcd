package admin

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// EconomicsOptions are what the routes of costs, activities, leads and campaigns
// stand on.
type EconomicsOptions struct {
	Store   EconomicsStore // required
	Targets accounting.Targets

	Rates      ExchangeRates // nil: their routes do not exist
	FixedCosts FixedCosts    // nil: their routes do not exist

	Experiments Experiments  // nil: their routes do not exist
	Purposes    []string     // that a call can have; nil: any
	AlertRules  AlertRules   // nil: their routes do not exist
	Reports     Reports      // nil: their routes do not exist
	Plans       *PlanOptions // nil: the routes of budget plans do not exist

	// RemainingCredits is what OpenRouter's account has left, USD; unknown where
	// no key may read it. It is asked at most once a minute, and must return
	// when ctx ends. nil: unknown.
	RemainingCredits func(ctx context.Context) accounting.Optional[decimal.Decimal]

	UnsentAfter  int                                  // days after which a lead that nothing was sent to counts as waste
	MeetingValue accounting.Optional[decimal.Decimal] // EUR, of meetings that tell none and whose campaign tells none
	Rate         decimal.Decimal                      // EUR for one USD, for pages that show euros in dollars
	Now          func() time.Time                     // nil: time.Now
}

// EconomicsStore is everything that the routes ask of the database.
type EconomicsStore interface {
	CostReports
	CampaignReports
	LeadReports
	Activities
	CostHistories
	KPIReports
}

// CostReports sums what was spent. It is called concurrently and must return
// when ctx ends.
type CostReports interface {
	// Months are the figures of the months from from to to, both included.
	Months(ctx context.Context, from, to accounting.Month) ([]accounting.MonthReport, error)
	// UsageReport sums the calls of the days from from to to, both included.
	UsageReport(ctx context.Context, from, to accounting.Day) (accounting.UsageReport, error)
	// DailyCosts are the costs of those days by a dimension: the limit dearest
	// values, or of names the dearest, and the rest as one series at the end.
	DailyCosts(ctx context.Context, from, to accounting.Day, by accounting.DailyDimension, names []string, limit int) ([]accounting.DailySeries, error)
}

// Activities records what happened in campaigns. It is called concurrently and
// must return when ctx ends.
type Activities interface {
	// RecordActivities records them all or none; one whose id is known changes
	// nothing.
	RecordActivities(ctx context.Context, list []accounting.CampaignActivity) ([]accounting.RecordedActivity, error)
	// ReverseActivity takes one back in the name of by, and writes its entry of
	// the audit log. One that is not there is [accounting.ErrUnknownActivity].
	ReverseActivity(ctx context.Context, id, by string) (accounting.CampaignActivity, error)
}

var economicsErrors = []int{
	http.StatusUnauthorized, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable,
}

// economics are the routes of unit economics.
type economics struct {
	EconomicsOptions
	dashboard dashboardCache
	forecasts forecastCache
	credits   creditsKept
}

func newEconomics(o *EconomicsOptions) (*economics, error) {
	if o == nil {
		return nil, nil
	}
	e := &economics{EconomicsOptions: *o}
	if e.Store == nil {
		return nil, errors.New("admin: EconomicsOptions.Store is nil")
	}
	if err := o.Plans.check(); err != nil {
		return nil, err
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.RemainingCredits == nil {
		e.RemainingCredits = func(context.Context) accounting.Optional[decimal.Decimal] {
			return accounting.Optional[decimal.Decimal]{}
		}
	}
	e.credits.ask = e.RemainingCredits
	return e, nil
}

// routes registers the routes, where there is something behind them.
func (e *economics) routes(api huma.API) {
	if e == nil {
		return
	}
	doc := api.OpenAPI()
	doc.Tags = append(doc.Tags,
		&huma.Tag{Name: "costs", Description: "What a month, an email and a meeting cost."},
		&huma.Tag{Name: "campaigns", Description: "Campaigns, platforms and models: what they cost, what came of it, what to do."},
		&huma.Tag{Name: "leads", Description: "Leads and emails: what they cost, and what was spent in vain."})
	huma.Register(api, dashboardOperation, operation(e.dashboardMetrics))
	huma.Register(api, recordOperation, operation(e.recordActivity))
	huma.Register(api, reverseOperation, operation(e.reverseActivity))
	huma.Register(api, usageReportOperation, operation(e.usageReport))
	huma.Register(api, trendsOperation, operation(e.trends))
	huma.Register(api, dailyCostsOperation, operation(e.dailyCosts))
	huma.Register(api, forecastOperation, operation(e.forecast))
	huma.Register(api, kpisOperation, operation(e.kpis))
	e.campaignRoutes(api)
	e.leadRoutes(api)
	e.rateRoutes(api)
	e.experimentRoutes(api)
	e.alertRuleRoutes(api)
	e.reportRoutes(api)
	e.planRoutes(api)
	for t, descriptions := range economicsColumns {
		describeType(api, t, descriptions)
	}
}

// economicsColumns describes what the answers hold.
var economicsColumns = map[reflect.Type]map[string]string{}

// limited bounds a query of the database.
func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, queryTimeout)
}

// answer is a successful answer.
type answer[T any] struct {
	Body envelope[T]
}

func answered[T any](data T) *answer[T] { return &answer[T]{envelope[T]{Success: true, Data: data}} }

// MonthsInput is a window of whole months. It is exported because huma looks
// into embedded structs that are.
type MonthsInput struct {
	From string `query:"from" maxLength:"7" doc:"First month, UTC; default: the present one." example:"2026-10"`
	To   string `query:"to" maxLength:"7" doc:"Last month, included; default: the same as from, or the present one." example:"2026-11"`
}

// Resolve checks what no single parameter's schema can say.
func (in *MonthsInput) Resolve(ctx huma.Context) []error {
	address := ctx.URL()
	return checkQuery(address.RawQuery)
}

// maxMonths bounds a window of months.
const maxMonths = 24

// window reads the months and the days that they are.
func (in *MonthsInput) window(now time.Time) (w monthWindow, err error) {
	present := accounting.MonthOf(now)
	w = monthWindow{from: present, to: present}
	var wrong []fieldError
	read := func(name, value string, m *accounting.Month) {
		if value == "" {
			return
		}
		month, err := accounting.ParseMonth(value)
		switch {
		case err != nil:
			wrong = append(wrong, fieldError{Field: name, Value: shown(value), Message: "expected a month", Allowed: "a month such as 2026-11"})
		case present.Before(month):
			wrong = append(wrong, fieldError{Field: name, Value: shown(value), Message: "expected a month that has begun", Allowed: "a month up to " + present.String()})
		}
		*m = month
	}
	read("from", in.From, &w.from)
	if in.From != "" {
		w.to = w.from
	}
	read("to", in.To, &w.to)
	if in.From == "" && in.To != "" {
		w.from = w.to
	}
	if len(wrong) > 0 {
		return w, invalid(wrong...)
	}
	months := (w.to.Year-w.from.Year)*12 + int(w.to.Month-w.from.Month) + 1
	switch {
	case months < 1:
		return w, invalid(fieldError{Field: "to", Value: in.To, Message: "expected a month not before from"})
	case months > maxMonths:
		return w, invalid(fieldError{Field: "from", Value: in.From, Message: "expected at most 24 months at once"})
	}
	return w, nil
}

// monthWindow is a window of whole months.
type monthWindow struct{ from, to accounting.Month }

func (w monthWindow) days() (from, to accounting.Day) {
	return accounting.DayOf(w.from.Start()), accounting.DayOf(w.to.End()).Add(-1)
}

// orAll is the text of a filter, nil where it is empty and matches all.
func orAll(filter string) *string {
	if filter == "" {
		return nil
	}
	return &filter
}
