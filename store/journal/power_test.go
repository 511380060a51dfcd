package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// powerFS remembers what of the segments is really on the disk, so that the
// power can fail: what was not synced is then gone, in part or altogether, and
// what was removed without a sync of the directory may be back. A sync can be
// made to fail; as on Linux, the next sync of that file then says nothing.
type powerFS struct {
	osFS
	mu       sync.Mutex
	files    map[string]*powerFile // by path
	removed  []removedFile         // since the directory was synced, in order
	failSync int                   // so many syncs fail
	failed   map[string]bool       // files of which a sync failed
	abused   []string              // of those, synced again
}

type powerFile struct {
	durable []byte
	listed  bool // the directory entry is durable
}

type removedFile struct {
	path    string
	content []byte
}

func newPowerFS() *powerFS {
	return &powerFS{files: make(map[string]*powerFile), failed: make(map[string]bool)}
}

func (p *powerFS) Create(path string) (File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	file, err := p.osFS.Create(path)
	if err != nil {
		return nil, err
	}
	p.files[path] = &powerFile{}
	return &powerHandle{file, p, path}, nil
}

func (p *powerFS) Open(path string) (File, error) {
	file, err := p.osFS.Open(path)
	if err != nil {
		return nil, err
	}
	return &powerHandle{file, p, path}, nil
}

// died: another process begins, which knows nothing of failed syncs.
func (p *powerFS) died() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.failed)
}

func (p *powerFS) Remove(path string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f, ok := p.files[path]; ok {
		if f.listed {
			p.removed = append(p.removed, removedFile{path, f.durable})
		}
		delete(p.files, path)
	}
	return p.osFS.Remove(path)
}

func (p *powerFS) SyncDir(dir string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for path, f := range p.files {
		if filepath.Dir(path) == dir {
			f.listed = true
		}
	}
	p.removed = slices.DeleteFunc(p.removed, func(r removedFile) bool { return filepath.Dir(r.path) == dir })
	return nil
}

type powerHandle struct {
	File
	fs   *powerFS
	path string
}

func (h *powerHandle) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.fs.failed[h.path] {
		h.fs.abused = append(h.fs.abused, h.path)
		return nil
	}
	if h.fs.failSync > 0 {
		h.fs.failSync--
		h.fs.failed[h.path] = true
		return errDisk
	}
	f, ok := h.fs.files[h.path]
	if !ok {
		return nil // removed
	}
	content, err := os.ReadFile(h.path)
	if err != nil {
		return fmt.Errorf("the disk under the test: %w", err)
	}
	f.durable = content
	return nil
}

// fail turns the power off and on. pick(n) returns a number below n: how much of
// the unsynced part of a file the disk happened to have, and how many of the
// removals came back.
func (p *powerFS) fail(pick func(n int) int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for path, f := range p.files {
		if !f.listed {
			errs = append(errs, os.Remove(path))
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			// Moved aside meanwhile; its content is not what is tested here.
			continue
		}
		kept := f.durable
		if len(content) > len(kept) {
			kept = content[:len(kept)+pick(len(content)-len(kept)+1)]
		}
		errs = append(errs, os.WriteFile(path, kept, fileMode))
	}
	// Removals come back youngest first: a journaling file system keeps their
	// order.
	back := pick(len(p.removed) + 1)
	for _, r := range p.removed[len(p.removed)-back:] {
		if _, err := os.Stat(filepath.Dir(r.path)); err == nil {
			errs = append(errs, os.WriteFile(r.path, r.content, fileMode))
		}
	}
	p.files, p.removed = make(map[string]*powerFile), nil
	// What is on the disk now is durable.
	return errors.Join(errs...)
}

// unlucky: the disk had nothing of what was not synced, and no removal came back.
func unlucky(int) int { return 0 }

