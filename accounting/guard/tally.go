package guard

import "github.com/shopspring/decimal"

// tally is how an account stands as this replica knows it, in the budget's
// currency.
type tally struct {
	settled  decimal.Decimal
	reserved decimal.Decimal // for calls in flight here, and for those whose cost is not known
	leased   decimal.Decimal // held by other replicas, or used by calls that have just ended
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
		t.settled, t.reserved = f.Settled, t.reserved.Add(f.Reserved)
		counted, _ = ceil(f.Settled.Add(f.Estimated))
	}
	if since := a.limit.Load() - a.room.Load() - counted; since > blur && a.limit.Load() < most {
		t.settled = t.settled.Add(exact(since))
	}
	if f != nil {
		rest := f.Total.Add(f.Overshoot).Sub(t.settled).Sub(t.reserved).Sub(exact(a.inHand(essential)))
		t.leased = decimal.Max(rest, decimal.Zero)
	}
	return t
}
