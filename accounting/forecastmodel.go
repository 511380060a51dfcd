package accounting

import (
	"math"
	"math/rand/v2"
	"slices"
)

// smoothing is the damped additive Holt-Winters method with a season of a week,
// in its error-correction form ETS(A,Ad,A) (Hyndman and Athanasopoulos,
// Forecasting: Principles and Practice, 3rd ed., 8.5):
//
//	y = l + φb + s + e,  l ← l + φb + αe,  b ← φb + βe,  s ← s + γe
//
// With α, β, γ and b zero it is a mean by weekday.
type smoothing struct {
	alpha, beta, gamma, phi float64
	level, trend            float64
	season                  [7]float64 // by weekday, Sunday first
}

func (s *smoothing) expect(weekday int) float64 { return s.level + s.phi*s.trend + s.season[weekday] }

// advance moves to the next day; e is what this one was above its expectation.
func (s *smoothing) advance(weekday int, e float64) {
	s.trend *= s.phi
	s.level += s.trend + s.alpha*e
	s.trend += s.beta * e
	s.season[weekday] += s.gamma * e
}

// fitted is a model with the errors that it made on what it was fitted to.
type fitted struct {
	smoothing
	errors []float64 // centred, and widened for the parameters they were fitted with
	spread float64   // standard deviation of the errors
	used   int       // values behind the level
}

const (
	daysOfWeek = 7
	// smoothedDays are what the weekly season of Holt-Winters needs: one week
	// to begin with, and two to learn from.
	smoothedDays = 3 * daysOfWeek
	// meanDays are the latest days that the mean is of: whole weeks, so that
	// each weekday has the same part, and few, so that it follows a change.
	meanDays = 2 * daysOfWeek
	// meanAlpha has the level of the mean follow the latest days, and a path's
	// level wander.
	meanAlpha = 0.15
	// levelDoubt widens the uncertainty of the level beyond that of a mean: the
	// next weeks are not quite like those behind. It was chosen so that the
	// intervals hold what they say over the shapes of make forecast-backtest.
	levelDoubt = 1.6
)

// fit chooses the model that the values allow. first is the weekday of the
// first value.
func fit(values []float64, first int) (ForecastModel, fitted) {
	if len(values) >= smoothedDays {
		return ModelHoltWinters, fitSmoothing(values, first)
	}
	return ModelWeekdayMean, fitMean(values, first)
}

// fitMean is the mean of the latest days, with a pattern of weekdays that is
// shrunk towards none as far as the days do not show one: a weekday's mean
// counts by its share of variance, as in a one-way model of random effects.
func fitMean(values []float64, first int) fitted {
	from := max(0, len(values)-meanDays)
	latest := values[from:]
	f := fitted{smoothing: smoothing{level: meanOf(latest), phi: 1, alpha: meanAlpha}, used: len(latest)}
	var sums, counts [daysOfWeek]float64
	for i, v := range latest {
		weekday := (first + from + i) % daysOfWeek
		sums[weekday] += v - f.level
		counts[weekday]++
	}
	var within, repeated float64
	for i, v := range latest {
		weekday := (first + from + i) % daysOfWeek
		if counts[weekday] > 1 {
			e := v - f.level - sums[weekday]/counts[weekday]
			within += e * e
			repeated += 1 - 1/counts[weekday]
		}
	}
	total := variance(latest)
	if repeated > 0 && total > 0 {
		noise := min(within/repeated, total)
		between := total - noise
		var mean float64 // of the pattern, so that it adds nothing over a week
		for d := range f.season {
			if counts[d] > 0 {
				f.season[d] = sums[d] / counts[d] * between / (between + noise/counts[d])
			}
			mean += f.season[d] / daysOfWeek
		}
		var shift float64 // days that were seen more often have moved the level
		for d := range f.season {
			f.season[d] -= mean
			shift += counts[d] * f.season[d]
		}
		f.level -= shift / float64(len(latest))
	}
	f.judge(latest, (first+from)%daysOfWeek, 4)
	return f
}

