package admin

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// explained explains a decision about a call, in whose place the row stands.
func explained(row accounting.DecisionRow, budgets ...accounting.Budget) explanation {
	known := map[string]accounting.Budget{}
	for _, b := range budgets {
		known[b.ID] = b
	}
	return explain(row.ID, row, known)
}

func TestARefusalIsExplainedWithWhatWasLeftAndWhatToDo(t *testing.T) {
	h := withBudgets(t, &fakeBudgets{decisions: []accounting.DecisionRow{refused()}, budgets: []accounting.Budget{q4()}})
	e := dataOf[explanation](t, get(h, "/api/guard/explain/"+refused().ID.String()), http.StatusOK)
	require.Equal(t, accounting.VerdictBlocked, e.Verdict)
	require.Equal(t, "The call was refused with status 402 and not sent: the most that the call could cost did not fit into what a hard budget had left.", e.Summary)
	require.Len(t, e.Budgets, 1)
	require.Equal(t, "Budget Q4 outreach (q4), hard: 12.5 USD a month. "+
		"When the call came, 12.1 USD was settled and 0.2 USD reserved, so 0.2 USD was left. "+
		"The call could cost up to 0.300000000000001 USD, which did not fit: the call was refused.", e.Budgets[0].Words)
	require.Equal(t, "2026-12-01T00:00:00Z", e.Budgets[0].ResetsAt.Format("2006-01-02T15:04:05Z07:00"))
	require.Equal(t, "Send a call that can cost less (a lower max_tokens, a shorter prompt, a cheaper model), raise its limit (PATCH /api/budgets/q4), or wait until it resets at 2026-12-01T00:00:00Z.", e.WhatToDo)
	require.Equal(t, refused().ID, e.Decision.ID)
}

func TestEveryBudgetThatAppliedIsExplained(t *testing.T) {
	row := refused()
	row.Verdict, row.Reason, row.Purpose = accounting.VerdictAllowed, nil, ptr("follow_up")
	row.Budgets[0].Verdict, row.Budgets[0].Reason, row.Budgets[0].Charge = accounting.VerdictAllowed, accounting.ReasonNone, money("0.1")
	soft := q4()
	soft.ID, soft.Name, soft.Mode, soft.Currency, soft.Each, soft.Period = "soft", "Leads", accounting.ModeSoft, accounting.EUR, accounting.EachLead, accounting.PeriodTotal
	row.Budgets = append(row.Budgets,
		accounting.DecisionShare{BudgetID: "soft", EachValue: "l-1", Verdict: accounting.VerdictAllowed, Limit: money("1"), PeriodStart: accounting.TotalStart},
		accounting.DecisionShare{BudgetID: "gone", Verdict: accounting.VerdictAllowed, Limit: money("3"), Settled: money("5"), PeriodStart: accounting.TotalStart})
	e := explained(row, q4(), soft)
	require.Equal(t, "The call was sent: every budget that applied had room for it.", e.Summary)
	require.Empty(t, e.WhatToDo)
	require.Contains(t, e.Budgets[0].Words, "The most that the call could cost, 0.1 USD, was reserved: the call passed.")
	require.Equal(t, "Budget Leads (soft), soft: 1 EUR for l-1 in total. When the call came, 0 EUR was settled and 0 EUR reserved, so 1 EUR was left. The limit was not reached: the call passed.", e.Budgets[1].Words)
	require.Nil(t, e.Budgets[1].ResetsAt)
	require.Equal(t, "Budget gone, which was deleted since: 3, in its currency. When the call came, 5 was settled and 0 reserved, so 0 was left. For it, the call was allowed.", e.Budgets[2].Words)
	require.Nil(t, e.Budgets[2].Name)

	soft.Mode = accounting.ModeAlert
	row.Budgets[1].Settled, row.Budgets[0].Charge = money("9"), money("0")
	e = explained(row, q4(), soft)
	require.Contains(t, e.Budgets[0].Words, "Nothing had to be reserved: the call passed.")
	require.Contains(t, e.Budgets[1].Words, "It only alerts: the call passed.")
}

