package main

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/config"
	"bursar/store/postgres"
	"bursar/store/postgres/postgrestest"
)

// startDemo starts what "bursar demo" shows, with its history up to now and
// without live calls, and returns the address of its admin port. It ends with
// the test. The history is loaded once for all tests.
func startDemo(t testing.TB) (adminURL string) {
	t.Helper()
	return startDemoProgram(t).adminURL()
}

// startDemoProgram is startDemo for a test that needs more of it.
func startDemoProgram(t testing.TB) *running {
	t.Helper()
	fake, err := startFakeOpenRouter()
	require.NoError(t, err)
	t.Cleanup(func() { _ = fake.Close() })
	cfg := demoConfig(testConfig(t, fake), fake.URL)
	cfg.Database.URL = config.NewSecret(demoDatabase(t, cfg))
	return startConfigured(t, fake, cfg)
}

// loadedHistory is the database that holds the history, which tests get copies
// of. It goes with the server of the tests.
var loadedHistory struct {
	once sync.Once
	err  error
}

// demoDatabase makes a database with the history and returns its address.
func demoDatabase(t testing.TB, cfg config.Config) string {
	t.Helper()
	empty := postgrestest.New(t)
	conn := connect(t, empty)
	loadedHistory.once.Do(func() { loadedHistory.err = loadOnce(conn, empty, cfg) })
	require.NoError(t, loadedHistory.err)
	copied := "copy_of_history_" + strings.ReplaceAll(accounting.NewRequestID(time.Now(), rand.Uint64(), rand.Uint64()).String(), "-", "")
	_, err := conn.Exec(context.Background(), "CREATE DATABASE "+copied+" TEMPLATE "+historyDatabase)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := conn.Exec(context.Background(), "DROP DATABASE "+copied+" WITH (FORCE)")
		require.NoError(t, err)
	})
	return databaseBeside(empty, copied)
}

const historyDatabase = "history"

func loadOnce(conn *pgx.Conn, address string, cfg config.Config) error {
	if _, err := conn.Exec(context.Background(), "CREATE DATABASE "+historyDatabase); err != nil {
		return err
	}
	cfg.Database.URL = config.NewSecret(databaseBeside(address, historyDatabase))
	_, err := loadHistory(context.Background(), cfg, zerolog.Nop(), io.Discard, time.Now()) // there is no private Postgres to leave
	return err
}

// databaseBeside is the address of another database of the same server.
func databaseBeside(address, name string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // postgrestest made it with net/url
	}
	u.Path = "/" + name
	return u.String()
}

func TestALoadedHistoryIsOneThatBursarCouldHaveRecorded(t *testing.T) {
	r := startDemoProgram(t)
	requireExactSums(t, r.store)
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

func TestTheDemoSaysOfEachCampaignWhatToDo(t *testing.T) {
	address := startDemo(t)
	since := accounting.MonthOf(time.Now().AddDate(0, 0, 1-sampleDays))
	response, err := http.Get(address + "/api/campaigns?from=" + since.String() + "&to=" + accounting.MonthOf(time.Now()).String())
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	var list struct {
		Data struct{ Rows []accounting.CampaignRow }
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&list))
	decisions := map[string]accounting.CampaignDecision{}
	for i := range list.Data.Rows {
		decisions[list.Data.Rows[i].ID] = list.Data.Rows[i].Decision
	}
	delete(decisions, sampleEnded) // what is over needs no decision
	require.Equal(t, map[string]accounting.CampaignDecision{
		"q4-launch": accounting.DecideInvest, "partner-outreach": accounting.DecideWorkflow, "winter-webinar": accounting.DecideTargeting,
		"agency-outreach": accounting.DecideReduce, "healthcare-pilot": accounting.NotEnoughData, "": accounting.NotEnoughData,
	}, decisions)
}

func requireExactSums(t testing.TB, store *postgres.Store) {
	t.Helper()
	for name, check := range map[string]func(context.Context) ([]postgres.RollupDifference, error){"rollups": store.CheckRollups, "budgets": store.CheckBudgets} {
		differences, err := check(t.Context())
		require.NoError(t, err)
		require.Empty(t, differences, name)
	}
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
		_, err := loadHistory(t.Context(), cfg, zerolog.Nop(), &said, now)
		require.NoError(t, err)
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
