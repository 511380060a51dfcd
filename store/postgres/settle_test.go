package postgres

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

var later = noon.Add(time.Hour)

func claim(t testing.TB, s *Store, missing bool) []accounting.Unsettled {
	t.Helper()
	claimed, err := s.Claim(t.Context(), accounting.ClaimRequest{
		Now: later, Fingerprints: []string{key}, Missing: missing, Limit: 100, Lease: time.Minute,
	})
	require.NoError(t, err)
	return claimed
}

func TestAMissingCostIsSettledByTheRecord(t *testing.T) {
	s := newStore(t)
	e := closed(noon, "gen-1", "")
	e.Model = ""
	e.Usage.PromptTokens = accounting.Some[int64](7)
	ship(t, s, e)
	claimed := claim(t, s, true)
	require.Equal(t, []accounting.Unsettled{{
		ID: e.ID, GenerationID: "gen-1", KeyFingerprint: key, Endpoint: e.Endpoint, Status: accounting.StatusPending,
	}}, claimed)

	g := accounting.Generation{ID: "gen-1", Model: "openai/gpt-4o-2024-08-06", Provider: "Azure", FinishReason: "stop", Usage: usd("0.123456789012")}
	g.Usage.PromptTokens, g.Usage.CompletionTokens = accounting.Some[int64](9), accounting.Some[int64](3)
	p, err := s.Settle(t.Context(), claimed[0], g, later)
	require.NoError(t, err)
	require.Equal(t, "0.123456789012", p.Amount.String())
	require.True(t, p.Verified)
	require.False(t, p.Mismatch)

	r := stored(t, s, e.ID)
	require.EqualValues(t, accounting.StatusSettled, r.status)
	requireAmount(t, "0.123456789012", r.cost)
	require.Nil(t, r.inlineCost)
	require.EqualValues(t, accounting.CostGeneration, r.costSource)
	require.True(t, r.verifiedAt.Equal(later))
	require.Nil(t, r.settleNextAt)
	require.EqualValues(t, "openai/gpt-4o-2024-08-06", r.model)
	require.EqualValues(t, "Azure", r.provider)
	require.EqualValues(t, 7, *r.promptTokens, "the record fills in only what the response did not tell")
	require.EqualValues(t, 3, *r.completionTokens)
	requireExactRollups(t, s)

	before := snapshot(t, s)
	p, err = s.Settle(t.Context(), claimed[0], g, later.Add(time.Hour))
	require.NoError(t, err)
	require.True(t, p.Amount.IsZero())
	require.Equal(t, before, snapshot(t, s), "settling twice adds nothing")
	require.Equal(t, 1, ship(t, s, e).Replayed)
	require.Equal(t, before, snapshot(t, s), "nor does a replay afterwards")
}

func TestAVerifiedCostDecidesAndSaysSoIfItDiffers(t *testing.T) {
	s := newStore(t)
	e := closed(noon, "gen-1", "0.10")
	ship(t, s, e)
	claimed := claim(t, s, false)
	require.Len(t, claimed, 1)
	require.False(t, claimed[0].Missing())
	p, err := s.Settle(t.Context(), claimed[0], accounting.Generation{ID: "gen-1", Model: "other", Usage: usd("0.25")}, later)
	require.NoError(t, err)
	require.True(t, p.Mismatch)
	require.Equal(t, "0.15", p.Amount.String())

	newer := closed(noon.Add(time.Second), "gen-1", "0.40")
	ship(t, s, e, newer)
	r := stored(t, s, e.ID)
	requireAmount(t, "0.25", r.cost)
	require.EqualValues(t, "openai/gpt-4o", r.model)
	require.Nil(t, r.settleNextAt)
	requireExactRollups(t, s)
}

func TestARecordThatDecidesNothingLeavesTheRow(t *testing.T) {
	s := newStore(t)
	e := closed(noon, "gen-1", "")
	ship(t, s, e)
	before := snapshot(t, s)
	_, err := s.Settle(t.Context(), accounting.Unsettled{ID: e.ID}, accounting.Generation{ID: "gen-1"}, later)
	require.ErrorIs(t, err, errNoCost)
	_, err = s.Settle(t.Context(), accounting.Unsettled{ID: callAt(noon)}, accounting.Generation{ID: "gen-1", Usage: usd("1")}, later)
	require.ErrorContains(t, err, "no row")
	require.Equal(t, before, snapshot(t, s))
}

