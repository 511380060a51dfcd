//go:build chaos

package main

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"bursar/store/journal"
)

// The build of the fault suite reads the faults of its disk from the file that
// CHAOS_DISK names, at each access, so that a test can change them under the
// running program: words such as
//
//	sync=30     of 100 syncs, 30 fail with EIO
//	write=30    of 100 writes, 30 fail with EIO, half of them after some bytes
//	quota=4096  there is room for 4096 bytes more than when this was first read
func init() {
	if control := os.Getenv("CHAOS_DISK"); control != "" {
		journalFS = &faultyFS{FS: journal.OS(), control: control}
	}
}

type faultyFS struct {
	journal.FS
	control string

	mu      sync.Mutex
	quota   string // as it stands in the file; empty: there is none
	room    int64
	percent map[string]int
}

// read takes in what the file says now. The caller holds mu.
func (f *faultyFS) read() {
	text, err := os.ReadFile(f.control)
	if err != nil {
		text = nil // no file, no faults
	}
	f.percent = map[string]int{}
	quota := ""
	for word := range strings.FieldsSeq(string(text)) {
		name, value, _ := strings.Cut(word, "=")
		n, err := strconv.Atoi(value)
		if err != nil {
			panic("CHAOS_DISK: " + word)
		}
		if name == "quota" {
			quota = value
			if quota != f.quota {
				f.room = int64(n)
			}
			continue
		}
		f.percent[name] = n
	}
	f.quota = quota
}

// fails draws whether an access fails.
func (f *faultyFS) fails(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read()
	return rand.IntN(100) < f.percent[name]
}

// take takes n bytes of the room that is left; a negative n gives some back.
func (f *faultyFS) take(n int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read()
	if f.quota == "" {
		return nil
	}
	if n > f.room {
		return syscall.ENOSPC
	}
	f.room -= n
	return nil
}

func (f *faultyFS) Allocate(path string, size int64) error {
	if err := f.take(size); err != nil {
		return err
	}
	return f.FS.Allocate(path, size)
}

func (f *faultyFS) Remove(path string) error {
	info, err := os.Stat(path)
	if removed := f.FS.Remove(path); removed != nil {
		return removed
	}
	if err == nil && info.Mode().IsRegular() {
		return f.take(-info.Size())
	}
	return nil
}

func (f *faultyFS) SyncDir(dir string) error {
	if f.fails("sync") {
		return syscall.EIO
	}
	return f.FS.SyncDir(dir)
}

func (f *faultyFS) Create(path string) (journal.File, error) { return f.wrap(f.FS.Create(path)) }
func (f *faultyFS) Open(path string) (journal.File, error)   { return f.wrap(f.FS.Open(path)) }

func (f *faultyFS) wrap(file journal.File, err error) (journal.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, f}, nil
}

type faultyFile struct {
	journal.File
	fs *faultyFS
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if f.fs.fails("write") {
		if rand.IntN(2) == 0 {
			return 0, syscall.EIO
		}
		n, _ := f.File.WriteAt(p[:rand.IntN(len(p))], off)
		return n, syscall.EIO
	}
	if err := f.fs.take(int64(len(p))); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *faultyFile) Sync() error {
	if f.fs.fails("sync") {
		return syscall.EIO
	}
	return f.File.Sync()
}
