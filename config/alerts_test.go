package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecipientsOfAMailStayTogetherInAListOfChannels(t *testing.T) {
	cfg, err := Load(nil, []string{"BURSAR_ALERTS_URLS=slack://T/B/x, smtp://relay/?from=a@acme.example&to=b@acme.example,C <c@acme.example>,webhook+http://127.0.0.1:9000/"}, t.TempDir())
	require.NoError(t, err)
	var urls []string
	for _, url := range cfg.Alerts.Channels() {
		urls = append(urls, url.Reveal())
	}
	require.Equal(t, []string{
		"slack://T/B/x",
		"smtp://relay/?from=a@acme.example&to=b@acme.example,C <c@acme.example>",
		"webhook+http://127.0.0.1:9000/",
	}, urls)
}

func TestWithoutURLsThereAreNoChannels(t *testing.T) {
	cfg, err := Load(nil, nil, t.TempDir())
	require.NoError(t, err)
	require.Empty(t, cfg.Alerts.Channels())
	require.Equal(t, "alert", cfg.Spike.Action)
}

func TestWhatFollowsNoURLIsAnItemOfItsOwn(t *testing.T) {
	a := Alerts{URLs: []Secret{NewSecret("garbage"), NewSecret("slack://T/B/x")}}
	require.Len(t, a.Channels(), 2, "so that the start can say which one is wrong")
}
