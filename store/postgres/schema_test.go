package postgres

import (
	"io/fs"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestMigratingAgainChangesNothing(t *testing.T) {
	s := emptyStore(t)
	require.NoError(t, s.Migrate(t.Context()))
	ship(t, s, closed(noon, "gen-1", "1"))
	before := snapshot(t, s)
	var applied time.Time
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT max(applied_at) FROM schema_migrations`).Scan(&applied))
	require.NoError(t, s.Migrate(t.Context()))
	var again time.Time
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT max(applied_at) FROM schema_migrations`).Scan(&again))
	require.Equal(t, applied, again)
	require.Equal(t, before, snapshot(t, s))
}

func TestReplicasThatStartAtOnceMigrateOnce(t *testing.T) {
	s := emptyStore(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if err := s.Migrate(t.Context()); err != nil {
				t.Errorf("migrate: %v", err)
			}
			if err := s.EnsurePartitions(t.Context(), noon); err != nil {
				t.Errorf("partitions: %v", err)
			}
		})
	}
	wg.Wait()
	all, err := migrations()
	require.NoError(t, err)
	require.EqualValues(t, len(all), count1(t, s, `SELECT count(*) FROM schema_migrations`))
	require.Len(t, partitions(t, s), monthsAhead+2)
}

func TestPsqlAppliesEveryMigrationAndAppliesItAgain(t *testing.T) {
	s := emptyStore(t)
	files, err := fs.Glob(migrationFiles, "migrations/*.sql")
	require.NoError(t, err)
	for range 2 {
		for _, file := range files {
			out, err := exec.CommandContext(t.Context(), "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file, s.opts.URL).CombinedOutput()
			require.NoError(t, err, "psql -f %s: %s", file, out)
		}
	}
	require.EqualValues(t, len(files), count1(t, s, `SELECT count(*) FROM schema_migrations`))
	require.NoError(t, s.Migrate(t.Context()))
	ship(t, s, closed(noon, "gen-1", "1"))
}

func TestThePublishedQueryIsTheOneThatIsTested(t *testing.T) {
	published, err := os.ReadFile("../../docs/queries/rollups.sql")
	require.NoError(t, err)
	require.Equal(t, string(published), checkRollupsSQL)
}

func TestTheCheckFindsEveryKindOfDifference(t *testing.T) {
	s := newStore(t)
	ship(t, s, closed(noon, "gen-1", "1.5"), closed(noon.AddDate(0, 1, 0), "gen-2", "2"))
	requireExactRollups(t, s)
	for _, change := range []string{
		`UPDATE usage_hourly SET cost_usd = cost_usd + 0.000000000000000001`,
		`UPDATE usage_hourly SET unsettled_calls = 1`,
		`DELETE FROM usage_hourly`,
		`INSERT INTO usage_hourly (hour, calls) VALUES ('2026-01-01', 1)`,
		`UPDATE monthly_costs SET openrouter_cost = openrouter_cost - 1e-30`,
		`DELETE FROM monthly_costs`,
	} {
		tx, err := s.pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), change)
		require.NoError(t, err)
		rows, err := tx.Query(t.Context(), checkRollupsSQL)
		require.NoError(t, err)
		require.True(t, rows.Next(), change)
		rows.Close()
		require.NoError(t, tx.Rollback(t.Context()))
	}
	_, err := s.pool.Exec(t.Context(), `UPDATE monthly_costs SET openrouter_cost = 9 WHERE month = 12`)
	require.NoError(t, err)
	differences, err := s.CheckRollups(t.Context())
	require.NoError(t, err)
	require.Len(t, differences, 1)
	require.Equal(t, "monthly_costs 2026-12 openrouter_cost 9 2", differences[0].Rollup+" "+differences[0].Key+" "+
		differences[0].Figure+" "+differences[0].Recorded.String()+" "+differences[0].Recomputed.String())
}

func TestTheSchemaRefusesWhatMustNotBe(t *testing.T) {
	s := newStore(t)
	e := closed(noon, "gen-1", "1")
	ship(t, s, e)
	for _, change := range []string{
		`UPDATE openrouter_usage SET status = 'paid'`,
		`UPDATE openrouter_usage SET cost_source = NULL`,
		`UPDATE openrouter_usage SET cost_source = 'guess'`,
		`UPDATE openrouter_usage SET cost_usd = NULL`,
		`UPDATE openrouter_usage SET cost_usd = 2`,
		`UPDATE openrouter_usage SET model = NULL`,
	} {
		_, err := s.pool.Exec(t.Context(), change)
		require.Error(t, err, change)
	}
}

// partitions are the partitions of openrouter_usage with their rows.
func partitions(t *testing.T, s *Store) map[string]int64 {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), `SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'openrouter_usage'::regclass`)
	require.NoError(t, err)
	found := map[string]int64{}
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		found[name] = 0
	}
	require.NoError(t, rows.Err())
	for name := range found {
		found[name] = count1(t, s, `SELECT count(*) FROM `+name)
	}
	return found
}

func TestEveryCallLiesInTheMonthItStartedIn(t *testing.T) {
	s := newStore(t)
	december := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	ship(t, s,
		closed(december.Add(-time.Millisecond), "gen-1", "1"),
		closed(december, "gen-2", "2"),
		closed(december.AddDate(0, 1, 0).Add(-time.Millisecond), "gen-3", "4"),
		closed(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), "gen-4", "8"),
		closed(december.AddDate(0, 3, 0), "gen-5", "16"),
		accounting.Event{Kind: accounting.Closed, HTTPStatus: 200}, // the zero id
	)
	require.Equal(t, map[string]int64{
		"openrouter_usage_2026_11": 1, "openrouter_usage_2026_12": 2, "openrouter_usage_2027_01": 0,
		"openrouter_usage_2027_02": 0, "openrouter_usage_default": 3,
	}, partitions(t, s))
	require.EqualValues(t, 2, count1(t, s, `SELECT sum(calls) FROM usage_hourly WHERE hour >= '2026-12-01Z' AND hour < '2027-01-01Z'`))
	require.EqualValues(t, 6, count1(t, s, `SELECT openrouter_cost FROM monthly_costs WHERE (year, month) = (2026, 12)`))
	requireExactRollups(t, s)
}

