package accounting

import (
	"maps"
	"slices"

	"github.com/shopspring/decimal"
)

// EmailsByCampaign counts the emails of each campaign on each platform. The
// campaign of emails without one is empty, and so is the platform.
type EmailsByCampaign map[string]map[string]int64

// AllocateFixed splits fixed costs over campaigns by the emails they sent, by
// the method of [Split]: a platform's subscription over that platform's emails,
// any other cost over all of them. What cannot be split, because no such email
// was sent, is unallocated. Shares and unallocated add up to the costs.
func AllocateFixed(costs []FixedCost, emails EmailsByCampaign) (shares map[string]decimal.Decimal, unallocated decimal.Decimal) {
	campaigns := slices.Sorted(maps.Keys(emails))
	shares = make(map[string]decimal.Decimal, len(campaigns))
	weights := make([]decimal.Decimal, len(campaigns))
	for _, cost := range costs {
		for i, c := range campaigns {
			weights[i] = decimal.NewFromInt(emails.of(c, cost.Platform))
		}
		parts := Split(cost.EUR, weights)
		if parts == nil {
			unallocated = unallocated.Add(cost.EUR)
			continue
		}
		for i, c := range campaigns {
			shares[c] = shares[c].Add(parts[i])
		}
	}
	return shares, unallocated
}

// of counts a campaign's emails on a platform; empty: on all of them.
func (e EmailsByCampaign) of(campaign, platform string) int64 {
	if platform != "" {
		return e[campaign][platform]
	}
	var sum int64
	for _, n := range e[campaign] {
		sum += n
	}
	return sum
}
