package accounting

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var someDay = DayOf(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))

func amountOf(s string) decimal.Decimal { return decimal.RequireFromString(s) }

// spent is our spend on a model; open of its calls have no cost yet.
func spent(model, cost string, calls, open int64) ModelSpend {
	return ModelSpend{Model: model, Spend: Spend{Cost: amountOf(cost), Calls: calls, OpenCalls: open}}
}

func billed(model, slug, cost string, requests int64) Activity {
	return Activity{Model: model, Permaslug: slug, Usage: amountOf(cost), Requests: requests}
}

func TestADayThatAgreesToTheLastDigitSaysSo(t *testing.T) {
	r := ReconcileActivity(someDay, "fp",
		[]ModelSpend{spent("a/x-2026", "0.1", 2, 0), spent("b/y", "0.00000000000000007", 1, 0)},
		[]Activity{billed("a/x", "a/x-2026", "0.04", 1), billed("a/x", "a/x-2026", "0.06", 1), billed("b/y", "b/y-2026", "7e-17", 1)})
	r.Judge(amountOf("0.1"))
	assert.Equal(t, VerdictAgrees, r.Verdict)
	assert.True(t, r.DifferenceUSD.IsZero() && r.DarkSpendUSD.IsZero())
	assert.EqualValues(t, 3, *r.TheirCalls)
	assert.Len(t, r.Models, 2, "b/y is one model under two names")
}

func TestCallsAroundTheProxyAreDarkSpend(t *testing.T) {
	r := ReconcileActivity(someDay, "fp",
		[]ModelSpend{spent("a/x", "1", 2, 0), spent("b/y", "5", 1, 0)},
		[]Activity{billed("a/x", "a/x", "1.5", 3), billed("c/z", "c/z", "0.25", 1), billed("b/y", "b/y", "5.01", 1)})
	assert.Equal(t, "0.76", r.DifferenceUSD.String())
	assert.Equal(t, "0.75", r.DarkSpendUSD.String(), "b/y was not called more often than we know")
	assert.EqualValues(t, 2, *r.DarkCalls)
	assert.Equal(t, "a/x", r.Models[0].Model, "the greatest difference comes first")
}

func TestDarkSpendIsUnknownWhereOpenCallsMayExplainIt(t *testing.T) {
	r := ReconcileActivity(someDay, "", []ModelSpend{spent("a/x", "1", 2, 1)}, []Activity{billed("a/x", "a/x", "1.5", 3)})
	assert.Nil(t, r.DarkSpendUSD)
	assert.EqualValues(t, 1, *r.DarkCalls)
	r = ReconcileActivity(someDay, "", []ModelSpend{spent("a/x", "1", 2, 1)}, []Activity{billed("a/x", "a/x", "1.5", 2)})
	assert.True(t, r.DarkSpendUSD.IsZero(), "the counts are equal: it is the open call's cost")
}

func TestAModelIsFoundByEitherOfItsNames(t *testing.T) {
	theirs := []Activity{billed("a/x", "a/x-2", "1", 1), billed("a/x", "a/x-1", "2", 1), billed("", "e/m", "0", 0)}
	for _, c := range [][3]string{
		{"a/x-2", "a/x", "a/x-2"}, {"a/x", "a/x", "a/x-1"}, {"unknown", "a/x", "a/x-1"},
		{"q/q", "r/r", "q/q"}, {"", "", "unknown"}, {"", "e/m", "e/m"},
	} {
		assert.Equal(t, c[2], modelNames(theirs)(c[0], c[1]), "%v", c)
	}
}

func TestAVerdictFollowsTheToleranceOfTheirFigure(t *testing.T) {
	for _, c := range []struct {
		ours, theirs, tolerance string
		want                    Verdict
	}{
		{"1", "1", "0.1", VerdictAgrees},
		{"0", "0", "0.1", VerdictAgrees},
		{"0.90", "1", "0.1", VerdictWithinTolerance},
		{"1.10", "1", "0.1", VerdictWithinTolerance},
		{"0.8999999999999999", "1", "0.1", VerdictDiffers},
		{"1.1000000000000001", "1", "0.1", VerdictDiffers},
		{"0.1", "0", "0.1", VerdictDiffers},
		{"0.99999", "1", "0", VerdictDiffers},
	} {
		r := ReconcileActivity(someDay, "", []ModelSpend{spent("m", c.ours, 1, 0)}, []Activity{billed("m", "m", c.theirs, 1)})
		r.Judge(amountOf(c.tolerance))
		assert.Equal(t, c.want, r.Verdict, "%+v", c)
		assert.Equal(t, c.tolerance, r.Tolerance.String())
	}
}

