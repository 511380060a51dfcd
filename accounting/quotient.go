package accounting

import (
	"slices"

	"github.com/shopspring/decimal"
)

// QuotientPlaces is how many decimals a quotient has. What is shown is rounded
// from that, last.
const QuotientPlaces = 10

// Quotient is a ÷ b to [QuotientPlaces] decimals, half up. With nothing to
// divide by it is unknown, neither zero nor infinite: where no email was sent,
// an email has no cost.
func Quotient(a, b decimal.Decimal) Optional[decimal.Decimal] {
	if !b.IsPositive() {
		return Optional[decimal.Decimal]{}
	}
	return Some(a.DivRound(b, QuotientPlaces))
}

// Per is a ÷ n, as [Quotient].
func Per(a decimal.Decimal, n int64) Optional[decimal.Decimal] {
	return Quotient(a, decimal.NewFromInt(n))
}

// Rate is the share n ÷ of, as [Quotient].
func Rate(n, of int64) Optional[decimal.Decimal] { return Per(decimal.NewFromInt(n), of) }

// Split divides total into parts in the proportion of weights, none of which
// may be negative, by the method of the largest remainder: each part is what is
// due to it, cut to [QuotientPlaces] decimals, and the units that are left go
// to the largest remainders, the first one first. So the parts add up to total,
// whatever digits it has. It is nil where nothing weighs anything: such a total
// cannot be split and has to be shown by itself.
func Split(total decimal.Decimal, weights []decimal.Decimal) []decimal.Decimal {
	return splitTo(QuotientPlaces, total, weights)
}

// splitTo is [Split] into parts of as many decimals as there are places.
func splitTo(places int32, total decimal.Decimal, weights []decimal.Decimal) []decimal.Decimal {
	sum := decimal.Sum(decimal.Decimal{}, weights...)
	if !sum.IsPositive() {
		return nil
	}
	if total.IsNegative() {
		parts := splitTo(places, total.Neg(), weights)
		for i := range parts {
			parts[i] = parts[i].Neg()
		}
		return parts
	}
	type remainder struct {
		part int
		rest decimal.Decimal // × sum
	}
	var (
		unit  = decimal.New(1, -places)
		parts = make([]decimal.Decimal, len(weights))
		rests = make([]remainder, len(weights))
		left  = total
	)
	for i, w := range weights {
		due := total.Mul(w) // × sum
		quotient, rest := due.QuoRem(sum, places)
		parts[i], rests[i] = quotient, remainder{i, rest}
		left = left.Sub(quotient)
	}
	slices.SortStableFunc(rests, func(a, b remainder) int { return b.rest.Cmp(a.rest) })
	for _, r := range rests {
		if left.LessThanOrEqual(unit) {
			// What is left may be less than a unit, of a total with more digits.
			parts[r.part] = parts[r.part].Add(left)
			break
		}
		parts[r.part] = parts[r.part].Add(unit)
		left = left.Sub(unit)
	}
	return parts
}
