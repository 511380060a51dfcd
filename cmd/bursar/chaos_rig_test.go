package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/config"
	"bursar/proxy/openrouter/openroutertest"
	"bursar/store/postgres"
)

// chaos is a scenario of the fault suite: real Bursars, real Postgres, a fake
// OpenRouter that knows what it billed, and traffic.
type chaos struct {
	t        testing.TB
	build    func() (string, error) // of the program
	seed     uint64
	random   *rand.Rand // of the scenario; the traffic has its own
	fake     *openroutertest.Instance
	database string
	conn     *pgx.Conn // made when it is needed first
	dataDir  string    // of all replicas
	bursars  []*binary
	traffic  *chaosTraffic
	faults   int
	gone     int // calls of which every event was damaged
	began    time.Time
	recovery time.Duration // the longest
	sent     []*chaosTraffic
}

// newChaos draws the scenario's choices from CHAOS_SEED, or from a random one
// that it prints. What happens when also depends on the machine.
func newChaos(t *testing.T, database string, adjust ...func(*openroutertest.Options)) *chaos {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds; without -short it runs")
	}
	seed := rand.Uint64()
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "CHAOS_SEED")
	}
	t.Logf("CHAOS_SEED=%d", seed)
	return &chaos{
		t: t, build: built, seed: seed, random: newRandom(seed), fake: startFake(t, adjust...), database: database,
		dataDir: filepath.Join(t.TempDir(), "data"), began: time.Now(),
	}
}

// rounds is how often a scenario's fault happens: short, or CHAOS_ROUNDS times
// that.
func (c *chaos) rounds(short int) int {
	c.t.Helper()
	text := os.Getenv("CHAOS_ROUNDS")
	if text == "" {
		return short
	}
	times, err := strconv.Atoi(text)
	require.NoError(c.t, err, "CHAOS_ROUNDS")
	require.Positive(c.t, times, "CHAOS_ROUNDS")
	return short * times
}

// addBursar starts a replica on the scenario's database and data directory. Its
// journal is of small files, so that a file of which nothing is needed any more
// is really removed, and with it whatever was acknowledged too early.
func (c *chaos) addBursar(env ...string) *binary {
	c.t.Helper()
	b := newBinaryOf(c.t, c.build, append([]string{
		"BURSAR_UPSTREAM_URL=" + c.fake.URL, "DATABASE_URL=" + c.database, "BURSAR_DATA_DIR=" + c.dataDir, "OPENROUTER_API_KEY=sk-or-chaos",
		"BURSAR_JOURNAL_SEGMENT_BYTES=16KiB",
	}, env...)...)
	b.start()
	c.bursars = append(c.bursars, b)
	return b
}

func (c *chaos) startTraffic() {
	var bases []string
	for _, b := range c.bursars {
		bases = append(bases, b.base)
	}
	c.traffic = startChaosTraffic(c.seed+uint64(len(c.sent)), 8, bases...)
	c.sent = append(c.sent, c.traffic)
	c.t.Cleanup(c.traffic.stop) // of a scenario that failed
}

// requireAllAnswered ends the traffic and checks that no client noticed.
func (c *chaos) requireAllAnswered() {
	c.t.Helper()
	c.traffic.stop()
	require.Zero(c.t, c.traffic.refused.Load()+c.traffic.broken.Load(), "%s: %s", c.traffic, strings.Join(c.traffic.examples, "\n"))
	require.Positive(c.t, c.traffic.answered.Load())
}

// comparison names the first difference between OpenRouter's bills and the
// rows, of which some have no generation.
type comparison func(bills []openroutertest.Bill, rows map[string]booked, nameless int) string

// nothingKilled is that of scenarios in which Bursar lives: every generation
// that was announced is a row.
func nothingKilled(bills []openroutertest.Bill, rows map[string]booked, _ int) string {
	return compare(bills, rows)
}

// afterKill is that of scenarios in which it dies: headers that were sent may
// not have reached it, and then a call without an id is listed.
var afterKill comparison = compareAfterCrash

// chaosPatience is for how long nothing may get better before a scenario has
// failed. It is longer than the longest wait by design: a minute's rest of a key
// that was answered 429, and then a lease of 17 s. How long a backlog takes is
// up to the machine.
const chaosPatience = 2 * time.Minute

