package journal

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bursar/accounting"
)

// modelCall is what a journal owes one call.
type modelCall struct {
	id        accounting.RequestID
	kind      accounting.Kind // the last that was appended
	gen       bool            // Identified was appended
	lsn       [6]uint64       // by kind: the write that has to be durable for a promise across a power loss
	delivered accounting.Kind // by this process; 0: not yet
	acked     bool
	mayRepeat bool // the power failed: an Opened may have outlived what was not synced
}

// model drives a journal through everything that can happen to it and compares
// what comes out with what went in.
type model struct {
	t     *rapid.T
	disk  *powerFS
	opts  Options
	j     *Journal
	calls []*modelCall
	byID  map[accounting.RequestID]*modelCall
	out   []accounting.Event // delivered, not acknowledged

	// outage: the power has failed. A sealed segment may then be torn and the
	// one behind it not, which is set aside like any other damage.
	outage bool
	// rewritten: a sync has failed, and what was not durable stands in two
	// segments. Whoever adopts them may deliver it again once acknowledged.
	rewritten bool
}

func (m *model) must(err error) {
	if err != nil {
		m.t.Fatalf("%v", err)
	}
}

func (m *model) open() {
	j, err := newJournal(m.opts)
	m.must(err)
	j.carryAfter, j.idleTicks = 0, 1
	m.j = j
}

func (m *model) append(c *modelCall, e *accounting.Event) {
	m.must(m.j.Append(e))
	c.kind = e.Kind
	c.gen = c.gen || e.Kind == accounting.Identified
	c.lsn[e.Kind] = m.j.shardOf(c.id).lsn
}

// newCall makes a call whose id depends on nothing but its number, so that a
// failure can be reproduced.
func (m *model) newCall() *modelCall {
	n := uint64(len(m.calls) + 1)
	c := &modelCall{id: accounting.NewRequestID(time.UnixMilli(1_800_000_000_000), n, n)}
	m.calls = append(m.calls, c)
	m.byID[c.id] = c
	return c
}

// openCalls returns the calls that this process has opened and not closed.
func (m *model) openCalls() []*modelCall {
	var open []*modelCall
	for _, c := range m.calls {
		if c.kind < accounting.Closed && c.lsn[c.kind] > 0 {
			open = append(open, c)
		}
	}
	return open
}

func (m *model) Open(t *rapid.T) {
	c := m.newCall()
	m.append(c, opened(c.id))
}

func (m *model) Poll(t *rapid.T) {
	c := m.newCall()
	m.append(c, m.event(c, accounting.Polled))
}

func (m *model) Identify(t *rapid.T) {
	if open := m.openCalls(); len(open) > 0 {
		c := rapid.SampledFrom(open).Draw(t, "call")
		m.append(c, identified(c.id))
	}
}

func (m *model) Close(t *rapid.T) {
	if open := m.openCalls(); len(open) > 0 {
		c := rapid.SampledFrom(open).Draw(t, "call")
		m.append(c, closed(c.id))
	}
}

// Busy makes many short calls, so that segments fill.
func (m *model) Busy(t *rapid.T) {
	for range rapid.IntRange(1, 12).Draw(t, "calls") {
		c := m.newCall()
		m.append(c, opened(c.id))
		m.append(c, closed(c.id))
	}
}

// event is what the journal should return of a call.
func (m *model) event(c *modelCall, kind accounting.Kind) *accounting.Event {
	switch kind {
	case accounting.Polled:
		return &accounting.Event{Kind: kind, ID: c.id, JobID: "job", HTTPStatus: 200}
	case accounting.Interrupted:
		e := *opened(c.id)
		if c.gen {
			e = merge(e, *identified(c.id))
		}
		e.Kind = kind
		return &e
	default:
		return closed(c.id)
	}
}

func (m *model) Read(t *rapid.T) {
	m.take(m.j.read(rapid.IntRange(1, 20).Draw(t, "max")))
}

func (m *model) take(events []accounting.Event) {
	for i := range events {
		e := &events[i]
		c := m.byID[e.ID]
		switch {
		case c == nil:
			m.t.Fatalf("delivered but never appended: %+v", e)
		case c.delivered != 0 && c.acked && m.rewritten && c.lsn[c.kind] == 0:
			// A dead process wrote it twice.
		case c.delivered != 0:
			m.t.Fatalf("delivered twice: %s as %d and %d", e.ID, c.delivered, e.Kind)
		case e.Kind == accounting.Interrupted && c.kind >= accounting.Closed && !c.mayRepeat:
			m.t.Fatalf("%s was closed, and comes back interrupted", e.ID)
		case e.Kind == accounting.Interrupted && c.lsn[c.kind] > 0:
			m.t.Fatalf("%s is open, and comes back interrupted", e.ID)
		}
		// After a power loss an Identified may be missing.
		want := m.event(c, e.Kind)
		if c.mayRepeat && e.Kind == accounting.Interrupted {
			want.GenerationID, want.Model = e.GenerationID, e.Model
		}
		if diff := cmp.Diff(want, e, cmpopts.EquateEmpty()); diff != "" {
			m.t.Fatalf("%s", diff)
		}
		c.delivered = e.Kind
	}
	m.out = append(m.out, events...)
}

