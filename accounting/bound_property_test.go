package accounting

import (
	"fmt"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

func drawRate(t *rapid.T, label string) Optional[decimal.Decimal] {
	if rapid.IntRange(0, 2).Draw(t, label+" listed") == 0 {
		return Optional[decimal.Decimal]{}
	}
	return Some(decimal.New(rapid.Int64Range(0, 2000).Draw(t, label), -9))
}

func drawRates(t *rapid.T, label string) Rates {
	var rates Rates
	for c := range rates {
		rates[c] = drawRate(t, label+PriceComponent(c).String())
	}
	return rates
}

func drawLimit(t *rapid.T, most int64, label string) Optional[int64] {
	if n := rapid.Int64Range(-most/4, most).Draw(t, label); n >= 0 {
		return Some(n)
	}
	return Optional[int64]{}
}

func drawEndpoint(t *rapid.T, i int) Endpoint {
	e := Endpoint{
		Provider: fmt.Sprintf("Provider %d", i), Tag: fmt.Sprintf("provider-%d/fp8", i),
		ContextLength:       drawLimit(t, 4000, "context"),
		MaxPromptTokens:     drawLimit(t, 4000, "max prompt"),
		MaxCompletionTokens: drawLimit(t, 1000, "max completion"),
	}
	e.Prices.Rates = drawRates(t, "base ")
	e.Prices.Rates[PricePrompt] = Some(decimal.New(rapid.Int64Range(0, 2000).Draw(t, "prompt"), -9))
	e.Prices.Rates[PriceCompletion] = Some(decimal.New(rapid.Int64Range(0, 2000).Draw(t, "completion"), -9))
	if rapid.Bool().Draw(t, "discounted") {
		e.Prices.Discount = price("0.2")
	}
	for range rapid.IntRange(0, 2).Draw(t, "overrides") {
		e.Prices.Overrides = append(e.Prices.Overrides, PriceOverride{
			MinPromptTokens: rapid.Int64Range(0, 3000).Draw(t, "from"), Rates: drawRates(t, "override "),
		})
	}
	return e
}

func drawCatalog(t *rapid.T) *Catalog {
	models := make([]Model, 3)
	for i := range models {
		models[i].Slug = fmt.Sprintf("anthropic/m%d", i)
		for j := range rapid.IntRange(1, 4).Draw(t, "endpoints") {
			models[i].Endpoints = append(models[i].Endpoints, drawEndpoint(t, j))
		}
	}
	return NewCatalog(models)
}

func drawFacts(t *rapid.T) RequestFacts {
	count := func(most int, label string) int { return rapid.IntRange(0, most).Draw(t, label) }
	names := rapid.SliceOfN(rapid.SampledFrom([]string{"provider-0", "Provider 1", "provider-2/fp8", "nobody"}), 0, 2)
	f := RequestFacts{
		Model: "anthropic/m0", Fallbacks: []string{"anthropic/m1", "anthropic/m2"}[:count(2, "fallbacks")],
		Provider: ProviderFacts{
			Only: names.Draw(t, "only"), Ignore: names.Draw(t, "ignore"), Order: names.Draw(t, "order"),
			NoFallbacks: rapid.Bool().Draw(t, "no fallbacks"),
		},
		N: int64(count(3, "n")), Prompts: int64(count(3, "prompts")), TextBytes: int64(count(4000, "text bytes")),
		Messages: count(5, "messages"), Tools: count(3, "tools"), Images: count(2, "images"), Audio: count(1, "audio"),
		HourCache: rapid.Bool().Draw(t, "hour cache"),
	}
	if limit := rapid.Int64Range(0, 500).Draw(t, "max tokens"); limit > 0 {
		f.MaxTokens = Some(limit)
	}
	if rapid.IntRange(0, 3).Draw(t, "searching") == 0 {
		f.Searches = int64(count(3, "searches"))
	}
	return f
}

// permitted is what provider means to OpenRouter, where names are tags.
func permitted(f *RequestFacts, e *Endpoint) bool {
	in := func(names []string) bool {
		for _, name := range names {
			if name == e.Provider || name == e.Tag || name+"/fp8" == e.Tag {
				return true
			}
		}
		return false
	}
	p := &f.Provider
	return (len(p.Only) == 0 || in(p.Only)) && !in(p.Ignore) && (!p.NoFallbacks || len(p.Order) == 0 || in(p.Order))
}

// listLimit reads a limit of which 0 means none.
func listLimit(limit Optional[int64], none int64) int64 {
	if !limit.Known || limit.Value == 0 {
		return none
	}
	return limit.Value
}

// drawBill is what a provider may charge for one run: it splits the tokens as
// it likes and prices them by the list, with any override whose number of
// tokens is reached or without.
func drawBill(t *rapid.T, f *RequestFacts, e *Endpoint, share RequestFacts) decimal.Decimal {
	const unlimited = 6000
	part := func(of int64, label string) int64 { // often nothing or everything, where the extremes are
		return [...]int64{0, of, rapid.Int64Range(0, of).Draw(t, label)}[rapid.IntRange(0, 2).Draw(t, "how much of "+label)]
	}
	context := min(listLimit(e.ContextLength, unlimited), listLimit(e.MaxPromptTokens, unlimited))
	prompt := min(share.TextBytes+requestAllowance+messageAllowance*int64(share.Messages), context)
	if share.Tools > 0 {
		prompt = min(share.TextBytes+requestAllowance+messageAllowance*int64(share.Messages)+toolsAllowance+toolAllowance*int64(share.Tools), context)
	}
	if f.Images+f.Audio > 0 || f.Searches > 0 {
		prompt = context
	}
	prompt = max(prompt-part(50, "fewer"), 0)
	completion := min(listLimit(e.MaxCompletionTokens, unlimited), listLimit(e.ContextLength, unlimited))
	if f.MaxTokens.Known {
		completion = min(completion, f.MaxTokens.Value)
	}

	rates := e.Prices.Rates
	for _, o := range e.Prices.Overrides {
		if prompt < o.MinPromptTokens || !rapid.Bool().Draw(t, "override applies") {
			continue
		}
		for c := range rates {
			rates[c] = o.Rates[c].Or(e.Prices.Rates[c])
		}
		base, now := e.Prices.Rates[PricePrompt].Value, rates[PricePrompt].Value
		if write := rates[PriceInputCacheWrite]; write.Known && !o.Rates[PriceInputCacheWrite].Known && now.GreaterThan(base) && base.IsPositive() {
			rates[PriceInputCacheWrite].Value = write.Value.Mul(now).Div(base).Truncate(15)
		}
	}
	sum := rates[PriceRequest].Value
	charge := func(tokens *int64, price decimal.Decimal, label string) {
		n := part(*tokens, label)
		*tokens -= n
		sum = sum.Add(price.Mul(decimal.NewFromInt(n)))
	}
	write := rates[PriceInputCacheWrite].Value
	if rapid.Bool().Draw(t, "write is a surcharge") && write.LessThan(rates[PricePrompt].Value) {
		write = write.Add(rates[PricePrompt].Value)
	}
	charge(&prompt, write, "written")
	charge(&prompt, rates[PriceInputCacheRead].Value, "read")
	if f.HourCache {
		hour := rates[PricePrompt].Value.Add(rates[PricePrompt].Value)
		if rates[PriceInputCacheWrite1h].Known {
			hour = rates[PriceInputCacheWrite1h].Value
		}
		charge(&prompt, hour, "written for an hour")
	}
	if f.Images > 0 {
		charge(&prompt, rates[PriceImageToken].Value, "image tokens")
		sum = sum.Add(rates[PriceImage].Value.Mul(decimal.NewFromInt(int64(share.Images))))
	}
	if f.Audio > 0 {
		charge(&prompt, rates[PriceAudio].Value, "audio tokens")
	}
	sum = sum.Add(rates[PricePrompt].Value.Mul(decimal.NewFromInt(prompt)))
	for _, c := range [...]PriceComponent{PriceInternalReasoning, PriceImageOutput, PriceAudioOutput} {
		charge(&completion, rates[c].Value, c.String())
	}
	sum = sum.Add(rates[PriceCompletion].Value.Mul(decimal.NewFromInt(completion)))
	if e.Prices.Discount.Known && rapid.Bool().Draw(t, "discount holds") {
		sum = sum.Mul(decimal.NewFromInt(1).Sub(e.Prices.Discount.Value))
	}
	return sum
}

func TestNoBillThatFitsTheRequestExceedsItsBound(t *testing.T) {
	bounded := 0
	rapid.Check(t, func(t *rapid.T) {
		c, f := drawCatalog(t), drawFacts(t)
		bound, err := Bound(&f, c, "chat/completions")
		if err != nil {
			return
		}
		name := rapid.SampledFrom(append([]string{f.Model}, f.Fallbacks...)).Draw(t, "serves")
		var choice []*Endpoint
		endpoints := c.Model(name).Endpoints
		for i := range endpoints {
			if permitted(&f, &endpoints[i]) {
				choice = append(choice, &endpoints[i])
			}
		}
		if len(choice) == 0 {
			return // nobody serves, nothing is billed
		}
		bounded++
		e := rapid.SampledFrom(choice).Draw(t, "endpoint")
		bill := decimal.Zero
		for range max(f.N, 1) {
			parted := rapid.Bool().Draw(t, "parted")
			for prompt := range max(f.Prompts, 1) {
				share := f // the first prompt has it all, or each its part
				if parts := max(f.Prompts, 1); parted {
					share.TextBytes, share.Messages, share.Images, share.Tools = f.TextBytes/parts, f.Messages/int(parts), f.Images/int(parts), f.Tools/int(parts)
				} else if prompt > 0 {
					share = RequestFacts{}
				}
				for range 1 + f.Searches {
					bill = bill.Add(drawBill(t, &f, e, share))
				}
			}
			bill = bill.Add(e.Prices.Rates[PriceWebSearch].Value.Mul(decimal.NewFromInt(f.Searches)))
		}
		if bill.GreaterThan(bound) {
			t.Fatalf("%s at %s is billed %s, above the bound of %s", name, e.Provider, bill, bound)
		}
	})
	if bounded == 0 {
		t.Error("no request had a bound")
	}
}

func TestABoundNeverFallsWhenARequestGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, f := drawCatalog(t), drawFacts(t)
		small, err := Bound(&f, c, "chat/completions")
		if err != nil {
			return
		}
		g := f
		grow := rapid.SampledFrom([]func(){
			func() { g.TextBytes += 700 }, func() { g.Messages += 3 }, func() { g.Tools++ }, func() { g.N++ }, func() { g.Prompts++ },
			func() { g.Images++ }, func() { g.Audio++ }, func() { g.Searches++ }, func() { g.HourCache = true },
			func() { g.MaxTokens.Value += 10 }, func() { g.MaxTokens = Optional[int64]{} },
			func() { g.Fallbacks = []string{"anthropic/m1", "anthropic/m2"} }, func() { g.Provider = ProviderFacts{} },
			func() {
				if !g.Provider.restricts() {
					m := *c.Model("anthropic/m0")
					m.Endpoints = append(m.Endpoints[:len(m.Endpoints):len(m.Endpoints)], drawEndpoint(t, 9))
					c = c.With(m)
				}
			},
		}).Draw(t, "grow")
		grow()
		large, err := Bound(&g, c, "chat/completions")
		if err == nil && large.LessThan(small) {
			t.Fatalf("a bound of %s fell to %s: %+v, then %+v", small, large, f, g)
		}
	})
}

// The endpoints that others exceed are not looked at; that must not show.
func TestTheDearestEndpointsStandForAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, f := drawCatalog(t), drawFacts(t)
		f.Provider = ProviderFacts{}
		front, errFront := Bound(&f, c, "")
		// A price that none is above restricts nothing, but has every endpoint looked at.
		f.Provider.MaxPromptPrice = price("1e9")
		all, errAll := Bound(&f, c, "")
		if (errFront == nil) != (errAll == nil) || !front.Equal(all) {
			t.Fatalf("%s (%v) from the dearest, %s (%v) from all", front, errFront, all, errAll)
		}
	})
}
