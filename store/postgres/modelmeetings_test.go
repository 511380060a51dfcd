package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestAMeetingIsSharedAnewWheneverItsLeadChanges(t *testing.T) {
	s := newStore(t)
	meetings := func() map[string]string {
		t.Helper()
		requireExactRollups(t, s)
		models, err := s.Models(t.Context(), onDay(t, "2026-11-22"), onDay(t, "2026-11-30"))
		require.NoError(t, err)
		found := map[string]string{}
		for _, m := range models {
			found[m.Name] = m.Meetings.String()
		}
		return found
	}
	call := func(model, generation, cost string) accounting.Event {
		e := forLead(noon, "ada", generation, cost)
		e.Model = model
		return e
	}
	ship(t, s, call("cheap", "gen-1", "1"), call("free", "gen-2", "0"))
	booked := record(t, s, happened(accounting.MeetingBooked, "ada", noon), happened(accounting.MeetingBooked, "nobody", noon))
	require.Equal(t, map[string]string{"cheap": "1", "free": "0"}, meetings(), "one without calls is nobody's")

	ship(t, s, call("dear", "gen-3", "2")) // after the meeting
	require.Equal(t, map[string]string{"cheap": "0.3333333333", "dear": "0.6666666667", "free": "0"}, meetings())

	before := record(t, s, happened(accounting.MeetingBooked, "ada", noon.AddDate(0, 0, -1)))
	shared := map[string]string{"cheap": "0.3333333333", "dear": "0.6666666667", "free": "0"}
	require.Equal(t, shared, meetings(), "another day's meeting is another day's")
	again := record(t, s, happened(accounting.MeetingBooked, "ada", noon.Add(time.Hour)), happened(accounting.MeetingBooked, "ada", noon.Add(2*time.Hour)))
	require.Equal(t, map[string]string{"cheap": "1", "dear": "2", "free": "0"}, meetings())
	for _, a := range []accounting.RecordedActivity{before[0], again[0], again[1]} {
		_, err := s.ReverseActivity(t.Context(), a.ID, "test")
		require.NoError(t, err)
	}
	require.Equal(t, shared, meetings())
	_, err := s.ReverseActivity(t.Context(), booked[0].ID, "test")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"cheap": "0", "dear": "0", "free": "0"}, meetings())
	require.NoError(t, s.RecountEconomics(t.Context()))
	require.Equal(t, map[string]string{"cheap": "0", "dear": "0", "free": "0"}, meetings())
}

func TestFreeCallsShareAMeetingByTheirNumber(t *testing.T) {
	s := newStore(t)
	for i, model := range []string{"a", "b", "b", "b"} {
		e := forLead(noon, "ada", []string{"gen-1", "gen-2", "gen-3", "gen-4"}[i], "0")
		e.Model = model
		ship(t, s, e)
	}
	record(t, s, happened(accounting.MeetingBooked, "ada", noon))
	models, err := s.Models(t.Context(), onDay(t, "2026-11-22"), onDay(t, "2026-11-22"))
	require.NoError(t, err)
	require.Equal(t, "0.25", models[0].Meetings.String())
	require.Equal(t, "0.75", models[1].Meetings.String())
	requireExactRollups(t, s)
}
