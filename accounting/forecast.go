package accounting

import (
	"time"

	"github.com/shopspring/decimal"
)

// CostHistory is what days have cost, in one currency.
type CostHistory struct {
	First Day               // of Days
	Days  []decimal.Decimal // whole UTC days without a gap; one without calls cost 0
	Today decimal.Decimal   // the day after them, so far
}

// Present is the day of Today.
func (h *CostHistory) Present() Day { return h.First.Add(len(h.Days)) }

// Trimmed is the history from its first day with a cost on: the days before
// the first call say nothing about those to come.
func (h CostHistory) Trimmed() CostHistory {
	for len(h.Days) > 0 && h.Days[0].IsZero() {
		h.Days, h.First = h.Days[1:], h.First.Add(1)
	}
	return h
}

// MinForecastDays is how many whole days of history a forecast needs, so that
// every weekday was seen.
const MinForecastDays = 7

// MaxForecastDays is how many days of history a forecast looks at.
const MaxForecastDays = 120

// ForecastModel is how a forecast was made.
type ForecastModel string

// The models, by what the history allows.
const (
	// ModelHoltWinters: damped additive Holt-Winters with a weekly season,
	// from 21 whole days on.
	ModelHoltWinters ForecastModel = "holt_winters"
	// ModelWeekdayMean: the mean of the latest 14 days with as much of a
	// weekday pattern as they show, from 7 whole days on.
	ModelWeekdayMean ForecastModel = "weekday_mean"
	// ModelNone: there are fewer days than [MinForecastDays].
	ModelNone ForecastModel = NotEnoughData
)

// CostForecast is what days are expected to cost. Its figures are statistics:
// they are rounded to [forecastPlaces] decimals and not exact as costs are.
type CostForecast struct {
	Model   ForecastModel
	History int           // whole days that it was made from
	Days    []ForecastDay // from the present day on; of that one only the rest
	Sum     decimal.Decimal
	Sum80   Interval // that holds the sum with 80 %
	Sum95   Interval
}

// ForecastDay is what one UTC day is expected to cost. Of the present day it is
// what is still to come.
type ForecastDay struct {
	Day      Day    `json:"day"`
	Expected Amount `json:"expected"`
}

const (
	forecastPaths  = 1000
	forecastPlaces = 6
)

// ForecastCosts is what is still to be spent from now to the end of the day
// until. It reports false where the history is too short; an until before the
// present day leaves nothing to come.
//
// The rest of the present day is expected to cost its share by the clock of
// what the whole day is expected to.
func ForecastCosts(history CostHistory, now time.Time, until Day) (CostForecast, bool) {
	h := history.Trimmed()
	if skip := len(h.Days) - MaxForecastDays; skip > 0 {
		h.Days, h.First = h.Days[skip:], h.First.Add(skip)
	}
	forecast := CostForecast{Model: ModelNone, History: len(h.Days), Days: []ForecastDay{}}
	if len(h.Days) < MinForecastDays {
		return forecast, false
	}
	values := make([]float64, len(h.Days))
	for i, d := range h.Days {
		values[i] = statistic(d)
	}
	model, f := fit(values, weekday(h.First))
	forecast.Model = model
	present := h.Present()
	days := int(max(0, until.number-present.number+1))
	paths := f.paths(forecastPaths, days, weekday(present))
	rest := restOfDay(present, now)
	expected, sums := make([]float64, days), make([]float64, len(paths))
	for p, path := range paths {
		for i, cost := range path {
			if i == 0 {
				cost *= rest
			}
			expected[i] += cost / forecastPaths
			sums[p] += cost
		}
	}
	for i, e := range expected {
		day := ForecastDay{present.Add(i), Amount{expectation(e)}}
		forecast.Days = append(forecast.Days, day)
		forecast.Sum = forecast.Sum.Add(day.Expected.Decimal)
	}
	centre := statistic(forecast.Sum)
	forecast.Sum80, forecast.Sum95 = intervalAround(sums, 0.80, centre), intervalAround(sums, 0.95, centre)
	return forecast, true
}

// restOfDay is the share of the day that is still to come at now.
func restOfDay(d Day, now time.Time) float64 {
	rest := d.End().Sub(now).Hours() / 24
	return min(1, max(0, rest))
}

// weekday counts from Sunday, as [time.Weekday].
func weekday(d Day) int { return int(d.Start().Weekday()) }

// expectation is a statistic in the form of an amount. It is an estimate, to be
// shown as one, and never part of a cost.
func expectation(f float64) decimal.Decimal {
	return decimal.NewFromFloat(f).Round(forecastPlaces) //nolint:forbidigo // see above
}

// RunsOut is when an amount that is left will be spent at the pace of the
// forecast, taking a day's cost as spread evenly over it. Unknown: not within
// the days of the forecast. What is not above zero has run out at now.
func (f *CostForecast) RunsOut(left decimal.Decimal, now time.Time) Optional[time.Time] {
	if !left.IsPositive() {
		return Some(now)
	}
	for _, d := range f.Days {
		if d.Expected.LessThan(left) || d.Expected.IsZero() {
			left = left.Sub(d.Expected.Decimal)
			if !left.IsPositive() {
				return Some(d.Day.End())
			}
			continue
		}
		begins := d.Day.Start()
		if begins.Before(now) {
			begins = now
		}
		share := statistic(left) / statistic(d.Expected.Decimal)
		return Some(begins.Add(time.Duration(share * float64(d.Day.End().Sub(begins)))).Truncate(time.Second))
	}
	return Optional[time.Time]{}
}

// WeekdayCost is what a day of the week has cost on average.
type WeekdayCost struct {
	Weekday string  `json:"weekday"` // monday to sunday
	Days    int64   `json:"days"`    // that the mean is of
	Mean    *Amount `json:"mean"`    // null: there was none
	Share   *Amount `json:"share"`   // of a week; null: nothing was spent, or a weekday is missing
}

// patternDays are the latest days that the pattern of weekdays is of.
const patternDays = 8 * daysOfWeek

// WeekdayPattern is the mean cost of each weekday over the latest eight weeks
// of whole days, Monday first.
func (h CostHistory) WeekdayPattern() []WeekdayCost {
	h = h.Trimmed()
	if skip := len(h.Days) - patternDays; skip > 0 {
		h.Days, h.First = h.Days[skip:], h.First.Add(skip)
	}
	var sums [daysOfWeek]decimal.Decimal
	var counts [daysOfWeek]int64
	for i, d := range h.Days {
		w := weekday(h.First.Add(i))
		sums[w] = sums[w].Add(d)
		counts[w]++
	}
	var week decimal.Decimal
	complete := true
	for w := range sums {
		mean := Per(sums[w], counts[w])
		week, complete = week.Add(mean.Value), complete && mean.Known
	}
	pattern := make([]WeekdayCost, 0, daysOfWeek)
	for i := range daysOfWeek {
		w := (i + 1) % daysOfWeek
		mean := Per(sums[w], counts[w])
		row := WeekdayCost{Weekday: weekdayNames[w], Days: counts[w], Mean: AmountOf(mean)}
		if complete {
			row.Share = AmountOf(Quotient(mean.Value, week))
		}
		pattern = append(pattern, row)
	}
	return pattern
}

var weekdayNames = [...]string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