func TestRowsOfTheDefaultPartitionMoveBeforeTheirMonthIsAttached(t *testing.T) {
	s := emptyStore(t)
	require.NoError(t, s.Migrate(t.Context()))
	in, out := closed(noon, "gen-1", ""), closed(noon.AddDate(1, 0, 0), "gen-2", "1")
	ship(t, s, in, out)
	before := snapshot(t, s)
	require.EqualValues(t, 2, partitions(t, s)["openrouter_usage_default"])

	require.NoError(t, s.EnsurePartitions(t.Context(), noon))
	require.NoError(t, s.EnsurePartitions(t.Context(), noon))
	found := partitions(t, s)
	require.EqualValues(t, 1, found["openrouter_usage_2026_11"])
	require.EqualValues(t, 1, found["openrouter_usage_default"])
	require.Equal(t, before, snapshot(t, s))
	require.Equal(t, 2, ship(t, s, in, out).Replayed)
	_, err := s.Settle(t.Context(), accounting.Unsettled{ID: in.ID}, accounting.Generation{Usage: usd("3")}, later)
	require.NoError(t, err)
	requireExactRollups(t, s)

	// A partition that is attached has every index and constraint of the rest.
	require.Equal(t, count1(t, s, `SELECT count(*) FROM pg_index WHERE indrelid = 'openrouter_usage_default'::regclass`),
		count1(t, s, `SELECT count(*) FROM pg_index WHERE indrelid = 'openrouter_usage_2026_11'::regclass`))
	require.Equal(t, count1(t, s, `SELECT count(*) FROM pg_constraint WHERE conrelid = 'openrouter_usage_default'::regclass`),
		count1(t, s, `SELECT count(*) FROM pg_constraint WHERE conrelid = 'openrouter_usage_2026_11'::regclass`))
}

func TestMonthsAreAttachedUnderWriters(t *testing.T) {
	s := emptyStore(t)
	require.NoError(t, s.Migrate(t.Context()))
	var wg sync.WaitGroup
	var events []accounting.Event
	for range 60 {
		events = append(events, closed(noon, "gen-"+callAt(noon).String(), "0.5"))
	}
	for range 4 {
		wg.Go(func() {
			for _, e := range events {
				if _, err := s.Ship(t.Context(), []accounting.Event{e}); err != nil {
					t.Errorf("ship: %v", err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		time.Sleep(20 * time.Millisecond) // into the middle of it
		if err := s.EnsurePartitions(t.Context(), noon); err != nil {
			t.Errorf("partitions: %v", err)
		}
	})
	wg.Wait()
	found := partitions(t, s)
	require.EqualValues(t, 60, found["openrouter_usage_2026_11"])
	require.Zero(t, found["openrouter_usage_default"])
	requireExactRollups(t, s)
}

func TestAMonthAddsUpInEuros(t *testing.T) {
	s := newStore(t)
	ship(t, s, closed(noon, "gen-1", "5.50"))
	month := func() (total decimal.Decimal, perEmail, perMeeting *decimal.Decimal) {
		require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT total_cost, cost_per_email, cost_per_meeting
			FROM monthly_costs WHERE year = 2026 AND month = 11`).Scan(&total, &perEmail, &perMeeting))
		return total, perEmail, perMeeting
	}
	total, perEmail, perMeeting := month()
	require.True(t, total.Equal(dec("128.06")))
	require.Nil(t, perEmail, "nothing sent has no cost per email")
	require.Nil(t, perMeeting)

	_, err := s.pool.Exec(t.Context(), `UPDATE monthly_costs SET emails_sent = 100, meetings_booked = 5`)
	require.NoError(t, err)
	_, perEmail, perMeeting = month()
	requireAmount(t, "1.2806", perEmail)
	requireAmount(t, "25.612", perMeeting)

	// What is written by hand, without calls behind it, is at the rate beside it.
	_, err = s.pool.Exec(t.Context(), `DELETE FROM usage_daily`)
	require.NoError(t, err)
	// Half up at the tenth decimal, of every digit: rounded twice, the second
	// would come out as …1.
	for total, want := range map[string]string{
		"0.00000000005": "0.0000000001",
		"0.000000000049999999999999999999999999999999999999999999": "0",
	} {
		_, err = s.pool.Exec(t.Context(), `UPDATE monthly_costs SET emails_sent = 1, instantly_cost = 0,
			google_workspace_cost = 0, exchange_rate = 1, openrouter_cost = $1`, dec(total))
		require.NoError(t, err)
		_, perEmail, _ = month()
		require.True(t, perEmail.Equal(dec(want)), "%s became %s", total, perEmail)
	}
	_, err = s.pool.Exec(t.Context(), `UPDATE monthly_costs SET emails_sent = 3, openrouter_cost = 2`)
	require.NoError(t, err)
	_, perEmail, _ = month()
	requireAmount(t, "0.6666666667", perEmail)
}

func TestAFreeCallOpensItsMonth(t *testing.T) {
	s := newStore(t)
	ship(t, s, closed(noon, "gen-1", "0"))
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM monthly_costs WHERE instantly_cost = 75 AND google_workspace_cost = 48 AND exchange_rate = 0.92`))
}
