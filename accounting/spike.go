package accounting

import (
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

// SpikeMADs is how many median absolute deviations above the median of its
// hours an hour may cost before it is a spike.
const SpikeMADs = 6

// SpikeRule is when an hour's spend is a spike.
type SpikeRule struct {
	MinUSD   decimal.Decimal // an hour below this never is one
	MinHours int             // of history without which nothing is judged; at least 1
	Hold     bool            // hold the campaign
}

// SpendHistory is what one campaign, or the spend without a campaign, cost in
// an hour and in the hours before it.
type SpendHistory struct {
	CampaignID string            // empty: without one
	Hour       time.Time         // its start, UTC
	Spent      decimal.Decimal   // USD, in that hour so far
	Before     []decimal.Decimal // USD, of each earlier hour in which there were calls; in any order
	Hours      int               // all earlier hours of the window, from the first call on; those not in Before cost 0
}

// Spike is an hour that cost far more than the hours before it.
type Spike struct {
	SpendHistory
	Median, MAD decimal.Decimal // USD, of the earlier hours
	Limit       decimal.Decimal // USD: what the hour was not to exceed
}

// Spike judges the hour: it is a spike if it cost at least MinUSD and more than
// median + 6 MAD of the earlier hours. MAD is the median absolute deviation
// from the median, unscaled. A handful of extreme hours moves neither, so that
// one spike does not hide the next.
func (h SpendHistory) Spike(rule SpikeRule) (Spike, bool) {
	if h.Hours < max(rule.MinHours, 1) || h.Spent.LessThan(rule.MinUSD) {
		return Spike{}, false
	}
	s := Spike{SpendHistory: h}
	hours := make([]decimal.Decimal, max(h.Hours, len(h.Before)))
	copy(hours, h.Before)
	s.Median = median(hours)
	for i := range hours {
		hours[i] = hours[i].Sub(s.Median).Abs()
	}
	s.MAD = median(hours)
	s.Limit = s.Median.Add(s.MAD.Mul(decimal.NewFromInt(SpikeMADs)))
	return s, h.Spent.GreaterThan(s.Limit)
}

var half = decimal.New(5, -1)

// median sorts values, of which there is at least one. Between two in the
// middle it is exactly half-way.
func median(values []decimal.Decimal) decimal.Decimal {
	slices.SortFunc(values, decimal.Decimal.Cmp)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return values[middle-1].Add(values[middle]).Mul(half)
}
