package accounting_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bursar/accounting"
)

var planNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func planTerms(amount string) *accounting.PlanTerms {
	month := accounting.MonthOf(planNow)
	from, to := accounting.PlanWindow(month, planNow)
	return &accounting.PlanTerms{
		Month: month, From: from, To: to, Amount: decimal.RequireFromString(amount),
		Split: accounting.DefaultPlanSplit(), Step: decimal.NewFromInt(20), Targets: accounting.DefaultTargets(),
		Models: accounting.PlanModels{Premium: "opus", Standard: "sonnet", Efficiency: "haiku"},
	}
}

// campaignOf has spent some EUR on leads of which a number of percent were sent
// to, one email each, and brought meetings.
func campaignOf(id, spent string, leads, sentPercent, meetings int64) accounting.CampaignSums {
	sent := leads * sentPercent / 100
	return accounting.CampaignSums{
		ID: id, AICostEUR: accounting.Amount{Decimal: decimal.RequireFromString(spent)}, Calls: max(leads, 1),
		ProcessedLeads: leads, SentLeads: sent, Emails: sent, Meetings: meetings,
	}
}

func rowOf(t *testing.T, p *accounting.BudgetPlan, id string) *accounting.PlanRow {
	t.Helper()
	for i := range p.Rows {
		if p.Rows[i].CampaignID == id {
			return &p.Rows[i]
		}
	}
	require.Fail(t, "no row", id)
	return nil
}

func TestAPlanSplitsTheBudgetByClassAndWithinAClassBySpending(t *testing.T) {
	testing := campaignOf("test", "9", 100, 95, 10)
	testing.Settings = &accounting.CampaignSettings{ID: "test", Testing: true}
	p := accounting.MakeBudgetPlan(planTerms("100"), []accounting.CampaignSums{
		campaignOf("", "7", 0, 0, 0),
		campaignOf("star", "30", 100, 95, 10),
		campaignOf("good", "10", 200, 85, 20),
		campaignOf("target", "20", 100, 85, 1),
		campaignOf("waste", "20", 100, 40, 1),
		campaignOf("new", "1", 29, 100, 5),
		testing,
	})
	limits := map[string]string{}
	for _, r := range p.Rows {
		limits[r.CampaignID] = r.Limit.String()
	}
	assert.Equal(t, map[string]string{
		// 50 × (0.9 × 30 ÷ 40 + 0.1 ÷ 2)
		"star": "36.25", "good": "13.75",
		// 17.5 each by spending; half of one goes to the other
		"target": "26.25", "waste": "8.75",
		// 15 × (0.9 × 9 ÷ 10 + 0.1 ÷ 2)
		"test": "12.9", "new": "2.1",
	}, limits)
	assert.Equal(t, "100", p.Allocated.String())
	assert.Equal(t, "0", p.Reserve.String())
	assert.Equal(t, "7", p.Untagged.String())
	assert.Equal(t, "Not enough data for a verdict on 1 of 6 campaigns: they share what is for testing.", p.Note)
	assert.Equal(t, "star", p.Rows[0].CampaignID, "the largest of the best class first")

	star, fresh, waste := rowOf(t, &p, "star"), rowOf(t, &p, "new"), rowOf(t, &p, "waste")
	assert.Equal(t, []any{accounting.PlanHighROI, accounting.DecideInvest, accounting.ModelClassPremium, "opus"}, []any{star.Class, star.Decision, star.ModelClass, *star.Model})
	assert.Contains(t, star.Why, "95 % of 100 leads were sent to, and 10.5 % of 95 emails brought a meeting.")
	assert.Equal(t, accounting.ModelClassStandard, rowOf(t, &p, "good").ModelClass, "85 % sent is no premium tier")
	assert.Contains(t, fresh.Why, "Not enough data: 29 of the 30 leads")
	assert.Equal(t, "haiku", *fresh.Model)
	assert.Contains(t, waste.Why, "half of what its spending would give it")
	assert.Equal(t, accounting.ModelClassNone, waste.ModelClass)
	assert.Nil(t, waste.Model)
	assert.Contains(t, rowOf(t, &p, "test").Why, "Flagged as a test.")
	assert.Equal(t, []string{"50", "35", "15"}, []string{p.Classes[0].Share.String(), p.Classes[1].Share.String(), p.Classes[2].Share.String()})
}

