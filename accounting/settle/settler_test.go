package settle

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestAMissingCostIsSettledToTheLastDigitWithTheKeyThatMadeTheCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, record("0.0004970133333333333"), nil)
		defer s.start()()
		pass(500 * time.Millisecond)
		row := s.add("gen-1", "", time.Minute)
		s.Wake()
		pass(time.Millisecond)
		assert.Equal(t, accounting.StatusSettled, row.Status, "a wake is answered at once")
		assert.Equal(t, "0.0004970133333333333", row.Cost.Value.String())
		assert.Equal(t, "sk-a", s.withKey["gen-1"])
		require.Len(t, s.posted, 1)
		assert.Equal(t, "0.0004970133333333333", s.posted[0].Amount.String())
		assert.Equal(t, 1.0, s.attempts(outcomeSettled))
		assert.Equal(t, 1.0, metric(t, s.reg, "bursar_settler_lookup_duration_seconds"))
	})
}

func TestAGenerationThatIsPublishedLateIsAskedForWithDoublingPauses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, after(6, status(404, 0), record("0.5")), nil)
		defer s.start()()
		row := s.add("gen-1", "", 0)
		pass(5 * time.Minute)
		require.True(t, row.verified)
		asked := s.asked["gen-1"]
		require.Len(t, asked, 7)
		for i := range 6 {
			pause, want := asked[i+1].Sub(asked[i]), time.Second<<i
			assert.GreaterOrEqual(t, pause, want*8/10, "pause %d", i)
			assert.LessOrEqual(t, pause, want*12/10+time.Second, "pause %d", i) // due, and then polled
		}
		assert.Equal(t, 6.0, s.attempts(outcomeNotFound))
	})
}

func TestACostThatIsNeverPublishedIsLeftToAnOperatorAfterAWeek(t *testing.T) {
	for name, answer := range map[string]answer{
		"not found": status(404, 0), "refused": status(403, 0), "unauthorized": status(401, 0),
		"running": func(context.Context, string, int) (accounting.Generation, error) {
			return accounting.Generation{}, fmt.Errorf("job: %w", accounting.ErrJobRunning)
		},
		"no cost": func(_ context.Context, id string, _ int) (accounting.Generation, error) {
			return accounting.Generation{ID: id}, nil
		},
		"another id": func(context.Context, string, int) (accounting.Generation, error) {
			return accounting.Generation{ID: "gen-2", Usage: accounting.Usage{Cost: accounting.ParseCost("9")}}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSettling(t, answer, func(o *SettlerOptions) { o.PollInterval, o.SweepInterval = time.Minute, time.Hour })
				defer s.start()()
				row := s.add("gen-1", "", 6*24*time.Hour)
				pass(23 * time.Hour)
				assert.Equal(t, accounting.StatusPending, row.Status)
				assert.Less(t, len(s.asked["gen-1"]), 23+13+5, "at most hourly in the end")
				pass(3 * time.Hour)
				assert.Equal(t, accounting.StatusUnresolved, row.Status)
				assert.False(t, row.Cost.Known)
				assert.Equal(t, 1.0, metric(t, s.reg, "bursar_settler_given_up_total"))
				assert.Empty(t, s.posted)
			})
		})
	}
}

func TestARateLimitedKeyRestsAsLongAsItIsToldWithinReason(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, after(1, status(429, 30*time.Second), record("0.5")), nil)
		s.keys.hold("b")
		defer s.start()()
		row := s.add("gen-1", "", 0)
		pass(time.Second)
		other := s.add("gen-2", "", 0)
		free := s.add("gen-3", "", 0)
		s.queue.set(func() { free.KeyFingerprint = "b" })
		pass(25 * time.Second)
		assert.Empty(t, s.asked["gen-2"], "no call of that key is asked for")
		assert.NotEmpty(t, s.asked["gen-3"], "another key's are")
		pass(70 * time.Second)
		assert.True(t, row.verified)
		assert.True(t, other.verified)
	})
	bubble(t, func(t *testing.T) {
		s := newSettling(t, after(1, status(429, 100*time.Hour), record("0.5")), nil)
		defer s.start()()
		row := s.add("gen-1", "", 0)
		pass(11 * time.Minute)
		assert.True(t, row.verified, "a Retry-After of days is not obeyed")
	})
}

func TestAnInlineCostIsConfirmedOrCorrected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, record("0.50"), nil)
		defer s.start()()
		same, more, less := s.add("gen-1", "0.5", 0), s.add("gen-2", "0.4", 0), s.add("gen-3", "0.7", 0)
		pass(2 * time.Second)
		for _, row := range []*fakeRow{same, more, less} {
			assert.True(t, row.verified)
			assert.Equal(t, "0.5", row.Cost.Value.String())
		}
		assert.Equal(t, 1.0, s.attempts(outcomeVerified))
		assert.Equal(t, 2.0, s.attempts(outcomeMismatch))
		assert.Equal(t, 2.0, metric(t, s.reg, "bursar_cost_mismatches_total"))
		assert.InDelta(t, 0.1, metric(t, s.reg, "bursar_cost_corrections_usd_total", "direction", "up"), 1e-9)
		assert.InDelta(t, 0.2, metric(t, s.reg, "bursar_cost_corrections_usd_total", "direction", "down"), 1e-9)
	})
}

