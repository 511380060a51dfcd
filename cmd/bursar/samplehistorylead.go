package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// sampleLead is one lead, from research to deal.
type sampleLead struct {
	*rand.Rand
	history sampleHistory
	told    *toldHistory
	story   *sampleStory
	n       int
	tags    accounting.Tags
}

// lead tells what was done for the nth lead of a story, which came on a day,
// and what came of it.
func (h sampleHistory) lead(told *toldHistory, story *sampleStory, number, day, n int) {
	l := &sampleLead{
		Rand: rand.New(rand.NewPCG(sampleSeed+uint64(number), uint64(n))), history: h, told: told, story: story, n: n,
		tags: accounting.Tags{
			CampaignID: story.id, LeadID: fmt.Sprintf("%s-%05d", story.id, n), Platform: story.platform,
			SequenceID: fmt.Sprintf("%s-%c", story.id, 'a'+n%2),
		},
	}
	if chance(l.Rand, story.elsewhere) {
		l.tags.Platform = platformHeyReach
	}
	if chance(l.Rand, story.valuable) {
		l.tags.LeadValue = accounting.LeadValueHigh
	}
	at := h.arrival(l.Rand, story, day)
	written := l.write(at)
	if !evenly(n, story.sent) {
		return
	}
	l.reach(written.Add(between(l.Rand, 20*time.Minute, 5*time.Hour)))
}

// arrival is when a lead of a day comes: in office hours, most of them in the
// morning and after lunch.
func (h sampleHistory) arrival(r *rand.Rand, s *sampleStory, day int) time.Time {
	start := h.first.Add(day).Start()
	if s.id == "q4-launch" && day == h.officeDay(sampleSpikeDay) && chance(r, 85) {
		return start.Add(between(r, 9*time.Hour, 12*time.Hour))
	}
	morning := start.Add(6*time.Hour + between(r, 0, 3*time.Hour) + between(r, 0, 3*time.Hour))
	if chance(r, 45) {
		return morning.Add(5 * time.Hour)
	}
	return morning
}

// write has the first email written: research, personalisation, subject, body,
// and perhaps the body again. It returns when that was done.
func (l *sampleLead) write(at time.Time) time.Time {
	l.tags.EmailID = l.tags.LeadID + "-1"
	best := l.story.writer
	if l.tags.LeadValue == accounting.LeadValueHigh {
		best = modelOpus
	}
	if chance(l.Rand, 88) {
		at = l.call(at, accounting.PurposeResearch, modelFlash)
	}
	at = l.call(at, accounting.PurposeLeadPersonalization, best)
	at = l.call(at, accounting.PurposeSubjectLine, modelMini)
	at = l.call(at, accounting.PurposeEmailGeneration, best)
	for chance(l.Rand, l.story.redrafted) {
		at = l.call(at.Add(between(l.Rand, time.Minute, 20*time.Minute)), accounting.PurposeEmailGeneration, best)
	}
	if l.story.id == "agency-outreach" && l.n%(9*sampleLoopDays) == 150 {
		for range 13 { // nobody tells the loop that the email is good enough
			at = l.call(at.Add(10*time.Second), accounting.PurposeEmailGeneration, modelOpus)
		}
	}
	return at
}

// reach sends the email and what follows it.
func (l *sampleLead) reach(at time.Time) {
	l.happen(at, accounting.EmailSent)
	if chance(l.Rand, l.story.bounced) {
		l.happen(at.Add(between(l.Rand, time.Minute, time.Hour)), accounting.Bounced)
		return
	}
	if chance(l.Rand, 40) {
		l.happen(at.Add(between(l.Rand, time.Hour, 30*time.Hour)), accounting.EmailOpened)
	}
	if chance(l.Rand, l.story.unsubscribed) {
		l.happen(at.Add(between(l.Rand, time.Hour, 40*time.Hour)), accounting.Unsubscribed)
		return
	}
	booked := evenly(l.n, l.story.booked)
	followUps := 0
	for ; followUps < 2 && !chance(l.Rand, 30+25*followUps); followUps++ {
		at = l.followUp(at, followUps)
	}
	if booked || chance(l.Rand, l.story.replied) {
		l.answer(at.Add(between(l.Rand, 2*time.Hour, 50*time.Hour)), booked)
	}
}

