package journal

import (
	"errors"
	"io"
)

// FS is the seam to the file system: the operating system's, or a test's that
// fails the next write or the next sync.
type FS interface {
	MkdirAll(dir string) error
	// ReadDir returns the names in dir, sorted.
	ReadDir(dir string) ([]string, error)
	// IsDir reports whether path is a directory.
	IsDir(path string) (bool, error)
	// Create makes a new file for reading and writing; it must not exist.
	Create(path string) (File, error)
	// Open opens a file for reading.
	Open(path string) (File, error)
	Rename(from, to string) error
	// Link gives a file a second name. It is content if the second name is
	// that file's already.
	Link(from, to string) error
	// Remove removes a file or an empty directory.
	Remove(path string) error
	// SyncDir makes what was created and renamed in dir durable.
	SyncDir(dir string) error
	// Allocate makes a file of size bytes whose blocks are really taken.
	Allocate(path string, size int64) error
	// Lock takes the exclusive lock on path, which is made if need be. The
	// lock ends with Close, or with the process. It fails with errLocked if
	// it is held, and with fs.ErrNotExist if path was removed meanwhile.
	Lock(path string) (io.Closer, error)
}

// OS is the operating system's file system.
func OS() FS { return osFS{} }

// File is an open file. Its methods may be used from several goroutines.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the content and the size durable (fdatasync).
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}

// errLocked is the answer of [FS.Lock] to which somebody holds the lock.
var errLocked = errors.New("locked")
