package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	pgxdecimal "github.com/jackc/pgx-shopspring-decimal"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/config"
	"bursar/proxy/openrouter/openroutertest"
)

// booked is what the database says of one generation.
type booked struct {
	rows     int
	cost     *decimal.Decimal
	status   string
	source   *string
	verified bool
	campaign *string
}

// connect opens a connection of the test's own to the database of the program.
func (r *running) connect() *pgx.Conn {
	r.t.Helper()
	address := r.cfg.Database.URL.Reveal()
	if address == "" {
		address = r.cluster.URL()
	}
	return connect(r.t, address)
}

func connect(t testing.TB, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), address)
	require.NoError(t, err)
	pgxdecimal.Register(conn.TypeMap())
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func books(t testing.TB, conn *pgx.Conn) map[string]booked {
	t.Helper()
	rows, err := conn.Query(context.Background(),
		`SELECT generation_id, cost_usd, status, cost_source, verified_at IS NOT NULL, campaign_id FROM openrouter_usage WHERE generation_id IS NOT NULL`)
	require.NoError(t, err)
	found := map[string]booked{}
	for rows.Next() {
		var id string
		var b booked
		require.NoError(t, rows.Scan(&id, &b.cost, &b.status, &b.source, &b.verified, &b.campaign))
		b.rows = found[id].rows + 1
		found[id] = b
	}
	require.NoError(t, rows.Err())
	return found
}

// requireLedgersAgree waits until every bill of the fake is exactly one row
// with exactly its cost, and then checks that the sums equal the rows.
func (r *running) requireLedgersAgree(patience time.Duration) {
	r.t.Helper()
	idle, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(r.t, r.fake.WaitIdle(idle))
	conn := r.connect()
	deadline := time.Now().Add(patience)
	for {
		difference := compare(r.fake.Ledger(), books(r.t, conn))
		if difference == "" {
			break
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s\nrows without a generation: %s", difference, strings.Join(unidentified(r.t, conn), "\n"))
		}
		time.Sleep(50 * time.Millisecond)
	}
	differences, err := r.store.CheckRollups(context.Background())
	require.NoError(r.t, err)
	assert.Empty(r.t, differences, "sums equal rows")
	differences, err = r.store.CheckBudgets(context.Background())
	require.NoError(r.t, err)
	assert.Empty(r.t, differences, "budgets equal rows and leases")
	var total decimal.Decimal
	require.NoError(r.t, conn.QueryRow(context.Background(), `SELECT coalesce(sum(openrouter_cost), 0) FROM monthly_costs`).Scan(&total))
	want := decimal.Zero
	for _, bill := range r.fake.Ledger() {
		if bill.Announced {
			want = want.Add(bill.Cost)
		}
	}
	assert.True(r.t, want.Equal(total), "OpenRouter billed %s, the months say %s", want, total)
}

// unidentified describes the rows that no generation is known of.
func unidentified(t testing.TB, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(context.Background(),
		`SELECT status || ' ' || endpoint || ' ' || coalesce(http_status::text, '-') || ' ' || coalesce(error, '-') || ' after ' || coalesce(duration_ms::text, '-') || ' ms, '
		        || coalesce(requested_model, '-') || CASE WHEN cancelled THEN ', cancelled' ELSE '' END
		 FROM openrouter_usage WHERE generation_id IS NULL AND status <> 'failed'`)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return lines
}

// compare names the first difference between the two ledgers. A bill that was
// never announced to anybody is no part of the promise.
func compare(bills []openroutertest.Bill, rows map[string]booked) string {
	announced := 0
	for _, bill := range bills {
		if !bill.Announced {
			continue
		}
		announced++
		row, ok := rows[bill.ID]
		switch {
		case !ok:
			return fmt.Sprintf("%s (%s) was billed %s and has no row", bill.ID, bill.Endpoint, bill.CostLiteral)
		case row.rows != 1:
			return fmt.Sprintf("%s has %d rows", bill.ID, row.rows)
		case row.cost == nil:
			return fmt.Sprintf("%s (%s) was billed %s; its row is %s, without a cost", bill.ID, bill.Endpoint, bill.CostLiteral, row.status)
		case !row.cost.Equal(bill.Cost):
			return fmt.Sprintf("%s (%s) was billed %s; its row says %s from %s", bill.ID, bill.Endpoint, bill.Cost, row.cost, *row.source)
		case row.status != "settled":
			return fmt.Sprintf("%s is %s", bill.ID, row.status)
		}
	}
	if len(rows) != announced {
		return fmt.Sprintf("%d rows for %d generations", len(rows), announced)
	}
	return ""
}