func TestVerificationsKeepToTheirRatePerKeyAndMissingCostsDoNotWaitForThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, record("0.5"), nil)
		s.keys.hold("b")
		defer s.start()()
		for i := range 400 {
			row := s.add(fmt.Sprint("gen-", i), "0.5", 0)
			if i%2 == 1 {
				s.queue.set(func() { row.KeyFingerprint = "b" })
			}
		}
		pass(3 * time.Second)
		missing := s.add("gen-missing", "", 0)
		pass(1100 * time.Millisecond)
		assert.True(t, missing.verified)
		pass(5900 * time.Millisecond)
		// Ten seconds: a burst of 10 and 10 a second, for each of two keys.
		assert.LessOrEqual(t, s.attempts(outcomeVerified), 2*110.0)
		assert.Greater(t, s.attempts(outcomeVerified), 2*80.0)
		pass(30 * time.Second)
		assert.Equal(t, 400.0, s.attempts(outcomeVerified))
		assert.LessOrEqual(t, s.busiest, 16)
	})
}

func TestASlowLookupHoldsUpOnlyItsOwnWorker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, func(ctx context.Context, id string, n int) (accounting.Generation, error) {
			if id == "gen-slow" && !sleep(ctx, 9*time.Second) {
				return accounting.Generation{}, ctx.Err()
			}
			return record("0.5")(ctx, id, n)
		}, nil)
		defer s.start()()
		slow := s.add("gen-slow", "", 0)
		pass(2 * time.Second)
		quick := s.add("gen-quick", "", 0)
		pass(1100 * time.Millisecond)
		assert.True(t, quick.verified)
		assert.False(t, slow.verified)
		pass(10 * time.Second)
		assert.True(t, slow.verified)
		assert.Len(t, s.asked["gen-slow"], 1, "its lease outlasts it")
	})
}

func TestVerificationEndsWithAgeAndIsNeverPretended(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, status(404, 0), nil)
		defer s.start()()
		row := s.add("gen-1", "0.5", 23*time.Hour)
		pass(30 * time.Minute)
		assert.True(t, row.queued)
		pass(time.Hour)
		assert.False(t, row.queued)
		assert.False(t, row.verified)
		assert.Equal(t, accounting.StatusSettled, row.Status)
		assert.Equal(t, 1.0, metric(t, s.reg, "bursar_verifications_skipped_total"))
	})
}

func TestWithoutVerificationInlineCostsAreNotLookedUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, record("0.5"), func(o *SettlerOptions) { o.Verify = false })
		defer s.start()()
		s.add("gen-1", "0.5", 0)
		missing := s.add("gen-2", "", 0)
		pass(time.Minute)
		assert.Empty(t, s.asked["gen-1"])
		assert.True(t, missing.verified)
	})
}

func TestADisabledSettlerAsksNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, record("0.5"), func(o *SettlerOptions) { o.Enabled = false })
		stop := s.start()
		s.add("gen-1", "", 0)
		pass(time.Hour)
		stop()
		assert.Zero(t, s.queue.claims)
		assert.Empty(t, s.asked)
	})
}

func TestACallWaitsForItsKeyAndGoesOnWhenItIsSeenAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, record("0.5"), nil)
		defer s.start()()
		row := s.add("gen-1", "", 0)
		s.queue.set(func() { row.KeyFingerprint = "elsewhere" })
		pass(20 * time.Second)
		assert.Equal(t, accounting.StatusPending, row.Status, "another replica may have it")
		pass(40 * time.Second)
		assert.Equal(t, accounting.StatusAwaitingKey, row.Status)
		assert.Equal(t, 1.0, metric(t, s.reg, "bursar_settler_awaiting_key_total"))
		assert.Empty(t, s.asked)
		s.keys.hold("elsewhere")
		pass(2 * time.Second)
		assert.Equal(t, accounting.StatusSettled, row.Status)
	})
}

func TestAKeyLetGoBetweenClaimAndLookupPostponesTheRow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, record("0.5"), func(o *SettlerOptions) { o.Keys = forgetful{} })
		defer s.start()()
		row := s.add("gen-1", "", 0)
		pass(10 * time.Second)
		assert.Empty(t, s.asked)
		assert.Equal(t, errNoKey.Error(), row.reason)
		assert.Greater(t, s.attempts(outcomeNoKey), 1.0)
	})
}

// forgetful lists a key that it does not have.
type forgetful struct{}

func (forgetful) Key(string) (string, bool) { return "", false }
func (forgetful) Fingerprints() []string    { return []string{"a"} }

func TestAJobIsPolledUntilItEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		running := func(context.Context, string, int) (accounting.Generation, error) {
			return accounting.Generation{}, fmt.Errorf("look up job: %w", accounting.ErrJobRunning)
		}
		failed := func(context.Context, string, int) (accounting.Generation, error) {
			return accounting.Generation{Failed: true}, nil
		}
		s := newSettling(t, after(3, running, func(ctx context.Context, id string, n int) (accounting.Generation, error) {
			if id == "/api/v1/videos/job-2" {
				return failed(ctx, id, n)
			}
			return record("0.5")(ctx, "", n)
		}), nil)
		defer s.start()()
		done, failing := s.add("", "", 0), s.add("", "", 0)
		s.queue.set(func() { done.JobID, failing.JobID = "job-1", "job-2" })
		pass(time.Minute)
		assert.Equal(t, accounting.StatusSettled, done.Status)
		assert.Equal(t, "0.5", done.Cost.Value.String())
		assert.Equal(t, accounting.StatusFailed, failing.Status)
		assert.Equal(t, 1.0, s.attempts(outcomeFailed))
	})
}

func TestAJobWhoseGenerationIsNotPublishedIsAskedForByItsJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, func(ctx context.Context, id string, n int) (accounting.Generation, error) {
			if id == "gen-1" {
				return status(404, 0)(ctx, id, n)
			}
			return record("0.5")(ctx, "", n)
		}, nil)
		defer s.start()()
		row := s.add("gen-1", "", 0)
		s.queue.set(func() { row.JobID = "job-1" })
		pass(2 * time.Second)
		assert.Equal(t, accounting.StatusSettled, row.Status)
	})
}

func TestACostThatCannotBeStoredIsAskedForAgainLaterAndLoggedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, record("0.5"), nil)
		s.queue.settleErr = errors.New("numeric field overflow")
		defer s.start()()
		row := s.add("gen-1", "", 0)
		pass(5 * time.Minute)
		assert.Equal(t, "the cost could not be stored", row.reason)
		assert.Less(t, len(s.asked["gen-1"]), 12)
		assert.Empty(t, s.posted)
		s.queue.set(func() { s.queue.settleErr = nil })
		pass(10 * time.Minute)
		assert.True(t, row.verified)
	})
}

func TestWithPostgresAwayTheSettlerBacksOffAndLogsOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, record("0.5"), nil)
		s.queue.err = errors.New("connection refused")
		defer s.start()()
		row := s.add("gen-1", "", 0)
		pass(10 * time.Minute)
		assert.Less(t, s.queue.claims, 2*600/4+20, "each of the two lanes asks every 4 to 5 s")
		assert.Equal(t, 1, s.log.lines("trouble with the settler's queue"))
		s.queue.set(func() { s.queue.err = nil })
		pass(time.Minute)
		assert.True(t, row.verified)
		assert.Equal(t, 1, s.log.lines("no more trouble with the settler's queue"))
	})
}

// Otherwise the row would wait for the end of its lease and be asked for again.
func TestACostLearntWhilePostgresIsAwayIsStoredSoonAfterItIsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, record("0.5"), nil)
		s.queue.settleErr = errors.New("connection refused")
		defer s.start()()
		row := s.add("gen-1", "", 0)
		pass(15 * time.Second)
		assert.False(t, row.verified)
		s.queue.set(func() { s.queue.settleErr = nil })
		pass(2*time.Second + time.Millisecond)
		assert.True(t, row.verified)
		assert.Len(t, s.asked["gen-1"], 1, "OpenRouter is asked once")
		assert.Less(t, 15*time.Second, s.lease, "or this shows nothing")
	})
}

func TestTheEndOfTheProgramDoesNotWaitForPostgres(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, record("0.5"), nil)
		s.queue.settleErr = errors.New("connection refused")
		stop := s.start()
		s.add("gen-1", "", 0)
		pass(5 * time.Second)
		began := time.Now()
		stop()
		assert.Less(t, time.Since(began), time.Second)
	})
}

func TestALookupCutOffByTheEndIsClaimedAgainAfterItsLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, after(1, func(ctx context.Context, _ string, _ int) (accounting.Generation, error) {
			<-ctx.Done()
			return accounting.Generation{}, ctx.Err()
		}, record("0.5")), nil)
		stop := s.start()
		row := s.add("gen-1", "", 0)
		pass(2 * time.Second)
		began := time.Now()
		stop()
		assert.Zero(t, time.Since(began), "the end does not wait for OpenRouter")
		assert.Empty(t, row.reason)
		defer s.start()()
		pass(2 * time.Minute)
		assert.True(t, row.verified)
	})
}

func TestACostLearntAtTheVeryEndIsStillStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSettling(t, func(_ context.Context, id string, n int) (accounting.Generation, error) {
			time.Sleep(5 * time.Second) // answers although ctx has ended
			return record("0.5")(context.Background(), id, n)
		}, nil)
		stop := s.start()
		row := s.add("gen-1", "", 0)
		pass(2 * time.Second)
		stop()
		assert.True(t, row.verified)
	})
}

func TestOptionsOfASettlerAreChecked(t *testing.T) {
	_, err := NewSettler(SettlerOptions{})
	assert.Error(t, err)
	q := newFakeQueue()
	_, err = NewSettler(SettlerOptions{Queue: q, Leftovers: q, Generations: &settling{}, Keys: forgetful{}, MaxBackoff: -1})
	assert.Error(t, err)
}
