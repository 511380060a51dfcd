package accounting

import (
	"time"

	"github.com/shopspring/decimal"
)

// GuardRules are what the guards of all replicas go by, as of one version.
type GuardRules struct {
	Version int64
	Budgets []Budget // that are not deleted, disabled ones included
	Stops   []Stop   // that are active, drills included

	Experiments []Experiment // that run and are enforced, by id
}

// Ask is one call that would be sent, as the guard is asked about it.
type Ask struct {
	ID             RequestID
	At             time.Time // start of the call
	Tags           *Tags
	KeyFingerprint string
	Endpoint       string // request path without query
	Request        AskedRequest

	// Steerable calls are those to which the arms of experiments apply: a model
	// writes text, and the body can be changed as far as is known.
	Steerable bool
}

// AskedRequest is the body of a call that the guard is asked about. Only its
// caller uses it, and only until the guard has answered. Reading it waits for
// the client to send it, so the guard asks only where a budget needs to know.
type AskedRequest interface {
	// Models are the model that is asked for and its fallbacks. anyModel: the
	// call may be answered by one that nobody can name beforehand (a router, a
	// preset, no model given, a body that cannot be read).
	Models() (models []string, anyModel bool)
	// Bound is the most that the call can cost, USD, with model in place of
	// the one asked for; empty: as it is. The error says, as a sentence, what
	// has no bound; if it has a method Field() string, that is the field of the
	// body.
	Bound(model string) (decimal.Decimal, error)
}

// DecisionRow is one row of budget_decisions. A nil pointer is SQL NULL and
// JSON null: not known, or it does not apply.
type DecisionRow struct {
	ID             RequestID       `json:"id"` // of the call; of merged refusals, of the first
	CreatedAt      time.Time       `json:"created_at"`
	Verdict        BudgetVerdict   `json:"verdict"`
	Reason         *string         `json:"reason"`
	Field          *string         `json:"field"`
	Detail         *string         `json:"detail"`
	CampaignID     *string         `json:"campaign_id"`
	EmailID        *string         `json:"email_id"`
	LeadID         *string         `json:"lead_id"`
	Purpose        *string         `json:"purpose"`
	Platform       *string         `json:"platform"`
	KeyFingerprint *string         `json:"key_fingerprint"`
	Endpoint       *string         `json:"endpoint"`
	Model          *string         `json:"model"`
	DowngradedTo   *string         `json:"downgraded_to"`
	BoundUSD       *Amount         `json:"bound_usd"`
	BoundBy        *string         `json:"bound_by"`
	Replica        *string         `json:"replica"`
	USDToEUR       *Amount         `json:"usd_to_eur"`
	StopID         *string         `json:"stop_id"`
	ExperimentID   *string         `json:"experiment_id"`
	Arm            *string         `json:"arm"`
	ArmModel       *string         `json:"arm_model"`
	Budgets        []DecisionShare `json:"budgets"`
	Count          int             `json:"count"`
	Calls          []RequestID     `json:"calls"`
}

// DecisionShare is a [BudgetShare] as budget_decisions and the API show it.
type DecisionShare struct {
	BudgetID    string        `json:"budget_id"`
	EachValue   string        `json:"each_value"`
	PeriodStart time.Time     `json:"period_start"`
	Verdict     BudgetVerdict `json:"verdict"`
	Reason      BudgetReason  `json:"reason"`
	Limit       Amount        `json:"limit"`
	Settled     Amount        `json:"settled"`
	Reserved    Amount        `json:"reserved"`
	Charge      Amount        `json:"charge"`
}

// DecisionFilter says which decisions are wanted. An empty field matches every
// row.
type DecisionFilter struct {
	Verdict      BudgetVerdict
	Reason       BudgetReason
	BudgetID     string
	CampaignID   string
	LeadID       string
	EmailID      string
	Purpose      string
	Model        string
	Since, Until time.Time
	Limit        int    // rows of the page, 1 to MaxUsageRows
	Cursor       string // NextCursor of the page before; empty: the newest rows
}

// DecisionPage is one page of decisions, the newest first.
type DecisionPage struct {
	Rows       []DecisionRow
	NextCursor string
	// SearchedTo is how far back was searched, where that is not to the end: then
	// there may be fewer rows than asked for, or none, and more on the next page.
	SearchedTo *time.Time
}
