package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakePlans plans one campaign and remembers what it was asked.
type fakePlans struct {
	asked    []accounting.PlanRequest
	applied  []accounting.PlanApplication
	undone   []string
	listed   string
	empty    bool // no campaign takes part
	deleted  bool // a person has deleted the campaign's budget
	noBudget bool
	err      error // of everything that writes
	known    bool  // every plan was applied before
}

func (f *fakePlans) MakePlan(_ context.Context, r accounting.PlanRequest, now time.Time) (accounting.BudgetPlan, error) {
	f.asked = append(f.asked, r)
	if f.noBudget && !r.Amount.Known {
		return accounting.BudgetPlan{}, fmt.Errorf("find budget: %w", accounting.ErrUnknownBudget)
	}
	terms := accounting.PlanTerms{
		Month: r.Month, Amount: r.Amount.Or(accounting.Some(decimal.NewFromInt(77))).Value, Split: r.Split.Or(accounting.Some(accounting.DefaultPlanSplit())).Value,
		Step: r.Step.Or(accounting.Some(decimal.NewFromInt(20))).Value, Targets: accounting.DefaultTargets(), Models: accounting.PlanModels{Premium: "anthropic/claude-opus-4.6"}, Again: r.Again,
	}
	terms.From, terms.To = accounting.PlanWindow(r.Month, now)
	var sums []accounting.CampaignSums
	if !f.empty {
		sums = []accounting.CampaignSums{{ID: "q4", Calls: 9, AICostEUR: accounting.Amount{Decimal: decimal.NewFromInt(60)}, ProcessedLeads: 100, SentLeads: 95, Emails: 100, Meetings: 10}}
	}
	p := accounting.MakeBudgetPlan(&terms, sums)
	p.Meet([]accounting.PlanBudget{{ID: "plan-q4", CampaignID: "q4", Limit: accounting.Amount{Decimal: decimal.NewFromInt(50)}, Currency: accounting.EUR,
		Period: accounting.PeriodMonth, Mode: accounting.ModeSoft, Planned: !f.deleted, Deleted: f.deleted}})
	return p, nil
}

func (f *fakePlans) ApplyBudgetPlan(_ context.Context, p accounting.BudgetPlan, a accounting.PlanApplication, now time.Time) (accounting.AppliedPlan, bool, error) {
	f.applied = append(f.applied, a)
	return accounting.AppliedPlan{ID: 7, Month: p.Month, Split: p.Split, CreatedAt: now, Items: []accounting.PlanItem{}}, !f.known, f.err
}

func (f *fakePlans) RollBackBudgetPlan(_ context.Context, id int64, actor, reason string, _ time.Time) (accounting.PlanUndo, error) {
	f.undone = append(f.undone, fmt.Sprintf("%d by %s: %s", id, actor, reason))
	return accounting.PlanUndo{Restored: []accounting.PlanRestored{}}, f.err
}

func (f *fakePlans) ListBudgetPlans(_ context.Context, limit int, cursor string) (accounting.PlanPage, error) {
	f.listed = fmt.Sprintf("%d %s", limit, cursor)
	if cursor == "bad" {
		return accounting.PlanPage{}, accounting.ErrBadCursor
	}
	return accounting.PlanPage{Plans: []accounting.AppliedPlan{{ID: 7}}, NextCursor: "next"}, f.err
}

func newPlanHandler(t *testing.T, f *fakePlans) *Handler {
	t.Helper()
	return newEconomicsHandler(t, &fakeEconomics{}, func(o *EconomicsOptions) { o.Plans = &PlanOptions{Planner: f, Plans: f} })
}

