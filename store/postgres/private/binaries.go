package private

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrNoBinaries says that no Postgres server is installed.
var ErrNoBinaries = errors.New("no Postgres server is installed here: install one (Debian, Ubuntu: apt-get install postgresql) or set DATABASE_URL")

// binaries are the programs of one Postgres installation.
type binaries struct {
	dir   string
	major int // 15 of 15.18
}

func (b binaries) path(program string) string { return filepath.Join(b.dir, program) }

// installedIn are where distributions put servers without putting them on
// the PATH: Debian and Ubuntu, Red Hat, Homebrew on both kinds of Mac.
var installedIn = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
}

// chooseBinaries returns the installation for a data directory of the given
// major version, or the preferred one if wanted is 0 (no data directory yet).
// Every candidate is asked for its version by the server's account from within
// the cluster's folder, which proves that both can be reached.
func (c *Cluster) chooseBinaries(ctx context.Context, binDir string, wanted int) (binaries, error) {
	dirs := []string{binDir}
	if binDir == "" {
		dirs = candidates(ctx)
	}
	var found []string
	var problems []error
	for _, dir := range dirs {
		major, err := c.majorVersion(ctx, dir)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if wanted == 0 || major == wanted {
			return binaries{dir: dir, major: major}, nil
		}
		found = append(found, fmt.Sprintf("%d (%s)", major, dir))
	}
	switch {
	case len(found) > 0:
		return binaries{}, fmt.Errorf("the data directory %s was made by Postgres %d, but installed is %s: install postgresql-%d, or convert the directory with pg_upgrade",
			c.dataDir(), wanted, strings.Join(found, ", "), wanted)
	case len(problems) > 0:
		return binaries{}, errors.Join(problems...)
	}
	return binaries{}, ErrNoBinaries
}

// candidates lists the folders that hold both postgres and initdb: what the
// PATH says first, then the newest, then what pg_config says.
func candidates(ctx context.Context) []string {
	var dirs []string
	add := func(dir string) {
		postgres, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
		if err != nil {
			return
		}
		dir = filepath.Dir(postgres) // a link on the PATH may stand alone
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	if postgres, err := exec.LookPath("postgres"); err == nil {
		add(filepath.Dir(postgres))
	}
	for _, pattern := range installedIn {
		installed, _ := filepath.Glob(pattern) // the patterns are well formed
		slices.SortFunc(installed, func(a, b string) int { return cmp.Compare(versionInPath(b), versionInPath(a)) })
		for _, dir := range installed {
			add(dir)
		}
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		add(strings.TrimSpace(string(out)))
	}
	return dirs
}

// versionInPath is the number that tells /usr/lib/postgresql/9.6/bin from
// /usr/lib/postgresql/15/bin: the major version, 0 if there is none.
func versionInPath(dir string) int {
	n, _ := strconv.Atoi(regexp.MustCompile(`\d+`).FindString(filepath.Base(filepath.Dir(dir))))
	return n
}

var versionLine = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d+)`)

// majorVersion runs dir/postgres --version.
func (c *Cluster) majorVersion(ctx context.Context, dir string) (int, error) {
	cmd := c.command(ctx, filepath.Join(dir, "postgres"), "--version")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, c.explainExec(cmd, err)
	}
	match := versionLine.FindSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("%s --version says %q, which is no version of Postgres", cmd.Path, strings.TrimSpace(string(out)))
	}
	return strconv.Atoi(string(match[1]))
}

// command prepares a program of the installation: as the server's account, in
// the cluster's folder, with none of our environment, which holds keys.
func (c *Cluster) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "TZ=UTC"}
	cmd.SysProcAttr = c.account.process()
	if c.account.switched && c.account.closedFolder(c.dir) != "" && passThrough(cmd.SysProcAttr) {
		cmd.Dir = "/" // the capability is in force only once the program runs
	}
	return cmd
}

// passThrough is keepPassThrough; a test takes the capability away.
var passThrough = keepPassThrough

// explainExec says why a command could not be run. "Permission denied" has three
// causes that look the same: it names the folder on the way that is closed to
// the server's account, if there is one.
func (c *Cluster) explainExec(cmd *exec.Cmd, err error) error {
	if errors.Is(err, fs.ErrPermission) && c.account.switched {
		for _, path := range []string{c.dir, filepath.Dir(cmd.Path)} {
			if folder := c.account.closedFolder(path); folder != "" {
				return fmt.Errorf("postgres runs as uid %d, which may not enter the folder %s on the way to %s: allow it with chmod o+x %s, or choose another data directory",
					c.account.uid, folder, path, folder)
			}
		}
	}
	return fmt.Errorf("run %s as uid %d: %w", cmd.Path, c.account.uid, err)
}

// closedFolder returns the outermost folder of path that the account may not
// enter, or "" if all of them let it pass.
func (a account) closedFolder(path string) string {
	for _, folder := range foldersDownTo(path) {
		if info, err := os.Stat(folder); err == nil && !a.mayTraverse(info) {
			return folder
		}
	}
	return ""
}

// foldersDownTo lists the folders from the root to path, path included.
func foldersDownTo(path string) []string {
	folders := []string{path}
	for parent := filepath.Dir(path); parent != path; path, parent = parent, filepath.Dir(parent) {
		folders = append(folders, parent)
	}
	slices.Reverse(folders)
	return folders
}