func TestWhatIsDueToAnEmptyClassGoesToTheStandardOneOrNowhere(t *testing.T) {
	star, plain, fresh := campaignOf("star", "1", 100, 95, 10), campaignOf("plain", "1", 100, 85, 1), campaignOf("new", "1", 5, 100, 0)
	for name, c := range map[string]struct {
		campaigns           []accounting.CampaignSums
		allocated, reserved string
	}{
		"all":           {[]accounting.CampaignSums{star, plain, fresh}, "77", "0"},
		"no standard":   {[]accounting.CampaignSums{star, fresh}, "50.05", "26.95"},
		"only standard": {[]accounting.CampaignSums{plain}, "77", "0"},
		"only testing":  {[]accounting.CampaignSums{fresh}, "11.55", "65.45"},
		"nobody":        {nil, "0", "77"},
		"to be reduced": {[]accounting.CampaignSums{campaignOf("waste", "1", 100, 10, 0)}, "38.5", "38.5"},
	} {
		p := accounting.MakeBudgetPlan(planTerms("77"), c.campaigns)
		assert.Equal(t, []string{c.allocated, c.reserved}, []string{p.Allocated.String(), p.Reserve.String()}, name)
	}
	p := accounting.MakeBudgetPlan(planTerms("77"), nil)
	assert.Contains(t, p.Note, "no campaign made a call from 2026-10-23 to 2026-11-21")
}

func TestACampaignTakesPartIfItRunsOrIsAboutTo(t *testing.T) {
	told := func(id string, at time.Time) accounting.CampaignSums {
		return accounting.CampaignSums{ID: id, Settings: &accounting.CampaignSettings{ID: id, UpdatedAt: at}}
	}
	var many []accounting.CampaignSums
	for i := range accounting.MaxPlanCampaigns - 1 {
		many = append(many, campaignOf(fmt.Sprint("c", i), "1", 1, 100, 0))
	}
	many = append(many, told("announced", planNow.AddDate(0, 0, -3)), told("over", planNow.AddDate(0, -2, 0)), campaignOf("late", "0.5", 1, 100, 0))
	p := accounting.MakeBudgetPlan(planTerms("7700"), many)
	require.Len(t, p.Rows, accounting.MaxPlanCampaigns)
	assert.Equal(t, 1, p.LeftOut)
	assert.True(t, rowOf(t, &p, "announced").Limit.IsPositive(), "a tenth is divided evenly")
}

func TestLimitsAddUpToTheAmountWhateverTheCampaigns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cents := rapid.Int64Range(0, 1e9).Draw(t, "cents")
		terms := planTerms("0")
		terms.Amount = decimal.New(cents, -2)
		high := rapid.Int64Range(0, 100).Draw(t, "high")
		standard := rapid.Int64Range(0, 100-high).Draw(t, "standard")
		terms.Split = accounting.PlanSplit{HighROI: decimal.NewFromInt(high), Standard: decimal.NewFromInt(standard), Testing: decimal.NewFromInt(100 - high - standard)}
		var campaigns []accounting.CampaignSums
		for i := range rapid.IntRange(0, 30).Draw(t, "campaigns") {
			spent := decimal.New(rapid.Int64Range(0, 1e12).Draw(t, "spent"), -8)
			campaigns = append(campaigns, campaignOf(fmt.Sprint(i), spent.String(), rapid.Int64Range(0, 100).Draw(t, "leads"),
				rapid.SampledFrom([]int64{10, 60, 85, 100}).Draw(t, "sent"), rapid.Int64Range(0, 20).Draw(t, "meetings")))
		}
		p := accounting.MakeBudgetPlan(terms, campaigns)
		sum, standards, keeps := decimal.Decimal{}, 0, false
		for _, r := range p.Rows {
			if !r.Limit.Equal(r.Limit.Truncate(2)) || r.Limit.IsNegative() {
				t.Fatalf("%s gets %s", r.CampaignID, r.Limit)
			}
			sum = sum.Add(r.Limit.Decimal)
			if r.Class == accounting.PlanStandard {
				standards++
				keeps = keeps || r.Decision != accounting.DecideReduce
			}
		}
		if !sum.Equal(p.Allocated.Decimal) || !sum.Add(p.Reserve.Decimal).Equal(terms.Amount) || p.Reserve.IsNegative() {
			t.Fatalf("%s and %s of %s", sum, p.Reserve, terms.Amount)
		}
		if standards > 0 && keeps && !p.Reserve.IsZero() {
			for _, r := range p.Rows { // only a class that is all to be reduced keeps something back
				if r.Decision == accounting.DecideReduce {
					return
				}
			}
			t.Fatalf("%s stay in reserve", p.Reserve)
		}
	})
}

