package main

import (
	"context"
	wire "encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/proxy/openrouter/openroutertest"
	"bursar/store/postgres/postgrestest"
)

// A killed process leaves everything in its journal, since Postgres was away.
// Then the files are damaged as a torn write and a bad disk would.
func TestChaosADamagedJournalGivesBackAllThatIsIntactAndSaysWhatIsNot(t *testing.T) {
	t.Parallel()
	for _, repaired := range []bool{false, true} {
		t.Run(map[bool]string{false: "by the next start", true: "by bursar journal repair"}[repaired], func(t *testing.T) {
			if repaired {
				onlyInFull(t, "the recovery by the next start, with the tests of bursar journal repair,")
			}
			t.Parallel()
			database := postgrestest.New(t)
			network := newLink(t, database)
			c := newChaos(t, database)
			b := c.addBursar("DATABASE_URL=" + network.url(t, database))
			for range c.rounds(1) {
				c.startTraffic()
				network.set(linkDown)
				c.pause(500, 900)
				b.kill()
				c.traffic.stop()
				d := c.damageJournals()
				d.requireExported()
				if repaired {
					d.requireRepaired()
				}
				network.set(linkUp)
				b.start()
				d.requireRecovered()
				if !repaired {
					d.requireReported(b)
				}
				c.faults += len(d.damaged)
			}
			c.terminate(b)
			assert.NotEmpty(t, c.quarantined(), "what was damaged is kept")
			assert.Empty(t, c.journals(), "and nothing else is left")
			t.Logf("%d frames damaged, %d generations; agreed at most %s after the start", c.faults, len(c.fake.Ledger()), c.recovery)
		})
	}
}

// journalFrame is one event in a journal's file, found by FORMAT.md.
type journalFrame struct {
	path     string
	at, size int
	kind     byte
	call     accounting.RequestID
}

var journalKinds = map[byte]string{1: "opened", 2: "identified", 3: "closed", 4: "polled"}

// String is as an exported line names the event.
func (f journalFrame) String() string { return journalKinds[f.kind] + " " + f.call.String() }

func framesOf(t testing.TB, path string) (found []journalFrame) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	for at := 32; at+8 < len(content); {
		size := 8 + int(wire.LittleEndian.Uint32(content[at:]))
		if size == 8 || at+size > len(content) {
			break
		}
		payload := content[at+8 : at+size]
		found = append(found, journalFrame{path, at, size, payload[0], accounting.RequestID(payload[1:17])})
		at += size
	}
	return found
}

// damage is what was done to the journals of a killed process.
type damage struct {
	*chaos
	damaged []journalFrame
	intact  []journalFrame
	torn    []string // files of which the end is missing, and nothing else
}

// damageJournals tears the last event of each chain or flips a bit in it, and
// flips a bit in an event in the middle of a file.
func (c *chaos) damageJournals() *damage {
	c.t.Helper()
	segments, err := filepath.Glob(filepath.Join(c.dataDir, "journal", "*", "*.seg"))
	require.NoError(c.t, err)
	segments = slices.DeleteFunc(segments, func(path string) bool {
		// Its maker died before it wrote an event. The one before it is the
		// last of its chain then.
		return len(framesOf(c.t, path)) == 0 && assert.NoError(c.t, os.Remove(path))
	})
	tails := map[string]string{} // by chain; the names sort by number
	for _, path := range segments {
		shard, _, _ := strings.Cut(filepath.Base(path), "-")
		tails[filepath.Join(filepath.Dir(path), shard)] = path
	}
	d := &damage{chaos: c}
	var middle []journalFrame
	for _, path := range segments {
		frames := framesOf(c.t, path)
		d.intact = append(d.intact, frames...)
		// An intact event has to follow, also where the last one is damaged:
		// only then is it damage, and not the end of what was written.
		middle = append(middle, frames[:max(0, len(frames)-2)]...)
	}
	for _, path := range tails {
		frames := framesOf(c.t, path)
		tail := frames[len(frames)-1]
		d.damaged = append(d.damaged, tail)
		if len(d.torn) > 0 && c.random.IntN(2) == 0 {
			d.flip(tail)
			continue
		}
		require.NoError(c.t, os.Truncate(path, int64(tail.at+c.random.IntN(tail.size-1)+1)))
		d.torn = append(d.torn, path)
	}
	require.NotEmpty(c.t, middle)
	hit := middle[c.random.IntN(len(middle))]
	d.damaged = append(d.damaged, hit)
	d.flip(hit)
	d.torn = slices.DeleteFunc(d.torn, func(path string) bool { return path == hit.path })
	d.intact = slices.DeleteFunc(d.intact, func(f journalFrame) bool { return slices.Contains(d.damaged, f) })
	return d
}

