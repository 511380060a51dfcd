package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestClosedAndPolledAreDeliveredInTheOrderOfTheirAppends(t *testing.T) {
	j := mustOpen(t, testOptions(t.TempDir()))
	a, b, poll := newID(), newID(), newID()
	polled := &accounting.Event{Kind: accounting.Polled, ID: poll, JobID: "job-1", HTTPStatus: 200}
	mustAppend(t, j, opened(a), opened(b), identified(a), closed(b), polled, closed(a))
	requireEvents(t, drain(t, j), closed(b), polled, closed(a))
	assert.Empty(t, drain(t, j), "what was delivered is not delivered again")
	assert.Equal(t, 3, j.Stats().Depth)
}

func TestNextWaitsForAnEventOrForTheContext(t *testing.T) {
	j := mustOpen(t, testOptions(t.TempDir()))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := j.Next(ctx, 10)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	id := newID()
	go func() {
		time.Sleep(5 * time.Millisecond)
		_ = j.Append(opened(id))
		_ = j.Append(closed(id))
	}()
	events, err := j.Next(t.Context(), 10)
	require.NoError(t, err)
	requireEvents(t, events, closed(id))
}

func TestNextReturnsNoMoreThanItWasAskedFor(t *testing.T) {
	opts := testOptions(t.TempDir())
	opts.Shards = 3
	j := mustOpen(t, opts)
	want := map[accounting.RequestID]bool{}
	for i := range 50 {
		id := idOfShard(i%3, 3)
		want[id] = true
		mustAppend(t, j, closed(id))
	}
	for len(want) > 0 {
		events, err := j.Next(t.Context(), 4)
		require.NoError(t, err)
		require.LessOrEqual(t, len(events), 4)
		for _, id := range ids(events) {
			require.True(t, want[id], "delivered twice or never appended: %s", id)
			delete(want, id)
		}
	}
}

func TestUnacknowledgedEventsComeAgainAfterARestart(t *testing.T) {
	for name, end := range map[string]func(*Journal){
		"closed": func(j *Journal) { _ = j.Close() },
		"killed": crash,
	} {
		t.Run(name, func(t *testing.T) {
			opts := testOptions(t.TempDir())
			j := mustOpen(t, opts)
			a, b := newID(), newID()
			mustAppend(t, j, opened(a), closed(a), opened(b), closed(b))
			require.Len(t, drain(t, j), 2)
			end(j)

			again := mustOpen(t, opts)
			requireEvents(t, drainAndAck(t, again), closed(a), closed(b))
			settle(t, again)
			requireInstances(t, opts.Dir, again.Instance())
			assert.Zero(t, again.Stats().Bytes)
		})
	}
}

func TestACallThatNeverClosedComesBackInterruptedWithAllThatWasKnown(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := mustOpen(t, opts)
	known, bare, lone := newID(), newID(), newID()
	mustAppend(t, j, opened(known), opened(bare), identified(known), identified(lone))
	crash(j)

	again := mustOpen(t, opts)
	got := map[accounting.RequestID]accounting.Event{}
	for _, e := range drain(t, again) {
		assert.Equal(t, accounting.Interrupted, e.Kind)
		got[e.ID] = e
	}
	want := *opened(known)
	want.Kind, want.GenerationID, want.Model = accounting.Interrupted, "gen-"+known.String(), "openai/gpt-4o-2024"
	requireEvents(t, []accounting.Event{got[known]}, &want)
	assert.Equal(t, accounting.StatusInterrupted, ptr(got[bare]).Status())
	assert.Equal(t, "gen-"+lone.String(), got[lone].GenerationID, "an Opened that went elsewhere leaves its Identified")
	assert.EqualValues(t, 3, again.Stats().Interrupted)
}

func TestTheDecisionIsWrittenOnceBeforeACallCloses(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := mustOpen(t, opts)
	decision := &accounting.BudgetDecision{Verdict: accounting.VerdictWarned, Detail: strings.Repeat("d", 500)}
	told, untold := newID(), newID()
	open, first, alone := opened(told), identified(told), identified(untold)
	open.Decision, first.Decision, alone.Decision = decision, decision, decision
	mustAppend(t, j, open)
	before := j.Stats().Bytes
	mustAppend(t, j, first)
	assert.Less(t, j.Stats().Bytes-before, int64(500), "its Opened has told it")
	assert.Same(t, decision, first.Decision, "the caller's event is left as it was")
	mustAppend(t, j, alone)
	crash(j)

	for _, e := range drain(t, mustOpen(t, opts)) {
		assert.Equal(t, "gen-"+e.ID.String(), e.GenerationID)
		require.NotNil(t, e.Decision, "whichever frame it stands in")
		assert.Equal(t, *decision, *e.Decision)
	}
}

