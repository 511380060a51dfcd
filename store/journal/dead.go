package journal

import (
	"bytes"
	"slices"

	"bursar/accounting"
)

// deadCall is a call of a dead process whose Closed was not met yet.
type deadCall struct {
	event accounting.Event
	first *segment
}

// checkHeader judges the header of a dead process's segment.
func (c *cursor) checkHeader() {
	head := make([]byte, min(headerSize, c.seg.size))
	n, _ := c.file.ReadAt(head, 0) // what cannot be read fails the check
	switch c.seg.checkHeader(head[:n]) {
	case headerNewer:
		c.chain.j.log.Error().Str("segment", c.seg.path).
			Msg("journal segment was written by a newer version: set aside, start that version to recover it")
		c.scan.limit = c.scan.off
		c.seg.damaged = true
	case headerBad:
		c.chain.j.count.damages.Add(1)
		c.seg.damaged = true
	case headerTorn:
		c.chain.j.count.tornTails.Add(1)
	case headerGood:
	}
}

// remember merges a frame of a dead process's open call. The call's first
// segment is needed until the call has been delivered and acknowledged.
func (c *cursor) remember(id accounting.RequestID, payload []byte) {
	event, err := decodeEvent(payload)
	if err != nil {
		c.unknown()
		return
	}
	if call, ok := c.calls[id]; ok {
		call.event = merge(call.event, event)
		return
	}
	c.calls[id] = &deadCall{event: event, first: c.seg}
	c.chain.mu.Lock()
	c.seg.open++
	c.chain.mu.Unlock()
}

// atEnd reports whether the whole chain of a dead process was read.
func (c *cursor) atEnd() bool {
	if c.owner == nil {
		return false
	}
	seg, _ := c.nextSegment()
	return seg == nil
}

// readInterrupted delivers, at the end of a dead process's chain, the calls
// that never closed.
func (c *cursor) readInterrupted(events []accounting.Event, max int) []accounting.Event {
	if !c.ended {
		c.ended = true
		for _, call := range c.calls {
			call.event.Kind = accounting.Interrupted
			c.interrupted = append(c.interrupted, call)
		}
		c.calls = nil
		slices.SortFunc(c.interrupted, func(a, b *deadCall) int { return bytes.Compare(a.event.ID[:], b.event.ID[:]) })
		c.chain.j.count.interrupted.Add(uint64(len(c.interrupted)))
		c.chain.j.tidy()
	}
	for len(c.interrupted) > 0 && len(events) < max {
		call := c.interrupted[0]
		c.interrupted = c.interrupted[1:]
		c.chain.j.delivered[eventKey{call.event.ID, accounting.Interrupted}] = delivery{chain: c.chain, first: call.first}
		events = append(events, call.event)
	}
	return events
}

// merge lays what a later frame of a call knows over what an earlier one said.
func merge(e, newer accounting.Event) accounting.Event {
	for _, n := range textFields {
		if text := *textOf(&newer, n); text != "" {
			*textOf(&e, n) = text
		}
	}
	for _, n := range flagFields {
		*flagOf(&e, n) = *flagOf(&e, n) || *flagOf(&newer, n)
	}
	if newer.Tags.Metadata != nil {
		e.Tags.Metadata = newer.Tags.Metadata
	}
	if newer.Decision != nil {
		e.Decision = newer.Decision
	}
	if newer.HTTPStatus != 0 {
		e.HTTPStatus = newer.HTTPStatus
	}
	e.Usage = e.Usage.Merge(newer.Usage)
	e.Duration = max(e.Duration, newer.Duration)
	e.TimeToFirstToken = newer.TimeToFirstToken.Or(e.TimeToFirstToken)
	return e
}

// unreadBytes is how much of a dead process's chain is still to be read.
func (c *cursor) unreadBytes() int64 {
	var n int64
	for _, seg := range c.chain.segments {
		if c.seg == nil || seg.seq > c.seg.seq {
			n += seg.size
		}
	}
	if c.file != nil {
		n += c.scan.limit - c.scan.off
	}
	return n
}
