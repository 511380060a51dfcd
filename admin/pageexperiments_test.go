package admin

import (
	"testing"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestThePageOfAnExperimentTellsItsVerdictAndWhatCanBeDone(t *testing.T) {
	f := &fakeExperiments{sums: []accounting.ArmSums{
		{Arm: 0, Leads: 4000, Sent: 3600, Converted: 400, Meetings: 410, Calls: 8000, CostUSD: money("100").Decimal, CostEUR: money("92").Decimal},
		{Arm: 1, Leads: 4000, Sent: 3600, Converted: 100, Meetings: 100, Calls: 8000, CostUSD: money("10").Decimal, CostEUR: money("9.2").Decimal},
		{Arm: 2, Leads: 4000, Sent: 3600, Converted: 410, Meetings: 410},
	}}
	h := experimentHandler(t, f)
	require.Contains(t, spaced(pageOf(t, h, "/experiments")), "There is no experiment. Draft one below")
	ask(t, h, "POST", "/api/experiments", lessAIBody, 201)
	require.Contains(t, pageOf(t, h, "/experiments/less-ai"), `data-api="POST /api/experiments/less-ai/start"`)
	ask(t, h, "POST", "/api/experiments/less-ai/start", "", 200)
	body := pageOf(t, h, "/experiments/less-ai")
	require.Contains(t, body, `data-api="POST /api/experiments/less-ai/rollback"`)
	require.NotContains(t, body, `/start"`)
	seen := spaced(body)
	data := ask(t, h, "GET", "/api/experiments/less-ai", "", 200)
	require.Contains(t, seen, data["headline"])
	for _, comparison := range data["comparisons"].([]any) {
		require.Contains(t, seen, comparison.(map[string]any)["headline"])
	}
	require.Contains(t, seen, "control as asked 4 000 3 600")
	require.Contains(t, seen, "10 %")
	require.Contains(t, body, ": 10 %, 95 % interval 9.1 to 11 %", "the chart is of percent, as the table")
	require.Contains(t, seen, "€0.023")
	require.Contains(t, spaced(pageOf(t, h, "/experiments")), "Less AI running")
}

func TestThePageOfThePlanSaysWhatEachCampaignWouldGetAndWhy(t *testing.T) {
	f := &fakePlans{}
	h := newPlanHandler(t, f)
	body := pageOf(t, h, "/budgets/plan?amount=120.50")
	require.Equal(t, "120.5", f.asked[0].Amount.Value.String())
	seen := spaced(body)
	require.Contains(t, seen, "high ROI")
	require.Contains(t, seen, "95 % of 100 leads")
	require.Contains(t, seen, "anthropic/claude-opus-4.6")
	require.Contains(t, seen, "Plan 7 is in force")
	require.Contains(t, body, `data-api="POST /api/budget-plan/rollback"`)
	require.Contains(t, body, `name="amount" data-json="number" value="120.50"`, "what is applied is what was shown")
	require.Equal(t, "amount", problemIn(t, get(h, "/budgets/plan?amount=-1"), 422).Errors[0].Field)
	f.empty = true
	require.Contains(t, spaced(pageOf(t, h, "/budgets/plan")), "No campaign has figures to plan by yet")
}

func TestRulesCanBeSwitchedWithoutLosingWhatTheySay(t *testing.T) {
	f := &fakeRules{}
	h := rulesHandler(t, f)
	ask(t, h, "POST", "/api/alert-rules", `{"name":"Send rate","figure":"send_rate","scope":{"platform":"heyreach"},"comparison":"below","threshold":0.7}`, 201)
	body := pageOf(t, h, "/rules")
	require.Contains(t, spaced(body), "send rate below 0.7 platform heyreach warning 24 h on")
	require.Contains(t, body, `data-api="DELETE /api/alert-rules/send-rate"`)
	require.NotContains(t, body, `data-api="DELETE /api/alert-rules/waste"`, "a built-in rule cannot be deleted")
	require.Contains(t, body, `<input type="hidden" name="threshold" data-json="number" value="0.7">`)
	require.Contains(t, body, `<input type="hidden" name="scope.platform" value="heyreach">`)
}
