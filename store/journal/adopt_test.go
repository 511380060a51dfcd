package journal

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestOfTwoProcessesThatStartTogetherOnlyOneAdoptsADeadJournal(t *testing.T) {
	for range 10 {
		opts := testOptions(t.TempDir())
		want := map[accounting.RequestID]bool{}
		for range 4 {
			j := mustOpen(t, opts)
			j2, _ := j.Adopt()
			assert.Zero(t, j2)
			id := newID()
			want[id] = true
			mustAppend(t, j, closed(id))
			crash(j)
		}
		journals := make([]*Journal, 4)
		var wg sync.WaitGroup
		for i := range journals {
			wg.Go(func() {
				var err error
				if journals[i], err = Open(opts); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got := map[accounting.RequestID]int{}
		for _, j := range journals {
			for _, e := range drainAndAck(t, j) {
				got[e.ID]++
			}
		}
		require.Len(t, got, len(want))
		for id, n := range got {
			require.Equal(t, 1, n, "adopted twice: %s", id)
		}
		for _, j := range journals {
			settle(t, j)
			require.NoError(t, j.Close())
		}
		require.Empty(t, instances(t, opts.Dir))
	}
}

func TestALivingJournalIsNotAdoptedAndADeadOneIsWhileRunning(t *testing.T) {
	opts := testOptions(t.TempDir())
	a, b := mustOpen(t, opts), mustOpen(t, opts)
	id := newID()
	mustAppend(t, b, opened(id), identified(id))
	n, err := a.Adopt()
	require.NoError(t, err)
	require.Zero(t, n)

	crash(b)
	n, err = a.Adopt()
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = a.Adopt()
	require.NoError(t, err)
	require.Zero(t, n, "it is ours already")
	events, err := a.Next(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, accounting.Interrupted, events[0].Kind)
	require.NoError(t, a.Ack(events))
	settle(t, a)
	requireInstances(t, opts.Dir, a.Instance())
}

func TestAnAdopterThatDiesLeavesWhatItHasNotDelivered(t *testing.T) {
	opts := testOptions(t.TempDir())
	first := mustOpen(t, opts)
	var want []*accounting.Event
	for range 40 {
		id := newID()
		mustAppend(t, first, opened(id), closed(id))
		want = append(want, closed(id))
	}
	crash(first)
	second := mustOpen(t, opts)
	got := drain(t, second)
	requireEvents(t, got, want...)
	require.NoError(t, second.Ack(got[:30]))
	settle(t, second)
	crash(second)
	third := mustOpen(t, opts)
	got = drainAndAck(t, third)
	require.Less(t, len(got), 40, "acknowledged segments are gone")
	requireEvents(t, got[len(got)-10:], want[30:]...)
	settle(t, third)
	requireInstances(t, opts.Dir, third.Instance())
}

func TestAnInstanceNameBelongsToOneProcessAtATime(t *testing.T) {
	opts := testOptions(t.TempDir())
	opts.Instance = "replica-0"
	j := mustOpen(t, opts)
	_, err := Open(opts)
	require.ErrorIs(t, err, ErrInUse)
	id := newID()
	mustAppend(t, j, closed(id))
	crash(j)

	again := mustOpen(t, opts)
	assert.Equal(t, "replica-0", again.Instance())
	requireEvents(t, drainAndAck(t, again), closed(id))
	settle(t, again)
	requireInstances(t, opts.Dir, "replica-0")
}

func TestFilesThatAreNotOursAreLeftAlone(t *testing.T) {
	opts := testOptions(t.TempDir())
	require.NoError(t, os.WriteFile(filepath.Join(opts.Dir, "notes"), []byte("x"), fileMode))
	require.NoError(t, os.MkdirAll(filepath.Join(opts.Dir, ".hidden"), dirMode))
	foreign := filepath.Join(opts.Dir, "dead", "important.txt")
	deadJournal(t, opts.Dir, map[string][]byte{"important.txt": []byte("x"), "1-2-3.seg": []byte("x"), reserveFile: make([]byte, 100)})
	j := mustOpen(t, opts)
	require.Empty(t, drain(t, j))
	settleLoosely(j)
	content, err := os.ReadFile(foreign)
	require.NoError(t, err)
	assert.Equal(t, "x", string(content))
	_, err = os.Stat(filepath.Join(opts.Dir, "dead", reserveFile))
	assert.ErrorIs(t, err, os.ErrNotExist, "a dead process's reserve is given back")
}

// settleLoosely is settle where an error is expected.
func settleLoosely(j *Journal) {
	for range 3 {
		_ = j.finishAdopted()
	}
}

func TestStatsTellWhatIsLeftInAdoptedJournals(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := mustOpen(t, opts)
	for range 40 {
		mustAppend(t, j, closed(newID()))
	}
	mustAppend(t, j, opened(newID()))
	bytes := j.Stats().Bytes
	crash(j)

	again := mustOpen(t, opts)
	st := again.Stats()
	assert.Equal(t, bytes, st.Bytes)
	assert.Positive(t, st.AdoptedUnread)
	assert.LessOrEqual(t, st.AdoptedUnread, bytes)
	assert.Equal(t, 1, st.AdoptedInstances)
	events := drain(t, again)
	st = again.Stats()
	assert.Zero(t, st.AdoptedUnread)
	assert.Equal(t, 41, st.Depth)
	require.NoError(t, again.Ack(events))
	require.Eventually(t, func() bool { st = again.Stats(); return st.AdoptedInstances == 0 && st.Bytes == 0 }, 5*time.Second, time.Millisecond)
	assert.Zero(t, st.Depth)
}

func TestALockOnARemovedFileIsNotALock(t *testing.T) {
	path := filepath.Join(t.TempDir(), lockFileName)
	lock, err := osFS{}.Lock(path)
	require.NoError(t, err)
	_, err = osFS{}.Lock(path)
	require.ErrorIs(t, err, errLocked)

	// Somebody opened the file before it was removed, and locks it after.
	late, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, errors.Join(os.Remove(path), lock.Close()))
	require.ErrorIs(t, lockFile(late, path), os.ErrNotExist)
	require.NoError(t, late.Close())
}

func TestTheAdopterIsToldWhoDied(t *testing.T) {
	opts := testOptions(t.TempDir())
	opts.Instance = "replica-0"
	dead := mustOpen(t, opts)
	mustAppend(t, dead, closed(newID()))
	crash(dead)
	var told []string
	opts.OnAdopt = func(instance string) { told = append(told, instance) }
	j := mustOpen(t, opts) // of the same name: the dead one's directory was renamed
	assert.Equal(t, []string{"replica-0"}, told)

	opts.Instance, opts.OnAdopt = "replica-1", nil
	another := mustOpen(t, opts)
	crash(another)
	adopted, err := j.Adopt()
	require.NoError(t, err)
	assert.Equal(t, 1, adopted)
	assert.Equal(t, []string{"replica-0", "replica-1"}, told, "one with an empty journal too")
	crash(j)
}