func TestEveryReasonIsExplained(t *testing.T) {
	for reason, want := range map[accounting.BudgetReason]struct {
		verdict         accounting.BudgetVerdict
		summary, advice string
		words           string
	}{
		accounting.ReasonExceeded:      {accounting.VerdictBlocked, "had reached its limit", "essential purpose (reply_handling)", "Settled spend had reached the limit: the call was refused."},
		accounting.ReasonNoBound:       {accounting.VerdictBlocked, "(plugins[0])", "docs/budgets.md", "Nothing bounds what the call may cost (plugins[0])"},
		accounting.ReasonNoLease:       {accounting.VerdictBlocked, "the database granted none in time", "/api/budgets/leases", "granted nothing in time: the call was refused."},
		accounting.ReasonNotLoaded:     {accounting.VerdictBlocked, "could not read yet what it needs to know", "Try again", "could not tell yet what of it there was"},
		accounting.ReasonTagRequired:   {accounting.VerdictBlocked, "(plugins[0])", "BURSAR_TAGS_REQUIRED", "divided by a tag"},
		accounting.ReasonEssential:     {accounting.VerdictWarned, "the call's purpose", "Raise its limit", "a call that names none is essential"},
		accounting.ReasonEmergencyStop: {accounting.VerdictBlocked, "emergency stop (stop-1)", "", ""},
		accounting.ReasonHeld:          {accounting.VerdictBlocked, "spike brake holds its campaign (stop-1)", "", ""},
		"something_new":                {accounting.VerdictWarned, "something_new", "", "For it, the call was warned."},
	} {
		row := refused()
		row.Verdict, row.Reason, row.Field, row.StopID = want.verdict, ptr(string(reason)), ptr("plugins[0]"), ptr("stop-1")
		row.Budgets[0].Verdict, row.Budgets[0].Reason = want.verdict, reason
		budget := q4()
		budget.Mode, budget.EssentialPurposes = accounting.ModeSoft, []string{"reply_handling"}
		e := explained(row, budget)
		require.Contains(t, e.Summary, want.summary, reason)
		require.Contains(t, e.WhatToDo, want.advice, reason)
		require.Contains(t, e.Budgets[0].Words, want.words, reason)

		row.Budgets = nil
		e = explained(row)
		switch reason {
		case accounting.ReasonEmergencyStop, accounting.ReasonHeld:
			require.Contains(t, e.WhatToDo, "DELETE /api/guard/emergency-stop/stop-1", "a stop applies without any budget")
		case accounting.ReasonTagRequired, accounting.ReasonNotLoaded:
			require.NotEmpty(t, e.WhatToDo, reason)
		}
	}
}

func TestWhatIsKeptForEssentialCallsIsExplained(t *testing.T) {
	row, budget := refused(), q4()
	row.Purpose, row.BoundUSD = ptr("testing"), usd("2.6")
	row.Budgets[0].Settled, row.Budgets[0].Reserved = money("7.4"), money("0.1")
	budget.EssentialShare, budget.EssentialPurposes = money("0.2"), []string{"reply_handling"}
	require.Contains(t, explained(row, budget).Budgets[0].Words, "so 2.5 USD was left for calls that are not essential, which may use 10 USD of it. The call could cost up to 2.6 USD, which did not fit: the call was refused.")
	row.Purpose = nil
	words := explained(row, budget).Budgets[0].Words
	require.Contains(t, words, "so 5 USD was left. The call could cost up to 2.6 USD, which did not fit, since other replicas held the rest for their calls: the call was refused.")
}

func TestACallThatWasRefusedBeforeItsPeriodWasKnownIsExplainedWithoutFigures(t *testing.T) {
	row, budget := refused(), q4()
	row.Reason, row.Field, row.BoundUSD = ptr(string(accounting.ReasonTagRequired)), ptr("X-Lead-ID"), nil
	row.Budgets[0] = accounting.DecisionShare{BudgetID: "q4", Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonTagRequired, Limit: money("12.5")}
	e := explained(row, budget)
	require.Equal(t, "Budget Q4 outreach (q4), hard: 12.5 USD a month. It is divided by a tag that the call did not have (X-Lead-ID): the call was refused.", e.Budgets[0].Words)
	require.Nil(t, e.Budgets[0].PeriodStart)
	require.Nil(t, e.Budgets[0].ResetsAt)
	require.Contains(t, e.WhatToDo, "Send the header (X-Lead-ID)")
}

