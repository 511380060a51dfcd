package postgres

import (
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// account is one period and one replica's lease of it, while they change.
type account struct {
	period
	held    decimal.Decimal // by this replica
	grants  bool            // money of the budget may be leased
	touched bool
}

// giveBack takes money back from the lease, and returns how much there was. It
// first makes up for an overshoot; then granted comes down, and with it a
// ceiling that stands above the limit.
func (a *account) giveBack(amount decimal.Decimal) decimal.Decimal {
	amount = decimal.Min(amount, a.held)
	if !amount.IsPositive() {
		return decimal.Decimal{}
	}
	a.touched = true
	a.held = a.held.Sub(amount)
	spoken := a.Total.Add(a.Overshoot).Sub(amount)
	a.Total = decimal.Min(spoken, a.Ceiling)
	a.Overshoot = spoken.Sub(a.Total)
	a.Ceiling = decimal.Max(a.limit, a.Total)
	return amount
}

// shareDecimals is to how many decimals a share is cut.
const shareDecimals = 12

// grant answers a request: at least what is needed or nothing, and up to what is
// wanted as long as that is within a fair share of what remains, half of which
// is left to later requests.
func (a *account) grant(r *accounting.LeaseRequest, living int, now time.Time) decimal.Decimal {
	want := decimal.Max(r.Want, r.Need)
	if !a.grants || !want.IsPositive() {
		return decimal.Decimal{}
	}
	remaining := a.Ceiling.Sub(a.Total)
	if r.Cap.IsPositive() {
		remaining = decimal.Min(remaining, r.Cap.Sub(a.Total))
	}
	remaining = decimal.Max(remaining, decimal.Decimal{})
	if r.Need.GreaterThan(remaining) {
		a.touched, a.shortAt = true, &now
		return decimal.Decimal{}
	}
	share, _ := remaining.QuoRem(decimal.NewFromInt(2*int64(max(living, 1))), shareDecimals)
	granted := decimal.Min(want, decimal.Max(share, r.Need))
	if !granted.IsPositive() {
		return decimal.Decimal{}
	}
	a.touched = true
	a.Total, a.held = a.Total.Add(granted), a.held.Add(granted)
	return granted
}
