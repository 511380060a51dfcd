package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/config"
	"bursar/proxy/openrouter/openroutertest"
)

const manager = "sk-or-manager"

// yesterdaysFake is a fake OpenRouter that lives a day behind us, until it is
// told to catch up: what is billed meanwhile is its yesterday.
func yesterdaysFake(t *testing.T) (fake *openroutertest.Instance, catchUp func()) {
	var present atomic.Bool
	fake = startFake(t, func(o *openroutertest.Options) {
		o.ManagementKeys = []string{manager}
		o.Now = func() time.Time {
			if present.Load() {
				return time.Now()
			}
			return time.Now().AddDate(0, 0, -1)
		}
	})
	return fake, func() { present.Store(true) }
}

// billAround makes a call on the same key that does not come through Bursar.
func billAround(t *testing.T, fake *openroutertest.Instance, key, body string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, fake.URL+"/api/v1/chat/completions", strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
}

// ageRows moves every recorded call a day back, to where the fake billed it.
func (r *running) ageRows() {
	r.t.Helper()
	_, err := r.connect().Exec(context.Background(), `UPDATE openrouter_usage SET created_at = created_at - interval '1 day'`)
	require.NoError(r.t, err)
}

// reconcileOverHTTP asks the admin port to compare yesterday.
func (r *running) reconcileOverHTTP(day accounting.Day) []accounting.Reconciliation {
	r.t.Helper()
	response, err := http.Post(r.adminURL()+"/api/reconciliations", "application/json", strings.NewReader(fmt.Sprintf(`{"from":%q,"to":%q}`, day, day)))
	require.NoError(r.t, err)
	defer response.Body.Close()
	var answer struct {
		Data struct{ Rows []accounting.Reconciliation }
	}
	require.NoError(r.t, json.NewDecoder(response.Body).Decode(&answer))
	require.Equal(r.t, http.StatusOK, response.StatusCode)
	return answer.Data.Rows
}

// rowOf picks a row by source and key.
func rowOf(t *testing.T, list []accounting.Reconciliation, source accounting.Source, key string) accounting.Reconciliation {
	t.Helper()
	for _, c := range list {
		if c.Source == source && c.KeyFingerprint == key {
			return c
		}
	}
	t.Fatalf("no row of %s and key %q among %d", source, key, len(list))
	return accounting.Reconciliation{}
}

// anyHour lets a test compare yesterday also in the first hour of a day.
func anyHour(cfg *config.Config) {
	cfg.Reconcile.After = time.Nanosecond
	cfg.Upstream.ManagementKey = config.NewSecret(manager)
}

func TestADayThatAgreesAndThenOneWithCallsAroundBursar(t *testing.T) {
	fake, catchUp := yesterdaysFake(t)
	r := startProgram(t, fake, anyHour)
	day := accounting.DayOf(time.Now()).Add(-1)
	for i, cost := range []string{"0.00012345678901234567", "0.5", "5e-11"} {
		status, answer := r.call("/api/v1/chat/completions", fmt.Sprintf(`{"model":"fake/cost=%s","messages":[{"role":"user","content":"%d"}]}`, cost, i))
		require.Equal(t, http.StatusOK, status, answer)
	}
	r.requireLedgersAgree(30 * time.Second)
	require.Eventually(t, func() bool {
		backlog, err := r.store.Backlog(context.Background())
		return err == nil && backlog.Unverified == 0
	}, time.Minute, 20*time.Millisecond)
	r.ageRows()
	fingerprint := accounting.Fingerprint("sk-or-test")

	catchUp()
	list := r.reconcileOverHTTP(day)
	for _, key := range []string{"", fingerprint} {
		c := rowOf(t, list, accounting.SourceActivity, key)
		assert.Equal(t, accounting.VerdictAgrees, c.Verdict)
		assert.Equal(t, "0.50012345683901234567", c.TheirsUSD.String())
		assert.Equal(t, "0.50012345683901234567", c.OursUSD.String(), "to the last digit")
		assert.True(t, c.DarkSpendUSD.IsZero())
		assert.Zero(t, c.UnverifiedCalls)
	}
	assert.Contains(t, rowOf(t, list, accounting.SourceKey, fingerprint).Reason, "no sample")
}

