package settle

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// shipping is a shipper over fakes.
type shipping struct {
	t       *testing.T
	journal *fakeJournal
	ledger  *fakeLedger
	reg     *prometheus.Registry
	log     *logBook
	*Recorder
	*Shipper

	mu      sync.Mutex
	posted  []accounting.Posting
	pending int
}

// newShipping makes one; change may be nil.
func newShipping(t *testing.T, change func(*ShipperOptions)) *shipping {
	s := &shipping{t: t, journal: newFakeJournal(), ledger: newFakeLedger(), reg: prometheus.NewRegistry(), log: new(logBook)}
	var err error
	s.Recorder, err = NewRecorder(RecorderOptions{Journal: s.journal, Overflow: 5, Registerer: s.reg, Logger: s.log.logger()})
	require.NoError(t, err)
	o := ShipperOptions{
		Journal: s.journal, Recorder: s.Recorder, Ledger: s.ledger, BatchSize: 10, Registerer: s.reg, Logger: s.log.logger(),
		Posted: func(p []accounting.Posting) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.posted = append(s.posted, p...)
		},
		Pending: func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.pending++
		},
	}
	if change != nil {
		change(&o)
	}
	s.Shipper, err = NewShipper(o)
	require.NoError(t, err)
	return s
}

// start runs the shipper; stop ends it and waits.
func (s *shipping) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		assert.NoError(s.t, <-done)
	}
}

func (s *shipping) record(events ...*accounting.Event) {
	for _, e := range events {
		require.NoError(s.t, s.Record(e))
	}
}

func (s *shipping) metric(name string, labels ...string) float64 {
	return metric(s.t, s.reg, name, labels...)
}

func bubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

func TestASingleCallIsInPostgresWithinAFractionOfASecond(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		pass(time.Minute) // idle for long
		e := closed("0.0004970133333333333")
		began := time.Now()
		s.record(e)
		pass(time.Second)
		require.Contains(t, s.ledger.recorded(), e.ID)
		assert.LessOrEqual(t, s.ledger.at[e.ID].Sub(began), 150*time.Millisecond)
		assert.Equal(t, 1, s.journal.acks()[e.ID])
		assert.Equal(t, "0.0004970133333333333", s.posted[0].Amount.String())
		assert.Zero(t, s.metric("bursar_shipper_lag_seconds"))
		assert.Equal(t, 1.0, s.metric("bursar_shipper_rows_total", "change", "inserted"))
	})
}

func TestManyCallsGoInFewTransactionsOfBoundedSize(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		for range 40 { // four a millisecond: 10 would be full before the flush interval
			s.record(closed("0.1"))
			pass(250 * time.Microsecond)
		}
		pass(time.Second)
		assert.Len(t, s.ledger.recorded(), 40)
		assert.LessOrEqual(t, len(s.ledger.batches), 6)
		for _, b := range s.ledger.batches {
			assert.LessOrEqual(t, len(b), 10)
		}
		assert.Less(t, s.journal.nextCalls, 60, "the journal is not read event by event")
	})
}

func TestWithPostgresAwayTheShipperBacksOffLogsOnceAndLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		s.ledger.set(func() { s.ledger.err = errors.New("connection refused") })
		for range 25 {
			s.record(closed("0.1"))
		}
		pass(10 * time.Minute)
		assert.Empty(t, s.ledger.recorded())
		assert.Empty(t, s.journal.acks())
		// 100 ms doubling to 10 s makes about 66 tries in ten minutes.
		assert.Greater(t, len(s.ledger.tries), 50)
		assert.Less(t, len(s.ledger.tries), 90)
		first := s.ledger.tries[1].Sub(s.ledger.tries[0])
		assert.InDelta(t, 100, first.Milliseconds(), 21)
		assert.Equal(t, 1, s.log.lines("trouble with shipping to Postgres"))
		assert.Greater(t, s.metric("bursar_shipper_lag_seconds"), 590.0)

		s.ledger.set(func() { s.ledger.err = nil })
		pass(20 * time.Second)
		assert.Len(t, s.ledger.recorded(), 25)
		assert.Len(t, s.journal.acks(), 25)
		assert.Equal(t, 1, s.log.lines("no more trouble with shipping to Postgres"))
		assert.Zero(t, s.metric("bursar_shipper_lag_seconds"))
	})
}

