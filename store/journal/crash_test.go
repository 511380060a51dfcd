package journal

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

const childEnv = "BURSAR_JOURNAL_TEST_CHILD"

// writeUntilKilled is the life of the child process: many writers, which say on
// standard output what was acknowledged to them.
func writeUntilKilled() {
	j, err := Open(Options{Dir: os.Getenv(childEnv), SegmentBytes: 64 << 10, Shards: 4, Logger: zerolog.Nop()})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for range 16 {
		go func() {
			for {
				id := newID()
				for _, e := range []*accounting.Event{opened(id), identified(id), closed(id)} {
					if err := j.Append(e); err != nil {
						fmt.Fprintln(os.Stderr, err)
						os.Exit(1)
					}
					// One write(2) each, so that lines do not mix.
					fmt.Fprintf(os.Stdout, "%d %s\n", e.Kind, id)
				}
			}
		}()
	}
	go func() { // acknowledges half, so that segments are dropped while it dies
		for n := 0; ; n++ {
			events := j.read(50)
			if n%2 == 0 {
				for _, e := range events { // before, or it may die in between
					fmt.Fprintf(os.Stdout, "acked %s\n", e.ID)
				}
				_ = j.Ack(events)
			}
			time.Sleep(time.Millisecond)
		}
	}()
	select {}
}

func TestKillMinusNineLosesNoAcknowledgedAppend(t *testing.T) {
	dir := t.TempDir()
	promised := map[accounting.RequestID]accounting.Kind{}
	acked := map[accounting.RequestID]bool{}
	for range 3 {
		runAndKill(t, dir, promised, acked)
	}
	require.Greater(t, len(promised), 300)

	j := mustOpen(t, Options{Dir: dir, Shards: 2, Logger: zerolog.Nop()})
	require.Equal(t, 3, j.Stats().AdoptedInstances)
	got := map[accounting.RequestID]accounting.Kind{}
	for _, e := range drainAndAck(t, j) {
		got[e.ID] = e.Kind
		if promised[e.ID] == accounting.Identified && e.Kind == accounting.Interrupted {
			assert.Equal(t, "gen-"+e.ID.String(), e.GenerationID)
		}
	}
	for id, kind := range promised {
		switch {
		case acked[id]:
		case kind == accounting.Closed:
			require.Equal(t, accounting.Closed, got[id], "a closed call is lost: %s", id)
		default:
			// It may have closed without the child living to say so.
			require.Contains(t, []accounting.Kind{accounting.Interrupted, accounting.Closed}, got[id], "an open call is lost: %s", id)
		}
	}
	assert.Zero(t, j.Stats().Damages)
	settle(t, j)
	requireInstances(t, dir, j.Instance())
}

// runAndKill starts a child, lets it write for a while and kills it. It notes
// the last kind promised for each call.
func runAndKill(t *testing.T, dir string, promised map[accounting.RequestID]accounting.Kind, acked map[accounting.RequestID]bool) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	var once sync.Once
	kill := func() { _ = child.Process.Signal(syscall.SIGKILL) }
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		once.Do(func() { time.AfterFunc(150*time.Millisecond, kill) })
		var word, text string
		if _, err := fmt.Sscan(lines.Text(), &word, &text); err != nil {
			continue // the line it died in
		}
		id, err := accounting.ParseRequestID(text)
		if err != nil {
			continue
		}
		if word == "acked" {
			acked[id] = true
			continue
		}
		promised[id] = max(promised[id], accounting.Kind(word[0]-'0'))
	}
	require.Error(t, child.Wait(), "it was killed")
}
