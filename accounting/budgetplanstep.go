package accounting

import (
	"slices"

	"github.com/shopspring/decimal"
)

// StepLimit is where a limit is a day later on its way to target: it moves by
// percent of itself at most (from 0, of the target), and by a cent at least, so
// that it arrives. All are in whole cents.
func StepLimit(limit, target, percent decimal.Decimal) decimal.Decimal {
	base := limit
	if !base.IsPositive() {
		base = target
	}
	most := decimal.Max(decimal.New(1, -planPlaces), base.Mul(percent).Shift(-2).Truncate(planPlaces))
	way := target.Sub(limit)
	switch {
	case way.Abs().LessThanOrEqual(most):
		return target
	case way.IsNegative():
		return limit.Sub(most)
	}
	return limit.Add(most)
}

// firstLimit is the limit of a campaign that had none: the target, unless it
// has spent more than that. Then it is a step down from what it spent.
func firstLimit(spent, target, percent decimal.Decimal) decimal.Decimal {
	if spent = spent.RoundUp(planPlaces); target.GreaterThanOrEqual(spent) {
		return target
	}
	return StepLimit(spent, target, percent)
}

// stepsFrom counts the days from limit to target.
func stepsFrom(limit, target, percent decimal.Decimal) (days int) {
	for ; !limit.Equal(target); days++ {
		limit = StepLimit(limit, target, percent)
	}
	return days
}

// Meet compares the plan with the budgets of single campaigns that there are,
// of which those of people count only as long as they are in force: it says what
// becomes of each campaign's budget, and which are removed. A campaign whose
// planned budget a person has deleted gets none, unless it is among those of
// Again. It may be called again with others.
func (p *BudgetPlan) Meet(budgets []PlanBudget) {
	planned, own, declined := map[string]*PlanBudget{}, map[string]*PlanBudget{}, map[string]bool{}
	for i := range budgets {
		b := &budgets[i]
		switch {
		case b.Deleted:
			declined[b.CampaignID] = !slices.Contains(p.Again, b.CampaignID)
		case b.Planned:
			planned[b.CampaignID] = b
		case own[b.CampaignID] == nil:
			own[b.CampaignID] = b
		}
	}
	stays := map[string]bool{}
	for i := range p.Rows {
		row := &p.Rows[i]
		if b := own[row.CampaignID]; b != nil {
			row.conflict(b)
			continue
		}
		if declined[row.CampaignID] {
			row.decline()
			continue
		}
		stays[row.CampaignID] = true
		row.meet(planned[row.CampaignID], p.StepPercent.Decimal)
	}
	p.Removed = []PlanBudget{}
	for i := range budgets {
		if budgets[i].Planned && !stays[budgets[i].CampaignID] {
			p.Removed = append(p.Removed, budgets[i])
		}
	}
}

// conflict leaves the campaign to the budget of a person.
func (r *PlanRow) conflict(b *PlanBudget) {
	r.Budget, r.Action, r.FirstStep, r.Days = b, PlanConflict, nil, nil
	r.ChangePercent = nil
	if b.Currency == EUR && b.Period == PeriodMonth {
		r.ChangePercent = change(b.Limit.Decimal, r.Limit.Decimal)
	}
}

// decline leaves the campaign without a budget, since a person did not want it.
func (r *PlanRow) decline() {
	r.Budget, r.Action, r.FirstStep, r.Days, r.ChangePercent = nil, PlanDeclined, nil, nil, nil
}

// meet moves the campaign's planned budget, or makes one.
func (r *PlanRow) meet(b *PlanBudget, percent decimal.Decimal) {
	r.Budget, r.Action, r.ChangePercent = b, PlanMakes, nil
	first := firstLimit(r.AICost.Decimal, r.Limit.Decimal, percent)
	if b != nil {
		if first = b.Limit.Decimal; !b.MovedToday {
			first = StepLimit(b.Limit.Decimal, r.Limit.Decimal, percent)
		}
		r.ChangePercent = change(b.Limit.Decimal, r.Limit.Decimal)
		switch b.Limit.Cmp(r.Limit.Decimal) {
		case -1:
			r.Action = PlanRaises
		case 0:
			r.Action = PlanKeeps
		case 1:
			r.Action = PlanLowers
		}
	}
	days := stepsFrom(first, r.Limit.Decimal, percent)
	r.FirstStep, r.Days = &Amount{first}, &days
}

// change is how many percent the way is from one limit to another, with one
// decimal; nil: the first one is 0.
func change(from, to decimal.Decimal) *Amount {
	share := Quotient(to.Sub(from).Mul(hundred), from)
	if share.Known {
		share.Value = share.Value.Round(1)
	}
	return AmountOf(share)
}
