package accounting

import (
	"math"

	"github.com/shopspring/decimal"
)

// Sum adds amounts up exactly, as [decimal.Decimal.Add] does, but in place: an
// addition of amounts with up to 18 digits makes no objects. The zero value is
// nothing. A Sum is not safe for concurrent use, and a copy is independent.
type Sum struct {
	coefficient int64 // × 10^exponent
	exponent    int32
	rest        decimal.Decimal // what the coefficient could not take
}

// maxSumDigits is how many digits every int64 holds.
const maxSumDigits = 18

// Add adds d.
func (s *Sum) Add(d decimal.Decimal) {
	if !s.take(1, d) {
		s.rest = s.rest.Add(d)
	}
}

// Sub subtracts d.
func (s *Sum) Sub(d decimal.Decimal) {
	if !s.take(-1, d) {
		s.rest = s.rest.Sub(d)
	}
}

// Decimal is the sum so far.
func (s *Sum) Decimal() decimal.Decimal {
	if s.coefficient == 0 {
		return s.rest
	}
	d := decimal.New(s.coefficient, s.exponent)
	if s.rest.IsZero() {
		return d
	}
	return d.Add(s.rest)
}

// take adds sign × d to the coefficient, and reports false, having changed
// nothing, if that has no room for it.
func (s *Sum) take(sign int64, d decimal.Decimal) bool {
	if d.IsZero() {
		return true
	}
	if d.NumDigits() > maxSumDigits {
		return false
	}
	have, more, exponent := s.coefficient, sign*d.CoefficientInt64(), d.Exponent()
	ok := true
	switch {
	case have == 0:
	case exponent > s.exponent:
		more, ok = shifted(more, int64(exponent)-int64(s.exponent))
		exponent = s.exponent
	case exponent < s.exponent:
		have, ok = shifted(have, int64(s.exponent)-int64(exponent))
	}
	total := have + more
	if !ok || (total > have) != (more > 0) {
		return false
	}
	s.coefficient, s.exponent = total, exponent
	return true
}

// shifted is n × 10^places, if that is an int64.
func shifted(n, places int64) (int64, bool) {
	if places > maxSumDigits {
		return 0, false
	}
	for range places {
		if n > math.MaxInt64/10 || n < math.MinInt64/10 {
			return 0, false
		}
		n *= 10
	}
	return n, true
}
