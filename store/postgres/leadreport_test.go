package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestLeadsAreListedByStateInPagesThatMissNone(t *testing.T) {
	s := newStore(t)
	for i := range 7 {
		ship(t, s, forLead(noon.Add(time.Duration(i/2)*time.Minute), fmt.Sprint("lead", i), fmt.Sprint("gen-", i), "1"))
	}
	record(t, s, happened(accounting.EmailSent, "lead2", noon), happened(accounting.Bounced, "lead3", noon), happened(accounting.EmailSent, "stranger", noon))

	seen := map[string]bool{}
	f := accounting.LeadFilter{Limit: 2}
	for {
		page, err := s.ListLeads(t.Context(), f)
		require.NoError(t, err)
		for _, l := range page.Rows {
			require.False(t, seen[l.LeadID], "twice: %s", l.LeadID)
			seen[l.LeadID] = true
		}
		if f.Cursor = page.NextCursor; f.Cursor == "" {
			break
		}
	}
	require.Len(t, seen, 7, "a lead without calls is none that was processed")
	for state, want := range map[accounting.LeadState]int{accounting.LeadSent: 1, accounting.LeadUnsent: 6, accounting.LeadLost: 1, accounting.LeadConverted: 0} {
		page, err := s.ListLeads(t.Context(), accounting.LeadFilter{State: state, Limit: 100})
		require.NoError(t, err)
		require.Len(t, page.Rows, want, state)
	}
	_, err := s.ListLeads(t.Context(), accounting.LeadFilter{Limit: 1, Cursor: "nonsense"})
	require.ErrorIs(t, err, accounting.ErrBadCursor)

	lead, err := s.FindLead(t.Context(), "lead2")
	require.NoError(t, err)
	require.Equal(t, noon, *lead[0].SentAt)
	list, err := s.ListActivities(t.Context(), "lead2", "", 10)
	require.NoError(t, err)
	require.Equal(t, accounting.EmailSent, list[0].Type)
	_, err = s.FindLead(t.Context(), "nobody")
	require.ErrorIs(t, err, accounting.ErrUnknownLead)
}

func TestAnEmailsCostHasItsRedrafts(t *testing.T) {
	s := newStore(t)
	for i, cost := range []string{"0.01", "0.02"} {
		e := forLead(noon.Add(time.Duration(i)*time.Minute), "ada", "gen-"+cost, cost)
		e.Tags.EmailID, e.Tags.SequenceID = "mail", "seq"
		ship(t, s, e)
	}
	email, err := s.FindEmail(t.Context(), "mail")
	require.NoError(t, err)
	require.Equal(t, "0.03", email[0].CostUSD.String())
	require.Equal(t, "0.01", email[0].RedraftUSD.String())
	require.EqualValues(t, 2, email[0].Drafts)
	_, err = s.FindEmail(t.Context(), "nothing")
	require.ErrorIs(t, err, accounting.ErrUnknownEmail)
}

func TestTheDearestSequencesOfACampaignComeFirst(t *testing.T) {
	s := newStore(t)
	for i, cost := range []string{"0.01", "0.2", "0.03", "0.4"} {
		e := forLead(noon, "ada", "gen-"+cost, cost)
		e.Tags.SequenceID = []string{"cheap", "dear", "cheap", "others"}[i]
		if e.Tags.SequenceID == "others" {
			e.Tags.CampaignID = "another"
		}
		ship(t, s, e)
	}
	sequences, err := s.ListSequences(t.Context(), "q4", 10)
	require.NoError(t, err)
	require.Len(t, sequences, 2)
	require.Equal(t, "dear", sequences[0].SequenceID)
	require.Equal(t, "0.2", sequences[0].CostUSD.String())
	require.Equal(t, "0.04", sequences[1].CostUSD.String())
	sequences, err = s.ListSequences(t.Context(), "q4", 1)
	require.NoError(t, err)
	require.Len(t, sequences, 1)
}