func TestABatchWhoseCommitWasNotHeardOfIsShippedAgainAndCountsOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		s.ledger.set(func() { s.ledger.after = errors.New("connection reset") })
		s.record(closed("0.1"))
		pass(time.Second)
		s.ledger.set(func() { s.ledger.after = nil })
		pass(time.Minute)
		assert.Len(t, s.ledger.recorded(), 1)
		assert.Len(t, s.journal.acks(), 1)
		assert.Equal(t, 1.0, s.metric("bursar_shipper_rows_total", "change", "replayed"))
		assert.Empty(t, s.posted, "the posting belongs to the answer that was lost")
	})
}

func TestATransactionThatHangsIsCutAndTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		s.ledger.takes = time.Hour
		s.record(closed("0.1"))
		pass(100 * time.Second)
		s.ledger.set(func() {
			assert.Greater(t, len(s.ledger.tries), 2)
			s.ledger.takes = 0
		})
		pass(time.Minute)
		assert.Len(t, s.ledger.recorded(), 1)
	})
}

func TestBadEventsAreSetAsideAndTheOthersShipped(t *testing.T) {
	for _, bad := range [][]int{{0}, {9}, {3, 4}, {0, 5, 9}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}} {
		t.Run(fmt.Sprint(bad), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newShipping(t, nil)
				defer s.start()()
				var events []*accounting.Event
				for range 10 {
					events = append(events, closed("0.1"))
				}
				for _, i := range bad {
					s.ledger.poison[events[i].ID] = true
				}
				s.record(events...)
				pass(time.Minute)
				assert.Len(t, s.ledger.recorded(), 10-len(bad))
				for _, e := range events {
					wanted := 1
					if s.ledger.poison[e.ID] {
						wanted = 0 // the journal keeps it for the next start
						assert.Equal(t, 1, s.log.lines(e.ID.String()))
					}
					assert.Equal(t, wanted, s.journal.acks()[e.ID])
				}
				assert.Equal(t, float64(len(bad)), s.metric("bursar_events_rejected_total"))
				assert.Zero(t, s.metric("bursar_shipper_batches_total", "outcome", "failed"))

				next := closed("0.2")
				s.record(next)
				pass(time.Second)
				assert.Contains(t, s.ledger.recorded(), next.ID, "shipping goes on")
				assert.Len(t, s.journal.reopen().events, len(bad), "delivered again after a restart")
			})
		})
	}
}

func TestARejectInSafeKeepingIsAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		rejects, err := NewRejects(filepath.Join(t.TempDir(), "rejects.jsonl"))
		require.NoError(t, err)
		kept := 0
		s := newShipping(t, func(o *ShipperOptions) {
			o.Reject = func(e accounting.Event, cause error) error {
				kept++
				return rejects.Add(e, cause)
			}
		})
		defer s.start()()
		e := closed("0.1")
		s.ledger.poison[e.ID] = true
		s.record(e)
		pass(time.Second)
		assert.Equal(t, 1, kept)
		assert.Equal(t, 1, s.journal.acks()[e.ID])
	})
}

func TestThePendingHookIsCalledOnlyForCallsWithoutACost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		s.record(closed("0.1"))
		pass(time.Second)
		assert.Zero(t, s.pending)
		e := closed("")
		e.GenerationID = "gen-1"
		s.record(e)
		pass(time.Second)
		assert.Equal(t, 1, s.pending)
	})
}

func TestFlushShipsWhatRunLeftAndWhatIsReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		stop := s.start()
		s.ledger.set(func() { s.ledger.err = errors.New("connection refused") })
		for range 35 {
			s.record(closed("0.1"))
		}
		s.journal.set(func() { s.journal.appendErr = errors.New("disk full") })
		s.record(closed("0.1"), closed("0.1"))
		s.journal.set(func() { s.journal.appendErr = nil })
		pass(time.Minute)
		stop()
		assert.Empty(t, s.ledger.recorded())

		s.ledger.set(func() { s.ledger.err = nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, s.Flush(ctx))
		assert.Len(t, s.ledger.recorded(), 37)
		assert.Len(t, s.journal.acks(), 37)
	})
}

