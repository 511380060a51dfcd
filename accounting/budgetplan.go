package accounting

import (
	"errors"
	"time"

	"github.com/shopspring/decimal"
)

// Bounds of a plan.
const (
	PlanDays         = 30   // whole days before it whose figures it is made of
	MaxPlanCampaigns = 200  // that get a limit of their own, the dearest
	MinPlanStep      = 1    // percent a day
	MaxPlanStep      = 1000 // percent a day
	planPlaces       = 2    // decimals of a limit: cents
)

// PlanClass is the part of the AI budget that a campaign belongs to (strategy,
// "Dynamic AI Budget Allocation").
type PlanClass string

// The classes.
const (
	PlanHighROI  PlanClass = "high_roi" // the decision about it is to invest more
	PlanStandard PlanClass = "standard" // any other decision
	PlanTesting  PlanClass = "testing"  // flagged as a test, or too few leads for a verdict
)

// ModelClass is how good, and how dear, the models of a campaign should be.
type ModelClass string

// The classes of models. A campaign without a verdict gets the cheapest.
const (
	ModelClassPremium    ModelClass = "premium"
	ModelClassStandard   ModelClass = "standard"
	ModelClassEfficiency ModelClass = "efficiency"
	ModelClassNone       ModelClass = "none" // fix the workflow before spending on AI
)

// PlanModels are the models of the classes; empty: none is suggested.
type PlanModels struct{ Premium, Standard, Efficiency string }

// Of is the class of models that a tier deserves, and its model.
func (m *PlanModels) Of(t Tier) (class ModelClass, model string) {
	switch t {
	case TierPremium:
		return ModelClassPremium, m.Premium
	case TierStandard:
		return ModelClassStandard, m.Standard
	case TierOptimization:
		return ModelClassNone, ""
	}
	return ModelClassEfficiency, m.Efficiency
}

// PlanTerms are what a plan is made by.
type PlanTerms struct {
	Month    Month // that it is for
	From, To Day   // of the figures, both included
	Amount   decimal.Decimal
	Split    PlanSplit
	Step     decimal.Decimal // percent of a limit that it may move in a day
	Targets  Targets
	Value    MeetingValue
	Models   PlanModels
	Again    []string // campaigns that get a budget though a person has deleted theirs
}

// PlanWindow is the days whose figures a plan for month is made of at now: the
// latest whole ones, of a month that is over those before its first day.
func PlanWindow(month Month, now time.Time) (from, to Day) {
	end := DayOf(now)
	if month.Before(MonthOf(now)) {
		end = DayOf(month.Start())
	}
	return end.Add(-PlanDays), end.Add(-1)
}

// BudgetPlan is the AI budget of a month split over campaigns. Amounts are EUR
// a month.
type BudgetPlan struct {
	Month       Month          `json:"month"`
	From        Day            `json:"from"`
	To          Day            `json:"to"`
	Amount      Amount         `json:"amount"`
	Split       PlanSplit      `json:"split"`
	StepPercent Amount         `json:"step_percent"`
	Classes     []PlanClassRow `json:"classes"`
	Rows        []PlanRow      `json:"campaigns"` // the largest limit of each class first
	// Removed are budgets of the plan before whose campaigns are not in this
	// one, or for which a person has made a budget.
	Removed   []PlanBudget `json:"removed"`
	Allocated Amount       `json:"allocated"` // the sum of the limits
	Reserve   Amount       `json:"reserve"`   // Amount − Allocated
	Untagged  Amount       `json:"untagged_cost"`
	LeftOut   int          `json:"campaigns_left_out"`
	Note      string       `json:"note"`

	// Again are campaigns that get a budget though a person has deleted theirs.
	Again []string `json:"-"`
}

// PlanClassRow is what a class of campaigns gets.
type PlanClassRow struct {
	Class     PlanClass `json:"class"`
	Percent   Amount    `json:"percent"`
	Share     Amount    `json:"share"` // by percent, in EUR
	Campaigns int       `json:"campaigns"`
	Allocated Amount    `json:"allocated"` // the sum of its limits
}

