package private

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func (c *Cluster) dataDir() string { return filepath.Join(c.dir, "data") }

// openDir makes the cluster's folder, parents included, and returns its path
// without symbolic links: whoever means the same folder gets the same locks and
// the same socket. A folder that holds other things is refused, for it will be
// closed to all but the server.
func openDir(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("no folder for the private Postgres is given")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the folder %s: %w", dir, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("make the folder for the private Postgres: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make the folder for the private Postgres: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", fmt.Errorf("resolve the folder of the private Postgres: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("read the folder of the private Postgres: %w", err)
	}
	if len(entries) > 0 && !exists(filepath.Join(dir, startLock)) && !exists(filepath.Join(dir, "data", "PG_VERSION")) {
		return "", fmt.Errorf("the folder %s holds other files (%s): the private Postgres needs one of its own", dir, entries[0].Name())
	}
	return dir, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Exists reports whether a private Postgres was ever made in dir.
func Exists(dir string) bool { return exists(filepath.Join(dir, "data", "PG_VERSION")) }

// dataVersion is the major version that made the data directory, 0 if there is
// none yet.
func (c *Cluster) dataVersion() (int, error) {
	text, err := os.ReadFile(filepath.Join(c.dataDir(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		if exists(c.dataDir()) {
			return 0, fmt.Errorf("%s exists, but is no Postgres data directory (it has no PG_VERSION): move it away or restore it", c.dataDir())
		}
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the version of the data directory: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("the data directory %s is of version %q, which is not supported", c.dataDir(), bytes.TrimSpace(text))
	}
	return major, nil
}

// initialise makes the data directory. It appears under its name only when it
// is complete: an interrupted attempt leaves data.new, which no server has ever
// run on and which the next attempt throws away. lock is the held server.lock:
// initdb inherits it, so that an initdb which outlives us is waited for.
func (c *Cluster) initialise(ctx context.Context, lock *os.File) error {
	fresh := c.dataDir() + ".new"
	var err error
	for _, locale := range []string{"C.UTF-8", "C"} {
		if err = os.RemoveAll(fresh); err != nil {
			return fmt.Errorf("remove the rest of an interrupted initdb: %w", err)
		}
		if err = c.initdb(ctx, lock, fresh, locale); err == nil || !strings.Contains(err.Error(), "invalid locale") {
			break
		}
	}
	if err != nil {
		return err
	}
	if err := os.Rename(fresh, c.dataDir()); err != nil {
		return fmt.Errorf("put the new data directory in its place: %w", err)
	}
	return syncDir(c.dir)
}

func (c *Cluster) initdb(ctx context.Context, lock *os.File, dir, locale string) error {
	args := []string{"-D", dir, "-U", role, "-A", "trust", "-E", "UTF8", "--locale=" + locale, "--data-checksums"}
	if c.settings["fsync"] == "off" {
		args = append(args, "--no-sync")
	}
	cmd := c.command(ctx, c.binaries.path("initdb"), args...)
	cmd.ExtraFiles = []*os.File{lock}
	cmd.WaitDelay = 5 * time.Second // a cancelled initdb may leave a child with our pipe
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("initialise the private Postgres in %s: %w", c.dir, context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("initialise the private Postgres in %s: %w: %s", c.dir, err, lastLines(out))
	}
	return nil
}

// syncDir makes a rename inside dir survive a power failure.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open the folder to sync it: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync the folder %s: %w", dir, err)
	}
	return nil
}
