package accounting

import (
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func amounts(literals ...string) []decimal.Decimal {
	list := make([]decimal.Decimal, len(literals))
	for i, l := range literals {
		list[i] = decimal.RequireFromString(l)
	}
	return list
}

func TestASpikeIsAnHourAboveTheMedianAndSixDeviations(t *testing.T) {
	rule := SpikeRule{MinUSD: decimal.RequireFromString("1"), MinHours: 1}
	for name, tt := range map[string]struct {
		spent       string
		before      []decimal.Decimal
		hours       int
		median, mad string
		spike       bool
	}{
		"odd number of hours":      {"3.21", amounts("0.2", "0.1", "0.5"), 3, "0.2", "0.1", true},
		"exactly at the limit":     {"5.6", amounts("2", "1", "2.6"), 3, "2", "0.6", false},
		"just above it":            {"5.60000000000000000001", amounts("2", "1", "2.6"), 3, "2", "0.6", true},
		"even number of hours":     {"9", amounts("1", "2", "3", "4.00000000000000001"), 4, "2.5", "1", true},
		"quiet hours count as 0":   {"1.5", amounts("40", "40"), 5, "0", "0", true},
		"below the least amount":   {"0.99", amounts("0.01"), 1, "0", "0", false},
		"a former spike moves nil": {"2", amounts("0.1", "0.1", "0.1", "900"), 4, "0.1", "0", true},
	} {
		t.Run(name, func(t *testing.T) {
			s, spike := SpendHistory{Spent: decimal.RequireFromString(tt.spent), Before: tt.before, Hours: tt.hours}.Spike(rule)
			require.Equal(t, tt.spike, spike)
			if spike || s.Hours > 0 {
				require.Equal(t, tt.median, s.Median.String())
				require.Equal(t, tt.mad, s.MAD.String())
			}
		})
	}
}

func TestWithoutEnoughHistoryNothingIsASpike(t *testing.T) {
	h := SpendHistory{Spent: decimal.NewFromInt(50), Before: amounts("0.1"), Hours: 23}
	_, spike := h.Spike(SpikeRule{MinHours: 24})
	require.False(t, spike)
	h.Hours = 24
	_, spike = h.Spike(SpikeRule{MinHours: 24})
	require.True(t, spike)
	_, spike = SpendHistory{Spent: decimal.NewFromInt(50)}.Spike(SpikeRule{})
	require.False(t, spike, "nothing to compare with")
}

// Half of the hours lie at or below the median, half of the deviations at or
// below the MAD: that is what makes them the ones of these hours.
func TestMedianAndDeviationSplitTheHoursInHalves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cents := rapid.SliceOfN(rapid.Int64Range(0, 500), 1, 60).Draw(t, "cents")
		quiet := rapid.IntRange(0, 60).Draw(t, "quiet hours")
		h := SpendHistory{Spent: decimal.NewFromInt(1_000_000), Hours: len(cents) + quiet}
		for _, c := range cents {
			h.Before = append(h.Before, decimal.New(c, -2))
		}
		s, spike := h.Spike(SpikeRule{})
		if !spike {
			t.Fatalf("%s is above every limit of such hours: %+v", h.Spent, s)
		}
		all := append(make([]decimal.Decimal, quiet), h.Before...)
		checkHalves(t, all, s.Median)
		for i := range all {
			all[i] = all[i].Sub(s.Median).Abs()
		}
		checkHalves(t, all, s.MAD)
		if want := s.Median.Add(s.MAD.Mul(decimal.NewFromInt(6))); !s.Limit.Equal(want) {
			t.Fatalf("limit %s, want %s", s.Limit, want)
		}
	})
}

func checkHalves(t *rapid.T, values []decimal.Decimal, middle decimal.Decimal) {
	below, above := 0, 0
	for _, v := range values {
		if v.LessThanOrEqual(middle) {
			below++
		}
		if v.GreaterThanOrEqual(middle) {
			above++
		}
	}
	if 2*below < len(values) || 2*above < len(values) {
		t.Fatalf("%s is not the median of %v", middle, values)
	}
}
