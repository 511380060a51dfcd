package journal

import (
	"errors"
	"time"
)

const (
	tickInterval = time.Second
	// idleDead is how much superfluous data a segment must hold to be ended
	// early when the journal is idle but calls are still open in it.
	idleDead = 64 << 10
)

// janitor removes what is not needed any more, on each tick and when kicked.
func (j *Journal) janitor() {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	var complained time.Time
	for {
		tick := false
		select {
		case <-j.stop:
			return
		case <-ticker.C:
			tick = true
		case <-j.kick:
		}
		if err := j.tidyUp(time.Now(), tick); err != nil && time.Since(complained) > time.Minute {
			complained = time.Now()
			j.log.Error().Err(err).Msg("tidy the journal")
		}
	}
}

// tidyUp is one round of the janitor.
func (j *Journal) tidyUp(now time.Time, tick bool) error {
	if tick {
		j.restoreReserve()
		j.wake() // for a reader that had to put something off
	}
	var errs []error
	for _, s := range j.shards {
		errs = append(errs, s.tidyUp(now, tick))
	}
	errs = append(errs, j.finishAdopted())
	return errors.Join(errs...)
}

func (s *shard) tidyUp(now time.Time, tick bool) error {
	s.mu.Lock()
	if tick {
		s.sealIfIdle()
	}
	err := s.trim()
	s.mu.Unlock()
	for err == nil {
		var more bool
		if more, err = s.carry(now); !more {
			break
		}
	}
	return err
}

// sealIfIdle ends a segment that nobody writes to and that is mostly
// superfluous, so that it can go. The caller holds mu.
func (s *shard) sealIfIdle() {
	if s.lsn != s.idleLSN {
		s.idle, s.idleLSN = 0, s.lsn
	}
	s.idle++
	seg := s.current
	if seg == nil || s.idle < s.j.idleTicks || seg.unread > 0 || seg.unacked > 0 {
		return
	}
	dead := seg.size - headerSize - seg.openBytes
	if seg.open == 0 || dead >= idleDead && seg.openBytes <= seg.size/2 {
		s.seal()
	}
}

// trim removes segments from the front while nothing needs them and what made
// them superfluous is durable. The caller holds mu.
func (s *shard) trim() error {
	for len(s.segments) > 0 {
		seg := s.segments[0]
		if !seg.sealed || seg.file != nil || seg.pinned() || seg.needs > s.syncedLSN {
			return nil
		}
		if err := s.drop(); err != nil {
			return err
		}
	}
	return nil
}
