package journal

import "sync/atomic"

// Stats is a snapshot of a journal. The counts from Appends on only grow while
// the process lives.
type Stats struct {
	Depth    int   // events ready or delivered, and not acknowledged; what lies unread in adopted journals is not in it
	Open     int   // calls in flight: opened or identified, not closed
	Bytes    int64 // of all segments, own and adopted
	Segments int   // the same, files
	Full     bool  // the disk refused a write, or MaxBytes is reached: Opened is refused
	Reserve  bool  // the reserve for calls in flight is there

	AdoptedInstances int   // dead processes' journals not yet delivered and acknowledged
	AdoptedUnread    int64 // bytes in them that were not read yet

	Appends      uint64 // frames written for callers
	AppendErrors uint64 // of them failed, refusals included
	SyncErrors   uint64 // syncs that failed; each one gave up a segment
	Carried      uint64 // frames of open calls carried into a younger segment
	Rescued      uint64 // frames written again after a failed sync
	Lost         uint64 // frames that could not be read back after a failed sync
	Interrupted  uint64 // calls of dead processes that never closed
	Damages      uint64 // places where a file did not hold what was written
	DamagedBytes uint64 // their size
	TornTails    uint64 // files of dead processes that end in an unfinished write, which is normal
	Unknown      uint64 // intact frames that this binary cannot read
	Quarantined  uint64 // damaged segments set aside
}

type counters struct {
	appends, appendErrors, syncErrors, carried, rescued, lost, interrupted,
	damages, damagedBytes, tornTails, unknown, quarantined atomic.Uint64
}

// usualFrame is about the size of an Opened, to say whether there is room for
// one.
const usualFrame = 512

// Full reports whether a new call would be refused now. It is cheap.
func (j *Journal) Full() bool { return j.admit(usualFrame) != nil }

// Stats returns a snapshot.
func (j *Journal) Stats() Stats {
	st := Stats{
		Bytes:        j.bytes.Load(),
		Full:         j.Full(),
		Reserve:      j.reserve.held(),
		Appends:      j.count.appends.Load(),
		AppendErrors: j.count.appendErrors.Load(),
		SyncErrors:   j.count.syncErrors.Load(),
		Carried:      j.count.carried.Load(),
		Rescued:      j.count.rescued.Load(),
		Lost:         j.count.lost.Load(),
		Interrupted:  j.count.interrupted.Load(),
		Damages:      j.count.damages.Load(),
		DamagedBytes: j.count.damagedBytes.Load(),
		TornTails:    j.count.tornTails.Load(),
		Unknown:      j.count.unknown.Load(),
		Quarantined:  j.count.quarantined.Load(),
	}
	for _, s := range j.shards {
		s.mu.Lock()
		st.Open += len(s.open)
		for _, seg := range s.segments {
			st.Depth += seg.unread
		}
		st.Segments += len(s.segments)
		s.mu.Unlock()
	}
	j.readMu.Lock()
	defer j.readMu.Unlock()
	st.Depth += len(j.delivered)
	st.AdoptedInstances = len(j.adopted)
	for _, a := range j.adopted {
		for _, c := range a.cursors {
			st.Segments += len(c.chain.segments)
			st.AdoptedUnread += c.unreadBytes()
			st.Depth += len(c.interrupted)
		}
	}
	return st
}
