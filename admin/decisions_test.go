package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// refused is a decision of a hard budget that had no room.
func refused() accounting.DecisionRow {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	return accounting.DecisionRow{
		ID: accounting.NewRequestID(at, 1, 1), CreatedAt: at, Verdict: accounting.VerdictBlocked, Reason: ptr(string(accounting.ReasonNoRoom)),
		CampaignID: ptr("q4"), Model: ptr("anthropic/claude-sonnet-4.5"), BoundUSD: usd("0.300000000000001"), Count: 1,
		Budgets: []accounting.DecisionShare{{
			BudgetID: "q4", PeriodStart: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonNoRoom,
			Limit: money("12.5"), Settled: money("12.1"), Reserved: money("0.2"), Charge: money("0"),
		}},
	}
}

func TestDecisionsAreListedByFilter(t *testing.T) {
	store := &fakeBudgets{decisions: []accounting.DecisionRow{refused()}, cursor: "older"}
	h := withBudgets(t, store)
	list := dataOf[decisionList](t, get(h, "/api/guard/decisions?verdict=blocked&reason=budget_no_room&budget=q4&campaign_id=c&lead_id=l&email_id=e"+
		"&purpose=p&model=m&since=2026-11-01T00:00:00Z&until=2026-12-01T00:00:00Z&limit=7&cursor=newer"), http.StatusOK)
	require.Equal(t, "older", *list.NextCursor)
	require.Equal(t, tidyDecision(refused()), list.Rows[0])
	require.Equal(t, accounting.DecisionFilter{
		Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonNoRoom, BudgetID: "q4", CampaignID: "c", LeadID: "l", EmailID: "e", Purpose: "p", Model: "m",
		Since: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Limit: 7, Cursor: "newer",
	}, store.decided)
	body := bodyOf(t, get(h, "/api/guard/decisions"))
	require.Contains(t, body, `"bound_usd":0.300000000000001`)
	require.Contains(t, body, `"calls":[]`)

	store.decisions, store.cursor = nil, ""
	require.JSONEq(t, `{"success":true,"data":{"rows":[],"next_cursor":null,"searched_to":null}}`, bodyOf(t, get(h, "/api/guard/decisions")))
	store.cursor, store.searched = "older", ptr(time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC))
	require.JSONEq(t, `{"success":true,"data":{"rows":[],"next_cursor":"older","searched_to":"2026-11-02T10:00:00Z"}}`, bodyOf(t, get(h, "/api/guard/decisions?model=m")))
	for _, query := range []string{"verdict=fine", "reason=bad_luck", "limit=0", "campaign=q4", "since=today", "since=2026-11-02T00:00:00Z&until=2026-11-01T00:00:00Z", "model=a&model=b"} {
		problemIn(t, get(h, "/api/guard/decisions?"+query), http.StatusUnprocessableEntity)
	}
	store.err = accounting.ErrBadCursor
	require.Equal(t, "cursor", problemIn(t, get(h, "/api/guard/decisions?cursor=x"), http.StatusUnprocessableEntity).Errors[0].Field)
}

func TestADecisionIsFoundByEachOfItsCalls(t *testing.T) {
	row := refused()
	other := accounting.NewRequestID(row.CreatedAt, 2, 2)
	row.Calls, row.Count = []accounting.RequestID{other}, 2
	h := withBudgets(t, &fakeBudgets{decisions: []accounting.DecisionRow{row}})
	for _, id := range []accounting.RequestID{row.ID, other} {
		require.Equal(t, row, dataOf[accounting.DecisionRow](t, get(h, "/api/guard/decisions/"+id.String()), http.StatusOK))
	}
	p := problemIn(t, get(h, "/api/guard/decisions/"+accounting.NewRequestID(row.CreatedAt, 3, 3).String()), http.StatusNotFound)
	require.Contains(t, p.Detail, "no budget and no stop applied")
	problemIn(t, get(h, "/api/guard/decisions/7"), http.StatusUnprocessableEntity)
}

