package accounting

import (
	"time"

	"github.com/shopspring/decimal"
)

// MonthForecast is what a month will have cost when it is over, EUR. Without a
// forecast Expected is unknown, and what is settled and fixed is all there is
// to say.
type MonthForecast struct {
	Month   Month
	Settled decimal.Decimal // OpenRouter's charge so far
	Fixed   decimal.Decimal // whole from the first day on

	Rest     CostForecast
	Expected Optional[decimal.Decimal] // settled, the rest and fixed
	Bounds80 Optional[Bounds]
	Bounds95 Optional[Bounds]
}

// Bounds are an [Interval] of an amount, rounded to cents outwards.
type Bounds struct {
	Low  Amount `json:"low"`
	High Amount `json:"high"`
}

// ForecastMonth is the end of the month that holds now: what is settled, the
// forecast of the days that are left, and the fixed costs.
func ForecastMonth(history CostHistory, settled, fixed decimal.Decimal, now time.Time) MonthForecast {
	month := MonthOf(now)
	m := MonthForecast{Month: month, Settled: settled, Fixed: fixed}
	var ok bool
	if m.Rest, ok = ForecastCosts(history, now, DayOf(month.End()).Add(-1)); !ok {
		return m
	}
	known := settled.Add(fixed)
	m.Expected = Some(known.Add(m.Rest.Sum))
	m.Bounds80, m.Bounds95 = Some(boundsOf(known, m.Rest.Sum80)), Some(boundsOf(known, m.Rest.Sum95))
	return m
}

// AI is the expected cost without the fixed part.
func (m *MonthForecast) AI() Optional[decimal.Decimal] {
	if !m.Expected.Known {
		return m.Expected
	}
	return Some(m.Expected.Value.Sub(m.Fixed))
}

// boundsOf adds what is known to an interval of what is not.
func boundsOf(known decimal.Decimal, i Interval) Bounds {
	low := known.Add(expectation(i.Low)).RoundFloor(2)
	return Bounds{
		Low:  Amount{decimal.Max(low, known)}, // nothing costs less than nothing
		High: Amount{known.Add(expectation(i.High)).RoundCeil(2)},
	}
}

// BudgetForecast is when a budget runs out.
type BudgetForecast struct {
	ID        string        `json:"id"`
	EachValue string        `json:"each_value"` // empty: the budget is not divided
	Currency  Currency      `json:"currency"`
	Limit     Amount        `json:"limit"`
	Settled   Amount        `json:"settled"`
	Remaining Amount        `json:"remaining"` // limit less settled and reserved, at least 0
	ResetsAt  *time.Time    `json:"resets_at"` // null: never
	Basis     ForecastBasis `json:"basis"`
	RunsOutAt *time.Time    `json:"runs_out_at"` // null: not before it resets, or not within 92 days
	// ExpectedAtReset is settled and the forecast of the rest of the period, in
	// the budget's currency. Null: it never resets, or there is no forecast.
	ExpectedAtReset *Amount `json:"expected_at_reset"`
	EmailsLeft      *int64  `json:"emails_left"` // at the present AI cost of an email; null: that is not known
}

// ForecastBasis is what a budget's run-out date rests on.
type ForecastBasis string

// The bases.
const (
	BasisForecast ForecastBasis = "forecast"      // the daily costs of the budget's scope
	BasisBurnRate ForecastBasis = "last_24_hours" // the scope has no daily costs, or too few days of them
)

const (
	// BudgetForecastValues is how many values of a divided budget are forecast.
	BudgetForecastValues = 5
	// budgetHorizon is for how many days a budget without a reset is looked at.
	budgetHorizon = 92
	// mostEmails is more than anybody counts.
	mostEmails = 1_000_000_000
)

// ForecastBudget is when a budget runs out at the forecast pace of its scope's
// daily costs, which are in the budget's currency. A disabled or ended budget
// is forecast as any other: it still counts. perEmail is what an email costs in
// the budget's currency.
func ForecastBudget(s *BudgetStatus, history Optional[CostHistory], perEmail Optional[decimal.Decimal], now time.Time) BudgetForecast {
	f := BudgetForecast{
		ID: s.Budget.ID, EachValue: s.EachValue, Currency: s.Budget.Currency, Limit: s.Limit, Settled: s.Settled,
		Remaining: s.Remaining, ResetsAt: s.ResetsAt, Basis: BasisBurnRate, RunsOutAt: s.RunsOutAt,
	}
	if perEmail.Known && perEmail.Value.IsPositive() {
		emails := decimal.Min(s.Remaining.DivRound(perEmail.Value, QuotientPlaces), decimal.NewFromInt(mostEmails)).IntPart()
		f.EmailsLeft = &emails
	}
	if !history.Known {
		return f
	}
	until := DayOf(now).Add(budgetHorizon)
	if s.ResetsAt != nil {
		until = DayOf(s.ResetsAt.Add(-time.Nanosecond))
	}
	forecast, ok := ForecastCosts(history.Value, now, until)
	if !ok {
		return f
	}
	f.Basis, f.RunsOutAt = BasisForecast, nil
	if at := forecast.RunsOut(s.Remaining.Decimal, now); at.Known && (s.ResetsAt == nil || at.Value.Before(*s.ResetsAt)) {
		f.RunsOutAt = &at.Value
	}
	if s.ResetsAt != nil {
		forecast.cut(*s.ResetsAt, now)
		var rest decimal.Decimal
		for _, d := range forecast.Days {
			rest = rest.Add(d.Expected.Decimal)
		}
		f.ExpectedAtReset = &Amount{s.Settled.Add(rest)}
	}
	return f
}

// cut leaves of the last day what comes before at: periods of other time zones
// end within a UTC day.
func (f *CostForecast) cut(at, now time.Time) {
	if len(f.Days) == 0 {
		return
	}
	last := &f.Days[len(f.Days)-1]
	begins := last.Day.Start()
	if begins.Before(now) {
		begins = now
	}
	whole, part := last.Day.End().Sub(begins), at.Sub(begins)
	if whole <= 0 || part >= whole {
		return
	}
	share := Quotient(decimal.NewFromInt(int64(max(0, part))), decimal.NewFromInt(int64(whole)))
	last.Expected.Decimal = last.Expected.Mul(share.Value).Round(forecastPlaces)
}
