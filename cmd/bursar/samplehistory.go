package main

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// sampleHistory makes up what the demo's application did before the demo began:
// a few campaigns with different fates over three months. It is the same for
// the same first day, however often and up to which moment it is told; so a
// history can be told on later, and what was told twice is known by its ids.
type sampleHistory struct {
	first   accounting.Day
	monthly accounting.Budget // monthly-ai
	rate    decimal.Decimal   // EUR for one USD, that budgets count at
}

// sampleDays is how many days of history a new demo has, the present one
// included.
const sampleDays = 96

// sampleSeed draws everything that is random in the history.
const sampleSeed = 20260819

// Days of the story on which something happens, counted from its first; those
// that belong to office hours are moved to a Tuesday, Wednesday or Thursday.
const (
	sampleLoopDays  = 22 // between two leads that are written to in a loop
	sampleDarkDay   = 57 // somebody used the key without Bursar
	sampleImportDay = 69 // too many leads for the budget of their campaign
	sampleSpikeDay  = 78 // many leads within three hours
	sampleIncident  = 86 // OpenRouter's providers fail for half a day
	sampleOpenDay   = 93 // calls whose cost nobody knows
)

// sampleStory is a campaign, and what becomes of it.
type sampleStory struct {
	id, name  string
	platform  string
	elsewhere int // percent of leads that are reached on the other platform

	from, to int     // days on which leads come; to is not one of them, 0: without end
	leads    float64 // on a working day, in the middle of the history

	// Permille of the leads: that are written to, of those that were sent
	// something.
	sent, booked int
	// Percent.
	redrafted, replied, bounced, unsubscribed, won, valuable int

	meetingValue string // EUR; empty: not told
	testing      bool
	writer       string // model of the emails
}

const (
	modelOpus   = "anthropic/claude-opus-4.6"
	modelSonnet = "anthropic/claude-sonnet-4.6"
	modelHaiku  = "anthropic/claude-haiku-4.5"
	modelMini   = "openai/gpt-5-mini"
	modelFlash  = "google/gemini-2.5-flash"
)

const platformInstantly, platformHeyReach = accounting.PlatformInstantly, accounting.PlatformHeyReach

// sampleStories are one campaign to invest in, a solid one, one that reaches the
// wrong people, one that is written and hardly sent, one that ended two months
// ago, which is how a history is known again, and a test too small to judge.
var sampleStories = []sampleStory{
	{id: "q4-launch", name: "Q4 launch: SaaS founders", platform: platformInstantly, elsewhere: 20, from: 24, leads: 18,
		sent: 960, booked: 145, redrafted: 12, replied: 22, bounced: 1, unsubscribed: 1, won: 24, valuable: 15, meetingValue: "25", writer: modelSonnet},
	{id: "partner-outreach", name: "Partners in Benelux", platform: platformHeyReach, from: 0, leads: 15,
		sent: 740, booked: 100, redrafted: 14, replied: 16, bounced: 1, unsubscribed: 1, won: 20, valuable: 8, meetingValue: "20", writer: modelSonnet},
	{id: "winter-webinar", name: "Winter webinar: bought list", platform: platformInstantly, from: 31, leads: 16,
		sent: 920, booked: 21, redrafted: 10, replied: 6, bounced: 6, unsubscribed: 4, won: 10, valuable: 4, meetingValue: "12", writer: modelHaiku},
	{id: "agency-outreach", name: "Agencies (waiting for approval)", platform: platformInstantly, from: 0, leads: 15,
		sent: 340, booked: 45, redrafted: 30, replied: 9, bounced: 2, unsubscribed: 2, won: 10, valuable: 10, writer: modelSonnet},
	{id: sampleEnded, name: "Summer reactivation", platform: platformInstantly, elsewhere: 10, from: 0, to: 35, leads: 20,
		sent: 860, booked: 130, redrafted: 18, replied: 17, bounced: 2, unsubscribed: 2, won: 18, valuable: 6, meetingValue: "18", writer: modelSonnet},
	{id: "healthcare-pilot", name: "Healthcare pilot", platform: platformHeyReach, from: 80, to: 90, leads: 2.4,
		sent: 800, booked: 90, redrafted: 10, replied: 20, won: 10, valuable: 50, testing: true, writer: modelOpus},
}

