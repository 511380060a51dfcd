package main

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/config"
)

// historyNow is a Wednesday afternoon.
var historyNow = time.Date(2026, 11, 18, 15, 4, 5, 0, time.UTC)

func newTestHistory(t testing.TB) sampleHistory {
	t.Helper()
	cfg, err := config.Load(nil, nil, t.TempDir())
	require.NoError(t, err)
	return sampleHistory{first: accounting.DayOf(historyNow).Add(1 - sampleDays), monthly: (&program{cfg: cfg}).monthlyAI(), rate: cfg.Economics.USDToEURRate}
}

func TestAHistoryIsTheSameEachTimeItIsTold(t *testing.T) {
	h := newTestHistory(t)
	told, again := h.until(historyNow), h.until(historyNow)
	require.Equal(t, told, again)
	h.first = h.first.Add(1)
	require.NotEqual(t, told.calls[0].ID, h.until(historyNow).calls[0].ID, "another first day is another story")
}

func TestAHistoryThatIsToldOnSaysTheSameOfTheDaysBefore(t *testing.T) {
	h := newTestHistory(t)
	before, later := h.until(historyNow), h.until(historyNow.AddDate(0, 0, 20))
	rest := later.since(historyNow.Add(-time.Hour))
	require.NotEmpty(t, rest.calls)
	require.NotEmpty(t, rest.activities)
	known := idsOf(later.calls)
	for id := range idsOf(before.calls) {
		require.True(t, known[id], "%s is told no more", id)
	}
	require.Len(t, rest.calls, len(later.calls)-len(before.calls)+len(before.since(historyNow.Add(-time.Hour)).calls))
}

func idsOf(calls []historicCall) map[accounting.RequestID]bool {
	ids := make(map[accounting.RequestID]bool, len(calls))
	for i := range calls {
		ids[calls[i].ID] = true
	}
	return ids
}

func TestWhatAHistoryTellsIsOverAndHappenedOnce(t *testing.T) {
	told := newTestHistory(t).until(historyNow)
	seen := map[string]bool{}
	know := func(id string) {
		require.False(t, id != "" && seen[id], "%s is told twice", id)
		seen[id] = true
	}
	for i := range told.calls {
		c := &told.calls[i]
		know(c.ID.String())
		know(c.GenerationID)
		require.True(t, c.CreatedAt().Add(c.Duration).Before(historyNow))
		if c.billed.Known {
			require.True(t, c.billed.Value.IsPositive())
			require.True(t, !c.Usage.Cost.Known || c.Usage.Cost.Value.Equal(c.billed.Value), "what was told is what was billed")
			require.False(t, c.recorded().After(historyNow))
		}
	}
	for i := range told.activities {
		know(told.activities[i].ID)
		require.False(t, told.activities[i].OccurredAt.After(historyNow))
	}
}

func TestACallOfTheHistoryCostsItsTokensAtTheListedPrices(t *testing.T) {
	priced := 0
	for _, c := range newTestHistory(t).until(historyNow).calls {
		if !c.Usage.Cost.Known || c.RequestedModel != modelSonnet {
			continue
		}
		priced++
		u := c.Usage
		millionths := 3_000_000*(u.PromptTokens.Value-u.CachedTokens.Value-u.CacheWriteTokens.Value) + 300_000*u.CachedTokens.Value +
			3_750_000*u.CacheWriteTokens.Value + 15_000_000*u.CompletionTokens.Value
		require.Equal(t, decimal.New(millionths, -12).String(), c.Usage.Cost.Value.String())
	}
	require.Greater(t, priced, 1000)
}

// taleOf are the figures of one campaign.
type taleOf struct {
	leads, reached map[string]bool
	activities     map[accounting.ActivityType]int
	cost           decimal.Decimal
}

func talesOf(told toldHistory) map[string]*taleOf {
	tales := map[string]*taleOf{}
	of := func(campaign string) *taleOf {
		if tales[campaign] == nil {
			tales[campaign] = &taleOf{leads: map[string]bool{}, reached: map[string]bool{}, activities: map[accounting.ActivityType]int{}}
		}
		return tales[campaign]
	}
	for i := range told.calls {
		c := &told.calls[i]
		of(c.Tags.CampaignID).leads[c.Tags.LeadID] = true
		of(c.Tags.CampaignID).cost = of(c.Tags.CampaignID).cost.Add(c.billed.Value)
	}
	for i := range told.activities {
		a := &told.activities[i]
		of(a.CampaignID).activities[a.Type]++
		if a.Type == accounting.EmailSent {
			of(a.CampaignID).reached[a.LeadID] = true
		}
	}
	return tales
}

