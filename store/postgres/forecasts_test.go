package postgres

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestDailyCostsAreOfTheScopeThatWasAskedFor(t *testing.T) {
	s := newStore(t)
	q4, other := closed(noon, "gen-1", "1"), closed(noon.AddDate(0, 0, 2), "gen-2", "0.5")
	q4.Tags = accounting.Tags{CampaignID: "q4", Purpose: "research", Platform: "instantly"}
	other.Tags = accounting.Tags{CampaignID: "q1"}
	ship(t, s, q4, other)
	_, err := s.pool.Exec(t.Context(), `INSERT INTO exchange_rates (day, usd_to_eur, source) VALUES ('2026-11-23', 0.8, 'api')`)
	require.NoError(t, err)

	histories, err := s.CostHistories(t.Context(), onDay(t, "2026-11-21"), onDay(t, "2026-11-24"), accounting.EUR, []accounting.Scope{
		{}, {CampaignID: "q4"}, {CampaignID: "q4", Platform: "instantly"}, {Purpose: "research"}, {CampaignID: "q4", Purpose: "research"}, {Model: q4.Model}, {Key: "none"},
	})
	require.NoError(t, err)
	text := func(h accounting.Optional[accounting.CostHistory]) (list []string) {
		for _, d := range append(h.Value.Days, h.Value.Today) {
			list = append(list, d.String())
		}
		return list
	}
	assert.Equal(t, []string{"0", "0.92", "0", "0.4"}, text(histories[0]))
	assert.Equal(t, []string{"0", "0.92", "0", "0"}, text(histories[1]))
	assert.False(t, histories[2].Known, "of a campaign on a platform there are no daily sums")
	assert.Equal(t, text(histories[1]), text(histories[3]))
	assert.Equal(t, text(histories[1]), text(histories[4]))
	assert.Equal(t, text(histories[0]), text(histories[5]))
	assert.Equal(t, []string{"0", "0", "0", "0"}, text(histories[6]))
	assert.Equal(t, onDay(t, "2026-11-24"), histories[0].Value.Present())

	dollars, err := s.CostHistories(t.Context(), onDay(t, "2026-11-22"), onDay(t, "2026-11-22"), accounting.USD, []accounting.Scope{{}})
	require.NoError(t, err)
	assert.Equal(t, []string{"1"}, text(dollars[0]))
}

func forecastOf(t *testing.T, day, expected string) accounting.ForecastSnapshot {
	t.Helper()
	e := dec(expected)
	around := accounting.Bounds{Low: accounting.Amount{Decimal: e.Sub(decimal.NewFromInt(1))}, High: accounting.Amount{Decimal: e.Add(decimal.NewFromInt(1))}}
	return accounting.ForecastSnapshot{Day: onDay(t, day), Model: accounting.ModelHoltWinters, History: 30,
		Settled: dec("0.5"), Expected: e, Bounds80: around, Bounds95: around, DayExpected: dec("0.9")}
}

// newForecastStore is a store without forecasts.
func newForecastStore(t *testing.T) *Store {
	t.Helper()
	s := newStore(t)
	_, err := s.pool.Exec(t.Context(), `DELETE FROM forecasts`)
	require.NoError(t, err)
	return s
}

