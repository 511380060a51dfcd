package config

import (
	"errors"
	"fmt"
	"regexp"
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

// KeyFingerprints are the fingerprints of labelled keys, by their labels. The
// config has been validated.
func (b *Budgets) KeyFingerprints() map[string]string {
	labels, err := readKeyLabels(b.KeyLabels)
	if err != nil {
		panic(err)
	}
	return labels
}

// fingerprintForm is the hex SHA-256 of a key.
var fingerprintForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

func readKeyLabels(list []string) (map[string]string, error) {
	labels := make(map[string]string, len(list))
	for i, item := range list {
		label, fingerprint, _ := strings.Cut(item, "=")
		label, fingerprint = strings.TrimSpace(label), strings.ToLower(strings.TrimSpace(fingerprint))
		switch {
		case label == "" || fingerprintForm.MatchString(label) || !fingerprintForm.MatchString(fingerprint):
			// Somebody may have written a key: it is not repeated.
			return nil, fmt.Errorf("has an item (number %d) that is not label=fingerprint; the fingerprint of a key is its SHA-256 in 64 hexadecimal digits", i+1)
		case labels[label] != "":
			return nil, fmt.Errorf("has the label %q twice", label)
		}
		labels[label] = fingerprint
	}
	return labels, nil
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

// checkPlanSplit accepts three percentages that add up to 100.
func checkPlanSplit(s string) error {
	parts := strings.Split(s, "/")
	var sum decimal.Decimal
	bad := len(parts) != 3
	for _, part := range parts {
		percent, err := parseAmount(strings.TrimSpace(part))
		if err != nil || percent.(decimal.Decimal).IsNegative() {
			bad = true
			break
		}
		sum = sum.Add(percent.(decimal.Decimal))
	}
	if bad || !sum.Equal(decimal.NewFromInt(100)) {
		return errors.New("is not three percentages that add up to 100, such as 50/35/15")
	}
	return nil
}

func checkPlanStep(percent decimal.Decimal) error {
	if percent.LessThan(decimal.NewFromInt(1)) || percent.GreaterThan(decimal.NewFromInt(1000)) {
		return errors.New("is not a percentage from 1 to 1000")
	}
	return nil
}
