package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakeDecisions is a store that answers with what it was given and remembers
// what was decided.
type fakeDecisions struct {
	row accounting.UsageRow
	err error

	mu      sync.Mutex
	decided []decided
}

// decided is one decision; the generation is empty for a dismissal.
type decided struct {
	accounting.Decision
	generation string
}

func (f *fakeDecisions) add(d decided) (accounting.UsageRow, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.decided = append(f.decided, d)
	return f.row, f.err
}

func (f *fakeDecisions) AttachGeneration(_ context.Context, d accounting.Decision, generation string) (accounting.UsageRow, error) {
	return f.add(decided{d, generation})
}

func (f *fakeDecisions) DismissCall(_ context.Context, d accounting.Decision) (accounting.UsageRow, error) {
	return f.add(decided{d, ""})
}

// fakeAudit is a log that answers with what it was given.
type fakeAudit struct {
	page  accounting.AuditPage
	err   error
	asked accounting.AuditFilter
}

func (f *fakeAudit) ListAudit(_ context.Context, filter accounting.AuditFilter) (accounting.AuditPage, error) {
	f.asked = filter
	return f.page, f.err
}

// undecided is a row that waits for somebody.
func undecided() accounting.UsageRow {
	row := call(7, "q4-outreach", "1")
	row.Status, row.CostUSD, row.InlineCostUSD, row.CostSource = accounting.StatusInterrupted, nil, nil, nil
	row.GenerationID, row.HTTPStatus, row.DurationMS = nil, nil, nil
	row.KeyFingerprint = ptr("fp-1")
	return row
}

// post sends JSON with the token.
func post(h http.Handler, target, body string, headers ...string) *http.Response {
	return request(h, http.MethodPost, target, body, append([]string{"Authorization", "Bearer " + token, "Content-Type", "application/json"}, headers...)...)
}

func deciding(t *testing.T, store *fakeDecisions, rows ...accounting.UsageRow) *Handler {
	t.Helper()
	return newHandler(t, &fakeUsage{page: accounting.UsagePage{Rows: rows}}, func(o *Options) { o.Decisions = store })
}

func TestADecisionReachesTheStoreWithWhoTookIt(t *testing.T) {
	row := undecided()
	row.Status = accounting.StatusPending
	store := &fakeDecisions{row: row}
	h := deciding(t, store)
	base := "/api/usage/" + row.ID.String()

	res := post(h, base+"/generation", `{"generation_id":"gen-1790000000-AbC_d","reason":"found it"}`)
	body := bodyOf(t, res)
	require.Equal(t, http.StatusOK, res.StatusCode, body)
	var answer envelope[accounting.UsageRow]
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	require.True(t, answer.Success)
	require.Equal(t, row, answer.Data)

	require.Equal(t, http.StatusOK, post(h, base+"/generation", `{"generation_id":"gen-2"}`).StatusCode, "a reason is not required")
	require.Equal(t, http.StatusOK, post(h, base+"/dismiss", `{"reason":" no such call "}`).StatusCode)
	require.Equal(t, []decided{
		{accounting.Decision{Call: row.ID, Actor: "admin token", Reason: "found it"}, "gen-1790000000-AbC_d"},
		{accounting.Decision{Call: row.ID, Actor: "admin token"}, "gen-2"},
		{accounting.Decision{Call: row.ID, Actor: "admin token", Reason: "no such call"}, ""},
	}, store.decided)
}

func TestWhoDecidesWithoutATokenIsLoopback(t *testing.T) {
	store := &fakeDecisions{}
	h := newHandler(t, &fakeUsage{}, func(o *Options) { o.Token, o.Decisions = "", store })
	res := request(h, "POST", "/api/usage/"+undecided().ID.String()+"/dismiss", `{"reason":"x"}`, "Content-Type", "application/json")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "loopback", store.decided[0].Actor)
}

