package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakeReconciliations answers with what it was given and remembers what it was
// asked.
type fakeReconciliations struct {
	rows   []accounting.Reconciliation
	err    error
	hook   func(ctx context.Context) // before comparing; may be nil
	filter accounting.ReconciliationFilter
	asked  []string
}

func (f *fakeReconciliations) ListReconciliations(_ context.Context, filter accounting.ReconciliationFilter) ([]accounting.Reconciliation, error) {
	f.filter = filter
	return f.rows, f.err
}

func (f *fakeReconciliations) Reconcile(ctx context.Context, from, to accounting.Day) ([]accounting.Reconciliation, error) {
	f.asked = append(f.asked, fmt.Sprint(from, " ", to))
	if f.hook != nil {
		f.hook(ctx)
	}
	return f.rows, f.err
}

func (f *fakeReconciliations) CloseMonth(_ context.Context, m accounting.Month, by string, now time.Time) (accounting.ClosedMonth, error) {
	f.asked = append(f.asked, fmt.Sprint(m, " by ", by))
	return accounting.ClosedMonth{Month: m, OpenRouterCostUSD: accounting.Amount{Decimal: decimal.RequireFromString("1.00000000000000000001")}, ClosedAt: now, ClosedBy: by}, f.err
}

func withReconciliations(t *testing.T, f *fakeReconciliations) *Handler {
	t.Helper()
	return newHandler(t, &fakeUsage{}, func(o *Options) { o.Reconciliations = f })
}

func TestReconciliationsAreListedWithEveryDigitAndFilter(t *testing.T) {
	day := accounting.DayOf(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC))
	r := accounting.WithoutTheirs(day, accounting.SourceCredits, "", accounting.Spend{Cost: decimal.RequireFromString("0.00000000000000000001")}, "No key.")
	f := &fakeReconciliations{rows: []accounting.Reconciliation{r}}
	res := get(withReconciliations(t, f), "/api/reconciliations?from=2026-11-01&to=2026-11-30&source=credits&verdict=differs&key_fingerprint=fp&limit=7")
	body := bodyOf(t, res)
	require.Equal(t, http.StatusOK, res.StatusCode, body)
	require.Contains(t, body, `"day":"2026-11-21"`)
	require.Contains(t, body, `"ours_usd":0.00000000000000000001,"theirs_usd":null,"difference_usd":null`)
	require.Contains(t, body, `"models":[],"suspects":[]`)
	require.Equal(t, "2026-11-01 2026-11-30", fmt.Sprint(f.filter.From, " ", f.filter.To))
	f.filter.From, f.filter.To = nil, nil
	require.Equal(t, accounting.ReconciliationFilter{Source: "credits", Verdict: "differs", KeyFingerprint: "fp", Limit: 7}, f.filter)

	f.rows = nil
	require.JSONEq(t, `{"success":true,"data":{"rows":[]}}`, bodyOf(t, get(withReconciliations(t, f), "/api/reconciliations")))
	require.Nil(t, f.filter.From)
	for _, query := range []string{"from=yesterday", "to=2026-02-30", "source=guess", "verdict=fine", "limit=0", "form=2026-11-01", "source=key&source=credits"} {
		problemIn(t, get(withReconciliations(t, f), "/api/reconciliations?"+query), http.StatusUnprocessableEntity)
	}
	f.err = errors.New("connection refused")
	p := problemIn(t, get(withReconciliations(t, f), "/api/reconciliations"), http.StatusInternalServerError)
	require.NotContains(t, p.Detail, "refused")
}

