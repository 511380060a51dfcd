package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
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
