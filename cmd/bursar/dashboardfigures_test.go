package main

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// metricsOfAPI are the figures of GET /api/costs/dashboard-metrics.
type metricsOfAPI struct {
	CostPerEmail, CostPerMeeting *decimal.Decimal
	TotalMonthlySpend            decimal.Decimal
	ExchangeRate                 decimal.Decimal
	EmailsSent, MeetingsBooked   int64
	CostBreakdown                struct {
		Fixed, Variable struct{ Total decimal.Decimal }
	}
}

func (r *running) metricsOfAPI() metricsOfAPI {
	r.t.Helper()
	return data[metricsOfAPI](r, 200, "GET", "/api/costs/dashboard-metrics", "")
}

// liveFigures are the figures that move, as people read them.
func liveFigures(t require.TestingT, tab context.Context) map[string]string {
	return evaluate[map[string]string](t, tab, `Object.fromEntries([...document.querySelectorAll("[data-live]")].map(e => [e.dataset.live, e.textContent.trim()]))`)
}

// shownNumber is what a text for people says, and to how many places.
func shownNumber(t require.TestingT, text string) (value decimal.Decimal, places int32) {
	value, err := decimal.NewFromString(strings.NewReplacer("€", "", "$", "", "\u202f", "", "−", "-").Replace(text))
	require.NoError(t, err, "a number: %q", text)
	return value, max(-value.Exponent(), 0)
}

// requireShown compares a text with the exact amount that it was rounded from.
func requireShown(t require.TestingT, exact decimal.Decimal, text string) {
	value, places := shownNumber(t, text)
	require.GreaterOrEqual(t, places, int32(2), text)
	require.Equal(t, exact.Round(places).String(), value.String(), "%s as %s", exact, text)
}

func TestTheDashboardShowsWhatTheAPIAndTheDatabaseSay(t *testing.T) {
	r := startDemoProgram(t)
	tab := startBrowser(t)
	for _, page := range []struct {
		name  string
		check func(*testing.T, *running, context.Context)
	}{
		{"the month of the overview", overviewAgrees},
		{"campaigns, which add up to the month", campaignsAgree},
		{"budgets", budgetsAgree},
		{"the sum of the calls", callsAgree},
	} {
		t.Run(page.name, func(t *testing.T) { page.check(t, r, tab) })
	}
}

func overviewAgrees(t *testing.T, r *running, tab context.Context) {
	visit(t, tab, r.adminURL()+"/")
	awaitLive(t, tab)
	api, shown := r.metricsOfAPI(), liveFigures(t, tab)
	require.NotNil(t, api.CostPerEmail)
	require.NotNil(t, api.CostPerMeeting)
	requireShown(t, *api.CostPerEmail, shown["cost-per-email"])
	requireShown(t, *api.CostPerMeeting, shown["cost-per-meeting"])
	requireShown(t, api.TotalMonthlySpend, shown["month-total"])
	requireShown(t, api.CostBreakdown.Fixed.Total, shown["month-fixed"])
	requireShown(t, api.CostBreakdown.Variable.Total, shown["month-variable"])

	var total, ai, email, meeting decimal.Decimal
	var emails, meetings int64
	require.NoError(t, r.connect().QueryRow(t.Context(), `
		SELECT total_cost, openrouter_cost_eur, cost_per_email, cost_per_meeting,
			(SELECT count(*) FROM activities WHERE type = 'email_sent' AND reversed_at IS NULL AND (booked_year, booked_month) = (m.year, m.month)),
			(SELECT count(*) FROM activities WHERE type = 'meeting_booked' AND reversed_at IS NULL AND (booked_year, booked_month) = (m.year, m.month))
		FROM monthly_costs m ORDER BY year DESC, month DESC LIMIT 1`).Scan(&total, &ai, &email, &meeting, &emails, &meetings))
	assert.Equal(t, total.String(), api.TotalMonthlySpend.String())
	assert.Equal(t, ai.String(), api.CostBreakdown.Variable.Total.String())
	assert.Equal(t, email.String(), api.CostPerEmail.String())
	assert.Equal(t, meeting.String(), api.CostPerMeeting.String())
	assert.Equal(t, [2]int64{emails, meetings}, [2]int64{api.EmailsSent, api.MeetingsBooked})
	sent, _ := shownNumber(t, shown["emails-sent"])
	booked, _ := shownNumber(t, shown["meetings-booked"])
	assert.Equal(t, [2]int64{emails, meetings}, [2]int64{sent.IntPart(), booked.IntPart()})
}

func campaignsAgree(t *testing.T, r *running, tab context.Context) {
	visit(t, tab, r.adminURL()+"/campaigns")
	type line struct{ ID, Cost, Email, Meeting string }
	shown := evaluate[[]line](t, tab, `[...document.querySelectorAll("table.figures tbody tr")].map(row => ({
		ID: decodeURIComponent(row.querySelector("th a")?.pathname.split("/").at(-1) ?? ""),
		Cost: row.cells[4].querySelector("data").value, Email: row.cells[5].dataset.value, Meeting: row.cells[6].dataset.value}))`)
	list := data[struct {
		Rows        []accounting.CampaignRow
		Unallocated accounting.Amount `json:"unallocated_fixed_cost"`
	}](r, 200, "GET", "/api/campaigns", "")
	exact := func(a *accounting.Amount) string {
		if a == nil {
			return ""
		}
		return a.String()
	}
	sum := list.Unallocated.Decimal
	var want []line
	for i := range list.Rows {
		row := &list.Rows[i]
		sum = sum.Add(row.Cost.Decimal)
		want = append(want, line{row.ID, row.Cost.String(), exact(row.CostPerEmail), exact(row.CostPerMeeting)})
	}
	require.Greater(t, len(want), 3)
	require.ElementsMatch(t, want, shown)
	foot := evaluate[string](t, tab, `document.querySelector("table.figures tfoot tr:last-child data").value`)
	assert.Equal(t, sum.String(), foot)
	assert.Equal(t, r.metricsOfAPI().TotalMonthlySpend.String(), sum.String(), "campaigns and what none carries are the month")
}