// sealedStream opens a journal whose first segment is sealed and synced, and
// needed for nothing but a call that is open.
func sealedStream(t *testing.T) (opts Options, disk *powerFS, j *Journal, stream accounting.RequestID) {
	disk = newPowerFS()
	opts = testOptions(t.TempDir())
	opts.FS = disk
	j = manual(t, opts)
	j.idleTicks = 1 << 30
	stream = newID()
	mustAppend(t, j, opened(stream))
	for len(j.shards[0].segments) < 2 {
		mustAppend(t, j, closed(newID()))
		drainAndAck(t, j)
	}
	require.NoError(t, j.shards[0].syncPass())
	return opts, disk, j, stream
}

func TestASegmentStaysUntilTheCloseThatMadeItSuperfluousIsDurable(t *testing.T) {
	opts, disk, j, stream := sealedStream(t)
	mustAppend(t, j, closed(stream))
	require.NoError(t, j.tidyUp(time.Now(), true))
	require.Len(t, segmentFiles(t, opts.Dir), 2)
	crash(j)
	require.NoError(t, disk.fail(unlucky))
	events := drain(t, mustOpen(t, opts))
	assert.Equal(t, accounting.Interrupted, events[len(events)-1].Kind)
	assert.Equal(t, stream, events[len(events)-1].ID)

	opts, disk, j, stream = sealedStream(t)
	mustAppend(t, j, closed(stream))
	require.NoError(t, j.shards[0].syncPass())
	require.NoError(t, j.tidyUp(time.Now(), true))
	require.Len(t, segmentFiles(t, opts.Dir), 1)
	crash(j)
	require.NoError(t, disk.fail(unlucky))
	events = drain(t, mustOpen(t, opts))
	requireEvents(t, events[len(events)-1:], closed(stream))
}

func TestASegmentStaysUntilWhatWasCarriedOutOfItIsDurable(t *testing.T) {
	opts, disk, j, stream := sealedStream(t)
	require.NoError(t, j.tidyUp(time.Now().Add(time.Hour), true))
	require.EqualValues(t, 1, j.Stats().Carried)
	require.NoError(t, j.tidyUp(time.Now(), true))
	crash(j)
	require.NoError(t, disk.fail(unlucky))
	events := drain(t, mustOpen(t, opts))
	assert.Equal(t, accounting.Interrupted, events[len(events)-1].Kind)
	assert.Equal(t, stream, events[len(events)-1].ID)
}

func TestAnAbandonedSegmentStaysUntilTheCopiesAreDurable(t *testing.T) {
	disk := newPowerFS()
	opts := testOptions(t.TempDir())
	opts.FS = disk
	j := manual(t, opts)
	mustAppend(t, j, closed(newID()))
	disk.failSync = 1
	require.Error(t, j.shards[0].syncPass())
	require.NoError(t, j.tidyUp(time.Now(), true))
	assert.Len(t, segmentFiles(t, opts.Dir), 2)
	require.NoError(t, j.shards[0].syncPass())
	require.NoError(t, j.tidyUp(time.Now(), true))
	assert.Len(t, segmentFiles(t, opts.Dir), 1)
	assert.Len(t, drain(t, j), 1)
}

func TestAReaderInTheMiddleOfAnAbandonedSegmentGetsEachEventOnce(t *testing.T) {
	disk := newPowerFS()
	opts := testOptions(t.TempDir())
	opts.FS = disk
	j := manual(t, opts)
	var want []*accounting.Event
	for range 6 {
		e := closed(newID())
		mustAppend(t, j, e)
		want = append(want, e)
	}
	got := j.read(2)
	disk.failSync = 1
	require.Error(t, j.shards[0].syncPass())
	require.NoError(t, j.Ack(got), "the copies of these are not needed any more")
	got = append(got, j.read(1)...)
	disk.failSync = 1
	require.Error(t, j.shards[0].syncPass(), "and again, in the segment of copies")
	require.NoError(t, j.Ack(got))
	late := closed(newID())
	mustAppend(t, j, late)
	got = append(got, drain(t, j)...)
	requireEvents(t, got, append(want, late)...)
	require.NoError(t, j.Ack(got))
	settle(t, j)
	assert.Zero(t, j.Stats().Bytes)
	assert.Empty(t, disk.abused)
}
