package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// claimAs claims all that is due for one process.
func claimAs(t *testing.T, s *Store, claimer string, missing bool) []accounting.Unsettled {
	t.Helper()
	claimed, err := s.Claim(t.Context(), accounting.ClaimRequest{
		Now: later, Fingerprints: []string{key}, Missing: missing, Limit: 10, Lease: time.Minute, Claimer: claimer,
	})
	require.NoError(t, err)
	return claimed
}

func TestTheClaimsOfADeadProcessAreReleasedAndNobodyElses(t *testing.T) {
	s := newStore(t)
	missing, unverified := closed(noon, "gen-1", ""), closed(noon, "gen-2", "1")
	ship(t, s, missing, unverified)
	require.Len(t, claimAs(t, s, "dead", true), 1)
	require.Len(t, claimAs(t, s, "dead", false), 1)
	require.EqualValues(t, "is being looked up by dead", stored(t, s, missing.ID).settleError)
	other := closed(noon, "gen-3", "")
	ship(t, s, other)
	require.Len(t, claimAs(t, s, "alive", true), 1)

	release := func(claimer string, held ...string) int64 {
		n, err := s.ReleaseClaims(t.Context(), claimer, held, later, time.Minute)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, release("dead", "fp-2"), "of another key")
	require.Zero(t, release("dead"), "of no key")
	require.Zero(t, release("", key))
	require.EqualValues(t, 2, release("dead", key))
	require.Zero(t, release("dead", key))
	require.Equal(t, missing.ID, claimAs(t, s, "heir", true)[0].ID)
	require.Equal(t, unverified.ID, claimAs(t, s, "heir", false)[0].ID)
	require.EqualValues(t, "is being looked up by alive", stored(t, s, other.ID).settleError)
	requireExactRollups(t, s)
}

func TestAnOutcomeThatADeadProcessHadWrittenIsNotReleased(t *testing.T) {
	s := newStore(t)
	postponed, settled := closed(noon, "gen-1", ""), closed(noon, "gen-2", "")
	ship(t, s, postponed, settled)
	claimed := claimAs(t, s, "dead", true)
	require.Len(t, claimed, 2)
	due := later.Add(30 * time.Second)
	require.NoError(t, s.Postpone(t.Context(), postponed.ID, due, "not published yet"))
	_, err := s.Settle(t.Context(), accounting.Unsettled{ID: settled.ID}, accounting.Generation{Usage: usd("1")}, later)
	require.NoError(t, err)
	n, err := s.ReleaseClaims(t.Context(), "dead", []string{key}, later, time.Minute)
	require.NoError(t, err)
	require.Zero(t, n)
	require.True(t, due.Equal(*stored(t, s, postponed.ID).settleNextAt))
	require.Nil(t, stored(t, s, settled.ID).settleNextAt)
}
