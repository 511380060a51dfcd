package private

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func onlyRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root runs the server as another user")
	}
}

func TestRootRunsTheServerAsTheOwnerOfTheData(t *testing.T) {
	onlyRoot(t)
	data := t.TempDir()
	require.NoError(t, os.Chown(data, 4711, 4712))
	got, err := serverAccount(data)
	require.NoError(t, err)
	require.Equal(t, account{uid: 4711, gid: 4712, switched: true}, got)
}

func TestRootRunsANewServerAsAnybodyElse(t *testing.T) {
	onlyRoot(t)
	got, err := serverAccount(filepath.Join(t.TempDir(), "data"))
	require.NoError(t, err)
	require.True(t, got.switched)
	require.NotZero(t, got.uid)
}

func TestDataThatBelongToRootAreRefusedWithTheWayOut(t *testing.T) {
	onlyRoot(t)
	data := t.TempDir()
	_, err := serverAccount(data)
	require.ErrorContains(t, err, "belongs to root")
	require.ErrorContains(t, err, "chown")
}

// The folder belongs to an account with fewer rights than ours: it must not make
// us write where only we may.
func TestALogThatIsALinkIsNotFollowed(t *testing.T) {
	dir := usedFolder(t)
	victim := filepath.Join(t.TempDir(), "victim")
	write(t, victim, "untouched", 0o600)
	log := filepath.Join(dir, "server.log")
	require.NoError(t, os.RemoveAll(log))
	require.NoError(t, os.Symlink(victim, log))
	t.Cleanup(func() { require.NoError(t, os.Remove(log)) })
	_, err := Start(t.Context(), Options{Dir: dir, Settings: unsafeSettings()})
	require.ErrorContains(t, err, "server.log")
	text, err := os.ReadFile(victim)
	require.NoError(t, err)
	require.Equal(t, "untouched", string(text))
}

func TestADataDirectoryThatWasMovedToAnotherDiskIsServed(t *testing.T) {
	dir := usedFolder(t)
	data, moved := filepath.Join(dir, "data"), filepath.Join(filepath.Dir(dir), "elsewhere")
	require.NoError(t, os.Rename(data, moved))
	require.NoError(t, os.Symlink(moved, data))
	t.Cleanup(func() { require.NoError(t, os.Remove(data)); require.NoError(t, os.Rename(moved, data)) })
	c := start(t, dir)
	require.NotZero(t, pidOf(t, c), "it is recognised")
	stop(t, c)
	require.False(t, c.alive())
}
