package journal

import (
	"fmt"
	"path/filepath"
	"sync"
)

const reserveFile = "reserve"

// reserve is a file that only takes room. When the disk is full it is removed,
// and calls that are in flight can be recorded to their end; it is made again
// when there is room for it.
type reserve struct {
	mu   sync.Mutex
	fs   FS
	path string
	size int64
	have bool
}

func (r *reserve) held() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.have
}

// make takes the room, if it is not held already.
func (r *reserve) make() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.have {
		return nil
	}
	if err := r.fs.Allocate(r.path, r.size); err != nil {
		return fmt.Errorf("reserve %d bytes in %s: %w", r.size, r.path, err)
	}
	r.have = true
	return nil
}

// release gives the room to whoever writes next.
func (r *reserve) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.have {
		r.have = r.fs.Remove(r.path) != nil
	}
}

// makeReserve takes the reserve at the start. A full disk is no reason not to
// start: what is in the journal has to be shipped, which makes room.
func (j *Journal) makeReserve() error {
	j.reserve.fs = j.fs
	j.reserve.path = filepath.Join(j.own, reserveFile)
	j.reserve.size = j.opts.ReserveBytes
	err := j.reserve.make()
	if err != nil && noSpace(err) {
		j.full.Store(true)
		j.log.Warn().Err(err).Msg("no room for the journal's reserve: the journal takes no new calls")
		return nil
	}
	return err
}

// restoreReserve lets new calls in again once the reserve can be made. The
// caller is the janitor.
func (j *Journal) restoreReserve() {
	if !j.full.Load() {
		return
	}
	if err := j.reserve.make(); err != nil {
		return // the disk is still full
	}
	j.full.Store(false)
	j.log.Info().Msg("the disk has room again: new calls are recorded")
}
