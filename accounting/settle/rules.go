package settle

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// Figures reads what months, days and campaigns have cost and brought. Days are
// included at both ends; leads of days before wasteBefore to which nothing was
// sent count as waste. It is called concurrently.
type Figures interface {
	Months(ctx context.Context, from, to accounting.Month) ([]accounting.MonthReport, error)
	UsageReport(ctx context.Context, from, to accounting.Day) (accounting.UsageReport, error)
	KPISums(ctx context.Context, from, to, wasteBefore accounting.Day, value accounting.MeetingValue) (accounting.KPISums, error)
	// Campaigns are the dearest first, at most limit; id is the only one that is
	// wanted, nil for all.
	Campaigns(ctx context.Context, from, to, wasteBefore accounting.Day, id *string, limit int) ([]accounting.CampaignSums, error)
	EmailsByCampaign(ctx context.Context, from, to accounting.Day) (accounting.EmailsByCampaign, error)
	Platforms(ctx context.Context, from, to, wasteBefore accounting.Day) ([]accounting.PlatformSums, error)
	Models(ctx context.Context, from, to accounting.Day) ([]accounting.ModelSums, error)
	Waste(ctx context.Context, from, to, wasteBefore accounting.Day, campaign *string) ([]accounting.WasteSum, error)
	CostHistories(ctx context.Context, from, today accounting.Day, currency accounting.Currency, scopes []accounting.Scope) ([]accounting.Optional[accounting.CostHistory], error)
}

// Economics is how figures are computed and judged.
type Economics struct {
	Targets      accounting.Targets
	UnsentAfter  int                                  // days after which a lead that nothing was sent to counts as waste
	MeetingValue accounting.Optional[decimal.Decimal] // EUR, of meetings that tell none and whose campaign tells none
}

func (e *Economics) wasteBefore(now time.Time) accounting.Day {
	return accounting.DayOf(now).Add(-e.UnsentAfter)
}

func (e *Economics) value() accounting.MeetingValue {
	return accounting.MeetingValue{Default: e.MeetingValue}
}

// RuleBook is the database as [Rules] needs it.
type RuleBook interface {
	// AlertRules are the built-in rules, as people have switched them, and those
	// that people made.
	AlertRules(ctx context.Context, builtIn []accounting.AlertRule) ([]accounting.AlertRule, error)
	// CreateAlertRule, ChangeAlertRule, DeleteAlertRule and SwitchAlertRule
	// change them in the name of by; audited in the same transaction. Errors:
	// [accounting.ErrAlertRuleExists], [accounting.ErrTooManyAlertRules],
	// [accounting.ErrUnknownAlertRule].
	CreateAlertRule(ctx context.Context, r accounting.AlertRule, by string) (accounting.AlertRule, error)
	ChangeAlertRule(ctx context.Context, r accounting.AlertRule, by string) (accounting.AlertRule, error)
	DeleteAlertRule(ctx context.Context, id, by string) error
	SwitchAlertRule(ctx context.Context, id string, enabled bool, by string) error

	// ClaimAlertRules claims the next look, which is due again at next, for one
	// replica alone.
	ClaimAlertRules(ctx context.Context, now, next time.Time) (claimed bool, err error)
	// RecordReadings notes how the rules stand and raises what alerts come of
	// it, in one transaction.
	RecordReadings(ctx context.Context, rules []accounting.AlertRule, readings [][]accounting.RuleReading, now time.Time) error
	// RuleStates are how a rule stands, by value.
	RuleStates(ctx context.Context, rule string) (map[string]accounting.RuleState, error)
}

// RulesOptions configure [Rules]. A zero duration stands for its default.
type RulesOptions struct {
	Book      RuleBook
	Figures   Figures
	BuiltIn   []accounting.AlertRule
	Economics Economics

	Interval time.Duration // between two looks, over all replicas; default 5 min
	Timeout  time.Duration // of one look; default 1 min
	Logger   zerolog.Logger
}

// Rules watches figures for people: every few minutes one replica reads those
// that some rule asks for, and what passes a threshold is an alert.
type Rules struct {
	opts   RulesOptions
	outage outage
}

// NewRules checks the options. It starts nothing.
func NewRules(o RulesOptions) (*Rules, error) {
	if o.Book == nil || o.Figures == nil {
		return nil, errors.New("alert rules: they need a book and figures")
	}
	if o.Interval < 0 || o.Timeout < 0 {
		return nil, errors.New("alert rules: durations must not be negative")
	}
	setDefault(&o.Interval, 5*time.Minute)
	setDefault(&o.Timeout, time.Minute)
	return &Rules{opts: o, outage: outage{log: o.Logger, what: "looking at alert rules"}}, nil
}

// Run looks whenever it is due, until ctx ends; it returns nil.
func (r *Rules) Run(ctx context.Context) error {
	// A fifth of the interval: should the replica that looked last have died,
	// another one is not late by a whole one.
	every(ctx, max(r.opts.Interval/5, time.Millisecond), r.opts.Timeout, &r.outage, func(ctx context.Context, now time.Time) error {
		_, err := r.Check(ctx, now)
		return err
	})
	return nil
}