func TestCallsAroundBursarAreFoundAsDarkSpend(t *testing.T) {
	fake, catchUp := yesterdaysFake(t)
	r := startProgram(t, fake, anyHour)
	day := accounting.DayOf(time.Now()).Add(-1)
	status, answer := r.call("/api/v1/chat/completions", `{"model":"fake/cost=1","messages":[]}`)
	require.Equal(t, http.StatusOK, status, answer)
	billAround(t, fake, "sk-or-test", `{"model":"fake/cost=0.25","messages":[]}`)
	billAround(t, fake, "sk-or-somebody-else", `{"model":"fake/cost=7","messages":[]}`)
	require.Eventually(t, func() bool { return len(books(t, r.connect())) == 1 }, time.Minute, 20*time.Millisecond)
	r.ageRows()

	catchUp()
	list := r.reconcileOverHTTP(day)
	c := rowOf(t, list, accounting.SourceActivity, accounting.Fingerprint("sk-or-test"))
	assert.Equal(t, accounting.VerdictDiffers, c.Verdict)
	assert.Equal(t, "0.25", c.DarkSpendUSD.String())
	assert.EqualValues(t, 1, *c.DarkCalls)
	whole := rowOf(t, list, accounting.SourceActivity, "")
	assert.Equal(t, "7.25", whole.DifferenceUSD.String())
	assert.Equal(t, "7", whole.OtherKeysUSD.String())
	assert.Equal(t, "0.25", whole.DarkSpendUSD.String())

	var out bytes.Buffer
	code := run(context.Background(), &env{&out, &out, []string{
		"DATABASE_URL=" + r.cfg.Database.URL.Reveal(), "BURSAR_UPSTREAM_URL=" + fake.URL, "OPENROUTER_MANAGEMENT_KEY=" + manager, "BURSAR_RECONCILE_AFTER=1ns",
	}, t.TempDir()}, []string{"reconcile", "--from", day.String(), "--to", day.String()})
	require.Equal(t, exitOK, code, out.String())
	assert.Contains(t, out.String(), "differs")
	assert.Contains(t, out.String(), "0.25")
	assert.NotContains(t, out.String(), manager)
	var rows int
	require.NoError(t, r.connect().QueryRow(context.Background(), `SELECT count(*) FROM reconciliations`).Scan(&rows))
	assert.Len(t, list, rows, "a second look makes no second row")
}

func TestReplicasReconcileADayOnce(t *testing.T) {
	fake, catchUp := yesterdaysFake(t)
	r := startProgram(t, fake, anyHour, func(cfg *config.Config) { cfg.Reconcile.Enabled = false })
	billAround(t, fake, "sk-or-test", `{"model":"fake/cost=1","messages":[]}`)
	_, err := r.connect().Exec(context.Background(), `INSERT INTO usage_hourly (hour) VALUES (date_trunc('day', now(), 'UTC') - interval '1 hour')`)
	require.NoError(t, err)
	catchUp()
	before := fake.Requests()["/api/v1/activity"]
	cfg := r.cfg
	cfg.Reconcile.Enabled = true
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 4)
	for range cap(done) {
		replica, err := newReconciler(cfg, r.store, r.transport, prometheus.NewRegistry(), zerolog.Nop())
		require.NoError(t, err)
		go func() { done <- replica.Run(ctx) }()
	}
	conn := r.connect()
	require.Eventually(t, func() bool {
		var finished int
		require.NoError(t, conn.QueryRow(context.Background(), `SELECT count(*) FROM reconciliation_days WHERE finished_at IS NOT NULL AND attempts = 1`).Scan(&finished))
		return finished == 1
	}, time.Minute, 20*time.Millisecond)
	time.Sleep(200 * time.Millisecond) // for a second one that must not come
	cancel()
	for range cap(done) {
		require.NoError(t, <-done)
	}
	assert.Equal(t, before+1, fake.Requests()["/api/v1/activity"], "one of them asked")
	var rows, sources int
	require.NoError(t, conn.QueryRow(context.Background(), `SELECT count(*), count(DISTINCT source) FROM reconciliations`).Scan(&rows, &sources))
	assert.Equal(t, sources, rows)
}

