package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
)

// ownerFile names, in an instance's directory, whose money the calls in it
// spend. It outlives the process, and what it has journaled, until somebody has
// settled that and says so with [Journal.Disown].
const ownerFile = "owner"

// maxOwner bounds the name in an owner file.
const maxOwner = 128

// writeOwner makes our owner's name durable. It is done before the first call,
// so an owner that has spent anything is named.
func (j *Journal) writeOwner() error {
	if j.opts.Owner == "" {
		return nil
	}
	file, err := j.fs.Create(filepath.Join(j.own, ownerFile))
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte(j.opts.Owner+"\n"), 0)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close(), j.fs.SyncDir(j.own)); err != nil {
		return fmt.Errorf("write the owner of the journal: %w", err)
	}
	j.owner = j.opts.Owner
	return nil
}

// readOwner reads the owner's name in a dead process's directory. Empty: there
// is none, or its process died while it wrote it, and so had spent nothing.
func (j *Journal) readOwner(dir string) (string, error) {
	file, err := j.fs.Open(filepath.Join(dir, ownerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }() // it was only read
	content := make([]byte, maxOwner+1)
	n, err := file.ReadAt(content, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	name, whole := strings.CutSuffix(string(content[:n]), "\n")
	if whole && validOwner(name) {
		return name, nil
	}
	return "", j.fs.Remove(filepath.Join(dir, ownerFile))
}

func validOwner(name string) bool {
	return name != "" && len(name) < maxOwner && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Owners are those of adopted journals of which everything was delivered and
// acknowledged: they have spent all they ever will. Each is listed until
// [Journal.Disown]. If this process dies first, the next one adopts what is
// left of their journals, and lists them again.
func (j *Journal) Owners() []string {
	j.readMu.Lock()
	defer j.readMu.Unlock()
	var owners []string
	for _, a := range j.adopted {
		if a.owner != "" && a.segments() == 0 {
			owners = append(owners, a.owner)
		}
	}
	return owners
}

// Disown says that an owner's money is settled: one of [Journal.Owners], or
// this journal's own before it is closed. The last that a journal leaves behind
// goes with it.
func (j *Journal) Disown(owner string) error {
	j.readMu.Lock()
	defer j.readMu.Unlock()
	if j.stopped() {
		return ErrClosed
	}
	if owner == j.owner && owner != "" {
		return j.removeOwner(j.own, &j.owner)
	}
	for _, a := range j.adopted {
		if a.owner == owner && owner != "" && a.segments() == 0 {
			j.tidy()
			return j.removeOwner(a.dir, &a.owner)
		}
	}
	return nil // it was disowned before
}

// removeOwner need not be made durable: a name that comes back is settled once
// more.
func (j *Journal) removeOwner(dir string, owner *string) error {
	if err := j.fs.Remove(filepath.Join(dir, ownerFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("disown journal %s: %w", dir, err)
	}
	*owner = ""
	return nil
}
