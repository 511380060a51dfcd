package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/config"
)

// Its claim would last for minutes, and this test for as long.
func TestWhatADeadProcessWasLookingUpIsLookedUpByWhoAdoptsItsJournal(t *testing.T) {
	const dead, apiKey = "20261122T030405-1-00000001", "sk-or-test"
	fake := startFake(t)
	cfg := testConfig(t, fake)
	cfg.Upstream.APIKey = config.NewSecret(apiKey)
	cfg.Settle.LookupTimeout = 5 * time.Minute // and so claims of ten

	cfg.Settle.Enabled = false
	before := startConfigured(t, fake, cfg)
	status, _ := before.call("/api/v1/chat/completions", `{"model":"fake/cost-absent","messages":[]}`)
	require.Equal(t, http.StatusOK, status)
	var claimed []accounting.Unsettled
	require.Eventually(t, func() bool {
		var err error
		claimed, err = before.store.Claim(context.Background(), accounting.ClaimRequest{
			Now: time.Now().Add(time.Minute), Fingerprints: []string{accounting.Fingerprint(apiKey)},
			Missing: true, Limit: 1, Lease: 5 * time.Minute, Claimer: dead,
		})
		require.NoError(t, err)
		return len(claimed) == 1
	}, time.Minute, 20*time.Millisecond)
	require.NoError(t, before.stop())

	require.NoError(t, os.MkdirAll(filepath.Join(cfg.Data.Dir, "journal", dead), 0o700))
	cfg.Settle.Enabled = true
	after := startConfigured(t, fake, cfg)
	after.requireLedgersAgree(time.Minute)
	require.NoDirExists(t, filepath.Join(cfg.Data.Dir, "journal", dead))
}
