package private

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestANewClusterIsDurableAndPrivate(t *testing.T) {
	t.Setenv("OPENROUTER_API_KEY", "sk-or-secret")
	c := startWith(t, Options{Dir: folder(t)}) // as in production
	require.Equal(t, "bursar", query[string](t, c, `SELECT current_database()`))
	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on",
		"listen_addresses": "", "max_connections": "50", "shared_buffers": "128MB",
		"server_encoding": "UTF8", "TimeZone": "UTC",
	} {
		require.Equal(t, want, query[string](t, c, `SELECT current_setting($1)`, setting), setting)
	}
	info, err := os.Stat(c.dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	pid := pidOf(t, c)
	session, err := unix.Getsid(pid)
	require.NoError(t, err)
	require.Equal(t, pid, session, "the server is in a session of its own, out of reach of Ctrl-C")
	environment, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	require.NoError(t, err)
	require.NotContains(t, string(environment), "secret")
	if os.Geteuid() == 0 {
		status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
		require.NoError(t, err)
		require.NotContains(t, string(status), "Uid:\t0")
	}
}

func TestDataSurviveAStopAndAStart(t *testing.T) {
	dir := usedFolder(t)
	first := start(t, dir)
	remember(t, first, "two cents")
	stop(t, first)
	_, err := first.PID()
	require.ErrorIs(t, err, ErrNotRunning)
	stop(t, first) // again, which does nothing

	second := start(t, dir)
	require.Equal(t, first.URL(), second.URL())
	require.Equal(t, "two cents", recall(t, second))
}

func TestTheServerStaysUntilTheLastBursarLeaves(t *testing.T) {
	dir := usedFolder(t)
	other := startBursar(t, dir, "")
	other.awaitReady(t)
	var log safeBuffer
	c := startWith(t, Options{Dir: dir, Logger: log.logger()})
	require.Equal(t, 1, log.count(`"adopted":true`))
	pid := pidOf(t, c)
	stop(t, c)

	again := start(t, dir)
	require.Equal(t, pid, pidOf(t, again), "the server did not stop while the other Bursar used it")
	other.killNine()
	stop(t, again)
	_, err := again.PID()
	require.ErrorIs(t, err, ErrNotRunning, "a killed Bursar holds no share")
}

func TestAServerWhoseBursarWasKilledIsAdopted(t *testing.T) {
	dir := usedFolder(t)
	killed := startBursar(t, dir, "")
	killed.awaitReady(t)
	c := &Cluster{dir: dir}
	pid := pidOf(t, c)
	remember(t, c, "before the kill")
	killed.killNine()

	adopter := start(t, dir)
	require.Equal(t, pid, pidOf(t, adopter))
	require.Equal(t, "before the kill", recall(t, adopter))
}

func TestManyWhoStartAtOnceShareOneServer(t *testing.T) {
	dir := folder(t)
	const n = 6
	clusters := make([]*Cluster, n)
	var all sync.WaitGroup
	for i := range clusters {
		all.Go(func() {
			c, err := Start(t.Context(), Options{Dir: dir, Settings: unsafeSettings()})
			if err != nil {
				t.Error(err)
				return
			}
			clusters[i] = c
		})
	}
	all.Wait()
	require.False(t, t.Failed())
	pid := pidOf(t, clusters[0])
	for i, c := range clusters {
		require.Equal(t, pid, pidOf(t, c), "nobody but the last stops it")
		stop(t, clusters[i])
	}
	_, err := clusters[0].PID()
	require.ErrorIs(t, err, ErrNotRunning)
}

func TestACancelledStartLeavesNoServerBehind(t *testing.T) {
	dir := usedFolder(t)
	// A server that takes half a second to begin.
	bin := fakeBinaries(t, "exit 1")
	real := filepath.Join(realBinaries(t), "postgres")
	require.NoError(t, os.Remove(filepath.Join(bin, "postgres")))
	write(t, filepath.Join(bin, "postgres"), "#!/bin/sh\n[ $1 = --version ] || sleep 0.5\nexec "+real+` "$@"`+"\n", 0o755)

	givenUp := errors.New("given up")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for c := (&Cluster{dir: dir}); !c.alive(); {
			time.Sleep(time.Millisecond)
		}
		cancel(givenUp)
	}()
	_, err := Start(ctx, Options{Dir: dir, BinDir: bin, Settings: unsafeSettings()})
	require.ErrorIs(t, err, givenUp)
	require.False(t, (&Cluster{dir: dir}).alive(), "it was stopped as soon as it could be")
}

func TestALogThatHasGrownIsPutAside(t *testing.T) {
	dir := usedFolder(t)
	path := filepath.Join(dir, "server.log")
	write(t, path, strings.Repeat("x", maxLogBytes+1), 0o600)
	start(t, dir)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(maxLogBytes))
	require.FileExists(t, path+".1")
}

func TestWhyTheServerDoesNotStartIsInTheError(t *testing.T) {
	dir := usedFolder(t)
	_, err := Start(t.Context(), Options{Dir: dir, Settings: map[string]string{"fsync": "off", "shared_buffers": "a lot"}})
	require.ErrorContains(t, err, `invalid value for parameter "shared_buffers": "a lot"`)
	require.False(t, (&Cluster{dir: dir}).alive())
	start(t, dir) // and it did no harm
}
