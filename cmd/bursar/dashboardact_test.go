package main

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fill types into a field of a form, in place of what it holds.
func fill(t testing.TB, tab context.Context, form, field, text string) {
	t.Helper()
	selector := form + ` [name="` + field + `"]`
	evaluate[chromedp.Void](t, tab, "void (document.querySelector(`"+selector+"`).value = '')")
	require.NoError(t, chromedp.Do(tab, chromedp.SendKeys(chromedp.CSS(selector), text)), selector)
}

// click presses a button that has to be the only one of its kind.
func click(t testing.TB, tab context.Context, selector string) {
	t.Helper()
	require.NoError(t, chromedp.Do(tab, chromedp.Click(chromedp.CSS(selector))), selector)
}

// andReload presses a button that changes something, and waits for the page to
// be read anew.
func andReload(t testing.TB, tab context.Context, selector string) {
	t.Helper()
	evaluate[chromedp.Void](t, tab, `void (window.before = true)`)
	click(t, tab, selector)
	await(t, tab, `window.before === undefined && document.readyState === "complete"`)
}

func TestWhatIsDoneOnTheDashboardBindsTheNextCall(t *testing.T) {
	r := startDemoProgram(t)
	tab := startBrowser(t)
	console := watchConsole(t, tab)
	for _, deed := range []struct {
		name string
		do   func(*testing.T, *running, context.Context)
	}{
		{"a budget refuses calls until it is paused", budgetBinds},
		{"the emergency stop refuses calls until it is lifted", stopBinds},
		{"an alert that was seen is gone", alertIsSeen},
		{"a fixed cost and an exchange rate move the figures", settingsMoveFigures},
		{"a planned budget that was deleted is made again where that is ticked", plannedBudgetComesBack},
		{"a draft of an experiment is deleted", draftIsDeleted},
		{"a rule says whether it would fire", ruleSaysWhetherItWouldFire},
	} {
		t.Run(deed.name, func(t *testing.T) { deed.do(t, r, tab) })
	}
	assert.Empty(t, console.problems(t))
	t.Run("a bad value is explained at its field, and what was typed stays", func(t *testing.T) { badValueIsExplained(t, r, tab) })
}

const (
	budgetForm = `form[data-api="POST /api/budgets"]`
	held       = "held-by-the-form"
)

func plannedBudgetComesBack(t *testing.T, r *running, tab context.Context) {
	const form = `form[data-api="POST /api/budget-plan/apply"]`
	planned := func() (list []accounting.Budget) {
		for _, b := range data[struct{ Budgets []accounting.Budget }](r, http.StatusOK, "GET", "/api/budgets", "").Budgets {
			if b.Origin == accounting.OriginPlan {
				list = append(list, b)
			}
		}
		return list
	}
	apply := func() {
		click(t, tab, form+` [name="sure"]`)
		andReload(t, tab, form+" > button")
	}
	visit(t, tab, r.adminURL()+"/budgets/plan")
	apply()
	made := planned()
	require.Greater(t, len(made), 1)
	data[struct{ ID string }](r, http.StatusOK, "DELETE", "/api/budgets/"+made[0].ID, "")
	visit(t, tab, r.adminURL()+"/budgets/plan")
	apply()
	require.Len(t, planned(), len(made)-1, "nobody has ticked it")
	click(t, tab, form+` [name^="again."]`)
	apply()
	again := planned()
	require.Len(t, again, len(made))
	require.True(t, slices.ContainsFunc(again, func(b accounting.Budget) bool {
		return b.Scope.CampaignID == made[0].Scope.CampaignID && b.ID != made[0].ID
	}))
	data[accounting.PlanUndo](r, http.StatusOK, "POST", "/api/budget-plan/rollback", "")
	data[accounting.PlanUndo](r, http.StatusOK, "POST", "/api/budget-plan/rollback", "")
}

func draftIsDeleted(t *testing.T, r *running, tab context.Context) {
	const form = `form[data-api="POST /api/experiments"]`
	visit(t, tab, r.adminURL()+"/experiments")
	fill(t, tab, form, "name", "Of no use")
	andReload(t, tab, form+" > button")
	visit(t, tab, r.adminURL()+"/experiments/of-no-use")
	click(t, tab, `button[data-dialog="delete"]`)
	click(t, tab, `#delete button.danger`)
	await(t, tab, `location.pathname === "/experiments" && document.readyState === "complete"`)
	status, _ := r.ask("GET", "/api/experiments/of-no-use", "")
	require.Equal(t, http.StatusNotFound, status)
}

