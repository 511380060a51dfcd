package postgres

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

var hundred = decimal.NewFromInt(100)

// reached reports whether used is at least percent of limit. Nothing used
// reaches no threshold, of a limit of 0 either.
func reached(used, limit decimal.Decimal, percent int) bool {
	return used.IsPositive() && used.Mul(hundred).GreaterThanOrEqual(limit.Mul(decimal.NewFromInt(int64(percent))))
}

// thresholdAlerts are the alerts for what the step delta has newly reached.
func thresholdAlerts(b *booked, key periodKey, after periodFigures, delta periodDelta) []accounting.Alert {
	if !b.Enabled || b.DeletedAt != nil {
		return nil
	}
	used := after.settled.Add(after.estimated)
	was := used.Sub(delta.settled).Sub(delta.estimated)
	var alerts []accounting.Alert
	for _, t := range b.Thresholds {
		if reached(used, after.limit, t) && !reached(was, after.limit, t) {
			alerts = append(alerts, thresholdAlert(b, key, after, t))
		}
	}
	return alerts
}

func thresholdAlert(b *booked, key periodKey, f periodFigures, threshold int) accounting.Alert {
	used := f.settled.Add(f.estimated)
	a := b.alert("budget_threshold", key, f, fmt.Sprintf("%d/%s", threshold, f.limit))
	a.Severity = severityOf(threshold)
	a.Title = fmt.Sprintf("Budget %s: %d %% of %s is spent", b.label(key), threshold, b.money(f.limit))
	a.Text = fmt.Sprintf("%s of %s %s (%s). %s", b.money(used), b.money(f.limit), isSpent(f), percentOf(used, f.limit), b.resets(key))
	if threshold >= 100 {
		a.Text += " " + b.consequence()
	}
	return a
}

func isSpent(f periodFigures) string {
	if f.estimated.IsZero() {
		return "is spent"
	}
	return fmt.Sprintf("is spent, %s of it by estimate,", shown(f.estimated))
}

func severityOf(threshold int) accounting.Severity {
	switch {
	case threshold >= 90:
		return accounting.SeverityCritical
	case threshold >= 75:
		return accounting.SeverityWarning
	}
	return accounting.SeverityInfo
}

// consequence says what a budget does from its limit on.
func (b *booked) consequence() string {
	switch {
	case b.Mode == accounting.ModeAlert:
		return "It only alerts: calls go on."
	case b.OnExceed == accounting.ExceedWarn:
		return "Calls go on, marked with a warning."
	case b.OnExceed == accounting.ExceedDowngrade:
		return fmt.Sprintf("Calls are sent to %s from now on where that fits, and refused otherwise.", b.DowngradeTo)
	case b.Mode == accounting.ModeSoft:
		return "Calls that are not essential are refused from now on."
	}
	return "Calls are refused from now on."
}

// usedUp reports whether a refusal is the budget's own: there is no money left
// for the call. What else may be refused (no bound, a database that does not
// answer) passes, or is the caller's to mend, and each caller is told.
func usedUp(reason accounting.BudgetReason) bool {
	return reason == accounting.ReasonExceeded || reason == accounting.ReasonNoRoom
}

func blockedAlert(b *booked, key periodKey, s *accounting.BudgetShare) accounting.Alert {
	f := periodFigures{limit: s.Limit, settled: s.Settled, reserved: s.Reserved}
	a := b.alert("budget_blocked", key, f, "")
	a.Severity = accounting.SeverityCritical
	a.Title = fmt.Sprintf("Budget %s refuses calls", b.label(key))
	a.Text = fmt.Sprintf("The first call of the period was refused (%s): %s of %s is spent and %s reserved for calls under way. %s",
		s.Reason, b.money(s.Settled), b.money(s.Limit), b.money(s.Reserved), b.resets(key))
	return a
}

