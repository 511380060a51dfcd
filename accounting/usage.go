package accounting

import (
	"strings"

	"github.com/shopspring/decimal"
)

// Usage is what OpenRouter says one generation consumed, in its own figures.
// Every field is unknown until OpenRouter has sent it.
type Usage struct {
	Cost         Optional[decimal.Decimal] // usage.cost: USD taken from the account
	UpstreamCost Optional[decimal.Decimal] // cost_details.upstream_inference_cost, USD; additive only where IsBYOK
	IsBYOK       Optional[bool]            // the provider was paid with the customer's own provider key

	PromptTokens     Optional[int64] // prompt_tokens, or input_tokens as the endpoint counts them
	CompletionTokens Optional[int64] // completion_tokens or output_tokens
	TotalTokens      Optional[int64] // as sent, never recomputed
	CachedTokens     Optional[int64] // prompt tokens read from a provider's cache
	CacheWriteTokens Optional[int64] // prompt tokens written to it
	ReasoningTokens  Optional[int64] // may exceed CompletionTokens on some providers
}

// Merge lays newer over u, field by field: what newer knows replaces what u
// knew, what it does not know stays. Streams send usage in parts
// (message_start, then message_delta), and the last word wins.
func (u Usage) Merge(newer Usage) Usage {
	return Usage{
		Cost:             newer.Cost.Or(u.Cost),
		UpstreamCost:     newer.UpstreamCost.Or(u.UpstreamCost),
		IsBYOK:           newer.IsBYOK.Or(u.IsBYOK),
		PromptTokens:     newer.PromptTokens.Or(u.PromptTokens),
		CompletionTokens: newer.CompletionTokens.Or(u.CompletionTokens),
		TotalTokens:      newer.TotalTokens.Or(u.TotalTokens),
		CachedTokens:     newer.CachedTokens.Or(u.CachedTokens),
		CacheWriteTokens: newer.CacheWriteTokens.Or(u.CacheWriteTokens),
		ReasoningTokens:  newer.ReasoningTokens.Or(u.ReasoningTokens),
	}
}

// EconomicCost is what the call cost the business in USD: OpenRouter's charge,
// plus the provider's own charge where the customer's provider key paid for it
// (is_byok). Outside BYOK the upstream figure is part of the charge already.
func (u Usage) EconomicCost() Optional[decimal.Decimal] {
	if !u.Cost.Known || !u.IsBYOK.Value || !u.UpstreamCost.Known {
		return u.Cost
	}
	return Some(u.Cost.Value.Add(u.UpstreamCost.Value))
}

// Bounds of the numbers we keep. JavaScript, which writes OpenRouter's, knows
// none below 5e-324 or above 1.8e308.
const (
	maxCostExponent = 400
	maxCostLiteral  = 450
)

// ParseCost turns the literal of a JSON number (or of a string that holds one)
// into an amount, every digit kept. What is not a JSON number, is negative or
// is absurdly long is unknown: OpenRouter's own record then decides.
func ParseCost(literal string) Optional[decimal.Decimal] {
	if !isJSONNumber(literal) || len(literal) > maxCostLiteral {
		return Optional[decimal.Decimal]{}
	}
	d, err := decimal.NewFromString(literal)
	if err != nil || d.IsNegative() || d.Exponent() < -maxCostExponent || d.Exponent() > maxCostExponent {
		return Optional[decimal.Decimal]{}
	}
	return Some(d)
}

// isJSONNumber reports whether s is a number by RFC 8259 §6. The decimal
// library is more generous ("1_000", "+1", ".5"), and a body that holds such a
// thing was not written by OpenRouter.
func isJSONNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, rest := leadingDigits(s)
	if whole == "" || len(whole) > 1 && whole[0] == '0' {
		return false
	}
	if strings.HasPrefix(rest, ".") {
		var fraction string
		if fraction, rest = leadingDigits(rest[1:]); fraction == "" {
			return false
		}
	}
	if rest != "" && (rest[0] == 'e' || rest[0] == 'E') {
		rest = rest[1:]
		if rest != "" && (rest[0] == '+' || rest[0] == '-') {
			rest = rest[1:]
		}
		var exponent string
		if exponent, rest = leadingDigits(rest); exponent == "" {
			return false
		}
	}
	return rest == ""
}

func leadingDigits(s string) (digits, rest string) {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n], s[n:]
}
