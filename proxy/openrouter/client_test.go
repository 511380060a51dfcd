package openrouter

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func clientOf(t *testing.T, handler http.HandlerFunc) *Client {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	return NewClient(base, server.Client().Transport)
}

func TestClientReadsAGenerationsRecord(t *testing.T) {
	client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/api/v1/generation?id=gen-1%2F", r.RequestURI)
		assert.Equal(t, "Bearer sk-or-key", r.Header.Get("Authorization"))
		_, _ = w.Write([]byte(`{"data":{"id":"gen-1/","model":"m-2026","provider_name":"P","total_cost":0.00012345678901234567,"usage":9,"is_byok":true,"upstream_inference_cost":0.5,"native_tokens_prompt":11,"tokens_prompt":99,"native_tokens_completion":12,"native_tokens_reasoning":3,"native_tokens_cached":4,"finish_reason":"stop","cancelled":true,"streamed":false,"provider_responses":[{"id":"x","total_cost":7}]}}`))
	})
	got, err := client.Generation(context.Background(), "sk-or-key", "gen-1/")
	require.NoError(t, err)
	assert.Equal(t, "0.00012345678901234567", got.Usage.Cost.Value.String())
	assert.Equal(t, "gen-1/", got.ID)
	assert.Equal(t, "m-2026", got.Model)
	assert.Equal(t, "P", got.Provider)
	assert.Equal(t, accounting.Some(int64(11)), got.Usage.PromptTokens)
	assert.Equal(t, accounting.Some(int64(12)), got.Usage.CompletionTokens)
	assert.Equal(t, accounting.Some(true), got.Cancelled)
	assert.Equal(t, accounting.Some(true), got.Usage.IsBYOK)
}

func TestClientNamesHowALookupEnded(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	status, retryAfter, body := 200, "", ""
	client := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
	client.now = func() time.Time { return now }
	ask := func() error { _, err := client.Generation(context.Background(), "k", "gen-1"); return err }

	var lookup *accounting.LookupError
	status = 404
	require.ErrorAs(t, ask(), &lookup)
	assert.Equal(t, 404, lookup.Status)
	status, retryAfter = 429, "7"
	require.ErrorAs(t, ask(), &lookup)
	assert.Equal(t, 7*time.Second, lookup.RetryAfter)
	retryAfter = now.Add(90 * time.Second).Format(http.TimeFormat)
	require.ErrorAs(t, ask(), &lookup)
	assert.Equal(t, 90*time.Second, lookup.RetryAfter)

	status, retryAfter = 200, ""
	for _, body = range []string{"", "<html>", `{"data":{"total_cost":0.00`} {
		assert.Error(t, ask(), body)
	}
	for _, body = range []string{`{"data":{"id":"gen-1"}}`, `{"data":{"id":"gen-1","total_cost":null}}`} {
		got, err := client.Generation(context.Background(), "k", "gen-1")
		require.NoError(t, err)
		assert.False(t, got.Usage.Cost.Known, "unknown is not zero, and not an error of OpenRouter's")
	}
}

func TestClientFollowsAJobToItsEnd(t *testing.T) {
	body := ""
	client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/api/v1/videos/job-1", r.URL.Path)
		_, _ = w.Write([]byte(body))
	})
	ask := func() (accounting.Generation, error) {
		return client.Job(context.Background(), "k", "/api/v1/videos", "job-1")
	}
	body = `{"id":"job-1","status":"in_progress"}`
	_, err := ask()
	require.ErrorIs(t, err, accounting.ErrJobRunning)
	body = `{"id":"job-1","status":"in_progress","usage":{"cost":0.1}}`
	_, err = ask()
	require.ErrorIs(t, err, accounting.ErrJobRunning, "a figure on the way is not the bill")
	body = `{"id":"job-1","status":"completed","usage":null}`
	_, err = ask()
	require.ErrorIs(t, err, accounting.ErrJobRunning, "without a cost there is nothing to settle")
	body = `{"id":"job-1","generation_id":"gen-1","status":"completed","usage":{"cost":0.3,"is_byok":false}}`
	got, err := ask()
	require.NoError(t, err)
	assert.Equal(t, "gen-1", got.ID, "not the job's id")
	assert.Equal(t, "0.3", got.Usage.Cost.Value.String())
	body = `{"id":"job-1","status":"failed","error":"x"}`
	got, err = ask()
	require.NoError(t, err)
	assert.True(t, got.Failed)
}
