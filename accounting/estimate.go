package accounting

import "github.com/shopspring/decimal"

// Estimate is what a call of known tokens costs by the price list, in USD; it
// reports false if tokens or prices are not known. It is a guess, to be shown
// as one and never mixed into exact costs: the list shows neither searches,
// images and service tiers of the call nor the hour at which it was priced.
//
// The prices are those of the provider that served, as answers name it, else
// those that GET /models shows. Prompt tokens are taken as chat counts them,
// cached ones included; overrides with a number of tokens apply, those with
// hours do not.
func Estimate(m *Model, provider string, u *Usage) (decimal.Decimal, bool) {
	if m == nil || !u.PromptTokens.Known || !u.CompletionTokens.Known {
		return decimal.Decimal{}, false
	}
	p := &m.offerOf(provider).Prices
	rates := p.ratesFor(u.PromptTokens.Value)
	if !rates[PricePrompt].Known || !rates[PriceCompletion].Known {
		return decimal.Decimal{}, false
	}
	read, write := u.CachedTokens.Value, u.CacheWriteTokens.Value
	fresh := max(0, u.PromptTokens.Value-read-write)
	sum := rates[PriceRequest].Value
	for _, part := range [...]struct {
		tokens int64
		price  decimal.Decimal
	}{
		{fresh, rates[PricePrompt].Value},
		{read, rates[PriceInputCacheRead].Or(rates[PricePrompt]).Value},
		{write, writePrice(rates[PricePrompt].Value, rates[PriceInputCacheWrite].Value)},
		{u.CompletionTokens.Value, rates[PriceCompletion].Value},
	} {
		sum = sum.Add(part.price.Mul(decimal.NewFromInt(part.tokens)))
	}
	return sum, true
}

// offerOf is the endpoint of a provider, the top one if it is not listed.
func (m *Model) offerOf(provider string) *Endpoint {
	for i := range m.Endpoints {
		if e := &m.Endpoints[i]; e.serves(provider) {
			return e
		}
	}
	return &m.Top
}

// ratesFor are the prices of a call of so many prompt tokens, at any hour.
func (p *Prices) ratesFor(promptTokens int64) Rates {
	rates, reached := p.Rates, int64(0)
	for i := range p.Overrides {
		o := &p.Overrides[i]
		if o.UTCStart != "" || o.UTCEnd != "" || o.MinPromptTokens < reached || o.MinPromptTokens > promptTokens {
			continue
		}
		reached = o.MinPromptTokens
		for c, price := range o.Rates {
			if price.Known {
				rates[c] = price
			}
		}
	}
	return rates
}
