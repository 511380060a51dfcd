package accounting

import "time"

// PlanApplication is how a plan is turned into budgets.
type PlanApplication struct {
	ID        string // the sender's own, which makes it idempotent; empty: none
	Mode      Mode   // of the budgets
	Automatic bool   // nobody asked for it: an alert tells of it
	Actor     string
	Reason    string // empty: none was given
}

// MaxPlanRequestID bounds the id that a sender may give, bytes.
const MaxPlanRequestID = 100

// AppliedPlan is a plan that was turned into budgets. Amounts are EUR a month.
type AppliedPlan struct {
	ID          int64     `json:"id"`
	RequestID   *string   `json:"request_id"` // the sender's own
	Month       Month     `json:"month"`
	From        Day       `json:"from"`
	To          Day       `json:"to"`
	Amount      Amount    `json:"amount"`
	Reserve     Amount    `json:"reserve"`
	Split       PlanSplit `json:"split"`
	StepPercent Amount    `json:"step_percent"`
	Mode        Mode      `json:"mode"`
	Automatic   bool      `json:"automatic"`

	Actor     string     `json:"actor"`
	Reason    *string    `json:"reason"`
	CreatedAt time.Time  `json:"created_at"`
	MovedOn   Day        `json:"moved_on"` // the UTC day of its latest step
	Replaces  *int64     `json:"replaces"` // the plan before; nil: none was in force
	EndedAt   *time.Time `json:"ended_at"` // nil: it is in force
	EndedBy   *string    `json:"ended_by"`
	Ending    *string    `json:"ending"` // replaced, rolled_back; nil: it is in force

	Items []PlanItem `json:"items"`
}

// The endings of a plan.
const (
	PlanReplaced   = "replaced"
	PlanRolledBack = "rolled_back"
)

// PlanItem is what a plan does with the budget of one campaign.
type PlanItem struct {
	CampaignID string            `json:"campaign_id"`
	Class      *PlanClass        `json:"class"` // nil: the campaign is not in the plan
	Decision   *CampaignDecision `json:"decision"`
	Why        *string           `json:"why"`
	ModelClass *ModelClass       `json:"suggested_model_class"`
	Model      *string           `json:"suggested_model"`
	BudgetID   *string           `json:"budget_id"` // that it moves; of a conflict, the person's
	Before     *Amount           `json:"before"`    // limit of the planned budget before; nil: there was none
	Target     *Amount           `json:"target"`    // nil: the campaign is not in the plan
	Limit      *Amount           `json:"limit"`     // as the plan has last set it; nil: it has set none
	State      PlanState         `json:"state"`
}

// PlanState is how far a plan is with one campaign. In a plan that has ended
// it may be the ending: PlanReplaced for a limit that was still moving then,
// PlanRolledBack for what was taken back.
type PlanState string

// The states.
const (
	PlanMoving     PlanState = "moving"   // a step each day
	PlanReached    PlanState = "reached"  // the limit is the target
	PlanRemoved    PlanState = "removed"  // the campaign is not in the plan
	PlanConflicted PlanState = "conflict" // a person had made a budget for the campaign
	PlanStopped    PlanState = "stopped"  // a person has changed or deleted the planned budget
)

// PlanUndo is what a rollback did.
type PlanUndo struct {
	Plan     AppliedPlan    `json:"plan"`     // that was rolled back
	InForce  *int64         `json:"in_force"` // the plan before it; nil: none
	Restored []PlanRestored `json:"restored"`
}

// PlanRestored is what a rollback did with one campaign's budget.
type PlanRestored struct {
	CampaignID string  `json:"campaign_id"`
	BudgetID   *string `json:"budget_id"` // nil: there is none any more
	Limit      *Amount `json:"limit"`
	Action     string  `json:"action"` // restored, removed, left (a person has changed it)
}

// The actions of a rollback.
const (
	UndoRestored = "restored"
	UndoRemoved  = "removed"
	UndoLeft     = "left"
)

// PlanPage is one page of applied plans, the newest first.
type PlanPage struct {
	Plans      []AppliedPlan
	NextCursor string // of the next, older page; empty: this is the last one
}

// PlanSteps is what one day's step of the plan in force did.
type PlanSteps struct {
	Plan    int64
	Moved   int // budgets
	Arrived int // budgets that have reached their target with it
	Stopped int // campaigns whose budget a person has changed or deleted
}