// fitSmoothing looks for the parameters whose forecasts of each next day were
// best, on a grid: the values are too few for anything finer to mean something.
func fitSmoothing(values []float64, first int) fitted {
	start := begin(values, first)
	best, least := start, math.Inf(1)
	for _, alpha := range []float64{0.05, 0.1, 0.2, 0.35} {
		for _, trend := range []float64{0, 0.05} {
			for _, gamma := range []float64{0, 0.05, 0.15, 0.3} {
				for _, phi := range []float64{0.8, 0.9, 0.97} {
					s := start
					s.alpha, s.beta, s.gamma, s.phi = alpha, alpha*trend, gamma*(1-alpha), phi
					if sum := squares(s, values, first); sum < least {
						best, least = s, sum
					}
				}
			}
		}
	}
	f := fitted{smoothing: best, used: min(len(values), meanDays)}
	f.judge(values, first, 4)
	// Half-way to the latest week's mean: the mean of two forecasts errs less
	// than either (Makridakis et al., The M4 Competition, 2020), and after a
	// change of level this one is right at once.
	f.level = (f.level + meanOf(values[len(values)-daysOfWeek:])) / 2
	return f
}

// begin is the state before the first value: the level of the first week, the
// trend between the first and the following one, and the weekdays' deviations
// from their own weeks in the first weeks.
func begin(values []float64, first int) smoothing {
	const weeks = 3
	var s smoothing
	var means [weeks]float64
	for w := range weeks {
		week := values[w*daysOfWeek : (w+1)*daysOfWeek]
		means[w] = meanOf(week)
		for i, v := range week {
			s.season[(first+i)%daysOfWeek] += (v - means[w]) / weeks
		}
	}
	s.trend = (means[1] - means[0]) / daysOfWeek
	s.level = means[0] - s.trend*daysOfWeek/2
	return s
}

func squares(s smoothing, values []float64, first int) (sum float64) {
	for i, v := range values {
		weekday := (first + i) % daysOfWeek
		e := v - max(0, s.expect(weekday))
		s.advance(weekday, v-s.expect(weekday))
		sum += e * e
	}
	return sum
}

// judge runs the model over the values, to its state after them and to the
// errors it made. parameters were taken from the values themselves, for which
// the errors are that much too small.
func (f *fitted) judge(values []float64, first, parameters int) {
	f.errors = make([]float64, len(values))
	for i, v := range values {
		weekday := (first + i) % daysOfWeek
		f.errors[i] = v - f.expect(weekday)
		f.advance(weekday, f.errors[i])
	}
	mean := meanOf(f.errors)
	widen := math.Sqrt(float64(len(values)) / float64(max(1, len(values)-parameters)))
	for i := range f.errors {
		f.errors[i] = (f.errors[i] - mean) * widen
	}
	f.spread = math.Sqrt(variance(f.errors))
}

// paths are possible futures of days, from the weekday first on: each day's
// error is one that was made before, the level is as uncertain as the values
// behind it leave it, and nothing costs less than nothing. The same values have
// the same paths.
func (f *fitted) paths(n, days, first int) [][]float64 {
	random := rand.New(rand.NewPCG(20261122, uint64(len(f.errors)))) //nolint:gosec // it has to be the same each time
	all := make([][]float64, n)
	for p := range all {
		s := f.smoothing
		s.level += random.NormFloat64() * f.spread * levelDoubt / math.Sqrt(float64(f.used))
		all[p] = make([]float64, days)
		for i := range all[p] {
			weekday := (first + i) % daysOfWeek
			e := f.errors[random.IntN(len(f.errors))]
			all[p][i] = max(0, s.expect(weekday)+e)
			s.advance(weekday, e)
		}
	}
	return all
}

func meanOf(values []float64) (mean float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	return mean
}

// variance is that of the sample.
func variance(values []float64) (sum float64) {
	mean := meanOf(values)
	for _, v := range values {
		sum += (v - mean) * (v - mean)
	}
	return sum / float64(max(1, len(values)-1))
}

// quantile of sorted values, the nearest one.
func quantile(sorted []float64, p float64) float64 {
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// intervalAround is the range that leaves out the same share of sums at both
// ends, and holds centre.
func intervalAround(sums []float64, share, centre float64) Interval {
	sorted := slices.Sorted(slices.Values(sums))
	out := (1 - share) / 2
	return Interval{min(centre, quantile(sorted, out)), max(centre, quantile(sorted, 1-out))}
}