// followUp writes and sends another email, three or four days later.
func (l *sampleLead) followUp(at time.Time, n int) time.Time {
	at = at.Add(time.Duration(3+n) * 24 * time.Hour)
	for at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
		at = at.Add(24 * time.Hour)
	}
	l.tags.EmailID = fmt.Sprintf("%s-%d", l.tags.LeadID, n+2)
	model := modelHaiku
	if n > 0 {
		model = modelMini
	}
	at = l.call(at, accounting.PurposeFollowUp, model).Add(between(l.Rand, time.Minute, 30*time.Minute))
	l.happen(at, accounting.EmailSent)
	return at
}

// answer is the lead's reply, the reply to that, and where it leads.
func (l *sampleLead) answer(at time.Time, booked bool) {
	l.happen(at, accounting.ReplyReceived)
	at = l.call(at.Add(between(l.Rand, time.Minute, 3*time.Hour)), accounting.PurposeReplyHandling, modelHaiku)
	if !booked {
		return
	}
	at = at.Add(between(l.Rand, time.Hour, 30*time.Hour))
	l.happen(at, accounting.MeetingBooked)
	if chance(l.Rand, l.story.won) {
		l.happen(at.Add(between(l.Rand, 6*24*time.Hour, 20*24*time.Hour)), accounting.DealWon)
	}
}

// call makes a call at a time, again if it fails, and returns when there was an
// answer.
func (l *sampleLead) call(at time.Time, purpose, model string) time.Time {
	tags := l.tags
	tags.Purpose = purpose
	for range 3 {
		c := l.history.call(l.Rand, at, tags, model)
		l.told.calls = append(l.told.calls, c)
		at = at.Add(c.Duration + between(l.Rand, time.Second, 40*time.Second))
		if c.Error == "" {
			break
		}
	}
	return at
}

// happen tells of an activity.
func (l *sampleLead) happen(at time.Time, kind accounting.ActivityType) {
	a := accounting.CampaignActivity{
		ID: fmt.Sprintf("%s/%s/%s", l.tags.EmailID, kind, l.history.first), Type: kind, CampaignID: l.tags.CampaignID, LeadID: l.tags.LeadID,
		EmailID: l.tags.EmailID, Platform: l.tags.Platform, Source: "webhook/" + l.tags.Platform, OccurredAt: at.Truncate(time.Millisecond),
	}
	switch {
	case kind == accounting.DealWon:
		a.Source, a.Currency = "api", accounting.EUR
		a.Value = accounting.Some(decimal.NewFromInt(int64(60 + 10*l.IntN(20))))
	case kind == accounting.MeetingBooked && l.tags.LeadValue == accounting.LeadValueHigh:
		a.Source, a.Currency, a.Value = "api", accounting.EUR, accounting.Some(decimal.NewFromInt(60))
	}
	l.told.activities = append(l.told.activities, a)
}

// untagged tells the calls of a day that belong to no campaign: somebody tries
// prompts out, or a script sends no tags.
func (h sampleHistory) untagged(told *toldHistory, day int) {
	r := rand.New(rand.NewPCG(sampleSeed, uint64(day)))
	n := int(9 * weekdayShare[h.first.Add(day).Start().Weekday()])
	for range n {
		at := h.arrival(r, &sampleStory{}, day)
		tags := accounting.Tags{Purpose: []string{accounting.PurposeTesting, accounting.PurposeTesting, accounting.PurposeOther, ""}[r.IntN(4)]}
		model := []string{modelOpus, modelSonnet, modelMini, modelFlash}[r.IntN(4)]
		told.calls = append(told.calls, h.call(r, at, tags, model))
	}
}
