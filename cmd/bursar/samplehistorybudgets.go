package main

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// sampleBudgets are the demo's budgets beside monthly-ai.
func sampleBudgets() []accounting.Budget {
	budgets := []accounting.Budget{
		{ID: "winter-webinar-day", Name: "Winter webinar, a day", Scope: accounting.Scope{CampaignID: "winter-webinar"}, Period: accounting.PeriodDay,
			Limit: amountOf("1.20"), Currency: accounting.USD, Mode: accounting.ModeHard, Thresholds: []int{90}},
		{ID: "each-lead", Name: "One lead, all in all", Each: accounting.EachLead, Period: accounting.PeriodTotal,
			Limit: amountOf("0.40"), Currency: accounting.USD, Mode: accounting.ModeHard, Thresholds: []int{90}},
		{ID: "opus-week", Name: "The dearest model, a week", Scope: accounting.Scope{Model: modelOpus}, Period: accounting.PeriodWeek,
			Limit: amountOf("4.50"), Currency: accounting.USD, Mode: accounting.ModeAlert, Thresholds: []int{100}},
		{ID: "try-outs", Name: "Try-outs, a month", Scope: accounting.Scope{Purpose: accounting.PurposeTesting}, Period: accounting.PeriodMonth,
			Limit: amountOf("1"), Currency: accounting.EUR, Mode: accounting.ModeSoft, OnExceed: accounting.ExceedWarn, Thresholds: []int{100}},
		{ID: samplePlayground, Name: "Playground, a day", Scope: accounting.Scope{CampaignID: samplePlayground}, Period: accounting.PeriodDay,
			Limit: amountOf("0.003"), Currency: accounting.USD, Mode: accounting.ModeHard, Thresholds: []int{100}},
	}
	for i := range budgets {
		budgets[i].Enabled = true
	}
	return budgets
}

// samplePlayground is a campaign, and a budget that is too small for it.
const samplePlayground = "playground"

func amountOf(s string) accounting.Amount {
	return accounting.Amount{Decimal: decimal.RequireFromString(s)}
}

// sampleGuard decides about the calls of a history as the guard would have.
type sampleGuard struct {
	budgets []accounting.Budget
	rate    decimal.Decimal                         // EUR for one USD
	settled map[accounting.LeaseKey]decimal.Decimal // USD
	held    map[accounting.LeaseKey]decimal.Decimal // for calls whose answer did not tell the cost
}

func newSampleGuard(budgets []accounting.Budget, rate decimal.Decimal) *sampleGuard {
	return &sampleGuard{budgets: budgets, rate: rate, settled: make(map[accounting.LeaseKey]decimal.Decimal), held: make(map[accounting.LeaseKey]decimal.Decimal)}
}

// decide lets the calls of a history pass, or refuses them. What was refused was
// not answered, and an email that was never written was not sent.
func (g *sampleGuard) decide(told *toldHistory) {
	written, refused := make(map[string]bool), make(map[string]bool)
	for i := range told.calls {
		c := &told.calls[i]
		g.judge(c)
		switch {
		case c.Tags.EmailID == "" || c.Tags.Purpose != accounting.PurposeEmailGeneration && c.Tags.Purpose != accounting.PurposeFollowUp:
		case c.Kind == accounting.Refused:
			refused[c.Tags.EmailID] = true
		default:
			written[c.Tags.EmailID] = true
		}
	}
	told.activities = slices.DeleteFunc(told.activities, func(a accounting.CampaignActivity) bool { return refused[a.EmailID] && !written[a.EmailID] })
}

// sampleReplica is whose leases the calls of the history were charged to.
const sampleReplica = "history"