func TestDaysAreReconciledOnDemand(t *testing.T) {
	f := &fakeReconciliations{}
	res := post(withReconciliations(t, f), "/api/reconciliations", `{"from":"2026-10-01","to":"2026-10-31"}`)
	require.Equal(t, http.StatusOK, res.StatusCode, bodyOf(t, res))
	require.Equal(t, []string{"2026-10-01 2026-10-31"}, f.asked)

	today := accounting.DayOf(time.Now())
	for body, field := range map[string]string{
		`{"from":"2026-10-02","to":"2026-10-01"}`:                        "to",
		`{"from":"2026-10-01","to":"2026-11-01"}`:                        "to",
		fmt.Sprintf(`{"from":%q,"to":%q}`, today.Add(-1), today):         "to",
		`{"from":"2026-10-32","to":"2026-11-01"}`:                        "from",
		`{"from":"2026-10-01","to":"2026-10-01","sources":["activity"]}`: "sources",
		`{"from":"2026-10-01"}`:                                          "to",
		`{"from":"2026-10-01","to":"` + strings.Repeat("0", 2000) + `"}`: "",
	} {
		res := post(withReconciliations(t, f), "/api/reconciliations", body)
		require.GreaterOrEqual(t, res.StatusCode, 400, body)
		if field != "" {
			p := problemIn(t, res, http.StatusUnprocessableEntity)
			require.Contains(t, p.Errors[0].Field, field, body)
		}
	}
	require.Len(t, f.asked, 1, "nothing of that was begun")
}

func TestAReconciliationThatTakesTooLongSaysWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeReconciliations{err: context.DeadlineExceeded, hook: func(ctx context.Context) { <-ctx.Done() }}
		began := time.Now()
		p := problemIn(t, post(withReconciliations(t, f), "/api/reconciliations", `{"from":"1999-10-01","to":"1999-10-02"}`), http.StatusServiceUnavailable)
		require.Contains(t, p.Detail, "bursar reconcile")
		require.Less(t, time.Since(began), Server("", nil).WriteTimeout)
	})
}

func TestAMonthIsClosedInTheNameOfWhoeverAsked(t *testing.T) {
	f := &fakeReconciliations{}
	res := post(withReconciliations(t, f), "/api/months/2026-10/close", "")
	body := bodyOf(t, res)
	require.Equal(t, http.StatusOK, res.StatusCode, body)
	require.Equal(t, []string{"2026-10 by admin token"}, f.asked)
	require.Contains(t, body, `"openrouter_cost_usd":1.00000000000000000001`)
	require.Contains(t, body, `"month":"2026-10"`)

	f.err = fmt.Errorf("close 2026-10: %w", accounting.ErrMonthNotOver)
	p := problemIn(t, post(withReconciliations(t, f), "/api/months/2026-10/close", ""), http.StatusConflict)
	require.Contains(t, p.Detail, "2026-11-01T00:00:00Z")
	for _, month := range []string{"2026-13", "2026", "october", "2026-1"} {
		problemIn(t, post(withReconciliations(t, f), "/api/months/"+month+"/close", ""), http.StatusUnprocessableEntity)
	}
	require.Equal(t, http.StatusUnauthorized, request(withReconciliations(t, f), http.MethodPost, "/api/months/2026-10/close", "").StatusCode)
}

func TestReconciliationsAreDescribed(t *testing.T) {
	var doc map[string]any
	res := request(withReconciliations(t, &fakeReconciliations{}), "GET", "/openapi.json", "")
	require.NoError(t, json.Unmarshal([]byte(bodyOf(t, res)), &doc))
	for _, operation := range [][]string{{"/api/reconciliations", "get"}, {"/api/reconciliations", "post"}, {"/api/months/{month}/close", "post"}} {
		require.NotEmpty(t, at(t, doc, "paths", operation[0], operation[1], "description"))
		require.Len(t, at(t, doc, "paths", operation[0], operation[1], "security"), 2)
	}
	for columns, described := range map[reflect.Type]map[string]string{
		reflect.TypeFor[accounting.Reconciliation](): reconciliationColumns, reflect.TypeFor[accounting.ModelDifference](): modelDifferenceColumns,
		reflect.TypeFor[accounting.Suspect](): suspectColumns, reflect.TypeFor[accounting.ClosedMonth](): closedMonthColumns,
	} {
		require.Len(t, described, columns.NumField())
		for field := range columns.Fields() {
			property := at(t, doc, "components", "schemas", columns.Name(), "properties", field.Tag.Get("json")).(map[string]any)
			require.NotEmpty(t, property["description"], field.Name)
		}
	}
	require.Equal(t, "string", at(t, doc, "components", "schemas", "Reconciliation", "properties", "day", "type"))
	require.Equal(t, []any{"number", "null"}, at(t, doc, "components", "schemas", "Reconciliation", "properties", "theirs_usd", "type"))
	require.NotContains(t, at(t, description(t), "paths"), "/api/reconciliations", "without anything behind them they do not exist")
}
