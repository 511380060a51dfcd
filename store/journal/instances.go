package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// Instance is the directory of one process in a journal.
type Instance struct {
	Name  string
	InUse bool // a living process holds it: its own, or one that adopted it
	PID   int  // of that process; 0: none, or not to be seen from here
}

// InUseError says that an instance was left alone, because a living process
// holds it. It wraps [ErrInUse].
type InUseError struct{ Instance }

// Error names the instance and the process.
func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("journal instance %s is in use by another process", e.Name)
	}
	return fmt.Sprintf("journal instance %s is in use by process %d", e.Name, e.PID)
}

// Unwrap makes the error an [ErrInUse].
func (e *InUseError) Unwrap() error { return ErrInUse }

// Instances lists the directories in a journal and who holds them, in the order
// of their names. To ask that, it takes the locks of those that nobody holds,
// for as long as that takes and under the lock of the whole directory, so that
// it is never in the way of a process that starts.
func Instances(dir string) ([]Instance, error) {
	found, err := listInstances(osFS{}, dir)
	if err != nil {
		return nil, fmt.Errorf("list instances of journal %s: %w", dir, err)
	}
	return found, nil
}

func listInstances(fsys FS, dir string) ([]Instance, error) {
	names, err := instanceNames(fsys, dir)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	unlock, err := lockDirectory(fsys, dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var found []Instance
	for _, name := range names {
		lock, err := fsys.Lock(filepath.Join(dir, name, lockFileName))
		var inUse *InUseError
		switch err = heldError(dir, name, err); {
		case errors.Is(err, fs.ErrNotExist):
			continue // removed meanwhile
		case errors.As(err, &inUse):
			found = append(found, inUse.Instance)
		case err != nil:
			return nil, err
		default:
			_ = lock.Close() // nothing was written
			found = append(found, Instance{Name: name})
		}
	}
	return found, nil
}

// instanceNames lists the directories of instances. A directory that is not
// there is an error.
func instanceNames(fsys FS, dir string) ([]string, error) {
	all, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range all {
		if isDir, err := fsys.IsDir(filepath.Join(dir, name)); err == nil && isDir && instanceDir(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// hold takes an instance's lock until the holder is closed. The error is an
// InUseError if a living process has it, and fs.ErrNotExist if the instance was
// removed meanwhile.
func hold(fsys FS, dir, name string) (io.Closer, error) {
	unlock, err := lockDirectory(fsys, dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	lock, err := fsys.Lock(filepath.Join(dir, name, lockFileName))
	return lock, heldError(dir, name, err)
}

// heldError makes of errLocked the error that names the holder.
func heldError(dir, name string, err error) error {
	if !errors.Is(err, errLocked) {
		return err
	}
	return &InUseError{Instance{Name: name, InUse: true, PID: lockHolder(filepath.Join(dir, name, lockFileName))}}
}
