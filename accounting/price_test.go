package accounting

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPricesKeepEveryDigitInJSON(t *testing.T) {
	p := Prices{
		Rates:    Rates{PricePrompt: price("0.00000025833333333333333333333"), PriceRequest: price("0")},
		Others:   []OtherPrice{{Name: "image"}, {Name: "moon_phase", Price: price("1e-9")}},
		Discount: price("0.25"),
		Overrides: []PriceOverride{
			{MinPromptTokens: 200000, Rates: Rates{PriceCompletion: price("0.00003")}},
			{UTCStart: "16:30", UTCEnd: "00:30", Others: []OtherPrice{{Name: "prompt"}}},
		},
	}
	raw, err := json.Marshal(p)
	require.NoError(t, err)
	assert.JSONEq(t, `{"rates":{"prompt":"0.00000025833333333333333333333","request":"0"},
		"others":{"image":null,"moon_phase":"0.000000001"},"discount":"0.25",
		"overrides":[{"min_prompt_tokens":200000,"rates":{"completion":"0.00003"}},
			{"utc_start":"16:30","utc_end":"00:30","others":{"prompt":null}}]}`, string(raw))
	var back Prices
	require.NoError(t, json.Unmarshal(raw, &back))
	again, err := json.Marshal(back)
	require.NoError(t, err)
	assert.JSONEq(t, string(raw), string(again))
	assert.False(t, back.Rates[PriceCompletion].Known, "unknown is not zero")
	assert.True(t, back.Rates[PriceRequest].Known)
	assert.Error(t, json.Unmarshal([]byte(`{"rates":{"prompt":"much"}}`), &back))
}

func TestEveryComponentHasItsNameAndNoOther(t *testing.T) {
	for c := range priceComponents {
		back, ok := PriceComponentOf(c.String())
		assert.True(t, ok && back == c, c.String())
	}
	_, ok := PriceComponentOf("moon_phase")
	assert.False(t, ok)
	assert.Equal(t, "PriceComponent(99)", PriceComponent(99).String())
}

func TestAnEstimateFollowsTheProviderThatServed(t *testing.T) {
	served := offer("Google AI Studio", "google-ai-studio", map[PriceComponent]string{
		PricePrompt: "0.001", PriceCompletion: "0.01", PriceRequest: "0.5", PriceInputCacheRead: "0.0001", PriceInputCacheWrite: "0.00125"})
	served.Prices.Overrides = []PriceOverride{
		{MinPromptTokens: 200, Rates: Rates{PricePrompt: price("0.002")}},
		{MinPromptTokens: 100, Rates: Rates{PricePrompt: price("0.0015")}},
		{UTCStart: "16:30", UTCEnd: "00:30", Rates: Rates{PricePrompt: price("7")}},
	}
	m := &Model{Slug: "a/m", Top: textOffer("", "", "1", "2"), Endpoints: []Endpoint{textOffer("P", "p", "5", "5"), served}}
	tokens := func(prompt, completion, read, write int64) *Usage {
		return &Usage{PromptTokens: Some(prompt), CompletionTokens: Some(completion), CachedTokens: Some(read), CacheWriteTokens: Some(write)}
	}
	for _, c := range []struct {
		provider string
		usage    *Usage
		want     string
	}{
		{"Google AI Studio", tokens(10, 2, 0, 0), "0.53"},
		{"Google AI Studio", tokens(10, 2, 4, 2), "0.5269"},
		{"Google AI Studio", tokens(3, 0, 4, 2), "0.5029"}, // counted as Anthropic does, cached ones apart
		{"Google AI Studio", tokens(100, 0, 0, 0), "0.65"},
		{"Google AI Studio", tokens(200, 0, 0, 0), "0.9"},
		{"Elsewhere", tokens(10, 2, 0, 0), "14"},
		{"", tokens(10, 2, 4, 0), "14"},
	} {
		usd, ok := Estimate(m, c.provider, c.usage)
		require.True(t, ok)
		assert.Equal(t, c.want, usd.String())
	}
	for name, unknown := range map[string]func() (ok bool){
		"model":  func() bool { _, ok := Estimate(nil, "", tokens(1, 1, 0, 0)); return ok },
		"tokens": func() bool { _, ok := Estimate(m, "", &Usage{PromptTokens: Some(int64(1))}); return ok },
		"prices": func() bool { _, ok := Estimate(&Model{}, "", tokens(1, 1, 0, 0)); return ok },
	} {
		assert.False(t, unknown(), name)
	}
}