func TestACampaignWhoseAIIsReducedNeverGetsMoreThanHalfOfItsDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spent := func() string { return decimal.New(rapid.Int64Range(1, 1e9).Draw(t, "spent"), -4).String() }
		campaigns := []accounting.CampaignSums{campaignOf("waste", spent(), 100, 10, 1)}
		for i := range rapid.IntRange(0, 10).Draw(t, "others") {
			campaigns = append(campaigns, campaignOf(fmt.Sprint(i), spent(), 100, 60, 1))
		}
		limit := func() decimal.Decimal {
			p := accounting.MakeBudgetPlan(planTerms("1000"), campaigns)
			for _, r := range p.Rows {
				if r.CampaignID == "waste" {
					return r.Limit.Decimal
				}
			}
			return decimal.Decimal{}
		}
		reduced := limit()
		campaigns[0].SentLeads, campaigns[0].Emails = 60, 60
		due := limit()
		if reduced.Mul(decimal.NewFromInt(2)).Sub(due).Abs().GreaterThan(decimal.New(2, -2)) {
			t.Fatalf("%s instead of half of %s", reduced, due)
		}
	})
}

func TestASplitIsThreeNumbersThatAddUpToAHundred(t *testing.T) {
	s, err := accounting.ParsePlanSplit(" 60 / 27.5/12.5")
	require.NoError(t, err)
	assert.Equal(t, "60/27.5/12.5", s.String())
	for _, bad := range []string{"", "50/35", "50/35/15/0", "50/35/16", "110/-20/10", "a/b/c", "1e2/0/0x", "NaN/50/50"} {
		_, err := accounting.ParsePlanSplit(bad)
		assert.ErrorContains(t, err, "such as 50/35/15", bad)
	}
}

func TestThePlanOfAPastMonthIsMadeAsOnItsFirstDay(t *testing.T) {
	from, to := accounting.PlanWindow(accounting.Month{Year: 2026, Month: 9}, planNow)
	assert.Equal(t, []string{"2026-08-02", "2026-08-31"}, []string{from.String(), to.String()})
	from, to = accounting.PlanWindow(accounting.Month{Year: 2026, Month: 12}, planNow)
	assert.Equal(t, []string{"2026-10-23", "2026-11-21"}, []string{from.String(), to.String()})

	told := accounting.CampaignSums{ID: "new", Settings: &accounting.CampaignSettings{ID: "new", UpdatedAt: planNow}}
	terms := planTerms("77")
	p := accounting.MakeBudgetPlan(terms, []accounting.CampaignSums{told})
	assert.Len(t, p.Rows, 1, "it is about to run")
	terms.From, terms.To = accounting.PlanWindow(accounting.Month{Year: 2026, Month: 9}, planNow)
	p = accounting.MakeBudgetPlan(terms, []accounting.CampaignSums{told})
	assert.Empty(t, p.Rows, "nobody knew of it then")
}
