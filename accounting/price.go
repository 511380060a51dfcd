package accounting

import (
	"encoding/json"
	"fmt"

	"github.com/shopspring/decimal"
)

// PriceComponent names what a listed price is for. All prices are USD for one
// unit (openrouter.md §8, the "pricing" of GET /models).
type PriceComponent uint8

// The components, with their unit.
const (
	PricePrompt            PriceComponent = iota // a prompt token
	PriceCompletion                              // a completion token
	PriceRequest                                 // a call
	PriceImage                                   // an image sent
	PriceImageToken                              // a prompt token that an image became
	PriceImageOutput                             // a completion token of an image made
	PriceAudio                                   // a prompt token that audio became
	PriceAudioOutput                             // a completion token of audio made
	PriceInputAudioCache                         // a prompt token of audio, read from the cache
	PriceWebSearch                               // a search by the provider's own tool
	PriceInternalReasoning                       // a reasoning token, instead of the completion's price
	PriceInputCacheRead                          // a prompt token read from the cache
	PriceInputCacheWrite                         // a prompt token written to the cache
	PriceInputCacheWrite1h                       // the same, kept for an hour
	priceComponents
)

var priceNames = [priceComponents]string{
	"prompt", "completion", "request", "image", "image_token", "image_output", "audio", "audio_output",
	"input_audio_cache", "web_search", "internal_reasoning", "input_cache_read", "input_cache_write", "input_cache_write_1h",
}

// String is the component's name at OpenRouter, e.g. input_cache_read.
func (c PriceComponent) String() string {
	if c < priceComponents {
		return priceNames[c]
	}
	return fmt.Sprintf("PriceComponent(%d)", uint8(c))
}

// PriceComponentOf is the component with this name, false if we know none.
func PriceComponentOf(name string) (PriceComponent, bool) {
	for c, known := range priceNames {
		if known == name {
			return PriceComponent(c), true
		}
	}
	return 0, false
}

// Rates are prices by component, USD per unit. Unknown means not listed.
type Rates [priceComponents]Optional[decimal.Decimal]

// OtherPrice is a price that does not fit into [Rates]: of a component that we
// do not know, or one that is not fixed. OpenRouter lists "-1" for the latter.
type OtherPrice struct {
	Name  string
	Price Optional[decimal.Decimal] // USD per unit; unknown: not fixed, or not an amount
}

// Prices is the price list of one endpoint.
type Prices struct {
	Rates     Rates
	Others    []OtherPrice
	Discount  Optional[decimal.Decimal] // a share of the price, 0.25 is a quarter off
	Overrides []PriceOverride
}

// PriceOverride replaces some prices under a condition: a long prompt, an hour
// of the day. Where both are set, both must hold.
type PriceOverride struct {
	MinPromptTokens  int64  // of the call; 0: any
	UTCStart, UTCEnd string // as listed; empty: at any hour
	Rates            Rates
	Others           []OtherPrice
}

// ratesJSON is the form in which rates are kept: names and decimal strings, so
// that no reader takes them for floats.
type ratesJSON struct {
	Rates  map[string]decimal.Decimal  `json:"rates,omitempty"`
	Others map[string]*decimal.Decimal `json:"others,omitempty"`
}

type overrideJSON struct {
	MinPromptTokens int64  `json:"min_prompt_tokens,omitempty"`
	UTCStart        string `json:"utc_start,omitempty"`
	UTCEnd          string `json:"utc_end,omitempty"`
	ratesJSON
}

type pricesJSON struct {
	ratesJSON
	Discount  *decimal.Decimal `json:"discount,omitempty"`
	Overrides []overrideJSON   `json:"overrides,omitempty"`
}

func toRatesJSON(rates *Rates, others []OtherPrice) ratesJSON {
	var out ratesJSON
	for c, price := range rates {
		if price.Known {
			if out.Rates == nil {
				out.Rates = make(map[string]decimal.Decimal)
			}
			out.Rates[priceNames[c]] = price.Value
		}
	}
	for _, other := range others {
		if out.Others == nil {
			out.Others = make(map[string]*decimal.Decimal)
		}
		out.Others[other.Name] = other.Price.Pointer()
	}
	return out
}

func (in ratesJSON) rates() (rates Rates, others []OtherPrice) {
	for name, price := range in.Rates {
		if c, ok := PriceComponentOf(name); ok {
			rates[c] = Some(price)
		} else { // a newer Bursar knew it
			others = append(others, OtherPrice{Name: name, Price: Some(price)})
		}
	}
	for name, price := range in.Others {
		others = append(others, OtherPrice{Name: name, Price: FromPointer(price)})
	}
	sortOthers(others)
	return rates, others
}

// MarshalJSON writes the prices with every digit, in a form that is equal for
// equal prices.
func (p Prices) MarshalJSON() ([]byte, error) {
	out := pricesJSON{ratesJSON: toRatesJSON(&p.Rates, p.Others), Discount: p.Discount.Pointer()}
	for i := range p.Overrides {
		o := &p.Overrides[i]
		out.Overrides = append(out.Overrides, overrideJSON{
			MinPromptTokens: o.MinPromptTokens, UTCStart: o.UTCStart, UTCEnd: o.UTCEnd,
			ratesJSON: toRatesJSON(&o.Rates, o.Others),
		})
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what [Prices.MarshalJSON] writes.
func (p *Prices) UnmarshalJSON(raw []byte) error {
	var in pricesJSON
	if err := json.Unmarshal(raw, &in); err != nil {
		return fmt.Errorf("read prices: %w", err)
	}
	*p = Prices{Discount: FromPointer(in.Discount)}
	p.Rates, p.Others = in.rates()
	for _, o := range in.Overrides {
		override := PriceOverride{MinPromptTokens: o.MinPromptTokens, UTCStart: o.UTCStart, UTCEnd: o.UTCEnd}
		override.Rates, override.Others = o.rates()
		p.Overrides = append(p.Overrides, override)
	}
	return nil
}
