package settle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// activityDays is how many completed days OpenRouter keeps the activity of.
const activityDays = 30

// account is what a look at the activity tells about the account as a whole,
// for the comparison with its credits.
type account struct {
	foreign   []string           // keys that belong to another one
	otherKeys *accounting.Amount // what keys have spent that Bursar has not seen; nil: unknown
}

// byActivity compares a day with GET /activity: each of our keys by itself,
// and then the account. trouble is set if asking again later may help.
//
// What the account has spent beyond our keys was spent by keys that Bursar has
// not seen; without every key's own figure it is not known how much that is.
func (r *Reconciler) byActivity(ctx context.Context, day accounting.Day, ours []accounting.ModelSpend, now time.Time) (list []accounting.Reconciliation, whole account, trouble error) {
	if reason := r.noActivity(day, now); reason != "" {
		return []accounting.Reconciliation{accounting.WithoutTheirs(day, accounting.SourceActivity, "", total(ours), reason)}, whole, nil
	}
	list, complete, trouble := r.byKeys(ctx, day, ours)
	whole.foreign, complete = r.setForeignAside(list, complete)
	ours = slices.DeleteFunc(slices.Clone(ours), func(s accounting.ModelSpend) bool { return slices.Contains(whole.foreign, s.KeyFingerprint) })
	theirs, err := r.activity(ctx, day, "")
	if err != nil {
		return append(list, accounting.WithoutTheirs(day, accounting.SourceActivity, "", total(ours), refusal(err))), whole, errors.Join(trouble, lasting(err))
	}
	sum := accounting.ReconcileActivity(day, "", ours, theirs)
	if complete {
		known := decimal.Zero
		for i := range list {
			if list[i].TheirsUSD != nil {
				known = known.Add(list[i].TheirsUSD.Decimal)
			}
		}
		sum.SetOtherKeys(sum.TheirsUSD.Sub(known))
		sum.DarkSpendUSD, sum.DarkCalls = darkOf(list)
		whole.otherKeys = sum.OtherKeysUSD
	}
	return append(list, sum), whole, trouble
}

// byKeys compares each of our keys. complete is false if the figure of one is
// missing.
func (r *Reconciler) byKeys(ctx context.Context, day accounting.Day, ours []accounting.ModelSpend) (list []accounting.Reconciliation, complete bool, trouble error) {
	keys, complete := r.keysOf(ours)
	for _, key := range keys {
		mine := ofKey(ours, key)
		theirs, err := r.activity(ctx, day, key)
		if err != nil {
			complete, trouble = false, errors.Join(trouble, lasting(err))
			list = append(list, accounting.WithoutTheirs(day, accounting.SourceActivity, key, total(mine), refusal(err)))
			continue
		}
		list = append(list, accounting.ReconcileActivity(day, key, mine, theirs))
	}
	return list, complete, trouble
}

// setForeignAside finds the keys that have spent and of which the account
// knows nothing: clients brought them from another account. That is believed
// only where the account knows another key of ours, which shows that it finds
// keys by their fingerprints at all; and never of the injected key.
func (r *Reconciler) setForeignAside(list []accounting.Reconciliation, complete bool) (foreign []string, stillComplete bool) {
	found := slices.ContainsFunc(list, func(c accounting.Reconciliation) bool { return c.TheirCalls != nil && *c.TheirCalls > 0 })
	for i := range list {
		c := &list[i]
		if c.TheirCalls == nil || *c.TheirCalls > 0 || !c.OursUSD.IsPositive() {
			continue
		}
		if !found || c.KeyFingerprint == r.injected {
			complete = false
			continue
		}
		foreign = append(foreign, c.KeyFingerprint)
		*c = accounting.WithoutTheirs(c.Day, c.Source, c.KeyFingerprint,
			accounting.Spend{Cost: c.OursUSD.Decimal, Calls: c.OurCalls, OpenCalls: c.OpenCalls, UnverifiedCalls: c.UnverifiedCalls, UnverifiedCost: c.UnverifiedUSD.Decimal},
			"The account of OPENROUTER_MANAGEMENT_KEY knows nothing of this key; it belongs to another one.")
	}
	return foreign, complete
}

// darkOf sums the dark spend of keys, which is unknown if that of one is.
func darkOf(keys []accounting.Reconciliation) (*accounting.Amount, *int64) {
	var sum decimal.Decimal
	var calls int64
	told := true
	for i := range keys {
		switch c := &keys[i]; {
		case c.DarkCalls == nil: // of another account
		case c.DarkSpendUSD == nil:
			calls, told = calls+*c.DarkCalls, false
		default:
			calls, sum = calls+*c.DarkCalls, sum.Add(c.DarkSpendUSD.Decimal)
		}
	}
	if !told {
		return nil, &calls
	}
	return &accounting.Amount{Decimal: sum}, &calls
}

// noActivity says why the activity of a day cannot be read, if it cannot.
func (r *Reconciler) noActivity(day accounting.Day, now time.Time) string {
	switch {
	case r.noAccount != "":
		return r.noAccount
	case now.Before(day.End().Add(r.opts.After)):
		return fmt.Sprintf("OpenRouter's day is not complete; ask after %s.", day.End().Add(r.opts.After).Format(time.RFC3339))
	case day.Before(accounting.DayOf(now).Add(-activityDays)):
		return fmt.Sprintf("OpenRouter keeps the activity of the last %d days only.", activityDays)
	}
	return ""
}

