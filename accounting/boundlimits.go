package accounting

import "github.com/shopspring/decimal"

// PriceLimits are what a request can be sent with, so that OpenRouter itself
// keeps to the list that [Bound] read: should a price have risen since, no
// endpoint serves.
type PriceLimits struct {
	Prompt     decimal.Decimal // USD for a million prompt tokens, without cache and long context
	Completion decimal.Decimal // USD for a million completion tokens
	MaxTokens  int64           // completion tokens of an answer, for a request that sets no limit; 0: none
}

// LimitsOf are the highest listed prices, and the lowest limit, of the
// endpoints that the request permits, over its model and fallbacks: OpenRouter
// sends a call only where an answer of max_tokens fits, and none of them should
// be left out. It reports false where the prices of one are not known.
func LimitsOf(f *RequestFacts, c *Catalog) (PriceLimits, bool) {
	var limits PriceLimits
	models, anyModel := f.Models()
	if anyModel {
		return limits, false
	}
	for _, name := range models {
		if namesNoModel(name) != nil {
			return limits, false
		}
		l := c.offersOf(name)
		if l == nil {
			return limits, false
		}
		rules := f.Provider.rules(l)
		for i := range l.caps {
			if !rules.permit(l, i) {
				continue
			}
			if l.caps[i].unfixed != "" {
				return limits, false
			}
			rates := &l.model.Endpoints[i].Prices.Rates
			limits.Prompt = decimal.Max(limits.Prompt, rates[PricePrompt].Value)
			limits.Completion = decimal.Max(limits.Completion, rates[PriceCompletion].Value)
			if most := l.caps[i].completion; most > 0 && (limits.MaxTokens == 0 || most < limits.MaxTokens) {
				limits.MaxTokens = most
			}
		}
	}
	limits.Prompt, limits.Completion = limits.Prompt.Shift(6), limits.Completion.Shift(6)
	return limits, true
}
