package accounting

import (
	"time"

	"github.com/shopspring/decimal"
)

// ForecastSnapshot is what the end of a month was expected to cost on one of
// its days, EUR, without fixed costs.
type ForecastSnapshot struct {
	Day         Day // on which it was made; the month is its
	Model       ForecastModel
	History     int // whole days that it was made from
	Settled     decimal.Decimal
	Expected    decimal.Decimal
	Bounds80    Bounds
	Bounds95    Bounds
	DayExpected decimal.Decimal // of the day as a whole, from the days before it
}

// ForecastOutcome is a snapshot with what became of it.
type ForecastOutcome struct {
	ForecastSnapshot
	DayActual   Optional[decimal.Decimal] // unknown: the day is not over
	MonthActual Optional[decimal.Decimal] // unknown: the month is not over
}

// SnapshotForecast is the forecast of now's month from the daily costs in EUR.
// It reports false where the history is too short.
func SnapshotForecast(history CostHistory, now time.Time) (ForecastSnapshot, bool) {
	present := history.Present()
	settled := history.Today
	for d := len(history.Days) - 1; d >= 0 && MonthOf(history.First.Add(d).Start()) == MonthOf(now); d-- {
		settled = settled.Add(history.Days[d])
	}
	m := ForecastMonth(history, settled, decimal.Decimal{}, now)
	day, ok := ForecastCosts(history, present.Start(), present)
	if !ok || !m.Expected.Known {
		return ForecastSnapshot{}, false
	}
	return ForecastSnapshot{
		Day: present, Model: m.Rest.Model, History: m.Rest.History, Settled: settled, Expected: m.Expected.Value,
		Bounds80: m.Bounds80.Value, Bounds95: m.Bounds95.Value, DayExpected: day.Sum,
	}, true
}

const (
	// judgedAfter are the days of a month that are over when a forecast of its
	// end is first held to what it says.
	judgedAfter = 10
	// judgedDays are the days that the accuracy of daily forecasts needs.
	judgedDays = 7
)

// ForecastRecord is how forecasts have fared.
type ForecastRecord struct {
	Months int64 // snapshots of finished months that were judged
	Days   int64 // finished days that were judged

	// Accuracy is the mean of 1 − |expected − actual| ÷ actual, at least 0, over
	// the snapshots of finished months from their 11th day on.
	Accuracy Optional[decimal.Decimal]
	// In80 and In95 are the shares of these whose bounds held what came.
	In80, In95 Optional[decimal.Decimal]
	// Daily is 1 − the sum of |expected − actual| ÷ the sum of actual, at least
	// 0, over single days.
	Daily Optional[decimal.Decimal]
}

// JudgeForecasts compares forecasts with what became of them. A month that
// cost nothing is not judged.
func JudgeForecasts(outcomes []ForecastOutcome) ForecastRecord {
	var r ForecastRecord
	var hits, missed, spent decimal.Decimal
	var in80, in95 int64
	for i := range outcomes {
		o := &outcomes[i]
		if o.DayActual.Known {
			r.Days++
			missed = missed.Add(o.DayExpected.Sub(o.DayActual.Value).Abs())
			spent = spent.Add(o.DayActual.Value)
		}
		if !o.MonthActual.Known || !o.MonthActual.Value.IsPositive() || o.Day.Start().Day() <= judgedAfter {
			continue
		}
		r.Months++
		hits = hits.Add(closeTo(o.Expected.Sub(o.MonthActual.Value).Abs(), o.MonthActual.Value).Value)
		if o.Bounds80.hold(o.MonthActual.Value) {
			in80++
		}
		if o.Bounds95.hold(o.MonthActual.Value) {
			in95++
		}
	}
	r.Accuracy, r.In80, r.In95 = Per(hits, r.Months), Rate(in80, r.Months), Rate(in95, r.Months)
	if r.Days >= judgedDays {
		r.Daily = closeTo(missed, spent)
	}
	return r
}

// closeTo is 1 − missed ÷ actual, at least 0.
func closeTo(missed, actual decimal.Decimal) Optional[decimal.Decimal] {
	share := Quotient(missed, actual)
	if !share.Known {
		return share
	}
	return Some(decimal.Max(decimal.Decimal{}, decimal.NewFromInt(1).Sub(share.Value)))
}

func (b *Bounds) hold(amount decimal.Decimal) bool {
	return b.Low.LessThanOrEqual(amount) && b.High.GreaterThanOrEqual(amount)
}