func budgetBinds(t *testing.T, r *running, tab context.Context) {
	visit(t, tab, r.adminURL()+"/budgets")
	fill(t, tab, budgetForm, "name", "A millionth")
	fill(t, tab, budgetForm, "limit", "0.000001")
	fill(t, tab, budgetForm, "scope.campaign_id", held)
	andReload(t, tab, budgetForm+" > button")
	r.becomes(accounting.VerdictBlocked, "X-Campaign-ID", held)
	status, _, _ := r.posted("X-Campaign-ID", held)
	require.Equal(t, 402, status)

	const refusal = `[...document.querySelectorAll('main tr:has(a[href^="/decisions/"])')].find(row => row.textContent.includes("` + held + `"))?.querySelector("a").href ?? ""`
	var address string
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		visit(t, tab, r.adminURL()+"/budgets")
		address = evaluate[string](c, tab, refusal)
		require.NotEmpty(c, address)
	}, time.Minute, 50*time.Millisecond)
	visit(t, tab, address)
	text := evaluate[string](t, tab, `document.querySelector("main").innerText`)
	assert.Contains(t, text, "Why a call was blocked")
	assert.Contains(t, text, "A millionth")
	assert.Contains(t, text, held)
	assert.Contains(t, text, "0.000001")

	visit(t, tab, r.adminURL()+"/budgets")
	id := evaluate[string](t, tab, `[...document.querySelectorAll("section[id]")].find(s => s.querySelector("h2").textContent.includes("A millionth")).id`)
	section := `section[id="` + id + `"]`
	click(t, tab, section+" > details > summary")
	andReload(t, tab, section+` details > .buttons > form button`)
	assert.Contains(t, evaluate[string](t, tab, `document.querySelector('`+section+` h2').innerText`), "paused")
	r.becomes(accounting.VerdictAllowed, "X-Campaign-ID", held)
}

func stopBinds(t *testing.T, r *running, tab context.Context) {
	visit(t, tab, r.adminURL()+"/budgets")
	click(t, tab, `[data-dialog="stop-dialog"]`)
	assert.True(t, evaluate[bool](t, tab, `(({top, bottom}) => Math.abs(top - (innerHeight - bottom)) < 2)(document.getElementById("stop-dialog").getBoundingClientRect())`), "in the middle")
	fill(t, tab, "#stop-dialog", "reason", "the campaign runs in circles")
	click(t, tab, `#stop-dialog button.danger`)
	assert.True(t, evaluate[bool](t, tab, `document.getElementById("stop-dialog").open && document.querySelector("#stop-dialog :invalid[name=sure]") !== null`), "not without the tick")
	r.becomes(accounting.VerdictAllowed)
	click(t, tab, `#stop-dialog [name="sure"]`)
	andReload(t, tab, `#stop-dialog button.danger`)
	status, verdict, _ := r.posted()
	assert.Equal(t, 402, status)
	assert.Equal(t, string(accounting.VerdictBlocked), verdict, "it holds when the form says so")
	assert.Contains(t, evaluate[string](t, tab, `document.getElementById("stops").innerText`), "the campaign runs in circles")
	visit(t, tab, r.adminURL()+"/")
	assert.Contains(t, evaluate[string](t, tab, `document.querySelector("main [role=alert]").innerText`), "the campaign runs in circles", "the overview tells of it")

	visit(t, tab, r.adminURL()+"/budgets")
	andReload(t, tab, `#stops .notice form button`)
	r.becomes(accounting.VerdictAllowed)
	assert.Contains(t, evaluate[string](t, tab, `document.getElementById("stops").innerText`), "Nothing is stopped")
}

func alertIsSeen(t *testing.T, r *running, tab context.Context) {
	visit(t, tab, r.adminURL()+"/")
	const form = `form[data-api^="POST /api/alerts/"]`
	id := evaluate[string](t, tab, `document.querySelector('`+form+`').dataset.api.split("/")[3]`)
	andReload(t, tab, form+" button")
	assert.False(t, evaluate[bool](t, tab, `[...document.querySelectorAll('`+form+`')].some(f => f.dataset.api.includes("`+id+`"))`))
	var seen bool
	require.NoError(t, r.connect().QueryRow(t.Context(), `SELECT acknowledged_at IS NOT NULL FROM alerts WHERE id::text = $1`, id).Scan(&seen))
	assert.True(t, seen)
}

