package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// send sends JSON with the token.
func send(h http.Handler, method, target, body string) *http.Response {
	return request(h, method, target, body, "Authorization", "Bearer "+token, "Content-Type", "application/json")
}

// dataOf reads the data of an answer.
func dataOf[T any](t *testing.T, res *http.Response, status int) T {
	t.Helper()
	body := bodyOf(t, res)
	require.Equal(t, status, res.StatusCode, body)
	var answer envelope[T]
	require.NoError(t, json.Unmarshal([]byte(body), &answer), body)
	require.True(t, answer.Success)
	return answer.Data
}

func TestABudgetIsMadeOfWhatWasSentAndTheDefaults(t *testing.T) {
	store := &fakeBudgets{}
	h := withBudgets(t, store)
	res := send(h, "POST", "/api/budgets", `{"name":"All","period":"day","limit":0.000000000001,"mode":"soft"}`)
	require.Equal(t, "/api/budgets/all", res.Header.Get("Location"))
	body := bodyOf(t, res)
	require.Equal(t, http.StatusCreated, res.StatusCode, body)
	require.Contains(t, body, `"limit":0.000000000001,`)
	require.NotContains(t, body, "null,\"essential", "lists are never null")
	require.Equal(t, accounting.Budget{
		Name: "All", Period: accounting.PeriodDay, Timezone: "UTC", Limit: money("0.000000000001"), Currency: accounting.USD,
		Mode: accounting.ModeSoft, Thresholds: []int{50, 75, 90, 100}, Enabled: true, OnExceed: accounting.ExceedBlock,
		Bound: accounting.BoundComputed, Origin: "api",
	}, store.made[0])
	require.Equal(t, "admin token", store.actorSeen)
}

