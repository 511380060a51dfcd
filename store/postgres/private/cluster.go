package private

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// stopTimeout bounds a shutdown whose context has no deadline of its own.
const stopTimeout = time.Minute

// Options say where the server lives.
type Options struct {
	// Dir is the folder of the cluster and of nothing else. It is made if it
	// does not exist.
	Dir string

	// Logger hears of start, adoption, death and stop.
	Logger zerolog.Logger

	// BinDir holds the programs postgres and initdb. If empty they are looked
	// for: on the PATH, where distributions install them, where pg_config says.
	BinDir string

	// Settings are further settings of the server. They win over ours, and
	// do not reach a server that is adopted.
	Settings map[string]string
}

// Cluster is a running private Postgres, as one of its users sees it. Its methods
// may be called from any goroutine.
type Cluster struct {
	log      zerolog.Logger
	dir      string // absolute, without symbolic links
	account  account
	binaries binaries
	settings map[string]string
	members  *os.File // locked shared until Stop

	mu      sync.Mutex
	child   int // a server that we started and whose exit nobody has waited for
	stopped bool
}

// Start brings the private Postgres up, adopting it if it runs already, and
// returns when it takes connections and has the database "bursar". It waits as
// long as ctx allows: a new cluster takes about a second, recovery after a crash
// whatever the log needs.
//
// Errors say what to install or to change; ErrNoBinaries is one of them.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	dir, err := openDir(opts.Dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{log: opts.Logger, dir: dir, settings: opts.Settings}
	start, err := c.lockStart(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock(start)
	if err := c.prepare(ctx, opts.BinDir); err != nil {
		return nil, err
	}
	if err := c.join(); err != nil {
		return nil, err
	}
	began := time.Now()
	adopted, err := c.ensureRunning(ctx)
	if err == nil {
		err = c.ensureDatabase(ctx)
	}
	if err != nil {
		c.abandon(ctx)
		return nil, err
	}
	c.log.Info().Str("dir", dir).Int("version", c.Version()).Bool("adopted", adopted).
		Dur("took_ms", time.Since(began)).Msg("private Postgres is ready")
	return c, nil
}

// join takes a share of the server. The caller holds start.lock, and so nobody has
// members.lock exclusively.
func (c *Cluster) join() error {
	members, err := c.openLock(membersLock)
	if err != nil {
		return err
	}
	got, err := tryLock(members, syscall.LOCK_SH)
	if err == nil && !got {
		err = fmt.Errorf("lock %s: somebody who is not a Bursar holds it", members.Name())
	}
	if err != nil {
		_ = members.Close()
		return err
	}
	c.members = members
	return nil
}

// prepare chooses the account and the programs, and gives the folder to the
// account.
func (c *Cluster) prepare(ctx context.Context, binDir string) error {
	var err error
	if c.account, err = serverAccount(c.dataDir()); err != nil {
		return err
	}
	if err := c.account.own(c.dir, 0o700); err != nil {
		return err
	}
	version, err := c.dataVersion()
	if err != nil {
		return err
	}
	c.binaries, err = c.chooseBinaries(ctx, binDir, version)
	return err
}

// URL is the connection string of the database "bursar", over the unix socket.
// It stays the same over restarts.
func (c *Cluster) URL() string { return c.url(database) }

// Version is the major version of the server, such as 15.
func (c *Cluster) Version() int { return c.binaries.major }

// Stop gives up our share of the server, and stops it if nobody else has one. It
// returns when the server is down: connections are closed and what was
// committed is on disk. A second Stop does nothing.
//
// If ctx ends first, the shutdown that was asked for goes on without us.
func (c *Cluster) Stop(ctx context.Context) error {
	start, err := c.lockStart(ctx)
	if err != nil {
		return err
	}
	defer unlock(start)
	c.mu.Lock()
	again := c.stopped
	c.stopped = true
	c.mu.Unlock()
	if again {
		return nil
	}
	return c.leave(ctx)
}

// leave gives up the share. The caller holds start.lock.
func (c *Cluster) leave(ctx context.Context) error {
	defer unlock(c.members)
	last, err := tryLock(c.members, syscall.LOCK_EX)
	if err != nil {
		return err
	}
	if !last {
		c.log.Info().Str("dir", c.dir).Msg("private Postgres stays up for another Bursar")
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := c.shutdown(ctx); err != nil {
		return err
	}
	c.log.Info().Str("dir", c.dir).Msg("private Postgres stopped")
	return nil
}

// abandon clears up after a start that did not succeed, even if it was cancelled.
func (c *Cluster) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := c.leave(ctx); err != nil {
		c.log.Warn().Err(err).Msg("private Postgres did not start, and is left as it is")
	}
}
