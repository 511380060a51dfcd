package accounting

import "math"

// RatioTest compares how often something happens in two groups to which leads
// are assigned at random, by counting only the leads to which it happened. It
// may be looked at after every single one of them, and stopped at any time.
//
// Each such lead is a draw: it is in the treated group with some probability θ.
// If the treatment changes nothing, θ is the share of leads that are assigned
// to that group, whatever the rate is, however it drifts over the weeks and
// however late an answer comes, since none of this knows of the assignment. If
// it makes the thing r times as frequent, θ ÷ (1 − θ) is r times share ÷ (1 −
// share). So the draws test θ, and an interval of θ is one of r.
//
// With a Beta prior over θ the ratio of the mixture to a single θ is a
// non-negative martingale of mean 1 under that θ, so that it ever reaches 1 ÷
// alpha with probability alpha at most (Ville's inequality; H. Robbins,
// "Statistical methods related to the law of the iterated logarithm", Annals of
// Mathematical Statistics 41, 1970). The values of θ where it has not are an
// interval that holds the true one at all times together with probability 1 −
// alpha. The application to counts under random assignment is that of M.
// Lindon and A. Malek, "Anytime-Valid Inference for Multinomial Count Data",
// NeurIPS 35, 2022; compare R. Johari et al., "Peeking at A/B Tests", KDD 2017.
type RatioTest struct {
	Treated, Control int64   // leads to which it happened
	Share            float64 // of the treated group among both, by the weights; more than 0 and less than 1
	Prior            float64 // how many draws the prior is worth; 0: DefaultRatioPrior
}

// DefaultRatioPrior makes the test sharpest for effects of about a fifth: with
// equal groups the prior's standard deviation of the logarithm of the ratio is
// then 0.2.
const DefaultRatioPrior = 100

// Evidence is the logarithm of the evidence (an e-value) against a ratio: how
// much better the mixture explains the counts.
func (t *RatioTest) Evidence(ratio float64) float64 {
	return t.against(math.Log(ratio) + t.evenOdds())
}

// evenOdds is the logarithm of θ ÷ (1 − θ) where nothing is changed.
func (t *RatioTest) evenOdds() float64 { return math.Log(t.Share) - math.Log1p(-t.Share) }

// against is the evidence against one θ, by the logarithm of its odds, which
// tells the last θ before 1 apart as well as the first ones after 0.
func (t *RatioTest) against(odds float64) float64 {
	a, b := t.prior()
	x, y := float64(t.Treated), float64(t.Control)
	return logBeta(a+x, b+y) - logBeta(a, b) + x*math.Log1p(math.Exp(-odds)) + y*math.Log1p(math.Exp(odds))
}

// prior is the Beta distribution that is centred where nothing is changed.
func (t *RatioTest) prior() (a, b float64) {
	draws := t.Prior
	if draws == 0 {
		draws = DefaultRatioPrior
	}
	return draws * t.Share, draws * (1 - t.Share)
}

// PValue is the always-valid p-value of a ratio of 1, the inverse of its
// evidence: under that ratio it falls below alpha at any time at all with
// probability alpha at most.
func (t *RatioTest) PValue() float64 { return min(1, math.Exp(-t.Evidence(1))) }

// Ratio is how many times as frequent the thing was among the treated, corrected
// for the sizes of the groups. Unknown until it has happened in the control
// group.
func (t *RatioTest) Ratio() Optional[float64] {
	if t.Control <= 0 {
		return Optional[float64]{}
	}
	return Some(float64(t.Treated) / float64(t.Control) * (1 - t.Share) / t.Share)
}

// Interval holds the true ratio at all times together with probability 1 −
// alpha. Its upper bound is infinite where nothing bounds it.
func (t *RatioTest) Interval(alpha float64) Interval {
	// The evidence is convex in the odds and least where the draws put them.
	best := t.evenOdds()
	if t.Treated > 0 || t.Control > 0 {
		best = math.Log(float64(t.Treated)) - math.Log(float64(t.Control))
		best = max(-farOdds, min(farOdds, best))
	}
	limit := math.Log(1 / alpha)
	return Interval{
		Low:  math.Exp(t.edge(best, -farOdds, limit) - t.evenOdds()),
		High: math.Exp(t.edge(best, farOdds, limit) - t.evenOdds()),
	}
}

// farOdds stand for a θ that cannot be told from 0 or 1, by their logarithm.
const farOdds = 500

// edge is where, from inside towards outside, the evidence reaches the limit;
// infinite, if it does nowhere.
func (t *RatioTest) edge(inside, outside, limit float64) float64 {
	if t.against(outside) < limit {
		return math.Copysign(math.Inf(1), outside)
	}
	for range 200 {
		middle := (inside + outside) / 2
		if middle == inside || middle == outside {
			break
		}
		if t.against(middle) < limit {
			inside = middle
		} else {
			outside = middle
		}
	}
	return inside
}