// requireLedgersAgree waits until the ledgers agree.
func (c *chaos) requireLedgersAgree(difference comparison) {
	c.t.Helper()
	start := time.Now()
	idle, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(c.t, c.fake.WaitIdle(idle))
	conn := c.connection()
	var problem, queue string
	for better := start; time.Since(better) < chaosPatience; time.Sleep(50 * time.Millisecond) {
		if now := c.queue(); now != queue {
			queue, better = now, time.Now()
		}
		nameless := len(unidentified(c.t, conn))
		if problem = difference(c.fake.Ledger(), books(c.t, conn), nameless); problem == "" {
			c.requireSumsEqualRows(conn)
			c.recovery = max(c.recovery, time.Since(start))
			return
		}
	}
	c.t.Fatalf("%s (CHAOS_SEED=%d)\nin the ledger: %s\nrows without a generation: %s",
		problem, c.seed, queue, strings.Join(unidentified(c.t, conn), "\n"))
}

// queue counts the rows and those that wait to be looked up.
func (c *chaos) queue() (counts string) {
	c.t.Helper()
	require.NoError(c.t, c.connection().QueryRow(context.Background(), `
		SELECT format('%s rows, %s of them without a cost; %s wait for a lookup, %s of them to be verified',
			count(*), count(*) FILTER (WHERE cost_usd IS NULL), count(settle_next_at), count(settle_next_at) FILTER (WHERE status = 'settled'))
		FROM openrouter_usage`).Scan(&counts))
	return counts
}

// requireNothingRejected checks that the database has refused no event.
func (c *chaos) requireNothingRejected() {
	c.t.Helper()
	rejected, err := filepath.Glob(filepath.Join(c.dataDir, "rejected", "*"))
	require.NoError(c.t, err)
	require.Empty(c.t, rejected)
}

// requireSumsEqualRows checks usage_hourly and monthly_costs against the rows,
// and the rows against the fake's bills as a sum.
func (c *chaos) requireSumsEqualRows(conn *pgx.Conn) {
	c.t.Helper()
	cfg, err := config.Load(nil, nil, c.t.TempDir())
	require.NoError(c.t, err)
	store, err := postgres.Open(context.Background(), postgres.Options{URL: c.database, USDToEURRate: cfg.Economics.USDToEURRate})
	require.NoError(c.t, err)
	defer store.Close()
	differences, err := store.CheckRollups(context.Background())
	require.NoError(c.t, err)
	require.Empty(c.t, differences, "sums equal rows")
	differences, err = store.CheckBudgets(context.Background())
	require.NoError(c.t, err)
	require.Empty(c.t, differences, "budgets equal rows and leases")

	var months decimal.Decimal
	require.NoError(c.t, conn.QueryRow(context.Background(), `SELECT coalesce(sum(openrouter_cost), 0) FROM monthly_costs`).Scan(&months))
	rows, billed := books(c.t, conn), decimal.Zero
	for _, bill := range c.fake.Ledger() {
		if _, ok := rows[bill.ID]; ok {
			billed = billed.Add(bill.Cost)
		}
	}
	require.True(c.t, billed.Equal(months), "OpenRouter billed %s, the months say %s", billed, months)
}

// requireNothingLost ends the scenario: the traffic stops, the ledgers agree,
// every Bursar ends in order and leaves no journal.
func (c *chaos) requireNothingLost(difference comparison) {
	c.t.Helper()
	c.traffic.stop()
	c.requireLedgersAgree(difference)
	for _, b := range c.bursars {
		c.terminate(b)
	}
	assert.Empty(c.t, c.journals(), "the journals are empty")
	c.requireNothingRejected()

	conn := c.connection()
	bills, rows := c.fake.Ledger(), books(c.t, conn)
	require.NotEmpty(c.t, bills)
	var unheard int // sent by the fake to a Bursar that died before it read them
	for _, bill := range bills {
		if _, ok := rows[bill.ID]; bill.Announced && !ok {
			unheard++
		}
	}
	var calls string
	for _, traffic := range c.sent {
		calls += fmt.Sprintf("; %s", traffic)
		require.NotEmpty(c.t, traffic.generations)
		for _, id := range traffic.generations {
			require.Equal(c.t, 1, rows[id].rows, "rows of %s, which a client saw, so Bursar did (CHAOS_SEED=%d)", id, c.seed)
		}
	}
	c.t.Logf("%d faults, %d generations, %d rows, %d headers that Bursar did not live to read, %d calls without an id; agreed at most %s after the traffic; %s in all%s",
		c.faults, len(bills), len(rows), unheard, len(unidentified(c.t, conn)), c.recovery.Round(time.Millisecond), time.Since(c.began).Round(time.Millisecond), calls)
}

// journals lists what the replicas have left of their journals, without what
// was set aside.
func (c *chaos) journals() []string {
	c.t.Helper()
	found, err := filepath.Glob(filepath.Join(c.dataDir, "journal", "*", "*"))
	require.NoError(c.t, err)
	return slices.DeleteFunc(found, func(path string) bool { return filepath.Base(filepath.Dir(path)) == "quarantine" })
}
