package settle

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

var bothPeriods = []accounting.ReportPeriod{accounting.ReportWeekly, accounting.ReportMonthly}

func newReports(t *testing.T, book *fakeReportBook, change func(*ReportsOptions)) *Reports {
	t.Helper()
	o := ReportsOptions{Book: book, Figures: &fakeFigures{spend: usd("7")}, Economics: Economics{Targets: accounting.DefaultTargets(), UnsentAfter: 14},
		Periods: bothPeriods, Hour: 7, Channels: 1}
	if change != nil {
		change(&o)
	}
	r, err := NewReports(o)
	require.NoError(t, err)
	return r
}

func moment(t *testing.T, s string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, s)
	require.NoError(t, err)
	return parsed
}

func TestReportsGoOutAtTheirHourInTheirZoneOverAChangeOfClocks(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	book := &fakeReportBook{since: moment(t, "2026-01-01T00:00:00Z")}
	r := newReports(t, book, func(o *ReportsOptions) { o.Zone = berlin })
	other := newReports(t, book, func(o *ReportsOptions) { o.Zone = berlin })
	for now := moment(t, "2026-03-22T00:00:00Z"); now.Before(moment(t, "2026-04-07T00:00:00Z")); now = now.Add(10 * time.Minute) {
		require.NoError(t, r.Check(t.Context(), now))
		require.NoError(t, other.Check(t.Context(), now))
	}
	sent := book.moments()
	assert.Equal(t, moment(t, "2026-03-22T00:00:00Z"), sent["2026-W11"], "the latest one before, made up for at the start")
	assert.Equal(t, moment(t, "2026-03-23T06:00:00Z"), sent["2026-W12"])
	assert.Equal(t, moment(t, "2026-03-30T05:00:00Z"), sent["2026-W13"], "summer time since the day before")
	assert.Equal(t, moment(t, "2026-04-01T05:00:00Z"), sent["2026-03"])
	assert.Equal(t, moment(t, "2026-04-06T05:00:00Z"), sent["2026-W14"])
	assert.Equal(t, moment(t, "2026-03-22T00:00:00Z"), sent["2026-02"])
	assert.Len(t, sent, 6)
}

func TestAfterWeeksAwayOnlyTheLatestReportIsMadeUpFor(t *testing.T) {
	book := &fakeReportBook{since: moment(t, "2026-01-01T00:00:00Z")}
	require.NoError(t, newReports(t, book, nil).Check(t.Context(), moment(t, "2026-03-02T07:00:00Z")))
	require.NoError(t, newReports(t, book, nil).Check(t.Context(), moment(t, "2026-05-20T12:00:00Z")))
	assert.Equal(t, map[string]time.Time{
		"2026-W09": moment(t, "2026-03-02T07:00:00Z"), "2026-02": moment(t, "2026-03-02T07:00:00Z"),
		"2026-W20": moment(t, "2026-05-20T12:00:00Z"), "2026-04": moment(t, "2026-05-20T12:00:00Z"),
	}, book.moments())
}

func TestANewInstallationReportsNothingOfTheTimeBeforeIt(t *testing.T) {
	book := &fakeReportBook{since: moment(t, "2026-11-18T10:00:00Z")}
	r := newReports(t, book, nil)
	for now := moment(t, "2026-11-18T10:00:00Z"); now.Before(moment(t, "2026-11-23T07:00:00Z")); now = now.Add(time.Hour) {
		require.NoError(t, r.Check(t.Context(), now))
	}
	assert.Empty(t, book.moments())
	assert.Zero(t, book.looks)
	require.NoError(t, r.Check(t.Context(), moment(t, "2026-11-23T07:00:00Z")))
	assert.Contains(t, book.moments(), "2026-W47")
}

func TestWithoutChannelsOrPeriodsNothingIsMade(t *testing.T) {
	book := &fakeReportBook{}
	for _, change := range []func(*ReportsOptions){func(o *ReportsOptions) { o.Channels = 0 }, func(o *ReportsOptions) { o.Periods = nil }} {
		require.NoError(t, newReports(t, book, change).Check(t.Context(), moment(t, "2026-11-23T07:00:00Z")))
	}
	assert.Empty(t, book.moments())
}

func TestAReportThatCouldNotBeSentIsSentLaterAndAskedForOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		book, log := &fakeReportBook{err: errors.New("connection refused")}, new(logBook)
		r := newReports(t, book, func(o *ReportsOptions) { o.Logger, o.Periods = log.logger(), bothPeriods[:1] })
		during(t, 5*time.Minute, r.Run)
		assert.Empty(t, book.moments())
		assert.Equal(t, 1, log.lines("trouble with sending reports"))
		book.err = nil
		during(t, time.Hour, r.Run)
		assert.Len(t, book.moments(), 1)
		assert.Equal(t, 1, book.looks, "what was sent is not asked for again")
	})
}

