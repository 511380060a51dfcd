package accounting

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAWeekIsThatOfISO8601AndAMonthThatOfTheCalendar(t *testing.T) {
	for of, want := range map[string][2]string{
		"2026-W46": {"2026-11-09", "2026-11-15"},
		"2026-W01": {"2025-12-29", "2026-01-04"},
		"2026-W53": {"2026-12-28", "2027-01-03"},
	} {
		s, err := ParseReportSpan(ReportWeekly, of)
		require.NoError(t, err, of)
		assert.Equal(t, want, [2]string{s.From.String(), s.To.String()})
		assert.Equal(t, of, s.String())
		for d := s.From; !s.To.Before(d); d = d.Add(1) {
			assert.Equal(t, s, SpanOf(ReportWeekly, d))
		}
		assert.Equal(t, s, s.Next().Before())
	}
	m, err := ParseReportSpan(ReportMonthly, "2026-02")
	require.NoError(t, err)
	assert.Equal(t, "2026-02-28", m.To.String())
	assert.Equal(t, "2026-01", m.Before().String())
	assert.Equal(t, "2026-03", m.Next().String())
	for _, bad := range []string{"", "2026-46", "2025-W53", "2026-W00", "2026-W54", "2026-W4", "2026-11-09", "x2026-W46"} {
		_, err := ParseReportSpan(ReportWeekly, bad)
		assert.Error(t, err, bad)
	}
	_, err = ParseReportSpan(ReportMonthly, "2026-W46")
	assert.Error(t, err)
}

func TestAReportIsDueAtItsHourInItsZoneAlsoWhenTheClocksChange(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	auckland, err := time.LoadLocation("Pacific/Auckland")
	require.NoError(t, err)
	week := func(of string) ReportSpan {
		s, err := ParseReportSpan(ReportWeekly, of)
		require.NoError(t, err)
		return s
	}
	utc := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339, s)
		require.NoError(t, err)
		return at
	}
	assert.Equal(t, utc("2026-03-23T06:00:00Z"), week("2026-W12").Due(7, berlin), "winter")
	assert.Equal(t, utc("2026-03-30T05:00:00Z"), week("2026-W13").Due(7, berlin), "the clocks have changed the day before")
	assert.Equal(t, utc("2026-10-26T06:00:00Z"), week("2026-W43").Due(7, berlin), "and back")
	assert.Equal(t, utc("2026-11-16T00:00:00Z"), week("2026-W46").Due(7, auckland), "Monday is there, but Sunday is not over in UTC")

	w := week("2026-W13")
	due := w.Due(7, berlin)
	assert.Equal(t, "2026-W12", DueSpan(ReportWeekly, due.Add(-time.Second), 7, berlin).String())
	assert.Equal(t, w, DueSpan(ReportWeekly, due, 7, berlin))
	assert.Equal(t, w, DueSpan(ReportWeekly, due.AddDate(0, 0, 6), 7, berlin))
	assert.Equal(t, "2026-W40", DueSpan(ReportWeekly, week("2026-W41").To.Start(), 7, berlin).String(), "after weeks away only the latest one")
	assert.Equal(t, "2026-10", DueSpan(ReportMonthly, utc("2026-11-01T06:00:00Z"), 7, berlin).String())
	assert.Equal(t, "2026-09", DueSpan(ReportMonthly, utc("2026-11-01T05:59:59Z"), 7, berlin).String())
	assert.True(t, w.Over(w.To.End()))
	assert.False(t, w.Over(w.To.End().Add(-1)))
}

func TestTheDaysOfAMonthCarryItsFixedCostsToTheLastDigit(t *testing.T) {
	months := []MonthFigures{
		{Month: Month{2026, time.October}, Fixed: []FixedCost{{Name: "a", EUR: decimal.NewFromInt(75), Platform: "p"}, {Name: "b", EUR: decimal.NewFromInt(48)}}},
		{Month: Month{2026, time.November}, Fixed: []FixedCost{{Name: "a", EUR: decimal.NewFromInt(30), Platform: "p"}}},
	}
	whole := AccruedFixed(months[:1], DayOf(months[0].Month.Start()), DayOf(months[0].Month.End()).Add(-1))
	require.Len(t, whole, 2)
	assert.Equal(t, "75", whole[0].EUR.String())
	assert.Equal(t, "48", whole[1].EUR.String())

	sum := decimal.Decimal{}
	for d := DayOf(months[0].Month.Start()); d.Before(DayOf(months[0].Month.End())); d = d.Add(1) {
		for _, c := range AccruedFixed(months, d, d) {
			sum = sum.Add(c.EUR)
		}
	}
	assert.Equal(t, "123", sum.String())

	week := AccruedFixed(months, DayOf(time.Date(2026, 10, 26, 0, 0, 0, 0, time.UTC)), DayOf(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)))
	require.Len(t, week, 2)
	assert.Equal(t, "a", week[0].Name)
	assert.Equal(t, "p", week[0].Platform)
	assert.True(t, week[0].EUR.Sub(decimal.RequireFromString("15.516129032")).Abs().LessThan(decimal.New(1, -8)), "6 of 31 days of 75, and 1 of 30 of 30: %s", week[0].EUR)
}

func TestCampaignsToActOnAreThoseToSpendLessOnFirst(t *testing.T) {
	row := func(id string, d CampaignDecision, cost string) CampaignRow {
		return CampaignRow{ID: id, Decision: d, Cost: *amount(cost)}
	}
	list, more := CampaignsToActOn([]CampaignRow{
		row("", DecideReduce, "100"), row("waiting", NotEnoughData, "90"), row("grow", DecideInvest, "80"),
		row("aim", DecideTargeting, "10"), row("flow", DecideWorkflow, "11"), row("cut", DecideReduce, "1"), row("cut-more", DecideReduce, "2"), row("grow-too", DecideInvest, "1"),
	})
	var ids []string
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	assert.Equal(t, []string{"cut-more", "cut", "flow", "aim", "grow"}, ids)
	assert.Equal(t, 1, more)
	list, more = CampaignsToActOn(nil)
	assert.NotNil(t, list)
	assert.Zero(t, more)
}

func TestWasteOfAReportLeavesOutWhatCostNothing(t *testing.T) {
	r := PeriodReport{Spend: NewReportSpend([]FixedCost{{EUR: decimal.NewFromInt(10)}}, decimal.NewFromInt(4), 7, 0)}
	assert.Equal(t, "14", r.Spend.TotalEUR.String())
	assert.Equal(t, "2", r.Spend.CostPerEmail.String())
	assert.Nil(t, r.Spend.CostPerMeeting, "no meeting has no cost")
	r.SetWaste([]WasteSum{{Kind: WasteFailed}, {Kind: WasteBounced, Count: 1, CostEUR: *amount("0.5")}, {Kind: WasteUnsent, Count: 2, CostEUR: *amount("1.5")}})
	require.Len(t, r.Waste, 2)
	assert.Equal(t, WasteUnsent, r.Waste[0].Kind)
	assert.NotEmpty(t, r.Waste[0].Advice)
	assert.Equal(t, "2", r.WasteTotal.String())
	assert.Equal(t, "0.5", r.WasteShare.String())
}