// PlanRow is what a plan says about one campaign.
type PlanRow struct {
	CampaignID string           `json:"campaign_id"`
	Name       *string          `json:"name"`
	Class      PlanClass        `json:"class"`
	Decision   CampaignDecision `json:"decision"`
	Tier       Tier             `json:"tier"`
	Why        string           `json:"why"`

	ProcessedLeads   int64   `json:"processed_leads"`
	EmailsSent       int64   `json:"emails_sent"`
	Meetings         int64   `json:"meetings"`
	SendRate         *Amount `json:"send_rate"`
	Conversion       *Amount `json:"conversion_rate"`
	AICost           Amount  `json:"ai_cost"`
	AICostPerMeeting *Amount `json:"ai_cost_per_meeting"`
	ROIPercent       *Amount `json:"ai_roi_percent"`

	Limit         Amount      `json:"suggested_limit"`
	ModelClass    ModelClass  `json:"suggested_model_class"`
	Model         *string     `json:"suggested_model"`
	Budget        *PlanBudget `json:"budget"` // that there is at present; nil: none
	ChangePercent *Amount     `json:"change_percent"`
	Action        PlanAction  `json:"action"`
	FirstStep     *Amount     `json:"first_step"` // the limit on the day on which the plan is applied; nil: none
	Days          *int        `json:"days"`       // from then on until the suggested limit is reached
}

// PlanAction is what applying a plan does to the budget of a campaign.
type PlanAction string

// The actions.
const (
	PlanMakes    PlanAction = "make"
	PlanRaises   PlanAction = "raise"
	PlanLowers   PlanAction = "lower"
	PlanKeeps    PlanAction = "keep"
	PlanConflict PlanAction = "conflict" // a person has made a budget for the campaign: nothing is done
	PlanDeclined PlanAction = "declined" // a person has deleted its planned budget: none is made
)

// PlanBudget is a budget of one campaign alone, as a plan meets it.
type PlanBudget struct {
	ID         string   `json:"id"`
	CampaignID string   `json:"campaign_id"`
	Limit      Amount   `json:"limit"`
	Currency   Currency `json:"currency"`
	Period     Period   `json:"period"`
	Mode       Mode     `json:"mode"`
	Planned    bool     `json:"planned"` // a plan has made it, and nobody has changed it since
	// MovedToday: a plan has moved it on the present UTC day, and may not again
	// before the next, whichever plan is applied.
	MovedToday bool `json:"moved_today"`
	// Deleted: a plan had made it, the latest of its campaign, and a person has
	// deleted it. There is no such budget any more.
	Deleted bool `json:"-"`
}

// ErrNothingToPlan is the answer to a plan without campaigns: applying it would
// only take limits away.
var ErrNothingToPlan = errors.New("no campaign is in the plan")

// ErrNoBudgetPlan is the answer to a rollback while no plan is in force.
var ErrNoBudgetPlan = errors.New("no budget plan is in force")

// ErrPlanNotInForce is the answer to the rollback of a plan that another one
// has replaced.
var ErrPlanNotInForce = errors.New("that budget plan is not in force")

// The actions of budget plans in the audit log.
const (
	ActionPlanApply    = "budget_plan.apply"
	ActionPlanRollback = "budget_plan.rollback"
)

// OriginPlan is the origin of a budget that a plan has made.
const OriginPlan = "plan"

// PlanBudgetName is the name of the budget that a plan makes for a campaign.
func PlanBudgetName(campaign string) string {
	name, _ := CleanTag("plan:" + campaign) // which cuts where a name ends too
	return name
}

// PlanRequest is what somebody may ask of a plan. What is unknown is as
// configured, an amount the limit of the budget monthly-ai.
type PlanRequest struct {
	Month  Month
	Amount Optional[decimal.Decimal] // EUR
	Split  Optional[PlanSplit]
	Step   Optional[decimal.Decimal] // percent a day
	Again  []string                  // campaigns that get a budget though a person has deleted theirs
}
