package accounting

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
)

// A shape makes daily costs: of the nth day before (negative) or in the month.
type shape struct {
	name string
	cost func(day, weekday int, random *rand.Rand) float64
}

const monthDays = 30

// The generated shapes. Noise is that of a log-normal factor, as costs have it.
var shapes = []shape{
	{"steady", func(_, _ int, r *rand.Rand) float64 { return 3 * noise(r, 0.15) }},
	{"weekday", func(_, w int, r *rand.Rand) float64 { return onWeekday(w) * noise(r, 0.2) }},
	{"growing", func(d, w int, r *rand.Rand) float64 {
		return onWeekday(w) * math.Pow(1.015, float64(d)) * noise(r, 0.2)
	}},
	{"bursty", func(_, w int, r *rand.Rand) float64 {
		cost := onWeekday(w) * 0.5 * noise(r, 0.3)
		if r.Float64() < 0.1 {
			cost += 15 * noise(r, 0.5)
		}
		return cost
	}},
	{"level shift", func(d, w int, r *rand.Rand) float64 {
		cost := onWeekday(w) * noise(r, 0.2)
		if d >= 7 {
			cost *= 2
		}
		return cost
	}},
}

func noise(r *rand.Rand, sigma float64) float64 {
	return math.Exp(sigma*r.NormFloat64() - sigma*sigma/2)
}

// onWeekday is full on working days and little on Saturdays and Sundays.
func onWeekday(w int) float64 {
	if w == 0 || w == 6 {
		return 0.5
	}
	return 4
}

// outcome is how forecasts of the same kind have fared.
type outcome struct {
	n                            int
	ours, naive, seasonal        float64 // sums of |error| ÷ actual, of the AI cost
	total                        float64 // as ours, of the month with 123 EUR of fixed costs
	in80, in95, exact, exactFull int     // exact: within 5 %
}

func (o *outcome) mean(sum float64) float64 { return 100 * sum / float64(o.n) }

// backtest forecasts the end of generated months after some days, with the
// history of before days.
func backtest(s shape, before, after, series int) (o outcome) {
	for k := range series {
		r := rand.New(rand.NewPCG(uint64(k), 7))
		first := Day{int64(20000 + k%daysOfWeek)}
		var values []float64
		for d := -before; d < monthDays; d++ {
			values = append(values, s.cost(d, weekday(first.Add(d)), r))
		}
		o.add(values, before, after, first)
	}
	return o
}

func (o *outcome) add(values []float64, before, after int, first Day) {
	const fixed = 123
	h := CostHistory{First: first.Add(-before)}
	for _, v := range values[:before+after] {
		h.Days = append(h.Days, decimal.NewFromFloat(v))
	}
	f, ok := ForecastCosts(h, h.Present().Start(), first.Add(monthDays-1))
	if !ok {
		return
	}
	var settled, actual, naive, seasonal float64
	known := values[:before+after]
	for i, v := range values[before:] {
		actual += v
		if i < after {
			settled += v
			continue
		}
		naive += known[len(known)-1]
		seasonal += known[len(known)-daysOfWeek+(i-after)%daysOfWeek]
	}
	expected := settled + statistic(f.Sum)
	o.n++
	miss := math.Abs(expected-actual) / actual
	o.ours += miss
	o.total += math.Abs(expected-actual) / (actual + fixed)
	o.naive += math.Abs(settled+naive-actual) / actual
	o.seasonal += math.Abs(settled+seasonal-actual) / actual
	count := func(n *int, is bool) {
		if is {
			*n++
		}
	}
	rest := actual - settled
	count(&o.in80, f.Sum80.Low <= rest && rest <= f.Sum80.High)
	count(&o.in95, f.Sum95.Low <= rest && rest <= f.Sum95.High)
	count(&o.exact, miss <= 0.05)
	count(&o.exactFull, math.Abs(expected-actual)/(actual+fixed) <= 0.05)
}

// It prints how forecasts fare, for docs/forecast.md: make forecast-backtest.
func TestForecastBacktestIsBetterThanNaiveForecasts(t *testing.T) {
	series := 4
	if os.Getenv("FORECAST_BACKTEST") == "full" {
		series = 140
	}
	var table strings.Builder
	fmt.Fprintf(&table, "\n| history | shape | after | error | naive | seasonal naive | within 5 %% | in 80 %% | in 95 %% | error of the whole month | within 5 %% |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, before := range []int{0, 60} {
		var all outcome
		for _, s := range shapes {
			for _, after := range []int{10, 15, 20} {
				o := backtest(s, before, after, series)
				all.merge(&o)
				fmt.Fprintf(&table, "| %d days | %s | %d | %s\n", before, s.name, after, &o)
			}
		}
		fmt.Fprintf(&table, "| %d days | all | | %s\n", before, &all)
		assert.Less(t, all.ours, 0.7*all.naive, "history of %d days", before)
		assert.Less(t, all.ours, 1.25*all.seasonal, "history of %d days", before)
		assert.Greater(t, all.in95, all.n*2/3, "history of %d days", before)
		assert.LessOrEqual(t, all.in80, all.in95)
	}
	t.Log(table.String())
}

func (o *outcome) merge(other *outcome) {
	o.n += other.n
	o.ours, o.naive, o.seasonal, o.total = o.ours+other.ours, o.naive+other.naive, o.seasonal+other.seasonal, o.total+other.total
	o.in80, o.in95, o.exact, o.exactFull = o.in80+other.in80, o.in95+other.in95, o.exact+other.exact, o.exactFull+other.exactFull
}

func (o *outcome) String() string {
	share := func(n int) int { return int(math.Round(100 * float64(n) / float64(o.n))) }
	return fmt.Sprintf("%.1f %% | %.1f %% | %.1f %% | %d %% | %d %% | %d %% | %.1f %% | %d %% |",
		o.mean(o.ours), o.mean(o.naive), o.mean(o.seasonal), share(o.exact), share(o.in80), share(o.in95), o.mean(o.total), share(o.exactFull))
}