func TestADecisionNeedsTheToken(t *testing.T) {
	store := &fakeDecisions{}
	h := deciding(t, store, undecided())
	id := undecided().ID.String()
	for _, target := range []string{"/api/usage/" + id + "/generation", "/api/usage/" + id + "/dismiss", "/calls/" + id + "/generation", "/calls/" + id + "/dismiss"} {
		problemIn(t, request(h, "POST", target, `{"reason":"x","generation_id":"gen-1"}`, "Content-Type", "application/json"), http.StatusUnauthorized)
	}
	for _, target := range []string{"/api/audit", "/api/usage/" + id, "/calls/" + id} {
		problemIn(t, request(h, "GET", target, ""), http.StatusUnauthorized)
	}
	require.Empty(t, store.decided)
}

func TestADecisionThatCannotBeTakenSaysWhy(t *testing.T) {
	id := undecided().ID.String()
	store := &fakeDecisions{err: &accounting.DecisionError{Reason: "The call is settled: only …"}}
	h := deciding(t, store)
	for _, what := range []string{"/generation", "/dismiss"} {
		body := `{"generation_id":"gen-1","reason":"x"}`
		if what == "/dismiss" {
			body = `{"reason":"x"}`
		}
		store.err = &accounting.DecisionError{Reason: "The call is settled: only …"}
		require.Equal(t, "The call is settled: only …", problemIn(t, post(h, "/api/usage/"+id+what, body), http.StatusConflict).Detail)
		store.err = accounting.ErrUnknownCall
		require.Contains(t, problemIn(t, post(h, "/api/usage/"+id+what, body), http.StatusNotFound).Detail, id)
		store.err = errors.New("dial 10.1.2.3: SELECT secret")
		require.NotContains(t, problemIn(t, post(h, "/api/usage/"+id+what, body), http.StatusInternalServerError).Detail, "secret")
	}
}

func TestWhatCannotBeADecisionNeverReachesTheStore(t *testing.T) {
	store := &fakeDecisions{}
	h := deciding(t, store)
	base := "/api/usage/" + undecided().ID.String()
	for name, tt := range map[string]struct {
		target, body string
		status       int
		field        string
	}{
		"no id of a call":         {"/api/usage/gen-1/dismiss", `{"reason":"x"}`, 422, "id"},
		"a request id":            {base + "/generation", `{"generation_id":"01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071"}`, 422, "generation_id"},
		"a key as generation":     {base + "/generation", `{"generation_id":"sk-or-v1-0123456789"}`, 422, "generation_id"},
		"an empty generation":     {base + "/generation", `{"generation_id":""}`, 422, "generation_id"},
		"markup":                  {base + "/generation", `{"generation_id":"gen-<script>"}`, 422, "generation_id"},
		"a generation too long":   {base + "/generation", `{"generation_id":"gen-` + strings.Repeat("a", 300) + `"}`, 422, "generation_id"},
		"no reason":               {base + "/dismiss", `{"reason":" "}`, 422, "reason"},
		"a reason too long":       {base + "/dismiss", `{"reason":"` + strings.Repeat("ä", 300) + `"}`, 422, "reason"},
		"a key in the reason":     {base + "/dismiss", `{"reason":"asked with sk-or-v1-0123456789"}`, 422, "reason"},
		"NUL":                     {base + "/dismiss", `{"reason":"a\u0000b"}`, 422, "reason"},
		"a member nobody knows":   {base + "/dismiss", `{"reason":"x","cost_usd":0}`, 422, "cost_usd"},
		"a body of another shape": {base + "/dismiss", `["x"]`, 422, ""},
		"not JSON":                {base + "/dismiss", `reason=x`, 400, ""},
		"a body too large":        {base + "/dismiss", `{"reason":"` + strings.Repeat("x", 9000) + `"}`, 413, ""},
	} {
		p := problemIn(t, post(h, tt.target, tt.body), tt.status)
		if tt.field != "" {
			require.Len(t, p.Errors, 1, name)
			require.Contains(t, p.Errors[0].Field, tt.field, name)
		}
		for _, e := range p.Errors {
			require.NotContains(t, e.Value+e.Message, "sk-or-v1-0123456789", name)
		}
	}
	require.Empty(t, store.decided)
}

func TestOneCallIsFoundByItsID(t *testing.T) {
	row := undecided()
	h := deciding(t, &fakeDecisions{}, row)
	body := bodyOf(t, get(h, "/api/usage/"+row.ID.String()))
	var answer envelope[accounting.UsageRow]
	require.NoError(t, json.Unmarshal([]byte(body), &answer), body)
	require.Equal(t, row, answer.Data)
	problemIn(t, get(h, "/api/usage/"+call(8, "", "1").ID.String()), http.StatusNotFound)
	problemIn(t, get(h, "/api/usage/7"), http.StatusUnprocessableEntity)
}

