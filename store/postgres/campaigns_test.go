package postgres

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestACampaignsCallsLeadsAndActivitiesAreSummed(t *testing.T) {
	s := newStore(t)
	ship(t, s, forLead(noon, "ada", "gen-1", "1"), forLead(noon, "bob", "gen-2", "2"), forLead(noon.AddDate(0, 0, -20), "eve", "gen-3", "4"))
	none := closed(noon, "gen-4", "8")
	none.Tags = accounting.Tags{}
	ship(t, s, none)
	meeting := happened(accounting.MeetingBooked, "ada", noon)
	meeting.Value, meeting.Currency = accounting.Some(dec("100")), accounting.USD
	sent := happened(accounting.EmailSent, "ada", noon)
	sent.Platform = "instantly"
	record(t, s, sent, meeting, happened(accounting.MeetingBooked, "ada", noon), happened(accounting.ReplyReceived, "ada", noon))
	value := accounting.Amount{Decimal: dec("2000")}
	_, err := s.PutCampaign(t.Context(), accounting.CampaignSettings{ID: "q4", Name: new("Fourth quarter"), MeetingValue: &value, Currency: accounting.EUR}, "loopback")
	require.NoError(t, err)
	_, err = s.PutCampaign(t.Context(), accounting.CampaignSettings{ID: "quiet", Currency: accounting.EUR, Testing: true}, "loopback")
	require.NoError(t, err)

	from, to, old := onDay(t, "2026-11-01"), onDay(t, "2026-11-30"), onDay(t, "2026-11-08")
	list, err := s.Campaigns(t.Context(), from, to, old, nil, 10)
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.Equal(t, []string{"", "q4", "quiet"}, []string{list[0].ID, list[1].ID, list[2].ID}, "the dearest first, a campaign that only has settings too")
	q4 := list[1]
	require.Equal(t, "7", q4.AICostUSD.String())
	require.Equal(t, "6.44", q4.AICostEUR.String())
	require.Equal(t, []int64{3, 1, 1, 1}, []int64{q4.ProcessedLeads, q4.SentLeads, q4.RepliedLeads, q4.ConvertedLeads})
	require.EqualValues(t, 1, q4.UnsentLeads, "bob is too young to be waste")
	require.Equal(t, "3.68", q4.UnsentCostEUR.String())
	require.Equal(t, []int64{1, 2, 1, 1}, []int64{q4.Emails, q4.Meetings, q4.Replies, q4.MeetingsValued})
	require.Equal(t, "92", q4.ValueEUR.String())
	require.Equal(t, "Fourth quarter", *q4.Settings.Name)
	require.Equal(t, "2026-11-02", q4.FirstDay.String())
	require.Nil(t, list[0].Settings)

	id := "q4"
	only, err := s.Campaigns(t.Context(), from, to, old, &id, 10)
	require.NoError(t, err)
	require.Equal(t, []accounting.CampaignSums{q4}, only)
	emails, err := s.EmailsByCampaign(t.Context(), from, to)
	require.NoError(t, err)
	require.Equal(t, accounting.EmailsByCampaign{"q4": {"instantly": 1}}, emails)
	purposes, models, err := s.CampaignUsage(t.Context(), "q4", from, to)
	require.NoError(t, err)
	require.Equal(t, "follow_up", purposes[0].Name)
	require.Equal(t, "7", models[0].CostUSD.String())
	require.EqualValues(t, 2, count1(t, s, `SELECT count(*) FROM audit_log WHERE action = 'campaign.put'`))
}

