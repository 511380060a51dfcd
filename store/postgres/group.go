package postgres

import (
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// groupKey is what all sums that follow from calls alone are taken by. Of a
// batch most calls are in a few groups, so a call is added to one, in place, and
// a group to each of those sums.
type groupKey struct {
	hour                                                  int64 // start, Unix seconds
	campaign, purpose, platform, model, key, finishReason text
}

func groupKeyOf(r *row) groupKey {
	at := r.createdAt.Unix()
	return groupKey{
		hour:     at - at%secondsPerHour,
		campaign: r.campaignID, purpose: r.purpose, platform: r.platform,
		model: r.model, key: r.keyFingerprint, finishReason: r.finishReason,
	}
}

const secondsPerHour = int64(time.Hour / time.Second)

func (k *groupKey) start() time.Time { return time.Unix(k.hour, 0).UTC() }

func (k *groupKey) day() time.Time { return k.start().Truncate(24 * time.Hour) }

func (k *groupKey) month() monthKey {
	year, month, _ := k.start().Date()
	return monthKey{year, int(month)}
}

func (k *groupKey) hourKey() hourKey {
	return hourKey{k.hour, string(k.campaign), string(k.purpose), string(k.model), string(k.platform)}
}

// usageDayKeys are all the rows of usage_daily that the group is counted in.
func (k *groupKey) usageDayKeys() [8]usageDayKey {
	day := k.day()
	campaign, purpose, platform, model := string(k.campaign), string(k.purpose), string(k.platform), string(k.model)
	return [...]usageDayKey{
		{day, dimensionAll, "", ""},
		{day, dimensionCampaign, "", campaign},
		{day, dimensionPurpose, "", purpose},
		{day, dimensionPlatform, "", platform},
		{day, dimensionModel, "", model},
		{day, dimensionKey, "", string(k.key)},
		{day, dimensionCampaignPurpose, campaign, purpose},
		{day, dimensionCampaignModel, campaign, model},
	}
}

func (k *groupKey) finishKey() finishKey {
	return finishKey{k.day(), string(k.model), string(k.finishReason)}
}

// group is what a transaction adds to the calls of a group.
type group struct {
	counts             usageDay // without the amounts
	cost, byokUpstream accounting.Sum
	opened             bool // has a new call
}

// add counts a call, or with the sign -1 no longer counts it.
func (g *group) add(sign int64, r *row) {
	c := &g.counts
	c.calls += sign
	c.failed += sign * count(r.is(accounting.StatusFailed))
	c.cancelled += sign * count(r.cancelled)
	c.unsettled += sign * count(r.is(unsettled...))
	c.prompt += sign * number(r.promptTokens)
	c.completion += sign * number(r.completionTokens)
	c.total += sign * number(r.totalTokens)
	c.cached += sign * number(r.cachedTokens)
	c.reasoning += sign * number(r.reasoningTokens)
	c.truncated += sign * count(r.cutByLength())
	c.timed += sign * count(r.durationMS != nil)
	c.durationMS += sign * number(r.durationMS)
	c.firstTokens += sign * count(r.timeToFirstTokenMS != nil)
	c.firstTokensMS += sign * number(r.timeToFirstTokenMS)
	addTo(&g.cost, sign, r.cost)
	// Outside BYOK the upstream figure is part of the charge already.
	if r.isBYOK != nil && *r.isBYOK {
		addTo(&g.byokUpstream, sign, r.upstreamCost)
	}
}

// sums are the group's figures.
func (g *group) sums() usageDay {
	d := g.counts
	d.cost, d.byokUpstream = g.cost.Decimal(), g.byokUpstream.Decimal()
	return d
}

// addTo adds sign × cost; sign is 1 or -1.
func addTo(s *accounting.Sum, sign int64, cost *decimal.Decimal) {
	switch {
	case cost == nil:
	case sign < 0:
		s.Sub(*cost)
	default:
		s.Add(*cost)
	}
}
