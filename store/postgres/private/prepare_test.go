package private

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// realBinaries is the folder of an installed Postgres.
func realBinaries(t *testing.T) string {
	t.Helper()
	found := candidates(t.Context())
	require.NotEmpty(t, found, ErrNoBinaries)
	return found[0]
}

// fakeBinaries makes an installation whose initdb is a script of ours.
func fakeBinaries(t *testing.T, initdb string) string {
	t.Helper()
	bin := filepath.Join(filepath.Dir(folder(t)), "bin")
	require.NoError(t, os.Mkdir(bin, 0o755))
	require.NoError(t, os.Symlink(filepath.Join(realBinaries(t), "postgres"), filepath.Join(bin, "postgres")))
	write(t, filepath.Join(bin, "initdb"), "#!/bin/sh\n"+initdb+"\n", 0o755)
	return bin
}

func TestALocaleThatTheMachineLacksGivesWayToC(t *testing.T) {
	bin := fakeBinaries(t, `
for arg; do
	if [ "$arg" = --locale=C.UTF-8 ]; then
		echo 'initdb: error: invalid locale name "C.UTF-8"' >&2
		exit 1
	fi
done
exec `+realBinaries(t)+`/initdb "$@"`)
	c := startWith(t, Options{Dir: folder(t), BinDir: bin, Settings: unsafeSettings()})
	require.Equal(t, "C", query[string](t, c, `SELECT datcollate FROM pg_database WHERE datname = 'bursar'`))
	require.Equal(t, "UTF8", query[string](t, c, `SELECT current_setting('server_encoding')`))
}

func TestWhyInitdbGaveUpIsInTheError(t *testing.T) {
	dir := folder(t)
	_, err := Start(t.Context(), Options{Dir: dir, BinDir: fakeBinaries(t, `echo "the disk is full" >&2; exit 1`)})
	require.ErrorContains(t, err, "the disk is full")
	require.NoDirExists(t, filepath.Join(dir, "data"))
}

func TestDataOfAnotherMajorVersionAreNotTouched(t *testing.T) {
	dir := usedFolder(t)
	c := start(t, dir)
	remember(t, c, "two cents")
	stop(t, c)
	version := filepath.Join(dir, "data", "PG_VERSION")
	installed, err := os.ReadFile(version)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(version, []byte("9999\n"), 0o600))

	_, err = Start(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, "made by Postgres 9999, but installed is "+strings.TrimSpace(string(installed)))
	require.NoError(t, os.WriteFile(version, installed, 0o600))
	require.Equal(t, "two cents", recall(t, start(t, dir)))
}

func TestADirectoryWithoutAVersionIsNotInitialisedOver(t *testing.T) {
	dir := usedFolder(t)
	version := filepath.Join(dir, "data", "PG_VERSION")
	require.NoError(t, os.Rename(version, version+".lost"))
	t.Cleanup(func() { require.NoError(t, os.Rename(version+".lost", version)) })
	_, err := Start(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, "no PG_VERSION")
	require.DirExists(t, filepath.Join(dir, "data", "base"))
}

func TestWithoutPostgresTheErrorSaysHowToInstallIt(t *testing.T) {
	t.Setenv("PATH", "")
	kept := installedIn
	installedIn = nil
	t.Cleanup(func() { installedIn = kept })
	_, err := Start(t.Context(), Options{Dir: folder(t)})
	require.ErrorIs(t, err, ErrNoBinaries)
	require.ErrorContains(t, err, "apt-get install postgresql")
}

func TestAServerOffThePATHIsFound(t *testing.T) {
	real := realBinaries(t)
	t.Setenv("PATH", "")
	require.Contains(t, candidates(t.Context()), real)
}

func TestAFolderOfRootsIsNoObstacle(t *testing.T) {
	onlyRoot(t)
	closed := filepath.Dir(folder(t))
	require.NoError(t, os.Chmod(closed, 0o700))
	c, err := Start(t.Context(), Options{Dir: filepath.Join(closed, "postgres")})
	require.NoError(t, err)
	require.NoError(t, c.Stop(t.Context()))
	c, err = Start(t.Context(), Options{Dir: filepath.Join(closed, "postgres")})
	require.NoError(t, err, "the second start too")
	require.NoError(t, c.Stop(t.Context()))
}

func TestAFolderClosedToTheServerIsNamed(t *testing.T) {
	onlyRoot(t)
	passThrough = func(*syscall.SysProcAttr) bool { return false } // as in a container without capabilities
	t.Cleanup(func() { passThrough = keepPassThrough })
	closed := filepath.Dir(folder(t))
	require.NoError(t, os.Chmod(closed, 0o700))
	_, err := Start(t.Context(), Options{Dir: filepath.Join(closed, "deeper", "postgres")})
	require.ErrorContains(t, err, "may not enter the folder "+closed+" ")
	require.ErrorContains(t, err, "chmod o+x "+closed)
}

func TestAFolderWithOtherFilesIsRefusedAndLeftAlone(t *testing.T) {
	dir := folder(t)
	require.NoError(t, os.Mkdir(dir, 0o755))
	write(t, filepath.Join(dir, "thesis.txt"), "not ours", 0o644)
	_, err := Start(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, "thesis.txt")
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode().Perm())
}

func TestALongPathPutsTheSocketElsewhere(t *testing.T) {
	dir := filepath.Join(folder(t), strings.Repeat("long", 25))
	require.NoError(t, os.Mkdir(filepath.Dir(dir), 0o755))
	c := start(t, dir)
	require.True(t, strings.HasPrefix(c.socketDir(), "/tmp/bursar-postgres-"), c.socketDir())
	info, err := os.Stat(c.socketDir())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	remember(t, c, "far away")

	adopter := start(t, dir)
	require.Equal(t, "far away", recall(t, adopter))
	stop(t, adopter)
	stop(t, c)
	require.NoDirExists(t, c.socketDir())

	// Somebody else was there first.
	require.NoError(t, os.Mkdir(c.socketDir(), 0o755))
	t.Cleanup(func() { _ = os.Remove(c.socketDir()) })
	_, err = Start(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, c.socketDir())
}

func TestPermissionBitsCountForTheClassTheUserIsIn(t *testing.T) {
	dir := t.TempDir()
	info := func(perm os.FileMode) os.FileInfo {
		require.NoError(t, os.Chmod(dir, perm))
		info, err := os.Stat(dir)
		require.NoError(t, err)
		return info
	}
	self := account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}
	sameGroup := account{uid: self.uid + 1, gid: self.gid}
	stranger := account{uid: self.uid + 1, gid: self.gid + 1}
	require.True(t, self.mayTraverse(info(0o700)))
	require.False(t, self.mayTraverse(info(0o677)))
	require.True(t, sameGroup.mayTraverse(info(0o710)))
	require.False(t, sameGroup.mayTraverse(info(0o701)))
	require.True(t, stranger.mayTraverse(info(0o701)))
	require.False(t, stranger.mayTraverse(info(0o770)))
}

func TestInstalledVersionsAreOrderedAsNumbers(t *testing.T) {
	for dir, want := range map[string]int{
		"/usr/lib/postgresql/9.6/bin": 9, "/usr/lib/postgresql/15/bin": 15,
		"/usr/pgsql-16/bin": 16, "/opt/homebrew/opt/postgresql@17/bin": 17, "/opt/pg/bin": 0,
	} {
		require.Equal(t, want, versionInPath(dir), dir)
	}
	require.Greater(t, strconv.Itoa(9), strconv.Itoa(15), "which is why")
}
