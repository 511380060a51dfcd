package main

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/config"
)

func TestAnEventOfASendingPlatformCountsInTheMonthOnce(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := free.Addr().String()
	require.NoError(t, free.Close())
	r := startProgram(t, startFake(t), func(cfg *config.Config) {
		cfg.Upstream.APIKey = config.NewSecret("sk-or-test")
		cfg.Webhooks.Addr, cfg.Webhooks.Secret = addr, config.NewSecret("s3cret")
	})
	send := func(secret string) int {
		body := `{"timestamp":"` + time.Now().UTC().Format(time.RFC3339) + `","event_type":"email_sent","campaign_id":"q4","lead_email":"ada@example.com"}`
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/webhooks/instantly", strings.NewReader(strings.Replace(body, `"lead_email"`, `"id":"e-1","lead_email"`, 1)))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+secret)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0
		}
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	emails := func() int {
		var month struct{ EmailsSent int }
		r.data("GET", "/api/costs/dashboard-metrics", "", &month)
		return month.EmailsSent
	}
	require.Zero(t, emails()) // an answer that is kept for a minute
	require.Eventually(t, func() bool { return send("s3cret") == http.StatusOK }, 30*time.Second, 20*time.Millisecond)
	require.Equal(t, 1, emails(), "at once, although an answer was kept")
	require.Equal(t, http.StatusOK, send("s3cret"), "sent again")
	require.Equal(t, http.StatusUnauthorized, send("another"))
	require.Equal(t, 1, emails())
}
