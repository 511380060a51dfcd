package accounting

import (
	"cmp"
	"slices"

	"github.com/shopspring/decimal"
)

// ceiling is the most that one endpoint can charge: its prices made ready for
// [Bound], where the reasons stand.
type ceiling struct {
	context    int64  // most prompt tokens; 0: not listed
	completion int64  // most completion tokens; 0: not listed
	unfixed    string // a component without a fixed price, or without a price though it needs one
	tokenless  bool   // nothing but calls has a price
	tiers      []tier // the first from 0, each later one dearer and from more tokens
}

// tier holds the dearest prices that a call of so many prompt tokens can meet.
type tier struct {
	from int64 // prompt tokens

	text       decimal.Decimal // a prompt token
	hour       decimal.Decimal // a prompt token if it may be cached for an hour
	imageToken decimal.Decimal
	audioToken decimal.Decimal
	completion decimal.Decimal // a completion token
	request    decimal.Decimal
	image      decimal.Decimal           // an image sent
	search     Optional[decimal.Decimal] // a web search; unknown: not listed
}

func newCeiling(e *Endpoint) ceiling {
	c := ceiling{
		context:    smallest(e.ContextLength, e.MaxPromptTokens),
		completion: smallest(e.MaxCompletionTokens, e.ContextLength),
		unfixed:    e.Prices.unfixed(),
		tiers:      []tier{newTier(&e.Prices.Rates, e.Prices.Others)},
	}
	overrides := slices.Clone(e.Prices.Overrides)
	slices.SortStableFunc(overrides, func(a, b PriceOverride) int { return cmp.Compare(a.MinPromptTokens, b.MinPromptTokens) })
	for i := range overrides {
		c.add(&e.Prices, &overrides[i])
	}
	last := &c.tiers[len(c.tiers)-1]
	c.tokenless = !slices.ContainsFunc(last.tokenRates(), func(rate decimal.Decimal) bool { return !rate.IsZero() })
	return c
}

// smallest is the least of the listed limits, 0 if none is. A limit of 0 or
// less is how some lists say that there is none.
func smallest(limits ...Optional[int64]) int64 {
	var least int64
	for _, limit := range limits {
		if limit.Known && limit.Value > 0 && (least == 0 || limit.Value < least) {
			least = limit.Value
		}
	}
	return least
}

// unfixed names a component whose price is no amount.
func (p *Prices) unfixed() string {
	for _, c := range [...]PriceComponent{PricePrompt, PriceCompletion} {
		if !p.Rates[c].Known {
			return priceNames[c]
		}
	}
	others := p.Others
	for i := range p.Overrides {
		others = append(others[:len(others):len(others)], p.Overrides[i].Others...)
	}
	for _, other := range others {
		if !other.Price.Known {
			return other.Name
		}
	}
	return ""
}

func newTier(rates *Rates, others []OtherPrice) tier {
	prompt := rates[PricePrompt].Value
	text := decimal.Max(prompt, rates[PriceInputCacheRead].Value, writePrice(prompt, rates[PriceInputCacheWrite].Value))
	hour := decimal.Max(text, prompt.Add(prompt))
	if listed := rates[PriceInputCacheWrite1h]; listed.Known {
		hour = decimal.Max(text, writePrice(prompt, listed.Value))
	}
	t := tier{
		text: text, hour: hour,
		imageToken: rates[PriceImageToken].Value,
		audioToken: decimal.Max(rates[PriceAudio].Value, rates[PriceInputAudioCache].Value),
		completion: decimal.Max(rates[PriceCompletion].Value, rates[PriceInternalReasoning].Value,
			rates[PriceImageOutput].Value, rates[PriceAudioOutput].Value),
		request: rates[PriceRequest].Value, image: rates[PriceImage].Value, search: rates[PriceWebSearch],
	}
	for _, other := range others {
		if other.Price.Known {
			for _, rate := range [...]*decimal.Decimal{&t.text, &t.hour, &t.imageToken, &t.audioToken, &t.completion, &t.request} {
				*rate = rate.Add(other.Price.Value)
			}
		}
	}
	return t
}

