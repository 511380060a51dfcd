package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

var errDisk = errors.New("input/output error")

// once makes fail apply to the first operation of a kind on a segment.
func once(op string, partial int, err error) func(string, string) (int, error) {
	done := false
	return func(o, path string) (int, error) {
		if done || o != op || !strings.HasSuffix(path, segmentSuffix) && op != "syncdir" {
			return 0, nil
		}
		done = true
		return partial, err
	}
}

// manual opens a journal without its goroutines, so that the test decides when
// it syncs.
func manual(t testing.TB, opts Options) *Journal {
	t.Helper()
	j, err := newJournal(opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func TestAFailedOrShortWriteLeavesNoTrace(t *testing.T) {
	for what, fault := range map[string]struct {
		partial int
		err     error
	}{
		"nothing written": {0, errDisk}, "half a header": {5, errDisk}, "half a frame": {100, errDisk},
		"short without an error": {50, nil},
	} {
		t.Run(what, func(t *testing.T) {
			opts := testOptions(t.TempDir())
			disk := &faultFS{}
			opts.FS = disk
			j := manual(t, opts)
			a, b, c := newID(), newID(), newID()
			mustAppend(t, j, opened(a), opened(b))
			disk.set(once("write", fault.partial, fault.err))
			require.Error(t, j.Append(closed(a)), "the caller hears of it")
			mustAppend(t, j, closed(b), closed(c))
			assert.EqualValues(t, 1, j.Stats().AppendErrors)
			requireEvents(t, drain(t, j), closed(b), closed(c))
			mustAppend(t, j, closed(a))
			crash(j)
			again := mustOpen(t, opts)
			requireEvents(t, drain(t, again), closed(b), closed(c), closed(a))
			assert.Zero(t, again.Stats().Damages)
			assert.Zero(t, again.Stats().Interrupted)
		})
	}
}

func TestASegmentThatCannotBeTruncatedIsGivenUpAtItsLastWholeFrame(t *testing.T) {
	opts := testOptions(t.TempDir())
	disk := &faultFS{}
	opts.FS = disk
	j := manual(t, opts)
	a, b := newID(), newID()
	mustAppend(t, j, closed(a))
	disk.set(func(op, _ string) (int, error) {
		switch op {
		case "write":
			return 60, errDisk
		case "truncate":
			return 0, errDisk
		}
		return 0, nil
	})
	require.ErrorIs(t, j.Append(closed(newID())), errDisk)
	disk.set(nil)
	mustAppend(t, j, closed(b))
	assert.Len(t, segmentFiles(t, opts.Dir), 2)
	requireEvents(t, drain(t, j), closed(a), closed(b))
	crash(j)
	requireEvents(t, drain(t, mustOpen(t, opts)), closed(a), closed(b))
}

func TestAfterAFailedSyncTheSegmentIsAbandonedAndItsFramesAreWrittenAgain(t *testing.T) {
	opts := testOptions(t.TempDir())
	disk := &faultFS{}
	opts.FS = disk
	var reported atomic.Int32
	opts.OnSyncError = func(error) { reported.Add(1) }
	j := manual(t, opts)
	s := j.shards[0]

	durable, stream := newID(), newID()
	mustAppend(t, j, opened(stream), closed(durable))
	require.NoError(t, s.syncPass())
	delivered, acked, unread, open, ended := newID(), newID(), newID(), newID(), newID()
	mustAppend(t, j, closed(delivered), closed(acked), opened(open), opened(ended), closed(ended))
	got := drain(t, j)
	requireEvents(t, got, closed(durable), closed(delivered), closed(acked), closed(ended))
	require.NoError(t, j.Ack(got[2:]))
	mustAppend(t, j, closed(unread))

	disk.set(once("sync", 0, errDisk))
	require.ErrorIs(t, s.syncPass(), errDisk)
	assert.EqualValues(t, 1, reported.Load())
	assert.EqualValues(t, 1, j.Stats().SyncErrors)
	assert.EqualValues(t, 3, j.Stats().Rescued, "one delivered, one unread, one open; not what was durable or acknowledged")
	files := segmentFiles(t, opts.Dir)
	require.Len(t, files, 2)
	require.NoError(t, s.syncPass())
	assert.Equal(t, 1, syncsOf(disk, files[0])-1, "the abandoned segment is not synced a second time")

	late := newID()
	mustAppend(t, j, closed(late), closed(open))
	requireEvents(t, drain(t, j), closed(unread), closed(late), closed(open))
	crash(j)

	// The disk lost what it said it could not write.
	require.NoError(t, os.Truncate(files[0], s.segments[0].synced))
	again := mustOpen(t, opts)
	events := drain(t, again)
	want := *opened(stream)
	want.Kind = accounting.Interrupted
	requireEvents(t, events, closed(durable), closed(delivered), closed(unread), closed(late), closed(open), &want)
}

func syncsOf(disk *faultFS, path string) int {
	disk.mu.Lock()
	defer disk.mu.Unlock()
	n := 0
	for _, op := range disk.ops {
		if op == "sync "+filepath.Base(path) {
			n++
		}
	}
	return n
}

func TestASealedSegmentThatCannotBeSyncedIsRescuedBehindYoungerOnes(t *testing.T) {
	opts := testOptions(t.TempDir())
	disk := &faultFS{}
	opts.FS = disk
	j := manual(t, opts)
	var want []*accounting.Event
	for range 40 { // several segments, none of them synced
		id := newID()
		mustAppend(t, j, opened(id), closed(id))
		want = append(want, closed(id))
	}
	require.Greater(t, len(segmentFiles(t, opts.Dir)), 3)
	got := drain(t, j)[:10]
	disk.set(once("sync", 0, errDisk))
	require.Error(t, j.shards[0].syncPass())
	require.NoError(t, j.shards[0].syncPass())
	assert.Empty(t, drain(t, j), "everything was delivered, and the copies are not delivered again")
	require.NoError(t, j.Ack(got))
	crash(j)
	seen := map[accounting.RequestID]bool{}
	for _, e := range drain(t, mustOpen(t, opts)) {
		require.Equal(t, accounting.Closed, e.Kind)
		seen[e.ID] = true
	}
	for _, e := range want[10:] {
		assert.True(t, seen[e.ID])
	}
}

func TestWaitingForTheDiskShortOfSyncsIsToldSo(t *testing.T) {
	opts := testOptions(t.TempDir())
	disk := &faultFS{}
	opts.FS, opts.Sync = disk, SyncWait
	j := mustOpen(t, opts)
	id := newID()
	mustAppend(t, j, opened(id))
	require.Positive(t, disk.count("sync"))
	disk.set(once("sync", 0, errDisk))
	mustAppend(t, j, identified(id)) // written again to a new segment, and synced there

	disk.set(func(op, path string) (int, error) {
		if op == "sync" {
			return 0, errDisk
		}
		return 0, nil
	})
	err := j.Append(closed(id))
	require.ErrorIs(t, err, ErrNotSynced)
	require.ErrorIs(t, err, errDisk)
	requireEvents(t, drain(t, j), closed(id))
	disk.set(nil)
	require.Eventually(t, func() bool { return j.Append(opened(newID())) == nil }, 5*time.Second, time.Millisecond)
}

func TestADirectoryThatCannotBeSyncedIsTriedAgain(t *testing.T) {
	opts := testOptions(t.TempDir())
	disk := &faultFS{}
	opts.FS = disk
	j := manual(t, opts)
	before := disk.count("syncdir")
	mustAppend(t, j, closed(newID()))
	disk.set(once("syncdir", 0, errDisk))
	require.ErrorIs(t, j.shards[0].syncPass(), errDisk)
	assert.Zero(t, j.shards[0].syncedLSN)
	require.NoError(t, j.shards[0].syncPass())
	assert.EqualValues(t, 1, j.shards[0].syncedLSN)
	require.NoError(t, j.shards[0].syncPass())
	assert.Equal(t, before+2, disk.count("syncdir"), "and not oftener than there are new files")
}

func TestAFailedSyncOfOneFileDoesNotForgetTheNamesOfOthers(t *testing.T) {
	opts := testOptions(t.TempDir())
	disk := &faultFS{}
	opts.FS = disk
	j := manual(t, opts)
	for len(j.shards[0].segments) < 2 {
		mustAppend(t, j, closed(newID()))
	}
	drainAndAck(t, j) // nothing has to be rescued, so no new file is made
	before, second := disk.count("syncdir"), filepath.Base(segmentFiles(t, opts.Dir)[1])
	disk.set(func(op, path string) (int, error) {
		if op == "sync" && filepath.Base(path) == second {
			return 0, errDisk
		}
		return 0, nil
	})
	require.Error(t, j.shards[0].syncPass())
	require.Equal(t, before, disk.count("syncdir"))
	require.NoError(t, j.shards[0].syncPass())
	assert.Equal(t, before+1, disk.count("syncdir"))
}

// fullDisk refuses to let anything grow until the reserve is removed.
func fullDisk(roomMade *bool) func(string, string) (int, error) {
	return func(op, path string) (int, error) {
		if op == "remove" && filepath.Base(path) == reserveFile {
			*roomMade = true
		}
		if (op == "write" || op == "create" || op == "allocate") && !*roomMade {
			return 0, &osError{syscall.ENOSPC}
		}
		if op == "allocate" {
			return 0, &osError{syscall.ENOSPC}
		}
		return 0, nil
	}
}

type osError struct{ error }

func (e *osError) Unwrap() error { return e.error }

func TestOnAFullDiskCallsInFlightFinishInTheReserveAndNewOnesAreRefused(t *testing.T) {
	opts := testOptions(t.TempDir())
	disk := &faultFS{}
	opts.FS = disk
	j := manual(t, opts)
	a, b := newID(), newID()
	mustAppend(t, j, opened(a), opened(b))
	require.True(t, j.Stats().Reserve)

	roomMade := false
	disk.set(fullDisk(&roomMade))
	require.ErrorIs(t, j.Append(opened(newID())), ErrFull)
	require.True(t, j.Stats().Reserve, "a new call does not get the reserve")
	mustAppend(t, j, identified(a), closed(a), closed(b))
	require.True(t, roomMade)
	assert.False(t, j.Stats().Reserve)
	require.ErrorIs(t, j.Append(opened(newID())), ErrFull, "there is room now, but not for new calls")
	require.NoError(t, j.tidyUp(time.Now(), true))
	require.ErrorIs(t, j.Append(opened(newID())), ErrFull, "the reserve could not be made again")

	disk.set(nil)
	require.NoError(t, j.tidyUp(time.Now(), true))
	assert.True(t, j.Stats().Reserve)
	mustAppend(t, j, opened(newID()))
	requireEvents(t, drain(t, j), closed(a), closed(b))
}

func TestAJournalStartsOnAFullDiskToShipWhatItHolds(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := mustOpen(t, opts)
	id := newID()
	mustAppend(t, j, opened(id), closed(id))
	crash(j)

	disk := &faultFS{}
	opts.FS = disk
	disk.set(func(op, _ string) (int, error) {
		if op == "allocate" || op == "create" {
			return 0, syscall.ENOSPC
		}
		return 0, nil
	})
	again := mustOpen(t, opts)
	require.ErrorIs(t, again.Append(opened(newID())), ErrFull)
	requireEvents(t, drainAndAck(t, again), closed(id))
}

func TestASegmentThatCannotBeBegunLeavesNoFileBehind(t *testing.T) {
	opts := testOptions(t.TempDir())
	disk := &faultFS{}
	opts.FS = disk
	j := manual(t, opts)
	disk.set(once("write", 10, errDisk))
	require.ErrorIs(t, j.Append(opened(newID())), errDisk)
	assert.Empty(t, segmentFiles(t, opts.Dir))
	disk.set(once("create", 0, errDisk))
	require.ErrorIs(t, j.Append(opened(newID())), errDisk)
	id := newID()
	mustAppend(t, j, closed(id))
	requireEvents(t, drain(t, j), closed(id))
}

func TestASegmentThatCannotBeRemovedStaysAndIsTriedAgain(t *testing.T) {
	opts := testOptions(t.TempDir())
	disk := &faultFS{}
	opts.FS = disk
	j := manual(t, opts)
	for range 50 {
		mustAppend(t, j, closed(newID()))
	}
	drainAndAck(t, j)
	require.NoError(t, j.shards[0].syncPass())
	disk.set(once("remove", 0, errDisk))
	require.ErrorIs(t, j.tidyUp(time.Now(), false), errDisk)
	settle(t, j)
	assert.Empty(t, segmentFiles(t, opts.Dir))
}

func TestDamageUnderTheFeetOfALivingJournalCostsOnlyTheDamagedFrame(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := manual(t, opts)
	a, b, c := newID(), newID(), newID()
	mustAppend(t, j, closed(a))
	at := j.shards[0].current.size + 30
	mustAppend(t, j, closed(b), closed(c))
	path := j.shards[0].current.path
	require.NoError(t, flipByte(path, at))
	requireEvents(t, drainAndAck(t, j), closed(a), closed(c))
	settle(t, j)
	assert.Empty(t, segmentFiles(t, opts.Dir))
	assert.Len(t, quarantined(t, opts.Dir), 1)
	assert.Zero(t, j.Stats().Depth)
}

func TestAnOpenCallWhoseFrameIsDamagedDoesNotKeepTheSegment(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := manual(t, opts)
	stream := newID()
	mustAppend(t, j, opened(stream))
	path := j.shards[0].current.path
	for range 50 {
		mustAppend(t, j, closed(newID()))
	}
	require.NoError(t, flipByte(path, headerSize+30))
	drainAndAck(t, j)
	settle(t, j)
	assert.Empty(t, segmentFiles(t, opts.Dir))
	assert.Len(t, quarantined(t, opts.Dir), 1)
	mustAppend(t, j, closed(stream))
	requireEvents(t, drain(t, j), closed(stream))
}

func TestASegmentThatCannotBeOpenedNowIsReadLater(t *testing.T) {
	opts := testOptions(t.TempDir())
	dead := mustOpen(t, opts)
	lost := newID()
	mustAppend(t, dead, opened(lost), closed(newID()))
	crash(dead)

	disk := &faultFS{}
	opts.FS = disk
	j := manual(t, opts)
	id := newID()
	mustAppend(t, j, closed(id))
	disk.set(func(op, _ string) (int, error) {
		if op == "open" {
			return 0, syscall.EMFILE
		}
		return 0, nil
	})
	require.Empty(t, drain(t, j))
	require.NoError(t, j.tidyUp(time.Now(), true))
	require.Equal(t, 1, j.Stats().AdoptedInstances)
	disk.set(nil)
	events, err := j.Next(t.Context(), 10)
	require.NoError(t, err)
	assert.Len(t, events, 3)
	assert.Zero(t, j.Stats().Damages)
}
