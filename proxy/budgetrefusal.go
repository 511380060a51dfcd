package proxy

import (
	"net/http"
	"time"

	"bursar/accounting"
)

// What limits a call, in OpenRouter's vocabulary of metadata.limit_source.
const (
	limitBursar = "bursar"
	limitBudget = "bursar_budget"
	limitStop   = "bursar_emergency_stop"

	limitExperiment = "bursar_experiment"
)

// cutUnanswered tells a client whose call was cut before there was an answer.
var cutUnanswered = refusal{status: http.StatusPaymentRequired, kind: "payment_required", source: limitStop, final: true,
	message: "An operator's emergency stop ended this call before OpenRouter answered. OpenRouter may still run and bill it; its cost is recorded as ever"}

// budgetRefusal is the answer to a call that the guard has blocked.
func (c *call) budgetRefusal(d *accounting.BudgetDecision) refusal {
	r := refusal{status: http.StatusPaymentRequired, kind: "payment_required", source: limitBudget, final: true,
		message: d.Detail, metadata: map[string]any{"reason": string(d.Reason)}}
	switch d.Reason {
	case accounting.ReasonEmergencyStop, accounting.ReasonHeld:
		r.source = limitStop
		r.metadata["stop"] = d.Stop
	case accounting.ReasonWithoutAI:
		// Not the status of a budget: nothing is used up, and nobody has to act.
		r.status, r.kind, r.source = http.StatusForbidden, "permission_denied", limitExperiment
		r.metadata["experiment"], r.metadata["arm"] = d.Experiment, d.Arm
	default:
		if d.Field != "" {
			r.metadata["field"] = d.Field
		}
	}
	if len(d.Budgets) > 0 && r.source == limitBudget {
		c.describeBudget(&d.Budgets[0], r.metadata)
	}
	if r.message == "" {
		r.message = "This call was blocked by a budget (" + string(d.Reason) + ")"
	}
	return r
}

// describeBudget says how the budget stands that decided. Amounts are numbers
// with all their digits, in the budget's currency.
func (c *call) describeBudget(s *accounting.BudgetShare, metadata map[string]any) {
	metadata["budget"] = s.BudgetID
	if s.EachValue != "" {
		metadata["each_value"] = s.EachValue
	}
	metadata["limit"] = accounting.Amount{Decimal: s.Limit}
	metadata["settled"] = accounting.Amount{Decimal: s.Settled}
	metadata["reserved"] = accounting.Amount{Decimal: s.Reserved}
	budget, ok := c.handler.opts.FindBudget(s.BudgetID)
	if !ok {
		return // deleted just now
	}
	metadata["currency"] = string(budget.Currency)
	metadata["resets_at"] = nil // never
	zone, err := accounting.LoadZone(budget.Timezone)
	if err != nil {
		return
	}
	if _, end := budget.Period.Window(s.PeriodStart, zone); !end.IsZero() {
		metadata["resets_at"] = end.Format(time.RFC3339)
	}
}
