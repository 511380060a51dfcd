package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// repairSuffix ends the name of a fresh segment that is not complete yet.
const repairSuffix = ".repair"

// copyBytes is how much of a fresh segment is written at once.
const copyBytes = 256 << 10

// Repaired is a damaged segment that [Repair] has replaced.
type Repaired struct {
	Path        string // of the fresh segment, which has the damaged one's name
	Quarantined string // where the damaged one is kept
	Frames      int    // that could be read, and are in the fresh one
	LostBytes   int64  // in which no frame could be read
}

// Repair replaces each damaged segment (see [FileReport.Damaged]) of dead
// processes with a fresh one that holds its readable frames, and keeps the
// damaged one in the quarantine. The next start ships the fresh one as it
// stands.
//
// An instance that a living process holds is left alone; if a segment of it is
// damaged, the error has an [InUseError]. Segments of a newer version are left
// to that version. The error joins what went wrong with each instance; what is
// returned beside it was done.
//
// A death at any moment loses nothing, and the next Repair goes on: the damaged
// file gets its second name in the quarantine, and only then the fresh one
// takes its place, in one step.
func Repair(dir string) ([]Repaired, error) { return repair(osFS{}, dir) }

func repair(fsys FS, dir string) ([]Repaired, error) {
	names, err := instanceNames(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("repair journal %s: %w", dir, err)
	}
	var done []Repaired
	var errs []error
	for _, name := range names {
		repaired, err := repairInstance(fsys, dir, name)
		done = append(done, repaired...)
		if err != nil {
			errs = append(errs, fmt.Errorf("repair journal instance %s: %w", name, err))
		}
	}
	return done, errors.Join(errs...)
}

func repairInstance(fsys FS, dir, name string) (done []Repaired, err error) {
	lock, err := hold(fsys, dir, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil // removed meanwhile
	case errors.Is(err, ErrInUse):
		// That is only worth a word if there is something to repair.
		damaged, inspectErr := damagedSegments(fsys, dir, name)
		if inspectErr == nil && len(damaged) == 0 {
			return nil, nil
		}
		return nil, errors.Join(err, inspectErr)
	case err != nil:
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	damaged, err := damagedSegments(fsys, dir, name)
	if err != nil {
		return nil, err
	}
	for i := range damaged {
		repaired, err := repairSegment(fsys, filepath.Join(dir, quarantineDir), &damaged[i])
		if err != nil {
			return done, fmt.Errorf("segment %s: %w", filepath.Base(damaged[i].Path), err)
		}
		done = append(done, repaired)
	}
	return done, nil
}

func damagedSegments(fsys FS, dir, name string) (damaged []FileReport, err error) {
	reports, err := inspectInstance(fsys, filepath.Join(dir, name), nil)
	for _, r := range reports {
		if r.Damaged() {
			damaged = append(damaged, r)
		}
	}
	return damaged, err
}

// repairSegment replaces one segment. The fresh one keeps shard, number and
// salt, hence its name and its place in the chain.
func repairSegment(fsys FS, quarantine string, r *FileReport) (Repaired, error) {
	kept := filepath.Join(quarantine, asideName(r.Path))
	fresh := kept + repairSuffix
	done := Repaired{Path: r.Path, Quarantined: kept, LostBytes: r.DamagedBytes + r.TornBytes}
	if err := fsys.MkdirAll(quarantine); err != nil {
		return done, err
	}
	if err := fsys.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return done, fmt.Errorf("remove what an earlier repair has left: %w", err)
	}
	var err error
	if done.Frames, err = copyFrames(fsys, r, fresh); err != nil {
		return done, errors.Join(fmt.Errorf("copy its frames: %w", err), fsys.Remove(fresh))
	}
	if err := fsys.Link(r.Path, kept); err != nil {
		return done, errors.Join(fmt.Errorf("keep it in the quarantine: %w", err), fsys.Remove(fresh))
	}
	if err := fsys.SyncDir(quarantine); err != nil {
		return done, fmt.Errorf("sync the quarantine: %w", err)
	}
	if err := fsys.Rename(fresh, r.Path); err != nil {
		return done, fmt.Errorf("put the fresh one in its place: %w", err)
	}
	if err := fsys.SyncDir(filepath.Dir(r.Path)); err != nil {
		return done, fmt.Errorf("sync the instance's directory: %w", err)
	}
	return done, nil
}

// copyFrames writes a segment of the intact frames of another, durably, and
// returns how many there are.
func copyFrames(fsys FS, r *FileReport, to string) (frames int, err error) {
	src, err := fsys.Open(r.Path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = src.Close() }() // it is only read
	dst, err := fsys.Create(to)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()

	pending, written := r.name.header(), int64(0)
	flush := func() error {
		n, err := dst.WriteAt(pending, written)
		written += int64(n)
		pending = pending[:0]
		return err
	}
	scan := scanner{src: src, salt: r.name.salt, off: headerSize, limit: r.Bytes}
	for {
		payload, _, ok := scan.next()
		if !ok {
			break
		}
		start := len(pending)
		pending = appendRaw(pending, payload)
		saltFrames(pending[start:], r.name.salt)
		frames++
		if len(pending) >= copyBytes {
			if err := flush(); err != nil {
				return frames, err
			}
		}
	}
	if err := flush(); err != nil {
		return frames, err
	}
	return frames, dst.Sync()
}