func TestAWeeklyReportIsOfTheWeekBesideTheOneBeforeAndJudgesCampaignsByFour(t *testing.T) {
	figures := &fakeFigures{spend: usd("7.123456789")}
	r := newReports(t, &fakeReportBook{}, func(o *ReportsOptions) { o.Figures = figures })
	span, err := accounting.ParseReportSpan(accounting.ReportWeekly, "2026-W46")
	require.NoError(t, err)
	made, err := r.Build(t.Context(), span, moment(t, "2026-11-16T07:00:00Z"))
	require.NoError(t, err)
	assert.Equal(t, []string{
		"months 2026-11 2026-11", "usage 2026-11-09 2026-11-15", "sums 2026-11-09 2026-11-15 waste 2026-11-02",
		"months 2026-11 2026-11", "usage 2026-11-02 2026-11-08", "sums 2026-11-02 2026-11-08 waste 2026-11-02",
		"months 2026-10 2026-11", "emails 2026-10-19 2026-11-15", "campaigns 2026-10-19 2026-11-15 all limit 1000",
		"waste 2026-11-09 2026-11-15", "months 2026-11 2026-11", "history 2026-07-19 2026-11-16",
	}, figures.questions())
	assert.Equal(t, "7.123456789", made.Spend.AIEUR.String())
	assert.Equal(t, "7.2333333333", made.Spend.FixedEUR.Round(10).String(), "7 of the month's 30 days of 31 EUR")
	assert.EqualValues(t, 100, made.Spend.Emails)
	require.Len(t, made.Campaigns, 1)
	assert.Equal(t, accounting.DecideReduce, made.Campaigns[0].Decision)
	require.Len(t, made.Waste, 1)
	require.NotNil(t, made.Forecast)
	assert.NotNil(t, made.Forecast.Expected)
	assert.Equal(t, "77", made.Forecast.AIBudget.String())
	assert.EqualValues(t, 7, made.Open.OpenCalls)

	made, err = r.Build(t.Context(), span, moment(t, "2026-11-23T00:00:00Z"))
	require.NoError(t, err)
	assert.Nil(t, made.Forecast, "of an older week it would be about another time")
}

func TestAMonthlyReportHasTheMonthsOwnFigures(t *testing.T) {
	figures := &fakeFigures{spend: usd("7")}
	r := newReports(t, &fakeReportBook{}, func(o *ReportsOptions) { o.Figures = figures })
	span, err := accounting.ParseReportSpan(accounting.ReportMonthly, "2026-10")
	require.NoError(t, err)
	made, err := r.Build(t.Context(), span, moment(t, "2026-11-01T07:00:00Z"))
	require.NoError(t, err)
	assert.Equal(t, []string{"months 2026-10 2026-10", "months 2026-09 2026-09", "months 2026-10 2026-10", "emails 2026-10-01 2026-10-31", "campaigns 2026-10-01 2026-10-31 all limit 1000",
		"waste 2026-10-01 2026-10-31", "months 2026-11 2026-11", "history 2026-07-04 2026-11-01"}, figures.questions())
	assert.Equal(t, "38", made.Spend.TotalEUR.String())
	assert.EqualValues(t, 200, made.Spend.Emails)
	assert.Equal(t, accounting.Month{Year: 2026, Month: time.November}, made.Forecast.Month)
}

func TestAReportTravelsAsAnAlertForEveryChannelWithADocumentBesideItsText(t *testing.T) {
	book := &fakeReportBook{since: moment(t, "2026-01-01T00:00:00Z")}
	r := newReports(t, book, nil)
	require.NoError(t, r.Check(t.Context(), moment(t, "2026-11-16T07:00:00Z")))
	a := book.sent["2026-W46"]
	assert.Equal(t, "report/weekly/2026-W46", a.Key)
	assert.Equal(t, accounting.AlertReport, a.Kind)
	assert.Equal(t, accounting.SeverityInfo, a.Severity)
	assert.Equal(t, accounting.SeverityCritical, a.DeliverAs)
	assert.Contains(t, a.Title, "Week 46 of 2026")
	assert.Contains(t, a.Text, "STILL OPEN\n7 calls have no cost yet")
	assert.Contains(t, a.HTML, "<!DOCTYPE html>")
	assert.JSONEq(t, `{"period":"weekly","of":"2026-W46"}`, string(a.Data))

	span, err := accounting.ParseReportSpan(accounting.ReportWeekly, "2026-W46")
	require.NoError(t, err)
	first, err := r.SendNow(t.Context(), span, "ada", moment(t, "2026-11-17T07:00:00Z"))
	require.NoError(t, err)
	again, err := r.SendNow(t.Context(), span, "bob", moment(t, "2026-11-17T07:00:01Z"))
	require.NoError(t, err)
	assert.Len(t, map[string]bool{a.Key: true, first.Key: true, again.Key: true}, 3, "by hand it goes out each time")
	assert.Equal(t, []string{"ada", "bob"}, book.byWho)
}

func TestOptionsOfReportsAreChecked(t *testing.T) {
	for _, o := range []ReportsOptions{{}, {Book: &fakeReportBook{}}, {Book: &fakeReportBook{}, Figures: &fakeFigures{}, Hour: 24}, {Book: &fakeReportBook{}, Figures: &fakeFigures{}, Timeout: -1}} {
		_, err := NewReports(o)
		assert.Error(t, err)
	}
}