func TestRunningFiguresOfADayWithAndWithoutCallsAroundBursar(t *testing.T) {
	fake, _ := yesterdaysFake(t)
	r := startProgram(t, fake, anyHour)
	client, err := newOpenRouterClient(r.cfg, r.transport)
	require.NoError(t, err)
	day := accounting.DayOf(time.Now()).Add(-1)
	key := accounting.Fingerprint("sk-or-test")
	sample := func(at time.Time) {
		mine, err := client.Key(t.Context(), "sk-or-test")
		require.NoError(t, err)
		credits, err := client.Credits(t.Context(), manager)
		require.NoError(t, err)
		mine.TakenAt, credits.TakenAt = at, at
		require.NoError(t, r.store.SaveSamples(t.Context(), at, []accounting.Sample{mine, credits}))
	}
	billAround(t, fake, "sk-or-test", `{"model":"fake/cost=100","messages":[]}`) // before the day
	sample(day.Start())
	status, answer := r.call("/api/v1/chat/completions", `{"model":"fake/cost=0.4970133333333333","messages":[]}`)
	require.Equal(t, http.StatusOK, status, answer)
	billAround(t, fake, "sk-or-test", `{"model":"fake/cost=0.5","messages":[]}`)
	sample(day.End().Add(2 * time.Minute))
	conn := r.connect()
	require.Eventually(t, func() bool {
		for _, b := range books(t, conn) {
			return b.verified
		}
		return false
	}, time.Minute, 20*time.Millisecond)
	// To the middle of the day, wherever in the present one we are.
	_, err = conn.Exec(context.Background(), `UPDATE openrouter_usage SET created_at = $1`, day.Start().Add(12*time.Hour))
	require.NoError(t, err)

	list := r.reconcileOverHTTP(day)
	mine := rowOf(t, list, accounting.SourceKey, key)
	assert.Equal(t, "0.4970133333333333", mine.OursUSD.String())
	assert.Equal(t, "0.5", mine.DifferenceUSD.String())
	assert.Equal(t, "0.5", mine.DarkSpendUSD.String())
	assert.Zero(t, *mine.CallsInFlight)
	assert.True(t, mine.SampledTo.Equal(day.End().Add(2*time.Minute)))
	assert.Equal(t, accounting.VerdictDiffers, mine.Verdict)
	credits := rowOf(t, list, accounting.SourceCredits, "")
	assert.True(t, credits.TheirsUSD.Equal(decimal.RequireFromString("0.9970133333333333")))
}

func TestAMonthIsClosedOverTheAdminPortAndALateCostIsACorrection(t *testing.T) {
	fake := startFake(t)
	r := startProgram(t, fake, func(cfg *config.Config) { cfg.Settle.Verify = false })
	last := time.Now().UTC().AddDate(0, -1, 0)
	month := accounting.MonthOf(time.Date(last.Year(), last.Month(), 1, 0, 0, 0, 0, time.UTC))
	call := accounting.Event{Kind: accounting.Closed, ID: accounting.NewRequestID(month.Start().Add(time.Hour), 1, 2), KeyFingerprint: "fp",
		Endpoint: "/api/v1/chat/completions", GenerationID: "gen-1", Model: "m", HTTPStatus: 200, Duration: time.Second,
		Usage: accounting.Usage{Cost: accounting.ParseCost("1.5")}}
	_, err := r.store.Ship(t.Context(), []accounting.Event{call})
	require.NoError(t, err)
	response, err := http.Post(r.adminURL()+"/api/months/"+month.String()+"/close", "", nil)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	_, err = r.store.Settle(t.Context(), accounting.Unsettled{ID: call.ID}, accounting.Generation{ID: "gen-1", Usage: accounting.Usage{Cost: accounting.ParseCost("1.25")}}, time.Now())
	require.NoError(t, err)

	conn := r.connect()
	var closed, present, correction decimal.Decimal
	var by string
	require.NoError(t, conn.QueryRow(context.Background(), `SELECT openrouter_cost, closed_by FROM monthly_costs WHERE closed_at IS NOT NULL`).Scan(&closed, &by))
	require.NoError(t, conn.QueryRow(context.Background(), `SELECT openrouter_cost FROM monthly_costs WHERE closed_at IS NULL`).Scan(&present))
	require.NoError(t, conn.QueryRow(context.Background(), `SELECT amount_usd FROM cost_corrections`).Scan(&correction))
	assert.Equal(t, "1.5 -0.25 -0.25", fmt.Sprint(closed, " ", present, " ", correction))
	assert.NotEmpty(t, by)
	differences, err := r.store.CheckRollups(context.Background())
	require.NoError(t, err)
	assert.Empty(t, differences)
}

func TestReconcileRefusesDaysThatAreNone(t *testing.T) {
	for _, args := range [][]string{{"--from", "yesterday"}, {"--from", "2026-11-31"}, {"--from", "2026-11-02", "--to", "2026-11-01"}} {
		var out bytes.Buffer
		assert.Equal(t, exitUsage, run(context.Background(), &env{&out, &out, nil, t.TempDir()}, append([]string{"reconcile"}, args...)), out.String())
		assert.Contains(t, out.String(), "--from")
	}
}
