package accounting

import (
	"fmt"
	"time"
)

// Period is how long a budget's limit lasts.
type Period string

// The periods. Days, weeks (ISO 8601, from Monday) and months are those of the
// budget's time zone; around a change of clocks a day has 23 or 25 hours.
const (
	PeriodDay   Period = "day"
	PeriodWeek  Period = "week"
	PeriodMonth Period = "month"
	PeriodTotal Period = "total"
)

// TotalStart is where the only window of [PeriodTotal] begins.
var TotalStart = time.Unix(0, 0).UTC()

// Window is the window of the period that holds at: from start (included) to
// end (not included), both in UTC. The end of [PeriodTotal] is the zero time.
func (p Period) Window(at time.Time, zone *time.Location) (start, end time.Time) {
	year, month, day := at.In(zone).Date()
	switch p {
	case PeriodDay:
		return midnight(year, month, day, zone), midnight(year, month, day+1, zone)
	case PeriodWeek:
		monday := day - (int(at.In(zone).Weekday())+6)%7
		return midnight(year, month, monday, zone), midnight(year, month, monday+7, zone)
	case PeriodMonth:
		return midnight(year, month, 1, zone), midnight(year, month+1, 1, zone)
	}
	return TotalStart, time.Time{}
}

// midnight is the first moment of a calendar day. Where the clocks skip
// midnight, time.Date answers with an hour before or after; the first moment
// of the day is then the change itself.
func midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, 0, 0, 0, 0, zone)
	_, _, want := time.Date(year, month, day, 12, 0, 0, 0, zone).Date()
	if _, _, got := t.Date(); got == want {
		return t.UTC()
	}
	if _, change := t.ZoneBounds(); !change.IsZero() {
		return change.UTC()
	}
	return t.UTC()
}

// LoadZone is the time zone of an IANA name. The empty name is an error, and so
// is Local, which means something else on each machine.
func LoadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("%q is not a time zone: use an IANA name such as UTC or Europe/Berlin", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is not a time zone: use an IANA name such as UTC or Europe/Berlin", name)
	}
	return zone, nil
}