func TestAFailedJobCostsNothing(t *testing.T) {
	s := newStore(t)
	e := closed(noon, "", "")
	e.JobID = "job-1"
	ship(t, s, e)
	claimed := claim(t, s, true)
	require.Equal(t, "job-1", claimed[0].JobID)
	p, err := s.Settle(t.Context(), claimed[0], accounting.Generation{Failed: true}, later)
	require.NoError(t, err)
	require.True(t, p.Amount.IsZero())
	r := stored(t, s, e.ID)
	require.EqualValues(t, accounting.StatusFailed, r.status)
	require.Nil(t, r.cost)
	require.Nil(t, r.settleNextAt)
	requireExactRollups(t, s)
}

func TestAJobLearnsItsGenerationWhichStaysUnique(t *testing.T) {
	s := newStore(t)
	job, other := closed(noon, "", ""), closed(noon, "gen-2", "1")
	job.JobID = "job-1"
	ship(t, s, job, other)
	_, err := s.Settle(t.Context(), accounting.Unsettled{ID: job.ID}, accounting.Generation{ID: "gen-1", Usage: usd("2")}, later)
	require.NoError(t, err)
	require.EqualValues(t, "gen-1", stored(t, s, job.ID).generationID)
	repeat := closed(later, "gen-1", "")
	require.Zero(t, ship(t, s, repeat).Inserted)

	_, err = s.Settle(t.Context(), accounting.Unsettled{ID: job.ID}, accounting.Generation{ID: "gen-2", Usage: usd("2")}, later)
	require.NoError(t, err)
	require.EqualValues(t, "gen-1", stored(t, s, job.ID).generationID)
	requireExactRollups(t, s)
}

