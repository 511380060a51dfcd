package accounting

import (
	"errors"
	"time"
)

// ErrMonthNotOver is the answer to closing a month that still runs: its calls
// are not all made.
var ErrMonthNotOver = errors.New("the month is not over")

// ActionCloseMonth is the closing of a month in the audit log.
const ActionCloseMonth = "month.close"

// MonthRest is what of a month OpenRouter's own record has not confirmed.
type MonthRest struct {
	OpenCalls       int64 // their cost is not known: pending, awaiting_key, unresolved, interrupted
	UnverifiedCalls int64 // their cost is known from the response only
}

// IsZero reports whether nothing is left to confirm.
func (r MonthRest) IsZero() bool { return r == MonthRest{} }

// ClosedMonth is a month whose figure no longer moves: what changes later is a
// correction, booked in the month in which it becomes known.
type ClosedMonth struct {
	Month             Month     `json:"month"`
	OpenRouterCostUSD Amount    `json:"openrouter_cost_usd"` // the closed figure
	TotalCostEUR      Amount    `json:"total_cost_eur"`      // with the fixed costs
	OpenCalls         int64     `json:"open_calls"`          // whose cost is not known yet
	UnverifiedCalls   int64     `json:"unverified_calls"`    // whose cost is not confirmed yet
	ClosedAt          time.Time `json:"closed_at"`
	ClosedBy          string    `json:"closed_by"`
}

// DueMonths are the open months that close by themselves at now: those of
// which the following month has reached closeDay. A closeDay of 0 leaves every
// month to be closed by hand.
func DueMonths(open []Month, now time.Time, closeDay int) []Month {
	if closeDay == 0 {
		return nil
	}
	var due []Month
	for _, m := range open {
		if !now.Before(m.End().AddDate(0, 0, closeDay-1)) {
			due = append(due, m)
		}
	}
	return due
}