// Check looks at the rules if that is due at now and nobody else does. It
// reports whether it has.
func (r *Rules) Check(ctx context.Context, now time.Time) (looked bool, err error) {
	now = now.UTC()
	claimed, err := r.opts.Book.ClaimAlertRules(ctx, now, now.Add(r.opts.Interval))
	if err != nil || !claimed {
		return false, err
	}
	all, err := r.List(ctx)
	if err != nil {
		return false, err
	}
	var rules []accounting.AlertRule
	for i := range all {
		if all[i].Enabled && !all[i].AtOnce() {
			rules = append(rules, all[i])
		}
	}
	facts, err := r.facts(ctx, rules, now)
	if err != nil {
		return false, err
	}
	readings := make([][]accounting.RuleReading, len(rules))
	for i := range rules {
		readings[i] = rules[i].Read(facts)
	}
	return true, r.opts.Book.RecordReadings(ctx, rules, readings, now)
}

// List are all rules, the built-in ones first.
func (r *Rules) List(ctx context.Context) ([]accounting.AlertRule, error) {
	return r.opts.Book.AlertRules(ctx, r.opts.BuiltIn)
}

// Find is one rule. Errors: [accounting.ErrUnknownAlertRule].
func (r *Rules) Find(ctx context.Context, id string) (accounting.AlertRule, error) {
	all, err := r.List(ctx)
	if err != nil {
		return accounting.AlertRule{}, err
	}
	for i := range all {
		if all[i].ID == id {
			return all[i], nil
		}
	}
	return accounting.AlertRule{}, accounting.ErrUnknownAlertRule
}

// Normalize fills in what a rule leaves open.
func (r *Rules) Normalize(rule accounting.AlertRule) accounting.AlertRule {
	return accounting.NormalizeAlertRule(rule, r.opts.Economics.Targets.MinLeads)
}

// Create makes a rule in the name of by. Errors: [accounting.ErrAlertRuleExists],
// of a built-in one too, [accounting.ErrTooManyAlertRules].
func (r *Rules) Create(ctx context.Context, rule accounting.AlertRule, by string) (accounting.AlertRule, error) {
	if r.builtIn(rule.ID) != nil {
		return accounting.AlertRule{}, accounting.ErrAlertRuleExists
	}
	return r.opts.Book.CreateAlertRule(ctx, rule, by)
}

// Change puts a rule in the place of the one with its id, in the name of by. Of
// a built-in one only enabled can change. Errors:
// [accounting.ErrUnknownAlertRule], [accounting.ErrAlertRuleBuiltIn],
// [accounting.ErrAlertRuleAtOnce].
func (r *Rules) Change(ctx context.Context, rule accounting.AlertRule, by string) (accounting.AlertRule, error) {
	given := r.builtIn(rule.ID)
	switch {
	case given == nil:
		return r.opts.Book.ChangeAlertRule(ctx, rule, by)
	case given.AtOnce():
		return accounting.AlertRule{}, accounting.ErrAlertRuleAtOnce
	case !sameRule(*given, rule):
		return accounting.AlertRule{}, accounting.ErrAlertRuleBuiltIn
	}
	if err := r.opts.Book.SwitchAlertRule(ctx, rule.ID, rule.Enabled, by); err != nil {
		return accounting.AlertRule{}, err
	}
	return r.Find(ctx, rule.ID)
}

// sameRule reports whether two rules differ in nothing but enabled.
func sameRule(a, b accounting.AlertRule) bool {
	same := a.Threshold.Equal(b.Threshold.Decimal)
	a.Threshold, b.Threshold = accounting.Amount{}, accounting.Amount{}
	b.Enabled, b.BuiltIn, b.Setting, b.CreatedAt, b.UpdatedAt = a.Enabled, a.BuiltIn, a.Setting, a.CreatedAt, a.UpdatedAt
	return same && a == b
}

// Delete takes a rule away in the name of by. Errors:
// [accounting.ErrUnknownAlertRule], [accounting.ErrAlertRuleBuiltIn].
func (r *Rules) Delete(ctx context.Context, id, by string) error {
	if r.builtIn(id) != nil {
		return accounting.ErrAlertRuleBuiltIn
	}
	return r.opts.Book.DeleteAlertRule(ctx, id, by)
}

func (r *Rules) builtIn(id string) *accounting.AlertRule {
	for i := range r.opts.BuiltIn {
		if r.opts.BuiltIn[i].ID == id {
			return &r.opts.BuiltIn[i]
		}
	}
	return nil
}

// Preview reads what a rule would see at now, and how it stood at the last
// look. Nothing comes of it. Errors: [accounting.ErrUnknownAlertRule].
func (r *Rules) Preview(ctx context.Context, id string, now time.Time) (rule accounting.AlertRule, readings []accounting.RuleReading, states map[string]accounting.RuleState, err error) {
	if rule, err = r.Find(ctx, id); err != nil {
		return rule, nil, nil, err
	}
	facts, err := r.facts(ctx, []accounting.AlertRule{rule}, now.UTC())
	if err != nil {
		return rule, nil, nil, err
	}
	if states, err = r.opts.Book.RuleStates(ctx, id); err != nil {
		return rule, nil, nil, err
	}
	return rule, rule.Read(facts), states, nil
}
