package accounting

import (
	"math"

	"github.com/shopspring/decimal"
)

// Interval is a range that holds a figure with some probability. Bounds are
// statistics, not amounts, and so may be floating-point numbers.
type Interval struct{ Low, High float64 }

// RateInterval is the Wilson score interval of a rate of n in of, at 95 %
// (E. B. Wilson, JASA 22, 1927): unlike the usual one it stays within 0 and 1
// and says something for few trials.
func RateInterval(n, of int64) Optional[Interval] {
	if of <= 0 {
		return Optional[Interval]{}
	}
	const z = 1.959963984540054
	trials, p := float64(of), float64(n)/float64(of)
	centre := (p + z*z/(2*trials)) / (1 + z*z/trials)
	half := z / (1 + z*z/trials) * math.Sqrt(p*(1-p)/trials+z*z/(4*trials*trials))
	interval := Interval{max(0, centre-half), min(1, centre+half)}
	if n <= 0 {
		interval.Low = 0 // which the arithmetic misses by a hair
	}
	if n >= of {
		interval.High = 1
	}
	return Some(interval)
}

// CostPerEventInterval is the 95 % interval of cost ÷ events where the events
// come by themselves (a Poisson process over what is spent), from Jeffreys'
// prior: the rate of events by cost is Gamma(events + ½, cost). Events that are
// shared need not be whole. Without any event the upper bound is infinite: they
// may never come.
func CostPerEventInterval(cost, events decimal.Decimal) Optional[Interval] {
	if !cost.IsPositive() {
		return Optional[Interval]{}
	}
	spent, shape := statistic(cost), statistic(events)+0.5
	interval := Interval{spent / gammaQuantile(shape, 0.975), math.Inf(1)}
	if events.IsPositive() {
		interval.High = spent / gammaQuantile(shape, 0.025)
	}
	return Some(interval)
}

// ProbabilityCheaper is the probability that A pays less for an event than B,
// by the same model: the rates are Gamma(eventsA + ½, costA) and Gamma(eventsB +
// ½, costB), and the share of one in the sum of two such is a Beta variable.
// Unknown where either has cost nothing, and where the one that looks cheaper
// has had less than one event: then that half of the prior's says so, because
// little was spent, and not what has happened.
func ProbabilityCheaper(costA, eventsA, costB, eventsB decimal.Decimal) Optional[float64] {
	if !costA.IsPositive() || !costB.IsPositive() {
		return Optional[float64]{}
	}
	a, b := statistic(eventsA)+0.5, statistic(eventsB)+0.5
	p := 1 - betaCDF(a, b, statistic(costA)/statistic(costA.Add(costB)))
	one := decimal.NewFromInt(1)
	if p >= 0.5 && eventsA.LessThan(one) || p <= 0.5 && eventsB.LessThan(one) {
		return Optional[float64]{}
	}
	return Some(p)
}

// statistic is an amount as statistics are computed with it: what comes of it is
// a bound or a probability, never an amount.
func statistic(d decimal.Decimal) float64 {
	return d.InexactFloat64() //nolint:forbidigo // see above
}

// gammaQuantile is the x at which a Gamma(shape, 1) variable is below x with
// probability p.
func gammaQuantile(shape, p float64) float64 {
	low, high := 0.0, shape+1
	for gammaCDF(shape, high) < p {
		high *= 2
	}
	for range 200 {
		middle := (low + high) / 2
		if middle == low || middle == high {
			break
		}
		if gammaCDF(shape, middle) < p {
			low = middle
		} else {
			high = middle
		}
	}
	return (low + high) / 2
}

// gammaCDF is the regularised lower incomplete gamma function P(a, x): its
// series below a + 1, one less its continued fraction above (Abramowitz and
// Stegun 6.5.29 and 6.5.31).
func gammaCDF(a, x float64) float64 {
	if x <= 0 {
		return 0
	}
	lgamma, _ := math.Lgamma(a)
	scale := math.Exp(a*math.Log(x) - x - lgamma)
	if x < a+1 {
		term := 1 / a
		sum := term
		for n := 1.0; n < 10000 && math.Abs(term) > math.Abs(sum)*1e-16; n++ {
			term *= x / (a + n)
			sum += term
		}
		return sum * scale
	}
	fraction := continuedFraction(x+1-a, func(n float64) (float64, float64) { return -n * (n - a), x + 1 - a + 2*n })
	return 1 - scale/fraction
}

// betaCDF is the regularised incomplete beta function I_x(a, b), by its
// continued fraction (Abramowitz and Stegun 26.5.8), on the side where that
// converges fast.
func betaCDF(a, b, x float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case x > (a+1)/(a+b+2):
		return 1 - betaCDF(b, a, 1-x)
	}
	scale := math.Exp(a*math.Log(x) + b*math.Log1p(-x) - logBeta(a, b))
	fraction := continuedFraction(1, func(n float64) (float64, float64) {
		m := math.Floor(n / 2)
		if int(n)%2 == 1 {
			return -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1)), 1
		}
		return m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m)), 1
	})
	return scale / (a * fraction)
}

// logBeta is the logarithm of the beta function.
func logBeta(a, b float64) float64 {
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	return la + lb - lab
}

// continuedFraction is b0 + a1/(b1 + a2/(b2 + …)) by the method of Lentz, as
// modified by Thompson and Barnett; next gives a and b of the nth step.
func continuedFraction(b0 float64, next func(n float64) (a, b float64)) float64 {
	const tiny = 1e-300
	value := b0
	if value == 0 {
		value = tiny
	}
	c, d := value, 0.0
	for n := 1.0; n < 10000; n++ {
		a, b := next(n)
		if d = b + a*d; d == 0 {
			d = tiny
		}
		if c = b + a/c; c == 0 {
			c = tiny
		}
		d = 1 / d
		step := c * d
		value *= step
		if math.Abs(step-1) < 1e-15 {
			break
		}
	}
	return value
}
