package accounting

import "github.com/shopspring/decimal"

// OpenCall is a call whose cost is not known yet, as far as it bears on what
// the call may have cost.
type OpenCall struct {
	ID       RequestID
	Model    string // that served, as far as known, else that was asked for; empty: neither is known
	Provider string // that served; empty: not known
	Usage    Usage  // tokens, as far as known; its cost is not

	// Bound is the most that the call can have cost, USD, if a budget asked.
	Bound Optional[decimal.Decimal]
}

// CallEstimate is what a call has probably cost, USD.
type CallEstimate struct {
	ID     RequestID
	Amount decimal.Decimal
}