func TestTheAuditLogIsListed(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	log := &fakeAudit{page: accounting.AuditPage{Entries: []accounting.AuditEntry{{
		ID: 9, At: at, Actor: "admin token", Action: accounting.ActionDismiss, Subject: "usage/x", Reason: ptr("why"),
		Before: json.RawMessage(`{"status":"interrupted"}`),
	}}, NextCursor: "older"}}
	h := newHandler(t, &fakeUsage{}, func(o *Options) { o.Audit = log })
	res := get(h, "/api/audit?subject=usage/x&limit=7&cursor=newer")
	require.JSONEq(t, `{"success":true,"data":{"next_cursor":"older","entries":[{"id":9,"at":"2026-11-22T10:00:00Z","actor":"admin token",
		"action":"call.dismiss","subject":"usage/x","reason":"why","before":{"status":"interrupted"},"after":null}]}}`, bodyOf(t, res))
	require.Equal(t, accounting.AuditFilter{Subject: "usage/x", Limit: 7, Cursor: "newer"}, log.asked)

	log.page = accounting.AuditPage{}
	require.JSONEq(t, `{"success":true,"data":{"next_cursor":null,"entries":[]}}`, bodyOf(t, get(h, "/api/audit")))
	log.err = accounting.ErrBadCursor
	require.Equal(t, "cursor", problemIn(t, get(h, "/api/audit?cursor=x"), http.StatusUnprocessableEntity).Errors[0].Field)
	problemIn(t, get(h, "/api/audit?actor=me"), http.StatusUnprocessableEntity)
}

func TestTheAuditLogIsDescribedAsItIsSent(t *testing.T) {
	doc := description(t)
	entry := reflect.TypeFor[accounting.AuditEntry]()
	properties := at(t, doc, "components", "schemas", "AuditEntry", "properties")
	require.Len(t, properties, entry.NumField())
	require.Len(t, auditColumns, entry.NumField())
	for name := range auditColumns {
		require.NotEmpty(t, at(t, properties, name, "description"), name)
	}
	require.Equal(t, []any{"object", "null"}, at(t, properties, "before", "type"))
	require.Equal(t, []any{"string", "null"}, at(t, properties, "reason", "type"))
	at(t, doc, "paths", "/api/usage/{id}/generation", "post", "responses", "409", "content", "application/problem+json")
	at(t, doc, "paths", "/api/usage/{id}/dismiss", "post", "requestBody", "content", "application/json", "schema")
}

func TestThePageShowsCallsThatWaitForSomebody(t *testing.T) {
	row := undecided()
	h := deciding(t, &fakeDecisions{}, row, call(1, "q4", "0.5"))
	body := bodyOf(t, get(h, "/calls", "Accept", "text/html"))
	require.Contains(t, text(body), "These calls wait for somebody")
	require.Contains(t, body, `href="/calls/`+row.ID.String()+`"`)
	body = bodyOf(t, get(h, "/calls?campaign_id=q4", "Accept", "text/html"))
	require.NotContains(t, text(body), "wait for somebody", "only on the page of all calls")
	require.NotContains(t, text(show(t, call(1, "q4", "0.5"))), "wait for somebody")

	body = bodyOf(t, get(h, "/calls?status=interrupted", "Accept", "text/html"))
	require.Contains(t, body, `<option value="interrupted" selected>`)
	require.Equal(t, http.StatusUnprocessableEntity, get(h, "/calls?status=paid").StatusCode)
}

