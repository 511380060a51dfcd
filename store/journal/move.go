package journal

import (
	"fmt"
	"time"

	"bursar/accounting"
)

// carryBatch bounds how long a carry keeps appends waiting.
const carryBatch = 256

// movedFrame is a frame that is written a second time, to a younger segment.
type movedFrame struct {
	key  eventKey
	from frameRef
	at   int64 // in what is written
}

// carry copies frames of open calls out of the oldest segment, when they are all
// that keeps it and what is behind it: a stream of an hour must not keep an
// hour's files. It does so when at most half of what the shard holds is frames
// of open calls, so that copying never costs more than was written.
//
// It works in small batches, since appends wait meanwhile; more says that there
// is another.
func (s *shard) carry(now time.Time) (more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.segments) == 0 {
		return false, nil
	}
	seg := s.segments[0]
	if !seg.sealed || seg.file != nil || seg.unread > 0 || seg.unacked > 0 || seg.open == 0 ||
		now.Sub(seg.sealedAt) < s.j.carryAfter || s.crowded() {
		return false, nil
	}
	moved, frames, err := s.readOpen(seg)
	if err != nil || len(moved) == 0 {
		return false, err
	}
	off, err := s.write(frames, true)
	if err != nil {
		return false, fmt.Errorf("carry open calls of segment %s: %w", seg.path, err)
	}
	for _, m := range moved {
		s.moveRef(m, s.current, off)
	}
	s.j.count.carried.Add(uint64(len(moved)))
	return seg.open > 0, nil
}

// crowded reports whether more than half of what the shard holds is frames of
// open calls. Carrying them would go round and round.
func (s *shard) crowded() bool {
	var size, open int64
	for _, seg := range s.segments {
		size += seg.size
		open += seg.openBytes
	}
	return 2*open > size
}

// readOpen reads frames of open calls back from a segment, at most a batch.
func (s *shard) readOpen(seg *segment) (moved []movedFrame, frames []byte, err error) {
	file, err := s.j.fs.Open(seg.path)
	if err != nil {
		return nil, nil, fmt.Errorf("carry open calls: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	for id, call := range s.open {
		call.each(func(ref *frameRef) {
			if ref.seg != seg {
				return
			}
			scan := scanner{src: file, salt: seg.salt, off: ref.off, limit: ref.off + int64(ref.len)}
			payload, _, ok := scan.next()
			if !ok {
				s.forget(id, *ref, &scan)
				return
			}
			moved = append(moved, movedFrame{keyOf(payload), *ref, int64(len(frames))})
			frames = appendRaw(frames, payload)
		})
		if len(moved) >= carryBatch {
			break
		}
	}
	return moved, frames, nil
}

// forget gives up a frame of an open call that the disk has damaged. The call
// goes on, and its Closed stands alone.
func (s *shard) forget(id accounting.RequestID, ref frameRef, scan *scanner) {
	call := s.open[id]
	call.remove(ref)
	s.open[id] = call
	ref.unpin(s.lsn)
	ref.seg.damaged = true
	s.j.noteDamage(scan, ref.seg)
}

// moveRef replaces the place of an open call's frame by where it was written
// again: in to, at off.
func (s *shard) moveRef(m movedFrame, to *segment, off int64) {
	call := s.open[m.key.id]
	call.each(func(ref *frameRef) {
		if *ref == m.from {
			ref.unpin(s.lsn)
			*ref = frameRef{to, off + m.at, m.from.len}
			ref.pin()
		}
	})
	s.open[m.key.id] = call
}

// rescued is what a rescue reads back: frames that the reader has had or does
// not want, and frames that it has still to come to.
type rescued struct {
	had, ahead []byte
	moved      []movedFrame // the places in had
	unread     int          // events in ahead
}

// rescue gives up a segment whose sync failed. The kernel may have dropped the
// pages it could not write and may call the file clean all the same, so another
// sync of it would prove nothing (https://wiki.postgresql.org/wiki/Fsync_Errors).
// What it holds beyond the last good sync and is still needed is read back and
// written to a new segment.
func (s *shard) rescue(seg *segment) {
	s.j.readMu.Lock()
	defer s.j.readMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seal()
	defer s.closeFile(seg)
	if s.j.bytes.Load() >= s.j.opts.MaxBytes {
		s.tellFailed(fmt.Errorf("write unsynced events again: %w", ErrFull))
		return
	}
	r := s.collect(seg)
	if len(r.moved) == 0 && r.unread == 0 {
		return
	}
	off, err := s.write(append(r.had, r.ahead...), true)
	if err != nil {
		// The events stay where they are: the reader still gets them from
		// the page cache, and the next process from what the disk kept.
		s.tellFailed(err)
		s.j.log.Error().Err(err).Msg("write unsynced journal events again")
		return
	}
	s.current.readFrom = off + int64(len(r.had))
	s.adoptRescued(seg, s.current, off, r)
	s.j.count.rescued.Add(uint64(len(r.moved) + r.unread))
}

// collect reads back what is still needed of seg beyond its last good sync. The
// caller holds readMu and mu.
func (s *shard) collect(seg *segment) rescued {
	var r rescued
	position := s.j.cursors[s.index].position(seg)
	scan := scanner{src: seg.file, salt: seg.salt, off: max(seg.synced, headerSize), limit: seg.size}
	for {
		payload, off, ok := scan.next()
		if !ok {
			break
		}
		key := keyOf(payload)
		if deliverable(key.kind) && off >= position {
			r.ahead = appendRaw(r.ahead, payload)
			r.unread++
		} else if s.needs(seg, key, off) {
			from := frameRef{seg, off, int32(frameHeader + len(payload))}
			r.moved = append(r.moved, movedFrame{key, from, int64(len(r.had))})
			r.had = appendRaw(r.had, payload)
		}
	}
	if scan.damaged(false) {
		seg.damaged = true
		s.j.noteDamage(&scan, seg)
		s.j.count.lost.Add(uint64(scan.gaps) + uint64(min(1, scan.tail)))
	}
	return r
}

// needs reports whether a frame that the reader has passed is still needed.
func (s *shard) needs(seg *segment, key eventKey, off int64) bool {
	if deliverable(key.kind) {
		return s.j.delivered[key].seg == seg
	}
	call, found := s.open[key.id], false
	call.each(func(ref *frameRef) { found = found || ref.seg == seg && ref.off == off })
	return found
}

// adoptRescued books the rescued frames, written at off of to, over to it, and
// tells the reader to stop before their old places.
func (s *shard) adoptRescued(from, to *segment, off int64, r rescued) {
	for _, m := range r.moved {
		if !deliverable(m.key.kind) {
			s.moveRef(m, to, off)
			continue
		}
		d := s.j.delivered[m.key]
		d.seg = to
		s.j.delivered[m.key] = d
		from.unacked--
		to.unacked++
	}
	from.readTo = max(from.synced, s.j.cursors[s.index].position(from), headerSize)
	from.unread -= r.unread
	to.unread += r.unread
	from.needs = max(from.needs, s.lsn)
}