func TestFlushSaysWhatItCouldNotShipAndTheJournalStillHasIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		s.ledger.err = errors.New("connection refused")
		s.record(closed("0.1"), closed("0.1"))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := s.Flush(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "2 events not shipped")
		assert.Len(t, s.journal.reopen().events, 2)
	})
}

func TestFlushWaitsForTheRunningShipperAsLongAsItMay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		pass(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, s.Flush(ctx), context.DeadlineExceeded)
	})
}

func TestAJournalThatCannotBeReadDoesNotKeepTheOverflowFromPostgres(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		s.journal.set(func() { s.journal.nextErr = errors.New("input/output error"); s.journal.signal() })
		s.journal.set(func() { s.journal.appendErr = errors.New("input/output error") })
		pass(time.Minute)
		e := closed("0.1")
		s.record(e)
		pass(2 * time.Second)
		assert.Contains(t, s.ledger.recorded(), e.ID)
		assert.Equal(t, 1, s.log.lines("trouble with reading the journal"))
	})
}

func TestAcknowledgementsThatFailAreMadeUpFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		s.journal.set(func() { s.journal.ackErr = errors.New("input/output error") })
		first := closed("0.1")
		s.record(first)
		pass(time.Second)
		s.journal.set(func() { s.journal.ackErr = nil })
		second := closed("0.1")
		s.record(second)
		pass(time.Second)
		assert.Equal(t, map[accounting.RequestID]int{first.ID: 1, second.ID: 1}, s.journal.acks())
		assert.Equal(t, 1, s.log.lines("no more trouble with acknowledging"))
	})
}

func TestAShipperThatIsKilledAnywhereShipsEveryCallOnceOverAll(t *testing.T) {
	for cut := range 12 {
		bubble(t, func(t *testing.T) {
			s := newShipping(t, nil)
			s.ledger.takes = 20 * time.Millisecond
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(cut)*17*time.Millisecond)
			defer cancel()
			for range 30 {
				s.record(closed("0.1"))
			}
			require.NoError(t, s.Run(ctx))
			// No Flush: the process died. Another one takes the journal over.
			again, err := NewShipper(ShipperOptions{Journal: s.journal.reopen(), Ledger: s.ledger, BatchSize: 7, Posted: func(p []accounting.Posting) {
				s.posted = append(s.posted, p...)
			}})
			require.NoError(t, err)
			require.NoError(t, again.Flush(t.Context()))
			assert.Len(t, s.ledger.recorded(), 30)
			assert.LessOrEqual(t, len(s.posted), 30)
		})
	}
}

func TestOptionsOfAShipperAreChecked(t *testing.T) {
	_, err := NewShipper(ShipperOptions{})
	assert.Error(t, err)
	_, err = NewShipper(ShipperOptions{Journal: newFakeJournal(), Ledger: newFakeLedger(), BatchSize: -1})
	assert.Error(t, err)
}

// sqlError is an error as pgx's: it knows its SQLSTATE.
type sqlError string

func (e sqlError) Error() string    { return "ERROR (SQLSTATE " + string(e) + ")" }
func (e sqlError) SQLState() string { return string(e) }

func TestOnlyErrorsOfTheDataArePermanent(t *testing.T) {
	for err, want := range map[error]bool{
		poisonError{}:                    true,
		sqlError("22003"):                true,
		sqlError("23514"):                true,
		sqlError("40001"):                false,
		sqlError("57P01"):                false,
		sqlError("42P01"):                false,
		errors.New("connection refused"): false,
		context.DeadlineExceeded:         false,
	} {
		assert.Equal(t, want, isPermanent(fmt.Errorf("ship 3 events: %w", err)), err.Error())
	}
}