func budgetsAgree(t *testing.T, r *running, tab context.Context) {
	visit(t, tab, r.adminURL()+"/budgets")
	type line struct{ ID, Each, Settled, Reserved, Left string }
	shown := evaluate[[]line](t, tab, `[...document.querySelectorAll("section[id] td.used")].map(used => {
		const row = used.parentElement, [settled, reserved, left] = [...row.querySelectorAll("td.n")].map(cell => cell.title);
		return {ID: row.closest("section").id, Each: row.querySelector("th bdi")?.textContent ?? "", Settled: settled, Reserved: reserved, Left: left};
	})`)
	standing := data[struct{ Status []accounting.BudgetStatus }](r, 200, "GET", "/api/budgets/status?limit=10", "")
	var want []line
	for i := range standing.Status {
		s := &standing.Status[i]
		unit := " " + string(s.Budget.Currency)
		want = append(want, line{s.Budget.ID, s.EachValue, s.Settled.String() + unit, s.Reserved.String() + unit, s.Remaining.String() + unit})
	}
	require.NotEmpty(t, want)
	require.ElementsMatch(t, want, shown)
}

func callsAgree(t *testing.T, r *running, tab context.Context) {
	visit(t, tab, r.adminURL()+"/calls")
	shown := evaluate[struct {
		Sum string
		IDs []string
		Row []string
	}](t, tab, `({
		Sum: document.querySelector(".cards .figure").firstChild.textContent.trim(),
		IDs: [...document.querySelectorAll("[data-calls] tr[data-id]")].map(row => row.dataset.id),
		Row: [...document.querySelectorAll("[data-calls] td.cost > span[title]:not(.soft, .settled)")].map(cost => cost.textContent.trim()),
	})`)
	require.Len(t, shown.IDs, 50)
	var sum decimal.Decimal
	for _, text := range shown.Row {
		cost, _ := shownNumber(t, text)
		sum = sum.Add(cost)
	}
	assert.Equal(t, sum.String(), shown.Sum)
	var stored decimal.Decimal
	require.NoError(t, r.connect().QueryRow(t.Context(), `SELECT sum(cost_usd) FROM openrouter_usage WHERE id = ANY($1::uuid[])`, shown.IDs).Scan(&stored))
	assert.Equal(t, stored.String(), sum.String())
}

func TestChartsAndTablesOfTheDashboardAreUsedByKeyboard(t *testing.T) {
	r := startDemoProgram(t)
	tab := startBrowser(t)
	press := func(keys string) {
		t.Helper()
		require.NoError(t, chromedp.Do(tab, chromedp.KeyEvent(keys)))
	}
	visit(t, tab, r.adminURL()+"/")
	const point = `[...document.activeElement.closest(".chart")?.querySelectorAll(".point") ?? []].indexOf(document.activeElement)`
	for range 200 {
		press(kb.Tab)
		if evaluate[int](t, tab, point) >= 0 {
			break
		}
	}
	first := evaluate[int](t, tab, point)
	require.GreaterOrEqual(t, first, 0, "the tabulator comes to a chart")
	const tip = `document.querySelector(".chart-tip:not([hidden])")?.textContent ?? ""`
	require.NotEmpty(t, evaluate[string](t, tab, tip))
	press(kb.Home)
	said := evaluate[string](t, tab, tip)
	press(kb.ArrowRight)
	assert.Equal(t, 1, evaluate[int](t, tab, point))
	assert.NotEqual(t, said, evaluate[string](t, tab, tip), "another point says something else")
	press(kb.Escape)
	assert.Empty(t, evaluate[string](t, tab, tip))

	visit(t, tab, r.adminURL()+"/campaigns")
	const order = `[...document.querySelectorAll("table.figures tbody tr")].map(row => Number(row.cells[4].dataset.value))`
	const sorted = `document.querySelector("table.figures th:nth-child(5)").getAttribute("aria-sort")`
	require.Equal(t, "descending", evaluate[string](t, tab, sorted))
	falling := evaluate[[]float64](t, tab, order)
	for range 200 {
		press(kb.Tab)
		if evaluate[bool](t, tab, `document.activeElement === document.querySelector("table.figures th:nth-child(5) button")`) {
			break
		}
	}
	press(kb.Enter)
	assert.Equal(t, "ascending", evaluate[string](t, tab, sorted))
	rising := evaluate[[]float64](t, tab, order)
	require.Len(t, rising, len(falling))
	require.Greater(t, len(rising), 3)
	assert.IsNonDecreasing(t, rising)
	assert.IsNonIncreasing(t, falling)
}
