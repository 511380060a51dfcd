package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"bursar/store/postgres/private"
)

// server is a throw-away Postgres and the watchdog that outlives us.
type server struct {
	dir      string           // holds the cluster and nothing else
	cluster  *private.Cluster // nil while it is down
	watchdog *watchdog

	// strategy is how databases are created. Copying files, the only way before
	// Postgres 15, takes a quarter of the time of logging them where fsync is off.
	strategy string
}

// settings trade safety for speed. Without fsync a power failure loses data, but a
// kill -9 of the server, which tests do, does not: the operating system has them.
// synchronous_commit stays on for that reason, as it is what hands them over.
func settings() map[string]string {
	return map[string]string{
		"fsync":                      "off",
		"shared_buffers":             "32MB",
		"max_connections":            "200",  // packages run many tests with a pool each
		"dynamic_shared_memory_type": "mmap", // in the data directory: it goes with it
	}
}

// startServer starts a server in a folder of its own. The watchdog is there
// before the server is.
func startServer() (*server, error) {
	dir, err := os.MkdirTemp("", "bursar-postgrestest-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the test server: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // as /proc will say it
		return nil, fmt.Errorf("resolve the folder of the test server: %w", err)
	}
	s := &server{dir: dir}
	if s.watchdog, err = watch(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.watchdog.release())
	}
	return s, nil
}

func (s *server) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cluster, err := private.Start(ctx, private.Options{Dir: s.dir, Settings: settings()})
	if err != nil {
		return err
	}
	s.cluster = cluster
	if cluster.Version() >= 15 {
		s.strategy = " STRATEGY file_copy"
	}
	return nil
}

func (s *server) stop() error {
	if s.cluster == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := s.cluster.Stop(ctx)
	s.cluster = nil
	return err
}

// remove stops the server and removes its files.
func (s *server) remove() error {
	return errors.Join(s.stop(), s.watchdog.release())
}