const sampleEnded = "summer-reactivation"

// weekdayShare is how much of a working day's leads come on each day, from
// Sunday on.
var weekdayShare = [7]float64{0.08, 1.1, 1.15, 1.1, 1.0, 0.75, 0.12}

// leadsBefore is how many leads a story has had before a day of the history.
func (h sampleHistory) leadsBefore(s *sampleStory, day int) int {
	var sum float64
	for d := s.from; d < day && (s.to == 0 || d < s.to); d++ {
		growth := 0.7 + 0.5*float64(min(d, sampleDays))/sampleDays
		sum += s.leads * growth * weekdayShare[h.first.Add(d).Start().Weekday()]
		switch {
		case s.id == "q4-launch" && d == h.officeDay(sampleSpikeDay):
			sum += 85
		case s.id == "winter-webinar" && d == h.officeDay(sampleImportDay):
			sum += 60
		}
	}
	return int(sum)
}

// officeDay moves a day of the history to the next Tuesday to Thursday.
func (h sampleHistory) officeDay(day int) int {
	for {
		switch h.first.Add(day).Start().Weekday() {
		case time.Tuesday, time.Wednesday, time.Thursday:
			return day
		}
		day++
	}
}

// toldHistory is a part of the history, in the order of time.
type toldHistory struct {
	calls      []historicCall
	activities []accounting.CampaignActivity
}

// historicCall is a call as the journal tells it, and what OpenRouter's own
// record said later.
type historicCall struct {
	accounting.Event
	// Billed is what OpenRouter charged; unknown: the call failed, was refused,
	// or nobody has found out yet.
	billed accounting.Optional[decimal.Decimal]
}

// recorded is when OpenRouter's own record was read.
func (c *historicCall) recorded() time.Time {
	return c.CreatedAt().Add(c.Duration + 8*time.Second).Truncate(time.Microsecond)
}

// until tells the history up to a moment.
func (h sampleHistory) until(now time.Time) toldHistory {
	var told toldHistory
	days := int(accounting.DayOf(now).Start().Sub(h.first.Start()) / (24 * time.Hour))
	for i := range sampleStories {
		story := &sampleStories[i]
		for day := story.from; day <= days; day++ {
			for n := h.leadsBefore(story, day); n < h.leadsBefore(story, day+1); n++ {
				h.lead(&told, story, i, day, n)
			}
		}
	}
	for day := range days + 1 {
		h.untagged(&told, day)
	}
	h.undecided(&told)
	told.calls = slices.DeleteFunc(told.calls, func(c historicCall) bool { return c.recorded().After(now) })
	told.activities = slices.DeleteFunc(told.activities, func(a accounting.CampaignActivity) bool { return a.OccurredAt.After(now) })
	slices.SortStableFunc(told.calls, func(a, b historicCall) int { return slices.Compare(a.ID[:], b.ID[:]) })
	slices.SortStableFunc(told.activities, func(a, b accounting.CampaignActivity) int { return a.OccurredAt.Compare(b.OccurredAt) })
	newSampleGuard(append(sampleBudgets(), h.monthly), h.rate).decide(&told)
	return told
}

// since is what of the history happened from a moment on.
func (t toldHistory) since(from time.Time) toldHistory {
	calls, _ := slices.BinarySearchFunc(t.calls, from, func(c historicCall, at time.Time) int { return c.CreatedAt().Compare(at) })
	activities, _ := slices.BinarySearchFunc(t.activities, from, func(a accounting.CampaignActivity, at time.Time) int { return a.OccurredAt.Compare(at) })
	return toldHistory{calls: t.calls[calls:], activities: t.activities[activities:]}
}

// evenly reports whether the nth of many is one of so many permille, which lie
// as far apart as they can: so a rate is what it is meant to be in any month.
func evenly(n, permille int) bool { return (n+1)*permille/1000 > n*permille/1000 }

// chance reports whether something happens that does so in percent of cases.
func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

// between is a random duration.
func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}
