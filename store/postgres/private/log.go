package private

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLogBytes is the size above which server.log is put aside at a start.
const maxLogBytes = 8 << 20

// openLog opens server.log for a server that starts. Ours, not the
// account's: the server gets it open.
func (c *Cluster) openLog() (*os.File, error) {
	path := filepath.Join(c.dir, "server.log")
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogBytes {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("put the log of the private Postgres aside: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of the private Postgres: %w", err)
	}
	return f, nil
}

// tail is what the server has said since the log had from bytes.
func tail(log io.ReaderAt, from int64) string {
	text, err := io.ReadAll(io.NewSectionReader(log, from, 64<<10))
	if err != nil {
		return err.Error()
	}
	return lastLines(text)
}

// lastLines is the end of a program's output on one line.
func lastLines(out []byte) string {
	lines := strings.Split(string(bytes.TrimSpace(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}
