package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"bursar/accounting"
)

// shard is the part of the journal that takes the calls whose ids fall to it: a
// chain of its own with a lock of its own, so that appends of different shards
// never wait for each other.
type shard struct {
	chain
	index uint32

	// Guarded by chain.mu:
	current   *segment // takes the appends; nil: the next append makes one
	seq       uint64   // of the newest segment
	lsn       uint64   // counts writes; what is durable is told by it
	syncedLSN uint64
	failedLSN uint64 // up to here waiters were told that the sync failed
	syncErr   error
	synced    *sync.Cond // syncedLSN or failedLSN has moved, or the shard closed
	open      map[accounting.RequestID]openCall
	dirty     bool // the sync loop has been told
	newFiles  bool // the directory has entries that are not durable
	closed    bool
	idle      int    // ticks without an append
	idleLSN   uint64 // the lsn at the last tick

	syncMu sync.Mutex    // one sync pass at a time
	wanted chan struct{} // wakes the sync loop
}

func newShard(j *Journal, index uint32) *shard {
	s := &shard{
		chain:  chain{j: j, dir: j.own},
		index:  index,
		open:   make(map[accounting.RequestID]openCall),
		wanted: make(chan struct{}, 1),
	}
	s.synced = sync.NewCond(&s.mu)
	return s
}

// isOpen reports whether a frame of an open call is here.
func (s *shard) isOpen(id accounting.RequestID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.open[id]
	return ok
}

// append writes one frame, unsalted so far, and books it. lsn is the number of
// the write.
func (s *shard) append(kind accounting.Kind, id accounting.RequestID, frame []byte) (lsn uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	inFlight := kind != accounting.Opened && kind != accounting.Refused
	if !inFlight {
		if err := s.j.admit(len(frame)); err != nil {
			return 0, err
		}
	}
	off, err := s.write(frame, inFlight)
	if err != nil {
		return 0, err
	}
	s.book(kind, id, frameRef{s.current, off, int32(len(frame))})
	s.j.count.appends.Add(1)
	return s.lsn, nil
}

// admit refuses a new call, or the word of one that was blocked, where those in
// flight need the room.
func (j *Journal) admit(size int) error {
	if j.full.Load() {
		return fmt.Errorf("%w: no space left on the disk", ErrFull)
	}
	if bytes := j.bytes.Load(); bytes+int64(size) > j.opts.MaxBytes {
		return fmt.Errorf("%w: %d of %d bytes", ErrFull, bytes, j.opts.MaxBytes)
	}
	return nil
}

// book notes what the frame at ref means for the segments.
func (s *shard) book(kind accounting.Kind, id accounting.RequestID, ref frameRef) {
	switch kind {
	case accounting.Opened, accounting.Identified:
		call := s.open[id]
		call.add(ref)
		s.open[id] = call
		ref.pin()
	case accounting.Closed:
		if call, ok := s.open[id]; ok {
			for i := range call.n {
				call.refs[i].unpin(s.lsn)
			}
			for _, old := range call.more {
				old.unpin(s.lsn)
			}
			delete(s.open, id)
		}
		ref.seg.unread++
	case accounting.Polled, accounting.Refused:
		ref.seg.unread++
	}
}

// write puts frames behind the last one, in a new segment if need be, and
// returns where they begin. If the disk is full and inFlight is set, the
// reserve is given up for them. The caller holds mu.
func (s *shard) write(frames []byte, inFlight bool) (off int64, err error) {
	off, err = s.tryWrite(frames)
	if err != nil && noSpace(err) {
		s.j.full.Store(true)
		if !inFlight {
			return 0, fmt.Errorf("%w: %w", ErrFull, err)
		}
		s.j.reserve.release()
		off, err = s.tryWrite(frames)
	}
	if err != nil {
		return 0, err
	}
	s.lsn++
	s.want()
	return off, nil
}

func (s *shard) tryWrite(frames []byte) (off int64, err error) {
	if err := s.makeRoom(len(frames)); err != nil {
		return 0, err
	}
	seg := s.current
	saltFrames(frames, seg.salt)
	n, err := seg.file.WriteAt(frames, seg.size)
	if err != nil || n < len(frames) {
		saltFrames(frames, seg.salt) // as we got them, for another try
		if err == nil {
			err = fmt.Errorf("short write of %d of %d bytes", n, len(frames))
		}
		return 0, s.undoWrite(seg, err)
	}
	off = seg.size
	seg.size += int64(n)
	s.j.bytes.Add(int64(n))
	return off, nil
}

// undoWrite cuts off what a failed write may have left. Where even that fails
// the segment is given up at its last whole frame: behind it lies rubbish.
func (s *shard) undoWrite(seg *segment, cause error) error {
	cause = fmt.Errorf("write segment %s: %w", seg.path, cause)
	if err := seg.file.Truncate(seg.size); err != nil {
		s.seal()
		return fmt.Errorf("%w; truncate it again: %w", cause, err)
	}
	return cause
}

// makeRoom sees to it that current is there and takes n more bytes.
func (s *shard) makeRoom(n int) error {
	if seg := s.current; seg != nil {
		if seg.size+int64(n) <= s.j.opts.SegmentBytes || seg.size == headerSize {
			return nil
		}
		s.seal()
	}
	return s.newSegment()
}

// seal ends the current segment; the next append begins another. Its file stays
// open until it is synced.
func (s *shard) seal() {
	if s.current == nil {
		return
	}
	s.current.sealed = true
	s.current.sealedAt = time.Now()
	s.current = nil
	s.want()
	s.j.wake() // the reader lets go of the file
}

func (s *shard) newSegment() error {
	name := segmentName{shard: s.index, seq: s.seq + 1, salt: rand.Uint32()}
	seg := &segment{segmentName: name, path: filepath.Join(s.dir, name.String()), size: headerSize, readFrom: headerSize}
	file, err := s.j.fs.Create(seg.path)
	if err != nil {
		return fmt.Errorf("create segment: %w", err)
	}
	s.seq++
	if n, err := file.WriteAt(name.header(), 0); err != nil || n < headerSize {
		_ = file.Close()
		_ = s.j.fs.Remove(seg.path) // if it stays it is an empty file, which readers know
		return fmt.Errorf("begin segment %s: wrote %d of %d bytes: %w", seg.path, n, headerSize, cmp.Or(err, io.ErrShortWrite))
	}
	seg.file = file
	s.segments = append(s.segments, seg)
	s.current = seg
	s.newFiles = true
	s.j.bytes.Add(headerSize)
	return nil
}

// want wakes the sync loop, once per pass. The caller holds mu.
func (s *shard) want() {
	if s.dirty {
		return
	}
	s.dirty = true
	select {
	case s.wanted <- struct{}{}:
	default:
	}
}

// close syncs the shard for the last time and removes what is not needed.
func (s *shard) close() error {
	s.mu.Lock()
	s.closed = true
	s.seal()
	s.mu.Unlock()
	var err error
	for range syncAttempts {
		if err = s.syncPass(); err == nil {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.tellFailed(err)
	}
	s.seal() // what a failed sync has made
	for _, seg := range s.segments {
		s.closeFile(seg)
	}
	return errors.Join(err, s.trim())
}

// closeFile gives up the writer's handle. What Close could report, the sync
// before it has reported better.
func (s *shard) closeFile(seg *segment) {
	if seg.file != nil {
		_ = seg.file.Close()
		seg.file = nil
	}
}