// traffic is what applications send: every endpoint, every oddity, a quarter
// of the calls cancelled by the client.
func traffic(base string, workers, calls int, seed uint64) {
	endpoints := []struct {
		path, body string
		nameless   bool // the body has no id: without the header there would be none at all
	}{
		{"/api/v1/chat/completions", `{"model":"fake/%s","messages":[{"role":"user","content":"hello %d"}]}`, false},
		{"/api/v1/chat/completions", `{"model":"fake/%s","stream":true,"messages":[{"role":"user","content":"hello %d"}]}`, false},
		{"/api/v1/chat/completions", `{"stream":true,"messages":[{"role":"user","content":"hello %[2]d"}],"model":"fake/%[1]s"}`, false},
		{"/api/v1/responses", `{"model":"fake/%s","stream":true,"input":"hello %d"}`, false},
		{"/api/v1/responses", `{"model":"fake/%s","input":"hello %d"}`, false},
		{"/api/v1/messages", `{"model":"fake/%s","stream":true,"max_tokens":99,"messages":[{"role":"user","content":"hello %d"}]}`, false},
		{"/api/v1/messages", `{"model":"fake/%s","max_tokens":99,"messages":[{"role":"user","content":"hello %d"}]}`, false},
		{"/api/v1/completions", `{"model":"fake/%s","prompt":"hello %d"}`, false},
		{"/api/v1/embeddings", `{"model":"fake/%s","input":"hello %d"}`, false},
		{"/api/v1/rerank", `{"model":"fake/%s","query":"q","documents":["hello %d"]}`, false},
		{"/api/v1/images", `{"model":"fake/%s","prompt":"hello %d"}`, true},
		{"/api/v1/audio/speech", `{"model":"fake/%s","input":"hello %d","voice":"v"}`, true},
		{"/api/alpha/decisions", `{"model":"fake/%s","input":"hello %d"}`, false},
		{"/api/v1/holograms", `{"model":"fake/%s","prompt":"hello %d"}`, true},
		{"/api/v1/presets/p/chat/completions", `{"model":"fake/%s","prompt":"hello %d"}`, false},
	}
	behaviors := []string{
		"ok", "ok", "ok", "usage-empty-delta", "usage-no-choices", "usage-twice", "usage-growing", "usage-null-later", "no-done", "crlf", "cr", "bom",
		"multi-line", "comments", "event-names", "decoy-text", "decoy-tool", "decoy-nested", "escaped-keys", "usage-first", "gzip", "br", "zstd", "deflate", "deflate-raw",
		"dribble", "split", "trickle", "declare", "early-hints", "trailers", "byok", "byok-fee", "no-is-byok", "server-tools", "discount", "cost-17-digits", "cost-exponent",
		"cost-tiny", "cost-zero", "cost-whole", "cost-capital", "cost-null", "cost-absent", "inline-cost=0.5", "no-usage", "id-in-header", "id-in-body", "cache-hit", "tool",
		"429", "500", "402", "cloudflare", "cut", "cut-in-usage", "error-first", "error-midway", "error-midway-billed", "slow", "chunks=100,interval=2ms", "size=300kb",
		"lookup-status=500,lookup-times=2", "lookup-status=429,lookup-times=2", "lookup-wrong-id,lookup-times=2", "publish-delay=1s", "cached=9,cache-write=9,reasoning=9",
	}
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(worker)))
			for i := range calls {
				endpoint := endpoints[random.IntN(len(endpoints))]
				behavior := behaviors[random.IntN(len(behaviors))]
				if behavior == "id-in-body" && endpoint.nameless {
					behavior = "ok"
				}
				send(base, random, endpoint.path, fmt.Sprintf(endpoint.body, behavior, i))
			}
		})
	}
	wg.Wait()
}