func ptr[T any](v T) *T { return &v }

func TestInterruptedIsDeliveredUntilItIsAcknowledged(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := mustOpen(t, opts)
	id := newID()
	mustAppend(t, j, opened(id))
	crash(j)
	for range 3 {
		j = mustOpen(t, opts)
		require.Equal(t, []accounting.RequestID{id}, ids(drain(t, j)))
		settle(t, j)
		crash(j)
	}
	j = mustOpen(t, opts)
	require.Len(t, drainAndAck(t, j), 1)
	settle(t, j)
	crash(j)
	assert.Empty(t, drain(t, mustOpen(t, opts)))
}

func TestAcknowledgedSegmentsAreRemoved(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := mustOpen(t, opts)
	for range 200 {
		id := newID()
		mustAppend(t, j, opened(id), identified(id), closed(id))
	}
	full := len(segmentFiles(t, opts.Dir))
	require.Greater(t, full, 20)
	events := drain(t, j)
	require.NoError(t, j.Ack(events[:100]))
	settle(t, j)
	assert.InDelta(t, full/2, len(segmentFiles(t, opts.Dir)), 3)
	require.NoError(t, j.Ack(events[100:]))
	require.NoError(t, j.Ack(events[100:]), "acknowledging twice does no harm")
	settle(t, j)
	assert.Empty(t, segmentFiles(t, opts.Dir), "an idle journal is empty")
	assert.Zero(t, j.Stats().Bytes)
	assert.Zero(t, j.Stats().Segments)

	id := newID()
	mustAppend(t, j, opened(id), closed(id))
	requireEvents(t, drain(t, j), closed(id))
}

func TestSegmentsGoFromTheFrontOnly(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := mustOpen(t, opts)
	j.carryAfter = 24 * time.Hour
	old := newID()
	mustAppend(t, j, opened(old))
	for range 100 {
		id := newID()
		mustAppend(t, j, opened(id), closed(id))
	}
	before := segmentFiles(t, opts.Dir)
	drainAndAck(t, j)
	settle(t, j)
	assert.Subset(t, segmentFiles(t, opts.Dir), before, "an open call keeps its segment and all behind it")
	mustAppend(t, j, closed(old))
	drainAndAck(t, j)
	settle(t, j)
	assert.Empty(t, segmentFiles(t, opts.Dir))
}

func TestALongStreamIsCarriedForwardAndDoesNotKeepOldSegments(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := mustOpen(t, opts)
	stream := newID()
	mustAppend(t, j, opened(stream), identified(stream))
	for range 10 {
		for range 50 {
			id := newID()
			mustAppend(t, j, opened(id), closed(id))
		}
		drainAndAck(t, j)
		settle(t, j)
		assert.LessOrEqual(t, len(segmentFiles(t, opts.Dir)), 2)
	}
	assert.Positive(t, j.Stats().Carried)
	assert.Equal(t, 1, j.Stats().Open)
	crash(j)

	again := mustOpen(t, opts)
	events := drain(t, again)
	events = events[len(events)-1:]
	want := *opened(stream)
	want.Kind, want.GenerationID, want.Model = accounting.Interrupted, "gen-"+stream.String(), "openai/gpt-4o-2024"
	requireEvents(t, events, &want)
}

func TestCallsAreNotCarriedWhileThatWouldCostMoreThanItFrees(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := mustOpen(t, opts)
	for range 100 {
		mustAppend(t, j, opened(newID()))
	}
	settle(t, j)
	assert.Zero(t, j.Stats().Carried)
	assert.Equal(t, 100, j.Stats().Open)
}

func TestACarriedCallThatClosesLeavesNothingOpen(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := mustOpen(t, opts)
	stream := newID()
	mustAppend(t, j, opened(stream))
	for range 100 {
		mustAppend(t, j, closed(newID()))
	}
	drainAndAck(t, j)
	settle(t, j)
	require.EqualValues(t, 1, j.Stats().Carried)
	mustAppend(t, j, closed(stream))
	requireEvents(t, drainAndAck(t, j), closed(stream))
	settle(t, j)
	assert.Empty(t, segmentFiles(t, opts.Dir))
	assert.Zero(t, j.Stats().Open)
}

func TestCloseRemovesTheDirectoryOnlyWhenNothingIsLeft(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := mustOpen(t, opts)
	id := newID()
	mustAppend(t, j, opened(id), closed(id))
	drainAndAck(t, j)
	require.NoError(t, j.Close())
	assert.Empty(t, instances(t, opts.Dir))

	j = mustOpen(t, opts)
	mustAppend(t, j, opened(id))
	require.NoError(t, j.Close())
	require.NoError(t, j.Close(), "closing twice does no harm")
	requireInstances(t, opts.Dir, j.Instance())
	_, err := os.Stat(filepath.Join(opts.Dir, j.Instance(), reserveFile))
	assert.ErrorIs(t, err, os.ErrNotExist, "the dead need no reserve")
}

