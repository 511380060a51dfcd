package guard

import (
	"context"
	"errors"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// Reserve decides about a call that would be sent and reserves its worst case
// from every hard budget that holds it. nil: no budget or stop applies.
//
// It answers within microseconds, but for a hard budget without enough money
// here: then it waits for a grant, at most GrantWait or until ctx ends. A
// blocked call is recorded here. Any other call ends with [Guard.Settle], or
// with [Guard.Release] if it was not sent.
func (g *Guard) Reserve(ctx context.Context, ask *accounting.Ask) *accounting.BudgetDecision {
	set := g.set.Load()
	if set == nil || set.version == 0 && !g.loaded.Load() && len(set.stops) == 0 {
		d := &accounting.BudgetDecision{Verdict: accounting.VerdictAllowed, Reason: accounting.ReasonNotLoaded,
			Detail: "Budgets could not be read from the database yet."}
		g.metrics.decided(d)
		return d
	}
	q := inquiry{guard: g, set: set, ctx: ctx, ask: ask}
	q.assign()
	if s := q.stop(); s != nil {
		d := &accounting.BudgetDecision{Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonEmergencyStop, Stop: s.ID, Detail: stopDetail(s)}
		if s.Kind == accounting.StopSpike {
			d.Reason = accounting.ReasonHeld
		}
		q.noteModel(d)
		return g.finish(ask, q.note(d))
	}
	if q.arm != nil && !q.arm.AI {
		return g.finish(ask, q.note(q.withoutAI()))
	}
	q.try(q.base)
	if q.downgrade != "" {
		q.tryDowngraded()
	}
	if q.count() == 0 && q.downgrade == "" {
		if q.experiment == nil {
			return nil
		}
		return g.finish(ask, q.note(&accounting.BudgetDecision{Verdict: accounting.VerdictAllowed}))
	}
	return g.finish(ask, q.note(q.decision()))
}

// finish counts a decision and records it if nothing is sent.
func (g *Guard) finish(ask *accounting.Ask, d *accounting.BudgetDecision) *accounting.BudgetDecision {
	g.metrics.decided(d)
	if d.Verdict == accounting.VerdictBlocked {
		g.refusals.add(ask, d)
	}
	return d
}

// inquiry is the guard's work on one call. It lives on its caller's stack.
type inquiry struct {
	guard *Guard
	set   *ruleSet
	ctx   context.Context
	ask   *accounting.Ask

	models   []string
	anyModel bool
	read     bool // models have been asked for

	experiment *accounting.Experiment    // that the call belongs to; nil: none
	arm        *accounting.ExperimentArm // of its lead
	base       string                    // the model that the arm puts in place of the one asked for; empty: none

	model string // in place of the one asked for, by the arm or a downgrade; empty: as it is
	hits  [4]hit
	more  []hit
	used  int // of hits

	bound     decimal.Decimal // USD
	bounded   bool
	boundBy   accounting.BoundBy
	boundErr  error
	rate      decimal.Decimal
	downgrade string // the model that a budget wants
	cause     hit    // that budget
	field     string // of a tag that is missing
	verdict   accounting.BudgetVerdict
	decider   int // hit that decided
}

// hit is a budget that applies to the call.
type hit struct {
	rule     *rule
	account  *account
	each     string
	verdict  accounting.BudgetVerdict
	reason   accounting.BudgetReason
	reserved amount          // by other calls in flight here
	charge   decimal.Decimal // to be reserved, or reserved
	units    amount          // the same
	taken    bool            // it is reserved, and the call a user of the account
	waiter   *waiter
}

func (q *inquiry) count() int { return q.used + len(q.more) }

func (q *inquiry) hit(i int) *hit {
	if i < q.used {
		return &q.hits[i]
	}
	return &q.more[i-q.used]
}

func (q *inquiry) addHit(r *rule, each string) {
	h := hit{rule: r, each: each, verdict: accounting.VerdictAllowed}
	if q.used < len(q.hits) {
		q.hits[q.used] = h
		q.used++
		return
	}
	q.more = append(q.more, h)
}

// readModels asks the request for its models, once.
func (q *inquiry) readModels() {
	if !q.read {
		q.models, q.anyModel = q.ask.Request.Models()
		q.read = true
	}
}

// covers is Scope.Covers that reads the request only if nothing else decides.
func (q *inquiry) covers(s *accounting.Scope) bool {
	rest := *s
	if rest.Model = ""; !rest.Covers(q.ask.Tags, q.ask.KeyFingerprint, nil, false) {
		return false
	}
	if s.Model == "" {
		return true
	}
	if q.model != "" {
		return s.Model == q.model
	}
	q.readModels()
	return s.Covers(q.ask.Tags, q.ask.KeyFingerprint, q.models, q.anyModel)
}

// stop is the first stop that holds the call.
func (q *inquiry) stop() (found *accounting.Stop) {
	look := func(stops []*accounting.Stop) bool {
		for _, s := range stops {
			if q.covers(&s.Scope) {
				found = s
				return true
			}
		}
		return false
	}
	x := &q.set.blocks
	for _, stops := range x.byTags(q.ask.Tags, q.ask.KeyFingerprint) {
		if look(stops) {
			return found
		}
	}
	if x.needsModel() {
		q.byModel(func(name string) bool { return look(x.byModel(name)) }, func() { look(x.everyModel) })
	}
	return found
}

// byModel calls each for the call's models until it is true, or every if the
// call may be answered by any.
func (q *inquiry) byModel(each func(name string) bool, every func()) {
	if q.model != "" {
		each(q.model)
		return
	}
	q.readModels()
	if q.anyModel {
		every()
		return
	}
	for i, name := range q.models {
		repeated := false
		for _, earlier := range q.models[:i] {
			repeated = repeated || earlier == name
		}
		if !repeated && each(name) {
			return
		}
	}
}

// gather finds the budgets that apply.
func (q *inquiry) gather() {
	x := &q.set.index
	for _, rules := range x.byTags(q.ask.Tags, q.ask.KeyFingerprint) {
		for _, r := range rules {
			q.consider(r)
		}
	}
	if x.needsModel() {
		q.byModel(func(name string) bool {
			for _, r := range x.byModel(name) {
				q.consider(r)
			}
			return false
		}, func() {
			for _, r := range x.everyModel {
				q.consider(r)
			}
		})
	}
}

// consider adds the budget to those that apply, if it does. It is
// [accounting.Budget.Covers], which reads the request only if nothing else
// decides.
func (q *inquiry) consider(r *rule) {
	b, at := &r.budget, q.ask.At
	if at.Before(b.CountsFrom) || b.StartsAt != nil && at.Before(*b.StartsAt) || b.EndsAt != nil && !at.Before(*b.EndsAt) {
		return
	}
	each := b.Each.Value(q.ask.Tags)
	if b.Each != accounting.EachNone && each == "" {
		if q.field == "" && b.Mode != accounting.ModeAlert && q.guard.required[b.Each] && q.covers(&b.Scope) {
			q.field = header(b.Each)
			q.addHit(r, "")
			q.decider = q.count() - 1
		}
		return
	}
	if q.covers(&b.Scope) {
		q.addHit(r, each)
	}
}

// header is the request header that carries a tag.
func header(each accounting.Each) string {
	switch each {
	case accounting.EachLead:
		return "X-Lead-ID"
	case accounting.EachEmail:
		return "X-Email-ID"
	}
	return "X-Campaign-ID"
}

// try decides about the call, with model in place of the one asked for unless
// it is empty. Charges are made unless the verdict is blocked, or a budget
// wants a downgrade.
func (q *inquiry) try(model string) {
	q.model = model
	q.gather()
	q.verdict = accounting.VerdictAllowed
	if q.field != "" {
		h := q.hit(q.decider)
		h.verdict, h.reason = accounting.VerdictBlocked, accounting.ReasonTagRequired
		q.verdict = accounting.VerdictBlocked
		return
	}
	hard := false
	for i := range q.count() {
		h := q.hit(i)
		if h.rule.budget.Mode == accounting.ModeHard {
			hard = true
			continue
		}
		q.judge(h)
		q.settleVerdict(i)
	}
	if q.verdict == accounting.VerdictBlocked || q.verdict == accounting.VerdictDowngraded && !q.downgraded() {
		return
	}
	if hard {
		q.charge()
	}
}

// strictness orders verdicts.
func strictness(v accounting.BudgetVerdict) int {
	switch v {
	case accounting.VerdictWarned:
		return 1
	case accounting.VerdictDowngraded:
		return 2
	case accounting.VerdictBlocked:
		return 3
	}
	return 0
}

// settleVerdict makes the verdict of hit i the call's, if it is the strictest
// so far.
func (q *inquiry) settleVerdict(i int) {
	h := q.hit(i)
	if strictness(h.verdict) > strictness(q.verdict) {
		q.verdict, q.decider = h.verdict, i
	}
	if h.verdict == accounting.VerdictDowngraded && q.downgrade == "" {
		q.downgrade, q.cause = h.rule.budget.DowngradeTo, *h
	}
}

// judge is what a soft or alert budget says.
func (q *inquiry) judge(h *hit) {
	b := &h.rule.budget
	if h.rule.zone == nil {
		return // its period is not known; it was logged
	}
	g := q.guard
	h.account = g.table.of(h.rule, h.each, q.ask.At, false)
	g.renewer.use(h.account, q.ask.At.UnixNano())
	h.reserved = h.account.reserved.Load()
	if b.Currency == accounting.EUR {
		q.readRate()
	}
	if b.Mode != accounting.ModeSoft || h.account.room.Load() > 0 {
		return
	}
	h.verdict, h.reason = accounting.VerdictWarned, accounting.ReasonExceeded
	switch {
	case b.Essential(q.ask.Tags.Purpose):
		h.reason = accounting.ReasonEssential
	case b.OnExceed == accounting.ExceedBlock:
		h.verdict = accounting.VerdictBlocked
	case b.OnExceed == accounting.ExceedDowngrade && !q.asksFor(b.DowngradeTo):
		h.verdict = accounting.VerdictDowngraded
	}
}

// downgraded reports whether the model is the one that a budget wants.
func (q *inquiry) downgraded() bool { return q.model != q.base }

// asksFor reports whether the call asks for this model and no other.
func (q *inquiry) asksFor(model string) bool {
	if q.downgraded() {
		return false // for this budget too
	}
	if q.base != "" {
		return q.base == model
	}
	q.readModels()
	return !q.anyModel && len(q.models) == 1 && q.models[0] == model
}

// tryDowngraded decides about the call anew, with the model that a budget
// wants.
func (q *inquiry) tryDowngraded() {
	q.used, q.more, q.field, q.bounded, q.boundErr, q.decider = 0, nil, "", false, nil, 0
	q.try(q.downgrade)
	if q.verdict == accounting.VerdictBlocked {
		return
	}
	q.verdict = accounting.VerdictDowngraded
	for i := range q.count() {
		if h := q.hit(i); h.rule == q.cause.rule && h.each == q.cause.each {
			h.verdict, h.reason = q.cause.verdict, q.cause.reason
			q.decider = i
		}
	}
}

// noteModel says in the decision what the call asked for, as far as the guard
// had to know.
func (q *inquiry) noteModel(d *accounting.BudgetDecision) {
	if q.read && len(q.models) > 0 {
		d.Model = q.models[0]
	}
}

// decisionWithShares is a decision that needs one allocation.
type decisionWithShares struct {
	accounting.BudgetDecision
	shares [2]accounting.BudgetShare
}

// decision writes down what was decided, the budget that decided first.
func (q *inquiry) decision() *accounting.BudgetDecision {
	buf := &decisionWithShares{}
	d := &buf.BudgetDecision
	d.Budgets = buf.shares[:0]
	d.Verdict = q.verdict
	if q.verdict == accounting.VerdictBlocked && (q.bounded || q.boundErr != nil) {
		q.readModels() // its body was read
	}
	q.noteModel(d)
	d.Rate = q.rate
	if q.bounded {
		d.Bound, d.BoundBy, d.Replica = accounting.Some(q.bound), q.boundBy, q.guard.o.Replica
	}
	if q.verdict == accounting.VerdictDowngraded {
		d.DowngradedTo = q.model
	}
	if q.count() > 0 { // a budget of a model may not hold the one downgraded to
		d.Budgets = append(d.Budgets, q.share(q.decider))
	}
	for i := range q.count() {
		if i != q.decider {
			d.Budgets = append(d.Budgets, q.share(i))
		}
	}
	if q.verdict == accounting.VerdictDowngraded {
		d.Reason = q.cause.reason
	} else {
		d.Reason = q.hit(q.decider).reason
	}
	switch d.Reason {
	case accounting.ReasonNoBound:
		d.Field = fieldOf(q.boundErr)
	case accounting.ReasonTagRequired:
		d.Field = q.field
	}
	if d.Reason != accounting.ReasonNone {
		d.Detail = q.detail(d)
	}
	return d
}

func (q *inquiry) share(i int) accounting.BudgetShare {
	h := q.hit(i)
	s := accounting.BudgetShare{
		BudgetID: h.rule.budget.ID, EachValue: h.each, Verdict: h.verdict, Reason: h.reason, Limit: h.rule.budget.Limit.Decimal,
		Reserved: exact(h.reserved),
	}
	if h.taken {
		s.Charge = h.charge
	}
	if h.rule.zone != nil {
		s.PeriodStart = time.Unix(0, h.rule.at(q.ask.At).start).UTC()
	}
	if a := h.standing(s.PeriodStart); a != nil {
		s.PeriodStart = a.key.PeriodStart
		t := a.tally(h.reserved)
		s.Settled, s.Reserved = t.settled, t.reserved
	}
	return s
}

// standing is the account that says how the budget stands in its period. A call
// that is refused for what it is has none of its own.
func (h *hit) standing(period time.Time) *account {
	if h.account != nil || h.each != "" {
		return h.account
	}
	if a := h.rule.current.Load(); a != nil && a.key.PeriodStart.Equal(period) {
		return a
	}
	return nil
}

// fieldOf is the field of the request that an error is about.
func fieldOf(err error) string {
	var field interface{ Field() string }
	if errors.As(err, &field) {
		return field.Field()
	}
	return ""
}
