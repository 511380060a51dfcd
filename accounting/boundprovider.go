package accounting

import "github.com/shopspring/decimal"

// providerRules are the restrictions of a request that hold for one model.
type providerRules struct {
	facts               *ProviderFacts
	only, order, prices bool // which of them rule out endpoints
}

// perMillion turns the unit of max_price into that of the list.
var perMillion = decimal.New(1, -6)

// rules decides which restrictions can be relied on. A name that fits no
// endpoint may be another spelling of the dearest, so its list rules out none.
// Restrictions that together leave nothing rule out nothing: either the call
// will fail, or we misread them.
func (p *ProviderFacts) rules(l *listing) providerRules {
	r := providerRules{
		facts:  p,
		only:   len(p.Only) > 0 && l.allServe(p.Only),
		order:  p.NoFallbacks && len(p.Order) > 0 && l.allServe(p.Order),
		prices: p.MaxPromptPrice.Known || p.MaxCompletionPrice.Known,
	}
	for i := range l.caps {
		if r.permit(l, i) {
			return r
		}
	}
	return providerRules{facts: &ProviderFacts{}}
}

// allServe reports whether each name fits an endpoint of the model.
func (l *listing) allServe(names []string) bool {
	for _, name := range names {
		found := false
		for i := range l.model.Endpoints {
			found = found || l.model.Endpoints[i].serves(name)
		}
		if !found {
			return false
		}
	}
	return true
}

// permit reports whether endpoint i may serve.
func (r *providerRules) permit(l *listing, i int) bool {
	e := &l.model.Endpoints[i]
	if r.only && !e.servesAny(r.facts.Only) || r.order && !e.servesAny(r.facts.Order) || e.servesAny(r.facts.Ignore) {
		return false
	}
	if !r.prices || e.Prices.Discount.Value.IsPositive() { // a discounted price may pass where the listed one does not
		return true
	}
	return !above(e.Prices.Rates[PricePrompt], r.facts.MaxPromptPrice) &&
		!above(e.Prices.Rates[PriceCompletion], r.facts.MaxCompletionPrice)
}

func above(price, perMillionTokens Optional[decimal.Decimal]) bool {
	return price.Known && perMillionTokens.Known && price.Value.GreaterThan(perMillionTokens.Value.Mul(perMillion))
}

func (e *Endpoint) servesAny(names []string) bool {
	for _, name := range names {
		if e.serves(name) {
			return true
		}
	}
	return false
}