func (m *model) Ack(t *rapid.T) {
	if len(m.out) == 0 {
		return
	}
	n := rapid.IntRange(1, len(m.out)).Draw(t, "n")
	picked := rapid.Permutation(m.out).Draw(t, "order")
	m.ack(picked[:n])
	m.out = picked[n:]
}

func (m *model) ack(events []accounting.Event) {
	m.must(m.j.Ack(events))
	for i := range events {
		m.byID[events[i].ID].acked = true
	}
}

func (m *model) Sync(t *rapid.T) {
	for _, s := range m.j.shards {
		m.must(s.syncPass())
	}
}

// FailSync fails the sync of some calls of which the reader has had a part.
func (m *model) FailSync(t *rapid.T) {
	m.Busy(t)
	m.Read(t)
	m.rewritten = true
	m.disk.failSync = rapid.IntRange(1, 3).Draw(t, "times")
	for _, s := range m.j.shards {
		_ = s.syncPass() // it may have had nothing to do
	}
	m.disk.failSync = 0
}

func (m *model) Tidy(t *rapid.T) { m.must(m.j.tidyUp(time.Now(), true)) }

func (m *model) Restart(t *rapid.T) {
	m.must(m.j.Close())
	m.reborn()
}

func (m *model) Kill(t *rapid.T) {
	crash(m.j)
	m.reborn()
}

func (m *model) PowerLoss(t *rapid.T) {
	for _, s := range m.j.shards {
		for _, c := range m.calls {
			// What was acknowledged is not rescued from a failed sync.
			c.mayRepeat = c.mayRepeat || c.acked && m.rewritten
			if m.j.shardOf(c.id) != s || c.lsn[c.kind] == 0 || c.lsn[c.kind] <= s.syncedLSN {
				continue
			}
			// Its last step may be lost: what it is now, nobody promises.
			c.mayRepeat = true
			if first := max(c.lsn[accounting.Opened], c.lsn[accounting.Polled]); first > s.syncedLSN && !c.acked {
				c.acked = true // nothing of it need come
			}
		}
	}
	m.outage = true
	crash(m.j)
	m.must(m.disk.fail(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }))
	m.reborn()
}

// reborn opens the journal anew: what was delivered and not acknowledged is owed
// again, and the open calls are those of a dead process.
func (m *model) reborn() {
	m.out = nil
	m.disk.died()
	for _, c := range m.calls {
		c.delivered = 0
		c.lsn = [6]uint64{}
	}
	m.open()
}

// Check is called after every action.
func (m *model) Check(t *rapid.T) {
	if len(m.disk.abused) > 0 {
		t.Fatalf("synced again after a failed sync: %v", m.disk.abused)
	}
	if n := m.j.count.damages.Load(); n > 0 && !m.outage {
		t.Fatalf("%d damages in files that nobody damaged", n)
	}
	for _, s := range m.j.shards {
		for _, seg := range s.segments {
			if seg.unread < 0 || seg.unacked < 0 || seg.open < 0 || seg.openBytes < 0 {
				t.Fatalf("counted wrong: %+v", seg)
			}
		}
	}
}

// finish closes what is open, reads what is left, and sees that every promise
// was kept and that nothing remains.
func (m *model) finish() {
	for _, c := range m.openCalls() {
		m.append(c, closed(c.id))
	}
	for {
		events := m.j.read(9)
		if len(events) == 0 {
			break
		}
		m.take(events)
	}
	for _, c := range m.calls {
		if !c.acked && c.delivered == 0 {
			m.t.Fatalf("lost: %s, whose last step was %d", c.id, c.kind)
		}
	}
	m.ack(m.out)
	for range 5 {
		m.Sync(m.t)
		m.Tidy(m.t)
	}
	if st := m.j.Stats(); st.Bytes != 0 || st.Segments != 0 || st.Depth != 0 || st.Open != 0 || st.AdoptedInstances != 0 {
		m.t.Fatalf("something is left: %+v", st)
	}
	m.must(m.j.Close())
}

func TestWhateverHappensEveryPromiseIsKept(t *testing.T) {
	base := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		dir := fmt.Sprintf("%s/%d", base, run)
		m := &model{t: t, disk: newPowerFS(), byID: make(map[accounting.RequestID]*modelCall)}
		m.opts = testOptions(dir)
		m.opts.FS, m.opts.Shards, m.opts.SegmentBytes = m.disk, 2, 2<<10
		m.open()
		defer func() { crash(m.j) }()
		actions := rapid.StateMachineActions(m)
		t.Repeat(actions)
		m.finish()
		if files, err := os.ReadDir(dir); err != nil || len(files) != 1 && !m.outage {
			t.Fatalf("left behind: %v, %v", files, err)
		}
	})
	require.Positive(t, run)
}