func TestThePageOfACallShowsEverythingAndWhatCanBeDecided(t *testing.T) {
	row := undecided()
	row.Metadata = map[string]string{"team": "north", "b": "c"}
	log := &fakeAudit{page: accounting.AuditPage{Entries: []accounting.AuditEntry{{Actor: "loopback", Action: "call.dismiss", Reason: ptr("<b>why</b>")}}}}
	h := newHandler(t, &fakeUsage{page: accounting.UsagePage{Rows: []accounting.UsageRow{row}}}, func(o *Options) { o.Audit = log })
	res := get(h, "/calls/"+row.ID.String(), "Accept", "text/html")
	body := bodyOf(t, res)
	require.Equal(t, http.StatusOK, res.StatusCode, body)
	seen := text(body)
	for name := range usageColumns {
		require.Contains(t, body, ">"+name+"</dt>")
	}
	require.Contains(t, seen, "b=c, team=north")
	require.Contains(t, body, "&lt;b&gt;why&lt;/b&gt;")
	require.Equal(t, accounting.UsageSubject(row.ID), log.asked.Subject)
	require.Equal(t, 2, strings.Count(body, `<form class="card" method="post" action="/calls/`+row.ID.String()))
	require.Equal(t, 2, strings.Count(body, `name="confirm" value="yes" required`))
	require.NotContains(t, body, "<script>")
	require.Contains(t, res.Header.Get("Content-Security-Policy"), "form-action 'self'")
}

func TestThePageOffersOnlyWhatTheStoreWouldTake(t *testing.T) {
	settled, dismissed, keyless, priced := call(1, "q4", "0.5"), undecided(), undecided(), undecided()
	dismissed.Status = accounting.StatusDismissed
	keyless.KeyFingerprint = nil
	priced.Status, priced.CostUSD = accounting.StatusUnresolved, usd("0.5")
	for name, tt := range map[string]struct {
		row             accounting.UsageRow
		attach, dismiss bool
	}{
		"settled": {settled, false, false}, "dismissed": {dismissed, true, false},
		"without a key": {keyless, false, true}, "with a cost": {priced, true, false},
	} {
		body := bodyOf(t, get(deciding(t, &fakeDecisions{}, tt.row), "/calls/"+tt.row.ID.String(), "Accept", "text/html"))
		require.Equal(t, tt.attach, strings.Contains(body, "/generation\">"), name)
		require.Equal(t, tt.dismiss, strings.Contains(body, "/dismiss\">"), name)
	}
}

func TestAFormDecidesOnceItIsConfirmed(t *testing.T) {
	row := undecided()
	store := &fakeDecisions{}
	h := deciding(t, store, row)
	secret := signIn(t, h).Value
	page := "/calls/" + row.ID.String()
	send := func(target string, fields url.Values, headers ...string) *http.Response {
		return request(h, "POST", page+target, fields.Encode(), append([]string{"Content-Type", formType, "Cookie", cookieName + "=" + secret}, headers...)...)
	}
	attach := url.Values{"generation_id": {" gen-1 "}, "reason": {"found it"}}
	require.Equal(t, "confirm", problemIn(t, send("/generation", attach), http.StatusUnprocessableEntity).Errors[0].Field)
	attach.Set("confirm", "yes")
	problemIn(t, send("/generation", attach, "Origin", "https://evil.example"), http.StatusForbidden)
	problemIn(t, send("/generation", attach, "Sec-Fetch-Site", "cross-site"), http.StatusForbidden)
	require.Empty(t, store.decided)

	res := send("/generation", attach, "Sec-Fetch-Site", "same-origin")
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	require.Equal(t, page, res.Header.Get("Location"))
	res = send("/dismiss", url.Values{"reason": {"no such call"}, "confirm": {"yes"}})
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	actor := "session " + sessionName(secret)
	require.Equal(t, []decided{
		{accounting.Decision{Call: row.ID, Actor: actor, Reason: "found it"}, "gen-1"},
		{accounting.Decision{Call: row.ID, Actor: actor, Reason: "no such call"}, ""},
	}, store.decided)
	require.NotContains(t, secret, strings.TrimPrefix(actor, "session "), "the log holds nothing that opens a session")

	store.err = &accounting.DecisionError{Reason: "The call is settled."}
	res = send("/dismiss", url.Values{"reason": {"x"}, "confirm": {"yes"}}, "Accept", "text/html")
	require.Equal(t, http.StatusConflict, res.StatusCode)
	require.Contains(t, text(bodyOf(t, res)), "The call is settled.")
	require.Equal(t, http.StatusBadRequest, send("/dismiss", url.Values{"reason": {strings.Repeat("x", 9000)}, "confirm": {"yes"}}).StatusCode)
}
