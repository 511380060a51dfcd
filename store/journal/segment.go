package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"bursar/accounting"
)

// segment is one file of a chain. Everything in it but the identity is guarded
// by the chain's mu.
type segment struct {
	segmentName
	path string

	// file is the writer's handle. It is nil once the segment is sealed and
	// synced, or given up after a failed sync; from then on no more frames
	// come and the file may be removed.
	file   File
	size   int64 // end of the last whole frame
	synced int64 // up to here the file is durable
	sealed bool

	readFrom int64 // the reader begins here; before it stand copies of what it has had
	readTo   int64 // the reader ends here, where behind it stands what was copied elsewhere; 0: at size

	// What still needs the file:
	unread    int   // events to deliver that the reader has not come to
	unacked   int   // events delivered and not acknowledged
	open      int   // frames of calls that are still open
	openBytes int64 // their size
	// needs is the write that has to be durable before this file goes: the
	// latest one that made a frame in here superfluous.
	needs uint64

	damaged  bool // set aside rather than removed
	sealedAt time.Time
}

// end is where the reader has to stop for now.
func (s *segment) end() int64 {
	if s.readTo > 0 {
		return s.readTo
	}
	return s.size
}

// pinned reports whether something still needs the file.
func (s *segment) pinned() bool {
	return s.unread > 0 || s.unacked > 0 || s.open > 0
}

// chain is the log of one shard, live or adopted: its segments, oldest first.
// Segments leave it from the front only, so that an Opened never outlives its
// Closed.
type chain struct {
	j   *Journal
	dir string

	mu       sync.Mutex
	segments []*segment
}

// after returns the first segment behind seq, nil if there is none. The caller
// holds mu.
func (c *chain) after(seq uint64) *segment {
	for _, seg := range c.segments {
		if seg.seq > seq {
			return seg
		}
	}
	return nil
}

// waiting is how many events the reader has not come to, as far as is known.
func (c *chain) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, seg := range c.segments {
		n += seg.unread
	}
	return n
}

// drop removes the oldest segment, or sets it aside if it is damaged. The
// caller holds mu.
//
// The directory is not synced for it: a removed file that comes back after a
// power loss is only replayed once more.
func (c *chain) drop() error {
	seg := c.segments[0]
	var err error
	if seg.damaged {
		err = c.j.quarantine(seg)
	} else {
		err = c.j.fs.Remove(seg.path)
	}
	if err != nil {
		return fmt.Errorf("remove segment %s: %w", seg.path, err)
	}
	c.segments[0] = nil
	c.segments = c.segments[1:]
	c.j.bytes.Add(-seg.size)
	return nil
}

// quarantine moves a damaged segment to where an operator can look at it. Its
// name there says whose it was.
func (j *Journal) quarantine(seg *segment) error {
	dir := filepath.Join(j.dir, quarantineDir)
	if err := j.fs.MkdirAll(dir); err != nil {
		return err
	}
	to := filepath.Join(dir, asideName(seg.path))
	if err := j.fs.Rename(seg.path, to); err != nil {
		return err
	}
	// A repair that died may have given the file its name there already, and
	// rename(2) does nothing where both names are of one file.
	if err := j.fs.Remove(seg.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	j.count.quarantined.Add(1)
	j.log.Warn().Str("segment", seg.path).Str("to", to).Msg("damaged journal segment set aside")
	return nil
}

// asideName is the name in the quarantine of a segment file.
func asideName(path string) string {
	return filepath.Base(filepath.Dir(path)) + "-" + filepath.Base(path) + damagedSuffix
}

// frameRef is where a frame lies.
type frameRef struct {
	seg *segment
	off int64
	len int32
}

// openCall is what the memory holds of a call in flight: where its Opened and
// Identified lie. Two frames are the rule and cost no allocation.
type openCall struct {
	refs [2]frameRef
	n    int
	more []frameRef
}

func (c *openCall) add(ref frameRef) {
	if c.n < len(c.refs) {
		c.refs[c.n] = ref
		c.n++
		return
	}
	c.more = append(c.more, ref)
}

// each calls visit with every reference. visit may change what it is given.
func (c *openCall) each(visit func(*frameRef)) {
	for i := range c.n {
		visit(&c.refs[i])
	}
	for i := range c.more {
		visit(&c.more[i])
	}
}

// remove forgets the reference to the frame at ref.
func (c *openCall) remove(ref frameRef) {
	old := *c
	*c = openCall{}
	old.each(func(r *frameRef) {
		if r.seg != ref.seg || r.off != ref.off {
			c.add(*r)
		}
	})
}

// pin counts ref among what its segment is needed for.
func (ref frameRef) pin() {
	ref.seg.open++
	ref.seg.openBytes += int64(ref.len)
}

// unpin undoes pin. The segment may go once the write lsn is durable.
func (ref frameRef) unpin(lsn uint64) {
	ref.seg.open--
	ref.seg.openBytes -= int64(ref.len)
	ref.seg.needs = max(ref.seg.needs, lsn)
}

// deliverable reports whether events of a kind leave the journal as they are.
func deliverable(k accounting.Kind) bool {
	return k == accounting.Closed || k == accounting.Polled || k == accounting.Refused
}

// journaled reports whether events of a kind are appended at all.
func journaled(k accounting.Kind) bool {
	return k >= accounting.Opened && k <= accounting.Polled || k == accounting.Refused
}