// judge decides about one call.
func (g *sampleGuard) judge(c *historicCall) {
	models := []string{c.RequestedModel}
	if c.Model != "" && c.Model != c.RequestedModel {
		models = append(models, c.Model)
	}
	d := &accounting.BudgetDecision{Verdict: accounting.VerdictAllowed, Model: c.RequestedModel, Replica: sampleReplica}
	for i := range g.budgets {
		b := &g.budgets[i]
		each, ok := b.Covers(c.CreatedAt(), &c.Tags, c.KeyFingerprint, models, false)
		if !ok {
			continue
		}
		if b.Mode == accounting.ModeHard {
			d.Bound, d.BoundBy = accounting.Some(boundOf(c)), accounting.BoundComputed
		}
		share := g.share(b, each, c, d.Bound.Value)
		if share.Verdict == accounting.VerdictAllowed || d.Verdict == accounting.VerdictBlocked {
			d.Budgets = append(d.Budgets, share)
			continue
		}
		d.Verdict, d.Reason = share.Verdict, share.Reason
		d.Budgets = slices.Insert(d.Budgets, 0, share) // the one that decided
	}
	if len(d.Budgets) == 0 {
		return
	}
	if c.Decision = d; d.Verdict == accounting.VerdictBlocked {
		g.refuse(c)
		return
	}
	for _, share := range d.Budgets {
		key := accounting.LeaseKey{BudgetID: share.BudgetID, EachValue: share.EachValue, PeriodStart: share.PeriodStart}
		if c.Usage.Cost.Known || !share.Charge.IsPositive() {
			g.settled[key] = g.settled[key].Add(c.billed.Value)
		} else if c.Error == "" {
			g.held[key] = g.held[key].Add(share.Charge)
		}
	}
}

// share is a budget's part in the decision about a call that may cost bound.
func (g *sampleGuard) share(b *accounting.Budget, each string, c *historicCall, bound decimal.Decimal) accounting.BudgetShare {
	start, _ := b.Period.Window(c.CreatedAt(), time.UTC)
	key := accounting.LeaseKey{BudgetID: b.ID, EachValue: each, PeriodStart: start}
	s := accounting.BudgetShare{
		BudgetID: b.ID, EachValue: each, PeriodStart: start, Verdict: accounting.VerdictAllowed, Limit: b.Limit.Decimal,
		Settled: g.settled[key], Reserved: g.held[key],
	}
	if b.Currency == accounting.EUR {
		s.Settled = s.Settled.Mul(g.rate)
	}
	switch {
	case b.Mode == accounting.ModeHard && s.Settled.Add(s.Reserved).Add(bound).GreaterThan(s.Limit):
		s.Verdict, s.Reason = accounting.VerdictBlocked, accounting.ReasonNoRoom
	case b.Mode == accounting.ModeHard:
		s.Charge = bound
	case b.Mode == accounting.ModeSoft && s.Settled.GreaterThanOrEqual(s.Limit) && b.OnExceed == accounting.ExceedWarn:
		s.Verdict, s.Reason = accounting.VerdictWarned, accounting.ReasonExceeded
	case b.Mode == accounting.ModeSoft && s.Settled.GreaterThanOrEqual(s.Limit) && b.Essential(c.Tags.Purpose):
		s.Verdict, s.Reason = accounting.VerdictWarned, accounting.ReasonEssential
	case b.Mode == accounting.ModeSoft && s.Settled.GreaterThanOrEqual(s.Limit):
		s.Verdict, s.Reason = accounting.VerdictBlocked, accounting.ReasonExceeded
	}
	return s
}

// refuse makes a call one that was never sent. Whoever made it tried again, a
// few times within the second.
func (g *sampleGuard) refuse(c *historicCall) {
	d := c.Decision
	for i := range d.Budgets {
		d.Budgets[i].Charge = decimal.Decimal{}
	}
	d.Detail = "The call does not fit into what is left of the budget."
	r := rand.New(rand.NewPCG(sampleSeed, uint64(c.CreatedAt().UnixMilli())))
	if d.Count = 1 + r.IntN(3); d.Count > 1 {
		for range d.Count - 1 {
			d.Calls = append(d.Calls, accounting.NewRequestID(c.CreatedAt().Add(time.Duration(r.IntN(900))*time.Millisecond), r.Uint64(), r.Uint64()))
		}
	}
	*c = historicCall{Event: accounting.Event{
		Kind: accounting.Refused, ID: c.ID, Tags: c.Tags, KeyFingerprint: c.KeyFingerprint, Endpoint: c.Endpoint,
		RequestedModel: c.RequestedModel, HTTPStatus: http.StatusPaymentRequired, Decision: d,
	}}
}

// boundOf is the most that a call could have cost: all of its prompt at the
// dearest price of a quarter above the listed one, and a full answer.
func boundOf(c *historicCall) decimal.Decimal {
	size, p := sizeOf(c.Tags.Purpose), &samplePrices[c.RequestedModel].Pricing
	dearest := decimal.Max(p.Prompt, p.CacheWrite)
	list := p.Request.Add(dearest.Mul(decimal.NewFromInt(2 * size.prompt))).Add(p.Completion.Mul(decimal.NewFromInt(2 * size.completion)))
	return list.Mul(decimal.RequireFromString("1.25"))
}
