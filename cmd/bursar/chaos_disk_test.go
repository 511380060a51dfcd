package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/store/postgres/postgrestest"
)

// builtWithFaults is the program with a disk that fails on demand.
var builtWithFaults = onceBuilt("bursar-faults", func(string) ([]string, error) { return []string{"-tags=chaos"}, nil })

// faultyDisk is the build whose disk fails as the file that it returns says
// (chaos_fs.go). The scenario's Bursars are of it from now on.
func (c *chaos) faultyDisk() (control string) {
	c.build = builtWithFaults
	return filepath.Join(c.t.TempDir(), "disk")
}

// disk is one that can be filled and emptied.
type disk struct {
	env  []string
	fill func()
	free func()
}

// smallDisk puts the data directory on a file system of 4 MiB. Where the test
// may not mount one (it is not root), the journal's own file system has a quota
// in its place, and the test says so.
func (c *chaos) smallDisk() disk {
	c.t.Helper()
	require.NoError(c.t, os.MkdirAll(c.dataDir, 0o755))
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m", "bursar-chaos", c.dataDir).CombinedOutput()
	if err != nil {
		c.t.Logf("NO DISK OF ITS OWN: the journal has a quota in its place (mount: %v: %s)", err, strings.TrimSpace(string(out)))
		return c.quota()
	}
	c.t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", c.dataDir).CombinedOutput(); err != nil {
			c.t.Errorf("unmount %s: %v: %s", c.dataDir, err, out)
		}
	})
	filler := filepath.Join(c.dataDir, "filler")
	return disk{
		fill: func() {
			c.t.Helper()
			f, err := os.Create(filler)
			require.NoError(c.t, err)
			defer f.Close()
			for err = nil; err == nil; _, err = f.Write(make([]byte, 4096)) {
			}
			require.ErrorIs(c.t, err, syscall.ENOSPC)
		},
		free: func() { require.NoError(c.t, os.Remove(filler)) },
	}
}

func (c *chaos) quota() disk {
	control := c.faultyDisk()
	return disk{
		env:  []string{"CHAOS_DISK=" + control},
		fill: func() { require.NoError(c.t, os.WriteFile(control, []byte("quota=4096"), 0o600)) },
		free: func() { require.NoError(c.t, os.Remove(control)) },
	}
}

func TestChaosAFullDiskUnderTheJournalLosesNothing(t *testing.T) {
	t.Parallel()
	database := postgrestest.New(t)
	network := newLink(t, database)
	c := newChaos(t, database)
	full := c.smallDisk()
	b := c.addBursar(append(full.env, "DATABASE_URL="+network.url(t, database))...)
	c.startTraffic()
	for round := range c.rounds(1) {
		c.pause(200, 600)
		full.fill()
		b.untilNotReady("the journal is full and takes no new calls: each waits for its row in Postgres")
		assert.Equal(t, 1.0, b.metric("bursar_journal_full"))
		c.pause(100, 500)
		if round%2 == 0 {
			network.set(linkDown)
			b.untilNotReady("sent unaccounted")
			assert.Positive(t, b.metric("bursar_unaccounted_calls_total"))
			c.pause(100, 500)
			network.set(linkUp)
		}
		full.free()
		b.untilReady()
		c.faults++
	}
	assert.Zero(t, b.metric("bursar_events_lost_total"))
	c.requireAllAnswered()
	c.requireNothingLost(nothingKilled)
	for _, line := range []string{
		"the journal takes no new calls: each waits for its row in Postgres before it is sent",
		"the journal takes no new calls: Postgres does not take them either, and they are sent unaccounted until they end",
		"new calls are recorded in the journal again",
	} {
		n := strings.Count(b.log.String(), line)
		assert.Positive(t, n, line)
		assert.LessOrEqual(t, n, 3*c.faults, "a line per change, not per call: %s", line)
	}
}

