package chart

import (
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// Value is a figure that may be unknown.
type Value = accounting.Optional[decimal.Decimal]

// amount is a value or a sum of values, of which some may be unknown.
type amount struct {
	value decimal.Decimal
	known bool // at least one part is
	more  bool // some parts are not
}

func amountOf(v Value) amount { return amount{value: v.Value, known: v.Known, more: !v.Known} }

func (a amount) plus(b amount) amount {
	sum := amount{known: a.known || b.known, more: a.more || b.more}
	if a.known {
		sum.value = a.value
	}
	if b.known {
		sum.value = sum.value.Add(b.value)
	}
	return sum
}

// is reports whether there is something to tell: an amount other than zero, or
// that it is not known.
func (a amount) is() bool { return a.more || !a.value.IsZero() }

// valueAt is the i-th value, unknown behind the end.
func valueAt(values []Value, i int) Value {
	if i < len(values) {
		return values[i]
	}
	return Value{}
}

// known keeps the values that are.
func known(values ...Value) []decimal.Decimal {
	var kept []decimal.Decimal
	for _, v := range values {
		if v.Known {
			kept = append(kept, v.Value)
		}
	}
	return kept
}
