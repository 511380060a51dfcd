package chart

import (
	"strconv"

	"github.com/shopspring/decimal"
)

// wantedTicks is how many steps a scale has at most above zero, and again
// below.
const wantedTicks = 5

// scale maps values to positions. Both ends are multiples of step, zero is
// always between them.
type scale struct {
	low, high, step decimal.Decimal
}

// newScale reaches from the lowest to the highest value, from zero if none is
// below, in steps of 1, 2 or 5 times a power of ten.
func newScale(values []decimal.Decimal) scale {
	var low, high decimal.Decimal
	for _, v := range values {
		low, high = decimal.Min(low, v), decimal.Max(high, v)
	}
	if low.IsZero() && high.IsZero() {
		return scale{high: decimal.New(1, 0), step: decimal.New(1, 0)}
	}
	step := niceStep(decimal.Max(high, low.Neg()))
	return scale{
		low:  low.Div(step).Floor().Mul(step),
		high: high.Div(step).Ceil().Mul(step),
		step: step,
	}
}

// niceStep is the smallest 1, 2 or 5 times a power of ten that reaches the
// value, which is above zero, in at most [wantedTicks] steps.
func niceStep(value decimal.Decimal) decimal.Decimal {
	wanted := decimal.New(wantedTicks, 0)
	power := int32(value.NumDigits()) + value.Exponent() - 2
	for ; ; power++ {
		for _, digit := range []int64{1, 2, 5} {
			if step := decimal.New(digit, power); step.Mul(wanted).GreaterThanOrEqual(value) {
				return step
			}
		}
	}
}

// ticks are the values at the steps, from low to high.
func (s scale) ticks() []decimal.Decimal {
	var ticks []decimal.Decimal
	for v := s.low; v.LessThanOrEqual(s.high); v = v.Add(s.step) {
		ticks = append(ticks, v)
	}
	return ticks
}

// at is how far a value stands along a length, from 0 at low to length at high.
// Values outside of the scale stand at its ends, all of them at 0 if it has no
// length.
func (s scale) at(v decimal.Decimal, length int64) int64 {
	if s.low.Equal(s.high) {
		return 0
	}
	v = decimal.Min(decimal.Max(v, s.low), s.high)
	return v.Sub(s.low).Mul(decimal.NewFromInt(length)).DivRound(s.high.Sub(s.low), 0).IntPart()
}

// across writes a horizontal position or width, hundredths of a percent.
func across(n int64) string { return fixed(n, 100) + "%" }

// down writes a vertical position or height, tenths of a pixel.
func down(n int64) string { return fixed(n, 10) }

// fixed writes n divided by a power of ten, without zeros at the end.
func fixed(n, unit int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	whole, rest := strconv.FormatInt(n/unit, 10), n%unit
	if rest == 0 {
		return sign + whole
	}
	digits := strconv.FormatInt(unit+rest, 10)[1:]
	for digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	return sign + whole + "." + digits
}