func TestEachDollarIsWastedInOneWayOnly(t *testing.T) {
	s := newStore(t)
	old := noon.AddDate(0, 0, -20)
	cut := forLead(old, "unsent", "gen-1", "0.1")
	cut.FinishReason, cut.Cancelled = "length", true
	lost := forLead(old, "lost", "gen-3", "0.4")
	failed := forLead(old, "sent", "gen-5", "1.6")
	failed.Error = "provider_unavailable"
	ship(t, s, cut, forLead(old, "unsent", "gen-2", "0.2"), lost, forLead(noon, "young", "gen-4", "0.8"), failed)
	record(t, s, happened(accounting.EmailSent, "sent", old), happened(accounting.Bounced, "lost", old), happened(accounting.Unsubscribed, "lost", old))

	waste, err := s.Waste(t.Context(), onDay(t, "2026-10-01"), onDay(t, "2026-11-30"), onDay(t, "2026-11-08"), nil)
	require.NoError(t, err)
	got := map[accounting.WasteKind]string{}
	for _, w := range waste {
		got[w.Kind] = fmt.Sprint(w.Count, " ", w.CostUSD)
	}
	require.Equal(t, map[accounting.WasteKind]string{
		accounting.WasteFailed: "1 1.6", accounting.WasteCancelled: "1 0.1", accounting.WasteTruncated: "0 0", accounting.WasteRedrafted: "0 0",
		accounting.WasteBounced: "1 0.4", accounting.WasteUnsubscribed: "0 0", accounting.WasteUnsent: "1 0.2",
	}, got, "a lead of today may still be sent")
	requireExactRollups(t, s)
}

func TestPlatformsAndModelsAreCompared(t *testing.T) {
	s := newStore(t)
	cheap, dear := forLead(noon, "ada", "gen-1", "1"), forLead(noon, "ada", "gen-2", "3")
	cheap.Model, dear.Model = "cheap", "dear"
	cheap.TimeToFirstToken = accounting.Some(300 * time.Millisecond)
	cheap.FinishReason, dear.FinishReason = "stop", "length"
	cheap.Tags.Platform, dear.Tags.Platform = "instantly", "instantly"
	ship(t, s, cheap, dear)
	record(t, s, happened(accounting.MeetingBooked, "ada", noon))

	models, err := s.Models(t.Context(), onDay(t, "2026-11-01"), onDay(t, "2026-11-30"))
	require.NoError(t, err)
	require.Equal(t, []string{"dear", "cheap"}, []string{models[0].Name, models[1].Name})
	require.Equal(t, "0.75", models[0].Meetings.String(), "a meeting is shared by what each model cost")
	require.Equal(t, "0.25", models[1].Meetings.String())
	require.Equal(t, "3.68", models[1].CostPerMeeting.String())
	require.Equal(t, "0.92", models[1].CostPerLead.String())
	require.Equal(t, map[string]int64{"length": 1}, models[0].Finish)
	require.Equal(t, "2000", models[0].DurationMS.String())
	require.Equal(t, "300", models[1].FirstTokenMS.String())
	require.Nil(t, models[0].FirstTokenMS)

	platforms, err := s.Platforms(t.Context(), onDay(t, "2026-11-01"), onDay(t, "2026-11-30"), onDay(t, "2026-11-08"))
	require.NoError(t, err)
	require.Equal(t, "instantly", platforms[0].Platform)
	require.Equal(t, "4", platforms[0].AICostUSD.String())
	require.EqualValues(t, 1, platforms[0].ProcessedLeads)
}

func TestEachMeetingOfALeadIsSharedInTheMonthInWhichItWasBooked(t *testing.T) {
	s := newStore(t)
	ship(t, s, forLead(noon, "ada", "gen-1", "1"))
	again := happened(accounting.MeetingBooked, "ada", noon)
	again.OccurredAt = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	last := again
	last.OccurredAt = again.OccurredAt.Add(-time.Millisecond)
	record(t, s, happened(accounting.MeetingBooked, "ada", noon), last, again, again)
	ship(t, s, closed(again.OccurredAt, "gen-2", "1")) // so that the model has a line in December

	for month, want := range map[string]string{"2026-11": "2", "2026-12": "2"} {
		models, err := s.Models(t.Context(), onDay(t, month+"-01"), onDay(t, month+"-30"))
		require.NoError(t, err)
		require.Len(t, models, 1)
		require.Equal(t, want, models[0].Meetings.String(), month)
	}
}

