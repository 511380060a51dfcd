package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// MonthlyAI is the limit of the budget monthly-ai in EUR: what is configured,
// else what economics.cost_alert_threshold leaves beside the fixed costs, at
// least 0. The config has been validated.
func (c *Config) MonthlyAI() decimal.Decimal {
	if c.Budgets.MonthlyAI != "" {
		return decimal.RequireFromString(c.Budgets.MonthlyAI)
	}
	e := &c.Economics
	return decimal.Max(decimal.Zero, e.CostAlertThreshold.Sub(e.InstantlyCost).Sub(e.WorkspaceCost))
}

// MeetingValueEUR is what a meeting is worth, nil if that is not known. The
// config has been validated.
func (e *Economics) MeetingValueEUR() *decimal.Decimal {
	if e.MeetingValue == "" {
		return nil
	}
	value := decimal.RequireFromString(e.MeetingValue)
	return &value
}

// checkAmount accepts an amount that may be left out.
func checkAmount(s string) error {
	if s == "" {
		return nil
	}
	amount, err := parseAmount(s)
	if err != nil || amount.(decimal.Decimal).IsNegative() {
		return errors.New("is not an amount such as 77 or 77.50, or empty")
	}
	return nil
}

// divisors are the tags by which a budget can be divided.
var divisors = []string{"lead_id", "email_id", "campaign_id"}

func checkDivisors(tags []string) error {
	for _, tag := range tags {
		if !slices.Contains(divisors, tag) {
			return fmt.Errorf("has the item %q; a budget can be divided by %s", tag, strings.Join(divisors, ", "))
		}
	}
	return nil
}