func TestAlertsAreListedByFilter(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	store := &fakeBudgets{cursor: "older", alerts: []accounting.Alert{{
		ID: 9, Key: "k", Kind: "budget_threshold", Severity: accounting.SeverityWarning, Subject: "budget/q4", Title: "t", Text: "x", CreatedAt: at,
		Data: json.RawMessage(`{"limit":12.50}`), Deliveries: []accounting.AlertDelivery{{AlertID: 9, Channel: "slack-1a2b3c4d", State: "delivered", Attempts: 1, DeliveredAt: &at}},
	}, {ID: 8, CreatedAt: at}}}
	h := withBudgets(t, store)
	body := bodyOf(t, get(h, "/api/alerts?kind=k&severity=warning&subject=s&unacknowledged=true&since=2026-11-01T00:00:00Z&until=2026-12-01T00:00:00Z&limit=7&cursor=newer"))
	require.Contains(t, body, `"data":{"limit":12.50}`)
	require.Contains(t, body, `"deliveries":[{"channel":"slack-1a2b3c4d","state":"delivered","attempts":1,"next_at":null,"delivered_at":"2026-11-22T10:00:00Z","error":null}]`)
	require.Contains(t, body, `"data":{},"created_at"`)
	require.Contains(t, body, `"next_cursor":"older"`)
	from, to := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, accounting.AlertFilter{Kind: "k", Severity: accounting.SeverityWarning, Subject: "s", Unacknowledged: true, From: &from, To: &to, Limit: 7, Cursor: "newer"}, store.alerted)

	store.alerts, store.cursor = nil, ""
	require.JSONEq(t, `{"success":true,"data":{"alerts":[],"next_cursor":null}}`, bodyOf(t, get(h, "/api/alerts")))
	require.Equal(t, accounting.AlertFilter{Limit: 50}, store.alerted)
	for _, query := range []string{"severity=bad", "limit=0", "acknowledged=false", "unacknowledged=maybe", "since=2026-11-02T00:00:00Z&until=2026-11-01T00:00:00Z"} {
		problemIn(t, get(h, "/api/alerts?"+query), http.StatusUnprocessableEntity)
	}
	store.err = accounting.ErrBadCursor
	require.Equal(t, "cursor", problemIn(t, get(h, "/api/alerts?cursor=x"), http.StatusUnprocessableEntity).Errors[0].Field)
}

func TestAnAlertIsAcknowledgedInTheNameOfWhoeverAsked(t *testing.T) {
	h := withBudgets(t, &fakeBudgets{alerts: []accounting.Alert{{ID: 9}}})
	alert := dataOf[accounting.Alert](t, send(h, "POST", "/api/alerts/9/acknowledge", ""), http.StatusOK)
	require.Equal(t, "admin token", *alert.AcknowledgedBy)
	require.NotNil(t, alert.AcknowledgedAt)
	problemIn(t, send(h, "POST", "/api/alerts/10/acknowledge", ""), http.StatusNotFound)
	problemIn(t, send(h, "POST", "/api/alerts/nine/acknowledge", ""), http.StatusUnprocessableEntity)
}

func TestATestAlertReportsEveryChannel(t *testing.T) {
	tester := &fakeTester{alert: accounting.Alert{ID: 3, Kind: "test", Deliveries: []accounting.AlertDelivery{
		{Channel: "slack-1a2b3c4d", State: "delivered", Attempts: 1}, {Channel: "smtp-5e6f7a8b", State: "failed", Attempts: 1, Error: ptr("535 authentication failed")},
	}}}
	h := withBudgets(t, &fakeBudgets{}, func(o *BudgetOptions) { o.Tester = tester })
	alert := dataOf[accounting.Alert](t, send(h, "POST", "/api/alerts/test", ""), http.StatusOK)
	require.Len(t, alert.Deliveries, 2)
	require.Equal(t, "535 authentication failed", *alert.Deliveries[1].Error)
	require.Equal(t, "admin token", tester.actor)

	tester.alert.Deliveries = nil
	require.Contains(t, problemIn(t, send(h, "POST", "/api/alerts/test", ""), http.StatusConflict).Detail, "No channel")
	tester.err = errors.New("secret")
	require.NotContains(t, problemIn(t, send(h, "POST", "/api/alerts/test", ""), http.StatusInternalServerError).Detail, "secret")
	none := withBudgets(t, &fakeBudgets{}, func(o *BudgetOptions) { o.Tester = nil })
	problemIn(t, send(none, "POST", "/api/alerts/test", ""), http.StatusNotFound)
}

func TestATestAlertThatTakesTooLongIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tester := &fakeTester{err: context.DeadlineExceeded, hook: func(ctx context.Context) { <-ctx.Done() }}
		h := withBudgets(t, &fakeBudgets{}, func(o *BudgetOptions) { o.Tester = tester })
		began := time.Now()
		problemIn(t, send(h, "POST", "/api/alerts/test", ""), http.StatusServiceUnavailable)
		require.Less(t, time.Since(began), Server("", nil).WriteTimeout)
	})
}

func TestRoutesOfBudgetsAreDescribed(t *testing.T) {
	var doc map[string]any
	require.NoError(t, json.Unmarshal([]byte(bodyOf(t, get(withBudgets(t, &fakeBudgets{}), "/openapi.json"))), &doc))
	operations := 0
	for path, item := range at(t, doc, "paths").(map[string]any) {
		for method, operation := range item.(map[string]any) {
			operations++
			require.NotEmpty(t, at(t, operation, "description"), "%s %s", method, path)
			require.NotNil(t, operation.(map[string]any)["security"], "%s %s", method, path)
			parameters, _ := operation.(map[string]any)["parameters"].([]any)
			for _, p := range parameters {
				require.NotEmpty(t, at(t, p, "description"), "%s %s", path, at(t, p, "name"))
				require.NotEmpty(t, at(t, p, "schema", "examples"), "%s %s", path, at(t, p, "name"))
			}
		}
	}
	require.Equal(t, 7+19, operations)

	schemas := at(t, doc, "components", "schemas").(map[string]any)
	for name, schema := range schemas {
		properties, _ := schema.(map[string]any)["properties"].(map[string]any)
		for property, described := range properties {
			if property == "data" || property == "success" {
				continue
			}
			require.NotEmpty(t, described.(map[string]any)["description"], "%s.%s", name, property)
		}
	}
	for columns, described := range map[reflect.Type]map[string]string{
		reflect.TypeFor[accounting.Scope](): scopeColumns, reflect.TypeFor[accounting.BudgetStatus](): budgetStatusColumns,
		reflect.TypeFor[accounting.DecisionRow](): decisionColumns, reflect.TypeFor[accounting.DecisionShare](): decisionShareColumns,
		reflect.TypeFor[accounting.Stop](): stopColumns, reflect.TypeFor[accounting.StopReach](): stopReachColumns, reflect.TypeFor[accounting.Alert](): alertColumns,
		reflect.TypeFor[accounting.LeaseRow](): leaseColumns, reflect.TypeFor[accounting.Replica](): replicaColumns,
	} {
		sent := 0
		for field := range columns.Fields() {
			if field.Tag.Get("json") != "-" {
				sent++
			}
		}
		require.Len(t, described, sent, columns.Name())
	}
	require.Len(t, budgetColumns, reflect.TypeFor[accounting.Budget]().NumField()-1, "all but deleted_at, which is not shown")
	require.Equal(t, "object", at(t, schemas, "Alert", "properties", "data", "type"))
	require.Equal(t, []any{"number", "null"}, at(t, schemas, "BudgetStatus", "properties", "percent", "type"))
	require.Equal(t, []any{"alert", "soft", "hard"}, at(t, schemas, "Budget", "properties", "mode", "enum"))
	require.NotContains(t, at(t, doc, "paths", "/api/budgets/{id}", "patch"), "scope")
	require.Equal(t, "number", at(t, schemas, "BudgetBody", "properties", "limit", "type"))
}

func TestWhatCanBeNullIsDescribedSo(t *testing.T) {
	var doc map[string]any
	require.NoError(t, json.Unmarshal([]byte(bodyOf(t, get(withBudgets(t, &fakeBudgets{}), "/openapi.json"))), &doc))
	schemas := at(t, doc, "components", "schemas")
	require.Equal(t, []any{map[string]any{"$ref": "#/components/schemas/DecisionRow"}, map[string]any{"type": "null"}}, at(t, schemas, "Explanation", "properties", "decision", "anyOf"))
	require.Equal(t, []any{"string", "null"}, at(t, schemas, "ChangeBudgetInputBody", "properties", "ends_at", "type"))
	require.Equal(t, []any{"object", "null"}, at(t, schemas, "ScopeBody", "type"))
	require.NotContains(t, at(t, schemas, "ChangeBudgetInputBody", "properties"), "currency", "it is told only to whoever sends it")
}
