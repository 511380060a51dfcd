package admin

import (
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// summaryOf says in a sentence or two what became of a call and why.
func summaryOf(row *accounting.DecisionRow, id accounting.RequestID) string {
	var s string
	switch row.Verdict {
	case accounting.VerdictBlocked:
		status := 402
		if accounting.BudgetReason(deref(row.Reason)) == accounting.ReasonWithoutAI {
			status = 403
		}
		s = fmt.Sprintf("The call was refused with status %d and not sent: %s.", status, reasonWords(row))
	case accounting.VerdictDowngraded:
		s = fmt.Sprintf("The call was sent with %s in place of %s: %s.", orUnnamed(row.DowngradedTo), orUnnamed(row.Model), reasonWords(row))
	case accounting.VerdictWarned:
		s = "The call was sent, with a warning: " + reasonWords(row) + "."
	default:
		if row.Reason != nil {
			s = "The call was sent, although " + reasonWords(row) + "."
			break
		}
		s = "The call was sent: every budget that applied had room for it."
		if len(row.Budgets) == 0 {
			s = "The call was sent: no budget applied to it."
		}
	}
	if row.ExperimentID != nil && row.Verdict != accounting.VerdictBlocked {
		s += fmt.Sprintf(" Experiment %s has its lead in the arm %s%s.", *row.ExperimentID, deref(row.Arm), ofArm(row))
	}
	if row.Count > 1 {
		s += fmt.Sprintf(" %d calls like it were refused within the same second and stand in one row", row.Count)
		if id != row.ID {
			s += ", under the id of the first, " + row.ID.String()
		}
		s += "."
	}
	return s
}

func orUnnamed(s *string) string {
	if s == nil {
		return "its model"
	}
	return *s
}

// reasonWords are the reason of a decision.
func reasonWords(row *accounting.DecisionRow) string {
	switch accounting.BudgetReason(deref(row.Reason)) {
	case accounting.ReasonExceeded:
		return "settled spend of a budget had reached its limit"
	case accounting.ReasonNoRoom:
		return "the most that the call could cost did not fit into what a hard budget had left"
	case accounting.ReasonNoBound:
		return "a hard budget applies, and nothing bounds what the call may cost" + inField(row)
	case accounting.ReasonNoLease:
		return "a hard budget applies, this replica held too little money of it, and the database granted none in time"
	case accounting.ReasonNotLoaded:
		return "this replica could not read yet what it needs to know of budgets"
	case accounting.ReasonEssential:
		return "a soft budget is used up, but the call's purpose is essential to it"
	case accounting.ReasonTagRequired:
		return "a tag that every call must have is missing" + inField(row)
	case accounting.ReasonEmergencyStop:
		return "an emergency stop" + ofStop(row) + " covers it"
	case accounting.ReasonHeld:
		return "the spike brake holds its campaign" + ofStop(row)
	case accounting.ReasonWithoutAI:
		return fmt.Sprintf("experiment %s has its lead in the arm %s, which uses no AI", orUnknown(row.ExperimentID), orUnknown(row.Arm))
	case accounting.ReasonNone:
		return "no reason was recorded"
	}
	return *row.Reason
}

// told is what the caller was told, which names the way out.
func told(row *accounting.DecisionRow) string {
	if row.Detail == nil {
		return ""
	}
	return "The caller was told: " + *row.Detail
}

func inField(row *accounting.DecisionRow) string {
	if row.Field == nil {
		return ""
	}
	return " (" + *row.Field + ")"
}

func ofStop(row *accounting.DecisionRow) string {
	if row.StopID == nil {
		return ""
	}
	return " (" + *row.StopID + ")"
}

func orUnknown(s *string) string {
	if s == nil {
		return "of a name that was not recorded"
	}
	return *s
}

// ofArm says what an arm did to the call.
func ofArm(row *accounting.DecisionRow) string {
	switch {
	case row.ArmModel == nil:
		return ", which leaves the call as it was"
	case row.DowngradedTo != nil:
		return fmt.Sprintf(", whose model %s a budget replaced", *row.ArmModel)
	}
	return fmt.Sprintf(", so that it was sent with %s", *row.ArmModel)
}

// adviceWithoutBudget says what helps where no budget decided.
func adviceWithoutBudget(row *accounting.DecisionRow) string {
	switch accounting.BudgetReason(deref(row.Reason)) {
	case accounting.ReasonEmergencyStop, accounting.ReasonHeld:
		return fmt.Sprintf("GET %s says who stopped it and why; DELETE %s/%s lifts it.", stopPath, stopPath, deref(row.StopID))
	case accounting.ReasonWithoutAI:
		return fmt.Sprintf("Write to this lead without AI. GET /api/experiments/%s shows the experiment; POST /api/experiments/%[1]s/rollback ends it.", deref(row.ExperimentID))
	case accounting.ReasonTagRequired:
		return "Send the header" + inField(row) + "; BURSAR_TAGS_REQUIRED asks for it."
	case accounting.ReasonNotLoaded:
		return "Try again in a second. If it stays, /readyz says whether the database answers."
	}
	return ""
}

// shareWords puts one budget's part in a decision into words.
type shareWords struct {
	row    *accounting.DecisionRow
	share  *accounting.DecisionShare
	budget accounting.Budget // zero where it was deleted since
	known  bool
}

// amount is an amount of the budget, with its currency where that is known.
func (w *shareWords) amount(d decimal.Decimal) string {
	if !w.known {
		return d.String()
	}
	return d.String() + " " + string(w.budget.Currency)
}

// all are the sentences about the budget: which it is, how it stood, and what
// followed.
func (w *shareWords) all() string {
	if w.share.PeriodStart.IsZero() {
		return w.which() + " " + w.outcome()
	}
	return strings.Join([]string{w.which(), w.standing(), w.outcome()}, " ")
}

// which says what the budget limits.
func (w *shareWords) which() string {
	each := ""
	if w.share.EachValue != "" {
		each = " for " + w.share.EachValue
	}
	if !w.known {
		return fmt.Sprintf("Budget %s, which was deleted since: %s%s, in its currency.", w.share.BudgetID, w.share.Limit, each)
	}
	s := fmt.Sprintf("Budget %s (%s), %s: %s%s", w.budget.Name, w.budget.ID, w.budget.Mode, w.amount(w.share.Limit.Decimal), each)
	if w.budget.Period == accounting.PeriodTotal {
		return s + " in total."
	}
	return s + " a " + string(w.budget.Period) + "."
}

// standing says what was left.
func (w *shareWords) standing() string {
	forWhom := ""
	if w.split() {
		forWhom = " for calls that are not essential, which may use " + w.amount(w.allowance()) + " of it"
	}
	return fmt.Sprintf("When the call came, %s was settled and %s reserved, so %s was left%s.",
		w.amount(w.share.Settled.Decimal), w.amount(w.share.Reserved.Decimal), w.amount(w.left()), forWhom)
}

// split reports whether a part of the budget was not for this call, since that
// is kept for essential ones.
func (w *shareWords) split() bool {
	return w.known && w.budget.Mode == accounting.ModeHard && w.budget.EssentialShare.IsPositive() && !w.budget.Essential(deref(w.row.Purpose))
}

// allowance is what of the limit the call could use.
func (w *shareWords) allowance() decimal.Decimal {
	if !w.split() {
		return w.share.Limit.Decimal
	}
	return w.share.Limit.Mul(decimal.NewFromInt(1).Sub(w.budget.EssentialShare.Decimal))
}

// left is what of that was neither settled nor reserved.
func (w *shareWords) left() decimal.Decimal {
	return decimal.Max(w.allowance().Sub(w.share.Settled.Decimal).Sub(w.share.Reserved.Decimal), decimal.Zero)
}

// outcome says why the call passed or not.
func (w *shareWords) outcome() string {
	switch w.share.Reason {
	case accounting.ReasonExceeded:
		return "Settled spend had reached the limit" + w.consequence()
	case accounting.ReasonNoRoom:
		return "The call could cost up to " + w.bound() + ", which did not fit" + w.elsewhere() + w.consequence()
	case accounting.ReasonNoBound:
		return "Nothing bounds what the call may cost" + inField(w.row) + ", and a hard budget reserves the worst case before a call is sent" + w.consequence()
	case accounting.ReasonNoLease:
		return "This replica held too little of it, and the database granted nothing in time" + w.consequence()
	case accounting.ReasonNotLoaded:
		return "This replica could not tell yet what of it there was" + w.consequence()
	case accounting.ReasonEssential:
		return "It was used up, but the purpose " + purposeOf(w.row) + " is essential to it" + w.passed()
	case accounting.ReasonTagRequired:
		return "It is divided by a tag that the call did not have" + inField(w.row) + w.consequence()
	}
	switch {
	case w.share.Charge.IsPositive() && w.share.Verdict != accounting.VerdictBlocked:
		return "The most that the call could cost, " + w.amount(w.share.Charge.Decimal) + ", was reserved" + w.passed()
	case w.share.Verdict == accounting.VerdictAllowed && w.budget.Mode == accounting.ModeAlert:
		return "It only alerts" + w.passed()
	case w.share.Verdict == accounting.VerdictAllowed && w.budget.Mode == accounting.ModeHard:
		return "Nothing had to be reserved" + w.passed()
	case w.share.Verdict == accounting.VerdictAllowed && w.share.Settled.LessThan(w.share.Limit.Decimal):
		return "The limit was not reached" + w.passed()
	}
	return "For it, the call was " + string(w.share.Verdict) + "."
}

// consequence ends a sentence with what followed.
func (w *shareWords) consequence() string {
	switch w.share.Verdict {
	case accounting.VerdictBlocked:
		return ": the call was refused."
	case accounting.VerdictDowngraded:
		if w.row.DowngradedTo == nil {
			return ": it asked for another model, with which the call could not be sent."
		}
		return ": the call was sent with " + *w.row.DowngradedTo + "."
	case accounting.VerdictWarned:
		return ", and the budget only warns" + w.passed()
	}
	return w.passed()
}

// passed ends a sentence about a budget that did not stand against the call;
// another one may have.
func (w *shareWords) passed() string {
	if w.row.Verdict == accounting.VerdictBlocked {
		return ": it would have let the call pass."
	}
	return ": the call passed."
}

// elsewhere says why a call did not fit into what seems to be left.
func (w *shareWords) elsewhere() string {
	if w.row.BoundUSD == nil || w.budget.Currency != accounting.USD || w.row.BoundUSD.GreaterThan(w.left()) {
		return ""
	}
	return ", since other replicas held the rest for their calls"
}

// bound is the call's worst case.
func (w *shareWords) bound() string {
	if w.row.BoundUSD == nil {
		return "an unknown amount"
	}
	return w.row.BoundUSD.String() + " USD"
}

func purposeOf(row *accounting.DecisionRow) string {
	if row.Purpose == nil {
		return "of a call that names none"
	}
	return *row.Purpose
}

// resetsAt is the end of the period; nil: it has none, or is not known.
func (w *shareWords) resetsAt() *time.Time {
	if w.share.PeriodStart.IsZero() {
		return nil // the call was refused before it came to that
	}
	zone, err := accounting.LoadZone(w.budget.Timezone)
	if err != nil {
		return nil
	}
	_, end := w.budget.Period.Window(w.share.PeriodStart, zone)
	if end.IsZero() {
		return nil
	}
	return &end
}

// advice says what helps against what the budget did; empty: nothing is amiss.
func (w *shareWords) advice() string {
	if !w.known {
		return ""
	}
	raise := fmt.Sprintf("raise its limit (PATCH %s/%s)", budgetsPath, w.budget.ID)
	wait := ""
	if end := w.resetsAt(); end != nil {
		wait = ", or wait until it resets at " + end.Format(time.RFC3339)
	}
	switch w.share.Reason {
	case accounting.ReasonExceeded, accounting.ReasonEssential:
		return capital(raise) + w.essential() + wait + "."
	case accounting.ReasonNoRoom:
		return "Send a call that can cost less (a lower max_tokens, a shorter prompt, a cheaper model), " + raise + wait + "."
	case accounting.ReasonNoBound:
		return strings.TrimSpace("Change what has no bound" + inField(w.row) + ", or use a soft budget, which needs none; docs/budgets.md says what bounds a call. " + told(w.row))
	case accounting.ReasonNoLease:
		return "Try again in a second. If it stays, /readyz says whether the database answers, and GET " + budgetsPath + "/leases which replica holds the money."
	case accounting.ReasonNotLoaded, accounting.ReasonTagRequired:
		return adviceWithoutBudget(w.row)
	}
	return ""
}

// essential is the way out of a soft budget that is used up.
func (w *shareWords) essential() string {
	if w.budget.Mode != accounting.ModeSoft || len(w.budget.EssentialPurposes) == 0 || w.share.Reason == accounting.ReasonEssential {
		return ""
	}
	return ", send it with an essential purpose (" + strings.Join(w.budget.EssentialPurposes, ", ") + ") if it has one"
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
