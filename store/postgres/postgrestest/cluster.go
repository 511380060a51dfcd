package postgrestest

import (
	"context"
	"syscall"
	"testing"
	"time"
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
	if err := c.server.stop(); err != nil {
		c.t.Fatalf("stop the Postgres of the test: %v", err)
	}
}

// Start starts the server again after Stop or KillNine, on the same data, and
// returns when it takes connections.
func (c *TestCluster) Start() {
	c.t.Helper()
	if err := c.server.start(); err != nil {
		c.t.Fatalf("start the Postgres of the test again: %v", err)
	}
}

// KillNine kills the server's main process with SIGKILL, as the kernel does when
// memory runs out. It returns when the process is gone; the processes of open
// connections follow within moments.
func (c *TestCluster) KillNine() {
	c.t.Helper()
	pid, err := c.server.cluster.PID()
	if err != nil {
		c.t.Fatalf("find the Postgres to kill: %v", err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		c.t.Fatalf("kill the Postgres of the test (pid %d): %v", pid, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for {
		if _, err := c.server.cluster.PID(); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			c.t.Fatalf("the Postgres of the test (pid %d) survives kill -9", pid)
		case <-time.After(time.Millisecond):
		}
	}
}
