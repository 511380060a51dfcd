package accounting

import (
	"cmp"
	"maps"
	"slices"

	"github.com/shopspring/decimal"
)

// WithoutTheirs is the reconciliation of a day of which OpenRouter's side is
// not to be had. reason is a sentence.
func WithoutTheirs(day Day, source Source, fingerprint string, ours Spend, reason string) Reconciliation {
	r := Reconciliation{Day: day, Source: source, KeyFingerprint: fingerprint, Verdict: VerdictUnavailable, Reason: reason}
	r.setOurs(ours)
	return r
}

// ReconcileActivity compares a day with the activity of one key, or of the
// account. The verdict is left to [Reconciliation.Judge].
//
// Dark spend is told by the counts: a model of which OpenRouter counted more
// requests than Bursar recorded calls was called around Bursar, and its
// difference is what that cost. Where such a model also has calls of ours
// whose cost is still open, the two cannot be told apart, and the amount is
// unknown.
func ReconcileActivity(day Day, fingerprint string, ours []ModelSpend, theirs []Activity) Reconciliation {
	r := Reconciliation{Day: day, Source: SourceActivity, KeyFingerprint: fingerprint}
	var spend Spend
	for i := range ours {
		spend = spend.Plus(ours[i].Spend)
	}
	r.setOurs(spend)
	var (
		billed, dark      decimal.Decimal
		requests, strange int64
		told              = true
	)
	for _, a := range theirs {
		billed = billed.Add(a.Usage)
		requests += a.Requests
	}
	r.setTheirs(billed)
	r.Models = modelDifferences(ours, theirs)
	for i := range r.Models {
		m := &r.Models[i]
		extra := m.TheirCalls - m.OurCalls
		if extra <= 0 {
			continue
		}
		strange += extra
		if m.OpenCalls > 0 {
			told = false
		} else if m.DifferenceUSD.IsPositive() {
			dark = dark.Add(m.DifferenceUSD.Decimal)
		}
	}
	r.TheirCalls, r.DarkCalls = &requests, &strange
	if told {
		r.DarkSpendUSD = &Amount{dark}
	}
	return r
}

// modelDifferences sets the two sides of each model beside each other, the
// greatest difference first.
func modelDifferences(ours []ModelSpend, theirs []Activity) []ModelDifference {
	name := modelNames(theirs)
	byModel := make(map[string]*ModelDifference)
	of := func(model string) *ModelDifference {
		if byModel[model] == nil {
			byModel[model] = &ModelDifference{Model: model}
		}
		return byModel[model]
	}
	for i := range ours {
		s := &ours[i]
		m := of(name(s.Model, s.RequestedModel))
		m.OursUSD = Amount{m.OursUSD.Add(s.Cost)}
		m.OurCalls += s.Calls
		m.OpenCalls += s.OpenCalls
	}
	for _, a := range theirs {
		m := of(name(a.Permaslug, a.Model))
		m.TheirsUSD = Amount{m.TheirsUSD.Add(a.Usage)}
		m.TheirCalls += a.Requests
	}
	list := make([]ModelDifference, 0, len(byModel))
	for _, m := range slices.Sorted(maps.Keys(byModel)) {
		d := byModel[m]
		d.DifferenceUSD = Amount{d.TheirsUSD.Sub(d.OursUSD.Decimal)}
		list = append(list, *d)
	}
	slices.SortStableFunc(list, func(a, b ModelDifference) int {
		return b.DifferenceUSD.Abs().Cmp(a.DifferenceUSD.Abs())
	})
	return list
}

// modelNames returns the function that gives a model one name on both sides.
// The activity names a model twice, as it is asked for and as it answers; a
// response may name either, and a call that was never answered knows only what
// it asked for.
func modelNames(theirs []Activity) func(served, requested string) string {
	permaslugs := make(map[string]bool)
	aliases := make(map[string]string)
	for _, a := range theirs {
		permaslugs[a.Permaslug] = true
		// Of several, the same one every time.
		if known, ok := aliases[a.Model]; !ok || a.Permaslug < known {
			aliases[a.Model] = a.Permaslug
		}
	}
	return func(served, requested string) string {
		for _, candidate := range []string{served, requested} {
			if permaslugs[candidate] && candidate != "" {
				return candidate
			}
			if slug := aliases[candidate]; slug != "" && candidate != "" {
				return slug
			}
		}
		return cmp.Or(served, requested, "unknown")
	}
}

// ReconcileSamples compares what was billed between two samples of a running
// figure with the calls that ended between them. The verdict is left to
// [Reconciliation.Judge].
//
// A running figure counts no calls. So dark spend is known only where nothing
// of ours is open, unverified or in flight: then whatever is billed beyond our
// calls did not come through Bursar.
func ReconcileSamples(day Day, of Sampled, w BilledWindow, ours WindowSpend) Reconciliation {
	r := Reconciliation{Day: day, Source: of.Source, KeyFingerprint: of.KeyFingerprint}
	r.setOurs(ours.Spend)
	r.setTheirs(w.Amount)
	r.SampledFrom, r.SampledTo = &w.From, &w.To
	r.CallsInFlight, r.InFlightUSD = &ours.InFlight, &Amount{ours.InFlightCost}
	if of.Source == SourceKey && r.Settled() && ours.InFlight == 0 {
		r.DarkSpendUSD = &Amount{decimal.Max(decimal.Zero, r.DifferenceUSD.Decimal)}
	}
	return r
}

// SetOtherKeys notes how much of the account's figure keys have spent that
// Bursar does not know. That part is shown in the difference, but it is no
// reason for an alert: those calls were not to come through Bursar.
func (r *Reconciliation) SetOtherKeys(spent decimal.Decimal) { r.OtherKeysUSD = &Amount{spent} }

// Judge sets the verdict of a reconciliation that has both sides. tolerance is
// a share of OpenRouter's figure, 0.1 for 10 %.
func (r *Reconciliation) Judge(tolerance decimal.Decimal) {
	r.Tolerance = Amount{tolerance}
	if r.TheirsUSD == nil {
		return
	}
	difference, theirs := r.DifferenceUSD.Decimal, r.TheirsUSD.Decimal
	if r.OtherKeysUSD != nil {
		difference, theirs = difference.Sub(r.OtherKeysUSD.Decimal), theirs.Sub(r.OtherKeysUSD.Decimal)
	}
	allowed := theirs.Abs().Mul(tolerance)
	if r.InFlightUSD != nil {
		allowed = decimal.Max(allowed, r.InFlightUSD.Decimal)
	}
	switch {
	case difference.IsZero():
		r.Verdict = VerdictAgrees
	case difference.Abs().GreaterThan(allowed):
		r.Verdict = VerdictDiffers
	default:
		r.Verdict = VerdictWithinTolerance
	}
}
