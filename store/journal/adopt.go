package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bursar/accounting"
)

const (
	lockFileName  = "LOCK"
	quarantineDir = "quarantine"
	// formerMark stands between an instance's name and a random number in the
	// name of a directory that a former process of that name left.
	formerMark = "~"
	// dirLockWait bounds the wait for somebody else who makes, adopts or
	// removes a directory, which takes milliseconds.
	dirLockWait = 10 * time.Second
)

func generateInstance(now time.Time) string {
	return fmt.Sprintf("%s-%d-%08x", now.UTC().Format("20060102T150405"), os.Getpid(), rand.Uint32())
}

func validInstance(name string) bool {
	for i, r := range name {
		alnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !alnum && (i == 0 || !strings.ContainsRune("._-", r)) {
			return false
		}
	}
	return name != "" && name != quarantineDir && name != lockFileName && len(name) <= 128
}

// instanceDir reports whether a directory of that name is an instance's, of a
// living process or a former one.
func instanceDir(name string) bool { return validInstance(strings.Replace(name, formerMark, "-", 1)) }

// begin makes this process's directory and takes its lock.
func (j *Journal) begin() error {
	if err := j.fs.MkdirAll(j.dir); err != nil {
		return err
	}
	unlock, err := j.lockDir()
	if err != nil {
		return err
	}
	defer unlock()
	if err := j.renameFormer(); err != nil {
		return err
	}
	if err := j.fs.MkdirAll(j.own); err != nil {
		return err
	}
	if j.lock, err = j.fs.Lock(filepath.Join(j.own, lockFileName)); err != nil {
		return err
	}
	if err := errors.Join(j.fs.SyncDir(j.dir), j.writeOwner(), j.makeReserve()); err != nil {
		return errors.Join(err, j.lock.Close())
	}
	return nil
}

// lockDir takes the lock of the directory of all instances, which whoever makes,
// adopts or removes one of them holds: so nobody sees a directory whose maker
// has not locked it yet.
func (j *Journal) lockDir() (unlock func(), err error) { return lockDirectory(j.fs, j.dir) }

