package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/config"
	"bursar/store/postgres"
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

func TestALoadedHistoryIsOneThatBursarCouldHaveRecorded(t *testing.T) {
	r := startDemoProgram(t, time.Now())
	requireExactSums(t, r.store)

	decisions := map[string]accounting.CampaignDecision{}
	var list struct {
		Data struct{ Rows []accounting.CampaignRow }
	}
	since := accounting.MonthOf(time.Now().AddDate(0, 0, 1-sampleDays))
	r.get("/api/campaigns?from="+since.String()+"&to="+accounting.MonthOf(time.Now()).String(), &list)
	for i := range list.Data.Rows {
		decisions[list.Data.Rows[i].ID] = list.Data.Rows[i].Decision
	}
	delete(decisions, sampleEnded)
	require.Equal(t, map[string]accounting.CampaignDecision{
		"q4-launch": accounting.DecideInvest, "partner-outreach": accounting.DecideWorkflow, "winter-webinar": accounting.DecideTargeting,
		"agency-outreach": accounting.DecideReduce, "healthcare-pilot": accounting.NotEnoughData, "": accounting.NotEnoughData,
	}, decisions)

	alerts, err := r.store.ListAlerts(t.Context(), accounting.AlertFilter{Limit: 1000})
	require.NoError(t, err)
	kinds := map[string]int{}
	for i := range alerts.Alerts {
		kinds[alerts.Alerts[i].Kind]++
	}
	for _, kind := range []string{"budget_threshold", "budget_blocked", "spike", "reconciliation"} {
		require.Positive(t, kinds[kind], "alerts of kind %s", kind)
	}
	require.Zero(t, kinds["budget_overshoot"], "no budget was passed")
	require.Less(t, len(alerts.Alerts), 40, "so many nobody reads: %v", kinds)
}

func requireExactSums(t testing.TB, store *postgres.Store) {
	t.Helper()
	for name, check := range map[string]func(context.Context) ([]postgres.RollupDifference, error){"rollups": store.CheckRollups, "budgets": store.CheckBudgets} {
		differences, err := check(t.Context())
		require.NoError(t, err)
		require.Empty(t, differences, name)
	}
}

// get reads an answer of the admin port.
func (r *running) get(path string, into any) {
	r.t.Helper()
	response, err := http.Get(r.adminURL() + path)
	require.NoError(r.t, err)
	defer response.Body.Close()
	require.Equal(r.t, http.StatusOK, response.StatusCode, path)
	require.NoError(r.t, json.NewDecoder(response.Body).Decode(into))
}

func TestAHistoryIsLoadedOnceAndToldOnAfterAGap(t *testing.T) {
	cfg := demoConfig(testConfig(t, startFake(t)), "http://127.0.0.1:9")
	cfg.Database.URL = config.NewSecret(postgrestest.New(t))
	conn := connect(t, cfg.Database.URL.Reveal())
	count := func() (calls int) {
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM openrouter_usage`).Scan(&calls))
		return calls
	}
	load := func(now time.Time) string {
		var said strings.Builder
		require.NoError(t, loadHistory(t.Context(), cfg, zerolog.Nop(), &said, now))
		return said.String()
	}
	present := accounting.DayOf(time.Now()).Start().Add(16 * time.Hour)
	first := present.AddDate(0, 0, -4)
	require.Contains(t, load(first), "96 days of history")
	before := count()
	require.Empty(t, load(first), "it is there")
	require.Empty(t, load(first.AddDate(0, 0, 1)), "it ends yesterday")
	require.Equal(t, before, count())

	require.Contains(t, load(present), "5 days of history", "of which the first was told in part")
	require.Greater(t, count(), before)
	told := sampleHistory{first: accounting.DayOf(first).Add(1 - sampleDays), monthly: (&program{cfg: cfg}).monthlyAI(), rate: cfg.Economics.USDToEURRate}.until(present)
	require.Equal(t, len(told.calls)-refusedOf(told), count(), "as if it had been told at once")

	store, err := postgres.Open(t.Context(), postgres.Options{URL: cfg.Database.URL.Reveal(), USDToEURRate: cfg.Economics.USDToEURRate})
	require.NoError(t, err)
	defer store.Close()
	requireExactSums(t, store)
}

func refusedOf(told toldHistory) (n int) {
	for i := range told.calls {
		if told.calls[i].Kind == accounting.Refused {
			n++
		}
	}
	return n
}
