package postgrestest_test

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"bursar/store/postgres/postgrestest"
)

func TestEachDatabaseIsEmptyAndItsOwn(t *testing.T) {
	first, second := postgrestest.New(t), postgrestest.New(t)
	run(t, first, `CREATE TABLE t (n int)`)
	require.Zero(t, query[int](t, second, `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`))
}

func TestADatabaseIsDroppedWithItsTestWhoeverIsConnected(t *testing.T) {
	var dsn string
	var open *pgx.Conn
	require.True(t, t.Run("inner", func(t *testing.T) {
		dsn = postgrestest.New(t)
		var err error
		open, err = pgx.Connect(t.Context(), dsn)
		require.NoError(t, err)
	}))
	require.Error(t, open.Ping(t.Context()))
	_, err := pgx.Connect(t.Context(), dsn)
	require.ErrorContains(t, err, "does not exist")
}

func TestWhatWasCommittedSurvivesKillNineAndStop(t *testing.T) {
	c := postgrestest.NewCluster(t)
	run(t, c.URL(), `CREATE TABLE t (n int); INSERT INTO t VALUES (42)`)
	busy, err := pgx.Connect(t.Context(), c.URL())
	require.NoError(t, err)
	for _, down := range []func(){c.KillNine, c.Stop, c.KillNine} {
		down()
		_, err := pgx.Connect(t.Context(), c.URL())
		require.Error(t, err)
		require.Error(t, busy.Ping(t.Context()))
		c.Start()
		require.Equal(t, 42, query[int](t, c.URL(), `SELECT n FROM t`))
	}
}

func TestAKilledTestProcessLeavesNothingBehind(t *testing.T) {
	if os.Getenv(deadChild) != "" {
		fmt.Println("database", postgrestest.New(t))
		select {} // until killed
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), deadChild+"=1")
	stdin, err := child.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close()
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	defer func() { _ = child.Process.Kill() }()
	var dsn string
	for lines := bufio.NewScanner(out); dsn == "" && lines.Scan(); {
		_, dsn, _ = strings.Cut(lines.Text(), "database ")
	}
	require.Equal(t, 1, query[int](t, dsn, `SELECT 1`))
	folder := folderOf(t, dsn)
	require.DirExists(t, folder)

	require.NoError(t, child.Process.Kill())
	_ = child.Wait()
	require.Eventually(t, func() bool {
		_, err := os.Stat(folder)
		return os.IsNotExist(err)
	}, time.Minute, 10*time.Millisecond)
	_, err = pgx.Connect(t.Context(), dsn)
	require.Error(t, err)
	require.Eventually(t, func() bool { return !strings.Contains(processes(t), folder) }, time.Minute, 10*time.Millisecond)
}

type runner func() int

func (r runner) Run() int { return r() }

func TestMainStopsTheServerAndKeepsTheExitCode(t *testing.T) {
	var folder string
	code := postgrestest.Main(runner(func() int {
		t.Run("inner", func(t *testing.T) { folder = folderOf(t, postgrestest.New(t)) })
		require.DirExists(t, folder)
		return 3
	}))
	require.Equal(t, 3, code)
	require.NoDirExists(t, folder)
	postgrestest.New(t) // a new server, for whoever comes after
}

// folderOf is the folder of the server's socket, which is that of its data.
func folderOf(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	return u.Query().Get("host")
}

// processes lists the command lines of all processes.
func processes(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("ps", "-eo", "args").Output()
	require.NoError(t, err)
	return string(out)
}

func run(t *testing.T, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func query[T any](t *testing.T, dsn, sql string) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	var value T
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&value))
	return value
}
