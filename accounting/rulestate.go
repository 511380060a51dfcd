package accounting

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// RuleState is how one value of a rule's scope stands, from one look to the
// next.
type RuleState struct {
	Value      string
	Firing     bool
	Told       bool       // of Firing: an alert says so
	Since      time.Time  // of Firing, or of its end
	NotifiedAt *time.Time // of the last alert; nil: there was none
}

// RuleNotice is what a look at a rule has to tell.
type RuleNotice string

// The notices.
const (
	NoticeNone     RuleNotice = ""
	NoticeFires    RuleNotice = "fires"
	NoticeResolved RuleNotice = "resolved" // of what was told before
)

// Step is the state after a reading at now, and what is to be told of it: once
// when the rule begins to fire, again whenever the quiet hours are over, and
// when it has ended. What begins again within the quiet hours waits for their
// end, so that a figure that wavers about its threshold does not tell each time.
func (r *AlertRule) Step(s RuleState, reading RuleReading, now time.Time) (RuleState, RuleNotice) {
	if reading.Fires {
		if !s.Firing {
			s.Firing, s.Told, s.Since = true, false, now
		}
		if s.NotifiedAt == nil || now.Sub(*s.NotifiedAt) >= time.Duration(r.QuietHours)*time.Hour {
			s.Told, s.NotifiedAt = true, &now
			return s, NoticeFires
		}
		return s, NoticeNone
	}
	told := s.Firing && s.Told
	if s.Firing {
		s.Firing, s.Told, s.Since = false, false, now
	}
	if told {
		return s, NoticeResolved
	}
	return s, NoticeNone
}

// Forgettable reports whether the state says no more than none would.
func (r *AlertRule) Forgettable(s RuleState, now time.Time) bool {
	return !s.Firing && (s.NotifiedAt == nil || now.Sub(*s.NotifiedAt) >= time.Duration(r.QuietHours)*time.Hour)
}

// maxRuleAlerts is how many values of one rule are told one by one; more of
// them share an alert.
const maxRuleAlerts = 3

// maxRuleListed is how many values an alert lists.
const maxRuleListed = 20

// The kinds of a rule's alerts.
const (
	AlertRuleFires    = "rule"
	AlertRuleResolved = "rule_resolved"
)

// Alerts are those of readings with the same notice at now.
func (r *AlertRule) Alerts(readings []RuleReading, notice RuleNotice, now time.Time) []Alert {
	if len(readings) == 0 || notice == NoticeNone {
		return nil
	}
	if len(readings) > maxRuleAlerts {
		return []Alert{r.alertOfMany(readings, notice, now)}
	}
	alerts := make([]Alert, len(readings))
	for i := range readings {
		alerts[i] = r.alert(&readings[i], notice, now)
	}
	return alerts
}

func (r *AlertRule) alert(reading *RuleReading, notice RuleNotice, now time.Time) Alert {
	a := r.newAlert(notice, reading.Value, now)
	if id := orText(reading.Value, r.Scope.CampaignID); id != "" {
		a.Subject = "campaign/" + id
	}
	info := r.Figure.info()
	figure := upperFirst(r.of(reading)) + info.words
	a.Title = fmt.Sprintf("%s is %s, %s %s", figure, r.show(reading.Figure), r.Comparison, r.show(&r.Threshold))
	a.Text = r.behind(reading)
	if notice == NoticeResolved {
		a.Title = fmt.Sprintf("Resolved: %s is %s, no longer %s %s", figure, r.show(reading.Figure), r.Comparison, r.show(&r.Threshold))
		if reading.Figure == nil || reading.Reason != "" {
			a.Title = fmt.Sprintf("Ended: %s can no longer be held against %s", figure, r.show(&r.Threshold))
			a.Text = reading.Reason
		}
	} else if info.advice != "" {
		a.Text += " " + info.advice
	}
	a.Text = strings.TrimSpace(a.Text) + " " + r.footer(notice)
	a.Data, _ = json.Marshal(map[string]any{ // text and amounts cannot fail
		"rule": r.ID, "figure": r.Figure, "value": reading.Figure, "threshold": r.Threshold, "leads": reading.Leads,
		"campaign_id": orText(reading.Value, r.Scope.CampaignID), "platform": r.Scope.Platform, "model": r.Scope.Model,
	})
	return a
}