func TestALeadCountsForAModelOnTheDayOfItsFirstCallWhicheverCallComesFirst(t *testing.T) {
	s := newStore(t)
	alias := func(at time.Time, generation string) accounting.Event {
		e := forLead(at, "ada", generation, "1")
		e.RequestedModel, e.Model, e.Usage, e.Truncated = "an-alias", "", accounting.Usage{}, true // named when it is settled
		return e
	}
	ship(t, s, forLead(noon, "ada", "gen-1", "1"))
	ship(t, s, forLead(noon.AddDate(0, 0, -2), "ada", "gen-2", "1")) // from a journal that was away
	early, late := alias(noon.AddDate(0, 0, -1), "gen-3"), alias(noon, "gen-4")
	ship(t, s, early, late)
	requireExactRollups(t, s)
	requireLeadDays := func(want map[string]string) {
		t.Helper()
		rows, err := s.pool.Query(t.Context(), `SELECT model, string_agg(day::text, ' ' ORDER BY day) FROM model_lead_daily WHERE leads > 0 GROUP BY 1`)
		require.NoError(t, err)
		got := map[string]string{}
		var model, days string
		_, err = pgx.ForEachRow(rows, []any{&model, &days}, func() error { got[model] = days; return nil })
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	served, asked := forLead(noon, "", "", "1").Model, early.RequestedModel
	require.NotEqual(t, served, asked)
	requireLeadDays(map[string]string{served: "2026-11-20", asked: "2026-11-21"})

	name := func(e accounting.Event) {
		t.Helper()
		g := accounting.Generation{ID: e.GenerationID, Model: "another", Usage: accounting.Usage{Cost: accounting.Some(dec("1"))}}
		_, err := s.Settle(t.Context(), accounting.Unsettled{ID: e.ID}, g, noon)
		require.NoError(t, err)
		requireExactRollups(t, s)
	}
	name(early)
	requireLeadDays(map[string]string{served: "2026-11-20", asked: "2026-11-22", "another": "2026-11-21"})
	name(late)
	requireLeadDays(map[string]string{served: "2026-11-20", "another": "2026-11-21"})
}

func TestAPlatformsMeetingsAreWorthWhatTheirCampaignsSay(t *testing.T) {
	s := newStore(t)
	_, err := s.PutCampaign(t.Context(), accounting.CampaignSettings{ID: "q4", MeetingValue: &accounting.Amount{Decimal: dec("100")}, Currency: accounting.USD}, "test")
	require.NoError(t, err)
	on := func(kind accounting.ActivityType, campaign, value string) accounting.CampaignActivity {
		a := happened(kind, "ada", noon)
		a.CampaignID, a.Platform = campaign, "instantly"
		if value != "" {
			a.Value, a.Currency = accounting.Some(dec(value)), accounting.EUR
		}
		return a
	}
	record(t, s, on(accounting.MeetingBooked, "q4", ""), on(accounting.MeetingBooked, "q4", "7"), on(accounting.MeetingBooked, "other", ""),
		on(accounting.DealWon, "q4", "1000"), on(accounting.Unsubscribed, "q4", ""))

	platforms, err := s.Platforms(t.Context(), onDay(t, "2026-11-01"), onDay(t, "2026-11-30"), onDay(t, "2026-11-08"))
	require.NoError(t, err)
	require.Len(t, platforms, 1)
	p := platforms[0]
	require.Equal(t, []int64{3, 1, 1}, []int64{p.Meetings, p.Deals, p.Unsubscribes})
	require.Equal(t, "1099", p.ValueEUR.String(), "100 USD at 0.92, 7 and 1000 EUR")
	require.EqualValues(t, 2, p.MeetingsValued, "the third is worth the default")
}
