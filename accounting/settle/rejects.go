package settle

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"bursar/accounting"
)

// Rejects is the file where events are kept that the ledger refuses for good:
// one JSON object a line, with "at", "request_id", "cause" and "event", which
// decodes into an [accounting.Event] with every digit. An operator, or a later
// version of Bursar, finds there what to mend.
//
// Safe for concurrent use within one process; each process needs its own path.
type Rejects struct {
	path string
	mu   sync.Mutex
}

// NewRejects names the file. It is created by the first event, and so is its
// folder: most installations never have one.
func NewRejects(path string) (*Rejects, error) {
	if path == "" {
		return nil, errors.New("rejects: they need a path")
	}
	return &Rejects{path: path}, nil
}

// rejected is one line of the file.
type rejected struct {
	At        time.Time        `json:"at"`
	RequestID string           `json:"request_id"`
	Cause     string           `json:"cause"`
	Event     accounting.Event `json:"event"`
}

// Add appends the event and returns nil once it is on disk.
func (r *Rejects) Add(e accounting.Event, cause error) error {
	line, err := json.Marshal(rejected{time.Now().UTC(), e.ID.String(), cause.Error(), e})
	if err != nil {
		return fmt.Errorf("encode rejected event %s: %w", e.ID, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.append(line); err != nil {
		return fmt.Errorf("keep rejected event %s: %w", e.ID, err)
	}
	return nil
}

// append writes the line to the file, which it makes if need be.
func (r *Rejects) append(line []byte) error {
	if err := os.MkdirAll(filepath.Dir(r.path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(r.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(appendLine(file, line), file.Close(), syncDir(filepath.Dir(r.path)))
}

// appendLine writes a whole line or, as far as the disk lets it, none.
func appendLine(file *os.File, line []byte) error {
	before, err := file.Stat()
	if err != nil {
		return err
	}
	if _, err := file.Write(append(line, '\n')); err != nil {
		return errors.Join(err, file.Truncate(before.Size()))
	}
	return file.Sync()
}

// syncDir makes a file that is new in the folder survive a loss of power.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