func TestThePlanSaysWhatEachCampaignGetsAndWhy(t *testing.T) {
	f := &fakePlans{}
	plan := ask(t, newPlanHandler(t, f), "GET", "/api/budget-plan", "", 200)
	require.Equal(t, []any{"2026-11", "50/35/15", json.Number("77")}, []any{plan["month"], plan["split"], plan["amount"]})
	require.Equal(t, json.Number("38.5"), plan["allocated"])
	require.Equal(t, json.Number("38.5"), plan["reserve"], "there is no standard campaign")
	row := plan["campaigns"].([]any)[0].(map[string]any)
	require.Equal(t, []any{"q4", "high_roi", "invest_more", json.Number("38.5"), "premium", "anthropic/claude-opus-4.6", "lower", json.Number("40"), json.Number("-23")},
		[]any{row["campaign_id"], row["class"], row["decision"], row["suggested_limit"], row["suggested_model_class"], row["suggested_model"], row["action"], row["first_step"], row["change_percent"]})
	require.Equal(t, "plan-q4", row["budget"].(map[string]any)["id"])
	require.Contains(t, row["why"], "95 % of 100 leads")

	ask(t, newPlanHandler(t, f), "GET", "/api/budget-plan?month=2026-12&amount=120.50&split=60/30/10&step_percent=12.5", "", 200)
	last := f.asked[len(f.asked)-1]
	require.Equal(t, []string{"2026-12", "120.5", "60/30/10", "12.5"}, []string{last.Month.String(), last.Amount.Value.String(), last.Split.Value.String(), last.Step.Value.String()})
	f.empty = true
	plan = ask(t, newPlanHandler(t, f), "GET", "/api/budget-plan", "", 200)
	require.Contains(t, plan["note"], "Not enough data")
	require.Empty(t, plan["campaigns"])
}

func TestBadPlansAreNamedWithTheWayOut(t *testing.T) {
	f := &fakePlans{}
	h := newPlanHandler(t, f)
	for query, field := range map[string]string{
		"?month=2027-01": "month", "?month=0000-01": "month", "?month=1998-12": "month", "?month=november": "month", "?amount=0": "amount", "?amount=-5": "amount", "?amount=9000001": "amount", "?amount=1e400": "amount",
		"?split=50/35/16": "split", "?split=50/50": "split", "?step_percent=0": "step_percent", "?step_percent=1001": "step_percent", "?step=5": "step",
		"?amount=5&amount=6": "amount",
	} {
		out := ask(t, h, "GET", "/api/budget-plan"+query, "", 422)
		wrong := out["errors"].([]any)[0].(map[string]any)
		require.Equal(t, field, wrong["field"], query)
		require.NotEmpty(t, wrong["message"], query)
	}
	for body, field := range map[string]string{
		`{"amount":0}`: "amount", `{"amount":1e200}`: "amount", `{"split":"a"}`: "split", `{"step_percent":0.1}`: "step_percent", `{"mode":"firm"}`: "mode",
		`{"id":" x"}`: "id", `{"reason":"it is sk-or-v1-0123456789"}`: "reason", `{"month":"2026-11"}`: "month", `{"dry_run":1}`: "dry_run",
		`{"again":["q4",""]}`: "again[1]", `{"again":"q4"}`: "again",
	} {
		out, _ := json.Marshal(ask(t, h, "POST", "/api/budget-plan/apply", body, 422)["errors"])
		require.Contains(t, string(out), `"field":"`+field+`"`, body)
		require.NotContains(t, string(out), "sk-or", "a secret is not repeated")
	}
	ask(t, h, "POST", "/api/budget-plan/apply?dryrun=true", `{}`, 422)
	ask(t, h, "POST", "/api/budget-plan/apply", `{"id":"`+strings.Repeat("x", maxBudgetBytes)+`"}`, 413)
	ask(t, h, "POST", "/api/budget-plan/rollback", `{"plan":0}`, 422)
	ask(t, h, "GET", "/api/budget-plans?limit=101", "", 422)
	ask(t, h, "GET", "/api/budget-plans?cursor=bad", "", 422)
	require.Empty(t, f.applied)
	require.Empty(t, f.undone)

	f.noBudget = true
	out, _ := json.Marshal(ask(t, h, "GET", "/api/budget-plan", "", 422))
	require.Contains(t, string(out), "the budget monthly-ai, whose limit it would be, was deleted")
	ask(t, h, "GET", "/api/budget-plan?amount=5", "", 200)
}

