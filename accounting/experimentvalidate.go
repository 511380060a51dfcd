package accounting

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// Bounds of an experiment.
const (
	MaxExperimentArms   = 8
	MaxOpenExperiments  = 200  // drafts and those that run
	MaxExperimentWeight = 1000 // of an arm
	MaxExperimentDays   = 365
	MaxExperimentLeads  = 100_000_000
	maxArmName          = 40 // bytes
	maxMarginDecimals   = 6  // more would be none, or all of the rate, as a floating-point number
)

// DefaultExperimentMargin is a fifth: an arm that keeps 80 % of the control's
// rate is good enough.
func DefaultExperimentMargin() Amount { return Amount{decimal.New(2, -1)} }

// Metrics lists them in the order in which help and docs show them.
func Metrics() []Metric { return []Metric{MetricConversion, MetricReplies, MetricSends} }

// ExperimentSlug is the id that a name gives an experiment, as [BudgetSlug].
func ExperimentSlug(name string) string {
	if slug := BudgetSlug(name); slug != "budget" {
		return slug
	}
	return "experiment"
}

// Validate joins everything that is wrong with what a person can set; each
// error names the field, its value and what is allowed. purposes are those that
// are configured; nil: any are taken.
func (e *Experiment) Validate(purposes []string) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !isSlug(e.ID) || e.ID == "" {
		wrong("id %q: want lower-case letters, digits and single hyphens between them, at most %d bytes", e.ID, MaxBudgetID)
	}
	if strings.TrimSpace(e.Name) == "" || len(e.Name) > MaxBudgetName || !utf8.ValidString(e.Name) || strings.ContainsFunc(e.Name, unicode.IsControl) {
		wrong("name %q: want 1 to %d bytes of printable text", e.Name, MaxBudgetName)
	}
	if clean, changed := CleanTag(e.CampaignID); changed || clean != e.CampaignID {
		wrong("campaign_id %q: want at most %d bytes of printable text, as X-Campaign-ID has it", e.CampaignID, MaxTagBytes)
	}
	if e.Purpose != "" && purposes != nil && !slices.Contains(purposes, e.Purpose) {
		wrong("purpose %q: want one of %s", e.Purpose, strings.Join(purposes, ", "))
	}
	if !slices.Contains(Metrics(), e.Metric) {
		wrong("metric %q: want one of %s", e.Metric, strings.Trim(fmt.Sprint(Metrics()), "[]"))
	}
	if places := -e.Margin.Exponent(); places > maxMarginDecimals {
		wrong("margin with %d decimals: want at most %d, e.g. 0.2 for 20 %%", places, maxMarginDecimals)
	} else if !e.Margin.IsPositive() || e.Margin.GreaterThanOrEqual(decimal.NewFromInt(1)) {
		wrong("margin %s: want a share of more than 0 and less than 1, e.g. 0.2 for 20 %%", e.Margin)
	}
	if e.MaxDays != nil && (*e.MaxDays < 1 || *e.MaxDays > MaxExperimentDays) {
		wrong("max_days %d: want 1 to %d, or leave it out for no limit", *e.MaxDays, MaxExperimentDays)
	}
	if e.MaxLeads != nil && (*e.MaxLeads < 1 || *e.MaxLeads > MaxExperimentLeads) {
		wrong("max_leads %d: want 1 to %d, or leave it out for no limit", *e.MaxLeads, MaxExperimentLeads)
	}
	return errors.Join(append(errs, e.validateArms())...)
}

func (e *Experiment) validateArms() error {
	var errs []error
	if len(e.Arms) < 2 || len(e.Arms) > MaxExperimentArms {
		errs = append(errs, fmt.Errorf("arms: %d of them; want 2 to %d, the first of which is the control", len(e.Arms), MaxExperimentArms))
	}
	if len(e.Arms) > 0 && !slices.ContainsFunc(e.Arms, func(a ExperimentArm) bool { return a.AI }) {
		errs = append(errs, errors.New("arms: none of them has AI, so that every call would be refused; for that there is the emergency stop"))
	}
	names := make(map[string]bool)
	for i := range e.Arms {
		arm := &e.Arms[i]
		wrong := func(field, format string, args ...any) {
			errs = append(errs, fmt.Errorf("arms[%d].%s %s", i, field, fmt.Sprintf(format, args...)))
		}
		switch {
		case arm.Name == "" || !isSlug(arm.Name) || len(arm.Name) > maxArmName:
			wrong("name", "%q: want lower-case letters, digits and single hyphens between them, at most %d bytes", arm.Name, maxArmName)
		case names[arm.Name]:
			wrong("name", "%q: another arm has it; want one of its own", arm.Name)
		}
		names[arm.Name] = true
		if arm.Weight < 1 || arm.Weight > MaxExperimentWeight {
			wrong("weight", "%d: want 1 to %d", arm.Weight, MaxExperimentWeight)
		}
		switch clean, changed := CleanTag(arm.Model); {
		case arm.Model != "" && !arm.AI:
			wrong("model", "%q: an arm without AI has none; leave it out, or ai: false", arm.Model)
		case arm.Model != "" && (changed || clean != arm.Model || strings.ContainsAny(arm.Model, " \t") || !strings.Contains(arm.Model, "/")):
			wrong("model", "%q: want the id of a model, e.g. openai/gpt-5-mini, or nothing for the one that is asked for", arm.Model)
		}
	}
	return errors.Join(errs...)
}
