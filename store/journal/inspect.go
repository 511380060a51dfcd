package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
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
	// TornBytes is the size of an unfinished write at the end: normal in the
	// last file of a shard, and in one that is being written to.
	TornBytes int64
	// Newer: the file was written by a version that this binary cannot read.
	Newer bool
}

// Inspect reads all segments below a journal directory, those set aside
// included, and changes nothing. visit, which may be nil, is called with every
// intact event in the order of the files; its error ends the inspection.
//
// No lock is taken: the files of a living process may go while they are listed,
// which is not an error.
func Inspect(dir string, visit func(path string, e *accounting.Event) error) ([]FileReport, error) {
	if visit == nil {
		visit = func(string, *accounting.Event) error { return nil }
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		return nil, fmt.Errorf("inspect journal %s: %w", dir, err)
	}
	slices.SortFunc(paths, cmp.Compare)
	var reports []FileReport
	for _, path := range paths {
		name, ok := inspectedName(filepath.Base(path))
		if !ok {
			continue
		}
		report, err := inspectFile(path, name, visit)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return reports, fmt.Errorf("inspect journal segment %s: %w", path, err)
		}
		reports = append(reports, report)
	}
	return reports, nil
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

func inspectFile(path string, name segmentName, visit func(string, *accounting.Event) error) (FileReport, error) {
	r := FileReport{Path: path, Events: make(map[accounting.Kind]int)}
	file, err := osFS{}.Open(path)
	if err != nil {
		return r, err
	}
	defer func() { _ = file.Close() }() // it is only read
	if r.Bytes, err = file.Size(); err != nil {
		return r, err
	}
	head := make([]byte, min(headerSize, r.Bytes))
	n, _ := file.ReadAt(head, 0) // what cannot be read fails the check
	switch name.checkHeader(head[:n]) {
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
		if err != nil || event.Kind < accounting.Opened || event.Kind > accounting.Polled {
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
	if scan.wholeTail {
		r.Damages++
		r.DamagedBytes += scan.tail
	} else {
		r.TornBytes = scan.tail
	}
	return nil
}
