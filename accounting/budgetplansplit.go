package accounting

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// PlanSplit is how many percent of the AI budget each class gets. They add up
// to 100. Its text is theirs in the order of the fields: 50/35/15.
type PlanSplit struct{ HighROI, Standard, Testing decimal.Decimal }

// DefaultPlanSplit is the strategy's ("Dynamic AI Budget Allocation").
func DefaultPlanSplit() PlanSplit {
	return PlanSplit{decimal.NewFromInt(50), decimal.NewFromInt(35), decimal.NewFromInt(15)}
}

// String is the form that [ParsePlanSplit] reads.
func (s PlanSplit) String() string {
	return fmt.Sprintf("%s/%s/%s", s.HighROI, s.Standard, s.Testing)
}

// MarshalText writes the form of [PlanSplit.String].
func (s PlanSplit) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what [PlanSplit.MarshalText] writes.
func (s *PlanSplit) UnmarshalText(text []byte) (err error) {
	*s, err = ParsePlanSplit(string(text))
	return err
}

// ParsePlanSplit reads three percentages that add up to 100, such as 50/35/15.
func ParsePlanSplit(s string) (PlanSplit, error) {
	var parts [3]decimal.Decimal
	fields := strings.Split(s, "/")
	ok := len(fields) == len(parts) && len(s) <= maxSplitText
	for i := 0; ok && i < len(parts); i++ {
		part := ParseCost(strings.TrimSpace(fields[i])) // a plain number of at least 0
		parts[i], ok = part.Value, part.Known
	}
	if !ok || !decimal.Sum(parts[0], parts[1:]...).Equal(hundred) {
		return PlanSplit{}, fmt.Errorf("%q is not a split such as 50/35/15: percent for high ROI, standard and testing, which add up to 100", s)
	}
	return PlanSplit{parts[0], parts[1], parts[2]}, nil
}

const maxSplitText = 60

// evenTenths is how many tenths of a class's share are divided evenly, so that
// a campaign that has just begun can spend something.
const evenTenths = 1

// candidate is a campaign that gets a part of a class's share.
type candidate struct {
	spent  decimal.Decimal // EUR, in the plan's days
	reduce bool            // the decision about it is to reduce AI
}

// splitShare divides a class's share, in whole cents, over its campaigns: nine
// tenths by what they have spent in the plan's days and one tenth evenly, all of
// it evenly where none has spent anything. One whose AI is to be reduced gets
// half of that; the other half goes to the others of the class in their
// proportion, or to nobody where there are none. The parts add up to what is
// split (largest remainder).
func splitShare(share decimal.Decimal, campaigns []candidate) (limits []decimal.Decimal) {
	n := decimal.NewFromInt(int64(len(campaigns)))
	var spent, reduced, others decimal.Decimal
	for _, c := range campaigns {
		spent = spent.Add(c.spent)
	}
	// The weights are whole multiples of what is due, so that nothing is rounded
	// before the end: (9 × own ÷ all + 1 ÷ n) × n × all.
	weights := make([]decimal.Decimal, len(campaigns), len(campaigns)+1)
	for i, c := range campaigns {
		weights[i] = decimal.NewFromInt(10 - evenTenths).Mul(n).Mul(c.spent).Add(decimal.NewFromInt(evenTenths).Mul(spent))
		if !spent.IsPositive() {
			weights[i] = decimal.NewFromInt(1)
		}
		if c.reduce {
			reduced = reduced.Add(weights[i])
		} else {
			others = others.Add(weights[i])
		}
	}
	two, kept := decimal.NewFromInt(2), decimal.Decimal{}
	for i, c := range campaigns {
		switch {
		case others.IsZero(): // nobody takes the other half
			kept = kept.Add(weights[i])
		case c.reduce:
			weights[i] = weights[i].Mul(others)
		default:
			weights[i] = weights[i].Mul(others.Mul(two).Add(reduced))
		}
	}
	parts := splitTo(planPlaces, share, append(weights, kept))
	return parts[:min(len(parts), len(campaigns))]
}

// classShares divides the amount, in whole cents, over the classes. What is due
// to a class without campaigns goes to the standard one; if that has none
// either, it is no part of any: money that no campaign has earned is not spent.
func classShares(amount decimal.Decimal, split PlanSplit, campaigns map[PlanClass]int) map[PlanClass]decimal.Decimal {
	classes := []PlanClass{PlanHighROI, PlanStandard, PlanTesting}
	parts := splitTo(planPlaces, amount, []decimal.Decimal{split.HighROI, split.Standard, split.Testing})
	shares := make(map[PlanClass]decimal.Decimal, len(classes))
	for i, class := range classes {
		to := class
		if campaigns[class] == 0 {
			to = PlanStandard
		}
		shares[to] = shares[to].Add(parts[i])
	}
	if campaigns[PlanStandard] == 0 {
		shares[PlanStandard] = decimal.Decimal{}
	}
	return shares
}

// setLimits gives every row its limit, and the classes their sums.
func (p *BudgetPlan) setLimits() {
	amount := p.Amount.Truncate(planPlaces)
	rows := map[PlanClass][]*PlanRow{}
	counts := map[PlanClass]int{}
	for i := range p.Rows {
		class := p.Rows[i].Class
		rows[class] = append(rows[class], &p.Rows[i])
		counts[class]++
	}
	shares := classShares(amount, p.Split, counts)
	for _, c := range []PlanClassRow{
		{Class: PlanHighROI, Percent: Amount{p.Split.HighROI}}, {Class: PlanStandard, Percent: Amount{p.Split.Standard}}, {Class: PlanTesting, Percent: Amount{p.Split.Testing}},
	} {
		candidates := make([]candidate, counts[c.Class])
		for i, row := range rows[c.Class] {
			candidates[i] = candidate{row.AICost.Decimal, row.Decision == DecideReduce}
		}
		limits := splitShare(shares[c.Class], candidates)
		c.Share, c.Campaigns = Amount{shares[c.Class]}, counts[c.Class]
		for i, row := range rows[c.Class] {
			row.Limit = Amount{limits[i]}
			c.Allocated = Amount{c.Allocated.Add(limits[i])}
		}
		p.Allocated = Amount{p.Allocated.Add(c.Allocated.Decimal)}
		p.Classes = append(p.Classes, c)
	}
	p.Reserve = Amount{p.Amount.Sub(p.Allocated.Decimal)}
	order := map[PlanClass]int{PlanHighROI: 0, PlanStandard: 1, PlanTesting: 2}
	slices.SortStableFunc(p.Rows, func(a, b PlanRow) int {
		return cmp.Or(cmp.Compare(order[a.Class], order[b.Class]), b.Limit.Cmp(a.Limit.Decimal), cmp.Compare(a.CampaignID, b.CampaignID))
	})
}