// In each mode the process says what becomes of new calls, and does it.
func TestWhatBecomesOfANewCallWithAFullJournalAndNoPostgresIsConfigured(t *testing.T) {
	t.Parallel()
	for _, mode := range []struct {
		whenFull, mode, says, counts string
		status                       int
	}{
		{"commit", "unaccounted", "sent unaccounted", "bursar_unaccounted_calls_total", http.StatusOK},
		{"refuse", "refused", "refused with 503", "bursar_unrecorded_refusals_total", http.StatusServiceUnavailable},
		{"pass", "memory", "events wait in memory", "bursar_events_kept_in_memory_total", http.StatusOK},
	} {
		t.Run(mode.whenFull, func(t *testing.T) {
			t.Parallel()
			database := postgrestest.New(t)
			network := newLink(t, database)
			c := newChaos(t, database)
			control := c.faultyDisk()
			b := c.addBursar("DATABASE_URL="+network.url(t, database), "BURSAR_JOURNAL_WHEN_FULL="+mode.whenFull, "CHAOS_DISK="+control)
			require.Equal(t, http.StatusOK, c.post(b))
			require.NoError(t, os.WriteFile(control, []byte("quota=0"), 0o600))
			network.set(linkDown)

			billed := len(c.fake.Ledger())
			require.Equal(t, mode.status, c.post(b))
			if mode.status != http.StatusOK {
				assert.Len(t, c.fake.Ledger(), billed, "nothing went upstream")
			}
			b.untilNotReady(mode.says)
			assert.Equal(t, 1.0, b.metric(`bursar_recording_mode{mode="`+mode.mode+`"}`))
			assert.Positive(t, b.metric(mode.counts))

			network.set(linkUp)
			require.NoError(t, os.Remove(control))
			b.until("journaling again", func() bool {
				return c.post(b) == http.StatusOK && b.metric(`bursar_recording_mode{mode="journal"}`) == 1
			})
			b.untilReady()
			c.requireLedgersAgree(nothingKilled)
			c.terminate(b)
			assert.Contains(t, b.log.String(), mode.says)
			assert.Contains(t, b.log.String(), "new calls are recorded in the journal again")
		})
	}
}

// post makes one call and returns its status.
func (c *chaos) post(b *binary) int {
	c.t.Helper()
	response, err := http.Post(b.base+"/api/v1/chat/completions", "application/json", strings.NewReader(`{"model":"fake/ok","messages":[{"role":"user","content":"hi"}]}`))
	require.NoError(c.t, err)
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(c.t, err)
	return response.StatusCode
}

// What no sync has confirmed is with the operating system all the same, and
// survives the process. What could not be written is in its memory only: to
// kill it then would be a second fault.
func TestChaosSyncsAndWritesThatFailLoseNothing(t *testing.T) {
	t.Parallel()
	c := newChaos(t, postgrestest.New(t))
	control := c.faultyDisk()
	b := c.addBursar("CHAOS_DISK=" + control)
	var syncs, writes float64
	for range c.rounds(1) {
		c.startTraffic()
		c.pause(100, 400)
		require.NoError(t, os.WriteFile(control, []byte("sync=20 write=20"), 0o600))
		b.until("kept in memory", func() bool { return b.metric("bursar_events_kept_in_memory_total") > 0 })
		c.pause(100, 400)
		writes += b.metric("bursar_journal_append_errors_total")
		c.traffic.stop()
		require.NoError(t, os.Remove(control))
		c.requireLedgersAgree(afterKill)

		c.startTraffic()
		require.NoError(t, os.WriteFile(control, []byte("sync=50"), 0o600))
		b.until("rescued", func() bool { return b.metric("bursar_journal_rescued_total") > 0 })
		syncs += b.metric("bursar_journal_sync_errors_total")
		b.kill()
		c.traffic.stop()
		require.NoError(t, os.Remove(control))
		b.start()
		c.faults++
	}
	c.requireNothingLost(afterKill)
	t.Logf("%.0f syncs and %.0f writes failed", syncs, writes)
}
