package private

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// killPostmaster kills the server's main process and returns its id.
func killPostmaster(t *testing.T, c *Cluster) int {
	t.Helper()
	pid := pidOf(t, c)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	return pid
}

// supervise runs Supervise for the length of the test.
func supervise(t *testing.T, c *Cluster) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Supervise(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
}

func awaitPing(t *testing.T, c *Cluster) {
	t.Helper()
	require.Eventually(t, func() bool { return c.ping(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
}

func TestASupervisedServerComesBackAfterKillNine(t *testing.T) {
	var log safeBuffer
	c := startWith(t, Options{Dir: usedFolder(t), Logger: log.logger(), Settings: unsafeSettings()})
	remember(t, c, "committed")
	supervise(t, c)
	for death := 1; death <= 2; death++ {
		killed := killPostmaster(t, c)
		require.Eventually(t, func() bool { return log.count("is up again") == death }, time.Minute, 10*time.Millisecond)
		require.NotEqual(t, killed, pidOf(t, c))
		require.Equal(t, "committed", recall(t, c))
	}
	require.Zero(t, log.count(`"level":"error"`))
}

func TestTwoSupervisorsBringBackOneServer(t *testing.T) {
	dir := usedFolder(t)
	a, b := start(t, dir), start(t, dir)
	supervise(t, a)
	supervise(t, b)
	for range 3 {
		killed := killPostmaster(t, a)
		require.Eventually(t, func() bool { pid, err := a.PID(); return err == nil && pid != killed }, time.Minute, 10*time.Millisecond)
		awaitPing(t, b)
	}
	stop(t, a)
	awaitPing(t, b)
}

func TestSuperviseEndsWithStopAndDoesNotUndoIt(t *testing.T) {
	c := start(t, usedFolder(t))
	ended := make(chan error)
	go func() { ended <- c.Supervise(t.Context()) }()
	stop(t, c)
	require.NoError(t, <-ended)
	require.False(t, c.alive())
}

func TestAServerThatWasKilledUnseenIsStartedAgain(t *testing.T) {
	dir := usedFolder(t)
	c := start(t, dir)
	remember(t, c, "committed")
	killPostmaster(t, c)
	require.Eventually(t, func() bool { return !c.alive() }, time.Minute, 10*time.Millisecond)
	require.FileExists(t, c.pidFile())
	require.Equal(t, "committed", recall(t, start(t, dir)))
}

// After a restart of the machine or the container any program may have the number
// that postmaster.pid holds. Postgres would refuse to start if that program runs
// as the server's user.
func TestAStalePIDFileThatNamesAnotherProgramDoesNotHinderTheStart(t *testing.T) {
	dir := usedFolder(t)
	c := start(t, dir)
	remember(t, c, "committed")
	stop(t, c)

	sleep := exec.Command("sleep", "60")
	sleep.SysProcAttr = c.account.process()
	require.NoError(t, sleep.Start())
	t.Cleanup(func() { _ = sleep.Process.Kill(); _ = sleep.Wait() })
	for _, file := range c.lockFiles() {
		write(t, file, strconv.Itoa(sleep.Process.Pid)+"\n"+c.dataDir()+"\n1700000000\n5432\n"+dir+"\n\n", 0o600)
		require.NoError(t, os.Chown(file, int(c.account.uid), int(c.account.gid)))
	}
	_, err := c.PID()
	require.ErrorIs(t, err, ErrNotRunning, "a sleep is no Postgres")

	require.Equal(t, "committed", recall(t, start(t, dir)))
	require.NoError(t, syscall.Kill(sleep.Process.Pid, 0), "it is left alone")
}

func TestAnInterruptedInitdbIsDoneAgain(t *testing.T) {
	real := realBinaries(t)
	dir := folder(t)
	marker := filepath.Join(filepath.Dir(dir), "interrupted")
	require.NoError(t, os.Mkdir(marker, 0o777))
	require.NoError(t, os.Chmod(marker, 0o777))
	// The first initdb gets as far as PG_VERSION and then takes its time.
	bin := fakeBinaries(t, `
if mkdir `+marker+`/once 2>/dev/null; then
	mkdir `+dir+`/data.new
	echo 15 > `+dir+`/data.new/PG_VERSION
	sleep 1
	exit 1
fi
exec `+real+`/initdb "$@"`)
	killed := startBursar(t, dir, bin)
	half := filepath.Join(dir, "data.new", "PG_VERSION")
	require.Eventually(t, func() bool { return exists(half) }, time.Minute, 5*time.Millisecond)
	killed.killNine()
	require.True(t, (&Cluster{dir: dir}).alive(), "the initdb lives on and is waited for")

	c := startWith(t, Options{Dir: dir, BinDir: bin, Settings: unsafeSettings()})
	require.Equal(t, "bursar", query[string](t, c, `SELECT current_database()`))
	require.NoDirExists(t, filepath.Join(dir, "data.new"))
}
