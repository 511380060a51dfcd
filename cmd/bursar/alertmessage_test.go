package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"bursar/accounting/settle/notify"
	"bursar/config"
)

func TestAMessageHasTheFiguresOfItsAlertWithEveryDigit(t *testing.T) {
	fields := alertFields(json.RawMessage(`{"spent_usd":2.97000000000000001,"campaign_id":"q4","stop_id":null,"mad_usd":0,
		"suspect_generations":["gen-1","gen-2"],"other":{"a":1},"open":true,"each_value":""}`))
	require.Equal(t, []notify.Field{
		{Name: "Campaign ID", Value: "q4"},
		{Name: "MAD USD", Value: "0"},
		{Name: "Open", Value: "true"},
		{Name: "Spent USD", Value: "2.97000000000000001"},
		{Name: "Suspect generations", Value: "gen-1, gen-2"},
	}, fields)
	require.Empty(t, alertFields(nil))
	require.Empty(t, alertFields(json.RawMessage(`[]`)))
	long := alertFields(json.RawMessage(`{"list":[` + strings.Repeat("1,", 29) + `1]}`))
	require.True(t, strings.HasSuffix(long[0].Value, ", and 10 more"), long[0].Value)
}

func TestAMessageLinksToThePageAboutItsSubject(t *testing.T) {
	const app = "https://bursar.example"
	require.Empty(t, alertLink("", "campaign/q4"))
	require.Equal(t, app+"/campaigns/q4%20&%20more", alertLink(app, "campaign/q4 & more"))
	require.Equal(t, app+"/calls/0195f3b0", alertLink(app+"/", "usage/0195f3b0"))
	require.Equal(t, app+"/", alertLink(app, "budget/monthly-ai"))
	require.Equal(t, app+"/", alertLink(app, "campaign/"+strings.Repeat("ü", 100)), "longer than a message takes")
}

func TestABadChannelStopsTheStartAndShowsNoSecret(t *testing.T) {
	cfg, err := config.Load(nil, []string{"BURSAR_ALERTS_URLS=webhook+https://0123456789abcdef@a.example/x,pager://hunter2hunter2@x," +
		"webhook+https://0123456789abcdef@a.example/x,smtp://user:hunter2hunter2@mail/?from=nobody"}, t.TempDir())
	require.NoError(t, err)
	_, err = newProgram(t.Context(), cfg, newLogger(t.Output(), cfg))
	var wrong *config.Error
	require.ErrorAs(t, err, &wrong)
	require.Len(t, wrong.Problems, 3)
	require.Contains(t, wrong.Problems[0].Error(), "alerts.urls (BURSAR_ALERTS_URLS): URL 2: ")
	require.Contains(t, wrong.Problems[1].Error(), "URL 3 is the same as URL 1")
	require.Contains(t, wrong.Problems[2].Error(), "URL 4: ")
	require.NotContains(t, err.Error(), "hunter2hunter2")
	require.NotContains(t, err.Error(), "0123456789abcdef")
}

func TestTheDemoSendsNoAlerts(t *testing.T) {
	cfg, err := config.Load(nil, []string{"BURSAR_ALERTS_URLS=slack://T/B/x", "DATABASE_URL=postgres://real/db"}, t.TempDir())
	require.NoError(t, err)
	require.Len(t, cfg.Alerts.Channels(), 1)
	cfg = demoConfig(cfg, "http://127.0.0.1:1")
	require.Empty(t, cfg.Alerts.Channels())
	require.False(t, cfg.Database.URL.IsSet())
	require.Equal(t, "http://127.0.0.1:1", cfg.Upstream.URL)
}
