package postgres

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/store/postgres/postgrestest"
)

func TestOptionsThatCannotWorkAreAllNamedAtOnce(t *testing.T) {
	_, err := Open(t.Context(), Options{MaxConns: -1, InstantlyCost: dec("-1"), FirstLookup: -1})
	for _, part := range []string{"no database URL", "-1 database connections", "fixed costs", "exchange rate", "delays"} {
		require.ErrorContains(t, err, part)
	}
	_, err = Open(t.Context(), testOptions("postgres://u:secret@%zz/"))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}

func TestAStoreOpensWhileTheDatabaseIsAway(t *testing.T) {
	s, err := Open(t.Context(), testOptions("postgres://127.0.0.1:1/none?connect_timeout=1"))
	require.NoError(t, err)
	defer s.Close()
	require.Error(t, s.Ping(t.Context()))
	_, err = s.Ship(t.Context(), []accounting.Event{closed(noon, "gen-1", "1")})
	require.ErrorContains(t, err, "ship 1 events")
}

// A connection that forgets everything after each transaction is what PgBouncer
// gives in transaction mode.
func TestNothingReliesOnSessionState(t *testing.T) {
	cfg, err := poolConfig(testOptions(postgrestest.New(t)))
	require.NoError(t, err)
	var discarded atomic.Int64
	cfg.MaxConns = 1
	cfg.AfterRelease = func(conn *pgx.Conn) bool {
		discarded.Add(1)
		_, err := conn.PgConn().Exec(context.Background(), "DISCARD ALL").ReadAll()
		return err == nil
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	s := &Store{pool: pool, opts: testOptions(cfg.ConnString())}
	t.Cleanup(s.Close)

	require.NoError(t, s.Migrate(t.Context()))
	require.NoError(t, s.EnsurePartitions(t.Context(), noon))
	for range 2 {
		e := closed(noon, "gen-"+callAt(noon).String(), "")
		ship(t, s, e, e)
		for _, u := range claim(t, s, true) {
			_, err := s.Settle(t.Context(), u, accounting.Generation{Usage: usd("1")}, later)
			require.NoError(t, err)
		}
		require.NoError(t, s.SealKey(t.Context(), key, []byte{1}))
		_, err := s.ListUsage(t.Context(), accounting.UsageFilter{Limit: 10})
		require.NoError(t, err)
		requireExactRollups(t, s)
	}
	require.EqualValues(t, 2, count1(t, s, `SELECT count(*) FROM openrouter_usage WHERE status = 'settled'`))
	require.Greater(t, discarded.Load(), int64(10))
}

func TestQueriesAreTimedUnderABoundedSetOfNames(t *testing.T) {
	registry := prometheus.NewRegistry()
	opts := testOptions(newStore(t).opts.URL)
	opts.Registerer = registry
	s, err := Open(t.Context(), opts)
	require.NoError(t, err)
	defer s.Close()
	e := closed(noon, "gen-1", "1")
	ship(t, s, e, e)
	_, err = s.pool.Exec(t.Context(), "SELECT 1")
	require.NoError(t, err)

	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	require.Equal(t, "bursar_database_query_duration_seconds", families[0].GetName())
	observed := map[string]uint64{}
	for _, m := range families[0].GetMetric() {
		observed[m.GetLabel()[0].GetValue()] = m.GetHistogram().GetSampleCount()
	}
	require.Equal(t, map[string]uint64{
		"begin": 1, "commit": 1, "budgets_list": 1, "experiments_list": 1, "generations_find": 1, "generations_insert": 1, "usage_insert": 1,
		"usage_hourly_post": 1, "monthly_costs_post": 1, "usage_daily_post": 1, "finish_daily_post": 1, "other": 1,
	}, observed)

	_, err = Open(t.Context(), opts)
	require.ErrorContains(t, err, "register database metrics", "two stores would count into one")
}

func TestATransactionIsTriedAgainOnlyIfAnotherOneWasInItsWay(t *testing.T) {
	s := newStore(t)
	for _, c := range []struct {
		err      error
		attempts int
	}{
		{&pgconn.PgError{Code: "40P01"}, maxAttempts},
		{&pgconn.PgError{Code: "40001"}, maxAttempts},
		{&pgconn.PgError{Code: "23514"}, maxAttempts},
		{errRaced, maxAttempts},
		{&pgconn.PgError{Code: "23514", ConstraintName: "openrouter_usage_cost_check"}, 1},
		{&pgconn.PgError{Code: "22003"}, 1},
		{errors.New("other"), 1},
	} {
		attempts := 0
		err := s.inTx(t.Context(), func(pgx.Tx) error { attempts++; return c.err })
		require.ErrorIs(t, err, c.err)
		require.Equal(t, c.attempts, attempts, "%v", c.err)
	}
}
