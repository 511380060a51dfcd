package accounting

import (
	"cmp"
	"time"

	"github.com/shopspring/decimal"
)

// BudgetVerdict is what became of a call. It is the header X-Bursar-Verdict.
type BudgetVerdict string

// The verdicts, from the mildest to the strictest.
const (
	VerdictAllowed    BudgetVerdict = "allowed"
	VerdictWarned     BudgetVerdict = "warned"
	VerdictDowngraded BudgetVerdict = "downgraded"
	VerdictBlocked    BudgetVerdict = "blocked"
)

// BudgetReason is why a verdict is not plainly allowed.
type BudgetReason string

// The reasons.
const (
	ReasonNone          BudgetReason = ""
	ReasonExceeded      BudgetReason = "budget_exceeded"   // settled spend has reached the limit
	ReasonNoRoom        BudgetReason = "budget_no_room"    // the call's worst case does not fit into what is left
	ReasonNoBound       BudgetReason = "no_bound"          // nothing bounds what the call may cost; Field says why
	ReasonNoLease       BudgetReason = "no_lease"          // the database did not grant money in time
	ReasonNotLoaded     BudgetReason = "budget_not_loaded" // budgets could not be read yet
	ReasonEssential     BudgetReason = "essential"         // beyond the limit of a soft budget, but its purpose is protected
	ReasonTagRequired   BudgetReason = "tag_required"      // BURSAR_TAGS_REQUIRED names a tag that the call has not
	ReasonEmergencyStop BudgetReason = "emergency_stop"
	ReasonHeld          BudgetReason = "campaign_held"    // by the spike brake
	ReasonWithoutAI     BudgetReason = "experiment_no_ai" // an experiment has its lead in an arm without AI
)

// BudgetDecision is what the guard decided about a call before it was sent. It
// is a row of budget_decisions, and travels there on the call's [Event].
type BudgetDecision struct {
	Verdict BudgetVerdict
	Reason  BudgetReason
	Field   string // of [ReasonNoBound]: the field of the body; of [ReasonTagRequired]: the header
	Detail  string // the same as a sentence, for the caller; it quotes nothing of a prompt

	Model        string                    // that the call asked for
	DowngradedTo string                    // that a budget has it sent with instead
	Bound        Optional[decimal.Decimal] // USD: the most the call can cost, where it was computed
	BoundBy      BoundBy                   // who sees to that; empty: no hard budget applied

	Replica string          // whose leases were charged
	Rate    decimal.Decimal // EUR for one USD that EUR charges were made at; 0: there are none
	Stop    string          // id of the emergency stop or hold that blocked it

	// The enforced experiment that the call belongs to, the name of the arm that
	// its lead is in, and the model that this arm puts in place of the one asked
	// for; a downgrade overrides it. Empty: there is none.
	Experiment, Arm, ArmModel string

	Budgets []BudgetShare // every budget that applied, the one that decided first

	// A blocked call may stand for others like it within the same second.
	Count int         // calls in this decision; 0 means 1
	Calls []RequestID // their ids, at most MaxMergedCalls, without the event's own
}

// SentModel is the model that the call is sent with in place of the one it asks
// for; empty: it is sent as it asks.
func (d *BudgetDecision) SentModel() string {
	if d == nil {
		return ""
	}
	return cmp.Or(d.DowngradedTo, d.ArmModel)
}

// MaxMergedCalls is the most ids that a merged decision keeps.
const MaxMergedCalls = 100

// BudgetShare is one budget's part in a decision, as it stood at that moment.
// Amounts are in the budget's currency.
type BudgetShare struct {
	BudgetID    string
	EachValue   string // of the budget's tag; empty: the budget is not divided
	PeriodStart time.Time
	Verdict     BudgetVerdict
	Reason      BudgetReason
	Limit       decimal.Decimal
	Settled     decimal.Decimal // as this replica knew it
	Reserved    decimal.Decimal // by calls in flight, as this replica knew it, without this one
	// Charge is what is reserved for this call, of the replica's lease. Zero:
	// nothing, the budget is not hard or the call can cost nothing.
	Charge decimal.Decimal
}

// ChargeTo is the share of d that holds money of a budget's period for the
// call, nil if there is none.
func (d *BudgetDecision) ChargeTo(budget, each string, start time.Time) *BudgetShare {
	if d == nil {
		return nil
	}
	for i := range d.Budgets {
		s := &d.Budgets[i]
		if s.BudgetID == budget && s.EachValue == each && s.PeriodStart.Equal(start) && s.Charge.IsPositive() {
			return s
		}
	}
	return nil
}
