package journal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ownedBy opens a journal of that owner.
func ownedBy(t *testing.T, dir, owner string) *Journal {
	t.Helper()
	opts := testOptions(dir)
	opts.Owner = owner
	return mustOpen(t, opts)
}

func TestAnOwnerIsListedOnceEverythingItJournaledIsAcknowledged(t *testing.T) {
	dir := t.TempDir()
	dead := ownedBy(t, dir, "replica-1")
	a, b := newID(), newID()
	mustAppend(t, dead, opened(a), closed(a), opened(b))
	crash(dead)

	j := ownedBy(t, dir, "replica-2")
	assert.Empty(t, j.Owners(), "nothing of it was read yet")
	events := drain(t, j)
	require.Len(t, events, 2)
	require.NoError(t, j.Ack(events[:1]))
	settle(t, j)
	assert.Empty(t, j.Owners(), "one call is not acknowledged")
	require.NoError(t, j.Ack(events[1:]))
	settle(t, j)
	assert.Equal(t, []string{"replica-1"}, j.Owners())
	settle(t, j)
	assert.Equal(t, []string{"replica-1"}, j.Owners(), "it stays until it is disowned")

	require.NoError(t, j.Disown("replica-1"))
	assert.Empty(t, j.Owners())
	settle(t, j)
	requireInstances(t, dir, j.Instance())
	require.NoError(t, j.Disown("replica-1"), "a second time changes nothing")
}

func TestWhoAdoptsAnAdopterTakesBothOwnersOver(t *testing.T) {
	dir := t.TempDir()
	first := ownedBy(t, dir, "replica-1")
	mustAppend(t, first, opened(newID()))
	crash(first)
	second := ownedBy(t, dir, "replica-2")
	drainAndAck(t, second)
	settle(t, second)
	require.Equal(t, []string{"replica-1"}, second.Owners())
	crash(second)

	third := ownedBy(t, dir, "replica-3")
	settle(t, third)
	assert.ElementsMatch(t, []string{"replica-1", "replica-2"}, third.Owners())
}

func TestAnEndInOrderLeavesTheOwnerUnlessItIsDisowned(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, ownedBy(t, dir, "kept").Close())
	j := ownedBy(t, dir, "given-back")
	assert.Equal(t, []string{"kept"}, j.Owners())
	require.NoError(t, j.Disown("given-back"))
	require.NoError(t, j.Disown("kept"))
	require.NoError(t, j.Close())
	assert.Empty(t, instances(t, dir))
	assert.ErrorIs(t, j.Disown("kept"), ErrClosed)
}

func TestAnOwnerWhoseNameIsCutOffHasSpentNothing(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "no end": "repl", "a space": "a b\n"} {
		dir := t.TempDir()
		dead := ownedBy(t, dir, "replica-1")
		crash(dead)
		path := filepath.Join(dir, dead.Instance(), ownerFile)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		j := ownedBy(t, dir, "replica-2")
		settle(t, j)
		assert.Empty(t, j.Owners(), name)
		requireInstances(t, dir, j.Instance())
	}
}

func TestAnOwnerNeedsANameThatFitsALine(t *testing.T) {
	opts := testOptions(t.TempDir())
	opts.Owner = "two\nlines"
	_, err := Open(opts)
	assert.ErrorContains(t, err, "journal option Owner")
}
