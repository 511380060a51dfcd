package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// spending is a call of a campaign.
func spending(campaign string, at time.Time, cost string) accounting.Event {
	e := closed(at, "gen-"+callAt(at).String(), cost)
	e.Tags.CampaignID = campaign
	return e
}

// history are calls of two cents in each of the 30 hours before noon's.
func history(campaign string) (calls []accounting.Event) {
	for h := 1; h <= 30; h++ {
		calls = append(calls, spending(campaign, noon.Add(-time.Duration(h)*time.Hour), "0.02"))
	}
	return calls
}

var brake = accounting.SpikeRule{MinUSD: dec("1"), MinHours: 24}

func spikesAt(t testing.TB, s *Store, rule accounting.SpikeRule, at time.Time) []accounting.Spike {
	t.Helper()
	spikes, err := s.BrakeSpikes(t.Context(), rule, at)
	require.NoError(t, err)
	return spikes
}

func TestACampaignThatSuddenlySpendsIsAlertedOncePerHour(t *testing.T) {
	s := budgetStore(t)
	ship(t, s, history("q4")...)
	ship(t, s, history("calm")...)
	ship(t, s, spending("q4", noon, "0.97"), spending("calm", noon, "0.03"))
	require.Empty(t, spikesAt(t, s, brake, noon.Add(10*time.Minute)), "less than a dollar")
	ship(t, s, spending("q4", noon.Add(time.Minute), "2.00000000000000001"))
	for range 2 {
		spikes := spikesAt(t, s, brake, noon.Add(20*time.Minute))
		require.Len(t, spikes, 1)
		require.Equal(t, "q4", spikes[0].CampaignID)
		require.Equal(t, "2.97000000000000001", spikes[0].Spent.String())
		require.Equal(t, "0.02", spikes[0].Median.String())
		require.Equal(t, "0", spikes[0].MAD.String())
		require.Equal(t, 30, spikes[0].Hours)
	}
	alerts := alertsOf(t, s, accounting.AlertFilter{})
	require.Len(t, alerts, 1)
	a := alerts[0]
	require.Equal(t, "spike/2026-11-22T12:00:00Z/q4", a.Key)
	require.Equal(t, "campaign/q4", a.Subject)
	require.Equal(t, accounting.SeverityWarning, a.Severity)
	require.Equal(t, "Campaign q4 has cost 2.97 USD within an hour", a.Title)
	require.Contains(t, a.Text, "Of the 30 hours before, half cost 0.02 USD or less; above 0.02 USD")
	require.JSONEq(t, `{"campaign_id":"q4","hour":"2026-11-22T12:00:00Z","spent_usd":2.97000000000000001,"median_usd":0.02,
		"mad_usd":0,"limit_usd":0.02,"hours":30,"stop_id":null}`, string(a.Data))
	require.Len(t, a.Deliveries, 2)

	next := noon.Add(time.Hour)
	ship(t, s, spending("q4", next, "4"))
	require.Len(t, spikesAt(t, s, brake, next.Add(time.Minute)), 1)
	require.Len(t, alertsOf(t, s, accounting.AlertFilter{}), 2, "another hour")
	stops, err := s.ListStops(t.Context(), true)
	require.NoError(t, err)
	require.Empty(t, stops)
}

func TestQuietHoursSinceTheFirstCallCountAsZero(t *testing.T) {
	s := budgetStore(t)
	// 0.9 USD in each of 12 hours, and nothing in 13 others.
	for h := 25; h > 13; h-- {
		ship(t, s, spending("q4", noon.Add(-time.Duration(h)*time.Hour), "0.9"))
	}
	ship(t, s, spending("q4", noon, "1.5"))
	spikes := spikesAt(t, s, brake, noon)
	require.Len(t, spikes, 1)
	require.Equal(t, 25, spikes[0].Hours)
	require.Equal(t, "0", spikes[0].Median.String())
}