func TestAPlanIsAppliedAsItIsAskedFor(t *testing.T) {
	f := &fakePlans{}
	h := newPlanHandler(t, f)
	data := ask(t, h, "POST", "/api/budget-plan/apply", "", 200)
	require.Equal(t, true, data["made"])
	require.Equal(t, json.Number("7"), data["applied"].(map[string]any)["id"])
	require.Equal(t, accounting.PlanApplication{Mode: accounting.ModeSoft, Actor: "loopback"}, f.applied[0])
	ask(t, h, "POST", "/api/budget-plan/apply", `{"id":"nov","amount":50,"split":"100/0/0","step_percent":5,"mode":"hard","reason":"try it"}`, 200)
	require.Equal(t, accounting.PlanApplication{ID: "nov", Mode: accounting.ModeHard, Actor: "loopback", Reason: "try it"}, f.applied[1])
	require.Equal(t, "50", f.asked[1].Amount.Value.String())

	for _, request := range [][2]string{{"?dry_run=true", ""}, {"", `{"dry_run":true}`}, {"?dry_run=true", `{"mode":"hard"}`}} {
		data = ask(t, h, "POST", "/api/budget-plan/apply"+request[0], request[1], 200)
		require.Equal(t, []any{true, false, nil}, []any{data["dry_run"], data["made"], data["applied"]})
		require.NotEmpty(t, data["plan"].(map[string]any)["campaigns"])
	}
	require.Len(t, f.applied, 2)
	f.known = true
	require.Equal(t, false, ask(t, h, "POST", "/api/budget-plan/apply", `{"id":"nov"}`, 200)["made"])
	f.empty = true
	require.Contains(t, ask(t, h, "POST", "/api/budget-plan/apply", "", 409)["detail"], "Not enough data")
	require.Len(t, f.applied, 3)
}

func TestACampaignWhosePlannedBudgetWasDeletedGetsOneOnlyIfItIsNamed(t *testing.T) {
	f := &fakePlans{deleted: true}
	h := newPlanHandler(t, f)
	row := ask(t, h, "GET", "/api/budget-plan", "", 200)["campaigns"].([]any)[0].(map[string]any)
	require.Equal(t, []any{"declined", nil, nil}, []any{row["action"], row["budget"], row["first_step"]})
	body := pageOf(t, h, "/budgets/plan")
	require.Contains(t, spaced(body), "A person has deleted its budget: the plan makes none.")
	require.Contains(t, body, `name="again.0" data-json="string" value="q4"`)
	ask(t, h, "POST", "/api/budget-plan/apply", `{"again":["q4","other"]}`, 200)
	require.Equal(t, []string{"q4", "other"}, f.asked[len(f.asked)-1].Again)
	plan := ask(t, h, "POST", "/api/budget-plan/apply", `{"again":["q4"],"dry_run":true}`, 200)["plan"].(map[string]any)
	require.Equal(t, "make", plan["campaigns"].([]any)[0].(map[string]any)["action"])
}

func TestAPlanIsRolledBackAndItsHistoryIsListed(t *testing.T) {
	f := &fakePlans{}
	h := newPlanHandler(t, f)
	ask(t, h, "POST", "/api/budget-plan/rollback", "", 200)
	ask(t, h, "POST", "/api/budget-plan/rollback", `{"plan":7,"reason":"meetings fell"}`, 200)
	require.Equal(t, []string{"0 by loopback: ", "7 by loopback: meetings fell"}, f.undone)
	f.err = fmt.Errorf("roll back: %w", accounting.ErrNoBudgetPlan)
	require.Contains(t, ask(t, h, "POST", "/api/budget-plan/rollback", "", 409)["detail"], "No budget plan is in force")
	require.Contains(t, ask(t, h, "POST", "/api/budget-plan/rollback", `{"plan":8}`, 404)["detail"], "no budget plan 8")
	f.err = accounting.ErrPlanNotInForce
	require.Contains(t, ask(t, h, "POST", "/api/budget-plan/rollback", `{"plan":6}`, 409)["detail"], "was replaced")
	f.err = nil

	list := ask(t, h, "GET", "/api/budget-plans?limit=3&cursor=abc", "", 200)
	require.Equal(t, "3 abc", f.listed)
	require.Equal(t, "next", list["next_cursor"])
	require.Equal(t, json.Number("7"), list["plans"].([]any)[0].(map[string]any)["id"])
}

func TestWithoutAPlannerThereAreNoRoutesOfPlans(t *testing.T) {
	h := newEconomicsHandler(t, &fakeEconomics{}, nil)
	ask(t, h, "GET", "/api/budget-plan", "", 404)
	_, err := newEconomics(&EconomicsOptions{Store: &fakeEconomics{}, Plans: &PlanOptions{}})
	require.ErrorContains(t, err, "needs a planner")
}
