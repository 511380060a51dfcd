package accounting

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// AlertRule watches a figure and alerts when it passes a threshold.
type AlertRule struct {
	ID     string      `json:"id"` // made from the name when the rule is: waste-instantly
	Name   string      `json:"name"`
	Figure AlertFigure `json:"figure"`
	Scope  RuleScope   `json:"scope"`
	Each   Each        `json:"each"` // campaign_id: every campaign by itself; empty: the scope as a whole

	Comparison Comparison `json:"comparison"`
	Threshold  Amount     `json:"threshold"` // in the figure's unit
	Severity   Severity   `json:"severity"`
	MinLeads   int64      `json:"min_leads"`   // processed leads below which a rate says nothing; of other figures without meaning
	QuietHours int        `json:"quiet_hours"` // at most one alert in so many hours, for each value
	Enabled    bool       `json:"enabled"`

	BuiltIn   bool       `json:"built_in"` // from the design: it can be switched off, and its threshold is configured
	Setting   string     `json:"setting"`  // of a built-in rule, the variable that holds its threshold; else empty
	CreatedAt *time.Time `json:"created_at"`
	UpdatedAt *time.Time `json:"updated_at"` // null: built in, and never switched
}

// RuleScope says what a rule's figure is of. At most one field is set; none:
// of everything.
type RuleScope struct {
	CampaignID string `json:"campaign_id,omitempty"`
	Platform   string `json:"platform,omitempty"`
	Model      string `json:"model,omitempty"`
}

// Comparison is on which side of its threshold a figure is an alert. Equal to
// it is on neither.
type Comparison string

// The comparisons.
const (
	Above Comparison = "above"
	Below Comparison = "below"
)

// Bounds of rules.
const (
	MaxAlertRules     = 200 // of the user's own
	MaxRuleThreshold  = 9_000_000
	MaxQuietHours     = 720
	DefaultQuietHours = 24
	MaxRuleLeads      = 1_000_000
	maxRuleDecimals   = 10
)

// The actions of rules in the audit log.
const (
	ActionAlertRuleCreate = "alert_rule.create"
	ActionAlertRuleChange = "alert_rule.change"
	ActionAlertRuleDelete = "alert_rule.delete"
)

var (
	// ErrUnknownAlertRule is the answer to an id of which there is no rule.
	ErrUnknownAlertRule = errors.New("there is no alert rule with that id")
	// ErrAlertRuleExists is the answer to a new rule with the id of another one.
	ErrAlertRuleExists = errors.New("there is an alert rule with that id")
	// ErrTooManyAlertRules is the answer to a rule beyond [MaxAlertRules].
	ErrTooManyAlertRules = errors.New("there are too many alert rules")
	// ErrAlertRuleBuiltIn is the answer to a change of a built-in rule that is
	// not one of enabled.
	ErrAlertRuleBuiltIn = errors.New("the rule is built in: it can be switched on and off")
	// ErrAlertRuleAtOnce is the answer to a change of the one built-in rule that
	// is checked with every call, and not by the loop.
	ErrAlertRuleAtOnce = errors.New("the rule is checked with every call and follows its setting")
)

// The ids of the built-in rules.
const (
	RuleCampaignScore  = "campaign-score"
	RuleWaste          = "waste"
	RuleCostPerMeeting = "cost-per-meeting"
	RuleMonthTotal     = "month-total"
)

// BuiltInThresholds are the configured thresholds of the built-in rules. One of
// 0 switches its rule off.
type BuiltInThresholds struct {
	CampaignScore  decimal.Decimal // 0 to 100
	WastePercent   decimal.Decimal
	CostPerMeeting decimal.Decimal // EUR
	MonthTotal     decimal.Decimal // EUR
}

// DefaultRuleThresholds are those of the strategy, "ROI Alerts", and of the cost
// tracking system, COST_ALERT_THRESHOLD.
func DefaultRuleThresholds() BuiltInThresholds {
	return BuiltInThresholds{CampaignScore: decimal.NewFromInt(50), WastePercent: decimal.NewFromInt(30), CostPerMeeting: decimal.NewFromInt(50), MonthTotal: decimal.NewFromInt(200)}
}

// BuiltInRules are the rules of the strategy, "ROI Alerts": a campaign's
// efficiency below 50, waste above 30 %, a meeting above 50 EUR; and that of
// the month's total, which is not judged by [AlertRule.Read] but in the
// transaction of each call, so that it comes at once.
func BuiltInRules(t BuiltInThresholds, minLeads int64) []AlertRule {
	rule := func(id, name string, figure AlertFigure, c Comparison, threshold decimal.Decimal, s Severity, setting string) AlertRule {
		r := AlertRule{
			ID: id, Name: name, Figure: figure, Comparison: c, Threshold: Amount{threshold}, Severity: s,
			QuietHours: DefaultQuietHours, Enabled: threshold.IsPositive(), BuiltIn: true, Setting: setting,
		}
		if figure.NeedsLeads() {
			r.MinLeads = minLeads
		}
		return r
	}
	score := rule(RuleCampaignScore, "Campaign score", FigureCampaignScore, Below, t.CampaignScore, SeverityWarning, "BURSAR_ALERTS_CAMPAIGN_SCORE")
	score.Each = EachCampaign
	return []AlertRule{
		score,
		rule(RuleWaste, "Waste", FigureWastePercent, Above, t.WastePercent, SeverityWarning, "BURSAR_ALERTS_WASTE_PERCENT"),
		rule(RuleCostPerMeeting, "Cost per meeting", FigureCostPerMeeting, Above, t.CostPerMeeting, SeverityWarning, "BURSAR_ALERTS_COST_PER_MEETING"),
		rule(RuleMonthTotal, "Month's total", FigureMonthTotal, Above, t.MonthTotal, SeverityCritical, "COST_ALERT_THRESHOLD"),
	}
}

