package accounting

import (
	"fmt"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func price(s string) Optional[decimal.Decimal] { return Some(decimal.RequireFromString(s)) }

// offer is an endpoint with a context of 1000 tokens and 100 of completion.
func offer(provider, tag string, rates map[PriceComponent]string) Endpoint {
	e := Endpoint{Provider: provider, Tag: tag, ContextLength: Some(int64(1000)), MaxCompletionTokens: Some(int64(100))}
	for c, literal := range rates {
		e.Prices.Rates[c] = price(literal)
	}
	return e
}

func textOffer(provider, tag, prompt, completion string) Endpoint {
	return offer(provider, tag, map[PriceComponent]string{PricePrompt: prompt, PriceCompletion: completion})
}

func catalogOf(endpoints ...Endpoint) *Catalog {
	return NewCatalog([]Model{{Slug: "a/m", CanonicalSlug: "a/m-2026", Endpoints: endpoints}, {Slug: "anthropic/m", Endpoints: endpoints}})
}

// plain is a request whose prompt bound is 500 tokens and that wants 10.
func plain() RequestFacts {
	return RequestFacts{Model: "a/m", TextBytes: 500 - requestAllowance - messageAllowance, Messages: 1, MaxTokens: Some(int64(10))}
}

func requireBound(t *testing.T, want string, f *RequestFacts, c *Catalog) {
	t.Helper()
	usd, err := Bound(f, c, "chat/completions")
	require.NoError(t, err)
	require.Equal(t, want, usd.String())
}

func requireUnbounded(t *testing.T, f *RequestFacts, c *Catalog, field string) *UnboundedError {
	t.Helper()
	_, err := Bound(f, c, "chat/completions")
	var problem *UnboundedError
	require.ErrorAs(t, err, &problem)
	require.Equal(t, field, problem.Field, err)
	return problem
}

func TestABoundIsTheDearestThatEachStepAllows(t *testing.T) {
	both := map[PriceComponent]string{PricePrompt: "0.001", PriceCompletion: "0.01"}
	with := func(more map[PriceComponent]string) Endpoint {
		e := offer("P", "p", both)
		for c, literal := range more {
			e.Prices.Rates[c] = price(literal)
		}
		return e
	}
	overridden := with(map[PriceComponent]string{PriceInputCacheWrite: "0.00125"})
	overridden.Prices.Overrides = []PriceOverride{
		{MinPromptTokens: 500, Rates: Rates{PricePrompt: price("0.002")}},
		{MinPromptTokens: 501, Rates: Rates{PricePrompt: price("0.004"), PriceCompletion: price("0.02")}},
	}
	offPeak := with(nil)
	offPeak.Prices.Overrides = []PriceOverride{{UTCStart: "16:30", UTCEnd: "00:30", Rates: Rates{PriceCompletion: price("0.05")}}}
	odd := with(nil)
	odd.Prices.Others = []OtherPrice{{Name: "moon_phase", Price: price("0.1")}}
	discounted := with(nil)
	discounted.Prices.Discount = price("0.5")
	noLimit := with(nil)
	noLimit.MaxCompletionTokens = Optional[int64]{}

	for name, c := range map[string]struct {
		endpoint Endpoint
		change   func(*RequestFacts)
		want     string
	}{
		"prompt and completion":           {with(nil), nil, "0.6"},
		"the call's own price":            {with(map[PriceComponent]string{PriceRequest: "1"}), nil, "1.6"},
		"a cache write":                   {with(map[PriceComponent]string{PriceInputCacheWrite: "0.00125"}), nil, "0.725"},
		"a cache write on top":            {with(map[PriceComponent]string{PriceInputCacheWrite: "0.0005"}), nil, "0.85"},
		"the hour cache, not asked for":   {with(map[PriceComponent]string{PriceInputCacheWrite1h: "0.003"}), nil, "0.6"},
		"the hour cache":                  {with(map[PriceComponent]string{PriceInputCacheWrite1h: "0.003"}), func(f *RequestFacts) { f.HourCache = true }, "1.6"},
		"the hour cache, not listed":      {with(nil), func(f *RequestFacts) { f.HourCache = true }, "1.1"},
		"reasoning":                       {with(map[PriceComponent]string{PriceInternalReasoning: "0.02"}), nil, "0.7"},
		"no max_tokens":                   {with(nil), func(f *RequestFacts) { f.MaxTokens = Optional[int64]{} }, "1.5"},
		"no max_tokens and none listed":   {noLimit, func(f *RequestFacts) { f.MaxTokens = Optional[int64]{} }, "10.5"},
		"max_tokens beyond the model's":   {with(nil), func(f *RequestFacts) { f.MaxTokens = Some(int64(1 << 60)) }, "1.5"},
		"text beyond the context":         {with(nil), func(f *RequestFacts) { f.TextBytes = 1 << 60 }, "1.1"},
		"three answers":                   {with(nil), func(f *RequestFacts) { f.N = 3 }, "1.8"},
		"three answers to two prompts":    {with(nil), func(f *RequestFacts) { f.N, f.Prompts = 3, 2 }, "2.868"},
		"two tools":                       {with(nil), func(f *RequestFacts) { f.Tools, f.TextBytes = 2, 0 }, "1.1"},
		"no completion":                   {with(nil), func(f *RequestFacts) { f.NoCompletion = true }, "0.5"},
		"an image":                        {with(map[PriceComponent]string{PriceImage: "0.5", PriceImageToken: "0.002"}), func(f *RequestFacts) { f.Images = 2 }, "3.1"},
		"image prices without an image":   {with(map[PriceComponent]string{PriceImage: "0.5", PriceImageToken: "0.002"}), nil, "0.6"},
		"audio":                           {with(map[PriceComponent]string{PriceAudio: "0.005"}), func(f *RequestFacts) { f.Audio = 1 }, "5.1"},
		"overrides up to their threshold": {overridden, nil, "1.35"},
		"overrides above it":              {overridden, func(f *RequestFacts) { f.TextBytes++ }, "2.705"},
		"any hour":                        {offPeak, nil, "1"},
		"a component nobody knows":        {odd, nil, "51.7"},
		"no discount":                     {discounted, nil, "0.6"},
		"searches":                        {with(map[PriceComponent]string{PriceWebSearch: "0.03"}), func(f *RequestFacts) { f.Model, f.Searches = "anthropic/m", 2 }, "3.36"},
	} {
		t.Run(name, func(t *testing.T) {
			f := plain()
			if c.change != nil {
				c.change(&f)
			}
			requireBound(t, c.want, &f, catalogOf(c.endpoint))
		})
	}
}

func TestTheDearestModelAndEndpointDecide(t *testing.T) {
	c := NewCatalog([]Model{
		{Slug: "a/m", CanonicalSlug: "a/m-2026", Endpoints: []Endpoint{textOffer("P", "p", "0.001", "0.1"), textOffer("Q", "q", "0.003", "0.01"), textOffer("R", "r", "0.0001", "0.001")}},
		{Slug: "a/n", Endpoints: []Endpoint{textOffer("P", "p", "0.01", "0.01")}},
		{Slug: "a/m:free", CanonicalSlug: "a/m-2026", Endpoints: []Endpoint{textOffer("P", "p", "0", "0")}},
		{Slug: "~a/latest", AliasOf: "a/n"},
	})
	for name, want := range map[string]string{"a/m": "1.6", "a/m-2026": "1.6", "a/n": "5.1", "~a/latest": "5.1", "a/m:free": "0", "a/m:floor": "1.6", "a/n:exacto": "5.1"} {
		f := plain()
		f.Model = name
		requireBound(t, want, &f, c)
	}
	f := plain()
	f.Fallbacks = []string{"a/m:free", "a/n"}
	requireBound(t, "5.1", &f, c)
	f.Model = ""
	requireBound(t, "5.1", &f, c)
	f.MaxTokens = Some(int64(50)) // 0.5 + 5 at P, 1.5 + 0.5 at Q
	f.Model, f.Fallbacks = "a/m", nil
	requireBound(t, "5.5", &f, c)
}

func TestOnlyWhatIsCertainRulesAnEndpointOut(t *testing.T) {
	c := catalogOf(textOffer("Deep Infra", "deep-infra/fp8", "0.001", "0"), textOffer("Google AI Studio", "google-ai-studio", "0.002", "0"), textOffer("Dear", "dear", "0.004", "0"))
	for name, x := range map[string]struct {
		provider ProviderFacts
		want     string
	}{
		"nothing":                             {ProviderFacts{}, "2"},
		"only":                                {ProviderFacts{Only: []string{"deep-infra", "Google AI Studio"}}, "1"},
		"only, by tag":                        {ProviderFacts{Only: []string{"deep-infra/fp8"}}, "0.5"},
		"only, with a name nobody has":        {ProviderFacts{Only: []string{"deep-infra", "the-dear-one"}}, "2"},
		"ignore":                              {ProviderFacts{Ignore: []string{"DEAR", "nobody"}}, "1"},
		"ignore everything":                   {ProviderFacts{Ignore: []string{"dear", "deepinfra", "googleaistudio"}}, "2"},
		"order":                               {ProviderFacts{Order: []string{"deep-infra"}}, "2"},
		"order without fallbacks":             {ProviderFacts{Order: []string{"deep-infra"}, NoFallbacks: true}, "0.5"},
		"no fallbacks without order":          {ProviderFacts{NoFallbacks: true}, "2"},
		"a highest price":                     {ProviderFacts{MaxPromptPrice: price("3999")}, "1"},
		"a highest price, reached":            {ProviderFacts{MaxPromptPrice: price("4000")}, "2"},
		"a highest price that nobody fits":    {ProviderFacts{MaxPromptPrice: price("1")}, "2"},
		"a highest price for the other thing": {ProviderFacts{MaxCompletionPrice: price("1")}, "2"},
		"two rules":                           {ProviderFacts{Only: []string{"dear", "deep-infra"}, Ignore: []string{"dear"}}, "0.5"},
	} {
		t.Run(name, func(t *testing.T) {
			f := plain()
			f.Provider = x.provider
			requireBound(t, x.want, &f, c)
		})
	}
	reduced := textOffer("P", "p", "0.004", "0")
	reduced.Prices.Discount = price("0.1")
	f := plain()
	f.Provider.MaxPromptPrice = price("3600")
	requireBound(t, "2", &f, catalogOf(reduced, textOffer("Q", "q", "0.001", "0")))
}

func TestWhatHasNoBoundIsNamedWithTheWayOut(t *testing.T) {
	listed := catalogOf(textOffer("P", "p", "0.001", "0.01"))
	for name, field := range map[string]string{
		"": "model", "a/unknown": "model", "a/m:online": "model", "a/m:nitro": "model", "a/m:free": "model", "a/m:strange": "model",
		"openrouter/auto": "model", "openrouter/auto-beta": "model", "openrouter/fusion": "model", "perplexity/sonar": "model",
		"@preset/x": "model", "a/m@preset/x": "model",
	} {
		f := plain()
		f.Model = name
		requireUnbounded(t, &f, listed, field)
	}
	f := plain()
	f.Fallbacks = []string{"a/m", "openrouter/auto"}
	requireUnbounded(t, &f, listed, "models[1]")

	f = plain()
	f.Unbounded = []Unbounded{{"plugins[0]", "runs a plugin", "leave it out"}, {"preset", "", ""}}
	problem := requireUnbounded(t, &f, listed, "plugins[0]")
	assert.EqualError(t, problem, "the price of this chat/completions call has no upper bound: plugins[0] runs a plugin; leave it out")

	f = plain()
	f.Model = "a/new"
	assert.Equal(t, "a/new", requireUnbounded(t, &f, listed, "model").UnknownModel)
	assert.Equal(t, "a/new", requireUnbounded(t, &f, nil, "model").UnknownModel)
	assert.Equal(t, "a/new", requireUnbounded(t, &f, NewCatalog([]Model{{Slug: "a/new"}}), "model").UnknownModel, "its endpoints are not known")

	f = plain()
	f.Searches = 1
	requireUnbounded(t, &f, listed, "tools")
	requireUnbounded(t, &f, catalogOf(offer("P", "p", map[PriceComponent]string{PricePrompt: "0", PriceCompletion: "0", PriceWebSearch: "1"})), "tools")

	bare := textOffer("P", "p", "0.001", "0.01")
	bare.ContextLength, bare.MaxCompletionTokens = Optional[int64]{}, Some(int64(0))
	f = plain()
	requireBound(t, "0.6", &f, catalogOf(bare))
	f.Images = 1
	requireUnbounded(t, &f, catalogOf(bare), "model")
	f.Images, f.MaxTokens = 0, Optional[int64]{}
	requireUnbounded(t, &f, catalogOf(bare), "max_tokens")

	for name, spoil := range map[string]func(*Prices){
		"no price of the prompt": func(p *Prices) { p.Rates[PricePrompt].Known = false },
		"a price that varies":    func(p *Prices) { p.Others = []OtherPrice{{Name: "image"}} },
		"and one at some hours":  func(p *Prices) { p.Overrides = []PriceOverride{{Others: []OtherPrice{{Name: "prompt"}}}} },
	} {
		varying := textOffer("Q", "q", "0.001", "0.01")
		spoil(&varying.Prices)
		f = plain()
		assert.Contains(t, requireUnbounded(t, &f, catalogOf(textOffer("P", "p", "9", "9"), varying), "model").Reason, "at Q lists no fixed price", name)
	}
}

func TestUnitsAreBoundOnlyWhereTheCallAloneHasAPrice(t *testing.T) {
	f := RequestFacts{Model: "a/m", Units: true, N: 3}
	call := map[PriceComponent]string{PricePrompt: "0", PriceCompletion: "0", PriceRequest: "0.04"}
	requireBound(t, "0.12", &f, catalogOf(offer("P", "p", call)))
	requireUnbounded(t, &f, catalogOf(textOffer("P", "p", "0", "0")), "model")
	call[PriceImage] = "0.01"
	requireUnbounded(t, &f, catalogOf(offer("P", "p", call)), "model")
}

func TestACatalogIsNotChangedByWhatFollowsIt(t *testing.T) {
	first := catalogOf(textOffer("P", "p", "0.001", "0.01"))
	second := first.With(Model{Slug: "a/m", Endpoints: []Endpoint{textOffer("P", "p", "1", "1")}}, Model{Slug: "b/m"})
	f := plain()
	requireBound(t, "0.6", &f, first)
	requireBound(t, "510", &f, second)
	assert.Equal(t, 2, first.Len())
	assert.Equal(t, 3, second.Len())
	assert.Nil(t, first.Model("b/m"))
	assert.Equal(t, "b/m", second.Model("b/m:floor").Slug)
	assert.Nil(t, second.Model("b/m:free"))
	assert.Nil(t, second.Model("b/m:thinking"), "a model of its own")
	assert.Nil(t, (*Catalog)(nil).Model("a/m"))
	assert.Nil(t, (*Catalog)(nil).Listed("a/m"))
	assert.Equal(t, "a/m", second.Listed("a/m").Slug)
	assert.Nil(t, second.Listed("a/m-2026"), "that is not a slug")
	var slugs []string
	for m := range second.Models() {
		slugs = append(slugs, m.Slug)
	}
	assert.Equal(t, []string{"a/m", "anthropic/m", "b/m"}, slugs)
}

func BenchmarkBound(b *testing.B) {
	var endpoints []Endpoint
	for i := range 12 {
		endpoints = append(endpoints, textOffer(fmt.Sprintf("P%d", i), fmt.Sprintf("p%d", i), fmt.Sprintf("0.00000%d", 1+i), fmt.Sprintf("0.00001%d", i)))
	}
	c := catalogOf(endpoints...)
	for name, provider := range map[string]ProviderFacts{"open": {}, "only": {Only: []string{"p1", "p2"}}} {
		b.Run(name, func(b *testing.B) {
			f := plain()
			f.Provider = provider
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Bound(&f, c, "chat/completions"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