func TestCampaignsAreReadPageByPageToTheLast(t *testing.T) {
	s := newStore(t)
	for i, cost := range []string{"3", "1", "2", "1", "1"} {
		e := closed(noon, fmt.Sprint("gen-", i), cost)
		e.Tags.CampaignID = fmt.Sprint("c", i)
		ship(t, s, e)
	}
	none := closed(noon, "gen-none", "1")
	none.Tags = accounting.Tags{}
	ship(t, s, none)
	_, err := s.PutCampaign(t.Context(), accounting.CampaignSettings{ID: "quiet", Currency: accounting.EUR}, "loopback")
	require.NoError(t, err)
	record(t, s, accounting.CampaignActivity{Type: accounting.EmailSent, CampaignID: "c1", OccurredAt: noon})

	from, to := onDay(t, "2026-11-01"), onDay(t, "2026-11-30")
	var ids []string
	cursor, pages := "", 0
	for more := true; more; pages++ {
		page, err := s.ListCampaigns(t.Context(), from, to, from, 2, cursor)
		require.NoError(t, err)
		for i := range page.Rows {
			ids = append(ids, page.Rows[i].ID)
		}
		require.Equal(t, []any{int64(7), "8.28", int64(1), int64(0)}, []any{page.All.Campaigns, page.All.AICost.String(), page.All.Emails, page.All.Meetings}, "of all pages, on each")
		cursor, more = page.NextCursor, page.NextCursor != ""
	}
	require.Equal(t, []string{"c0", "c2", "", "c1", "c3", "c4", "quiet"}, ids)
	require.Equal(t, 4, pages)
	for _, cursor := range []string{"x", "MQ", base64.RawURLEncoding.EncodeToString([]byte("-1\x00a")), base64.RawURLEncoding.EncodeToString([]byte("1\x00a\x00"))} {
		_, err := s.ListCampaigns(t.Context(), from, to, from, 2, cursor)
		require.ErrorIs(t, err, accounting.ErrBadCursor, cursor)
	}
}

func TestAReportOfACampaignNobodyKnowsIsEmpty(t *testing.T) {
	s := newStore(t)
	id := "nobody"
	list, err := s.Campaigns(t.Context(), accounting.DayOf(noon), accounting.DayOf(noon.Add(24*time.Hour)), accounting.DayOf(noon), &id, 1)
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestAMeetingWithoutAValueIsWorthItsCampaignsAtTheRateOfItsDay(t *testing.T) {
	s := newStore(t)
	ship(t, s, forLead(noon, "ada", "gen-1", "1"))
	_, err := s.PutExchangeRates(t.Context(), []accounting.ExchangeRate{
		{Day: onDay(t, "2026-11-20"), USDToEUR: accounting.Amount{Decimal: dec("0.8")}},
		{Day: onDay(t, "2026-11-22"), USDToEUR: accounting.Amount{Decimal: dec("0.9")}},
	}, "Finance")
	require.NoError(t, err)
	told := happened(accounting.MeetingBooked, "eve", noon)
	told.Value, told.Currency = accounting.Some(dec("70")), accounting.EUR
	record(t, s, told, happened(accounting.MeetingBooked, "ada", noon), happened(accounting.MeetingBooked, "bob", noon.AddDate(0, 0, -1)),
		happened(accounting.MeetingBooked, "dan", noon.AddDate(0, 0, -10)))
	each := accounting.Amount{Decimal: dec("1000")}
	_, err = s.PutCampaign(t.Context(), accounting.CampaignSettings{ID: "q4", MeetingValue: &each, Currency: accounting.USD}, "Finance")
	require.NoError(t, err)

	from, to := onDay(t, "2026-11-01"), onDay(t, "2026-11-30")
	list, err := s.Campaigns(t.Context(), from, to, from, nil, 10)
	require.NoError(t, err)
	require.Equal(t, "2.62", list[0].UntoldRates.String(), "0.9 + 0.8 of the Friday before + 0.92 as configured")
	value := accounting.MeetingValue{Default: accounting.Some(dec("5"))}
	require.Equal(t, "2690", value.Of(&list[0]).Value.String())
	sums, err := s.KPISums(t.Context(), from, to, from, value)
	require.NoError(t, err)
	require.Equal(t, "2690", sums.Value.Value.String())
}