// keysOf are the keys to compare by themselves: those that called that day,
// the dearest first, and the injected one. whole is false if some were left
// out.
func (r *Reconciler) keysOf(ours []accounting.ModelSpend) (keys []string, whole bool) {
	cost := make(map[string]decimal.Decimal)
	for i := range ours {
		cost[ours[i].KeyFingerprint] = cost[ours[i].KeyFingerprint].Add(ours[i].Cost)
	}
	if r.injected != "" {
		cost[r.injected] = cost[r.injected].Add(decimal.Zero)
	}
	delete(cost, "") // calls without a key were refused
	keys = slices.SortedFunc(maps.Keys(cost), func(a, b string) int {
		return cmp.Or(cost[b].Cmp(cost[a]), cmp.Compare(a, b))
	})
	if len(keys) > r.opts.MaxKeys {
		return keys[:r.opts.MaxKeys], false
	}
	return keys, true
}

func (r *Reconciler) activity(ctx context.Context, day accounting.Day, fingerprint string) ([]accounting.Activity, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.LookupTimeout)
	defer cancel()
	return r.opts.Activity.Activity(ctx, r.opts.ManagementKey, day, fingerprint)
}

// lasting drops the errors that asking again does not mend.
func lasting(err error) error {
	var lookup *accounting.LookupError
	if errors.As(err, &lookup) && lookup.Status >= 400 && lookup.Status < 500 && lookup.Status != http.StatusTooManyRequests {
		return nil
	}
	return err
}

// refusal is an error of OpenRouter's as a sentence for a verdict.
func refusal(err error) string {
	var lookup *accounting.LookupError
	switch {
	case !errors.As(err, &lookup):
		return "OpenRouter could not be asked."
	case lookup.Status == http.StatusUnauthorized || lookup.Status == http.StatusForbidden:
		return fmt.Sprintf("OpenRouter answered %d: OPENROUTER_MANAGEMENT_KEY may not read this.", lookup.Status)
	}
	return fmt.Sprintf("OpenRouter answered %d.", lookup.Status)
}

func total(ours []accounting.ModelSpend) accounting.Spend {
	var sum accounting.Spend
	for i := range ours {
		sum = sum.Plus(ours[i].Spend)
	}
	return sum
}

// bySamples compares a day with the running figures that were sampled: of each
// key, and of the account.
func (r *Reconciler) bySamples(ctx context.Context, day accounting.Day, ours []accounting.ModelSpend, whole account, now time.Time) ([]accounting.Reconciliation, error) {
	figures, err := r.samplesOf(ctx, day, ours)
	if err != nil {
		return nil, err
	}
	var list []accounting.Reconciliation
	for _, of := range slices.SortedFunc(maps.Keys(figures), compareSampled) {
		window, reason := accounting.BilledOn(day, figures[of])
		switch {
		case of.Source == accounting.SourceCredits && r.noAccount != "":
			reason = r.noAccount
		case now.Before(day.End()):
			reason = "The day is not over."
		}
		if reason != "" {
			list = append(list, accounting.WithoutTheirs(day, of.Source, of.KeyFingerprint, total(ofKey(ours, of.KeyFingerprint)), reason))
			continue
		}
		c, err := r.bySample(ctx, day, of, window, whole)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

func (r *Reconciler) bySample(ctx context.Context, day accounting.Day, of accounting.Sampled, window accounting.BilledWindow, whole account) (accounting.Reconciliation, error) {
	spend, err := r.opts.Books.WindowSpend(ctx, window.From, window.To, of.KeyFingerprint)
	if err != nil {
		return accounting.Reconciliation{}, err
	}
	if of.Source != accounting.SourceCredits {
		return accounting.ReconcileSamples(day, of, window, spend), nil
	}
	for _, key := range whole.foreign {
		foreign, err := r.opts.Books.WindowSpend(ctx, window.From, window.To, key)
		if err != nil {
			return accounting.Reconciliation{}, err
		}
		spend.Spend = spend.Minus(foreign.Spend)
	}
	c := accounting.ReconcileSamples(day, of, window, spend)
	if whole.otherKeys != nil {
		c.SetOtherKeys(whole.otherKeys.Decimal)
	}
	return c, nil
}

// samplesOf are the samples around the two midnights of a day, by figure. The
// account's credits and the keys of that day are there even without any, so
// that it is said why there is nothing.
func (r *Reconciler) samplesOf(ctx context.Context, day accounting.Day, ours []accounting.ModelSpend) (map[accounting.Sampled][]accounting.Sample, error) {
	figures := map[accounting.Sampled][]accounting.Sample{{Source: accounting.SourceCredits}: nil}
	keys, _ := r.keysOf(ours)
	for _, key := range keys {
		figures[accounting.Sampled{Source: accounting.SourceKey, KeyFingerprint: key}] = nil
	}
	for _, midnight := range []time.Time{day.Start(), day.End()} {
		samples, err := r.opts.Findings.Samples(ctx, midnight.Add(-accounting.SampleReach), midnight.Add(accounting.SampleReach))
		if err != nil {
			return nil, err
		}
		for _, s := range samples {
			figures[s.Sampled] = append(figures[s.Sampled], s)
		}
	}
	return figures, nil
}

// ofKey are the sums of one key; with an empty fingerprint, of all.
func ofKey(ours []accounting.ModelSpend, fingerprint string) []accounting.ModelSpend {
	return slices.DeleteFunc(slices.Clone(ours), func(s accounting.ModelSpend) bool {
		return fingerprint != "" && s.KeyFingerprint != fingerprint
	})
}

func compareSampled(a, b accounting.Sampled) int {
	return cmp.Or(cmp.Compare(a.KeyFingerprint, b.KeyFingerprint), cmp.Compare(a.Source, b.Source))
}
