package private

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
)

// What the server is reached by. The port is only part of the socket's name.
const (
	port     = "5432"
	role     = "bursar"
	database = "bursar"
)

// maxSocketPath is safely below what the kernels allow in a socket's address
// (107 bytes on Linux, 103 on macOS).
const maxSocketPath = 100

// socketDir is the folder of the server's socket: the cluster's own, or where
// that path is too long for a socket, one under /tmp that follows from it. It
// is not os.TempDir, which may differ between two Bursars.
func (c *Cluster) socketDir() string {
	if len(filepath.Join(c.dir, ".s.PGSQL."+port)) <= maxSocketPath {
		return c.dir
	}
	return fmt.Sprintf("/tmp/bursar-postgres-%x", sha256.Sum256([]byte(c.dir)))[:len("/tmp/bursar-postgres-")+16]
}

// openSocketDir makes the folder of the socket. Anybody may make folders in
// /tmp: one that is there already must be the account's own and closed.
func (c *Cluster) openSocketDir() error {
	dir := c.socketDir()
	if dir == c.dir {
		return nil
	}
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return c.account.own(dir, 0o700)
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the folder of the socket: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the folder of the socket: %w", err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	ours := owner == c.account.uid || owner == uint32(os.Geteuid())
	if !info.IsDir() || !ours || info.Mode().Perm() != 0o700 {
		return fmt.Errorf("%s, where the socket of the private Postgres belongs (its own path %s is too long for one), is not a closed folder of uid %d: remove it", dir, c.dir, c.account.uid)
	}
	return c.account.own(dir, 0o700) // its maker may have died between the two steps
}

// removeSocketDir clears away what openSocketDir made under /tmp.
func (c *Cluster) removeSocketDir() {
	if dir := c.socketDir(); dir != c.dir {
		_ = os.Remove(dir) // not empty, or gone already: nothing is lost
	}
}

// url is the connection string for the named database.
func (c *Cluster) url(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User(role),
		Path:     "/" + database,
		RawQuery: url.Values{"host": {c.socketDir()}, "port": {port}}.Encode(),
	}
	return u.String()
}
