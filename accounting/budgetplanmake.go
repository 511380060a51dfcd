package accounting

import (
	"fmt"

	"github.com/shopspring/decimal"
)

// MakeBudgetPlan splits the AI budget over the campaigns, given with the dearest
// first. Those take part that made a call in the days of the plan, or were told
// about in them; calls without a campaign cannot have a budget, and are shown as
// untagged. [BudgetPlan.Meet] compares it with the budgets there are.
func MakeBudgetPlan(t *PlanTerms, campaigns []CampaignSums) BudgetPlan {
	p := BudgetPlan{
		Month: t.Month, From: t.From, To: t.To, Amount: Amount{t.Amount}, Split: t.Split, StepPercent: Amount{t.Step},
		Classes: []PlanClassRow{}, Rows: []PlanRow{}, Removed: []PlanBudget{},
		Again: t.Again,
	}
	for i := range campaigns {
		c := &campaigns[i]
		switch {
		case c.ID == "":
			p.Untagged = c.AICostEUR
		case !t.takesPart(c):
		case len(p.Rows) == MaxPlanCampaigns:
			p.LeftOut++
		default:
			p.Rows = append(p.Rows, t.row(c))
		}
	}
	p.setLimits()
	p.Note = p.note()
	return p
}

// takesPart reports whether a campaign runs, or is about to: somebody told about
// it in the days of the plan, or on the day after them, on which it is made.
func (t *PlanTerms) takesPart(c *CampaignSums) bool {
	if c.Calls > 0 || c.Settings == nil {
		return c.Calls > 0
	}
	told := DayOf(c.Settings.UpdatedAt)
	return !told.Before(t.From) && !t.To.Add(1).Before(told)
}

func (t *PlanTerms) row(c *CampaignSums) PlanRow {
	f := CampaignFigures{
		ProcessedLeads: c.ProcessedLeads, SentLeads: c.SentLeads, EmailsSent: c.Emails, Meetings: c.Meetings,
		AICost: c.AICostEUR.Decimal, Value: t.Value.Of(c),
	}
	row := PlanRow{
		CampaignID: c.ID, ProcessedLeads: f.ProcessedLeads, EmailsSent: f.EmailsSent, Meetings: f.Meetings,
		SendRate: AmountOf(f.SendRate()), Conversion: AmountOf(f.Conversion()),
		AICost: c.AICostEUR, AICostPerMeeting: AmountOf(f.AICostPerMeeting()),
	}
	if roi := f.ROI(); roi.Known {
		row.ROIPercent = &Amount{roi.Value.Mul(hundred)}
	}
	if c.Settings != nil {
		row.Name, f.Testing = c.Settings.Name, c.Settings.Testing
	}
	a := t.Targets.Assess(&f)
	row.Decision, row.Tier = a.Decision, a.Tier
	row.Class = planClass(&f, &a)
	row.Why = t.why(&f, &a)
	var model string
	if row.ModelClass, model = t.Models.Of(a.Tier); model != "" {
		row.Model = &model
	}
	return row
}

// planClass is the class of a campaign (design, "AI budget split").
func planClass(f *CampaignFigures, a *Assessment) PlanClass {
	switch {
	case f.Testing || a.Decision == NotEnoughData:
		return PlanTesting
	case a.Decision == DecideInvest:
		return PlanHighROI
	}
	return PlanStandard
}

// why says in words what the class of a campaign rests on.
func (t *PlanTerms) why(f *CampaignFigures, a *Assessment) string {
	if a.Decision == NotEnoughData {
		return fmt.Sprintf("Not enough data: %d of the %d leads that a verdict needs were processed, so it belongs to testing, with the cheapest models.", f.ProcessedLeads, t.Targets.MinLeads)
	}
	text := fmt.Sprintf("%s of %d leads were sent to, and %s of %d emails brought a meeting. %s",
		inPercent(f.SendRate()), f.ProcessedLeads, inPercent(f.Conversion()), f.EmailsSent, a.Advice)
	if f.Testing {
		text = "Flagged as a test. " + text
	}
	if a.Decision == DecideReduce {
		text += " It gets half of what its spending would give it."
	}
	return text
}

func inPercent(share Optional[decimal.Decimal]) string {
	if !share.Known {
		return "an unknown share"
	}
	return share.Value.Mul(hundred).Round(1).String() + " %"
}

// note says what of the plan as a whole a reader should know.
func (p *BudgetPlan) note() string {
	if len(p.Rows) == 0 {
		return fmt.Sprintf("Not enough data: no campaign made a call from %s to %s, so there is nothing to split.", p.From, p.To)
	}
	undecided := 0
	for i := range p.Rows {
		if p.Rows[i].Decision == NotEnoughData {
			undecided++
		}
	}
	switch undecided {
	case len(p.Rows):
		return "Not enough data: no campaign has the leads that a verdict needs. All of them share what is for testing; the rest stays in reserve."
	case 0:
		return ""
	}
	return fmt.Sprintf("Not enough data for a verdict on %d of %d campaigns: they share what is for testing.", undecided, len(p.Rows))
}
