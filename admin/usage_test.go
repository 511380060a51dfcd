package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestTheListingIsInTheEnvelope(t *testing.T) {
	usage := &fakeUsage{page: accounting.UsagePage{Rows: []accounting.UsageRow{call(1, "q4", "0.1")}, NextCursor: "next"}}
	res := get(newHandler(t, usage, nil), "/api/usage")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "application/json", res.Header.Get("Content-Type"))

	var got struct {
		Success bool
		Data    struct {
			Rows       []accounting.UsageRow
			NextCursor *string `json:"next_cursor"`
		}
	}
	body := bodyOf(t, res)
	require.NoError(t, json.Unmarshal([]byte(body), &got), body)
	require.True(t, got.Success)
	require.Equal(t, "next", *got.Data.NextCursor)
	require.Equal(t, "q4", *got.Data.Rows[0].CampaignID)
	require.Equal(t, usage.page.Rows[0].ID, got.Data.Rows[0].ID)
	require.NotContains(t, body, "$schema")
}

func TestAnEmptyListingIsAListAndItsCursorNull(t *testing.T) {
	res := get(newHandler(t, &fakeUsage{}, nil), "/api/usage")
	require.JSONEq(t, `{"success":true,"data":{"rows":[],"next_cursor":null}}`, bodyOf(t, res))
}

func TestAmountsKeepEveryDigitAndUnknownOnesAreNull(t *testing.T) {
	for literal, want := range map[string]string{
		"0.000000012345678901234567891": "0.000000012345678901234567891",
		"5e-11":                         "0.00000000005",
		"0":                             "0",
		"12345678901234567.12345678":    "12345678901234567.12345678",
	} {
		row := call(1, "q4", literal)
		row.GenerationCostUSD = nil
		usage := &fakeUsage{page: accounting.UsagePage{Rows: []accounting.UsageRow{row}}}
		body := bodyOf(t, get(newHandler(t, usage, nil), "/api/usage"))
		require.Contains(t, body, `"cost_usd":`+want+`,`)
		require.Contains(t, body, `"generation_cost_usd":null`)
		require.Contains(t, body, `"verified_at":null`)
		require.Contains(t, body, `"cached_tokens":null`)
	}
}

func TestEveryFilterReachesTheStore(t *testing.T) {
	usage := &fakeUsage{}
	h := newHandler(t, usage, nil)
	query := url.Values{
		"campaign_id":   {"q4 & more"},
		"email_id":      {"e"},
		"lead_id":       {"l"},
		"sequence_id":   {"s"},
		"purpose":       {"follow_up"},
		"platform":      {"instantly"},
		"model":         {"a/b:free"},
		"status":        {"awaiting_key"},
		"generation_id": {"gen-1"},
		"since":         {"2026-11-01T00:00:00.5+01:00"},
		"until":         {"2026-12-01T00:00:00Z"},
		"limit":         {"1000"},
		"cursor":        {"c=="},
	}
	res := get(h, "/api/usage?"+query.Encode())
	require.Equal(t, http.StatusOK, res.StatusCode, bodyOf(t, res))
	got := usage.last(t)
	require.True(t, got.Since.Equal(time.Date(2026, 10, 31, 23, 0, 0, 5e8, time.UTC)), got.Since)
	require.True(t, got.Until.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)), got.Until)
	got.Since, got.Until = time.Time{}, time.Time{}
	require.Equal(t, accounting.UsageFilter{
		CampaignID: "q4 & more", EmailID: "e", LeadID: "l", SequenceID: "s", Purpose: "follow_up", Platform: "instantly",
		Model: "a/b:free", Status: accounting.StatusAwaitingKey, GenerationID: "gen-1", Limit: 1000, Cursor: "c==",
	}, got)

	get(h, "/api/usage?campaign_id=&since=")
	require.Equal(t, accounting.UsageFilter{Limit: 50}, usage.last(t), "an empty filter matches everything")
}

