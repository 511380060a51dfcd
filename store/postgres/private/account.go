package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// nobody is the account of last resort: its number is the same on every Linux,
// its name and its group are not.
const nobody = 65534

// account is the user that the server runs as.
type account struct {
	uid, gid uint32
	switched bool // we are root and the server is not
}

// serverAccount chooses the account for a server on dataDir, which need not
// exist yet.
func serverAccount(dataDir string) (account, error) {
	self := uint32(os.Geteuid())
	owner, exists, err := ownerOf(dataDir)
	switch {
	case err != nil:
		return account{}, err
	case self != 0 && exists && owner.uid != self:
		return account{}, fmt.Errorf("the data directory %s belongs to uid %d, but we run as uid %d: run as its owner, or change the owner with chown -R %d %s",
			dataDir, owner.uid, self, self, dataDir)
	case self != 0:
		return account{uid: self, gid: uint32(os.Getegid())}, nil
	case exists && owner.uid == 0:
		return account{}, fmt.Errorf("the data directory %s belongs to root, as whom Postgres refuses to run: give it to another user, for example chown -R postgres: %s",
			dataDir, dataDir)
	case exists:
		return owner, nil
	}
	return unprivileged(), nil
}

// ownerOf returns the account that owns path, if path exists.
func ownerOf(path string) (owner account, exists bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return account{}, false, nil
	}
	if err != nil {
		return account{}, false, fmt.Errorf("look at the data directory: %w", err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	return account{uid: stat.Uid, gid: stat.Gid, switched: true}, true, nil
}

// unprivileged is the account for a new cluster of root's.
func unprivileged() account {
	if u, err := user.Lookup("postgres"); err == nil {
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil && uid != 0 {
			return account{uid: uint32(uid), gid: uint32(gid), switched: true}
		}
	}
	return account{uid: nobody, gid: nobody, switched: true}
}

// process is how a child of this account is made. It gets a session of its own:
// a Ctrl-C in our terminal is meant for us.
func (a account) process() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if a.switched {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// own makes path the account's, with the given permissions.
func (a account) own(path string, perm fs.FileMode) error {
	if a.switched {
		if err := os.Chown(path, int(a.uid), int(a.gid)); err != nil {
			return fmt.Errorf("give the folder to the server's user: %w", err)
		}
	}
	if err := os.Chmod(path, perm); err != nil {
		return fmt.Errorf("close the folder to others: %w", err)
	}
	return nil
}

// mayTraverse tells from the permission bits whether the account may pass
// through the folder.
func (a account) mayTraverse(info fs.FileInfo) bool {
	stat := info.Sys().(*syscall.Stat_t)
	perm := info.Mode().Perm()
	switch {
	case stat.Uid == a.uid:
		return perm&0o100 != 0
	case stat.Gid == a.gid:
		return perm&0o010 != 0
	}
	return perm&0o001 != 0
}
