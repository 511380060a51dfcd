package accounting

import (
	"fmt"
	"time"
)

const secondsOfDay = 24 * 60 * 60

// Day is a calendar day in UTC, the unit in which OpenRouter reports. The zero
// Day is 1970-01-01.
type Day struct{ number int64 } // days since then

// DayOf is the UTC day that holds t.
func DayOf(t time.Time) Day {
	seconds := t.Unix()
	number := seconds / secondsOfDay
	if seconds%secondsOfDay < 0 {
		number--
	}
	return Day{number}
}

// ParseDay reads the form of [Day.String].
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return Day{}, fmt.Errorf("%q is not a day such as 2026-11-22", s)
	}
	return DayOf(t), nil
}

// Start is 00:00 UTC of the day.
func (d Day) Start() time.Time { return time.Unix(d.number*secondsOfDay, 0).UTC() }

// End is the start of the next day.
func (d Day) End() time.Time { return d.Add(1).Start() }

// Add is the day n days later.
func (d Day) Add(n int) Day { return Day{d.number + int64(n)} }

// Before reports whether d is earlier than other.
func (d Day) Before(other Day) bool { return d.number < other.number }

// String is the day by ISO 8601, 2026-11-22.
func (d Day) String() string { return d.Start().Format(time.DateOnly) }

// MarshalText writes the form of [Day.String].
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what [Day.MarshalText] writes.
func (d *Day) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDay(string(text))
	return err
}

// Month is a calendar month in UTC.
type Month struct {
	Year  int
	Month time.Month
}

// MonthOf is the UTC month that holds t.
func MonthOf(t time.Time) Month {
	year, month, _ := t.UTC().Date()
	return Month{year, month}
}

const monthForm = "2006-01"

// ParseMonth reads the form of [Month.String].
func ParseMonth(s string) (Month, error) {
	t, err := time.Parse(monthForm, s)
	if err != nil {
		return Month{}, fmt.Errorf("%q is not a month such as 2026-11", s)
	}
	return MonthOf(t), nil
}

// Start is 00:00 UTC of the month's first day.
func (m Month) Start() time.Time { return time.Date(m.Year, m.Month, 1, 0, 0, 0, 0, time.UTC) }

// End is the start of the next month.
func (m Month) End() time.Time { return m.Next().Start() }

// Next is the month after m.
func (m Month) Next() Month { return MonthOf(time.Date(m.Year, m.Month+1, 1, 0, 0, 0, 0, time.UTC)) }

// Before reports whether m is earlier than other.
func (m Month) Before(other Month) bool {
	return m.Year < other.Year || m.Year == other.Year && m.Month < other.Month
}

// String is the month by ISO 8601, 2026-11.
func (m Month) String() string { return m.Start().Format(monthForm) }

// MarshalText writes the form of [Month.String].
func (m Month) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what [Month.MarshalText] writes.
func (m *Month) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMonth(string(text))
	return err
}