func TestWhatOtherKeysSpendIsShownAndRaisesNoAlert(t *testing.T) {
	r := ReconcileActivity(someDay, "", []ModelSpend{spent("m", "1", 1, 0)}, []Activity{billed("m", "m", "9", 9)})
	r.SetOtherKeys(amountOf("8"))
	r.Judge(amountOf("0.1"))
	assert.Equal(t, VerdictAgrees, r.Verdict)
	assert.Equal(t, "8", r.DifferenceUSD.String())
	r.SetOtherKeys(amountOf("7.8"))
	r.Judge(amountOf("0.1"))
	assert.Equal(t, VerdictDiffers, r.Verdict, "0.2 of what our own keys spent is a sixth")
}

func TestAnUnavailableDayKeepsItsVerdictAndOurSide(t *testing.T) {
	r := WithoutTheirs(someDay, SourceCredits, "", Spend{Cost: amountOf("3"), Calls: 2, OpenCalls: 1}, "No key.")
	r.Judge(amountOf("0.1"))
	assert.Equal(t, VerdictUnavailable, r.Verdict)
	assert.Nil(t, r.TheirsUSD)
	assert.Nil(t, r.DifferenceUSD, "unknown is not zero")
	assert.Equal(t, "3", r.OursUSD.String())
	assert.False(t, r.Settled())
}

// at is a sample so many minutes after the day's start.
func at(minutes int, usage string, daily ...string) Sample {
	s := Sample{TakenAt: someDay.Start().Add(time.Duration(minutes) * time.Minute), Usage: amountOf(usage)}
	if len(daily) > 0 {
		s.UsageDaily = Some(amountOf(daily[0]))
	}
	return s
}

func TestADayIsTheDifferenceOfTheSamplesNearestItsMidnights(t *testing.T) {
	for name, c := range map[string]struct {
		samples []Sample
		from    int // minutes
		to      int
		amount  string // empty: unknown
	}{
		"at midnight":              {[]Sample{at(-10, "1"), at(0, "2"), at(10, "2.5"), at(1430, "7"), at(1440, "7.25"), at(1450, "8")}, 0, 1440, "5.25"},
		"beside it":                {[]Sample{at(-20, "1"), at(5, "2"), at(1437, "7"), at(1450, "8")}, 5, 1437, "5"},
		"an hour away":             {[]Sample{at(60, "1"), at(1380, "7")}, 60, 1380, "6"},
		"a gap at the end":         {[]Sample{at(0, "1"), at(1379, "7")}, 0, 0, ""},
		"a gap at the start":       {[]Sample{at(61, "1"), at(1440, "7")}, 0, 0, ""},
		"a key that is new":        {[]Sample{at(700, "1", "1"), at(1430, "7", "6.5"), at(1440, "7", "0")}, 0, 1430, "6.5"},
		"new, but sampled late":    {[]Sample{at(1440, "7", "0")}, 0, 0, ""},
		"a figure that fell":       {[]Sample{at(0, "7"), at(1440, "1")}, 0, 0, ""},
		"nothing":                  {nil, 0, 0, ""},
		"a day on which none came": {[]Sample{at(0, "7"), at(1440, "7")}, 0, 1440, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			w, reason := BilledOn(someDay, c.samples)
			if c.amount == "" {
				require.NotEmpty(t, reason)
				return
			}
			require.Empty(t, reason)
			assert.Equal(t, c.amount, w.Amount.String())
			assert.Equal(t, someDay.Start().Add(time.Duration(c.from)*time.Minute), w.From)
			assert.Equal(t, someDay.Start().Add(time.Duration(c.to)*time.Minute), w.To)
		})
	}
}

