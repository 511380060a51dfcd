package openroutertest

import (
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// tokens is what a generation consumed.
type tokens struct {
	prompt     int64 // cached ones included
	completion int64
	cached     int64
	cacheWrite int64
	reasoning  int64
}

// charge is what a generation costs. A literal is the number as it stands on
// the wire; the decimal beside it is the same amount.
type charge struct {
	cost            decimal.Decimal
	literal         literal
	upstream        decimal.Decimal
	upstreamLiteral literal
	prompt          literal // the part of upstream that the prompt made
	completion      literal // and the completion
	byok            bool
}

// significantDigits is what a JavaScript number can hold, and so what
// OpenRouter can send.
const significantDigits = 17

// byokFee is the part of the list price that OpenRouter takes where the
// customer's own provider key paid.
var byokFee = usd("0.05")

// serverToolFee is a web search by a server tool.
var serverToolFee = usd("0.007")

// priceOf computes what t costs at m's prices: exact products, rounded once to
// the digits a JavaScript number holds. extra is what is not counted in tokens.
func priceOf(m *Model, t tokens, extra decimal.Decimal, b *Behavior) charge {
	p := m.Pricing
	promptPrice, completionPrice := p.Prompt, p.Completion
	if long := p.LongContext; long != nil && t.prompt >= long.MinPromptTokens {
		promptPrice, completionPrice = long.Prompt, long.Completion
	}
	prompt := promptPrice.Mul(decimal.NewFromInt(t.prompt - t.cached - t.cacheWrite)).
		Add(p.CacheRead.Mul(decimal.NewFromInt(t.cached))).
		Add(p.CacheWrite.Mul(decimal.NewFromInt(t.cacheWrite))).
		Add(p.Request).Add(extra)
	completion := completionPrice.Mul(decimal.NewFromInt(t.completion))
	list := significant(prompt.Add(completion))

	c := charge{cost: list, upstream: list, byok: b.BYOK}
	switch {
	case b.CostLiteral != "":
		c.cost = decimal.RequireFromString(b.CostLiteral)
		if !b.BYOK {
			c.upstream = c.cost
		}
	case b.BYOK && b.BYOKFee:
		c.cost = significant(list.Mul(byokFee))
	case b.BYOK:
		c.cost = decimal.Zero
	case b.ServerTools:
		c.cost = significant(list.Add(serverToolFee))
	case b.Discount:
		c.cost = significant(list.Mul(usd("0.75")))
	}
	c.literal = literal(b.CostLiteral)
	if c.literal == "" {
		c.literal = write(c.cost, b.CostForm)
	}
	c.upstreamLiteral = write(c.upstream, b.CostForm)
	c.prompt, c.completion = write(significant(prompt), CostAsJavaScript), write(significant(completion), CostAsJavaScript)
	return c
}

// free is the charge of what is not billed.
func free() charge {
	return charge{literal: "0", upstreamLiteral: "0", prompt: "0", completion: "0"}
}

// significant rounds d to the digits a JavaScript number holds.
func significant(d decimal.Decimal) decimal.Decimal {
	if excess := d.NumDigits() - significantDigits; excess > 0 {
		return d.Round(-d.Exponent() - int32(excess))
	}
	return d
}

// CostForm is how the number of a cost is spelt. The amount is the same.
type CostForm uint8

// The spellings of a cost.
const (
	CostAsJavaScript CostForm = iota // 0.00009, but 9e-7 below 1e-6: what JSON.stringify makes
	CostPlain                        // never an exponent: 0.0000009
	CostExponent                     // always one: 9e-5
	CostCapital                      // 9E-05
	CostPadded                       // 0.000090000000
)

// write spells d. The result is a JSON number equal to d.
func write(d decimal.Decimal, form CostForm) literal {
	plain := d.String()
	switch form {
	case CostPlain:
		return literal(plain)
	case CostPadded:
		if !strings.Contains(plain, ".") {
			plain += "."
		}
		return literal(plain + "000000")
	case CostExponent:
		return literal(scientific(d, "e"))
	case CostCapital:
		return literal(scientific(d, "E"))
	default:
		if !d.IsZero() && d.LessThan(usd("0.000001")) {
			return literal(scientific(d, "e"))
		}
		return literal(plain)
	}
}

// scientific spells d with one digit before the point: 1.2e-7.
func scientific(d decimal.Decimal, e string) string {
	if d.IsZero() {
		return "0" + e + "0"
	}
	digits := d.Coefficient().String()
	exponent := len(digits) - 1 + int(d.Exponent())
	digits = strings.TrimRight(digits, "0")
	if len(digits) > 1 {
		digits = digits[:1] + "." + digits[1:]
	}
	return digits + e + strconv.Itoa(exponent)
}