func TestOfManyReplicasOneMakesTheForecastOfADay(t *testing.T) {
	s := newForecastStore(t)
	made, err := s.Forecasted(t.Context(), onDay(t, "2026-11-22"))
	require.NoError(t, err)
	require.False(t, made)
	var wg sync.WaitGroup
	var first atomic.Int32
	for range 8 {
		wg.Go(func() {
			made, err := s.SaveForecast(t.Context(), forecastOf(t, "2026-11-22", "10"))
			assert.NoError(t, err)
			if made {
				first.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, first.Load())
	made, err = s.Forecasted(t.Context(), onDay(t, "2026-11-22"))
	require.NoError(t, err)
	require.True(t, made)

	bad := forecastOf(t, "2026-11-23", "10")
	bad.Bounds80.Low = accounting.Amount{Decimal: dec("11")}
	_, err = s.SaveForecast(t.Context(), bad)
	require.ErrorContains(t, err, "forecasts_nested_check")
}

func TestAForecastIsComparedWithWhatItsDayAndMonthCost(t *testing.T) {
	s := newForecastStore(t)
	ship(t, s, closed(noon, "gen-1", "1"), closed(noon.AddDate(0, 0, 3), "gen-2", "2"), closed(noon.AddDate(0, 0, 10), "gen-3", "100"))
	for _, day := range []string{"2026-11-22", "2026-11-25", "2026-12-01"} {
		_, err := s.SaveForecast(t.Context(), forecastOf(t, day, "3"))
		require.NoError(t, err)
	}
	before, err := s.ForecastOutcomes(t.Context(), onDay(t, "2026-11-01"), onDay(t, "2026-12-31"), onDay(t, "2026-11-25"))
	require.NoError(t, err)
	require.Len(t, before, 3)
	assert.Equal(t, "0.92", before[0].DayActual.Value.String())
	assert.False(t, before[1].DayActual.Known, "the day is not over")
	assert.False(t, before[0].MonthActual.Known, "nor is the month")

	after, err := s.ForecastOutcomes(t.Context(), onDay(t, "2026-11-01"), onDay(t, "2026-12-31"), onDay(t, "2026-12-01"))
	require.NoError(t, err)
	assert.Equal(t, "2.76", after[0].MonthActual.Value.String())
	assert.Equal(t, "1.84", after[1].DayActual.Value.String())
	assert.Equal(t, "2.76", after[1].MonthActual.Value.String())
	assert.False(t, after[2].MonthActual.Known)
	record := accounting.JudgeForecasts(after)
	assert.EqualValues(t, 2, record.Months)
	assert.Equal(t, "0.9130434783", record.Accuracy.Value.String())
	assert.Equal(t, "1", record.In80.Value.String())
	assert.False(t, record.Daily.Known, "two days are too few")
}

func TestTheSumsOfKeyFiguresEqualTheCampaigns(t *testing.T) {
	s := newStore(t)
	ada, bob := forLead(noon, "ada", "gen-1", "1"), forLead(noon, "bob", "gen-2", "2")
	untagged := closed(noon, "gen-3", "4")
	untagged.Tags = accounting.Tags{}
	ship(t, s, ada, bob, untagged)
	sent, met := happened(accounting.EmailSent, "ada", noon), happened(accounting.MeetingBooked, "ada", noon.AddDate(0, 0, 3))
	sent.CampaignID, met.CampaignID = ada.Tags.CampaignID, ada.Tags.CampaignID
	record(t, s, sent, met)
	from, to, late := onDay(t, "2026-11-01"), onDay(t, "2026-11-30"), onDay(t, "2026-12-15")
	value := accounting.MeetingValue{}

	k, err := s.KPISums(t.Context(), from, to, late, value)
	require.NoError(t, err)
	assert.Equal(t, "6.44", k.AICost.String())
	assert.Equal(t, "1.84", k.UnsentCost.String(), "bob")
	assert.Equal(t, []int64{2, 1, 1, 1, 1, 3}, []int64{k.ProcessedLeads, k.SentLeads, k.Emails, k.Meetings, k.Returned, k.ReturnDays})
	assert.False(t, k.Value.Known, "nobody has told what a meeting is worth")
	assert.True(t, k.ValuedCost.IsZero())

	each := accounting.Amount{Decimal: dec("1000")}
	_, err = s.PutCampaign(t.Context(), accounting.CampaignSettings{ID: ada.Tags.CampaignID, MeetingValue: &each, Currency: accounting.USD}, "test")
	require.NoError(t, err)
	_, err = s.pool.Exec(t.Context(), `INSERT INTO alerts (key, kind, severity, subject, title, text, created_at, acknowledged_at) VALUES
		('a', 'x', 'warning', 's', 't', 't', '2026-11-30 23:59:59+00', '2026-12-01 05:00+00'), ('b', 'x', 'critical', 's', 't', 't', '2026-11-01 00:00+00', '2026-11-03 00:00+00'),
		('c', 'x', 'info', 's', 't', 't', '2026-11-02 00:00+00', NULL), ('d', 'x', 'warning', 's', 't', 't', '2026-12-01 00:00+00', NULL)`)
	require.NoError(t, err)
	k, err = s.KPISums(t.Context(), from, to, late, value)
	require.NoError(t, err)
	assert.Equal(t, "920", k.Value.Value.String())
	assert.Equal(t, "2.76", k.ValuedCost.String(), "not what belongs to no campaign")
	assert.Equal(t, []int64{2, 1}, []int64{k.Alerts, k.AlertsHandled})

	value.Default = accounting.Some(dec("5"))
	k, err = s.KPISums(t.Context(), from, to, late, value)
	require.NoError(t, err)
	assert.Equal(t, "920", k.Value.Value.String(), "the campaign's own counts before the default")
	assert.Equal(t, "6.44", k.ValuedCost.String())

	empty, err := s.KPISums(t.Context(), onDay(t, "2026-01-01"), onDay(t, "2026-01-31"), late, value)
	require.NoError(t, err)
	assert.True(t, empty.AICost.IsZero())
	assert.False(t, empty.Value.Known)
}
