package accounting

import (
	"fmt"
	"time"

	"github.com/shopspring/decimal"
)

// Source is where OpenRouter's side of a reconciliation comes from.
type Source string

// The sources.
const (
	SourceActivity Source = "activity" // GET /activity: by day, model and key, in days that are complete
	SourceKey      Source = "key"      // GET /key: what one key has used so far
	SourceCredits  Source = "credits"  // GET /credits: what the account has used so far
)

// Sampled names a running figure of OpenRouter's.
type Sampled struct {
	Source         Source // key or credits
	KeyFingerprint string // of a key; empty for the account
}

// Sample is a running figure at one moment. Amounts are USD.
type Sample struct {
	Sampled
	TakenAt      time.Time
	Usage        decimal.Decimal           // since the beginning: it only grows
	UsageDaily   Optional[decimal.Decimal] // since 00:00 UTC; of keys only
	UsageMonthly Optional[decimal.Decimal] // since the first of the month, UTC; of keys only
	TotalCredits Optional[decimal.Decimal] // bought so far; of the account only
}

// SampleReach is how far from midnight a sample may lie and still stand for it.
const SampleReach = time.Hour

// BilledWindow is what OpenRouter charged between two moments.
type BilledWindow struct {
	From, To time.Time
	Amount   decimal.Decimal // USD
}

// BilledOn is what the samples of one key or account say of a day: the
// difference of the running figure between the samples nearest to its two
// midnights. Where no sample lies near the first one, as for a key that is new,
// usage_daily of a sample shortly before the second will do. reason says, as a
// sentence, why there is no answer; it is empty if there is one.
func BilledOn(day Day, samples []Sample) (w BilledWindow, reason string) {
	first, hasFirst := nearest(samples, day.Start())
	last, hasLast := nearest(samples, day.End())
	switch {
	case !hasLast:
		return w, fmt.Sprintf("There is no sample within %s of the day's end.", shortDuration(SampleReach))
	case hasFirst && last.Usage.LessThan(first.Usage):
		return w, "OpenRouter's running figure fell within the day."
	case hasFirst:
		return BilledWindow{From: first.TakenAt, To: last.TakenAt, Amount: last.Usage.Sub(first.Usage)}, ""
	}
	if last, hasLast = lastBefore(samples, day.End()); hasLast && last.UsageDaily.Known {
		return BilledWindow{From: day.Start(), To: last.TakenAt, Amount: last.UsageDaily.Value}, ""
	}
	return w, fmt.Sprintf("There is no sample within %s of the day's start.", shortDuration(SampleReach))
}

// nearest is the sample nearest to t within SampleReach.
func nearest(samples []Sample, t time.Time) (found Sample, ok bool) {
	best := SampleReach
	for _, s := range samples {
		if distance := s.TakenAt.Sub(t).Abs(); distance < best || !ok && distance == best {
			found, best, ok = s, distance, true
		}
	}
	return found, ok
}

// lastBefore is the last sample before t within SampleReach.
func lastBefore(samples []Sample, t time.Time) (found Sample, ok bool) {
	for _, s := range samples {
		if s.TakenAt.Before(t) && t.Sub(s.TakenAt) <= SampleReach && (!ok || found.TakenAt.Before(s.TakenAt)) {
			found, ok = s, true
		}
	}
	return found, ok
}

// shortDuration is an hour as "1h", not "1h0m0s".
func shortDuration(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return d.String()
}