// send makes one call; one in four is left at a random moment.
func send(base string, random *rand.Rand, path, body string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if random.IntN(4) == 0 {
		after := time.Duration(random.IntN(60)) * time.Millisecond
		timer := time.AfterFunc(after, cancel)
		defer timer.Stop()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	request.Header.Set("Authorization", fmt.Sprintf("Bearer sk-or-%d", random.IntN(3)))
	request.Header.Set("X-Campaign-ID", fmt.Sprintf("campaign-%d", random.IntN(5)))
	request.Header.Set("X-Purpose", "follow_up")
	request.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
}

func TestThousandsOfCallsAndTheTwoLedgersAgreeToTheLastDigit(t *testing.T) {
	calls := 150
	if testing.Short() {
		calls = 30
	}
	r := startProgram(t, startFake(t))
	traffic(r.proxyURL(), 16, calls, 1)
	r.requireLedgersAgree(60 * time.Second)
	if bills := len(r.fake.Ledger()); !testing.Short() {
		assert.Greater(t, bills, 1000, "the test means something")
	}
}

func TestInlineCostsAreVerifiedAndADifferenceIsCorrected(t *testing.T) {
	r := startProgram(t, startFake(t))
	status, body := r.call("/api/v1/chat/completions", `{"model":"fake/inline-cost=0.5,cost=0.4","messages":[]}`, "X-Campaign-ID", "q4")
	require.Equal(t, http.StatusOK, status, body)
	conn := r.connect()
	require.Eventually(t, func() bool {
		for _, b := range books(t, conn) {
			return b.verified && b.cost.String() == "0.4" && *b.source == "generation" && *b.campaign == "q4"
		}
		return false
	}, time.Minute, 50*time.Millisecond)
	var inline, generation, hourly decimal.Decimal
	require.NoError(t, conn.QueryRow(context.Background(), `SELECT inline_cost_usd, generation_cost_usd FROM openrouter_usage`).Scan(&inline, &generation))
	require.NoError(t, conn.QueryRow(context.Background(), `SELECT sum(cost_usd) FROM usage_hourly WHERE campaign_id = 'q4'`).Scan(&hourly))
	assert.Equal(t, "0.5 0.4 0.4", fmt.Sprint(inline, " ", generation, " ", hourly), "both are kept, the sums follow")
	assert.Contains(t, r.metrics(), "bursar_cost_mismatches_total 1")
}

func TestAVideoJobIsBilledOnce(t *testing.T) {
	r := startProgram(t, startFake(t))
	status, body := r.call("/api/v1/videos", `{"model":"fake/job-time=300ms","prompt":"x"}`)
	require.Equal(t, http.StatusAccepted, status, body)
	status, body = r.call("/api/beta/batches", `{"endpoint":"/v1/chat/completions","model":"fake/job-time=300ms","requests":[{"custom_id":"a","body":{"messages":[{"role":"user","content":"x"}]}}]}`)
	require.Equal(t, http.StatusAccepted, status, body)
	conn := r.connect()
	require.Eventually(t, func() bool {
		var settled int
		require.NoError(t, conn.QueryRow(context.Background(), `SELECT count(*) FROM openrouter_usage WHERE job_id IS NOT NULL AND status = 'settled'`).Scan(&settled))
		return settled == 2
	}, time.Minute, 100*time.Millisecond, "jobs are followed to their end though no client polls them")
	var total decimal.Decimal
	var misnamed int
	require.NoError(t, conn.QueryRow(context.Background(), `SELECT sum(cost_usd), count(*) FILTER (WHERE generation_id = job_id) FROM openrouter_usage`).Scan(&total, &misnamed))
	assert.Zero(t, misnamed, "a job's id is not a generation's")
	assert.True(t, r.fake.Total().Equal(total), "billed %s, recorded %s", r.fake.Total(), total)
}

func TestARestartGoesOnWhereTheLastOneStopped(t *testing.T) {
	fake := startFake(t, func(o *openroutertest.Options) { o.GenerationDelay = 2 * time.Second })
	cfg := testConfig(t, fake)
	first := startConfigured(t, fake, cfg)
	first.call("/api/v1/chat/completions", `{"model":"fake/no-usage","messages":[]}`)
	require.NoError(t, first.stop())

	second := startConfigured(t, fake, cfg)
	conn := second.connect()
	require.Eventually(t, func() bool {
		for _, b := range books(t, conn) {
			return b.status == "awaiting_key" || b.status == "pending"
		}
		return false
	}, time.Minute, 50*time.Millisecond, "the key went with the first process")
	second.call("/api/v1/chat/completions", `{"model":"openai/gpt-5-mini","messages":[]}`)
	second.requireLedgersAgree(60 * time.Second)
}

func TestSealedKeysSettleCallsAfterARestart(t *testing.T) {
	fake := startFake(t, func(o *openroutertest.Options) { o.GenerationDelay = 2 * time.Second })
	cfg := testConfig(t, fake)
	cfg.Secrets.Key = config.NewSecret("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	first := startConfigured(t, fake, cfg)
	first.call("/api/v1/chat/completions", `{"model":"fake/no-usage","messages":[]}`)
	conn := first.connect()
	require.Eventually(t, func() bool {
		var sealed []byte
		err := conn.QueryRow(context.Background(), `SELECT sealed FROM sealed_keys`).Scan(&sealed)
		return err == nil && len(sealed) > 0 && !bytes.Contains(sealed, []byte("sk-or-test"))
	}, time.Minute, 50*time.Millisecond)
	require.NoError(t, first.stop())
	startConfigured(t, fake, cfg).requireLedgersAgree(60 * time.Second)
}

func (r *running) metrics() string {
	response, err := http.Get(r.adminURL() + "/metrics")
	require.NoError(r.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return string(text)
}