func TestDarkSpendOfAKeyIsKnownOnlyWhenAllElseIs(t *testing.T) {
	of := Sampled{SourceKey, "fp"}
	w := BilledWindow{From: someDay.Start(), To: someDay.End(), Amount: amountOf("5")}
	ours := WindowSpend{Spend: Spend{Cost: amountOf("4"), Calls: 2}}
	assert.Equal(t, "1", ReconcileSamples(someDay, of, w, ours).DarkSpendUSD.String())
	over := ours
	over.Cost = amountOf("6")
	assert.True(t, ReconcileSamples(someDay, of, w, over).DarkSpendUSD.IsZero())
	for _, unsure := range []WindowSpend{
		{Spend: Spend{Cost: amountOf("4"), OpenCalls: 1}}, {Spend: Spend{Cost: amountOf("4"), UnverifiedCalls: 1}}, {Spend: ours.Spend, InFlight: 1},
	} {
		assert.Nil(t, ReconcileSamples(someDay, of, w, unsure).DarkSpendUSD)
	}
	assert.Nil(t, ReconcileSamples(someDay, Sampled{Source: SourceCredits}, w, ours).DarkSpendUSD, "it may be another key's")
}

func TestWhatWasInFlightMayExplainADifferenceOfSamples(t *testing.T) {
	w := BilledWindow{From: someDay.Start(), To: someDay.End(), Amount: amountOf("2")}
	ours := WindowSpend{Spend: Spend{Cost: amountOf("1"), Calls: 2}, InFlight: 1, InFlightCost: amountOf("1")}
	r := ReconcileSamples(someDay, Sampled{SourceKey, "fp"}, w, ours)
	r.Judge(amountOf("0.1"))
	assert.Equal(t, VerdictWithinTolerance, r.Verdict)
	ours.InFlightCost = amountOf("0.9")
	r = ReconcileSamples(someDay, Sampled{SourceKey, "fp"}, w, ours)
	r.Judge(amountOf("0.1"))
	assert.Equal(t, VerdictDiffers, r.Verdict)
}

func TestDaysAndMonthsAreThoseOfUTC(t *testing.T) {
	late := time.Date(2026, 12, 31, 20, 0, 0, 0, time.FixedZone("west", -5*3600))
	assert.Equal(t, "2027-01-01", DayOf(late).String())
	assert.Equal(t, "2027-01", MonthOf(late).String())
	assert.Equal(t, "1969-12-31", DayOf(time.Unix(-1, 0)).String())
	assert.Equal(t, "2027-01", Month{2026, time.December}.Next().String())
	assert.True(t, Month{2026, time.December}.Before(Month{2027, time.January}))
	assert.False(t, Month{2027, time.January}.Before(Month{2026, time.December}))
	assert.Equal(t, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Month{2026, time.December}.End())
	assert.Equal(t, someDay.Start().AddDate(0, 0, 1), someDay.End())
	for _, bad := range []string{"", "2026-13-01", "2026-11-31", "22.11.2026", "2026-11"} {
		_, err := ParseDay(bad)
		assert.Error(t, err, bad)
	}
	_, err := ParseMonth("2026-11-01")
	assert.Error(t, err)

	text, err := json.Marshal(map[string]any{"d": someDay, "m": Month{2026, time.November}})
	require.NoError(t, err)
	assert.JSONEq(t, `{"d":"2026-11-21","m":"2026-11"}`, string(text))
	var back struct {
		D Day
		M Month
	}
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, someDay, back.D)
	assert.Equal(t, Month{2026, time.November}, back.M)
}

func TestAMonthIsDueOnTheFifthOfTheNext(t *testing.T) {
	october, november := Month{2026, time.October}, Month{2026, time.November}
	open := []Month{october, november}
	fifth := time.Date(2026, 12, 5, 0, 0, 0, 0, time.UTC)
	assert.Equal(t, []Month{october}, DueMonths(open, fifth.Add(-time.Second), 5))
	assert.Equal(t, open, DueMonths(open, fifth, 5))
	assert.Empty(t, DueMonths(open, fifth, 0), "0: by hand")
}
