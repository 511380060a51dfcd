package journal

import (
	"errors"
	"io/fs"

	"bursar/accounting"
)

// eventKey names a delivery: a call's Closed and the poll of a job have
// different ids, and a repeated frame has the same key.
type eventKey struct {
	id   accounting.RequestID
	kind accounting.Kind
}

// delivery is an event that Next has returned and Ack has not seen.
type delivery struct {
	chain *chain
	seg   *segment // that holds it; nil for an Interrupted, which is in no file
	first *segment // of a dead process: where the call's first frame is
}

// cursor is the reader's place in one chain. All of it is guarded by
// Journal.readMu.
type cursor struct {
	chain *chain
	owner *adopted // nil: a shard of this process

	seg  *segment // the last one entered
	file File     // nil: not in a segment
	scan scanner

	// Taken from seg and not yet booked there.
	passed, delivered int

	// Of a dead process:
	calls       map[accounting.RequestID]*deadCall // open as far as read
	interrupted []*deadCall                        // at the end: those that never closed
	ended       bool
}

// read returns up to max events without waiting.
func (j *Journal) read(max int) []accounting.Event {
	j.readMu.Lock()
	defer j.readMu.Unlock()
	waiting := 0
	for _, c := range j.cursors {
		waiting += c.chain.waiting()
	}
	events := make([]accounting.Event, 0, min(max, waiting))
	j.turn++
	for i := range j.cursors {
		c := j.cursors[(j.turn+i)%len(j.cursors)]
		if events = c.read(events, max); len(events) >= max {
			break
		}
	}
	return events
}

func (c *cursor) read(events []accounting.Event, max int) []accounting.Event {
	c.refresh()
	for len(events) < max {
		if c.file == nil && !c.enter() {
			if c.atEnd() {
				events = c.readInterrupted(events, max)
			}
			break
		}
		payload, _, ok := c.scan.next()
		switch {
		case ok:
			events = c.take(events, payload)
		case !c.advance():
			c.book()
			return events
		}
	}
	c.book()
	return events
}

// refresh takes notice of a rescue, which may have moved the end of the segment
// to the front.
func (c *cursor) refresh() {
	if c.file == nil {
		return
	}
	c.chain.mu.Lock()
	c.scan.limit = min(c.scan.limit, c.seg.end())
	c.chain.mu.Unlock()
}

// enter opens the next segment that has something to read. false: there is none,
// or it cannot be opened now (too many open files) and is tried again later.
func (c *cursor) enter() bool {
	for {
		seg, end := c.nextSegment()
		if seg == nil {
			return false
		}
		file, err := c.chain.j.fs.Open(seg.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.chain.j.log.Error().Err(err).Msg("open journal segment to read; trying again")
			return false
		}
		c.seg = seg
		if err != nil {
			c.chain.j.log.Error().Str("segment", seg.path).Msg("journal segment was removed by somebody else")
			c.leave(true)
			continue
		}
		c.file = file
		c.scan = scanner{src: file, salt: seg.salt, off: seg.readFrom, limit: end, buf: c.scan.buf[:0]}
		if c.owner != nil {
			c.checkHeader()
		}
		return true
	}
}

// nextSegment steps over segments in which nothing is to be read.
func (c *cursor) nextSegment() (seg *segment, end int64) {
	c.chain.mu.Lock()
	defer c.chain.mu.Unlock()
	var last uint64
	if c.seg != nil {
		last = c.seg.seq
	}
	for {
		seg = c.chain.after(last)
		if seg == nil || seg.unread > 0 {
			break
		}
		if !seg.sealed {
			return nil, 0
		}
		last, c.seg = seg.seq, seg
	}
	if seg == nil {
		return nil, 0
	}
	return seg, seg.end()
}

// advance goes on at the end of what was known of the segment: further in it,
// or out of it. false: the reader has everything there is.
func (c *cursor) advance() bool {
	if c.owner != nil {
		c.leave(false)
		return true
	}
	c.book()
	c.chain.mu.Lock()
	end, sealed := c.seg.end(), c.seg.sealed
	// Frames of open calls are not read for their own sake.
	more := c.seg.unread > 0 && end > c.scan.limit
	if c.seg.unread > 0 && !more {
		// Everything was read, and some of what was written did not turn up.
		c.seg.unread, c.seg.damaged = 0, true
	}
	c.chain.mu.Unlock()
	switch {
	case more:
		c.scan.limit = end
		return true
	case sealed:
		c.leave(false)
		return true
	default:
		return false
	}
}

