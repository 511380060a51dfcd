package accounting

import (
	"errors"
	"fmt"
	"time"

	"github.com/shopspring/decimal"
)

// RatePlaces is how many decimals an inverted rate has, half up. A bill of a
// million USD is so converted to within 0.00005 EUR of what the exact quotient
// gives.
const RatePlaces = QuotientPlaces

// Where an exchange rate comes from.
const (
	RateByHand = "api" // through the API; no feed replaces it
	RateOfECB  = "ecb" // the European Central Bank's reference rate
)

// ActionRatesPut is the setting of exchange rates in the audit log.
const ActionRatesPut = "rates.put"

// MaxRates is the most rates that one listing or one change may hold.
const MaxRates = 1000

// ExchangeRate is what one USD is worth in EUR from a UTC day on, until the day
// of the next rate: the ECB has none for weekends and holidays.
type ExchangeRate struct {
	Day        Day       `json:"day"`
	USDToEUR   Amount    `json:"usd_to_eur"`
	Source     string    `json:"source"` // api, ecb
	RecordedAt time.Time `json:"recorded_at"`
}

// RateBook is the rates of some days, the newest first, and what holds where
// none is dated on or before a day.
type RateBook struct {
	Default Amount         `json:"default_usd_to_eur"`
	Rates   []ExchangeRate `json:"rates"`
}

// RateChange is what came of new rates.
type RateChange struct {
	Changed int     // rates that are new or another than before
	Months  []Month // open ones whose figures were made again, in order
}

// EarliestRate is the first day of the euro.
var EarliestRate = DayOf(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC))

// The bounds of a rate, in EUR for one USD: what lies beyond them is a slip of
// the pen, or a rate of another currency. The dollar has been worth 0.62 to
// 1.21 EUR since there is a euro.
var (
	MinRate = decimal.RequireFromString("0.2")
	MaxRate = decimal.RequireFromString("5")
)

// maxRateDigits bounds what is written after a rate's decimal point.
const maxRateDigits = 20

// CheckRate reports why r cannot be a rate at now: its day has not begun or is
// older than the euro, or it is out of bounds.
func CheckRate(r ExchangeRate, now time.Time) error {
	rate := r.USDToEUR.Decimal
	switch {
	case r.Day.Before(EarliestRate):
		return fmt.Errorf("the day %s is before the euro, which begins on %s", r.Day, EarliestRate)
	case DayOf(now).Before(r.Day):
		return fmt.Errorf("the day %s has not begun; today is %s", r.Day, DayOf(now))
	case rate.LessThan(MinRate) || rate.GreaterThan(MaxRate):
		return fmt.Errorf("a rate is EUR for one USD, %s to %s", MinRate, MaxRate)
	case rate.Exponent() < -maxRateDigits:
		return fmt.Errorf("a rate has at most %d decimals", maxRateDigits)
	}
	return nil
}

// ErrRateNotPositive is the answer to the inversion of nothing.
var ErrRateNotPositive = errors.New("a rate is more than 0")

// InvertRate is EUR for one USD, of USD for one EUR, as the ECB quotes it: 1 ÷
// rate to [RatePlaces] decimals, half up.
func InvertRate(usdPerEUR decimal.Decimal) (decimal.Decimal, error) {
	if !usdPerEUR.IsPositive() {
		return decimal.Decimal{}, ErrRateNotPositive
	}
	return decimal.NewFromInt(1).DivRound(usdPerEUR, RatePlaces), nil
}