func lockDirectory(fsys FS, dir string) (unlock func(), err error) {
	path := filepath.Join(dir, lockFileName)
	for deadline := time.Now().Add(dirLockWait); ; time.Sleep(5 * time.Millisecond) {
		lock, err := fsys.Lock(path)
		if err == nil {
			return func() { _ = lock.Close() }, nil
		}
		if !errors.Is(err, errLocked) || time.Now().After(deadline) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}

// renameFormer moves what a dead process of our name has left out of the way,
// for adoption.
func (j *Journal) renameFormer() error {
	switch _, err := j.fs.IsDir(j.own); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	lock, err := j.fs.Lock(filepath.Join(j.own, lockFileName))
	if errors.Is(err, errLocked) {
		return ErrInUse
	}
	if err != nil {
		return err
	}
	former := fmt.Sprintf("%s%s%08x", j.own, formerMark, rand.Uint32())
	return errors.Join(j.fs.Rename(j.own, former), lock.Close())
}

// end removes this process's directory if it is empty, and gives up its lock.
// The caller holds readMu.
func (j *Journal) end() error {
	j.reserve.release()
	if j.owner != "" {
		return j.lock.Close()
	}
	for _, s := range j.shards {
		if len(s.segments) > 0 {
			return j.lock.Close()
		}
	}
	return j.removeInstance(j.own, j.lock)
}

// removeInstance removes the directory of an instance whose segments are gone.
func (j *Journal) removeInstance(dir string, lock io.Closer) error {
	unlock, err := j.lockDir()
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	defer unlock()
	err = errors.Join(j.fs.Remove(filepath.Join(dir, lockFileName)), j.fs.Remove(dir))
	return errors.Join(err, lock.Close())
}

// adopted is the journal of a dead process. Its chains are guarded by
// Journal.readMu.
type adopted struct {
	dir     string
	lock    io.Closer
	cursors []*cursor
	owner   string // empty: none, or disowned
}

// segments is how many files are left.
func (a *adopted) segments() int {
	n := 0
	for _, c := range a.cursors {
		n += len(c.chain.segments)
	}
	return n
}

// Adopt looks for journals of dead processes beside this one and takes them
// over: their events come out of [Journal.Next] from now on, and their files go
// when all of them are acknowledged. Open has called it once; a process that
// shares its disk with others calls it again from time to time. It returns how
// many it took over; of two processes only one gets each.
func (j *Journal) Adopt() (int, error) {
	j.adoptMu.Lock()
	defer j.adoptMu.Unlock()
	if j.stopped() {
		return 0, ErrClosed
	}
	unlock, err := j.lockDir()
	if err != nil {
		return 0, fmt.Errorf("adopt journals: %w", err)
	}
	defer unlock()
	names, err := j.fs.ReadDir(j.dir)
	if err != nil {
		return 0, fmt.Errorf("adopt journals: %w", err)
	}
	n := 0
	var errs []error
	for _, name := range names {
		if name == j.name || !instanceDir(name) {
			continue
		}
		ok, err := j.adopt(filepath.Join(j.dir, name))
		if err != nil {
			errs = append(errs, fmt.Errorf("adopt journal %s: %w", name, err))
		}
		if ok {
			n++
		}
	}
	if n > 0 {
		j.tidy()
		j.wake()
	}
	return n, errors.Join(errs...)
}

// adopt takes over one directory. false without an error: it is not there for
// the taking.
func (j *Journal) adopt(dir string) (bool, error) {
	if isDir, err := j.fs.IsDir(dir); err != nil || !isDir {
		return false, nil // removed meanwhile, or not ours
	}
	lock, err := j.fs.Lock(filepath.Join(dir, lockFileName))
	if errors.Is(err, errLocked) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	a := &adopted{dir: dir, lock: lock}
	if a.owner, err = j.readOwner(dir); err == nil {
		err = j.list(a)
	}
	if err != nil {
		return false, errors.Join(err, lock.Close())
	}
	j.readMu.Lock()
	defer j.readMu.Unlock()
	if j.stopped() {
		return false, errors.Join(ErrClosed, lock.Close())
	}
	j.adopted = append(j.adopted, a)
	for _, c := range a.cursors {
		j.cursors = append(j.cursors, c)
		j.bytes.Add(c.unreadBytes())
	}
	j.log.Info().Str("from", filepath.Base(dir)).Int("shards", len(a.cursors)).Msg("journal of a dead process adopted")
	instance, _, _ := strings.Cut(filepath.Base(dir), formerMark)
	j.opts.OnAdopt(instance)
	return true, nil
}

// list makes chains of the segment files in a's directory.
func (j *Journal) list(a *adopted) error {
	files, err := j.fs.ReadDir(a.dir)
	if err != nil {
		return err
	}
	var found []segmentName
	for _, file := range files {
		if file == reserveFile {
			if err := j.fs.Remove(filepath.Join(a.dir, file)); err != nil {
				return err
			}
		}
		if name, ok := parseSegmentName(file); ok {
			found = append(found, name)
		}
	}
	slices.SortFunc(found, func(a, b segmentName) int {
		return cmp.Or(cmp.Compare(a.shard, b.shard), cmp.Compare(a.seq, b.seq))
	})
	var c *cursor
	for i, name := range found {
		if i == 0 || name.shard != found[i-1].shard {
			c = &cursor{chain: &chain{j: j, dir: a.dir}, owner: a, calls: make(map[accounting.RequestID]*deadCall)}
			a.cursors = append(a.cursors, c)
		}
		seg, err := j.deadSegment(a.dir, name)
		if err != nil {
			return err
		}
		c.chain.segments = append(c.chain.segments, seg)
	}
	if err := j.fs.SyncDir(a.dir); err != nil {
		j.failSync(fmt.Errorf("sync adopted directory %s: %w", a.dir, err))
	}
	return nil
}

// deadSegment describes a file of a dead process. Until it is read, unread
// stands for everything in it.
//
// The file is synced, since its writer may have died before it came to that:
// the machine may die next. If that fails there is nothing better than to go on.
func (j *Journal) deadSegment(dir string, name segmentName) (*segment, error) {
	seg := &segment{segmentName: name, path: filepath.Join(dir, name.String()), readFrom: headerSize, sealed: true, unread: 1}
	file, err := j.fs.Open(seg.path)
	if err != nil {
		return nil, err
	}
	if err := file.Sync(); err != nil {
		j.failSync(fmt.Errorf("sync adopted segment %s: %w", seg.path, err))
	}
	seg.size, err = file.Size()
	return seg, errors.Join(err, file.Close())
}

// finishAdopted removes what is not needed any more of dead processes'
// journals.
func (j *Journal) finishAdopted() error {
	finished, err := j.trimAdopted()
	errs := []error{err}
	for _, a := range finished {
		if err := j.removeInstance(a.dir, a.lock); err != nil {
			errs = append(errs, fmt.Errorf("remove adopted journal: %w", err))
			continue
		}
		j.log.Info().Str("from", filepath.Base(a.dir)).Msg("journal of a dead process is delivered and removed")
	}
	return errors.Join(errs...)
}

// trimAdopted removes segments, and returns the journals that have none left,
// nor an owner.
func (j *Journal) trimAdopted() (finished []*adopted, err error) {
	j.readMu.Lock()
	defer j.readMu.Unlock()
	var errs []error
	j.adopted = slices.DeleteFunc(j.adopted, func(a *adopted) bool {
		for _, c := range a.cursors {
			errs = append(errs, c.chain.trimDead())
		}
		if a.segments() > 0 || a.owner != "" {
			return false
		}
		finished = append(finished, a)
		return true
	})
	if len(finished) > 0 {
		j.cursors = slices.DeleteFunc(j.cursors, func(c *cursor) bool { return slices.Contains(finished, c.owner) })
	}
	return finished, errors.Join(errs...)
}

// trimDead removes segments from the front. A dead process's files may never
// have been synced; that is why a call's first segment stays until its Closed
// is acknowledged, and not only until it is read.
func (c *chain) trimDead() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.segments) > 0 && !c.segments[0].pinned() {
		if err := c.drop(); err != nil {
			return err
		}
	}
	return nil
}
