package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"bursar/accounting"
)

const damagedSuffix = ".damaged"

// FileReport is what one segment file holds.
type FileReport struct {
	Path  string
	Bytes int64
	// Events counts the intact frames by kind.
	Events map[accounting.Kind]int
	// Unknown counts intact frames that this binary cannot read.
	Unknown int
	// Damages counts places that hold something else than was written, and
	// DamagedBytes their size. The header is one of them if it is damaged.
	Damages      int
	DamagedBytes int64
	// UnreadablePages counts pieces of 4 KiB that the disk refused.
	UnreadablePages int
	// TornBytes is the size of an unfinished write at the end: normal in the
	// last file of a shard, and in one that is being written to.
	TornBytes int64
	// Newer: the file was written by a version that this binary cannot read.
	Newer bool
	// Last: the file is the youngest of its shard.
	Last bool
	// Aside: the file is in the quarantine.
	Aside bool

	name segmentName
}

// Damaged reports whether the file holds something that an orderly writer does
// not leave behind: the next start would set it aside. Of a file of a newer
// version nothing is known.
func (r *FileReport) Damaged() bool {
	torn := r.TornBytes > 0 && !r.Last && r.Bytes >= headerSize
	return !r.Newer && (r.Damages > 0 || r.UnreadablePages > 0 || torn)
}

// Instance is the name of the directory that the file is in.
func (r *FileReport) Instance() string { return filepath.Base(filepath.Dir(r.Path)) }

// Inspect reads all segments below a journal directory, those set aside
// included, and changes nothing. visit, which may be nil, is called with every
// intact event in the order of the files; its error ends the inspection. A
// directory that is not there is an [fs.ErrNotExist].
//
// No lock is taken: the files of a living process may go while they are listed,
// which is not an error.
func Inspect(dir string, visit func(path string, e *accounting.Event) error) ([]FileReport, error) {
	names, err := osFS{}.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("inspect journal %s: %w", dir, err)
	}
	var reports []FileReport
	for _, name := range names {
		path := filepath.Join(dir, name)
		if isDir, err := (osFS{}).IsDir(path); err != nil || !isDir {
			continue
		}
		found, err := inspectInstance(osFS{}, path, visit)
		reports = append(reports, found...)
		if err != nil {
			return reports, err
		}
	}
	return reports, nil
}

// inspectInstance reads the segments in one directory.
func inspectInstance(fsys FS, dir string, visit func(string, *accounting.Event) error) ([]FileReport, error) {
	if visit == nil {
		visit = func(string, *accounting.Event) error { return nil }
	}
	files, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // removed meanwhile
	}
	if err != nil {
		return nil, fmt.Errorf("inspect journal instance %s: %w", dir, err)
	}
	var reports []FileReport
	for _, file := range files {
		name, ok := inspectedName(file)
		if !ok {
			continue
		}
		report, err := inspectFile(fsys, filepath.Join(dir, file), name, visit)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return reports, fmt.Errorf("inspect journal segment %s: %w", filepath.Join(dir, file), err)
		}
		reports = append(reports, report)
	}
	markLast(reports)
	return reports, nil
}

// markLast finds the youngest file of each shard. In the order of their names
// it stands before the first file of another. In the quarantine there are no
// chains.
func markLast(reports []FileReport) {
	for i := range reports {
		r := &reports[i]
		r.Aside = r.Instance() == quarantineDir
		r.Last = r.Aside || i+1 == len(reports) || reports[i+1].name.shard != r.name.shard
	}
}

// inspectedName reads a segment's identity off its name, or off the name it was
// given when it was set aside: instance, dash, name, ".damaged".
func inspectedName(base string) (segmentName, bool) {
	if aside, ok := strings.CutSuffix(base, damagedSuffix); ok {
		parts := strings.Split(aside, "-")
		base = strings.Join(parts[max(0, len(parts)-3):], "-")
	}
	return parseSegmentName(base)
}

func inspectFile(fsys FS, path string, name segmentName, visit func(string, *accounting.Event) error) (FileReport, error) {
	r := FileReport{Path: path, Events: make(map[accounting.Kind]int), name: name}
	file, err := fsys.Open(path)
	if err != nil {
		return r, err
	}
	defer func() { _ = file.Close() }() // it is only read
	if r.Bytes, err = file.Size(); err != nil {
		return r, err
	}
	head := make([]byte, min(headerSize, r.Bytes))
	_, _ = file.ReadAt(head, 0) // what cannot be read stays zero and fails the check
	switch name.checkHeader(head) {
	case headerNewer:
		r.Newer = true
		return r, nil
	case headerBad:
		r.Damages, r.DamagedBytes = 1, headerSize
	case headerTorn:
		r.TornBytes = r.Bytes
		return r, nil
	case headerGood:
	}
	return r, r.scan(&scanner{src: file, salt: name.salt, off: headerSize, limit: r.Bytes}, visit)
}

func (r *FileReport) scan(scan *scanner, visit func(string, *accounting.Event) error) error {
	for {
		payload, _, ok := scan.next()
		if !ok {
			break
		}
		event, err := decodeEvent(payload)
		if err != nil || !journaled(event.Kind) {
			r.Unknown++
			continue
		}
		r.Events[event.Kind]++
		if err := visit(r.Path, &event); err != nil {
			return err
		}
	}
	r.Damages += scan.gaps
	r.DamagedBytes += scan.gapBytes
	r.UnreadablePages = scan.unreadable
	if scan.wholeTail {
		r.Damages++
		r.DamagedBytes += scan.tail
	} else {
		r.TornBytes = scan.tail
	}
	return nil
}
