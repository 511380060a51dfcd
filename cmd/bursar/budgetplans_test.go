package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/config"
)

func TestAPlanRefusesCallsUntilItIsRolledBack(t *testing.T) {
	fake := startFake(t)
	r := startProgram(t, fake, func(c *config.Config) { c.Budgets.PlanMode = "hard" })
	data[any](r, http.StatusOK, "PUT", "/api/campaigns/q4", `{"testing":true}`)
	data[any](r, http.StatusOK, "PUT", "/api/campaigns/other", `{}`)

	// Told about today, both campaigns take part.
	type outcome struct {
		Made    bool
		Plan    accounting.BudgetPlan
		Applied *accounting.AppliedPlan
	}
	dry := data[outcome](r, http.StatusOK, "POST", "/api/budget-plan/apply?dry_run=true", `{"amount":1}`)
	require.Len(t, dry.Plan.Rows, 2)
	require.Equal(t, "0.15", dry.Plan.Allocated.String(), "what is for testing")
	require.Contains(t, dry.Plan.Note, "Not enough data")
	require.Len(t, data[struct{ Budgets []accounting.Budget }](r, http.StatusOK, "GET", "/api/budgets", "").Budgets, 1, "a dry run makes none")

	made := data[outcome](r, http.StatusOK, "POST", "/api/budget-plan/apply", `{"amount":0.02,"split":"0/0/100","id":"first"}`)
	require.True(t, made.Made)
	require.False(t, data[outcome](r, http.StatusOK, "POST", "/api/budget-plan/apply", `{"id":"first"}`).Made)
	budget := data[accounting.Budget](r, http.StatusOK, "GET", "/api/budgets/plan-q4", "")
	require.Equal(t, []any{"plan:q4", "0.01", accounting.ModeHard, accounting.EUR, "plan"},
		[]any{budget.Name, budget.Limit.String(), budget.Mode, budget.Currency, budget.Origin})

	const dear = `{"model":"anthropic/claude-opus-4.6","max_tokens":8000,"messages":[{"role":"user","content":"Write a long letter."}]}`
	refused := r.until(refusedFor(accounting.ReasonNoRoom), chatPath, dear, "X-Campaign-ID", "q4")
	require.Contains(t, refused.body, `"budget":"plan-q4"`)
	require.Contains(t, r.explained(refused.header.Get("X-Bursar-Request-ID")), "plan-q4")

	undo := data[accounting.PlanUndo](r, http.StatusOK, "POST", "/api/budget-plan/rollback", `{"plan":1,"reason":"too little"}`)
	require.Equal(t, accounting.UndoRemoved, undo.Restored[0].Action)
	passes := r.until(func(a *clientAnswer) bool { return a.status == http.StatusOK }, chatPath, dear, "X-Campaign-ID", "q4")
	require.Equal(t, string(accounting.VerdictAllowed), passes.verdict())
	status, _ := r.ask("GET", "/api/budgets/plan-q4", "")
	require.Equal(t, http.StatusNotFound, status)

	plans := data[struct{ Plans []accounting.AppliedPlan }](r, http.StatusOK, "GET", "/api/budget-plans", "").Plans
	require.Len(t, plans, 1)
	require.Equal(t, accounting.PlanRolledBack, *plans[0].Ending)
	log := data[struct{ Entries []accounting.AuditEntry }](r, http.StatusOK, "GET", "/api/audit?subject=budget-plans/1", "")
	require.Equal(t, []string{accounting.ActionPlanRollback, accounting.ActionPlanApply}, []string{log.Entries[0].Action, log.Entries[1].Action})
}

func TestThePlanOfTheMonthFollowsWhatCampaignsBring(t *testing.T) {
	fake := startFake(t)
	r := startProgram(t, fake)
	tomorrow := time.Now().UTC().AddDate(0, 0, 1)
	for _, campaign := range []string{"star", "waste"} {
		for lead := range 30 {
			id := campaign + string(rune('a'+lead%26)) + string(rune('a'+lead/26))
			require.Equal(t, http.StatusOK, r.send(chatPath, shortChat(cheapModel), "X-Campaign-ID", campaign, "X-Lead-ID", id).status)
			if campaign == "star" || lead < 3 {
				data[any](r, http.StatusOK, "POST", "/api/leads/"+id+"/sent", `{"campaignId":"`+campaign+`"}`)
			}
			if campaign == "star" && lead < 6 {
				data[any](r, http.StatusOK, "POST", "/api/leads/"+id+"/converted", `{"campaignId":"star"}`)
			}
		}
	}
	r.requireLedgersAgree(time.Minute)
	planner, err := r.planner()
	require.NoError(t, err)
	// Today is no whole day yet: the plan that is made tomorrow sees it.
	plan, err := planner.MakePlan(t.Context(), accounting.PlanRequest{Month: accounting.MonthOf(tomorrow)}, tomorrow)
	require.NoError(t, err)
	require.True(t, plan.Amount.Equal(decimal.NewFromInt(77)))
	rows := map[string]accounting.PlanRow{}
	for _, row := range plan.Rows {
		rows[row.CampaignID] = row
	}
	require.Equal(t, []any{accounting.PlanHighROI, "38.5", "anthropic/claude-opus-4.6"}, []any{rows["star"].Class, rows["star"].Limit.String(), *rows["star"].Model})
	require.Equal(t, []any{accounting.DecideReduce, "19.25", accounting.ModelClassNone}, []any{rows["waste"].Decision, rows["waste"].Limit.String(), rows["waste"].ModelClass},
		"of 26.95 and the 11.55 of the tests that there are none of, half")
}
