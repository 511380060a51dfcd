package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// reconciliationAlerts are the alerts for days that have been found to differ
// from OpenRouter's figures.
func reconciliationAlerts(differing []accounting.Reconciliation) []accounting.Alert {
	alerts := make([]accounting.Alert, len(differing))
	for i := range differing {
		alerts[i] = reconciliationAlert(&differing[i])
	}
	return alerts
}

func reconciliationAlert(r *accounting.Reconciliation) accounting.Alert {
	of := "the account"
	if r.KeyFingerprint != "" {
		of = "key " + r.KeyFingerprint[:min(8, len(r.KeyFingerprint))]
	}
	a := accounting.Alert{
		Key:  fmt.Sprintf("reconciliation/%s/%s/%s", r.Day, r.Source, r.KeyFingerprint),
		Kind: "reconciliation", Severity: accounting.SeverityWarning, Subject: "reconciliations/" + r.Day.String(),
		Title: fmt.Sprintf("%s: OpenRouter charged %s %s USD, we recorded %s USD", r.Day, of, r.TheirsUSD, r.OursUSD),
		Text: fmt.Sprintf("By OpenRouter's %s the difference is %s USD, more than the tolerance. Of our calls, %d have no cost yet and %d are not verified.",
			r.Source, r.DifferenceUSD, r.OpenCalls, r.UnverifiedCalls),
	}
	if r.DarkSpendUSD != nil && r.DarkSpendUSD.IsPositive() {
		a.Text += fmt.Sprintf(" %s USD of it were spent around Bursar.", r.DarkSpendUSD)
	}
	a.Text += fmt.Sprintf(" GET /api/reconciliations?from=%[1]s&to=%[1]s lists the calls that may explain it.", r.Day)
	generations := []string{}
	for i := range r.Suspects {
		if id := r.Suspects[i].GenerationID; id != nil {
			generations = append(generations, *id)
		}
	}
	a.Data, _ = json.Marshal(map[string]any{ // strings, numbers and amounts cannot fail
		"day": r.Day.String(), "source": r.Source, "key_fingerprint": r.KeyFingerprint,
		"ours_usd": r.OursUSD, "theirs_usd": r.TheirsUSD, "difference_usd": r.DifferenceUSD, "dark_spend_usd": r.DarkSpendUSD,
		"open_calls": r.OpenCalls, "unverified_calls": r.UnverifiedCalls, "suspect_generations": generations,
	})
	return a
}

// varianceAlerts are those of a step at which OpenRouter's own record of a call
// became known: of each model the first one of a day that differs from what the
// answer said by more than the tolerance.
func (s *Store) varianceAlerts(before, after *row, now time.Time) []accounting.Alert {
	inline, record := after.inlineCost, after.generationCost
	if inline == nil || record == nil || same(before.generationCost, record) {
		return nil
	}
	difference := record.Sub(*inline)
	if difference.Abs().LessThanOrEqual(record.Mul(s.opts.CostTolerance)) {
		return nil
	}
	id, day := accounting.RequestID(after.id), accounting.DayOf(now)
	a := accounting.Alert{
		Key:  fmt.Sprintf("cost_variance/%s/%s", day, string(after.model)),
		Kind: "cost_variance", Severity: accounting.SeverityWarning, Subject: accounting.UsageSubject(id),
		Title: fmt.Sprintf("OpenRouter charged %s USD for a call whose answer said %s USD", record, inline),
		Text: fmt.Sprintf("Call %s of %s differs by %s USD. The ledger counts OpenRouter's own record. "+
			"It is the first such call of the model on this day; bursar_cost_mismatches_total counts all.", id, string(after.model), difference),
	}
	a.Data, _ = json.Marshal(map[string]any{
		"request_id": id.String(), "generation_id": string(after.generationID), "model": string(after.model),
		"inline_usd":     accounting.Amount{Decimal: *inline},
		"generation_usd": accounting.Amount{Decimal: *record},
		"difference_usd": accounting.Amount{Decimal: difference},
	})
	return []accounting.Alert{a}
}

// RaiseUndecided makes the day's alert about calls that wait for an operator,
// if there are any, and reports whether it did.
func (s *Store) RaiseUndecided(ctx context.Context, now time.Time) (made bool, err error) {
	day := accounting.DayOf(now)
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		made = false
		var interrupted, unresolved int64
		if err := tx.QueryRow(ctx, `-- name: undecided_count
			SELECT count(*) FILTER (WHERE status = 'interrupted'), count(*) FILTER (WHERE status = 'unresolved')
			FROM openrouter_usage WHERE status IN ('interrupted', 'unresolved')`).Scan(&interrupted, &unresolved); err != nil {
			return err
		}
		if interrupted+unresolved == 0 {
			return nil
		}
		keys, err := s.insertAlerts(ctx, tx, []accounting.Alert{undecidedAlert(day, interrupted, unresolved)})
		made = len(keys) > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("raise alert about undecided calls: %w", err)
	}
	return made, nil
}

func undecidedAlert(day accounting.Day, interrupted, unresolved int64) accounting.Alert {
	n := interrupted + unresolved
	title := fmt.Sprintf("%d calls wait for somebody to decide what they cost", n)
	if n == 1 {
		title = "1 call waits for somebody to decide what it cost"
	}
	a := accounting.Alert{
		Key: fmt.Sprintf("undecided/%s", day), Kind: "undecided_calls", Severity: accounting.SeverityWarning, Subject: "usage",
		Title: title,
		Text: fmt.Sprintf("%d interrupted and %d unresolved: Bursar cannot find out by itself whether OpenRouter billed them, and budgets keep what was reserved for them. "+
			"The admin page lists them on top; attach a generation to each, or dismiss it. This comes at most once a day.", interrupted, unresolved),
	}
	a.Data, _ = json.Marshal(map[string]any{"interrupted": interrupted, "unresolved": unresolved})
	return a
}
