package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReplicasThatLiveAreListedBeforeTheLatestOfTheOthers(t *testing.T) {
	s := newStore(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	for _, r := range []struct {
		id   string
		seen time.Time
	}{{"alive", now}, {"silent", now.Add(-time.Hour)}, {"older", now.Add(-2 * time.Hour)}} {
		_, _, err := s.Heartbeat(t.Context(), r.id, 0, r.seen)
		require.NoError(t, err)
	}
	_, _, err := s.Heartbeat(t.Context(), "stopped", 0, now)
	require.NoError(t, err)
	require.NoError(t, s.EndReplica(t.Context(), "stopped"))

	list, err := s.ListReplicas(t.Context(), 2)
	require.NoError(t, err)
	var ids []string
	for _, r := range list {
		ids = append(ids, r.ID)
		require.Equal(t, r.ID == "alive", r.Alive)
	}
	require.Equal(t, []string{"alive", "stopped", "silent"}, ids)
	require.NotNil(t, list[1].EndedAt)
	require.Nil(t, list[2].EndedAt)
}