func (d *damage) flip(f journalFrame) {
	d.t.Helper()
	edit(d.t, f.path, func(content []byte) []byte {
		content[f.at+d.random.IntN(f.size)] ^= 1 << d.random.IntN(8)
		return content
	})
}

// exported are the lines of bursar journal export, without those of files that
// an earlier round has set aside.
func (d *damage) exported() (events map[string]bool) {
	d.t.Helper()
	code, out, errs := bursar(d.t, "journal", "export", "--data-dir", d.dataDir)
	require.Equal(d.t, exitOK, code, errs)
	events = map[string]bool{}
	for line := range strings.Lines(out) {
		var event struct {
			Segment, Kind, ID string
		}
		require.NoError(d.t, json.Unmarshal([]byte(line), &event))
		if !strings.HasPrefix(event.Segment, "quarantine") {
			events[event.Kind+" "+event.ID] = true
		}
	}
	return events
}

// requireExported checks that the tool reads exactly what is intact.
func (d *damage) requireExported() {
	d.t.Helper()
	want := map[string]bool{}
	for _, f := range d.intact {
		want[f.String()] = true
	}
	require.Equal(d.t, want, d.exported(), "CHAOS_SEED=%d", d.seed)
	code, out, _ := bursar(d.t, "journal", "verify", "--data-dir", d.dataDir)
	require.Equal(d.t, exitFailed, code, out)
}

func (d *damage) requireRepaired() {
	d.t.Helper()
	before := d.exported()
	code, out, errs := bursar(d.t, "journal", "repair", "--data-dir", d.dataDir)
	require.Equal(d.t, exitOK, code, "%s%s", out, errs)
	code, out, errs = bursar(d.t, "journal", "verify", "--data-dir", d.dataDir)
	require.Equal(d.t, exitOK, code, "%s%s", out, errs)
	require.Equal(d.t, before, d.exported())
	require.NotEmpty(d.t, d.quarantined())
}

// requireRecovered waits until every call of which an event is intact is a row,
// complete where its closed is intact, and its cost is the billed one. A call
// may be without an id if the only event that held it was damaged, and without
// a row if all of its events were.
func (d *damage) requireRecovered() {
	d.t.Helper()
	intact, closed := map[accounting.RequestID]bool{}, map[accounting.RequestID]bool{}
	for _, f := range d.intact {
		intact[f.call] = true
		closed[f.call] = closed[f.call] || f.kind == 3
	}
	for _, f := range d.damaged {
		if !intact[f.call] {
			d.gone++
		}
	}
	d.requireLedgersAgree(func(bills []openroutertest.Bill, rows map[string]booked, nameless int) string {
		for call := range intact {
			if problem := d.rowProblem(call, closed[call]); problem != "" {
				return problem
			}
		}
		return compareAfterCrash(bills, rows, nameless+d.gone)
	})
}

// rowProblem says what is wrong with the row of a call.
func (d *damage) rowProblem(call accounting.RequestID, closed bool) string {
	conn := d.connection()
	var complete bool
	err := conn.QueryRow(context.Background(), `SELECT duration_ms IS NOT NULL FROM openrouter_usage WHERE id = $1`, call.String()).Scan(&complete)
	switch {
	case err != nil:
		return fmt.Sprintf("call %s: %s", call, err)
	case closed && !complete:
		return fmt.Sprintf("call %s: its closed is intact, its row says that it was interrupted", call)
	}
	return ""
}

func (d *damage) requireReported(b *binary) {
	d.t.Helper()
	for _, series := range []string{"bursar_journal_damages_total", "bursar_journal_damaged_bytes_total", "bursar_journal_quarantined_total"} {
		b.until("counting in "+series, func() bool { return b.metric(series) > 0 })
	}
	b.until("counting torn tails", func() bool { return b.metric("bursar_journal_torn_tails_total") >= float64(len(d.torn)) })
	assert.NotEmpty(d.t, d.quarantined())
}

// connection is the scenario's own to its database.
func (c *chaos) connection() *pgx.Conn {
	c.t.Helper()
	if c.conn == nil {
		c.conn = connect(c.t, c.database)
	}
	return c.conn
}

// quarantined lists the damaged files that were set aside.
func (c *chaos) quarantined() []string {
	c.t.Helper()
	found, err := filepath.Glob(filepath.Join(c.dataDir, "journal", "quarantine", "*"))
	require.NoError(c.t, err)
	return found
}