func overshootAlert(b *booked, key periodKey, f periodFigures) accounting.Alert {
	a := b.alert("budget_overshoot", key, f, "")
	a.Severity = accounting.SeverityCritical
	a.Title = fmt.Sprintf("Budget %s: %s beyond its limit", b.label(key), b.money(f.overshoot))
	a.Text = fmt.Sprintf("Calls cost more than was reserved for them: %s of %s is spent and %s reserved, which with what replicas hold is %s too much. %s",
		b.money(f.settled), b.money(f.limit), b.money(f.reserved), b.money(f.overshoot), b.resets(key))
	return a
}

// alert is one about a period, with the figures behind it. detail tells it from
// others of its kind and period.
func (b *booked) alert(kind string, key periodKey, f periodFigures, detail string) accounting.Alert {
	a := accounting.Alert{
		Kind: kind, Subject: "budget/" + b.ID,
		Key: fmt.Sprintf("%s/%s/%s/%s", kind, b.ID, key.each, key.startTime().Format(time.RFC3339)),
	}
	if detail != "" {
		a.Key += "/" + detail
	}
	a.Data, _ = json.Marshal(map[string]any{ // strings and amounts cannot fail
		"budget_id": b.ID, "each_value": key.each, "period_start": key.startTime(), "currency": b.Currency,
		"limit": accounting.Amount{Decimal: f.limit}, "settled": accounting.Amount{Decimal: f.settled},
		"reserved": accounting.Amount{Decimal: f.reserved}, "estimated": accounting.Amount{Decimal: f.estimated},
		"overshoot": accounting.Amount{Decimal: f.overshoot},
	})
	return a
}

func (b *booked) label(key periodKey) string {
	if key.each == "" {
		return b.ID
	}
	return fmt.Sprintf("%s (%s %s)", b.ID, b.Each, key.each)
}

func (b *booked) money(d decimal.Decimal) string { return shown(d) + " " + string(b.Currency) }

// resets says when the period of key ends.
func (b *booked) resets(key periodKey) string {
	_, end := b.window(key.startTime())
	if end.IsZero() {
		return "It does not reset."
	}
	return fmt.Sprintf("It resets at %s.", end.UTC().Format("2006-01-02 15:04 UTC"))
}

// shown is an amount as people read it: two decimals, more where it is small. No
// amount is shown as 0 that is not.
func shown(d decimal.Decimal) string {
	if d.Equal(d.Round(2)) || d.Abs().GreaterThanOrEqual(decimal.NewFromInt(1)) {
		return d.StringFixed(2)
	}
	if rounded := d.Round(6); !rounded.IsZero() {
		return rounded.String()
	}
	return d.String()
}

func percentOf(used, limit decimal.Decimal) string {
	if !limit.IsPositive() {
		return "the limit is 0"
	}
	return used.Mul(hundred).DivRound(limit, 1).String() + " %"
}

// monthAlert tells that a month's fixed and variable costs together are over
// the configured threshold.
func (s *Store) monthAlert(month monthKey, total decimal.Decimal) accounting.Alert {
	threshold := s.opts.CostAlertThreshold
	name := accounting.Month{Year: month.year, Month: time.Month(month.month)}.String()
	a := accounting.Alert{
		Key: fmt.Sprintf("month_cost/%s/%s", name, threshold), Kind: "month_cost",
		Severity: accounting.SeverityCritical, Subject: "months/" + name,
		Title: fmt.Sprintf("%s has cost %s EUR, over the threshold of %s EUR", name, shown(total), shown(threshold)),
		Text: fmt.Sprintf("Fixed costs and OpenRouter together are %s EUR in %s (%s of the threshold). The next month starts anew.",
			shown(total), name, percentOf(total, threshold)),
	}
	a.Data, _ = json.Marshal(map[string]any{
		"month": name, "total_cost_eur": accounting.Amount{Decimal: total}, "threshold_eur": accounting.Amount{Decimal: threshold},
	})
	return a
}
