package accounting_test

import (
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bursar/accounting"
)

func TestALimitMovesByAFifthOfItselfADayUntilItArrives(t *testing.T) {
	d := decimal.RequireFromString
	for _, c := range []struct {
		limit, target, percent string
		want                   []string
	}{
		{"10", "5", "20", []string{"8", "6.4", "5.12", "5", "5"}},
		{"10", "13", "20", []string{"12", "13"}},
		{"0.03", "0.01", "20", []string{"0.02", "0.01"}},
		{"0", "10", "50", []string{"5", "7.5", "10"}},
		{"1", "0", "100", []string{"0", "0"}},
	} {
		limit := d(c.limit)
		for _, want := range c.want {
			limit = accounting.StepLimit(limit, d(c.target), d(c.percent))
			assert.Equal(t, want, limit.String(), c)
		}
	}
}

func TestStepsNeverPassTheirLimitAndArrive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cents := rapid.Int64Range(0, 1e8)
		limit, target := decimal.New(cents.Draw(t, "limit"), -2), decimal.New(cents.Draw(t, "target"), -2)
		percent := decimal.NewFromInt(rapid.Int64Range(accounting.MinPlanStep, accounting.MaxPlanStep).Draw(t, "percent"))
		for days := 0; !limit.Equal(target); days++ {
			next := accounting.StepLimit(limit, target, percent)
			way, base := next.Sub(limit), limit
			if base.IsZero() {
				base = target
			}
			if most := base.Mul(percent).Shift(-2); way.Abs().GreaterThan(decimal.Max(most, decimal.New(1, -2))) {
				t.Fatalf("%s → %s is more than %s %%", limit, next, percent)
			}
			if way.IsZero() || way.Sign() != target.Sub(limit).Sign() || target.Sub(next).Sign() == -way.Sign() {
				t.Fatalf("%s → %s is not on the way to %s", limit, next, target)
			}
			if limit = next; days > 3000 {
				t.Fatalf("%s is not reached", target)
			}
		}
	})
}

func planned(campaign, limit string) accounting.PlanBudget {
	return accounting.PlanBudget{ID: "plan-" + campaign, CampaignID: campaign, Limit: accounting.Amount{Decimal: decimal.RequireFromString(limit)},
		Currency: accounting.EUR, Period: accounting.PeriodMonth, Mode: accounting.ModeSoft, Planned: true}
}

func TestAPlanSaysWhatBecomesOfEachBudget(t *testing.T) {
	// All are standard with the same spending, so each gets 20.
	p := accounting.MakeBudgetPlan(planTerms("100"), []accounting.CampaignSums{
		campaignOf("a", "10", 100, 85, 1), campaignOf("b", "10", 100, 85, 1), campaignOf("c", "10", 100, 85, 1),
		campaignOf("d", "10", 100, 85, 1), campaignOf("e", "10", 100, 85, 1),
	})
	person := planned("e", "3")
	person.ID, person.Planned = "by-hand", false
	p.Meet([]accounting.PlanBudget{planned("b", "10"), planned("c", "30"), planned("d", "20"), person, planned("e", "5"), planned("gone", "4")})
	for id, want := range map[string]struct {
		action        accounting.PlanAction
		first, change string
		days          int
	}{
		"a": {accounting.PlanMakes, "20", "", 0},
		"b": {accounting.PlanRaises, "12", "100", 3},
		"c": {accounting.PlanLowers, "24", "-33.3", 1},
		"d": {accounting.PlanKeeps, "20", "0", 0},
	} {
		row := rowOf(t, &p, id)
		require.NotNil(t, row.FirstStep, id)
		assert.Equal(t, want.action, row.Action, id)
		assert.Equal(t, want.first, row.FirstStep.String(), id)
		assert.Equal(t, want.days, *row.Days, id)
		if want.change == "" {
			assert.Nil(t, row.ChangePercent, id)
		} else {
			assert.Equal(t, want.change, row.ChangePercent.String(), id)
		}
	}
	e := rowOf(t, &p, "e")
	assert.Equal(t, accounting.PlanConflict, e.Action)
	assert.Equal(t, "by-hand", e.Budget.ID)
	assert.Nil(t, e.FirstStep)
	var removed []string
	for _, b := range p.Removed {
		removed = append(removed, b.ID)
	}
	assert.Equal(t, []string{"plan-e", "plan-gone"}, removed)

	p.Meet(nil)
	assert.Empty(t, p.Removed)
	assert.Equal(t, accounting.PlanMakes, rowOf(t, &p, "e").Action)
}

func TestACampaignWhosePlannedBudgetAPersonHasDeletedGetsNoneUntilItIsNamed(t *testing.T) {
	terms := planTerms("100")
	campaigns := []accounting.CampaignSums{campaignOf("a", "10", 100, 85, 1), campaignOf("b", "10", 100, 85, 1), campaignOf("c", "10", 100, 85, 1)}
	deleted := func(campaign string) accounting.PlanBudget {
		b := planned(campaign, "5")
		b.Planned, b.Deleted = false, true
		return b
	}
	own := planned("b", "3")
	own.ID, own.Planned = "by-hand", false
	budgets := []accounting.PlanBudget{deleted("a"), deleted("b"), own, deleted("gone")}
	p := accounting.MakeBudgetPlan(terms, campaigns)
	p.Meet(budgets)
	a := rowOf(t, &p, "a")
	assert.Equal(t, accounting.PlanDeclined, a.Action)
	assert.Nil(t, a.Budget)
	assert.Nil(t, a.FirstStep)
	assert.Nil(t, a.Days)
	assert.Equal(t, "33.34", a.Limit.String(), "its share is not given to others")
	assert.Equal(t, accounting.PlanConflict, rowOf(t, &p, "b").Action, "a person's own budget says more")
	assert.Equal(t, accounting.PlanMakes, rowOf(t, &p, "c").Action)
	assert.Empty(t, p.Removed, "there is nothing to remove")

	terms.Again = []string{"a", "b", "unknown"}
	p = accounting.MakeBudgetPlan(terms, campaigns)
	p.Meet(budgets)
	assert.Equal(t, accounting.PlanMakes, rowOf(t, &p, "a").Action)
	assert.Equal(t, accounting.PlanConflict, rowOf(t, &p, "b").Action)
}

func TestANewLimitBelowWhatIsSpentIsReachedInSteps(t *testing.T) {
	p := accounting.MakeBudgetPlan(planTerms("10"), []accounting.CampaignSums{campaignOf("a", "20.001", 100, 85, 1)})
	p.Meet(nil)
	row := rowOf(t, &p, "a")
	assert.Equal(t, "10", row.Limit.String())
	assert.Equal(t, "16.01", row.FirstStep.String(), "20.01, which it spent in 30 days, less a fifth of it")
	assert.Equal(t, 3, *row.Days)
}