func TestHoursBeforeTheWindowAreNotCompared(t *testing.T) {
	s := budgetStore(t)
	ship(t, s, spending("q4", noon.Add(-spikeWindow-time.Hour), "50"), spending("q4", noon.Add(-spikeWindow), "40"), spending("q4", noon, "2"))
	spikes := spikesAt(t, s, brake, noon)
	require.Len(t, spikes, 1)
	require.Equal(t, 336, spikes[0].Hours)
	require.Len(t, spikes[0].Before, 1)
}

func TestACampaignOnItsFirstDayIsNotJudged(t *testing.T) {
	s := budgetStore(t)
	ship(t, s, spending("new", noon.Add(-23*time.Hour), "0.01"), spending("new", noon, "50"), spending("today", noon, "50"))
	require.Empty(t, spikesAt(t, s, brake, noon))
	require.Len(t, spikesAt(t, s, accounting.SpikeRule{MinUSD: dec("1"), MinHours: 23}, noon), 1)
}

func TestASpikeHoldsItsCampaignUntilItIsReleased(t *testing.T) {
	s := budgetStore(t)
	hold := brake
	hold.Hold = true
	ship(t, s, history("q4")...)
	ship(t, s, history("")...)
	ship(t, s, spending("q4", noon, "3"), spending("", noon, "3"))
	require.Len(t, spikesAt(t, s, hold, noon), 2)
	require.Len(t, spikesAt(t, s, hold, noon), 2)
	stops, err := s.ListStops(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, stops, 1, "only a campaign can be held, and once")
	require.Equal(t, accounting.StopSpike, stops[0].Kind)
	require.Equal(t, accounting.Scope{CampaignID: "q4"}, stops[0].Scope)
	require.Equal(t, "It spent 3.00 USD in the hour from 2026-11-22 12:00 UTC, and usually spends at most 0.02 USD.", stops[0].Reason)
	require.Equal(t, "spike brake", stops[0].Actor)
	a := alertsOf(t, s, accounting.AlertFilter{Subject: "campaign/q4"})[0]
	require.Equal(t, accounting.SeverityCritical, a.Severity)
	require.Contains(t, a.Text, "bursar resume "+stops[0].ID+",")
	require.Equal(t, "What belongs to no campaign has cost 3.00 USD within an hour", alertsOf(t, s, accounting.AlertFilter{Subject: "campaign"})[0].Title)
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM audit_log WHERE action = 'guard.stop' AND actor = 'spike brake'`))

	_, err = s.LiftStop(t.Context(), stops[0].ID, "tester", s.now())
	require.NoError(t, err)
	ship(t, s, spending("q4", noon.Add(time.Minute), "3"))
	spikesAt(t, s, hold, noon.Add(2*time.Minute))
	stops, err = s.ListStops(t.Context(), false)
	require.NoError(t, err)
	require.Empty(t, stops, "who released it has seen this hour")
	ship(t, s, spending("q4", noon.Add(time.Hour), "3"))
	spikesAt(t, s, hold, noon.Add(time.Hour))
	stops, err = s.ListStops(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, stops, 1, "the next hour is another matter")
}

func TestOnlyOneReplicaLooksForSpikesAtATime(t *testing.T) {
	s := budgetStore(t)
	ship(t, s, history("q4")...)
	ship(t, s, spending("q4", noon, "3"))
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock($1)`, spikeLock)
	require.NoError(t, err)
	require.Empty(t, spikesAt(t, s, brake, noon))
	require.NoError(t, tx.Rollback(t.Context()))
	require.Len(t, spikesAt(t, s, brake, noon), 1)
}

func TestOnlyCampaignsWhoseHourReachedTheLeastAmountAreLookedAt(t *testing.T) {
	s := budgetStore(t)
	var calls []accounting.Event
	for i := range 20 {
		calls = append(calls, spending(fmt.Sprintf("c-%d", i), noon, "0.9"), spending("q4", noon.Add(-time.Duration(i)*time.Hour), "0.5"))
	}
	ship(t, s, append(calls, spending("q4", noon, "0.5"))...)
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	histories, err := spendHistories(t.Context(), tx, noon, brake)
	require.NoError(t, err)
	require.Len(t, histories, 1)
	require.Equal(t, "q4", histories[0].CampaignID)
	require.Len(t, histories[0].Before, 19)
}