func settingsMoveFigures(t *testing.T, r *running, tab context.Context) {
	id := r.becomes(accounting.VerdictAllowed) // today's rate has something to convert
	conn := r.connect()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var known bool
		require.NoError(c, conn.QueryRow(t.Context(), `SELECT coalesce(bool_or(cost_usd > 0), false) FROM openrouter_usage WHERE id = $1::uuid`, id).Scan(&known))
		require.True(c, known)
	}, time.Minute, 50*time.Millisecond)
	before := r.metricsOfAPI()
	visit(t, tab, r.adminURL()+"/settings")
	const costs = `form[data-api="PUT /api/fixed-costs/{name}"]`
	fill(t, tab, costs, "name", "a new tool")
	fill(t, tab, costs, "eur", "100.05")
	andReload(t, tab, costs+" button")
	after := r.metricsOfAPI()
	assert.Equal(t, before.CostBreakdown.Fixed.Total.Add(decimal.RequireFromString("100.05")).String(), after.CostBreakdown.Fixed.Total.String())

	const rates = `form[data-api="PUT /api/exchange-rates"]`
	fill(t, tab, rates, "rates.0.usd_to_eur", "2.5")
	andReload(t, tab, rates+" button")
	converted := r.metricsOfAPI()
	assert.True(t, converted.CostBreakdown.Variable.Total.GreaterThan(before.CostBreakdown.Variable.Total), "today's dollars are dearer")
	visit(t, tab, r.adminURL()+"/")
	awaitLive(t, tab)
	shown := liveFigures(t, tab)
	requireShown(t, converted.TotalMonthlySpend, shown["month-total"])
	requireShown(t, converted.CostBreakdown.Fixed.Total, shown["month-fixed"])
	requireShown(t, converted.CostBreakdown.Variable.Total, shown["month-variable"])
}

func ruleSaysWhetherItWouldFire(t *testing.T, r *running, tab context.Context) {
	visit(t, tab, r.adminURL()+"/rules")
	for id, want := range map[string]string{"month-total": "It would fire now.", "cost-per-meeting": "It would not fire now."} {
		form := `form[data-api="GET /api/alert-rules/` + id + `/preview"]`
		click(t, tab, form+" button")
		await(t, tab, "document.querySelector(`"+form+" output`)?.textContent === "+strconv.Quote(want))
	}
}

func badValueIsExplained(t *testing.T, r *running, tab context.Context) {
	const rates = `form[data-api="PUT /api/exchange-rates"]`
	visit(t, tab, r.adminURL()+"/settings")
	fill(t, tab, rates, "rates.0.usd_to_eur", "92")
	click(t, tab, rates+" button")
	await(t, tab, "document.querySelector(`"+rates+` [name="rates.0.usd_to_eur"] + .field-error`+"`)?.textContent.includes('0.2 to 5') === true")

	visit(t, tab, r.adminURL()+"/budgets")
	fill(t, tab, budgetForm, "name", "Never made")
	fill(t, tab, budgetForm, "limit", "abc")
	fill(t, tab, budgetForm, "scope.campaign_id", "q4-launch")
	click(t, tab, budgetForm+" > button")
	await(t, tab, `document.querySelector('`+budgetForm+` [name="limit"] + .field-error')?.textContent.length > 0`)
	said := evaluate[map[string]string](t, tab, `(() => { const form = document.querySelector('`+budgetForm+`'), limit = form.elements.limit; return {
		note: limit.nextElementSibling.textContent, described: String(limit.getAttribute("aria-describedby") === limit.nextElementSibling.id), invalid: limit.ariaInvalid,
		focused: String(document.activeElement === limit), name: form.elements.name.value, limit: limit.value, campaign: form.elements["scope.campaign_id"].value,
		whole: form.querySelector("output[role=alert]").textContent}; })()`)
	assert.NotEmpty(t, said["whole"])
	assert.Contains(t, said["note"], "expected")
	delete(said, "note")
	delete(said, "whole")
	assert.Equal(t, map[string]string{"described": "true", "invalid": "true", "focused": "true", "name": "Never made", "limit": "abc", "campaign": "q4-launch"}, said)
	var made int
	require.NoError(t, r.connect().QueryRow(t.Context(), `SELECT count(*) FROM budgets WHERE name = 'Never made'`).Scan(&made))
	assert.Zero(t, made)
}
