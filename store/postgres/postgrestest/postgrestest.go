package postgrestest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// timeout bounds each step on a machine that is busy with other tests.
const timeout = time.Minute

// shared is the server that the databases of New are on.
var shared struct {
	mu     sync.Mutex
	server *server // nil before the first New and after Main
	err    error   // of the start, which is tried once
}

var databases atomic.Int64

// New returns the connection string (postgres://…, over a unix socket) of an
// empty database that nobody else uses. It is dropped when t ends, whatever
// connections are still open. The role is a superuser.
func New(t testing.TB) string {
	t.Helper()
	s, err := sharedServer()
	if err != nil {
		t.Fatalf("start a Postgres for the test: %v", err)
	}
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if err := s.exec(`CREATE DATABASE ` + name + s.strategy); err != nil {
		t.Fatalf("create a database for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := s.exec(`DROP DATABASE ` + name + ` WITH (FORCE)`); err != nil {
			t.Errorf("drop the database of the test: %v", err)
		}
	})
	return withDatabase(s.cluster.URL(), name)
}

// Main runs the tests of a package and then stops the shared server before it
// returns, for packages that look for left-over processes or goroutines:
//
//	func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }
//
// Others do not need it.
func Main(m interface{ Run() int }) int {
	code := m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server != nil {
		if err := shared.server.remove(); err != nil {
			fmt.Fprintln(os.Stderr, "postgrestest:", err)
			code = max(code, 1)
		}
		shared.server = nil
	}
	return code
}

func sharedServer() (*server, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = startServer()
	}
	return shared.server, shared.err
}

// exec runs one statement on the server's own database.
func (s *server) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.cluster.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// withDatabase replaces the database in a connection string.
func withDatabase(dsn, name string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err) // private.Cluster made it with net/url
	}
	u.Path = "/" + name
	return u.String()
}
