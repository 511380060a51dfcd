package main

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"bursar/config"
	"bursar/store/postgres/postgrestest"
)

// startDemo starts what "bursar demo" shows, with its history and without live
// calls, and returns the address of its admin port. It ends with the test.
func startDemo(t testing.TB) string {
	t.Helper()
	return startDemoProgram(t, time.Now()).adminURL()
}

// startDemoProgram is startDemo for a test that needs more of it. The history
// ends at now.
func startDemoProgram(t testing.TB, now time.Time) *running {
	t.Helper()
	fake, err := startFakeOpenRouter()
	require.NoError(t, err)
	t.Cleanup(func() { _ = fake.Close() })
	cfg := demoConfig(testConfig(t, fake), fake.URL)
	cfg.Database.URL = config.NewSecret(postgrestest.New(t))
	began := time.Now()
	require.NoError(t, loadHistory(context.Background(), cfg, zerolog.Nop(), io.Discard, now))
	t.Logf("the history was loaded in %s", time.Since(began).Round(time.Millisecond))
	return startConfigured(t, fake, cfg)
}

func TestTheSumsOfALoadedHistoryEqualItsRows(t *testing.T) {
	r := startDemoProgram(t, time.Now())
	d, err := r.store.CheckRollups(t.Context())
	require.NoError(t, err)
	require.Empty(t, d)
	d, err = r.store.CheckBudgets(t.Context())
	require.NoError(t, err)
	require.Empty(t, d)
}
