package journal

import (
	"fmt"
	"time"
)

const (
	// syncAttempts is how many syncs in a row may fail before appends that
	// wait are told.
	syncAttempts = 3
	// maxBackoff bounds the pause after failed syncs, each of which costs a
	// new segment.
	maxBackoff = 10 * time.Second
)

// syncTarget is a segment as a sync pass found it.
type syncTarget struct {
	seg  *segment
	file File
	size int64
}

// syncLoop makes the shard's writes durable: every interval while there are
// any, or at once if somebody waits for it.
func (s *shard) syncLoop() {
	failures := 0
	for {
		select {
		case <-s.wanted:
		case <-s.j.stop:
			return
		}
		if s.j.opts.Sync == SyncBackground && !s.pause(s.j.opts.SyncInterval) {
			return
		}
		err := s.syncPass()
		if err == nil {
			failures = 0
			continue
		}
		failures++
		s.mu.Lock()
		s.want()
		if failures >= syncAttempts {
			s.tellFailed(err)
		}
		s.mu.Unlock()
		if failures > 1 && !s.pause(min(maxBackoff, 10*time.Millisecond<<min(failures, 10))) {
			return
		}
	}
}

// pause waits for d; false means that the journal is being closed.
func (s *shard) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.j.stop:
		return false
	}
}

// syncPass makes durable what was written before it began. Appends go on
// meanwhile. At the first segment that cannot be synced it gives that one up
// and returns the error.
func (s *shard) syncPass() error {
	s.syncMu.Lock()
	defer s.syncMu.Unlock()
	targets, newFiles, lsn := s.beginSync()
	for _, t := range targets {
		if err := t.file.Sync(); err != nil {
			err = fmt.Errorf("sync segment %s: %w", t.seg.path, err)
			s.j.failSync(err)
			s.mu.Lock()
			s.newFiles = s.newFiles || newFiles
			s.mu.Unlock()
			s.rescue(t.seg)
			return err
		}
		s.noteSynced(t)
	}
	if newFiles {
		if err := s.j.fs.SyncDir(s.dir); err != nil {
			err = fmt.Errorf("sync directory %s: %w", s.dir, err)
			s.j.failSync(err)
			s.mu.Lock()
			s.newFiles = true
			s.mu.Unlock()
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncedLSN = max(s.syncedLSN, lsn)
	s.synced.Broadcast()
	return nil
}

func (s *shard) beginSync() (targets []syncTarget, newFiles bool, lsn uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range s.segments {
		if seg.file != nil && (seg.synced < seg.size || seg.sealed) {
			targets = append(targets, syncTarget{seg, seg.file, seg.size})
		}
	}
	newFiles, s.newFiles, s.dirty = s.newFiles, false, false
	return targets, newFiles, s.lsn
}

func (s *shard) noteSynced(t syncTarget) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.seg.synced = t.size
	if t.seg.sealed && t.seg.size == t.size {
		s.closeFile(t.seg)
		s.j.tidy()
	}
}

// failSync counts and reports a failed sync.
func (j *Journal) failSync(err error) {
	j.count.syncErrors.Add(1)
	j.log.Error().Err(err).Msg("journal sync failed")
	j.opts.OnSyncError(err)
}

// waitSynced returns when the write lsn is durable, or is known not to be.
func (s *shard) waitSynced(lsn uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case lsn <= s.failedLSN:
			return fmt.Errorf("%w: %w", ErrNotSynced, s.syncErr)
		case lsn <= s.syncedLSN:
			return nil
		}
		s.synced.Wait()
	}
}

// tellFailed ends the wait of all who wait now. The caller holds mu.
func (s *shard) tellFailed(err error) {
	s.failedLSN, s.syncErr = s.lsn, err
	s.synced.Broadcast()
}
