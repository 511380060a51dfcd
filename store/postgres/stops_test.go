package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// beat is a heartbeat some seconds after the store's present.
func beat(t testing.TB, s *Store, replica string, version int64, seconds int) (latest int64, living int) {
	t.Helper()
	latest, living, err := s.Heartbeat(t.Context(), replica, version, s.now().Add(time.Duration(seconds)*time.Second))
	require.NoError(t, err)
	return latest, living
}

func TestAHeartbeatTellsTheVersionAndWhoLives(t *testing.T) {
	s := budgetStore(t)
	latest, living := beat(t, s, "r1", 0, 0)
	require.Equal(t, 1, living)
	createBudget(t, s, budgetOf(accounting.ModeSoft, "1"))
	next, living := beat(t, s, "r2", 0, 1)
	require.Equal(t, latest+1, next)
	require.Equal(t, 2, living)
	_, living = beat(t, s, "r3", 0, 10)
	require.Equal(t, 2, living, "r1 was last heard of ten seconds ago")
	require.NoError(t, s.EndReplica(t.Context(), "r2"))
	_, living = beat(t, s, "r3", 0, 10)
	require.Equal(t, 1, living)
	_, living = beat(t, s, "r2", 0, 10)
	require.Equal(t, 2, living, "it is back")
}

func TestAHeartbeatIsWrittenOnceASecond(t *testing.T) {
	s := budgetStore(t)
	writes := func() int64 { return count1(t, s, `SELECT xmin::text::bigint FROM guard_replicas`) }
	beat(t, s, "r1", 1, 0)
	first := writes()
	beat(t, s, "r1", 1, 1)
	require.Equal(t, first, writes())
	beat(t, s, "r1", 1, 2)
	second := writes()
	require.NotEqual(t, first, second)
	beat(t, s, "r1", 2, 2)
	require.NotEqual(t, second, writes(), "another version is written at once")
}

func TestAStopTellsWhoObeysItSinceWhen(t *testing.T) {
	s := budgetStore(t)
	version, _ := beat(t, s, "r1", 1, 0)
	beat(t, s, "r2", 1, 0)
	stop, err := s.CreateStop(t.Context(), accounting.Stop{
		Scope: accounting.Scope{CampaignID: "q4", Model: "m"}, Reason: "runaway", Actor: "tester", CutStreams: true, Drill: true, CreatedAt: s.now(),
	})
	require.NoError(t, err)
	require.NotEmpty(t, stop.ID)
	require.Equal(t, accounting.StopEmergency, stop.Kind)
	require.Equal(t, accounting.Scope{CampaignID: "q4", Model: "m"}, stop.Scope)
	require.Len(t, stop.Reach, 2)
	require.Nil(t, stop.Reach[0].ActiveAt)

	beat(t, s, "r1", version+1, 2)
	beat(t, s, "r1", version+5, 9) // of another change: it obeys this one since then
	active, err := s.ListStops(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, active, 1)
	require.Equal(t, "r1", active[0].Reach[0].Replica)
	require.Equal(t, s.now().Add(2*time.Second), *active[0].Reach[0].ActiveAt)
	require.Equal(t, 2.0, *active[0].Reach[0].After)
	require.Equal(t, s.now().Add(9*time.Second), active[0].Reach[0].SeenAt)
	require.Nil(t, active[0].Reach[1].ActiveAt)

	lifted, err := s.LiftStop(t.Context(), stop.ID, "another", s.now().Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, "another", *lifted.LiftedBy)
	require.Len(t, lifted.Reach, 1, "it reached one")
	_, err = s.LiftStop(t.Context(), stop.ID, "another", s.now())
	require.ErrorIs(t, err, accounting.ErrUnknownStop)
	active, err = s.ListStops(t.Context(), false)
	require.NoError(t, err)
	require.Empty(t, active)
	all, err := s.ListStops(t.Context(), true)
	require.NoError(t, err)
	require.Len(t, all, 1)
	log := auditLog(t, s, "stop/"+stop.ID)
	require.Equal(t, []string{accounting.ActionResume, accounting.ActionStop}, []string{log[0].Action, log[1].Action})
	require.Equal(t, "runaway", *log[1].Reason)
}

func TestTheSameStopIsMadeOnce(t *testing.T) {
	s := budgetStore(t)
	first, err := s.CreateStop(t.Context(), accounting.Stop{ID: "s1", Kind: accounting.StopSpike, Reason: "a", Actor: "tester"})
	require.NoError(t, err)
	rules, err := s.GuardRules(t.Context())
	require.NoError(t, err)
	require.Equal(t, []accounting.Stop{first}, rules.Stops)
	again, err := s.CreateStop(t.Context(), accounting.Stop{ID: "s1", Reason: "b", Actor: "somebody else"})
	require.NoError(t, err)
	require.Equal(t, first, again)
	after, err := s.GuardRules(t.Context())
	require.NoError(t, err)
	require.Equal(t, rules.Version, after.Version)
	require.Len(t, auditLog(t, s, "stop/s1"), 1)
}

func TestRulesHoldBudgetsThatAreDisabledButNotThoseThatAreDeleted(t *testing.T) {
	s := budgetStore(t)
	for range 2 {
		createBudget(t, s, budgetOf(accounting.ModeSoft, "1"))
	}
	changeBudget(t, s, "q4", accounting.BudgetChange{Enabled: ref(false)})
	require.NoError(t, s.DeleteBudget(t.Context(), "q4-2", "tester", ""))
	rules, err := s.GuardRules(t.Context())
	require.NoError(t, err)
	require.Len(t, rules.Budgets, 1)
	require.False(t, rules.Budgets[0].Enabled)
}

func TestReplicasThatHoldNothingAreForgottenAfterAWeek(t *testing.T) {
	s := hardBudget(t)
	beat(t, s, "r1", 1, 0)
	beat(t, s, "r2", 1, 0)
	at := s.now()
	s.opts.Now = func() time.Time { return at.Add(forgetAfter + time.Second) }
	require.NoError(t, s.EndReplica(t.Context(), "r3"))
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM guard_replicas`), "r1 holds a lease")
}
