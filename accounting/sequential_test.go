package accounting

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// trial simulates an experiment of two arms: each day brings leads, of which
// some convert, some days later. The looks are daily.
type trial struct {
	days, leads int     // a day, in both arms together
	share       float64 // of leads in the treated arm
	rate, ratio float64 // of conversion among controls; of the treated to it
	drift       float64 // of the rate over the whole time, as a factor
	delay       int     // days until a conversion, at most
	alpha       float64
}

// run reports whether some day's look says so.
func (tr *trial) run(r *rand.Rand, says func(*RatioTest) bool) bool {
	later := make([]RatioTest, tr.days+tr.delay+1) // what becomes known on a day
	seen := RatioTest{Share: tr.share}
	for d := range tr.days {
		p := tr.rate * math.Pow(tr.drift, float64(d)/float64(tr.days))
		for range tr.leads {
			known := &later[d+r.IntN(tr.delay+1)]
			if r.Float64() < tr.share {
				if r.Float64() < p*tr.ratio {
					known.Treated++
				}
			} else if r.Float64() < p {
				known.Control++
			}
		}
		seen.Treated += later[d].Treated
		seen.Control += later[d].Control
		if says(&seen) {
			return true
		}
	}
	return false
}

// reported is the share of simulated experiments in which some day's look said
// so.
func (tr *trial) reported(n int, says func(*RatioTest) bool) float64 {
	r := rand.New(rand.NewPCG(1, 2))
	hits := 0
	for range n {
		if tr.run(r, says) {
			hits++
		}
	}
	return float64(hits) / float64(n)
}

// without: the interval leaves the ratio out. (That the two agree is a test of
// its own; this is faster.)
func without(ratio, alpha float64) func(*RatioTest) bool {
	return func(t *RatioTest) bool { return t.Evidence(ratio) >= math.Log(1/alpha) }
}

func TestDailyLooksReportADifferenceThatIsNotThereLessOftenThanAllowed(t *testing.T) {
	for name, tr := range map[string]trial{
		"frequent":              {days: 60, leads: 60, share: 0.5, rate: 0.8, ratio: 1, drift: 1, delay: 0, alpha: 0.05},
		"rare and late":         {days: 60, leads: 100, share: 0.5, rate: 0.05, ratio: 1, drift: 1, delay: 20, alpha: 0.05},
		"drifting, uneven arms": {days: 60, leads: 100, share: 0.2, rate: 0.05, ratio: 1, drift: 6, delay: 5, alpha: 0.05},
	} {
		t.Run(name, func(t *testing.T) {
			require.LessOrEqual(t, tr.reported(200, without(1, tr.alpha)), tr.alpha)
		})
	}
}

func TestTheIntervalHoldsTheTrueRatioOverAllLooks(t *testing.T) {
	tr := trial{days: 60, leads: 100, share: 0.5, rate: 0.1, ratio: 0.7, drift: 2, delay: 10, alpha: 0.05}
	require.LessOrEqual(t, tr.reported(200, without(0.7, tr.alpha)), tr.alpha)
}

func TestALookEachDayFindsADifferenceThatIsThere(t *testing.T) {
	half := trial{days: 60, leads: 100, share: 0.5, rate: 0.1, ratio: 0.5, drift: 1, delay: 5, alpha: 0.05}
	require.Greater(t, half.reported(100, func(t *RatioTest) bool { return without(1, 0.05)(t) && t.Ratio().Value < 1 }), 0.95, "harm")
	same := trial{days: 60, leads: 100, share: 0.5, rate: 0.5, ratio: 1, drift: 1, delay: 0, alpha: 0.05}
	require.Greater(t, same.reported(100, func(t *RatioTest) bool { return without(0.8, 0.05)(t) && t.Ratio().Value > 0.8 }), 0.95, "not worse by a fifth")
}

func TestAnOrdinaryTestAtEachLookWouldReportFarTooMuch(t *testing.T) {
	// What the method is for: the fixed-sample interval of the same trials.
	tr := trial{days: 60, leads: 60, share: 0.5, rate: 0.8, ratio: 1, drift: 1, alpha: 0.05}
	r, hits := rand.New(rand.NewPCG(1, 2)), 0
	for range 200 {
		var x, n float64
		for range tr.days {
			for range tr.leads {
				if r.Float64() < tr.rate {
					n++
					x += float64(r.IntN(2))
				}
			}
			if math.Abs(x-n/2) > 1.96*math.Sqrt(n)/2 {
				hits++
				break
			}
		}
	}
	require.Greater(t, float64(hits)/200, 3*tr.alpha)
}

func TestNothingSeenSaysNothing(t *testing.T) {
	test := RatioTest{Share: 0.5}
	require.Equal(t, Interval{Low: 0, High: math.Inf(1)}, test.Interval(0.05))
	require.False(t, test.Ratio().Known)
	require.InDelta(t, 1, test.PValue(), 1e-12)
}

func TestTheEvidenceIsThatOfTheMixture(t *testing.T) {
	// The mixture by integration over the prior, Beta(50, 50).
	test := RatioTest{Treated: 30, Control: 50, Share: 0.5}
	sum, n := 0.0, 200_000
	for i := range n {
		theta := (float64(i) + 0.5) / float64(n)
		prior := 49*math.Log(theta) + 49*math.Log1p(-theta) - logBeta(50, 50)
		sum += math.Exp(prior+30*math.Log(theta)+50*math.Log1p(-theta)) / float64(n)
	}
	require.InDelta(t, math.Log(sum)-80*math.Log(0.5), test.Evidence(1), 1e-6)
}

func TestIntervalsHoldWhatWasSeenAndNarrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		test := RatioTest{
			Treated: rapid.Int64Range(1, 20_000).Draw(t, "treated"), Control: rapid.Int64Range(1, 20_000).Draw(t, "control"),
			Share: rapid.Float64Range(0.05, 0.95).Draw(t, "share"),
		}
		i, wide := test.Interval(0.05), test.Interval(0.01)
		ratio := test.Ratio().Value
		if i.Low > ratio*(1+1e-9) || i.High < ratio*(1-1e-9) {
			t.Fatalf("%v does not hold %v", i, ratio)
		}
		if wide.Low > i.Low || wide.High < i.High {
			t.Fatalf("99 %% %v within 95 %% %v", wide, i)
		}
		for _, r := range []float64{1, 0.8, 0.7} {
			if out := i.High < r || i.Low > r; out != without(r, 0.05)(&test) {
				t.Fatalf("%v and the evidence against %v disagree", i, r)
			}
		}
		// Seen from the other arm it is the inverse.
		other := RatioTest{Treated: test.Control, Control: test.Treated, Share: 1 - test.Share}
		if back := other.Interval(0.05); math.Abs(back.Low*i.High-1) > 1e-6 || math.Abs(back.High*i.Low-1) > 1e-6 {
			t.Fatalf("%v and %v are not inverse", i, back)
		}
	})
}
