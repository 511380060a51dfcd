package openrouter_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/proxy/openrouter"
	"bursar/proxy/openrouter/openroutertest"
)

const (
	inferenceKey  = "sk-or-v1-one"
	otherKey      = "sk-or-v1-two"
	managementKey = "sk-or-v1-manager"
)

func clientAt(t *testing.T, address string) *openrouter.Client {
	t.Helper()
	base, err := url.Parse(address)
	require.NoError(t, err)
	return openrouter.NewClient(base, http.DefaultTransport)
}

func TestTheAccountsFiguresAreReadToTheLastDigit(t *testing.T) {
	now := time.Date(2026, 11, 21, 23, 0, 0, 0, time.UTC)
	fake, err := openroutertest.Start(openroutertest.Options{
		Keys: []string{inferenceKey, otherKey}, ManagementKeys: []string{managementKey},
		Now: func() time.Time { return now },
	}, openroutertest.HTTP1)
	require.NoError(t, err)
	t.Cleanup(func() { fake.Close() })
	for _, call := range [][2]string{{inferenceKey, "0.00012345678901234567"}, {inferenceKey, "5e-11"}, {otherKey, "0.5"}} {
		request, err := http.NewRequest(http.MethodPost, fake.URL+"/api/v1/chat/completions",
			strings.NewReader(`{"model":"fake/cost=`+call[1]+`","messages":[]}`))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+call[0])
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	client, day := clientAt(t, fake.URL), accounting.DayOf(now)

	sample, err := client.Key(t.Context(), inferenceKey)
	require.NoError(t, err)
	assert.Equal(t, accounting.Sampled{Source: accounting.SourceKey, KeyFingerprint: accounting.Fingerprint(inferenceKey)}, sample.Sampled)
	assert.Equal(t, "0.00012345683901234567", sample.Usage.String())
	assert.True(t, sample.UsageDaily.Known && sample.UsageDaily.Value.Equal(sample.Usage))

	sample, err = client.Credits(t.Context(), managementKey)
	require.NoError(t, err)
	assert.Equal(t, "0.50012345683901234567", sample.Usage.String())
	assert.Equal(t, "1000", sample.TotalCredits.Value.String())

	now = now.Add(2 * time.Hour)
	for fingerprint, want := range map[string]string{
		"": "0.50012345683901234567", accounting.Fingerprint(inferenceKey): "0.00012345683901234567", "none": "0",
	} {
		items, err := client.Activity(t.Context(), managementKey, day, fingerprint)
		require.NoError(t, err)
		sum, requests := decimal.Zero, int64(0)
		for _, item := range items {
			sum = sum.Add(item.Usage)
			requests += item.Requests
			assert.NotEmpty(t, item.Permaslug)
		}
		assert.Equal(t, want, sum.String(), fingerprint)
		if fingerprint == "" {
			assert.EqualValues(t, 3, requests)
		}
	}

	for name, ask := range map[string]func() error{
		"activity": func() error { _, err := client.Activity(t.Context(), inferenceKey, day, ""); return err },
		"credits":  func() error { _, err := client.Credits(t.Context(), inferenceKey); return err },
	} {
		var refused *accounting.LookupError
		require.ErrorAs(t, ask(), &refused, name)
		assert.Equal(t, http.StatusForbidden, refused.Status)
	}
}

func TestAnAnswerWithoutAnAmountIsAnErrorAndNotZero(t *testing.T) {
	body := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
	t.Cleanup(server.Close)
	client, day := clientAt(t, server.URL), accounting.DayOf(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC))
	activity := func() error { _, err := client.Activity(t.Context(), "k", day, ""); return err }
	key := func() error { _, err := client.Key(t.Context(), "secret-key"); return err }
	credits := func() error { _, err := client.Credits(t.Context(), "k"); return err }
	for _, c := range []struct {
		body string
		ask  func() error
	}{
		{`{"data":[{"date":"2026-11-21","model":"m","usage":null}]}`, activity},
		{`{"data":[{"date":"2026-11-21","model":"m"}]}`, activity},
		{`{"data":[{"date":"2026-11-20","model":"m","usage":1}]}`, activity},
		{`{"data":[{"date":"","model":"m","usage":1}]}`, activity},
		{`{"data":{}}`, activity},
		{`{"error":{"code":500}}`, activity},
		{`{"data":{"usage":null}}`, key},
		{`{"data":{"usage":-1}}`, key},
		{`{"data":[]}`, key},
		{`[]`, key},
		{`{"data":{"usage":1`, key},
		{`{"data":{"total_credits":5}}`, credits},
	} {
		body = c.body
		err := c.ask()
		require.Error(t, err, c.body)
		require.NotContains(t, err.Error(), "secret-key")
	}

	body = `{"data":[{"date":"2026-11-21 00:00:00","model":"m","model_permaslug":"m-1","usage":"0.10","requests":2}]}`
	items, err := client.Activity(t.Context(), "k", day, "")
	require.NoError(t, err)
	assert.True(t, items[0].Usage.Equal(decimal.RequireFromString("0.1")), "a string that holds an amount is one")
	body = `{"data":{"usage":3}}`
	sample, err := client.Key(t.Context(), "k")
	require.NoError(t, err)
	assert.False(t, sample.UsageDaily.Known)
}
