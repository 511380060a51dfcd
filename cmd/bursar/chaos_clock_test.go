package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/store/postgres/postgrestest"
)

// builtWithClock is the program with a wall clock that can be set. Nothing in
// it knows: the whole program, its libraries included, is compiled with another
// time.Now, which takes a minute.
var builtWithClock = onceBuilt("bursar-clock", func(dir string) ([]string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("find Go's own source: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return nil, err
	}
	const now = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	stepped := strings.Replace(string(source), now, now+"\tsec += chaosStep.Load()\n", 1)
	stepped = strings.Replace(stepped, "import (\n", "import (\n\t\"sync/atomic\"\n", 1)
	if !strings.Contains(stepped, "chaosStep") || !strings.Contains(stepped, "sync/atomic") {
		return nil, fmt.Errorf("%s is not as this test knows it: teach it the new time.Now", original)
	}
	stepped += "\nvar chaosStep atomic.Int64\n\n// ChaosStep sets the wall clock ahead by seconds; the monotonic one goes on.\nfunc ChaosStep(seconds int64) { chaosStep.Store(seconds) }\n"
	replacement, overlay := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(replacement, []byte(stepped), 0o600); err != nil {
		return nil, err
	}
	files, err := json.Marshal(map[string]map[string]string{"Replace": {original: replacement}})
	if err != nil {
		return nil, err
	}
	return []string{"-tags=chaosclock", "-overlay=" + overlay}, os.WriteFile(overlay, files, 0o600)
})

// The clock begins seconds before the end of a month and is set forward and
// back by an hour, over the end of the month, while calls go on.
func TestChaosAClockThatStepsOverTheEndOfAMonthLosesNothing(t *testing.T) {
	onlyInFull(t, "what store/postgres tests of partitions and months")
	t.Parallel()
	c := newChaos(t, postgrestest.New(t))
	c.build = builtWithClock
	control := filepath.Join(t.TempDir(), "clock")
	now := time.Now().UTC()
	nextMonth := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	set := func(offset time.Duration) {
		fresh := control + ".new"
		seconds := int64((time.Until(nextMonth) + offset) / time.Second)
		require.NoError(t, os.WriteFile(fresh, fmt.Append(nil, seconds), 0o600))
		require.NoError(t, os.Rename(fresh, control)) // never read half written
	}
	set(-10 * time.Second)
	b := c.addBursar("CHAOS_CLOCK=" + control)
	c.startTraffic()
	for round := range c.rounds(3) {
		c.pause(300, 900)
		set([]time.Duration{time.Hour, -time.Hour, -time.Second}[round%3])
		if round%3 == 1 {
			c.pause(0, 300)
			b.kill()
			b.start() // its journal was adopted an hour before it was written
		}
		c.faults++
	}
	c.pause(1500, 2500) // past the end of the month, by the clock's own pace
	set(2 * time.Hour)  // past all that was scheduled meanwhile
	c.requireNothingLost(afterKill)

	conn := c.connection()
	ask := func(query string) (n int64) {
		t.Helper()
		require.NoError(t, conn.QueryRow(context.Background(), query).Scan(&n))
		return n
	}
	require.EqualValues(t, 2, ask(`SELECT count(DISTINCT date_trunc('month', created_at AT TIME ZONE 'UTC')) FROM openrouter_usage`), "calls in both months")
	require.Zero(t, ask(`SELECT count(*) FROM openrouter_usage_default`), "each month has its partition")
	require.Zero(t, ask(`SELECT count(*) FROM openrouter_usage
		WHERE floor(extract(epoch FROM created_at) * 1000) <> ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint`), "created_at is the time in the id")
	require.Zero(t, ask(`SELECT count(*) FROM openrouter_usage WHERE cost_usd IS NULL AND status <> 'interrupted' AND status <> 'failed'`))
}