func TestACallThatPassedUndecidedIsExplained(t *testing.T) {
	row := refused()
	row.Verdict, row.Reason, row.Budgets = accounting.VerdictAllowed, ptr(string(accounting.ReasonNotLoaded)), nil
	require.Equal(t, "The call was sent, although this replica could not read yet what it needs to know of budgets.", explained(row).Summary)
}

func TestTheWayToABoundIsTold(t *testing.T) {
	row := refused()
	row.Reason, row.Field, row.Detail, row.BoundUSD = ptr(string(accounting.ReasonNoBound)), ptr("plugins[0]"), ptr("plugins[0] is a plugin; leave it out."), nil
	row.Budgets[0].Reason = accounting.ReasonNoBound
	require.Equal(t, "Change what has no bound (plugins[0]), or use a soft budget, which needs none; docs/budgets.md says what bounds a call. "+
		"The caller was told: plugins[0] is a plugin; leave it out.", explained(row, q4()).WhatToDo)
}

func TestADowngradeIsExplained(t *testing.T) {
	row := refused()
	row.Verdict, row.Reason, row.DowngradedTo = accounting.VerdictDowngraded, ptr(string(accounting.ReasonExceeded)), ptr("openai/gpt-5-mini")
	row.Budgets[0].Verdict, row.Budgets[0].Reason = accounting.VerdictDowngraded, accounting.ReasonExceeded
	e := explained(row, q4())
	require.Equal(t, "The call was sent with openai/gpt-5-mini in place of anthropic/claude-sonnet-4.5: settled spend of a budget had reached its limit.", e.Summary)
	require.True(t, strings.HasSuffix(e.Budgets[0].Words, "Settled spend had reached the limit: the call was sent with openai/gpt-5-mini."), e.Budgets[0].Words)
}

func TestABudgetThatLetACallPassIsNotBlamedForItsRefusal(t *testing.T) {
	row := refused()
	other := row.Budgets[0]
	other.BudgetID, other.Verdict, other.Reason, other.Settled = "roomy", accounting.VerdictAllowed, accounting.ReasonNone, money("0")
	wanting := other
	wanting.BudgetID, wanting.Verdict, wanting.Reason = "wanting", accounting.VerdictDowngraded, accounting.ReasonExceeded
	row.Budgets = append(row.Budgets, other, wanting)
	e := explained(row, q4())
	require.Contains(t, e.Budgets[1].Words, "The limit was not reached: it would have let the call pass.")
	require.Contains(t, e.Budgets[2].Words, "it asked for another model, with which the call could not be sent.")
}

func TestAMergedRefusalSaysThatItStandsForOthers(t *testing.T) {
	row := refused()
	other := accounting.NewRequestID(row.CreatedAt, 2, 2)
	row.Calls, row.Count = []accounting.RequestID{other}, 37
	h := withBudgets(t, &fakeBudgets{decisions: []accounting.DecisionRow{row}, budgets: []accounting.Budget{q4()}})
	e := dataOf[explanation](t, get(h, "/api/guard/explain/"+other.String()), http.StatusOK)
	require.Equal(t, other, e.ID)
	require.Contains(t, e.Summary, "37 calls like it were refused within the same second and stand in one row, under the id of the first, "+row.ID.String())
}

func TestACallToWhichNothingAppliedIsToldSo(t *testing.T) {
	sent := call(1, "q4", "0.5")
	h := newHandler(t, &fakeUsage{page: accounting.UsagePage{Rows: []accounting.UsageRow{sent}}}, func(o *Options) {
		o.Budgets = &BudgetOptions{Store: &fakeBudgets{}}
	})
	e := dataOf[explanation](t, get(h, "/api/guard/explain/"+sent.ID.String()), http.StatusOK)
	require.Equal(t, accounting.VerdictAllowed, e.Verdict)
	require.Contains(t, e.Summary, "No budget and no stop applied")
	require.Nil(t, e.Decision)
	require.Empty(t, e.Budgets)
	unknown := accounting.NewRequestID(sent.CreatedAt, 9, 9)
	require.Contains(t, problemIn(t, get(h, "/api/guard/explain/"+unknown.String()), http.StatusNotFound).Detail, "Recording takes about a second")
	problemIn(t, get(h, "/api/guard/explain/7"), http.StatusUnprocessableEntity)
}
