package private

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// serverSettings are for a small instance beside a proxy, on a disk that
// must be believed: what is committed is on it.
func (c *Cluster) serverSettings() map[string]string {
	settings := map[string]string{
		"listen_addresses":        "",
		"port":                    port,
		"unix_socket_directories": `"` + strings.ReplaceAll(c.socketDir(), `"`, `""`) + `"`,
		"unix_socket_permissions": "0700",
		"max_connections":         "50",
		"shared_buffers":          "128MB",
		"fsync":                   "on",
		"synchronous_commit":      "on",
		"full_page_writes":        "on",
		"wal_compression":         "on",
		"jit":                     "off", // costs more than our short queries take
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"logging_collector":       "off", // server.log is ours
		"log_destination":         "stderr",
		"log_line_prefix":         "%m [%p] ",
		"log_checkpoints":         "off",
		// Neither statements nor the values of a failed row go into a log.
		"log_min_error_statement": "panic",
		"log_error_verbosity":     "terse",
	}
	maps.Copy(settings, c.settings)
	return settings
}

// ensureRunning brings the server up, or adopts the one that runs; adopted tells
// which. It waits for a server that is starting or going down just now, until
// ctx ends. The caller holds start.lock.
func (c *Cluster) ensureRunning(ctx context.Context) (adopted bool, err error) {
	lock, err := c.openLock(serverLock)
	if err != nil {
		return false, err
	}
	defer lock.Close() // not unlock: a server that was started keeps the lock
	wait := c.newWait()
	for {
		free, err := tryLock(lock, syscall.LOCK_EX)
		if err != nil {
			return false, err
		}
		if free {
			return false, c.launch(ctx, lock)
		}
		pingErr := c.ping(ctx)
		if pingErr == nil {
			return true, nil
		}
		if err := wait.pause(ctx, pingErr); err != nil {
			return false, fmt.Errorf("adopt the private Postgres in %s: %w", c.dir, err)
		}
	}
}

// launch starts the server, on a new data directory if there is none, and waits
// until it answers. It hands the held server.lock on to the server.
func (c *Cluster) launch(ctx context.Context, lock *os.File) error {
	c.reap()
	if !exists(c.dataDir()) {
		if err := c.initialise(ctx, lock); err != nil {
			unlock(lock)
			return err
		}
	}
	log, err := c.openLog()
	if err != nil {
		unlock(lock)
		return err
	}
	defer log.Close()
	said, _ := log.Seek(0, io.SeekEnd)
	if err := c.spawn(lock, log); err != nil {
		unlock(lock)
		return err
	}
	_ = lock.Close() // from here on the lock lives as long as the server
	if err := c.awaitReady(ctx); err != nil {
		if errors.Is(err, ErrNotRunning) {
			return fmt.Errorf("start the private Postgres in %s: it ended: %s", c.dir, tail(log, said))
		}
		return fmt.Errorf("start the private Postgres in %s: %w", c.dir, err)
	}
	return nil
}

// spawn runs the postmaster and does not wait for it.
func (c *Cluster) spawn(lock, log *os.File) error {
	if err := errors.Join(c.openSocketDir(), c.removeStaleLocks()); err != nil {
		return err
	}
	args := []string{"-D", c.dataDir()}
	settings := c.serverSettings()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	// Not the caller's context: the server outlives us.
	cmd := c.command(context.Background(), c.binaries.path("postgres"), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock}
	if err := cmd.Start(); err != nil {
		return c.explainExec(cmd, err)
	}
	c.mu.Lock()
	c.child = cmd.Process.Pid
	c.mu.Unlock()
	_ = cmd.Process.Release() // reap waits for it, and only when it is gone
	return nil
}

// awaitReady waits until the server answers. It returns ErrNotRunning if it died
// instead. There is no limit but the context's: after a crash a server may
// replay its log for minutes.
func (c *Cluster) awaitReady(ctx context.Context) error {
	wait := c.newWait()
	for {
		err := c.ping(ctx)
		if err == nil {
			return nil
		}
		if !c.alive() {
			c.reap()
			return ErrNotRunning
		}
		if err := wait.pause(ctx, err); err != nil {
			return err
		}
	}
}

// wait is one wait for the server to answer. It is mentioned in the log if it
// becomes long, once.
type wait struct {
	cluster *Cluster
	tell    time.Time // zero once told
}

func (c *Cluster) newWait() *wait {
	return &wait{cluster: c, tell: time.Now().Add(5 * time.Second)}
}

// pause lets some time pass until the next try. answer is what the server said to
// the last one.
func (w *wait) pause(ctx context.Context, answer error) error {
	if !w.tell.IsZero() && time.Now().After(w.tell) {
		w.tell = time.Time{}
		w.cluster.log.Warn().Err(answer).Str("dir", w.cluster.dir).Msg("still waiting for the private Postgres")
	}
	if err := pause(ctx, pollInterval); err != nil {
		return fmt.Errorf("%w (it answers: %w)", err, answer)
	}
	return nil
}

// connect opens a connection to the named database.
func (c *Cluster) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return pgx.Connect(ctx, c.url(database))
}

// ping asks whether the server takes connections.
func (c *Cluster) ping(ctx context.Context) error {
	conn, err := c.connect(ctx, "postgres")
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// ensureDatabase creates the database if it does not exist. The caller holds
// start.lock.
func (c *Cluster) ensureDatabase(ctx context.Context) error {
	conn, err := c.connect(ctx, "postgres")
	if err != nil {
		return fmt.Errorf("connect to the private Postgres: %w", err)
	}
	defer conn.Close(ctx)
	var there bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, database).Scan(&there)
	if err == nil && !there {
		_, err = conn.Exec(ctx, `CREATE DATABASE `+database)
	}
	if err != nil {
		return fmt.Errorf("create the database %s: %w", database, err)
	}
	return nil
}

// shutdown stops the server: open transactions are rolled back, what was
// committed is checkpointed. It returns when the last process is gone. The
// caller holds start.lock.
func (c *Cluster) shutdown(ctx context.Context) error {
	signalled := false
	for c.alive() {
		// The pid file is missing for a moment at both ends of a server's life.
		if pid, err := c.PID(); err == nil && !signalled {
			if err := syscall.Kill(pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("stop the private Postgres (pid %d): %w", pid, err)
			}
			signalled = true
		}
		if err := pause(ctx, pollInterval); err != nil {
			return fmt.Errorf("wait for the private Postgres in %s to stop: %w", c.dir, err)
		}
	}
	c.reap()
	c.removeSocketDir()
	return nil
}