// alertOfMany tells of so many values that alerts of their own would flood the
// channels.
func (r *AlertRule) alertOfMany(readings []RuleReading, notice RuleNotice, now time.Time) Alert {
	a := r.newAlert(notice, "", now)
	info := r.Figure.info()
	a.Title = fmt.Sprintf("The %s of %d campaigns is %s %s", info.words, len(readings), r.Comparison, r.show(&r.Threshold))
	if notice == NoticeResolved {
		a.Title = fmt.Sprintf("Resolved: the %s of %d campaigns is no longer %s %s", info.words, len(readings), r.Comparison, r.show(&r.Threshold))
	}
	var lines, ids []string
	for i := range readings {
		if i == maxRuleListed {
			lines = append(lines, fmt.Sprintf("and %d more", len(readings)-maxRuleListed))
			break
		}
		ids = append(ids, readings[i].Value)
		lines = append(lines, fmt.Sprintf("%s: %s", called(&readings[i]), r.show(readings[i].Figure)))
	}
	a.Text = strings.Join(lines, "\n") + "\n" + strings.TrimSpace(info.advice+" "+r.footer(notice))
	a.Data, _ = json.Marshal(map[string]any{"rule": r.ID, "figure": r.Figure, "threshold": r.Threshold, "campaigns": len(readings), "campaign_ids": ids})
	return a
}

func (r *AlertRule) newAlert(notice RuleNotice, value string, now time.Time) Alert {
	a := Alert{
		Key:  fmt.Sprintf("rule/%s/%s/%s/%s", r.ID, value, notice, now.UTC().Format(time.RFC3339)),
		Kind: AlertRuleFires, Severity: r.Severity, Subject: "alert-rules/" + r.ID,
	}
	if notice == NoticeResolved { // good news, for whoever got the bad
		a.Kind, a.Severity, a.DeliverAs = AlertRuleResolved, SeverityInfo, r.Severity
	}
	return a
}

// of is what the figure is of, before its name in a sentence.
func (r *AlertRule) of(reading *RuleReading) string {
	switch {
	case reading.Value != "":
		return "campaign " + called(reading) + ": the "
	case r.Scope.CampaignID != "":
		return "campaign " + r.Scope.CampaignID + ": the "
	case r.Scope.Platform != "":
		return "platform " + r.Scope.Platform + ": the "
	case r.Scope.Model != "":
		return "model " + r.Scope.Model + ": the "
	}
	return "the "
}

// called is a campaign as people know it.
func called(reading *RuleReading) string {
	if reading.Name == "" || reading.Name == reading.Value {
		return reading.Value
	}
	return fmt.Sprintf("%s (%s)", reading.Name, reading.Value)
}

// behind says what the figure is made of.
func (r *AlertRule) behind(reading *RuleReading) string {
	text := upperFirst(r.Figure.info().formula)
	if reading.Leads != nil {
		text += fmt.Sprintf(", of %d processed leads", *reading.Leads)
	}
	return text + "."
}

func (r *AlertRule) footer(notice RuleNotice) string {
	if notice == NoticeResolved {
		return fmt.Sprintf("Rule %q.", r.ID)
	}
	return fmt.Sprintf("Rule %q; it repeats at most every %d hours until it clears.", r.ID, r.QuietHours)
}

// show is a figure with its unit, as people read it.
func (r *AlertRule) show(a *Amount) string {
	if a == nil {
		return "not known"
	}
	switch r.Figure.Unit() {
	case FigureEUR:
		return ShowCents(a.Decimal) + " EUR"
	case FigurePercent:
		return a.Round(1).String() + " %"
	case FigureShare:
		return a.Mul(hundred).Round(1).String() + " %"
	case FigurePoints:
		return a.Round(1).String()
	}
	return a.String()
}

// ShowCents is an amount as people read it, rounded half up to cents. No amount
// is shown as 0 that is not.
func ShowCents(d decimal.Decimal) string {
	if !d.IsZero() && d.Round(2).IsZero() {
		if d.IsNegative() {
			return "> -0.01"
		}
		return "< 0.01"
	}
	return d.StringFixed(2)
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func orText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
