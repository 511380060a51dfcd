package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
	"bursar/proxy/openrouter/openroutertest"
)

// sampleKey is the key that the demo's calls are made with.
const sampleKey = "sk-or-demo"

var sampleFingerprint = accounting.Fingerprint(sampleKey)

// samplePrices are the models of the fake OpenRouter, by the name that calls ask
// for: what a call of the history costs is what a live one would.
var samplePrices = func() map[string]*openroutertest.Model {
	models := make(map[string]*openroutertest.Model)
	for _, m := range openroutertest.DefaultModels() {
		models[m.ID] = &m
	}
	return models
}()

// sampleSize is how large the calls of a purpose are, in tokens.
type sampleSize struct {
	endpoint           string
	prompt, completion int64
	cacheable          int64 // of the prompt: the instructions, which are the same each time
}

var sampleSizes = map[string]sampleSize{
	accounting.PurposeResearch:            {"/api/v1/chat/completions", 7200, 900, 0},
	accounting.PurposeLeadPersonalization: {"/api/v1/chat/completions", 4300, 520, 2048},
	accounting.PurposeSubjectLine:         {"/api/v1/responses", 1300, 240, 0},
	accounting.PurposeEmailGeneration:     {"/api/v1/messages", 3700, 560, 2048},
	accounting.PurposeFollowUp:            {"/api/v1/chat/completions", 3100, 330, 1024},
	accounting.PurposeReplyHandling:       {"/api/v1/messages", 3400, 420, 1024},
	accounting.PurposeTesting:             {"/api/v1/chat/completions", 900, 300, 0},
}

// sizeOf is the size of a purpose's calls; others are as small as try-outs.
func sizeOf(purpose string) sampleSize {
	size, ok := sampleSizes[purpose]
	if !ok {
		size = sampleSizes[accounting.PurposeTesting]
	}
	return size
}

// call makes up one call: most are answered, some fail, are left, or are cut by
// a limit of tokens.
func (h sampleHistory) call(r *rand.Rand, at time.Time, tags accounting.Tags, model string) historicCall {
	at = at.Truncate(time.Millisecond)
	size, m := sizeOf(tags.Purpose), samplePrices[model]
	c := historicCall{Event: accounting.Event{
		Kind: accounting.Closed, ID: accounting.NewRequestID(at, r.Uint64(), r.Uint64()), Tags: tags, KeyFingerprint: sampleFingerprint,
		Endpoint: size.endpoint, RequestedModel: m.ID, HTTPStatus: http.StatusOK, Streamed: r.IntN(3) > 0,
	}}
	if failure := h.failure(r, at); failure != nil {
		c.HTTPStatus, c.Error, c.Streamed = failure.status, failure.name, false
		c.Duration = between(r, 200*time.Millisecond, failure.after)
		return c
	}
	c.GenerationID = fmt.Sprintf("gen-%d-%s", at.Unix(), letters(r, 20))
	c.Model, c.Provider, c.FinishReason = cmp.Or(m.Canonical, m.ID), m.Provider, "stop"
	c.Duration = time.Duration(size.completion)*between(r, 8*time.Millisecond, 22*time.Millisecond) + 400*time.Millisecond
	u := usageOf(r, size, m)
	switch r.IntN(90) {
	case 0:
		if c.Streamed = true; m.StopsOnAbort {
			u.CompletionTokens = accounting.Some(1 + r.Int64N(u.CompletionTokens.Value))
		}
		c.Cancelled, c.Truncated, c.FinishReason = true, true, ""
		c.Duration = c.Duration * time.Duration(1+r.IntN(8)) / 10
	case 1:
		c.FinishReason = "length"
	}
	if c.Streamed {
		c.TimeToFirstToken = accounting.Some(min(between(r, 250*time.Millisecond, 1800*time.Millisecond), c.Duration))
	}
	u.TotalTokens = accounting.Some(u.PromptTokens.Value + u.CompletionTokens.Value)
	c.billed = accounting.Some(costOf(&u, &m.Pricing))
	if !c.Cancelled { // whoever leaves does not see the usage
		u.Cost, u.UpstreamCost, u.IsBYOK = c.billed, c.billed, accounting.Some(false)
		c.Usage = u
	}
	return c
}

