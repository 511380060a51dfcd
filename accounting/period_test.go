package accounting_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bursar/accounting"
)

func TestTheWindowsOfAPeriodFollowEachOtherWithoutAGap(t *testing.T) {
	// Cairo, Beirut and Santiago change their clocks at midnight; Lord Howe by
	// half an hour; Apia skipped a whole day.
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Asia/Beirut", "America/Santiago", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := accounting.LoadZone(rapid.SampledFrom(zones).Draw(t, "zone"))
		require.NoError(t, err)
		period := rapid.SampledFrom([]accounting.Period{accounting.PeriodDay, accounting.PeriodWeek, accounting.PeriodMonth}).Draw(t, "period")
		at := time.Unix(rapid.Int64Range(1.2e9, 2.2e9).Draw(t, "at"), 0)
		start, end := period.Window(at, zone)
		require.False(t, at.Before(start), "%s in %s to %s", at, start, end)
		require.True(t, at.Before(end), "%s in %s to %s", at, start, end)
		again, _ := period.Window(start, zone)
		require.Equal(t, start, again, "the first moment is in the window")
		next, _ := period.Window(end, zone)
		require.Equal(t, end, next, "the end is the start of the next")
		last, _ := period.Window(end.Add(-time.Nanosecond), zone)
		require.Equal(t, start, last, "the last moment is in the window")
	})
}

func TestDaysAreLongerAndShorterWhereClocksChange(t *testing.T) {
	berlin, err := accounting.LoadZone("Europe/Berlin")
	require.NoError(t, err)
	for day, hours := range map[string]float64{"2026-03-29": 23, "2026-10-25": 25, "2026-11-22": 24} {
		noon, err := time.ParseInLocation("2006-01-02 15:04", day+" 12:00", berlin)
		require.NoError(t, err)
		start, end := accounting.PeriodDay.Window(noon, berlin)
		assert.InDelta(t, hours, end.Sub(start).Hours(), 0, day)
		assert.Equal(t, time.UTC, start.Location())
	}
}

func TestADayThatHasNoMidnightBeginsWithItsFirstMoment(t *testing.T) {
	cairo, err := accounting.LoadZone("Africa/Cairo")
	require.NoError(t, err)
	// On 26 April 2024 clocks went from 00:00 to 01:00, which was 22:00 UTC.
	start, end := accounting.PeriodDay.Window(time.Date(2024, 4, 26, 12, 0, 0, 0, cairo), cairo)
	assert.Equal(t, "2024-04-25T22:00:00Z", start.Format(time.RFC3339))
	assert.InDelta(t, 23, end.Sub(start).Hours(), 0)
}

func TestWeeksBeginOnMondayAndMonthsOnTheFirstOfTheZone(t *testing.T) {
	tokyo, err := accounting.LoadZone("Asia/Tokyo")
	require.NoError(t, err)
	// Sunday 22 November 2026, 16:00 UTC, is Monday in Tokyo.
	at := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	start, end := accounting.PeriodWeek.Window(at, time.UTC)
	assert.Equal(t, []string{"2026-11-16", "2026-11-23"}, []string{start.Format(time.DateOnly), end.Format(time.DateOnly)})
	start, _ = accounting.PeriodWeek.Window(at, tokyo)
	assert.Equal(t, "2026-11-22T15:00:00Z", start.Format(time.RFC3339))
	start, end = accounting.PeriodMonth.Window(time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC), time.UTC)
	assert.Equal(t, []string{"2026-12-01", "2027-01-01"}, []string{start.Format(time.DateOnly), end.Format(time.DateOnly)})
	start, end = accounting.PeriodTotal.Window(at, tokyo)
	assert.Equal(t, accounting.TotalStart, start)
	assert.True(t, end.IsZero())
}

func TestATimeZoneIsNamedAndTheSameOnEachMachine(t *testing.T) {
	for _, name := range []string{"", "Local", "Berlin", "UTC+1", "../etc/passwd"} {
		_, err := accounting.LoadZone(name)
		assert.ErrorContains(t, err, "IANA", name)
	}
}
