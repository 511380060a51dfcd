package main

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"

	"bursar/accounting"
	"bursar/accounting/settle"
)

// sampleRates are EUR for one USD, of the months in turn.
var sampleRates = []string{"0.9213", "0.9148", "0.9262", "0.9185", "0.9094", "0.9171"}

// sampleSeat is what the second platform costs a month, EUR, from the second
// month of the history on.
const sampleSeat = "19"

// prepare makes what is there before the first call: partitions, rates and, at
// the first time, fixed costs, budgets and what is told about campaigns.
func (l *historyLoader) prepare(ctx context.Context, from, now time.Time, fresh bool) error {
	for _, at := range []time.Time{from, now} {
		if err := l.store.EnsurePartitions(ctx, at); err != nil {
			return err
		}
	}
	first := accounting.MonthOf(l.history.first.Start())
	rates := []accounting.ExchangeRate{}
	for m, n := first, 0; !m.Start().After(now); m, n = m.Next(), n+1 {
		rates = append(rates, accounting.ExchangeRate{Day: accounting.DayOf(m.Start()), USDToEUR: amountOf(sampleRates[n%len(sampleRates)])})
	}
	if _, err := l.store.PutExchangeRates(ctx, rates, sampleActor); err != nil || !fresh {
		return err
	}
	platform := platformHeyReach
	if err := l.store.PutFixedCost(ctx, accounting.DatedFixedCost{Name: "heyreach", From: first.Next(), EUR: amountOf(sampleSeat), Platform: &platform}, sampleActor); err != nil {
		return err
	}
	if err := l.store.EnsureBudget(ctx, l.history.monthly); err != nil {
		return err
	}
	for _, b := range sampleBudgets() {
		if _, err := l.store.CreateBudget(ctx, b, sampleActor); err != nil && !errors.Is(err, accounting.ErrBudgetExists) {
			return err
		}
	}
	return l.tellCampaigns(ctx)
}

func (l *historyLoader) tellCampaigns(ctx context.Context) error {
	for i := range sampleStories {
		s := &sampleStories[i]
		c := accounting.CampaignSettings{ID: s.id, Name: &s.name, Platform: &s.platform, Currency: accounting.EUR, Testing: s.testing}
		if s.meetingValue != "" {
			value := amountOf(s.meetingValue)
			c.MeetingValue = &value
		}
		if _, err := l.store.PutCampaign(ctx, c, sampleActor); err != nil {
			return err
		}
	}
	return nil
}

// conclude does what Bursar did every night: it compared the days with
// OpenRouter's own figures and foresaw the month's end. What was alerted
// before this week has been seen by somebody.
func (l *historyLoader) conclude(ctx context.Context, now time.Time, fresh bool) error {
	if err := l.reconcile(ctx, now); err != nil {
		return err
	}
	if err := l.forecast(ctx, now); err != nil || !fresh {
		return err
	}
	page, err := l.store.ListAlerts(ctx, accounting.AlertFilter{Limit: accounting.MaxUsageRows})
	if err != nil {
		return err
	}
	for i, a := range page.Alerts {
		if a.CreatedAt.After(now.AddDate(0, 0, -6)) || i%5 == 4 { // one that was overlooked
			continue
		}
		if _, err := l.store.AcknowledgeAlert(ctx, a.ID, sampleActor, a.CreatedAt.Add(time.Duration(1+i*5%17)*time.Hour)); err != nil {
			return err
		}
	}
	return nil
}