func TestABudgetIsMadeWithEverythingThatCanBeSet(t *testing.T) {
	store := &fakeBudgets{}
	h := withBudgets(t, store)
	key := strings.Repeat("ab", 32)
	made := dataOf[accounting.Budget](t, send(h, "POST", "/api/budgets", `{"id":"mine","name":"Mine",
		"scope":{"campaign_id":"q4","purpose":"research","platform":null,"model":"a/b","key":"`+strings.ToUpper(key)+`"},
		"each":"lead_id","period":"week","timezone":"Europe/Berlin","starts_at":"2026-11-01T00:00:00+01:00","ends_at":"2027-01-01T00:00:00Z",
		"limit":12.5,"currency":"EUR","mode":"hard","thresholds":[100,80],"on_exceed":"downgrade","downgrade_to":"c/d",
		"essential_purposes":["follow_up"],"essential_share":0.2,"bound":"provider","enabled":false}`), http.StatusCreated)
	starts, ends := time.Date(2026, 10, 31, 23, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	want := accounting.Budget{
		ID: "mine", Name: "Mine", Scope: accounting.Scope{CampaignID: "q4", Purpose: "research", Model: "a/b", Key: key},
		Each: accounting.EachLead, Period: accounting.PeriodWeek, Timezone: "Europe/Berlin", StartsAt: &starts, EndsAt: &ends,
		Limit: money("12.5"), Currency: accounting.EUR, Mode: accounting.ModeHard, Thresholds: []int{80, 100},
		OnExceed: accounting.ExceedDowngrade, DowngradeTo: "c/d", EssentialPurposes: []string{"follow_up"}, EssentialShare: money("0.2"),
		Bound: accounting.BoundProvider, Origin: "api",
	}
	require.Equal(t, want, store.made[0])
	want.NonessentialPurposes = []string{}
	require.Equal(t, want, made)

	// As the requirement writes it, with null where nothing is meant.
	dataOf[accounting.Budget](t, send(h, "POST", "/api/budgets", `{"name":"n","scope":null,"each":null,"period":"total","limit":0,"currency":"USD",
		"mode":"alert","thresholds":[],"on_exceed":"warn","downgrade_to":null,"essential_purposes":[],"enabled":true}`), http.StatusCreated)
	require.Empty(t, store.made[1].Thresholds)
	require.True(t, store.made[1].Scope.IsZero())
}

func TestWhatCannotBeABudgetIsToldByField(t *testing.T) {
	store := &fakeBudgets{}
	h := withBudgets(t, store)
	with := func(member string) string {
		return `{"name":"n","period":"day","limit":1,"mode":"soft",` + member + `}`
	}
	for body, field := range map[string]string{
		`{"period":"day","limit":1,"mode":"soft"}`:                "name",
		`{"name":"n","limit":1,"mode":"soft"}`:                    "period",
		`{"name":"n","period":"day","mode":"soft"}`:               "limit",
		`{"name":"n","period":"day","limit":1}`:                   "mode",
		`{"name":"n","period":"year","limit":1,"mode":"soft"}`:    "period",
		`{"name":"n","period":"day","limit":-1,"mode":"soft"}`:    "limit",
		`{"name":"n","period":"day","limit":"1","mode":"soft"}`:   "limit",
		`{"name":"n","period":"day","limit":1e300,"mode":"soft"}`: "limit",
		`{"name":"n","period":"day","limit":1,"mode":"strict"}`:   "mode",
		with(`"limits":2`):                                                          "limits",
		with(`"scope":{"campaign":"q4"}`):                                           "scope.campaign",
		with(`"scope":{"campaign_id":""}`):                                          "scope.campaign_id",
		with(`"scope":{"campaign_id":" q4"}`):                                       "scope.campaign_id",
		with(`"scope":{"platform":"a\u0000b"}`):                                     "scope.platform",
		with(`"scope":{"purpose":"world_peace"}`):                                   "scope.purpose",
		with(`"scope":{"key":"production"}`):                                        "scope.key",
		with(`"scope":{"key":"sk-or-v1-0123456789"}`):                               "scope.key",
		with(`"each":"sequence_id"`):                                                "each",
		with(`"each":"campaign_id","scope":{"campaign_id":"q4"}`):                   "each",
		with(`"timezone":"Mars/Olympus"`):                                           "timezone",
		with(`"timezone":"Local"`):                                                  "timezone",
		with(`"starts_at":"tomorrow"`):                                              "starts_at",
		with(`"starts_at":"2026-11-02T00:00:00Z","ends_at":"2026-11-01T00:00:00Z"`): "ends_at",
		with(`"currency":"GBP"`):                                                    "currency",
		with(`"thresholds":[0]`):                                                    "thresholds",
		with(`"thresholds":[50.5]`):                                                 "thresholds",
		with(`"on_exceed":"downgrade"`):                                             "downgrade_to",
		with(`"downgrade_to":"a/b"`):                                                "downgrade_to",
		with(`"essential_purposes":["world_peace"]`):                                "essential_purposes",
		with(`"essential_share":1.5`):                                               "essential_share",
		with(`"bound":"hope"`):                                                      "bound",
		with(`"id":"Q4!"`):                                                          "id",
		with(`"id":"status"`):                                                       "id",
		`{"name":"Leases","period":"day","limit":1,"mode":"soft"}`:                  "id",
		with(`"enabled":"yes"`):                                                     "enabled",
		with(`"counts_from":"2026-11-01T00:00:00Z"`):                                "counts_from",
	} {
		p := problemIn(t, send(h, "POST", "/api/budgets", body), http.StatusUnprocessableEntity)
		require.NotEmpty(t, p.Errors, body)
		require.Contains(t, p.Errors[0].Field, field, body)
		for _, e := range p.Errors {
			require.NotContains(t, e.Value+e.Message+e.Allowed, "sk-or-v1", body)
		}
	}
	p := problemIn(t, send(h, "POST", "/api/budgets", with(`"scope":{"key":"nobody"}`)), http.StatusUnprocessableEntity)
	require.Contains(t, p.Errors[0].Message, "BURSAR_BUDGETS_KEY_LABELS")
	require.Contains(t, p.Errors[0].Allowed, "or main-account", "the labels that there are")
	require.Contains(t, p.Errors[0].Allowed, "sha256sum")
	p = problemIn(t, send(h, "POST", "/api/budgets", `{"name":"n","period":"day","limit":-1,"mode":"hard","on_exceed":"warn","timezone":"X"}`), http.StatusUnprocessableEntity)
	require.Len(t, p.Errors, 3, "everything is told at once")
	problemIn(t, send(h, "POST", "/api/budgets", `{"name":"`+strings.Repeat("n", maxBudgetBytes)+`"}`), http.StatusRequestEntityTooLarge)
	require.Empty(t, store.made)
}

func TestABudgetWithTheIDOfAnotherIsAConflict(t *testing.T) {
	h := withBudgets(t, &fakeBudgets{err: accounting.ErrBudgetExists})
	p := problemIn(t, send(h, "POST", "/api/budgets", `{"id":"q4","name":"n","period":"day","limit":1,"mode":"soft"}`), http.StatusConflict)
	require.Contains(t, p.Detail, "q4")
}

func TestBudgetsAreListedAndFoundWithEveryDigit(t *testing.T) {
	each := q4()
	each.ID, each.Scope, each.Each, each.Limit = "each-lead", accounting.Scope{}, accounting.EachLead, money("0.10")
	resets := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	status := func(b accounting.Budget, value, settled string) accounting.BudgetStatus {
		return accounting.BudgetStatus{Budget: b, EachValue: value, PeriodStart: b.CountsFrom, ResetsAt: &resets, Limit: b.Limit,
			Settled: money(settled), Percent: usd("99.99999999999999999999"), State: "warning"}
	}
	store := &fakeBudgets{budgets: []accounting.Budget{q4(), each}, statuses: []accounting.BudgetStatus{status(each, "l-1", "0.09"), status(each, "l-2", "0.01")}}
	h := withBudgets(t, store)

	body := bodyOf(t, get(h, "/api/budgets"))
	require.Contains(t, body, `"limit":12.5,"currency":"USD"`)
	require.Contains(t, body, `"scope":{"campaign_id":"q4"},"each":""`)
	require.Contains(t, body, `"essential_purposes":[],"nonessential_purposes":[]`)

	res := get(h, "/api/budgets/each-lead?limit=2")
	body = bodyOf(t, res)
	require.Equal(t, http.StatusOK, res.StatusCode, body)
	require.Equal(t, "each-lead", store.asked)
	require.Equal(t, 2, store.askedHow)
	var found struct {
		Data struct {
			ID     string
			Status []map[string]json.RawMessage
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &found))
	require.Equal(t, "each-lead", found.Data.ID)
	require.Len(t, found.Data.Status, 2)
	require.Equal(t, `"l-1"`, string(found.Data.Status[0]["each_value"]))
	require.Equal(t, "99.99999999999999999999", string(found.Data.Status[0]["percent"]))
	require.Equal(t, "null", string(found.Data.Status[0]["burn_rate"]), "unknown is not zero")
	require.NotContains(t, found.Data.Status[0], "budget")

	statuses := dataOf[budgetStatusList](t, get(h, "/api/budgets/status?id=each-lead&limit=7"), http.StatusOK)
	require.Equal(t, 7, store.askedHow)
	require.Equal(t, "each-lead", statuses.Status[0].Budget.ID)
	require.Equal(t, "0.09", statuses.Status[0].Settled.String())

	store.statuses = nil
	require.Empty(t, dataOf[budgetStatusList](t, get(h, "/api/budgets/status?id=each-lead"), http.StatusOK).Status, "nobody has spent anything yet")
	require.Empty(t, dataOf[budgetStatusList](t, get(h, "/api/budgets/status"), http.StatusOK).Status)
	require.Empty(t, store.asked)
	for _, target := range []string{"/api/budgets/nope", "/api/budgets/status?id=nope"} {
		require.Contains(t, problemIn(t, get(h, target), http.StatusNotFound).Detail, "nope")
	}
	for _, target := range []string{"/api/budgets?mode=hard", "/api/budgets/status?budget=q4", "/api/budgets/status?limit=0", "/api/budgets/q4?values=3", "/api/budgets/status?id=a&id=b"} {
		problemIn(t, get(h, target), http.StatusUnprocessableEntity)
	}
	store.err = errors.New("dial 10.1.2.3: SELECT secret")
	for _, target := range []string{"/api/budgets", "/api/budgets/q4", "/api/budgets/status", "/api/guard/decisions", "/api/alerts"} {
		require.NotContains(t, problemIn(t, get(h, target), http.StatusInternalServerError).Detail, "secret")
	}
}

func TestAChangeLeavesWhatWasNotSent(t *testing.T) {
	store := &fakeBudgets{budgets: []accounting.Budget{q4()}}
	h := withBudgets(t, store)
	after := dataOf[accounting.Budget](t, send(h, "PATCH", "/api/budgets/q4", `{"limit":20.10,"enabled":false,"ends_at":"2027-01-01T00:00:00Z"}`), http.StatusOK)
	require.Equal(t, "20.1", after.Limit.String())
	require.False(t, after.Enabled)
	require.Equal(t, "Q4 outreach", after.Name)
	c := store.changes[0]
	require.Equal(t, 2027, (*c.EndsAt).Year())
	require.Equal(t, accounting.BudgetChange{Limit: c.Limit, Enabled: c.Enabled, EndsAt: c.EndsAt}, c)
	require.Equal(t, "admin token", store.actorSeen)

	dataOf[accounting.Budget](t, send(h, "PATCH", "/api/budgets/q4", `{"ends_at":null,"mode":"soft","thresholds":[],"on_exceed":"warn"}`), http.StatusOK)
	c = store.changes[1]
	require.NotNil(t, c.EndsAt)
	require.Nil(t, *c.EndsAt, "null is no end, and not the same as nothing sent")
	require.Empty(t, *c.Thresholds)
	require.Nil(t, c.Limit)
}

func TestABudgetThatDowngradesNoLongerHasNoModelToDowngradeTo(t *testing.T) {
	b := q4()
	b.OnExceed, b.DowngradeTo = accounting.ExceedDowngrade, "a/b"
	store := &fakeBudgets{budgets: []accounting.Budget{b}}
	after := dataOf[accounting.Budget](t, send(withBudgets(t, store), "PATCH", "/api/budgets/q4", `{"on_exceed":"block"}`), http.StatusOK)
	require.Empty(t, after.DowngradeTo)
}

func TestAChangeOfPurposesThatAreNoLongerConfiguredIsRefusedOnlyWhereTheyAreSent(t *testing.T) {
	b := q4()
	b.EssentialPurposes = []string{"once_configured"}
	store := &fakeBudgets{budgets: []accounting.Budget{b}}
	h := withBudgets(t, store)
	dataOf[accounting.Budget](t, send(h, "PATCH", "/api/budgets/q4", `{"limit":1}`), http.StatusOK)
	p := problemIn(t, send(h, "PATCH", "/api/budgets/q4", `{"essential_purposes":["once_configured"]}`), http.StatusUnprocessableEntity)
	require.Equal(t, "essential_purposes", p.Errors[0].Field)
}

func TestWhatCannotBeChangedIsToldWithTheWayOut(t *testing.T) {
	store := &fakeBudgets{budgets: []accounting.Budget{q4()}}
	h := withBudgets(t, store)
	for _, field := range []string{"scope", "each", "period", "timezone", "currency", "starts_at", "id"} {
		for _, value := range []string{`"day"`, `null`, `{"campaign_id":"q4"}`} {
			p := problemIn(t, send(h, "PATCH", "/api/budgets/q4", `{"`+field+`":`+value+`,"limit":1}`), http.StatusUnprocessableEntity)
			require.Equal(t, field, p.Errors[0].Field)
			require.Contains(t, p.Errors[0].Message, "cannot be changed")
			require.Contains(t, p.Errors[0].Allowed, "make another budget")
		}
	}
	for body, field := range map[string]string{
		`{}`: "body", `{"limt":1}`: "limt", `{"limit":-1}`: "limit", `{"on_exceed":"warn"}`: "on_exceed", `{"ends_at":"soon"}`: "ends_at",
		`{"on_exceed":"downgrade"}`: "downgrade_to", `{"essential_share":2}`: "essential_share", `{"mode":"strict"}`: "mode", `{"name":""}`: "name",
	} {
		p := problemIn(t, send(h, "PATCH", "/api/budgets/q4", body), http.StatusUnprocessableEntity)
		require.Contains(t, p.Errors[0].Field, field, body)
	}
	require.Empty(t, store.changes)
	problemIn(t, send(h, "PATCH", "/api/budgets/nope", `{"limit":1}`), http.StatusNotFound)
}

func TestABudgetIsDeletedInTheNameOfWhoeverAsked(t *testing.T) {
	store := &fakeBudgets{budgets: []accounting.Budget{q4()}}
	h := withBudgets(t, store)
	require.JSONEq(t, `{"success":true,"data":{"id":"q4"}}`, bodyOf(t, send(h, "DELETE", "/api/budgets/q4?reason=over", "")))
	require.Equal(t, []string{"delete q4 by admin token: over"}, store.done)
	problemIn(t, send(h, "DELETE", "/api/budgets/nope", ""), http.StatusNotFound)
	problemIn(t, send(h, "DELETE", "/api/budgets/q4?because=over", ""), http.StatusUnprocessableEntity)
	problemIn(t, send(h, "DELETE", "/api/budgets/q4?reason=sk-or-v1-0123456789", ""), http.StatusUnprocessableEntity)
	require.Len(t, store.done, 1)
}

func TestRoutesOfBudgetsNeedTheTokenAndSomethingBehindThem(t *testing.T) {
	store := &fakeBudgets{budgets: []accounting.Budget{q4()}}
	h, bare := withBudgets(t, store), newHandler(t, &fakeUsage{}, nil)
	for _, route := range []string{
		"GET /api/budgets", "POST /api/budgets", "GET /api/budgets/status", "GET /api/budgets/q4", "PATCH /api/budgets/q4", "DELETE /api/budgets/q4",
		"GET /api/budgets/leases", "POST /api/budgets/leases/r/release", "GET /api/guard/decisions", "GET /api/guard/decisions/x", "GET /api/guard/explain/x",
		"PUT /api/guard/emergency-stop", "GET /api/guard/emergency-stop", "DELETE /api/guard/emergency-stop", "DELETE /api/guard/emergency-stop/x",
		"GET /api/alerts", "POST /api/alerts/1/acknowledge", "POST /api/alerts/test",
	} {
		method, target, _ := strings.Cut(route, " ")
		problemIn(t, request(h, method, target, `{}`, "Content-Type", "application/json"), http.StatusUnauthorized)
		problemIn(t, request(bare, method, target, `{}`, "Content-Type", "application/json", "Authorization", "Bearer "+token), http.StatusNotFound)
	}
	require.Empty(t, store.made)
	_, err := New(Options{Budgets: &BudgetOptions{}})
	require.ErrorContains(t, err, "Budgets.Store is nil")
}

func TestADatabaseThatDoesNotAnswerIsSaidToBeLate(t *testing.T) {
	require.NoError(t, lateOr(context.Background(), context.Background(), nil))
	h := withBudgets(t, &fakeBudgets{err: context.DeadlineExceeded})
	p := problemIn(t, get(h, "/api/budgets"), http.StatusServiceUnavailable)
	require.Contains(t, p.Detail, "did not answer")
}

func TestAKeyIsNamedByItsLabelOrItsFingerprint(t *testing.T) {
	store := &fakeBudgets{}
	h := withBudgets(t, store)
	for _, key := range []string{"main-account", strings.Repeat("ab", 32), strings.Repeat("AB", 32)} {
		send(h, "POST", "/api/budgets", `{"name":"n","period":"day","limit":1,"mode":"hard","scope":{"key":"`+key+`"}}`)
	}
	require.Len(t, store.made, 3)
	for _, b := range store.made {
		require.Equal(t, strings.Repeat("ab", 32), b.Scope.Key)
	}
}
