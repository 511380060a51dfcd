package accounting

import "github.com/shopspring/decimal"

// Targets are what the figures of unit economics are measured by. Amounts are
// EUR, rates are shares (0.05 is 5 %). [DefaultTargets] names the sources.
type Targets struct {
	// Of the dashboard's score.
	DashboardCostPerEmail   decimal.Decimal
	DashboardCostPerMeeting decimal.Decimal

	// Of the KPIs and of a campaign's score.
	CostPerEmail     decimal.Decimal
	CostPerMeeting   decimal.Decimal
	ROI              decimal.Decimal // value ÷ AI cost
	Waste            decimal.Decimal // share of AI cost, at most
	SendRate         decimal.Decimal
	Conversion       decimal.Decimal // meetings ÷ emails sent
	BudgetUseLow     decimal.Decimal
	BudgetUseHigh    decimal.Decimal
	ForecastAccuracy decimal.Decimal

	// Of the decision about a campaign.
	InvestSendRate decimal.Decimal // above it the conversion decides
	ReduceSendRate decimal.Decimal // below it AI is reduced

	Weights ScoreWeights
	Bands   BandBounds
	Tiers   TierBounds

	MinLeads int64 // fewer processed leads: no verdict
}

// ScoreWeights are the parts of a campaign's score, percent; they add up to 100.
type ScoreWeights struct {
	SendRate, Conversion, Cost int64
}

// BandBounds are the scores from which on a campaign is of a band, 0 to 100.
// Below Fair it is poor.
type BandBounds struct {
	Excellent, Good, Fair decimal.Decimal
}

// TierBounds are the send rates from which on a campaign is of a tier; that of
// Premium has to be passed. Below Efficiency there is TierOptimization.
type TierBounds struct {
	Premium, Standard, Efficiency decimal.Decimal
}

// DefaultTargets are those of the two founding documents: the dashboard's from
// the cost tracking system ("Cost Efficiency Score"), all others from the
// strategy ("Success Metrics & KPIs", "Optimization Decision Tree", "Cost
// Efficiency Scoring", "Performance Segmentation").
func DefaultTargets() Targets {
	d := decimal.RequireFromString
	return Targets{
		DashboardCostPerEmail: d("0.10"), DashboardCostPerMeeting: d("5"),
		CostPerEmail: d("0.15"), CostPerMeeting: d("25"), ROI: d("5"), Waste: d("0.10"),
		SendRate: d("0.85"), Conversion: d("0.05"), BudgetUseLow: d("0.90"), BudgetUseHigh: d("0.95"),
		ForecastAccuracy: d("0.95"),
		InvestSendRate:   d("0.80"), ReduceSendRate: d("0.50"),
		Weights:  ScoreWeights{SendRate: 40, Conversion: 35, Cost: 25},
		Bands:    BandBounds{Excellent: d("90"), Good: d("70"), Fair: d("50")},
		Tiers:    TierBounds{Premium: d("0.90"), Standard: d("0.70"), Efficiency: d("0.50")},
		MinLeads: 30,
	}
}

// MonthFigures are what a month has cost and brought. It is of UTC.
type MonthFigures struct {
	Month         Month
	Fixed         []FixedCost     // whole from the first day on
	OpenRouterUSD decimal.Decimal // what OpenRouter charged
	USDToEUR      decimal.Decimal // of the whole month: OpenRouterEUR ÷ OpenRouterUSD where both are known
	// OpenRouterEUR is each day's charge at the rate of that day, to the last
	// digit; unknown: it is all at USDToEUR.
	OpenRouterEUR  Optional[decimal.Decimal]
	EmailsSent     int64
	MeetingsBooked int64
}

// FixedCost is what a month costs whatever is sent.
type FixedCost struct {
	Name string // instantly, google_workspace, …
	EUR  decimal.Decimal
	// Platform whose subscription it is: it is split over that platform's
	// emails only. Empty: over all.
	Platform string
}

// FixedEUR is the sum of the fixed costs.
func (m *MonthFigures) FixedEUR() decimal.Decimal {
	var sum decimal.Decimal
	for _, c := range m.Fixed {
		sum = sum.Add(c.EUR)
	}
	return sum
}

// VariableEUR is OpenRouter's charge, at the rate of each day where those are
// known, else at the month's.
func (m *MonthFigures) VariableEUR() decimal.Decimal {
	if m.OpenRouterEUR.Known {
		return m.OpenRouterEUR.Value
	}
	return m.OpenRouterUSD.Mul(m.USDToEUR)
}

// TotalEUR is fixed and variable costs together.
func (m *MonthFigures) TotalEUR() decimal.Decimal { return m.FixedEUR().Add(m.VariableEUR()) }

// CostPerEmail is total ÷ emails sent, EUR.
func (m *MonthFigures) CostPerEmail() Optional[decimal.Decimal] {
	return Per(m.TotalEUR(), m.EmailsSent)
}

// CostPerMeeting is total ÷ meetings booked, EUR.
func (m *MonthFigures) CostPerMeeting() Optional[decimal.Decimal] {
	return Per(m.TotalEUR(), m.MeetingsBooked)
}

var hundred = decimal.NewFromInt(100)

// DashboardScore is the mean of target ÷ actual for the cost of an email and of
// a meeting, each at most 100. A cost that is unknown leaves the mean; with both
// unknown there is no score.
func (t *Targets) DashboardScore(m *MonthFigures) Optional[decimal.Decimal] {
	return weightedMean(
		weighted{1, closeness(t.DashboardCostPerEmail, m.CostPerEmail())},
		weighted{1, closeness(t.DashboardCostPerMeeting, m.CostPerMeeting())},
	)
}

// closeness is target ÷ actual in percent, at most 100. What costs nothing has
// reached any target.
func closeness(target decimal.Decimal, actual Optional[decimal.Decimal]) Optional[decimal.Decimal] {
	switch {
	case !actual.Known:
		return actual
	case !actual.Value.IsPositive():
		return Some(hundred)
	}
	share := Quotient(target.Mul(hundred), actual.Value)
	return Some(decimal.Min(hundred, share.Value))
}

type weighted struct {
	weight int64
	value  Optional[decimal.Decimal]
}

// weightedMean is the mean of the values that are known, by their weights.
func weightedMean(parts ...weighted) Optional[decimal.Decimal] {
	var sum decimal.Decimal
	var weights int64
	for _, p := range parts {
		if p.value.Known {
			sum = sum.Add(p.value.Value.Mul(decimal.NewFromInt(p.weight)))
			weights += p.weight
		}
	}
	return Per(sum, weights)
}

// The fixed costs of the founding documents, and the platform whose
// subscription the first of them is.
const (
	FixedInstantly    = "instantly"
	FixedWorkspace    = "google_workspace"
	PlatformInstantly = "instantly"
)