func TestTheCampaignsOfAHistoryHaveTheirFates(t *testing.T) {
	tales := talesOf(newTestHistory(t).until(historyNow))
	for campaign, want := range map[string]struct{ sent, converted float64 }{
		"q4-launch": {0.95, 0.07}, "partner-outreach": {0.73, 0.042}, "winter-webinar": {0.90, 0.01}, "agency-outreach": {0.34, 0.036}, sampleEnded: {0.86, 0.055},
	} {
		tale := tales[campaign]
		assert.InDelta(t, want.sent, float64(len(tale.reached))/float64(len(tale.leads)), 0.03, "%s: sent", campaign)
		assert.InDelta(t, want.converted, float64(tale.activities[accounting.MeetingBooked])/float64(tale.activities[accounting.EmailSent]), 0.012, "%s: meetings", campaign)
		assert.Greater(t, len(tale.leads), 300, campaign)
	}
	assert.Less(t, len(tales["healthcare-pilot"].leads), 30, "too few for a verdict")
	assert.Greater(t, len(tales["healthcare-pilot"].leads), 10)
	assert.True(t, tales[""].cost.IsPositive(), "some calls belong to no campaign")
	assert.Greater(t, tales["winter-webinar"].activities[accounting.Bounced], 2*tales["q4-launch"].activities[accounting.Bounced])
	assert.Positive(t, tales["q4-launch"].activities[accounting.DealWon])
}

func TestAHistoryHasAllThatADashboardShows(t *testing.T) {
	h := newTestHistory(t)
	told := h.until(historyNow)
	found := map[string]int{}
	days := map[accounting.Day]decimal.Decimal{}
	for i := range told.calls {
		c := &told.calls[i]
		days[accounting.DayOf(c.CreatedAt())] = days[accounting.DayOf(c.CreatedAt())].Add(c.billed.Value)
		for what, is := range map[string]bool{
			"failed": c.Kind == accounting.Closed && c.Error != "", "cancelled": c.Cancelled, "cut off": c.FinishReason == "length",
			"cached": c.Usage.CachedTokens.Value > 0, "high value": c.Tags.LeadValue == accounting.LeadValueHigh, "refused": c.Kind == accounting.Refused,
			"interrupted": c.Kind == accounting.Interrupted, "second draft": c.Tags.Purpose == accounting.PurposeEmailGeneration, "heyreach": c.Tags.Platform == platformHeyReach,
			"model " + c.RequestedModel: true,
		} {
			if is {
				found[what]++
			}
		}
	}
	for what, least := range map[string]int{
		"failed": 50, "cancelled": 50, "cut off": 50, "cached": 1000, "high value": 500, "refused": 12, "interrupted": 2, "heyreach": 1000,
		"model " + modelOpus: 200, "model " + modelSonnet: 1000, "model " + modelHaiku: 1000, "model " + modelMini: 1000, "model " + modelFlash: 1000,
	} {
		assert.GreaterOrEqual(t, found[what], least, what)
	}
	assert.InDelta(t, 22_000, len(told.calls), 4_000)
	assert.Len(t, days, sampleDays, "there is something on every day")
	spike := days[h.first.Add(h.officeDay(sampleSpikeDay))]
	assert.True(t, spike.GreaterThan(days[h.first.Add(h.officeDay(sampleSpikeDay)-7)].Mul(decimal.NewFromInt(2))), "a spike of %s", spike)
}

func TestNoCallOfAHistoryPassesAHardBudget(t *testing.T) {
	h := newTestHistory(t)
	spent := map[accounting.LeaseKey]decimal.Decimal{}
	for _, c := range h.until(historyNow).calls {
		if c.Decision == nil {
			continue
		}
		for _, share := range c.Decision.Budgets {
			if !share.Charge.IsPositive() {
				continue // it binds nothing, or refused the call
			}
			key := accounting.LeaseKey{BudgetID: share.BudgetID, EachValue: share.EachValue, PeriodStart: share.PeriodStart}
			require.True(t, c.billed.Value.LessThanOrEqual(share.Charge), "%s cost more than was reserved", c.ID)
			spent[key] = spent[key].Add(c.billed.Value)
			require.True(t, spent[key].LessThanOrEqual(share.Limit), "%v", key)
		}
	}
	require.Greater(t, len(spent), 1000)
}
