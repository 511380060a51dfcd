package accounting

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// ReportPeriod is how often a report is sent.
type ReportPeriod string

// The periods.
const (
	ReportWeekly  ReportPeriod = "weekly"  // of an ISO 8601 week, sent on the Monday after
	ReportMonthly ReportPeriod = "monthly" // of a calendar month, sent on the 1st of the next
)

// ReportSpan is what one report is about: a week or a month of UTC days, as all
// sums are.
type ReportSpan struct {
	Period   ReportPeriod
	From, To Day // both included
}

// SpanOf is the span of a period that holds a day.
func SpanOf(p ReportPeriod, d Day) ReportSpan {
	if p == ReportMonthly {
		m := MonthOf(d.Start())
		return ReportSpan{Period: p, From: DayOf(m.Start()), To: DayOf(m.End()).Add(-1)}
	}
	monday := d.Add(-(int(d.Start().Weekday()) + 6) % 7)
	return ReportSpan{Period: p, From: monday, To: monday.Add(6)}
}

var weekForm = regexp.MustCompile(`^([0-9]{4})-W([0-9]{2})$`)

// ParseReportSpan reads the form of [ReportSpan.String].
func ParseReportSpan(p ReportPeriod, of string) (ReportSpan, error) {
	if p == ReportMonthly {
		m, err := ParseMonth(of)
		if err != nil {
			return ReportSpan{}, err
		}
		return SpanOf(p, DayOf(m.Start())), nil
	}
	bad := fmt.Errorf("%q is not a week such as 2026-W46", of)
	parts := weekForm.FindStringSubmatch(of)
	if parts == nil {
		return ReportSpan{}, bad
	}
	year, _ := strconv.Atoi(parts[1])
	week, _ := strconv.Atoi(parts[2])
	// The 4th of January is always in the first week (ISO 8601).
	s := SpanOf(ReportWeekly, DayOf(time.Date(year, 1, 4, 0, 0, 0, 0, time.UTC)).Add(7*(week-1)))
	if s.String() != of {
		return ReportSpan{}, bad
	}
	return s, nil
}

// String is the week, 2026-W46, or the month, 2026-10, by ISO 8601.
func (s ReportSpan) String() string {
	if s.Period == ReportMonthly {
		return MonthOf(s.From.Start()).String()
	}
	year, week := s.From.Start().ISOWeek()
	return fmt.Sprintf("%04d-W%02d", year, week)
}

// Before is the span before this one.
func (s ReportSpan) Before() ReportSpan { return SpanOf(s.Period, s.From.Add(-1)) }

// Next is the span after this one.
func (s ReportSpan) Next() ReportSpan { return SpanOf(s.Period, s.To.Add(1)) }

// Over reports whether all of the span's days have ended.
func (s ReportSpan) Over(now time.Time) bool { return !now.Before(s.To.End()) }

// Due is when the span's report is sent: at an hour of the day after it, in a
// time zone, but not before its last UTC day has ended. An hour that the clocks
// leave out, or have twice, is one of the two that stand for it.
func (s ReportSpan) Due(hour int, zone *time.Location) time.Time {
	after := s.To.End()
	due := time.Date(after.Year(), after.Month(), after.Day(), hour, 0, 0, 0, zone)
	if due.Before(after) {
		return after
	}
	return due.UTC()
}

// DueSpan is the latest span of a period whose report is due at now. Earlier
// ones that were missed stay missed.
func DueSpan(p ReportPeriod, now time.Time, hour int, zone *time.Location) ReportSpan {
	s := SpanOf(p, DayOf(now)).Before()
	if s.Due(hour, zone).After(now) {
		return s.Before()
	}
	return s
}