// usageOf draws the tokens of a call around its size.
func usageOf(r *rand.Rand, size sampleSize, m *openroutertest.Model) accounting.Usage {
	around := func(n int64) int64 { return n*3/4 + r.Int64N(n/2) }
	u := accounting.Usage{PromptTokens: accounting.Some(around(size.prompt)), CompletionTokens: accounting.Some(around(size.completion))}
	if size.cacheable > 0 && m.Pricing.CacheRead.IsPositive() {
		switch draw := r.IntN(10); {
		case draw < 6:
			u.CachedTokens = accounting.Some(size.cacheable)
		case draw < 8 && m.Pricing.CacheWrite.IsPositive():
			u.CacheWriteTokens = accounting.Some(size.cacheable)
		}
	}
	if m.ID == modelMini {
		u.ReasoningTokens = accounting.Some(u.CompletionTokens.Value / 2)
	}
	return u
}

// costOf is tokens times prices, to the last digit.
func costOf(u *accounting.Usage, p *openroutertest.Pricing) decimal.Decimal {
	plain := u.PromptTokens.Value - u.CachedTokens.Value - u.CacheWriteTokens.Value
	return p.Request.
		Add(p.Prompt.Mul(decimal.NewFromInt(plain))).
		Add(p.CacheRead.Mul(decimal.NewFromInt(u.CachedTokens.Value))).
		Add(p.CacheWrite.Mul(decimal.NewFromInt(u.CacheWriteTokens.Value))).
		Add(p.Completion.Mul(decimal.NewFromInt(u.CompletionTokens.Value)))
}

// record is what GET /generation says of a call that was billed.
func (c *historicCall) record() accounting.Generation {
	g := accounting.Generation{
		ID: c.GenerationID, Model: c.Model, Provider: c.Provider, FinishReason: c.FinishReason,
		Cancelled: accounting.Some(c.Cancelled), Streamed: accounting.Some(c.Streamed), Usage: c.Usage,
	}
	g.Usage.Cost = c.billed
	return g
}

// sampleFailure is how a call fails.
type sampleFailure struct {
	status int
	name   string
	after  time.Duration
}

var sampleFailures = []sampleFailure{
	{http.StatusBadGateway, "provider_unavailable", 20 * time.Second},
	{http.StatusServiceUnavailable, "no_available_provider", 3 * time.Second},
	{http.StatusTooManyRequests, "rate_limit_exceeded", time.Second},
}

// failure is how a call at a time fails, nil if it does not: one in 200 does,
// and in an incident every other one.
func (h sampleHistory) failure(r *rand.Rand, at time.Time) *sampleFailure {
	permille, day := 5, accounting.DayOf(at)
	if day == h.first.Add(h.officeDay(sampleIncident)) && at.Hour() >= 9 && at.Hour() < 15 {
		permille = 520
	}
	if r.IntN(1000) >= permille {
		return nil
	}
	return &sampleFailures[r.IntN(len(sampleFailures))]
}

func letters(r *rand.Rand, n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

// undecided tells of a few calls whose cost nobody knows: two that a crash
// interrupted, one that was answered without a cost and without an id, and two
// whose key nobody holds any more.
func (h sampleHistory) undecided(told *toldHistory) {
	r := rand.New(rand.NewPCG(sampleSeed, sampleOpenDay))
	at := h.first.Add(sampleOpenDay).Start().Add(14 * time.Hour)
	for i := range 5 {
		tags := accounting.Tags{CampaignID: "partner-outreach", LeadID: fmt.Sprintf("partner-outreach-%05d", 700+i), Purpose: accounting.PurposeEmailGeneration, Platform: platformHeyReach}
		c := h.call(r, at.Add(time.Duration(i)*7*time.Minute), tags, modelSonnet)
		c.Usage, c.billed = accounting.Usage{}, accounting.Optional[decimal.Decimal]{}
		c.HTTPStatus, c.Error, c.Cancelled, c.Truncated = http.StatusOK, "", false, false
		switch {
		case i < 2:
			c = historicCall{Event: accounting.Event{Kind: accounting.Interrupted, ID: c.ID, Tags: tags, KeyFingerprint: c.KeyFingerprint, Endpoint: c.Endpoint, RequestedModel: c.RequestedModel}}
		case i == 2:
			c.GenerationID = ""
		default:
			c.GenerationID = fmt.Sprintf("gen-%d-%s", c.CreatedAt().Unix(), letters(r, 20))
			c.KeyFingerprint, c.Truncated = accounting.Fingerprint("sk-or-of-a-laptop-that-was-lost"), true
		}
		told.calls = append(told.calls, c)
	}
}
