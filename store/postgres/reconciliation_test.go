package postgres

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

var day = accounting.DayOf(noon)

// look is a reconciliation of day that found theirs; empty: nothing.
func look(source accounting.Source, ours, theirs string) accounting.Reconciliation {
	r := accounting.WithoutTheirs(day, source, "", accounting.Spend{Cost: dec(ours), Calls: 3, OpenCalls: 1, UnverifiedCalls: 2, UnverifiedCost: dec("0.5")}, "No key.")
	if theirs != "" {
		r = accounting.ReconcileSamples(day, accounting.Sampled{Source: source},
			accounting.BilledWindow{From: day.Start(), To: day.End(), Amount: dec(theirs)},
			accounting.WindowSpend{Spend: accounting.Spend{Cost: dec(ours), Calls: 3}, InFlight: 1, InFlightCost: dec("0.01")})
	}
	r.Judge(dec("0.1"))
	r.CheckedAt = later
	return r
}

func save(t testing.TB, s *Store, list ...accounting.Reconciliation) []accounting.Reconciliation {
	t.Helper()
	raised, err := s.SaveReconciliations(t.Context(), list)
	require.NoError(t, err)
	return raised
}

func reconciliations(t testing.TB, s *Store, f accounting.ReconciliationFilter) []accounting.Reconciliation {
	t.Helper()
	f.Limit = accounting.MaxReconciliations
	list, err := s.ListReconciliations(t.Context(), f)
	require.NoError(t, err)
	return list
}

func TestAReconciliationComesBackAsItWasSaved(t *testing.T) {
	s := newStore(t)
	r := accounting.ReconcileActivity(day, key,
		[]accounting.ModelSpend{{Model: "m", Spend: accounting.Spend{Cost: dec("0.00000000000000001"), Calls: 1}}},
		[]accounting.Activity{{Model: "m", Permaslug: "m", Usage: dec("1"), Requests: 2}})
	r.SetOtherKeys(dec("0.25"))
	r.Judge(dec("0.1"))
	r.CheckedAt = later
	r.Suspects = []accounting.Suspect{{ID: callAt(noon), Model: "m", Status: accounting.StatusSettled, CostUSD: &accounting.Amount{Decimal: dec("0.10000000000000001")}, Why: "unverified"}}
	save(t, s, r)
	got := reconciliations(t, s, accounting.ReconciliationFilter{})
	require.Len(t, got, 1)
	require.Equal(t, "0.99999999999999999", got[0].DifferenceUSD.String())
	require.Equal(t, "0.99999999999999999", got[0].Models[0].DifferenceUSD.String(), "in JSON as well")
	require.Equal(t, "0.10000000000000001", got[0].Suspects[0].CostUSD.String())
	require.Equal(t, r.Suspects[0].ID, got[0].Suspects[0].ID)
	require.Equal(t, r.Day, got[0].Day)
	require.Equal(t, accounting.VerdictDiffers, got[0].Verdict)
	require.EqualValues(t, 1, *got[0].DarkCalls)
	require.True(t, got[0].CheckedAt.Equal(later))
	require.Nil(t, got[0].SampledFrom)
	require.Nil(t, got[0].InFlightUSD, "does not apply")
}

func TestASecondLookReplacesTheFirstUnlessItSawNothing(t *testing.T) {
	s := newStore(t)
	require.Empty(t, save(t, s, look(accounting.SourceCredits, "1", "")))
	require.Len(t, save(t, s, look(accounting.SourceCredits, "1", "2")), 1, "it differs from now on")
	require.Empty(t, save(t, s, look(accounting.SourceCredits, "1", "2")), "and is no news the second time")
	require.Empty(t, save(t, s, look(accounting.SourceCredits, "1", "")))
	got := reconciliations(t, s, accounting.ReconciliationFilter{})
	require.Len(t, got, 1)
	require.Equal(t, accounting.VerdictDiffers, got[0].Verdict)
	require.EqualValues(t, 1, *got[0].CallsInFlight)
	require.True(t, got[0].SampledFrom.Equal(day.Start()))
	save(t, s, look(accounting.SourceCredits, "2", "2"))
	require.Equal(t, accounting.VerdictAgrees, reconciliations(t, s, accounting.ReconciliationFilter{})[0].Verdict)
}

func TestReconciliationsAreFilteredTheNewestDayFirst(t *testing.T) {
	s := newStore(t)
	older := look(accounting.SourceKey, "1", "1")
	older.Day, older.KeyFingerprint = day.Add(-1), key
	save(t, s, older, look(accounting.SourceKey, "1", "1"), look(accounting.SourceCredits, "1", "2"), look(accounting.SourceActivity, "1", ""))
	require.Len(t, reconciliations(t, s, accounting.ReconciliationFilter{}), 4)
	require.Equal(t, day.Add(-1), reconciliations(t, s, accounting.ReconciliationFilter{})[3].Day)
	yesterday := day.Add(-1)
	for _, f := range []accounting.ReconciliationFilter{
		{To: &yesterday}, {KeyFingerprint: key}, {Verdict: accounting.VerdictDiffers}, {Source: accounting.SourceActivity},
		{From: &day, Source: accounting.SourceKey},
	} {
		require.Len(t, reconciliations(t, s, f), 1, "%+v", f)
	}
	_, err := s.ListReconciliations(t.Context(), accounting.ReconciliationFilter{})
	require.ErrorContains(t, err, "limit 0")

	latest, err := s.LatestReconciliations(t.Context())
	require.NoError(t, err)
	require.Len(t, latest, 2, "the activity was not to be had; the older day is not the latest")
}

