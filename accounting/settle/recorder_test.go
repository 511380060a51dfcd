package settle

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

var errDisk = errors.New("no space left on device")

func TestOnlyTheTroubleOfAnOpenedEventIsTheCallers(t *testing.T) {
	j, log, reg := newFakeJournal(), new(logBook), prometheus.NewRegistry()
	r, err := NewRecorder(RecorderOptions{Journal: j, Overflow: 2, Registerer: reg, Logger: log.logger()})
	require.NoError(t, err)
	j.appendErr = errDisk

	opened := closed("")
	opened.Kind = accounting.Opened
	err = r.Record(opened)
	require.ErrorIs(t, err, errDisk)
	assert.ErrorContains(t, err, opened.ID.String())
	assert.Zero(t, metric(t, reg, "bursar_journal_overflow_events"), "a call that is not sent needs no row")

	for range 2 {
		require.NoError(t, r.Record(closed("0.1")))
	}
	assert.Equal(t, 2.0, metric(t, reg, "bursar_journal_overflow_events"))
	assert.Zero(t, metric(t, reg, "bursar_events_lost_total"))
	for range 3 {
		require.NoError(t, r.Record(closed("0.1")))
	}
	assert.Equal(t, 3.0, metric(t, reg, "bursar_events_lost_total"))
	assert.Equal(t, 6.0, metric(t, reg, "bursar_journal_append_errors_total"))
	assert.Equal(t, 1, log.lines("sent unaccounted"))
	assert.Equal(t, 1, log.lines("their events are lost"))
}

func TestACallTheJournalDoesNotOpenWaitsForItsRowInPostgres(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j, ledger, log := newFakeJournal(), newFakeLedger(), new(logBook)
		r, err := NewRecorder(RecorderOptions{Journal: j, Ledger: ledger, Registerer: prometheus.NewRegistry(), Logger: log.logger()})
		require.NoError(t, err)
		j.appendErr = errDisk
		opened := closed("")
		opened.Kind = accounting.Opened
		ledger.takes = 100 * time.Millisecond
		began := time.Now()
		require.NoError(t, r.Record(opened))
		assert.Equal(t, 100*time.Millisecond, time.Since(began), "it waits for the commit")
		assert.Equal(t, accounting.Interrupted, ledger.recorded()[opened.ID].Kind, "what a crash right now would leave")

		ledger.err = errors.New("no route to host")
		opened.ID = newID()
		err = r.Record(opened)
		require.ErrorIs(t, err, errDisk)
		assert.ErrorContains(t, err, "no route to host")
	})
}

func TestAnEventTheJournalDoesNotTakeReachesPostgresFromMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		pass(time.Minute)
		s.journal.set(func() { s.journal.appendErr = errDisk })
		e := closed("0.0000000000000000123")
		e.Tags.Metadata = map[string]string{"step": "1"}
		s.record(e)
		e.Tags.Metadata["step"] = "2" // the caller goes on using its event
		e.Tags.CampaignID = "another"
		pass(time.Second)
		row := s.ledger.recorded()[e.ID]
		assert.Equal(t, "0.0000000000000000123", row.Usage.Cost.Value.String())
		assert.Equal(t, "1", row.Tags.Metadata["step"])
		assert.Equal(t, "q4", row.Tags.CampaignID)
		assert.Zero(t, s.metric("bursar_journal_overflow_events"))
	})
}

func TestAnIdentifiedEventInMemoryBecomesARowThatClosedCompletes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		s.journal.set(func() { s.journal.appendErr = errDisk })
		e := closed("0.1")
		identified := *e
		identified.Kind, identified.GenerationID = accounting.Identified, "gen-1"
		identified.Usage = accounting.Usage{}
		s.record(&identified)
		pass(time.Second)
		row := s.ledger.recorded()[e.ID]
		assert.Equal(t, accounting.Interrupted, row.Kind, "should the process die now")
		assert.Equal(t, accounting.StatusPending, row.Status())
		s.record(e)
		pass(time.Second)
		assert.Equal(t, accounting.Closed, s.ledger.recorded()[e.ID].Kind)
		assert.Zero(t, s.metric("bursar_events_rejected_total"))
	})
}

func TestACallIsNotTwiceInOneTransaction(t *testing.T) {
	for name, mended := range map[string]bool{"both in memory": false, "closed in the journal": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newShipping(t, nil)
				s.journal.set(func() { s.journal.appendErr = errDisk })
				e := closed("0.1")
				identified := *e
				identified.Kind, identified.GenerationID = accounting.Identified, "gen-1"
				s.record(&identified)
				if mended {
					s.journal.set(func() { s.journal.appendErr = nil })
				}
				s.record(e)
				require.NoError(t, s.Flush(t.Context()))
				assert.Equal(t, accounting.Closed, s.ledger.recorded()[e.ID].Kind)
				assert.Len(t, s.ledger.batches, 1)
				assert.Len(t, s.ledger.batches[0], 1)
			})
		})
	}
}

func TestTheOverflowKeepsItsOrderAndItsBound(t *testing.T) {
	o := newOverflow(3)
	first, second, third := closed("1"), closed("2"), closed("3")
	early := *second
	early.Kind = accounting.Interrupted
	require.True(t, o.push(*first))
	require.True(t, o.push(early))
	require.Len(t, o.take(1), 1)
	require.True(t, o.push(*second), "takes the place of its early row")
	require.True(t, o.push(*third))
	require.True(t, o.push(*closed("4")))
	assert.False(t, o.push(*closed("5")))
	taken := o.take(10)
	require.Len(t, taken, 3)
	assert.Equal(t, second.ID, taken[0].ID)
	assert.Equal(t, accounting.Closed, taken[0].Kind)
	assert.Equal(t, third.ID, taken[1].ID)
	assert.Empty(t, o.early)
	assert.Zero(t, o.depth())
}

func TestOptionsOfARecorderAreChecked(t *testing.T) {
	_, err := NewRecorder(RecorderOptions{})
	assert.Error(t, err)
	_, err = NewRecorder(RecorderOptions{Journal: newFakeJournal(), Overflow: -1})
	assert.Error(t, err)
}
