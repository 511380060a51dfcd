package guard

import (
	"math"

	"github.com/shopspring/decimal"
)

// amount is money of a budget in units of 10⁻¹² of its currency: what can be
// moved by one atomic instruction. What a call is charged and what it cost are
// rounded up to it, what the bank grants is rounded down, so that the guard
// never believes in more than there is. The exact figures are Postgres's.
type amount = int64

const (
	digits = 12 // decimal places of an amount

	// most is the largest amount: 4.6 million. It is half of what an int64
	// holds, so that two of them can be added. A limit or a sum beyond it is
	// held for this much, which no lease comes near; a single call that may
	// cost more fits into no budget.
	most amount = math.MaxInt64 / 2
)

var powers = func() (p [19]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

// ceil rounds up. It is false if d is beyond what an amount holds; the amount
// is then the nearest.
func ceil(d decimal.Decimal) (amount, bool) {
	a, rest, ok := split(d)
	if rest > 0 && a < most {
		a++
	}
	return a, ok
}

// floor rounds down. What is beyond an amount becomes the nearest one.
func floor(d decimal.Decimal) amount {
	a, rest, _ := split(d)
	if rest < 0 && a > -most {
		a--
	}
	return a
}

// split cuts d towards zero. rest is the sign of what was cut off.
func split(d decimal.Decimal) (a amount, rest int, ok bool) {
	if d.NumDigits() > 18 {
		return splitBig(d)
	}
	c, shift := d.CoefficientInt64(), d.Exponent()+digits
	switch {
	case c == 0:
		return 0, 0, true
	case shift >= 0:
		if shift > 18 || abs(c) > most/powers[shift] {
			return saturated(c > 0), 0, false
		}
		return c * powers[shift], 0, true
	case shift < -18:
		return 0, sign(c), true
	}
	a = c / powers[-shift]
	if cut := c % powers[-shift]; cut != 0 {
		rest = sign(cut)
	}
	if abs(a) > most {
		return saturated(a > 0), 0, false
	}
	return a, rest, true
}

// splitBig is split for a coefficient of any length.
func splitBig(d decimal.Decimal) (a amount, rest int, ok bool) {
	shifted := d.Shift(digits)
	if shifted.NumDigits()+int(shifted.Exponent()) > 19 {
		return saturated(d.IsPositive()), 0, false
	}
	whole := shifted.Truncate(0)
	n := whole.BigInt()
	if !n.IsInt64() || abs(n.Int64()) > most {
		return saturated(d.IsPositive()), 0, false
	}
	return n.Int64(), shifted.Sub(whole).Sign(), true
}

func saturated(positive bool) amount {
	if positive {
		return most
	}
	return -most
}

// abs is never negative: of the smallest int64 it is the largest.
func abs(v int64) int64 {
	if v < 0 {
		return max(-v, -(v + 1))
	}
	return v
}

func sign(v int64) int {
	if v < 0 {
		return -1
	}
	return 1
}

// exact is the amount as a decimal.
func exact(a amount) decimal.Decimal {
	if a == 0 {
		return decimal.Decimal{}
	}
	return decimal.New(a, -digits)
}
