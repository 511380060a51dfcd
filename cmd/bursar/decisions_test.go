package main

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// ask sends JSON to the admin port and returns the status and the answer.
func (r *running) ask(method, path, body string) (int, string) {
	r.t.Helper()
	request, err := http.NewRequest(method, r.adminURL()+path, strings.NewReader(body))
	require.NoError(r.t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return response.StatusCode, string(answer)
}

func TestAnInterruptedCallIsSettledOnceAnOperatorHasFoundItsGeneration(t *testing.T) {
	fake := startFake(t)
	r := startProgram(t, fake)
	const body = `{"model":"openai/gpt-5-mini","messages":[{"role":"user","content":"Hi"}]}`
	status, _ := r.call("/api/v1/chat/completions", body) // Bursar holds the key from here on
	require.Equal(t, http.StatusOK, status)

	// A call that OpenRouter has billed, and of which Bursar knows the beginning.
	request, err := http.NewRequest(http.MethodPost, fake.URL+"/api/v1/chat/completions", strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer sk-or-test")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	generation := response.Header.Get("X-Generation-Id")
	require.NotEmpty(t, generation)
	newCall := func() accounting.Event {
		return accounting.Event{
			Kind: accounting.Interrupted, ID: accounting.NewRequestID(time.Now(), rand.Uint64(), rand.Uint64()),
			KeyFingerprint: accounting.Fingerprint("sk-or-test"), Endpoint: "/api/v1/chat/completions", RequestedModel: "openai/gpt-5-mini",
		}
	}
	lost, never := newCall(), newCall()
	_, err = r.store.Ship(t.Context(), []accounting.Event{lost, never})
	require.NoError(t, err)

	_, listed := r.ask("GET", "/api/usage?status=interrupted", "")
	require.Contains(t, listed, lost.ID.String())
	status, answer := r.ask("POST", "/api/usage/"+lost.ID.String()+"/generation", `{"generation_id":"`+generation+`"}`)
	require.Equal(t, http.StatusOK, status, answer)
	status, answer = r.ask("POST", "/api/usage/"+never.ID.String()+"/generation", `{"generation_id":"`+generation+`"}`)
	require.Equal(t, http.StatusConflict, status, answer)
	status, answer = r.ask("POST", "/api/usage/"+never.ID.String()+"/dismiss", `{"reason":"the activity does not have it"}`)
	require.Equal(t, http.StatusOK, status, answer)

	require.Eventually(t, func() bool {
		row, err := r.store.FindUsage(t.Context(), lost.ID)
		return err == nil && row.Status == accounting.StatusSettled && row.VerifiedAt != nil
	}, time.Minute, 20*time.Millisecond, "not settled")
	row, err := r.store.FindUsage(t.Context(), lost.ID)
	require.NoError(t, err)
	require.Equal(t, generation, *row.GenerationID)
	page, err := r.store.ListUsage(t.Context(), accounting.UsageFilter{Status: accounting.StatusSettled, Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Rows, 2)
	recorded := page.Rows[0].CostUSD.Add(page.Rows[1].CostUSD.Decimal)
	require.Equal(t, fake.Total().String(), recorded.String(), "the two ledgers agree to the last digit")
	row, err = r.store.FindUsage(t.Context(), never.ID)
	require.NoError(t, err)
	require.Equal(t, accounting.StatusDismissed, row.Status)
	differences, err := r.store.CheckRollups(t.Context())
	require.NoError(t, err)
	require.Empty(t, differences)

	var log struct {
		Data struct{ Entries []accounting.AuditEntry }
	}
	_, answer = r.ask("GET", "/api/audit", "")
	require.NoError(t, json.Unmarshal([]byte(answer), &log))
	log.Data.Entries = slices.DeleteFunc(log.Data.Entries, func(e accounting.AuditEntry) bool { return strings.HasPrefix(e.Action, "budget.") })
	require.Len(t, log.Data.Entries, 2)
	require.Equal(t, accounting.ActionDismiss, log.Data.Entries[0].Action)
	require.Equal(t, "loopback", log.Data.Entries[0].Actor)
}