func TestTheSchemaRefusesAVerdictWithoutTheirSide(t *testing.T) {
	s := newStore(t)
	save(t, s, look(accounting.SourceKey, "1", "1"))
	for _, change := range []string{
		`UPDATE reconciliations SET theirs_usd = NULL`, `UPDATE reconciliations SET verdict = 'unavailable'`,
		`UPDATE reconciliations SET verdict = 'fine'`, `UPDATE reconciliations SET source = 'guess'`,
		`INSERT INTO cost_corrections (usage_id, created_at, year, month, booked_year, booked_month, amount_usd) VALUES (gen_random_uuid(), now(), 2026, 12, 2026, 12, 1)`,
		`INSERT INTO cost_corrections (usage_id, created_at, year, month, booked_year, booked_month, amount_usd) VALUES (gen_random_uuid(), now(), 2026, 11, 2026, 12, 0)`,
	} {
		_, err := s.pool.Exec(t.Context(), change)
		require.Error(t, err, change)
	}
}

func TestADayIsClaimedByOneOfManyAndAgainWhenTheClaimEnds(t *testing.T) {
	s := newStore(t)
	var claims atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, claimed, err := s.ClaimDay(t.Context(), day, noon, later); err != nil {
				t.Error(err)
			} else if claimed {
				claims.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, claims.Load())
	attempts, claimed, err := s.ClaimDay(t.Context(), day, later, later.Add(time.Hour))
	require.NoError(t, err)
	require.True(t, claimed, "its holder died")
	require.Equal(t, 2, attempts)
	require.NoError(t, s.ReleaseDay(t.Context(), day, time.Time{}, later))
	_, claimed, err = s.ClaimDay(t.Context(), day, later.AddDate(1, 0, 0), later.AddDate(1, 0, 1))
	require.NoError(t, err)
	require.False(t, claimed, "it is done")
}

func TestDaysAreDueFromTheFirstCallOnUntilTheyAreFinished(t *testing.T) {
	s := newStore(t)
	due := func(now time.Time) []accounting.Day {
		days, err := s.DaysToReconcile(t.Context(), day.Add(-10), day.Add(2), now)
		require.NoError(t, err)
		return days
	}
	require.Empty(t, due(noon), "without calls there is nothing to compare")
	ship(t, s, closed(noon, "gen-1", "1"))
	require.Equal(t, []accounting.Day{day, day.Add(1), day.Add(2)}, due(noon))
	for d, next := range map[accounting.Day]time.Time{day: {}, day.Add(1): later} {
		_, claimed, err := s.ClaimDay(t.Context(), d, noon, later)
		require.NoError(t, err)
		require.True(t, claimed)
		require.NoError(t, s.ReleaseDay(t.Context(), d, next, noon))
	}
	require.Equal(t, []accounting.Day{day.Add(2)}, due(noon))
	require.Equal(t, []accounting.Day{day.Add(1), day.Add(2)}, due(later))
}

func TestADayIsSummedByKeyAndModelWithoutFailedCalls(t *testing.T) {
	s := newStore(t)
	other, failed := closed(noon, "gen-3", "4"), closed(noon, "", "")
	other.KeyFingerprint = "fp-2"
	failed.HTTPStatus, failed.Error = 400, "400"
	verified := closed(noon, "gen-1", "1")
	ship(t, s, verified, closed(noon, "gen-2", "0.25"), closed(noon, "gen-4", ""), other, failed,
		closed(day.Start(), "gen-5", "0.5"), closed(day.End(), "gen-6", "64"), closed(day.Start().Add(-time.Millisecond), "gen-7", "128"))
	_, err := s.Settle(t.Context(), accounting.Unsettled{ID: verified.ID}, accounting.Generation{Usage: usd("1")}, later)
	require.NoError(t, err)
	sums, err := s.DaySpend(t.Context(), day)
	require.NoError(t, err)
	require.Len(t, sums, 2)
	require.Equal(t, key+" openai/gpt-4o openai/gpt-4o", sums[0].KeyFingerprint+" "+sums[0].Model+" "+sums[0].RequestedModel)
	require.Equal(t, "1.75", sums[0].Cost.String())
	require.Equal(t, "0.75", sums[0].UnverifiedCost.String())
	require.Equal(t, [3]int64{4, 1, 2}, [3]int64{sums[0].Calls, sums[0].OpenCalls, sums[0].UnverifiedCalls})
	require.Equal(t, "4", sums[1].Cost.String())
}

