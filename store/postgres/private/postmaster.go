package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrNotRunning says that the server's main process is not there.
var ErrNotRunning = errors.New("the private Postgres is not running")

// PID returns the process id of the server's main process, the postmaster. It
// is verified: a stale postmaster.pid whose number now belongs to another
// program gives ErrNotRunning.
func (c *Cluster) PID() (int, error) {
	pid, err := recordedPID(c.pidFile())
	if err != nil {
		return 0, err
	}
	if !c.isPostmaster(pid) {
		return 0, ErrNotRunning
	}
	return pid, nil
}

// lockFiles are Postgres's own: each begins with the process id of its server.
func (c *Cluster) lockFiles() []string {
	return []string{c.pidFile(), filepath.Join(c.socketDir(), ".s.PGSQL."+port+".lock")}
}

func (c *Cluster) pidFile() string { return filepath.Join(c.dataDir(), "postmaster.pid") }

// recordedPID is what the first line of one of Postgres's lock files says.
func recordedPID(lockFile string) (int, error) {
	text, err := os.ReadFile(lockFile)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, ErrNotRunning
	}
	if err != nil {
		return 0, fmt.Errorf("read the process id of the private Postgres: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 1 {
		return 0, ErrNotRunning // being written just now
	}
	return pid, nil
}

// isPostmaster tells whether pid is a server on our data directory. Without
// /proc to ask, a server that holds server.lock and a process of that number
// must do.
func (c *Cluster) isPostmaster(pid int) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	if !exists("/proc/self/exe") {
		return syscall.Kill(pid, 0) == nil && c.alive()
	}
	// The order matters: an exiting process loses its program first, then its
	// locks, then its folder.
	program, err := os.Readlink(filepath.Join(proc, "exe"))
	if err != nil {
		return false
	}
	program = strings.TrimSuffix(program, " (deleted)") // replaced by an upgrade
	cwd, err := os.Readlink(filepath.Join(proc, "cwd"))
	if err != nil || filepath.Base(program) != "postgres" {
		return false
	}
	data, err := filepath.EvalSymlinks(c.dataDir()) // may have been moved to a larger disk
	return err == nil && cwd == data
}

// removeStaleLocks takes away lock files of Postgres whose number belongs to some
// other program by now, as happens in a restarted container where all numbers
// are small, or to a zombie: Postgres would take that for a server and refuse to
// start. All other stale files it handles itself. The caller holds server.lock,
// hence no server of ours is alive.
func (c *Cluster) removeStaleLocks() error {
	for _, file := range c.lockFiles() {
		pid, err := recordedPID(file)
		if errors.Is(err, ErrNotRunning) {
			continue
		}
		if err != nil {
			return err
		}
		if !exists("/proc/self/exe") || syscall.Kill(pid, 0) != nil || c.isPostmaster(pid) {
			continue
		}
		if err := os.Remove(file); err != nil {
			return fmt.Errorf("remove a stale lock file of Postgres: %w", err)
		}
		c.log.Info().Int("pid", pid).Str("file", file).Msg("removed a stale lock file: its process id is no Postgres of ours")
	}
	return nil
}

// alive tells whether any process of the server, or an initdb, is left. Where that
// cannot be found out (no file descriptor is free) it says yes, for what
// follows a no is a second server.
func (c *Cluster) alive() bool {
	f, err := c.openLock(serverLock)
	if err != nil {
		return true
	}
	defer unlock(f)
	free, err := tryLock(f, syscall.LOCK_SH) // shared: two who look do not disturb each other
	return err != nil || !free
}

// reap takes the exit status of a server that was our child, so that no zombie
// stays behind. It is called when the server's locks are free: the process
// is gone, or will be within moments.
func (c *Cluster) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.child == 0 {
		return
	}
	for {
		if _, err := syscall.Wait4(c.child, nil, 0, nil); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	c.child = 0
}
