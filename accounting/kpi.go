package accounting

import "github.com/shopspring/decimal"

// KPIState is where a key figure stands.
type KPIState string

// The states.
const (
	KPIMet           KPIState = "met"
	KPIMissed        KPIState = "missed"
	KPINoTarget      KPIState = "no_target"      // measured, but the strategy names no target
	KPINotMeasurable KPIState = "not_measurable" // Reason says why
)

// KPIGroup is where a key figure comes from.
type KPIGroup string

// The groups.
const (
	KPIPrimary   KPIGroup = "primary"   // strategy, "Primary KPIs"
	KPISecondary KPIGroup = "secondary" // strategy, "Secondary KPIs"
	KPIDashboard KPIGroup = "dashboard" // cost tracking system, "Cost Efficiency Score"
	KPIYear1     KPIGroup = "year_1"    // strategy, "Expected Outcomes", against the baseline
)

// KPIUnit is what a key figure is measured in.
type KPIUnit string

// The units.
const (
	UnitEUR   KPIUnit = "EUR"
	UnitShare KPIUnit = "share" // 0.05 is 5 %
	UnitDays  KPIUnit = "days"
	UnitScore KPIUnit = "score" // 0 to 100
	UnitRatio KPIUnit = "ratio" // of two amounts; 1: they are equal
)

// KPIAim is on which side of its target a figure should be.
type KPIAim string

// The aims.
const (
	AimBelow   KPIAim = "below"
	AimAbove   KPIAim = "above"
	AimAtLeast KPIAim = "at_least"
	AimBetween KPIAim = "between" // target and target_high, both included
	AimNone    KPIAim = "none"
)

// KPI is one key figure.
type KPI struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Group      KPIGroup  `json:"group"`
	Formula    string    `json:"formula"` // in words
	Unit       KPIUnit   `json:"unit"`
	Aim        KPIAim    `json:"aim"`
	Target     *Amount   `json:"target"`      // null: the strategy names none
	TargetHigh *Amount   `json:"target_high"` // of between
	Value      *Amount   `json:"value"`       // null: not measurable
	State      KPIState  `json:"state"`
	Reason     string    `json:"reason"` // why it is not measurable; empty: it is
	Parts      []KPIPart `json:"parts"`  // what it is made of, by name
}

// KPIPart is a part of a key figure: one platform, one model.
type KPIPart struct {
	Name  string  `json:"name"`
	Value *Amount `json:"value"` // in the figure's unit, or as its formula says; null: unknown
}

// KPISums are what a month has cost and brought, over all campaigns.
type KPISums struct {
	AICost         decimal.Decimal // EUR at the rate of each call's day
	UnsentCost     decimal.Decimal // EUR of AICost, on leads unsent in time
	ValuedCost     decimal.Decimal // EUR of AICost, of campaigns whose value is known
	ProcessedLeads int64
	SentLeads      int64
	Emails         int64
	Meetings       int64
	Value          Optional[decimal.Decimal] // EUR of the campaigns whose value is known

	Alerts        int64 // warnings and worse that were raised
	AlertsHandled int64 // of these, acknowledged within 24 hours
	Returned      int64 // campaigns that brought their first meeting or deal
	ReturnDays    int64 // sum over these of the days since their first call
}

// figures are those of one campaign that everything belongs to.
func (s *KPISums) figures(m *MonthFigures) CampaignFigures {
	return CampaignFigures{
		ProcessedLeads: s.ProcessedLeads, SentLeads: s.SentLeads, EmailsSent: m.EmailsSent, Meetings: m.MeetingsBooked,
		AICost: s.AICost, FixedCost: m.FixedEUR(), UnsentCost: s.UnsentCost, Value: s.Value,
	}
}

// KPIMonth is everything that the key figures of a month are made of.
type KPIMonth struct {
	Month     MonthFigures
	Running   bool // the month is not over
	Sums      KPISums
	Budget    Optional[decimal.Decimal] // limit of the month's AI budget, EUR
	Expected  Optional[decimal.Decimal] // of a running month: AI cost at its end, EUR
	Forecasts ForecastRecord
	Platforms []KPIPart // AI cost of a meeting, EUR
	Models    []KPIPart // AI cost of a meeting, EUR
}

// against gives the figure a target, a value and its state; why is said where
// the value is unknown.
func (k KPI) against(aim KPIAim, target decimal.Decimal, value Optional[decimal.Decimal], why string) KPI {
	k.Aim, k.Target = aim, &Amount{target}
	return k.measured(value, why)
}

// measured gives the figure its value and state.
func (k KPI) measured(value Optional[decimal.Decimal], why string) KPI {
	if k.Aim == "" {
		k.Aim = AimNone
	}
	if k.Parts == nil {
		k.Parts = []KPIPart{}
	}
	k.Value = AmountOf(value)
	k.State = k.state()
	if k.State == KPINotMeasurable {
		k.Reason = why
	}
	return k
}

func (k *KPI) state() KPIState {
	if k.Value == nil {
		return KPINotMeasurable
	}
	var met bool
	switch k.Aim {
	case AimNone:
		return KPINoTarget
	case AimBelow:
		met = k.Value.LessThan(k.Target.Decimal)
	case AimAbove:
		met = k.Value.GreaterThan(k.Target.Decimal)
	case AimAtLeast:
		met = k.Value.GreaterThanOrEqual(k.Target.Decimal)
	case AimBetween:
		met = k.Value.GreaterThanOrEqual(k.Target.Decimal) && k.Value.LessThanOrEqual(k.TargetHigh.Decimal)
	}
	if met {
		return KPIMet
	}
	return KPIMissed
}

// unknown is a value that nothing measures.
var unknown = Optional[decimal.Decimal]{}