// reconcile compares the days that nobody has compared, each on the night after
// it.
func (l *historyLoader) reconcile(ctx context.Context, now time.Time) error {
	theirs := &sampleActivity{books: l.store, history: l.history}
	reconciler, err := settle.NewReconciler(settle.ReconcilerOptions{
		Books: l.store, Findings: l.store, Days: l.store, Activity: theirs,
		ManagementKey: sampleKey, Tolerance: l.cfg.Reconcile.Tolerance, Now: func() time.Time { return l.clock }, Logger: zerolog.Nop()})
	if err != nil {
		return err
	}
	defer func() { l.clock = now }()
	days, err := l.store.DaysToReconcile(ctx, l.history.first, accounting.DayOf(now).Add(-1), now)
	if err != nil {
		return err
	}
	for _, day := range days {
		l.clock = day.End().Add(45 * time.Minute)
		if l.clock.After(now) {
			continue
		}
		if err := l.sample(ctx, theirs, day); err != nil {
			return err
		}
		if _, err := reconciler.Reconcile(ctx, day, day); err != nil {
			return err
		}
		if _, _, err := l.store.ClaimDay(ctx, day, l.clock, l.clock); err != nil {
			return err
		}
		if err := l.store.ReleaseDay(ctx, day, time.Time{}, l.clock); err != nil {
			return err
		}
	}
	return nil
}

// sample notes what the account had used at the two midnights of a day.
func (l *historyLoader) sample(ctx context.Context, theirs *sampleActivity, day accounting.Day) error {
	charged, err := theirs.Activity(ctx, "", day, "")
	if err != nil {
		return err
	}
	known, err := l.store.Samples(ctx, day.Start(), day.Start())
	if err != nil {
		return err
	}
	at := accounting.Sample{Sampled: accounting.Sampled{Source: accounting.SourceCredits}, TakenAt: day.Start(), Usage: decimal.NewFromInt(100), TotalCredits: accounting.Some(decimal.NewFromInt(1000))}
	for _, s := range known {
		if s.Source == accounting.SourceCredits {
			at.Usage = s.Usage
		}
	}
	if err := l.store.SaveSamples(ctx, at.TakenAt, []accounting.Sample{at}); err != nil {
		return err
	}
	at.TakenAt = day.End()
	for _, a := range charged {
		at.Usage = at.Usage.Add(a.Usage)
	}
	return l.store.SaveSamples(ctx, at.TakenAt, []accounting.Sample{at})
}

// sampleActivity is OpenRouter's GET /activity for days of the history, of
// which the fake OpenRouter knows nothing: it has charged what we have recorded,
// and on one day somebody has used the key without Bursar.
type sampleActivity struct {
	books   settle.Books
	history sampleHistory
}

// Activity implements [settle.ActivityReader].
func (s *sampleActivity) Activity(ctx context.Context, _ string, day accounting.Day, _ string) ([]accounting.Activity, error) {
	ours, err := s.books.DaySpend(ctx, day)
	if err != nil {
		return nil, err
	}
	theirs := make([]accounting.Activity, 0, len(ours)+1)
	for i := range ours {
		o := &ours[i]
		a := accounting.Activity{Model: o.RequestedModel, Permaslug: o.Model, Usage: o.Cost, Requests: o.Calls}
		if o.OpenCalls > 0 { // it was billed, whatever we know
			a.Usage = a.Usage.Add(decimal.RequireFromString("0.0094").Mul(decimal.NewFromInt(o.OpenCalls)))
		}
		theirs = append(theirs, a)
	}
	if day == s.history.first.Add(sampleDarkDay) {
		theirs = append(theirs, accounting.Activity{Model: "openai/gpt-4o-mini", Permaslug: "openai/gpt-4o-mini-2024-07-18", Usage: decimal.RequireFromString("0.7318445"), Requests: 212})
	}
	return theirs, nil
}

// forecast foresees the month's end on each day as it was foreseen then, from
// the days before it.
func (l *historyLoader) forecast(ctx context.Context, now time.Time) error {
	today := accounting.DayOf(now)
	histories, err := l.store.CostHistories(ctx, l.history.first, today, accounting.EUR, []accounting.Scope{{}})
	if err != nil {
		return err
	}
	known := histories[0].Value
	for n := accounting.MinForecastDays; n < len(known.Days); n++ {
		since := max(0, n-accounting.MaxForecastDays)
		past := accounting.CostHistory{First: known.First.Add(since), Days: known.Days[since:n]}
		snapshot, ok := accounting.SnapshotForecast(past, past.Present().Start().Add(time.Minute))
		if !ok {
			continue
		}
		if _, err := l.store.SaveForecast(ctx, snapshot); err != nil {
			return err
		}
	}
	return nil
}