// writePrice is what a token costs that is written to the cache. Some lists
// give the whole price and some what is added to the prompt's; less than the
// prompt's can only be the latter.
func writePrice(prompt, write decimal.Decimal) decimal.Decimal {
	if write.LessThan(prompt) {
		return prompt.Add(write)
	}
	return write
}

// add makes an override count from its number of tokens on.
func (c *ceiling) add(p *Prices, o *PriceOverride) {
	from := max(o.MinPromptTokens, 0)
	merged := p.Rates
	for component, price := range o.Rates {
		if price.Known {
			merged[component] = price
		}
	}
	// Providers scale their cache prices with the prompt's, listed or not.
	for _, component := range [...]PriceComponent{PriceInputCacheWrite, PriceInputCacheWrite1h} {
		if merged[component].Known && !o.Rates[component].Known && o.Rates[PricePrompt].Known {
			merged[component].Value = scaleUp(merged[component].Value, o.Rates[PricePrompt].Value, p.Rates[PricePrompt].Value)
		}
	}
	dearer := newTier(&merged, append(p.Others[:len(p.Others):len(p.Others)], o.Others...))
	last := &c.tiers[len(c.tiers)-1]
	dearer.raise(last)
	if dearer.from = from; last.from == from {
		*last = dearer
		return
	}
	c.tiers = append(c.tiers, dearer)
}

// scaleUp is price × to ÷ from, never less than price, rounded up where the
// quotient does not end.
func scaleUp(price, to, from decimal.Decimal) decimal.Decimal {
	if !from.IsPositive() || !to.GreaterThan(from) {
		return price
	}
	const digits = 24
	quotient, rest := price.Mul(to).QuoRem(from, digits)
	if rest.IsPositive() {
		quotient = quotient.Add(decimal.New(1, -digits))
	}
	return decimal.Max(price, quotient)
}

// raise lifts each price of t to at least that of other.
func (t *tier) raise(other *tier) {
	rates, others := t.rates(), other.rates()
	for i := range rates {
		*rates[i] = decimal.Max(*rates[i], *others[i])
	}
	if other.search.Known {
		t.search = Some(decimal.Max(t.search.Value, other.search.Value))
	}
}

func (t *tier) rates() [7]*decimal.Decimal {
	return [...]*decimal.Decimal{&t.text, &t.hour, &t.imageToken, &t.audioToken, &t.completion, &t.request, &t.image}
}

// tokenRates are all prices but that of a call.
func (t *tier) tokenRates() []decimal.Decimal {
	return []decimal.Decimal{t.text, t.hour, t.imageToken, t.audioToken, t.completion, t.image, t.search.Value}
}

// at is the tier of a call of so many prompt tokens.
func (c *ceiling) at(prompt int64) *tier {
	i := len(c.tiers) - 1
	for i > 0 && c.tiers[i].from > prompt {
		i--
	}
	return &c.tiers[i]
}

// atMost reports whether no call can cost more by c than by other. An endpoint
// that makes a call unbounded is at least as dear as any.
func (c *ceiling) atMost(other *ceiling) bool {
	if other.unfixed != "" {
		return true
	}
	if c.unfixed != "" || !limitAtMost(c.context, other.context) || !limitAtMost(c.completion, other.completion) {
		return false
	}
	for _, tiers := range [...][]tier{c.tiers, other.tiers} {
		for i := range tiers {
			if !c.at(tiers[i].from).atMost(other.at(tiers[i].from)) {
				return false
			}
		}
	}
	return true
}

func limitAtMost(a, b int64) bool { return b == 0 || a != 0 && a <= b }

func (t *tier) atMost(other *tier) bool {
	rates, others := t.rates(), other.rates()
	for i := range rates {
		if rates[i].GreaterThan(*others[i]) {
			return false
		}
	}
	return !other.search.Known || t.search.Known && t.search.Value.LessThanOrEqual(other.search.Value)
}
