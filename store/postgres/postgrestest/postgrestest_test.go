package postgrestest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"bursar/store/postgres/postgrestest"
)

func TestEachDatabaseIsEmptyAndItsOwn(t *testing.T) {
	first, second := postgrestest.New(t), postgrestest.New(t)
	a := connect(t, first)
	_, err := a.Exec(t.Context(), `CREATE TABLE t (n int)`)
	require.NoError(t, err)

	b := connect(t, second)
	var tables int
	require.NoError(t, b.QueryRow(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`).Scan(&tables))
	require.Zero(t, tables)
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}
