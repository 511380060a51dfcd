package postgres

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestPagesOfSeveralTagsHoldWhatTheRowsSay(t *testing.T) {
	s := newStore(t)
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	var events []accounting.Event
	for range 240 {
		e := closed(noon.Add(time.Duration(random.IntN(30*60))*time.Minute), "", pick("1", ""))
		e.Tags = accounting.Tags{CampaignID: pick("a", "b"), Platform: pick("x", "x", "x", "y", ""), Purpose: pick("research", "follow_up")}
		if e.Tags.CampaignID == "b" {
			e.Tags.Platform = "z"
		}
		e.Model = pick("m", "m", "n")
		events = append(events, e)
	}
	ship(t, s, events...)
	all, err := s.ListUsage(t.Context(), accounting.UsageFilter{Limit: 500})
	require.NoError(t, err)
	require.Len(t, all.Rows, len(events))

	is := func(value *string, wanted string) bool { return wanted == "" || value != nil && *value == wanted }
	found := 0
	for range 120 {
		f := accounting.UsageFilter{
			CampaignID: pick("", "a", "b"), Platform: pick("", "x", "y", "z"), Purpose: pick("", "research"), Model: pick("", "m", "n"),
			Status: accounting.Status(pick("", "", "settled", "pending")), Limit: 1 + random.IntN(9),
		}
		if random.IntN(2) == 0 {
			f.Since = noon.Add(time.Duration(random.IntN(30*60)) * time.Minute)
		}
		if random.IntN(2) == 0 {
			f.Until = noon.Add(time.Duration(random.IntN(30*60)) * time.Minute)
		}
		var want, got []accounting.RequestID
		for _, r := range all.Rows {
			if is(r.CampaignID, f.CampaignID) && is(r.Platform, f.Platform) && is(r.Purpose, f.Purpose) && is(r.Model, f.Model) &&
				(f.Status == "" || r.Status == f.Status) &&
				!r.CreatedAt.Before(f.Since) && (f.Until.IsZero() || r.CreatedAt.Before(f.Until)) {
				want = append(want, r.ID)
			}
		}
		for {
			page, err := s.ListUsage(t.Context(), f)
			require.NoError(t, err)
			for _, r := range page.Rows {
				got = append(got, r.ID)
			}
			if f.Cursor = page.NextCursor; f.Cursor == "" {
				break
			}
			require.Len(t, page.Rows, f.Limit)
		}
		require.Equal(t, want, got, "%+v", f)
		if combinesTags(&f) {
			found += len(got)
		}
	}
	require.Positive(t, found)
}