func TestAWindowHoldsTheCallsThatEndedInItAndTellsWhichWereInFlight(t *testing.T) {
	s := newStore(t)
	from, to := day.Start(), day.End()
	long := func(start time.Time, duration time.Duration, cost string) accounting.Event {
		e := closed(start, "gen-"+cost, cost)
		e.Duration = duration
		return e
	}
	foreign := long(noon, time.Second, "1024")
	foreign.KeyFingerprint = "fp-2"
	ship(t, s,
		long(from.Add(-time.Hour), 30*time.Minute, "1"),     // ended before
		long(from.Add(-time.Minute), 30*time.Second, "2"),   // ended just before: in flight
		long(from.Add(-time.Minute), 2*time.Minute, "4"),    // ran across: in the window and in flight
		long(noon, time.Second, "8"),                        // inside
		long(to.Add(-time.Minute), 30*time.Second, "16"),    // inside, ended just before the sample: in flight
		long(to.Add(-time.Minute), 10*time.Minute, "32"),    // ran across: not in the window, in flight
		long(to.Add(time.Millisecond), time.Second, "64"),   // after
		long(to.Add(-2*time.Minute), 30*time.Second, "128"), // inside, and long enough ago
		foreign)
	w, err := s.WindowSpend(t.Context(), from, to, key)
	require.NoError(t, err)
	require.Equal(t, "156", w.Cost.String())
	require.EqualValues(t, 4, w.Calls)
	require.Equal(t, "54", w.InFlightCost.String())
	require.EqualValues(t, 4, w.InFlight)
	w, err = s.WindowSpend(t.Context(), from, to, "")
	require.NoError(t, err)
	require.Equal(t, "1180", w.Cost.String())
}

func TestSuspectsComeInTheOrderOfLikelihood(t *testing.T) {
	s := newStore(t)
	mismatch, fine := closed(noon, "gen-mismatch", "1"), closed(noon, "gen-fine", "1")
	edge := closed(day.End().Add(-time.Second), "gen-edge", "1")
	ship(t, s, mismatch, fine, edge, closed(noon, "gen-cheap", "1"), closed(noon, "gen-dear", "2"), closed(noon, "gen-open", ""))
	for e, cost := range map[*accounting.Event]string{&mismatch: "2", &fine: "1", &edge: "1"} {
		_, err := s.Settle(t.Context(), accounting.Unsettled{ID: e.ID}, accounting.Generation{Usage: usd(cost)}, later)
		require.NoError(t, err)
	}
	f := accounting.SuspectFilter{From: day.Start(), To: day.End(), KeyFingerprint: key, Limit: 10}
	suspects, err := s.Suspects(t.Context(), f)
	require.NoError(t, err)
	var got []string
	for _, u := range suspects {
		got = append(got, *u.GenerationID+" "+u.Why)
	}
	require.Equal(t, []string{"gen-open open", "gen-mismatch mismatch", "gen-dear unverified", "gen-cheap unverified", "gen-edge midnight"}, got)
	f.Limit, f.KeyFingerprint = 1, "fp-2"
	suspects, err = s.Suspects(t.Context(), f)
	require.NoError(t, err)
	require.Empty(t, suspects)
}

func TestOfAMomentTheFirstSampleStays(t *testing.T) {
	s := newStore(t)
	of := accounting.Sampled{Source: accounting.SourceKey, KeyFingerprint: key}
	daily := func(usage string) accounting.Sample {
		return accounting.Sample{Sampled: of, TakenAt: noon, Usage: dec(usage), UsageDaily: accounting.Some(dec("0.1")), UsageMonthly: accounting.Some(decimal.Zero)}
	}
	credits := accounting.Sample{Sampled: accounting.Sampled{Source: accounting.SourceCredits}, TakenAt: noon.Add(time.Second), Usage: dec("7"), TotalCredits: accounting.Some(dec("10"))}
	require.NoError(t, s.SaveSamples(t.Context(), noon, []accounting.Sample{daily("0.00012345678901234567"), credits}))
	require.NoError(t, s.SaveSamples(t.Context(), noon, []accounting.Sample{daily("9")}))
	sampled, err := s.SampledAt(t.Context(), noon)
	require.NoError(t, err)
	require.ElementsMatch(t, []accounting.Sampled{of, credits.Sampled}, sampled)

	samples, err := s.Samples(t.Context(), noon, noon.Add(time.Second))
	require.NoError(t, err)
	require.Len(t, samples, 2)
	require.Equal(t, "0.00012345678901234567", samples[0].Usage.String())
	require.Equal(t, of, samples[0].Sampled)
	require.True(t, samples[0].TakenAt.Equal(noon) && samples[0].UsageMonthly.Known && samples[0].UsageMonthly.Value.IsZero())
	require.False(t, samples[0].TotalCredits.Known)
	require.False(t, samples[1].UsageDaily.Known, "unknown is not zero")
	require.Equal(t, "10", samples[1].TotalCredits.Value.String())

	require.NoError(t, s.PruneSamples(t.Context(), noon.Add(time.Second)))
	samples, err = s.Samples(t.Context(), noon, later)
	require.NoError(t, err)
	require.Len(t, samples, 1)
}