func TestAWrongParameterIsNamedWithItsValueAndWhatIsAllowed(t *testing.T) {
	usage := &fakeUsage{}
	h := newHandler(t, usage, nil)
	for query, want := range map[string]fieldError{
		"limit=0":          {Field: "limit", Value: "0", Allowed: "a whole number from 1 to 1000"},
		"limit=1001":       {Field: "limit", Value: "1001", Allowed: "a whole number from 1 to 1000"},
		"limit=ten":        {Field: "limit", Value: "ten", Allowed: "a whole number from 1 to 1000"},
		"limit=1e2":        {Field: "limit", Value: "1e2", Allowed: "a whole number from 1 to 1000"},
		"status=paid":      {Field: "status", Value: "paid", Allowed: "one of settled, pending, awaiting_key, unresolved, interrupted, failed, dismissed"},
		"since=yesterday":  {Field: "since", Value: "yesterday", Allowed: "a time by RFC 3339 such as 2026-11-22T10:00:00Z, with + written as %2B"},
		"until=2026-11-01": {Field: "until", Value: "2026-11-01", Allowed: "a time by RFC 3339 such as 2026-11-22T10:00:00Z, with + written as %2B"},
		"since=2026-11-02T00:00:00Z&until=2026-11-02T00:00:00Z": {Field: "until", Value: "2026-11-02T00:00:00Z", Allowed: "a time by RFC 3339 such as 2026-11-22T10:00:00Z, with + written as %2B"},
		"campaign=q4":         {Field: "campaign", Allowed: "campaign_id, email_id, lead_id, sequence_id, purpose, platform, model, status, generation_id, since, until, limit, cursor"},
		"lead_id=a&lead_id=b": {Field: "lead_id", Allowed: "text of at most 200 characters, once"},
		"lead_id=a%00b":       {Field: "lead_id", Allowed: "text of at most 200 characters, once"},
		"lead_id=%ff":         {Field: "lead_id", Allowed: "text of at most 200 characters, once"},
		"lead_id=%zz":         {Field: "query", Allowed: ""},
		"model=sk-or-v1-0123456789a" + strings.Repeat("b", 200): {Field: "model", Value: "(not repeated: it looks like a secret)", Allowed: "text of at most 200 characters, once"},
		"model=" + strings.Repeat("é", 201):                     {Field: "model", Value: strings.Repeat("é", 50) + "…", Allowed: "text of at most 200 characters, once"},
	} {
		p := problemIn(t, get(h, "/api/usage?"+query), http.StatusUnprocessableEntity)
		require.Len(t, p.Errors, 1, query)
		require.NotEmpty(t, p.Errors[0].Message, query)
		want.Message = p.Errors[0].Message
		if want.Field == "query" {
			want.Allowed = p.Errors[0].Allowed
		}
		require.Equal(t, want, p.Errors[0], query)
		require.Equal(t, "1 parameter is not usable.", p.Detail)
	}
	require.Empty(t, usage.asked, "the store is not asked in vain")

	p := problemIn(t, get(h, "/api/usage?limit=0&status=paid"), http.StatusUnprocessableEntity)
	require.Len(t, p.Errors, 2, "all that is wrong is told at once")
}

func TestACursorThatNoListingReturnedIsNamed(t *testing.T) {
	usage := &fakeUsage{err: fmt.Errorf("list usage: %w", accounting.ErrBadCursor)}
	p := problemIn(t, get(newHandler(t, usage, nil), "/api/usage?cursor=made-up"), http.StatusUnprocessableEntity)
	require.Equal(t, "cursor", p.Errors[0].Field)
	require.Equal(t, "made-up", p.Errors[0].Value)
	require.Contains(t, p.Errors[0].Allowed, "next_cursor")
}

func TestASlowDatabaseIsAnsweredForInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		usage := &fakeUsage{err: errors.New("canceling statement due to user request")}
		usage.hook = func(ctx context.Context) { <-ctx.Done() }
		start := time.Now()
		p := problemIn(t, get(newHandler(t, usage, nil), "/api/usage"), http.StatusServiceUnavailable)
		require.Equal(t, queryTimeout, time.Since(start))
		require.Contains(t, p.Detail, "did not answer within 15s")
	})
}

func TestAnErrorIsAProblemWhateverTheClientAccepts(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	for _, accept := range []string{"", "*/*", "application/json", "text/html", "application/xml", "application/cbor"} {
		problemIn(t, get(h, "/api/usage?limit=0", "Accept", accept), http.StatusUnprocessableEntity)
	}
}
