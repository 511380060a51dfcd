package postgres

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestPagesHoldEveryRowOnceTheNewestFirstWhileMoreArrive(t *testing.T) {
	s := newStore(t)
	var events []accounting.Event
	for i := range 25 { // several in the same millisecond
		events = append(events, closed(noon.Add(time.Duration(i/4)*time.Minute), "", "1"))
	}
	ship(t, s, events...)
	seen := map[accounting.RequestID]bool{}
	f := accounting.UsageFilter{Limit: 4}
	var last time.Time
	for pages := 1; ; pages++ {
		page, err := s.ListUsage(t.Context(), f)
		require.NoError(t, err)
		for _, r := range page.Rows {
			require.False(t, seen[r.ID], "twice: %s", r.ID)
			require.True(t, last.IsZero() || !r.CreatedAt.After(last))
			seen[r.ID], last = true, r.CreatedAt
		}
		if f.Cursor = page.NextCursor; f.Cursor == "" {
			require.Equal(t, 7, pages)
			break
		}
		require.Len(t, page.Rows, 4)
		ship(t, s, closed(noon.Add(24*time.Hour), "", "1")) // newer than any page
	}
	for _, e := range events {
		require.True(t, seen[e.ID])
	}
	require.Len(t, seen, 25)
}

func TestAPageThatEndsWithTheLastRowHasNoNext(t *testing.T) {
	s := newStore(t)
	page, err := s.ListUsage(t.Context(), accounting.UsageFilter{Limit: 2})
	require.NoError(t, err)
	require.Empty(t, page.Rows)
	ship(t, s, closed(noon, "", "1"), closed(noon, "", "1"))
	page, err = s.ListUsage(t.Context(), accounting.UsageFilter{Limit: 2})
	require.NoError(t, err)
	require.Len(t, page.Rows, 2)
	require.Empty(t, page.NextCursor)
}

func TestEveryFilterNarrowsTheListing(t *testing.T) {
	s := newStore(t)
	e := closed(noon, "gen-1", "1")
	e.Tags = accounting.Tags{CampaignID: "c", EmailID: "e", LeadID: "l", SequenceID: "s", Purpose: "research", Platform: "p"}
	e.Model = "m"
	ship(t, s, e, closed(noon.Add(time.Hour), "gen-2", ""))
	for name, f := range map[string]accounting.UsageFilter{
		"campaign": {CampaignID: "c"}, "email": {EmailID: "e"}, "lead": {LeadID: "l"}, "sequence": {SequenceID: "s"},
		"purpose": {Purpose: "research"}, "platform": {Platform: "p"}, "model": {Model: "m"},
		"status": {Status: accounting.StatusSettled}, "generation": {GenerationID: "gen-1"},
		"until": {Until: noon.Add(time.Hour)}, "since": {Since: noon, Until: noon.Add(time.Millisecond)},
		"two": {CampaignID: "c", Model: "m"},
	} {
		f.Limit = 10
		page, err := s.ListUsage(t.Context(), f)
		require.NoError(t, err, name)
		require.Len(t, page.Rows, 1, name)
		require.Equal(t, e.ID, page.Rows[0].ID, name)
	}
	for name, f := range map[string]accounting.UsageFilter{
		"both": {CampaignID: "c", Status: accounting.StatusPending}, "since": {Since: noon.Add(2 * time.Hour)},
		"hostile": {CampaignID: "c\xff' OR true --"},
	} {
		f.Limit = 10
		page, err := s.ListUsage(t.Context(), f)
		require.NoError(t, err, name)
		require.Empty(t, page.Rows, name)
	}
}

func TestABadCursorOrLimitIsRefused(t *testing.T) {
	s := newStore(t)
	good := formatCursor(noon, callAt(noon))
	_, err := s.ListUsage(t.Context(), accounting.UsageFilter{Limit: 1, Cursor: good})
	require.NoError(t, err)
	for _, cursor := range []string{
		"x", good + "A", good[1:], "%" + good[1:],
		base64.RawURLEncoding.EncodeToString(append([]byte{0x7f, 255, 255, 255, 255, 255, 255, 255}, make([]byte, 16)...)),
	} {
		_, err := s.ListUsage(t.Context(), accounting.UsageFilter{Limit: 1, Cursor: cursor})
		require.ErrorIs(t, err, accounting.ErrBadCursor, cursor)
	}
	for _, limit := range []int{0, -1, accounting.MaxUsageRows + 1} {
		_, err := s.ListUsage(t.Context(), accounting.UsageFilter{Limit: limit})
		require.ErrorContains(t, err, "limit")
	}
}