// AtOnce reports whether the rule is judged with every call, and not by a loop.
func (r *AlertRule) AtOnce() bool { return r.BuiltIn && r.ID == RuleMonthTotal }

// NormalizeAlertRule fills in what r leaves open: the id from the name, a
// warning, a repetition a day, and minLeads where the figure is a rate.
func NormalizeAlertRule(r AlertRule, minLeads int64) AlertRule {
	if r.ID == "" {
		r.ID = alertRuleSlug(r.Name)
	}
	setDefault(&r.Severity, SeverityWarning)
	setDefault(&r.QuietHours, DefaultQuietHours)
	switch {
	case !r.Figure.NeedsLeads():
		r.MinLeads = 0
	case r.MinLeads == 0:
		r.MinLeads = minLeads
	}
	return r
}

// alertRuleSlug is the id that a name gives a rule, as [BudgetSlug].
func alertRuleSlug(name string) string {
	if slug := BudgetSlug(name); slug != "budget" {
		return slug
	}
	return "rule"
}

// Validate joins everything that is wrong with the rule; each error begins with
// the field and says what is allowed.
func (r *AlertRule) Validate() error {
	return errors.Join(r.validateNames(), r.validateFigure(), r.validateNumbers())
}

func (r *AlertRule) validateNames() error {
	var errs []error
	if !isSlug(r.ID) {
		errs = append(errs, fmt.Errorf("id %q: want lower-case letters, digits and single hyphens between them, at most %d bytes", r.ID, MaxBudgetID))
	}
	if strings.TrimSpace(r.Name) == "" || len(r.Name) > MaxBudgetName || !utf8.ValidString(r.Name) || strings.ContainsFunc(r.Name, unicode.IsControl) {
		errs = append(errs, fmt.Errorf("name %q: want 1 to %d bytes of printable text", r.Name, MaxBudgetName))
	}
	for _, tag := range []struct{ field, value string }{
		{"scope.campaign_id", r.Scope.CampaignID}, {"scope.platform", r.Scope.Platform}, {"scope.model", r.Scope.Model},
	} {
		if clean, changed := CleanTag(tag.value); changed || clean != tag.value { // no call has such a tag
			errs = append(errs, fmt.Errorf("%s %q: want at most %d bytes of printable text without white space around it", tag.field, tag.value, MaxTagBytes))
		}
	}
	return errors.Join(errs...)
}

func (r *AlertRule) validateFigure() error {
	dimension, err := r.dimension()
	if err != nil {
		return err
	}
	if !r.Figure.known() {
		return fmt.Errorf("figure %q: want one of %s", r.Figure, strings.Join(figureNames(), ", "))
	}
	if !r.Figure.has(dimension) {
		return fmt.Errorf("scope: there is no %s of %s: want it of %s", r.Figure, dimension, strings.Join(r.Figure.dimensionNames(), ", "))
	}
	return nil
}

func (r *AlertRule) validateNumbers() error {
	var errs []error
	if r.Comparison != Above && r.Comparison != Below {
		errs = append(errs, fmt.Errorf("comparison %q: want above or below", r.Comparison))
	}
	if t := r.Threshold; t.IsNegative() || t.GreaterThan(decimal.NewFromInt(MaxRuleThreshold)) || -t.Exponent() > maxRuleDecimals {
		errs = append(errs, fmt.Errorf("threshold %s: want 0 to %d with at most %d decimals, in %s", t, MaxRuleThreshold, maxRuleDecimals, r.Figure.Unit()))
	}
	switch r.Severity {
	case SeverityInfo, SeverityWarning, SeverityCritical:
	default:
		errs = append(errs, fmt.Errorf("severity %q: want info, warning or critical", r.Severity))
	}
	if r.QuietHours < 1 || r.QuietHours > MaxQuietHours {
		errs = append(errs, fmt.Errorf("quiet_hours %d: want 1 to %d", r.QuietHours, MaxQuietHours))
	}
	if r.MinLeads < 0 || r.MinLeads > MaxRuleLeads {
		errs = append(errs, fmt.Errorf("min_leads %d: want 0 to %d", r.MinLeads, MaxRuleLeads))
	}
	return errors.Join(errs...)
}

// dimension is what the rule's figure is of.
func (r *AlertRule) dimension() (ruleDimension, error) {
	var set []ruleDimension
	for dimension, on := range map[ruleDimension]bool{
		ofCampaign: r.Scope.CampaignID != "", ofPlatform: r.Scope.Platform != "", ofModel: r.Scope.Model != "", ofEachCampaign: r.Each != EachNone,
	} {
		if on {
			set = append(set, dimension)
		}
	}
	switch {
	case r.Each != EachNone && r.Each != EachCampaign:
		return "", fmt.Errorf("each %q: want campaign_id, or nothing", r.Each)
	case len(set) > 1:
		return "", errors.New("scope: want at most one of campaign_id, platform, model, and none of them with each")
	case len(set) == 0:
		return ofAll, nil
	}
	return set[0], nil
}
