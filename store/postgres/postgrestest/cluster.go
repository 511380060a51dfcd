package postgrestest

import (
	"syscall"
	"testing"
)

// TestCluster is a Postgres of one test, which may stop it and kill it. Data and
// connection string stay the same over its deaths.
type TestCluster struct {
	t      testing.TB
	server *server
	url    string
}

// NewCluster starts a server of its own for t, which takes about a second. It is
// gone when t ends.
func NewCluster(t testing.TB) *TestCluster {
	t.Helper()
	s, err := startServer()
	if err != nil {
		t.Fatalf("start a Postgres for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := s.remove(); err != nil {
			t.Errorf("remove the Postgres of the test: %v", err)
		}
	})
	return &TestCluster{t: t, server: s, url: s.cluster.URL()}
}

// URL is the connection string of an empty database.
func (c *TestCluster) URL() string { return c.url }

// Stop shuts the server down in order: clients are disconnected. It returns when
// the server is down.
func (c *TestCluster) Stop() {
	c.t.Helper()
	if c.server.cluster == nil {
		c.t.Fatal("stop the Postgres of the test: it is down")
	}
	if err := c.server.stop(); err != nil {
		c.t.Fatalf("stop the Postgres of the test: %v", err)
	}
}

// Start starts the server again after Stop or KillNine, on the same data, and
// returns when it takes connections.
func (c *TestCluster) Start() {
	c.t.Helper()
	if c.server.cluster != nil {
		c.t.Fatal("start the Postgres of the test again: it is running")
	}
	if err := c.server.start(); err != nil {
		c.t.Fatalf("start the Postgres of the test again: %v", err)
	}
}

// KillNine kills the server's main process with SIGKILL, as the kernel does when
// memory runs out. The processes of open connections notice and end; it returns
// when the last of them is gone.
func (c *TestCluster) KillNine() {
	c.t.Helper()
	if c.server.cluster == nil {
		c.t.Fatal("kill the Postgres of the test: it is down")
	}
	pid, err := c.server.cluster.PID()
	if err != nil {
		c.t.Fatalf("find the Postgres to kill: %v", err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		c.t.Fatalf("kill the Postgres of the test (pid %d): %v", pid, err)
	}
	if err := c.server.stop(); err != nil { // nothing is left to stop: it waits for the end
		c.t.Fatalf("wait for the end of the Postgres of the test (pid %d): %v", pid, err)
	}
}