// leave books the segment as read. gone: there was no file.
func (c *cursor) leave(gone bool) {
	c.book()
	c.chain.mu.Lock()
	defer c.chain.mu.Unlock()
	last := c.owner != nil && c.chain.after(c.seg.seq) == nil
	if gone || c.scan.damaged(last) {
		c.seg.damaged = true
		c.chain.j.noteDamage(&c.scan, c.seg)
	} else if c.scan.tail > 0 {
		c.chain.j.count.tornTails.Add(1)
	}
	c.seg.unread = 0
	c.release()
	c.scan = scanner{buf: c.scan.buf[:0]}
	c.chain.j.tidy()
}

// noteDamage counts and logs what a scan stepped over.
func (j *Journal) noteDamage(scan *scanner, seg *segment) {
	j.count.damages.Add(uint64(max(1, scan.gaps)))
	j.count.damagedBytes.Add(uint64(scan.gapBytes + scan.tail))
	j.log.Error().Str("segment", seg.path).Int("places", scan.gaps).Int64("bytes", scan.gapBytes+scan.tail).
		Int("unreadable_pages", scan.unreadable).Msg("journal segment is damaged: what could be read is delivered")
}

// release closes the reader's handle.
func (c *cursor) release() {
	if c.file != nil {
		_ = c.file.Close() // it was only read
		c.file = nil
	}
}

// book moves what was read of seg from its unread to its unacknowledged.
func (c *cursor) book() {
	if c.passed == 0 {
		return
	}
	c.chain.mu.Lock()
	if c.owner == nil {
		c.seg.unread -= c.passed
	}
	c.seg.unacked += c.delivered
	c.chain.mu.Unlock()
	c.passed, c.delivered = 0, 0
}

// position is how far the reader has come in a segment of its chain.
func (c *cursor) position(seg *segment) int64 {
	switch {
	case c.seg == nil || c.seg.seq < seg.seq:
		return seg.readFrom
	case c.seg == seg && c.file != nil:
		return c.scan.off
	default:
		return seg.size
	}
}

// take makes of a payload what it means for the reader.
func (c *cursor) take(events []accounting.Event, payload []byte) []accounting.Event {
	key := keyOf(payload)
	switch {
	case deliverable(key.kind):
		return c.deliver(events, key, payload)
	case key.kind == accounting.Opened || key.kind == accounting.Identified:
		if c.owner != nil {
			c.remember(key.id, payload)
		}
		return events
	default:
		c.unknown()
		return events
	}
}

// unknown counts an intact frame that means nothing to this binary, and sees to
// it that its file is kept.
func (c *cursor) unknown() {
	c.chain.j.count.unknown.Add(1)
	c.chain.mu.Lock()
	c.seg.damaged = true
	c.chain.mu.Unlock()
}

func (c *cursor) deliver(events []accounting.Event, key eventKey, payload []byte) []accounting.Event {
	c.passed++
	n := len(events)
	events = append(events, accounting.Event{}) // and there it is decoded: it is large
	if decodeInto(&events[n], payload) != nil {
		c.unknown()
		return events[:n]
	}
	d := delivery{chain: c.chain, seg: c.seg}
	if call, ok := c.calls[key.id]; ok && key.kind == accounting.Closed {
		d.first = call.first
		delete(c.calls, key.id)
	}
	if _, again := c.chain.j.delivered[key]; again {
		// A dead process wrote it twice, after a failed sync.
		c.unpinFirst(d)
		return events[:n]
	}
	c.chain.j.delivered[key] = d
	c.delivered++
	return events
}

// Ack says that events returned by Next are stored elsewhere, durably; only
// their Kind and ID are looked at. Events that were acknowledged before are
// ignored. Files of which nothing is needed any more are removed soon after.
func (j *Journal) Ack(events []accounting.Event) error {
	if j.stopped() {
		return ErrClosed
	}
	j.readMu.Lock()
	defer j.readMu.Unlock()
	for i := range events {
		key := eventKey{events[i].ID, events[i].Kind}
		d, ok := j.delivered[key]
		if !ok {
			continue
		}
		delete(j.delivered, key)
		d.done()
	}
	j.tidy()
	return nil
}

// done lets go of the segments that the delivery needed.
func (d delivery) done() {
	d.chain.mu.Lock()
	defer d.chain.mu.Unlock()
	if d.seg != nil {
		d.seg.unacked--
	}
	if d.first != nil {
		d.first.open--
	}
}

func (c *cursor) unpinFirst(d delivery) {
	d.seg = nil
	d.done()
}
