package settle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestAPollThatOvertookItsJobIsRecordedOnceTheJobIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		poll := polled("job-1", "0.5")
		s.record(poll)
		pass(20 * time.Second)
		assert.Empty(t, s.journal.acks(), "not acknowledged while it waits")
		job := closed("")
		job.JobID = "job-1"
		s.record(job)
		pass(10 * time.Second)
		assert.True(t, s.ledger.polls[poll.ID])
		assert.Equal(t, map[accounting.RequestID]int{poll.ID: 1, job.ID: 1}, s.journal.acks())
		pass(5 * time.Minute)
		assert.Zero(t, s.metric("bursar_orphan_polls_total"))
		assert.Equal(t, map[accounting.RequestID]int{poll.ID: 1, job.ID: 1}, s.journal.acks())
	})
}

func TestAPollOfAnUnknownJobIsGivenUpAfterAMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		poll := polled("elsewhere", "0.5")
		s.record(poll)
		pass(50 * time.Second)
		assert.Empty(t, s.journal.acks())
		pass(20 * time.Second)
		assert.Equal(t, map[accounting.RequestID]int{poll.ID: 1}, s.journal.acks())
		assert.Equal(t, 1.0, s.metric("bursar_orphan_polls_total"))
		tries := len(s.ledger.tries)
		assert.LessOrEqual(t, tries, 14)
		pass(time.Hour)
		assert.Len(t, s.ledger.tries, tries, "it is not offered any more")
	})
}

func TestPollsOfUnknownJobsAreBoundedInNumber(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		var polls []*accounting.Event
		for range 35 {
			polls = append(polls, polled("elsewhere", "0.5"))
		}
		s.record(polls...)
		pass(2 * time.Second)
		assert.Len(t, s.journal.acks(), 25, "only a batch's worth is kept")
		assert.NotContains(t, s.journal.acks(), polls[34].ID, "and the youngest of them")
		s.record(closed("0.1"))
		pass(2 * time.Minute)
		for id, n := range s.journal.acks() {
			assert.Equal(t, 1, n, id)
		}
		assert.Len(t, s.journal.acks(), 36)
		assert.Equal(t, 35.0, s.metric("bursar_orphan_polls_total"))
	})
}

func TestAnOrphanThatIsRejectedIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		poll := polled("elsewhere", "0.5")
		s.record(poll)
		pass(2 * time.Second)
		s.ledger.set(func() { s.ledger.poison[poll.ID] = true })
		pass(time.Hour)
		assert.Equal(t, 1.0, s.metric("bursar_events_rejected_total"))
		assert.Less(t, len(s.ledger.tries), 4)
		assert.Empty(t, s.orphans.kept)
	})
}

func TestFlushEndsThoughAnOrphanWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		stop := s.start()
		poll := polled("elsewhere", "0.5")
		s.record(poll)
		pass(time.Second)
		stop()
		began := time.Now()
		require.NoError(t, s.Flush(t.Context()))
		assert.Less(t, time.Since(began), 2*time.Second)
		assert.Empty(t, s.journal.acks(), "it is offered again after the restart")
	})
}

func TestFlushGivesOrphansALastChance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		stop := s.start()
		poll := polled("job-1", "0.5")
		s.record(poll)
		pass(500 * time.Millisecond)
		job := closed("")
		job.JobID = "job-1"
		s.record(job)
		stop() // well before the next offer
		require.NoError(t, s.Flush(t.Context()))
		assert.True(t, s.ledger.polls[poll.ID])
		assert.Equal(t, map[accounting.RequestID]int{poll.ID: 1, job.ID: 1}, s.journal.acks())
	})
}
