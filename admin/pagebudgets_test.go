package admin

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestThePageOfBudgetsShowsHowEachStandsAndWhatWasRefused(t *testing.T) {
	b := q4()
	b.Name = hostile
	ends := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	store := &fakeBudgets{
		budgets: []accounting.Budget{b},
		statuses: []accounting.BudgetStatus{{Budget: b, Limit: money("12.50"), Settled: money("9.8765432101"), Remaining: money("2.6234567899"),
			Percent: usd("79.01"), State: "warning", ResetsAt: &ends}},
		decisions: []accounting.DecisionRow{{ID: call(7, "", "0").ID, CreatedAt: ends, Verdict: accounting.VerdictBlocked,
			Reason: ptr("budget_no_room"), CampaignID: ptr(hostile), BoundUSD: usd("0.75"), Count: 3,
			Budgets: []accounting.DecisionShare{{BudgetID: "q4"}}}},
	}
	h := withBudgets(t, store)
	body := pageOf(t, h, "/budgets")
	seen := spaced(body)
	require.Contains(t, body, `title="9.8765432101 USD"`, "exact on hover")
	require.Contains(t, seen, "79.0 %")
	require.Contains(t, seen, "warning")
	require.Contains(t, seen, "budget no room q4")
	require.Contains(t, body, `data-api="PATCH /api/budgets/q4"`)
	require.Contains(t, body, `name="limit" data-json="number" value="12.5"`)
	require.Contains(t, seen, "Nothing is stopped")
	require.Equal(t, accounting.VerdictBlocked, store.decided.Verdict)
}

func TestCallsCanBeStoppedFromThePageWhileTheDatabaseIsAway(t *testing.T) {
	guard := &fakeGuard{}
	h := withBudgets(t, &fakeBudgets{err: errAway}, func(o *BudgetOptions) { o.Guard = guard })
	require.Equal(t, http.StatusOK, send(h, "PUT", stopTarget, `{"reason":"it runs in circles"}`).StatusCode)
	seen := spaced(pageOf(t, h, "/budgets"))
	require.Contains(t, seen, "The database does not answer")
	require.Contains(t, seen, "Stopped: all calls")
	require.Contains(t, seen, "it runs in circles")
	require.Contains(t, seen, "Only this replica knows of it")
	require.Contains(t, seen, "Stop calls…")
}

func TestWhoDeletesAPlannedBudgetIsToldThatNoPlanMakesItAgain(t *testing.T) {
	b := q4()
	note := "the next ones make none for its campaign until you ask for it"
	store := &fakeBudgets{budgets: []accounting.Budget{b}, statuses: []accounting.BudgetStatus{{Budget: b, State: "ok"}}}
	require.NotContains(t, pageOf(t, withBudgets(t, store), "/budgets"), note)
	store.budgets[0].Origin = accounting.OriginPlan
	require.Contains(t, pageOf(t, withBudgets(t, store), "/budgets"), note)
}

func TestThePageOfBudgetsSaysHowToMakeOne(t *testing.T) {
	require.Contains(t, spaced(pageOf(t, withBudgets(t, &fakeBudgets{}), "/budgets")), "There is no budget. Make one below")
}

func TestThePageOfBudgetsWaitsSecondsForADatabaseThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := withBudgets(t, &fakeBudgets{wait: true})
		start := time.Now()
		seen := spaced(pageOf(t, h, "/budgets"))
		require.LessOrEqual(t, time.Since(start), pagePatience, "somebody may want to stop calls")
		require.Contains(t, seen, "The database does not answer")
		require.Contains(t, seen, "Stop calls")
	})
}
