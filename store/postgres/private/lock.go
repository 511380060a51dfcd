package private

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// The lock files, see the package comment.
const (
	startLock   = "start.lock"
	membersLock = "members.lock"
	serverLock  = "server.lock"
)

// pollInterval is how often a lock or a server that is not ready is looked at
// again: flock cannot wait for a context.
const pollInterval = 20 * time.Millisecond

// openLock opens the named lock file of the cluster without locking it. It follows
// no link: the folder belongs to the server's account, and we may be root.
func (c *Cluster) openLock(name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(c.dir, name), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	return f, nil
}

// lockStart waits for the right to decide about start and stop. The caller
// gives it back with unlock.
func (c *Cluster) lockStart(ctx context.Context) (*os.File, error) {
	f, err := c.openLock(startLock)
	if err != nil {
		return nil, err
	}
	for {
		got, err := tryLock(f, syscall.LOCK_EX)
		if got {
			return f, nil
		}
		if err == nil {
			err = pause(ctx, pollInterval)
		}
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("wait for %s, held by another Bursar: %w", f.Name(), err)
		}
	}
}

// tryLock locks f as how says (LOCK_SH, LOCK_EX) and reports whether it could.
// Locking a file that this descriptor has locked already changes the kind of
// lock, and loses the old one where that fails.
func tryLock(f *os.File, how int) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// unlock gives the lock back and closes f. The explicit LOCK_UN matters: a
// child that was forked in this moment and has not yet called exec shares the
// descriptor, and would keep the lock beyond the Close.
func unlock(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	_ = f.Close()
}

// pause sleeps for d, or until ctx ends, whose cause it then returns.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