func TestTwoClaimersNeverGetTheSameRow(t *testing.T) {
	s := newStore(t)
	var events []accounting.Event
	for range 200 {
		events = append(events, closed(noon, "gen-"+callAt(noon).String(), ""))
	}
	ship(t, s, events...)
	var mu sync.Mutex
	var wg sync.WaitGroup
	seen := map[accounting.RequestID]int{}
	for range 8 {
		wg.Go(func() {
			for {
				claimed, err := s.Claim(t.Context(), accounting.ClaimRequest{
					Now: later, Fingerprints: []string{key, "fp-2"}, Missing: true, Limit: 7, Lease: time.Minute,
				})
				if err != nil {
					t.Error(err)
				}
				if err != nil || len(claimed) == 0 {
					return
				}
				mu.Lock()
				for _, u := range claimed {
					seen[u.ID]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for id, times := range seen {
		require.Equal(t, 1, times, "call %s", id)
	}
	// A claimer that found its rows locked may have stopped early.
	for _, u := range claim(t, s, true) {
		require.Zero(t, seen[u.ID])
		seen[u.ID]++
	}
	require.Len(t, seen, 200)
}

func TestAClaimPassesOverRowsThatOthersHoldUnderLock(t *testing.T) {
	s := newStore(t)
	one, two := closed(noon, "gen-1", ""), closed(noon.Add(time.Second), "gen-2", "")
	ship(t, s, one, two)
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	_, err = lockRows(t.Context(), tx, []requestID{requestID(one.ID)})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // instead of waiting for ever
	defer cancel()
	claimed, err := s.Claim(ctx, accounting.ClaimRequest{Now: later, Fingerprints: []string{key}, Missing: true, Limit: 10, Lease: time.Minute})
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	require.Equal(t, two.ID, claimed[0].ID)
}

func TestAClaimTakesWhatIsDueTheLongestOverdueFirstAndAgainAfterTheLease(t *testing.T) {
	s := newStore(t)
	second, first := closed(noon.Add(time.Second), "gen-2", ""), closed(noon, "gen-1", "")
	future, foreign := closed(later.Add(time.Hour), "gen-3", ""), closed(noon, "gen-4", "")
	foreign.KeyFingerprint = "fp-2"
	ship(t, s, second, first, future, foreign)
	claimed := claim(t, s, true)
	require.Len(t, claimed, 2)
	require.Equal(t, first.ID, claimed[0].ID)
	require.Equal(t, second.ID, claimed[1].ID)
	require.Zero(t, claimed[0].Attempts)
	require.Empty(t, claim(t, s, true))

	again, err := s.Claim(t.Context(), accounting.ClaimRequest{
		Now: later.Add(time.Minute), Fingerprints: []string{key}, Missing: true, Limit: 1, Lease: time.Minute,
	})
	require.NoError(t, err)
	require.Len(t, again, 1, "the limit")
	require.Equal(t, 1, again[0].Attempts)
	none, err := s.Claim(t.Context(), accounting.ClaimRequest{Now: later, Missing: true, Limit: 10, Lease: time.Minute})
	require.NoError(t, err)
	require.Empty(t, none, "without keys there is nothing to claim")
}

func TestAPostponedRowComesBackWhenItIsDue(t *testing.T) {
	s := newStore(t)
	e := closed(noon, "gen-1", "")
	ship(t, s, e)
	claim(t, s, true)
	require.NoError(t, s.Postpone(t.Context(), e.ID, later, "404\x00"))
	require.Len(t, claim(t, s, true), 1)
	require.EqualValues(t, "404", stored(t, s, e.ID).settleError)

	_, err := s.Settle(t.Context(), accounting.Unsettled{ID: e.ID}, accounting.Generation{Usage: usd("1")}, later)
	require.NoError(t, err)
	require.NoError(t, s.Postpone(t.Context(), e.ID, later, "late"))
	require.Nil(t, stored(t, s, e.ID).settleNextAt, "a settled row does not go back into the queue")
	require.Empty(t, stored(t, s, e.ID).settleError)
}

func TestGivingUpLeavesAMissingCostUnresolvedAndAKnownOneSettled(t *testing.T) {
	s := newStore(t)
	missing, unverified := closed(noon, "gen-1", ""), closed(noon, "gen-2", "1")
	ship(t, s, missing, unverified)
	for _, e := range []accounting.Event{missing, unverified} {
		require.NoError(t, s.GiveUp(t.Context(), e.ID, "7 days of 404"))
		require.Nil(t, stored(t, s, e.ID).settleNextAt)
	}
	require.EqualValues(t, accounting.StatusUnresolved, stored(t, s, missing.ID).status)
	require.EqualValues(t, accounting.StatusSettled, stored(t, s, unverified.ID).status)
	require.Equal(t, 2, ship(t, s, missing, unverified).Replayed, "a replay does not wake it")
	require.Empty(t, claim(t, s, true))
	requireExactRollups(t, s)
}

func TestARowWithoutAKeyWaitsForItAndGoesOnWhenItComes(t *testing.T) {
	s := newStore(t)
	held, lost, keyless := closed(noon, "gen-1", ""), closed(noon, "gen-2", ""), closed(noon, "gen-3", "")
	lost.KeyFingerprint, keyless.KeyFingerprint = "fp-2", ""
	ship(t, s, held, lost, keyless)
	n, err := s.MarkAwaitingKey(t.Context(), []string{key}, noon)
	require.NoError(t, err)
	require.Zero(t, n, "none is overdue")
	n, err = s.MarkAwaitingKey(t.Context(), []string{key}, later)
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	require.EqualValues(t, accounting.StatusAwaitingKey, stored(t, s, lost.ID).status)

	claimed, err := s.Claim(t.Context(), accounting.ClaimRequest{
		Now: later, Fingerprints: []string{"fp-2"}, Missing: true, Limit: 10, Lease: time.Minute,
	})
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	require.EqualValues(t, accounting.StatusPending, stored(t, s, lost.ID).status)
	n, err = s.MarkAwaitingKey(t.Context(), nil, later)
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "without any key every overdue row waits; a claimed one is not overdue")
	requireExactRollups(t, s)
}

func TestSkippedVerificationIsNeverMarkedVerified(t *testing.T) {
	s := newStore(t)
	old, recent := closed(noon, "gen-1", "1"), closed(noon.Add(time.Minute), "gen-2", "1")
	ship(t, s, old, recent, closed(noon, "gen-3", ""))
	n, err := s.SkipVerification(t.Context(), noon.Add(time.Second))
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.Nil(t, stored(t, s, old.ID).verifiedAt)
	require.Nil(t, stored(t, s, old.ID).settleNextAt)
	require.Len(t, claim(t, s, false), 1)
	require.Len(t, claim(t, s, true), 1)
}

func TestTheBacklogCountsWhatIsOpen(t *testing.T) {
	s := newStore(t)
	b, err := s.Backlog(t.Context())
	require.NoError(t, err)
	require.Zero(t, b)

	start := time.Now().Add(-time.Hour)
	cut := closed(start, "", "")
	cut.Kind = accounting.Interrupted
	awaiting := closed(start, "gen-3", "")
	awaiting.KeyFingerprint = "fp-2"
	ship(t, s, closed(start, "gen-1", ""), closed(start, "gen-2", "1"), closed(start, "", ""), cut, awaiting, closed(start, "", "2"))
	_, err = s.MarkAwaitingKey(t.Context(), []string{key}, time.Now())
	require.NoError(t, err)
	b, err = s.Backlog(t.Context())
	require.NoError(t, err)
	require.InDelta(t, time.Hour.Seconds(), b.OldestPending.Seconds(), 60)
	b.OldestPending = 0
	require.Equal(t, Backlog{Pending: 1, AwaitingKey: 1, Unresolved: 1, Interrupted: 1, Unverified: 1}, b)
}

func TestSealedKeysAreKeptByFingerprint(t *testing.T) {
	s := newStore(t)
	require.NoError(t, s.SealKey(t.Context(), "a", []byte{0, 1}))
	require.NoError(t, s.SealKey(t.Context(), "b", []byte{2, 3}))
	require.NoError(t, s.SealKey(t.Context(), "a", []byte{4, 0, 5}))
	keys, err := s.SealedKeys(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"a": {4, 0, 5}, "b": {2, 3}}, keys)
}

func TestABatchIsSettledAsItsCallsWouldBeOneByOne(t *testing.T) {
	s := newStore(t)
	missing, told, mistold := closed(noon, "gen-1", ""), closed(noon, "gen-2", "0.25"), closed(noon.Add(time.Minute), "gen-3", "0.5")
	ship(t, s, missing, told, mistold)
	settlement := func(e accounting.Event, cost string, at time.Time) Settlement {
		return Settlement{ID: e.ID, Generation: accounting.Generation{ID: e.GenerationID, Usage: usd(cost)}, At: at}
	}
	batch := []Settlement{settlement(missing, "0.125", later), settlement(told, "0.25", later.Add(time.Hour)), settlement(mistold, "0.4", later)}
	postings, err := s.SettleAll(t.Context(), batch)
	require.NoError(t, err)
	require.Len(t, postings, 3)
	for i, want := range []string{"0.125", "0", "-0.1"} {
		require.Equal(t, want, postings[i].Amount.String())
		require.Equal(t, batch[i].ID, postings[i].ID)
		require.True(t, stored(t, s, batch[i].ID).verifiedAt.Equal(batch[i].At), "each at its own time")
	}
	requireExactRollups(t, s)

	before := snapshot(t, s)
	postings, err = s.SettleAll(t.Context(), batch)
	require.NoError(t, err)
	require.True(t, postings[2].Amount.IsZero())
	require.Equal(t, before, snapshot(t, s), "again it changes nothing")
}

func TestABatchWithACallThatIsNotThereSettlesNone(t *testing.T) {
	s := newStore(t)
	e := closed(noon, "gen-1", "")
	ship(t, s, e)
	g := accounting.Generation{Usage: usd("1")}
	_, err := s.SettleAll(t.Context(), []Settlement{{ID: e.ID, Generation: g, At: later}, {ID: callAt(noon), Generation: g, At: later}})
	require.ErrorContains(t, err, "no row with that id")
	require.EqualValues(t, accounting.StatusPending, stored(t, s, e.ID).status)
	postings, err := s.SettleAll(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, postings)
}

func TestAnAlertBearsTheTimeOfTheClockThatIsGiven(t *testing.T) {
	s := newStore(t)
	s.opts.Now = func() time.Time { return noon }
	raised, made, err := s.RaiseAlert(t.Context(), accounting.Alert{Key: "k", Kind: "test", Severity: accounting.SeverityInfo, Title: "t", Text: "t"})
	require.NoError(t, err)
	require.True(t, made)
	require.True(t, raised.CreatedAt.Equal(noon))
}
