package guard

import (
	"fmt"
	"strings"
	"time"

	"bursar/accounting"
)

// detail is the decision's reason as sentences for the caller: which budget,
// how it stands, when it resets, and what would help.
func (q *inquiry) detail(d *accounting.BudgetDecision) string {
	h := &q.cause
	if q.verdict != accounting.VerdictDowngraded {
		h = q.hit(q.decider)
	}
	name := nameOf(h)
	switch d.Reason {
	case accounting.ReasonTagRequired:
		return fmt.Sprintf("%s is divided by %s, which this call does not say: send the header %s.", name, h.rule.budget.Each, d.Field)
	case accounting.ReasonNoBound:
		return fmt.Sprintf("%s is hard, so it must be known beforehand how much a call can cost. %s", name, sentence(q.boundErr.Error())) + q.instead()
	case accounting.ReasonNoLease:
		return fmt.Sprintf("%s has not enough money here, and the database granted none within %s. Try again later.", name, q.guard.o.GrantWait)
	case accounting.ReasonNotLoaded:
		if q.boundErr != nil {
			return fmt.Sprintf("%s cannot be charged: %s", name, sentence(q.boundErr.Error()))
		}
		return fmt.Sprintf("%s cannot be applied: its time zone %s is not known here.", name, h.rule.budget.Timezone)
	}
	text := name + " " + q.standing(h) + " " + q.consequence(h)
	if q.verdict == accounting.VerdictDowngraded {
		text += fmt.Sprintf(" The call was sent with %s instead.", d.DowngradedTo)
	}
	return text + q.instead() + " " + resets(h)
}

// instead says of a refusal that it is about another model than the one asked
// for.
func (q *inquiry) instead() string {
	if q.verdict != accounting.VerdictBlocked || q.model == "" {
		return ""
	}
	if !q.downgraded() {
		return fmt.Sprintf(" That is with %s, which experiment %q puts in place of the model asked for.", q.model, q.experiment.ID)
	}
	return fmt.Sprintf(" That is with %s, which budget %q puts in place of the model asked for.", q.model, q.cause.rule.budget.ID)
}

func nameOf(h *hit) string {
	b := &h.rule.budget
	name := fmt.Sprintf("Budget %q", b.ID)
	if b.Name != "" && b.Name != b.ID {
		name = fmt.Sprintf("Budget %q (%s)", b.Name, b.ID)
	}
	if h.each != "" {
		name += fmt.Sprintf(" for %s %q", b.Each, h.each)
	}
	return name
}

// standing is how the budget stands, as this replica knows it.
func (q *inquiry) standing(h *hit) string {
	b := &h.rule.budget
	limit := fmt.Sprintf("has a limit of %s %s", b.Limit.Decimal, b.Currency)
	if b.Period == accounting.PeriodTotal {
		limit += " in total"
	} else {
		limit += " a " + string(b.Period)
	}
	if h.rule.split && h.rule.pot(q.ask.Tags.Purpose) == common {
		limit += fmt.Sprintf(" (%s for calls that are not essential)", h.rule.allowance)
	}
	t := h.account.tally(h.reserved)
	text := fmt.Sprintf("%s, of which %s %s are settled and %s %s reserved", limit, t.settled, b.Currency, t.reserved, b.Currency)
	if leased := h.account.leased(t); h.reason == accounting.ReasonNoRoom && leased.IsPositive() {
		text += fmt.Sprintf("; replicas hold %s %s more, for calls that are ending or to come", leased, b.Currency)
	}
	return text + "."
}

func (q *inquiry) consequence(h *hit) string {
	switch h.reason {
	case accounting.ReasonEssential:
		return "It is used up; the call passes because its purpose is essential."
	case accounting.ReasonNoRoom:
		return fmt.Sprintf("The call could cost up to %s %s, which is more than is left.", h.charge, h.rule.budget.Currency)
	}
	return "It is used up."
}

func resets(h *hit) string {
	if h.rule.budget.Period == accounting.PeriodTotal {
		return "It does not reset."
	}
	return fmt.Sprintf("It resets at %s.", time.Unix(0, h.account.end).UTC().Format(time.RFC3339))
}

func stopDetail(s *accounting.Stop) string {
	if s.Kind == accounting.StopSpike {
		return fmt.Sprintf("The campaign is held since %s, until somebody releases it: %s", s.CreatedAt.UTC().Format(time.RFC3339), sentence(s.Reason))
	}
	return fmt.Sprintf("An emergency stop holds since %s: %s", s.CreatedAt.UTC().Format(time.RFC3339), sentence(s.Reason))
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	if s == "" {
		return "no reason was given."
	}
	if c := s[0]; 'a' <= c && c <= 'z' {
		s = string(c-'a'+'A') + s[1:]
	}
	if !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "!") && !strings.HasSuffix(s, "?") {
		s += "."
	}
	return s
}
