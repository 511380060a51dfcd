package guard

import "github.com/shopspring/decimal"

// tally is how an account stands as this replica knows it, in the budget's
// currency.
type tally struct {
	settled  decimal.Decimal
	reserved decimal.Decimal // for calls in flight here, and for those whose cost is not known
}

// blur is by how much the costs of all calls that the database has not told of
// may be rounded up together.
const blur amount = 1000

// tally adds to the figures that the database told what ended here since: else a
// refusal would say that nothing is settled of a budget that is used up.
// reserved is what calls in flight here hold.
func (a *account) tally(reserved amount) tally {
	t := tally{reserved: exact(reserved)}
	f := a.figures.Load()
	var counted amount // of the limit, by what the database told
	if f != nil {
		t.settled, t.reserved = f.Settled, sum(t.reserved, f.Reserved)
		counted, _ = ceil(sum(f.Settled, f.Estimated))
	}
	if since := a.limit.Load() - a.room.Load() - counted; since > blur && a.limit.Load() < most {
		t.settled = t.settled.Add(exact(since))
	}
	return t
}

// leased is what other replicas hold of the budget, or what calls that have
// just ended used.
func (a *account) leased(t tally) decimal.Decimal {
	f := a.figures.Load()
	if f == nil {
		return decimal.Decimal{}
	}
	rest := f.Total.Add(f.Overshoot).Sub(t.settled).Sub(t.reserved).Sub(exact(a.inHand(essential)))
	return decimal.Max(rest, decimal.Zero)
}

// sum is a + b. Every call asks for some, of which a part is mostly nothing, and
// the decimal library would make numbers of that all the same.
func sum(a, b decimal.Decimal) decimal.Decimal {
	switch {
	case b.IsZero():
		return a
	case a.IsZero():
		return b
	}
	return a.Add(b)
}
