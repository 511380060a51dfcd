package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"bursar/accounting"
	"bursar/store/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	code := postgrestest.Main(m)
	if err := goleak.Find(); code == 0 && err != nil {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

// noon is the time at which the tests' calls are made, unless they say another.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const (
	firstLookup = 5 * time.Second
	verifyDelay = time.Minute
)

func testOptions(url string) Options {
	return Options{
		URL:           url,
		MaxConns:      8,
		InstantlyCost: dec("75"),
		WorkspaceCost: dec("48"),
		USDToEURRate:  dec("0.92"),
		FirstLookup:   firstLookup,
		VerifyDelay:   verifyDelay,
	}
}

// emptyStore is a store on a database without a schema.
func emptyStore(t testing.TB) *Store {
	t.Helper()
	return openStore(t, postgrestest.New(t))
}

func openStore(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), testOptions(url))
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// shared is one database with the schema and the partitions in place. Tests
// that need no more take turns with it: emptying it takes milliseconds, and
// making it a good part of a second.
var shared struct {
	sync.Once
	url string
	err error
}

func makeShared(t testing.TB) error {
	ctx := context.Background() // it outlives the test that happens to be the first
	dsn := postgrestest.New(t)
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE ledger")
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return err
	}
	shared.url = withDatabase(dsn, "ledger")
	s, err := Open(ctx, testOptions(shared.url))
	if err != nil {
		return err
	}
	defer s.Close()
	return errors.Join(s.Migrate(ctx), s.EnsurePartitions(ctx, noon))
}

// newStore is a store without rows whose schema and partitions are in place.
// Its tests must not run in parallel.
func newStore(t testing.TB) *Store {
	t.Helper()
	shared.Do(func() { shared.err = makeShared(t) })
	require.NoError(t, shared.err)
	s := openStore(t, shared.url)
	_, err := s.pool.Exec(t.Context(), `DELETE FROM openrouter_usage; DELETE FROM generations; DELETE FROM jobs;
		DELETE FROM usage_hourly; DELETE FROM monthly_costs; DELETE FROM sealed_keys; DELETE FROM cost_corrections;
		DELETE FROM account_samples; DELETE FROM reconciliations; DELETE FROM reconciliation_days;
		DELETE FROM audit_log; DELETE FROM alert_deliveries; DELETE FROM alerts; DELETE FROM budget_decisions;
		DELETE FROM budget_plan_items; DELETE FROM budget_plans;
		DELETE FROM budget_leases; DELETE FROM budget_periods; DELETE FROM budgets; DELETE FROM guard_replicas; DELETE FROM guard_stops;
		DELETE FROM activities; DELETE FROM activity_daily; DELETE FROM lead_processing_costs;
		DELETE FROM lead_daily; DELETE FROM email_costs; DELETE FROM waste_daily; DELETE FROM usage_daily;
		DELETE FROM finish_daily; DELETE FROM sequence_costs; DELETE FROM campaigns;
		DELETE FROM exchange_rates; DELETE FROM closed_rates; DELETE FROM rate_feeds; DELETE FROM fixed_costs; DELETE FROM closed_fixed_costs;
		DELETE FROM default_rate; INSERT INTO default_rate (usd_to_eur) VALUES (0.92);
		DELETE FROM default_fixed_costs; INSERT INTO default_fixed_costs VALUES ('instantly', 75, 'instantly'), ('google_workspace', 48, NULL);
		DELETE FROM lead_models; DELETE FROM model_lead_daily; DELETE FROM model_meeting_daily;
		DELETE FROM experiments; DELETE FROM experiment_leads; DELETE FROM experiment_daily;
		DELETE FROM reports; DELETE FROM alert_rules; DELETE FROM alert_rule_switches; DELETE FROM alert_rule_states; UPDATE alert_rule_checks SET due_at = '-infinity'`, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	return s
}

func withDatabase(dsn, name string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err)
	}
	u.Path = "/" + name
	return u.String()
}

func dec(s string) decimal.Decimal { return decimal.RequireFromString(s) }

func usd(s string) accounting.Usage { return accounting.Usage{Cost: accounting.ParseCost(s)} }

func callAt(at time.Time) accounting.RequestID {
	return accounting.NewRequestID(at, rand.Uint64(), rand.Uint64())
}

const key = "fp-1"

// closed is a call that took two seconds and was answered in full.
func closed(at time.Time, generation, cost string) accounting.Event {
	e := accounting.Event{
		Kind: accounting.Closed, ID: callAt(at),
		Tags:           accounting.Tags{CampaignID: "q4", Purpose: "follow_up"},
		KeyFingerprint: key, Endpoint: "/api/v1/chat/completions",
		RequestedModel: "openai/gpt-4o", Model: "openai/gpt-4o",
		GenerationID: generation, HTTPStatus: 200, Duration: 2 * time.Second,
	}
	if cost != "" {
		e.Usage = usd(cost)
	}
	return e
}

func ship(t testing.TB, s *Store, events ...accounting.Event) accounting.Shipment {
	t.Helper()
	shipment, err := s.Ship(t.Context(), events)
	require.NoError(t, err)
	return shipment
}

// stored reads the row of a call; nil if there is none.
func stored(t testing.TB, s *Store, id accounting.RequestID) *row {
	t.Helper()
	var found []*row
	require.NoError(t, pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) (err error) {
		found, err = lockRows(t.Context(), tx, []requestID{requestID(id)})
		return err
	}))
	if len(found) == 0 {
		return nil
	}
	return found[0]
}

func count1(t testing.TB, s *Store, query string, args ...any) (n int64) {
	t.Helper()
	require.NoError(t, s.pool.QueryRow(t.Context(), query, args...).Scan(&n))
	return n
}

func requireExactRollups(t testing.TB, s *Store) {
	t.Helper()
	differences, err := s.CheckRollups(context.WithoutCancel(t.Context()))
	require.NoError(t, err)
	require.Empty(t, differences)
}

func requireAmount(t testing.TB, want string, got *decimal.Decimal) {
	t.Helper()
	require.NotNil(t, got)
	require.Equal(t, want, got.String())
}