func TestAClosedJournalSaysSo(t *testing.T) {
	j := mustOpen(t, testOptions(t.TempDir()))
	waiting := make(chan error)
	go func() {
		_, err := j.Next(context.Background(), 1)
		waiting <- err
	}()
	require.NoError(t, j.Close())
	assert.ErrorIs(t, <-waiting, ErrClosed)
	assert.ErrorIs(t, j.Append(opened(newID())), ErrClosed)
	assert.ErrorIs(t, j.Ack(nil), ErrClosed)
	_, err := j.Adopt()
	assert.ErrorIs(t, err, ErrClosed)
}

func TestAFullJournalRefusesNewCallsAndFinishesThoseInFlight(t *testing.T) {
	opts := testOptions(t.TempDir())
	opts.MaxBytes = 8 << 10
	j := mustOpen(t, opts)
	inFlight := newID()
	mustAppend(t, j, opened(inFlight))
	var err error
	for err == nil {
		id := newID()
		if err = j.Append(opened(id)); err == nil {
			mustAppend(t, j, closed(id))
		}
	}
	require.ErrorIs(t, err, ErrFull)
	mustAppend(t, j, identified(inFlight), closed(inFlight))
	assert.True(t, j.Stats().Full)

	drainAndAck(t, j)
	settle(t, j)
	assert.False(t, j.Stats().Full)
	mustAppend(t, j, opened(newID()))
}

func TestKindsThatTheJournalMakesItselfAreNotAppended(t *testing.T) {
	j := mustOpen(t, testOptions(t.TempDir()))
	for _, kind := range []accounting.Kind{0, accounting.Interrupted, 7} {
		assert.Error(t, j.Append(&accounting.Event{Kind: kind, ID: newID()}))
	}
	assert.EqualValues(t, 3, j.Stats().AppendErrors)
}

func TestAnEventTooLargeForAFrameIsRefused(t *testing.T) {
	j := mustOpen(t, testOptions(t.TempDir()))
	large := closed(newID())
	large.RequestedModel = string(make([]byte, maxPayload))
	require.ErrorIs(t, j.Append(large), ErrTooLarge)
	large.RequestedModel = string(make([]byte, maxPayload-1000))
	mustAppend(t, j, large)
	requireEvents(t, drain(t, j), large)
}

func TestEveryBadOptionIsNamed(t *testing.T) {
	_, err := Open(Options{
		Instance: "../up", SegmentBytes: 1, MaxBytes: -1, ReserveBytes: -1,
		Sync: "sometimes", SyncInterval: -1, Shards: 1000,
	})
	for _, name := range []string{"Dir", "Instance", "SegmentBytes", "MaxBytes", "ReserveBytes", "Sync ", "SyncInterval", "Shards"} {
		assert.ErrorContains(t, err, "journal option "+name)
	}
}

func TestManyWritersAndOneReaderLoseNothing(t *testing.T) {
	for _, mode := range []SyncMode{SyncBackground, SyncWait} {
		t.Run(string(mode), func(t *testing.T) {
			opts := testOptions(t.TempDir())
			opts.Shards, opts.Sync = 4, mode
			j := mustOpen(t, opts)
			const writers, calls = 8, 100
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for range calls {
						id := newID()
						for _, e := range []*accounting.Event{opened(id), identified(id), closed(id)} {
							if err := j.Append(e); err != nil {
								t.Error(err)
							}
						}
					}
				})
			}
			seen := map[accounting.RequestID]bool{}
			for len(seen) < writers*calls {
				events, err := j.Next(t.Context(), 64)
				require.NoError(t, err)
				for _, id := range ids(events) {
					require.False(t, seen[id], "delivered twice")
					seen[id] = true
				}
				require.NoError(t, j.Ack(events))
			}
			wg.Wait()
			require.NoError(t, j.Close())
			assert.Empty(t, instances(t, opts.Dir))
		})
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	opts := testOptions(t.TempDir())
	opts.SegmentBytes, opts.SyncInterval = 64<<20, time.Hour
	j := mustOpen(t, opts)
	id := newID()
	events := []*accounting.Event{opened(id), identified(id), closed(id)}
	var failed error
	allocs := testing.AllocsPerRun(200, func() {
		for _, e := range events {
			failed = errors.Join(failed, j.Append(e))
		}
	})
	require.NoError(t, failed)
	if !raceEnabled {
		assert.Zero(t, allocs)
	}
}
