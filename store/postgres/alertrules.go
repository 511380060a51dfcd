package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

const alertRuleColumns = `id, name, figure, campaign_id, platform, model, each, comparison, threshold, severity, min_leads, quiet_hours, enabled, created_at, updated_at`

// AlertRules are the built-in rules, as people have switched them, and after
// them those that people made, by id.
func (s *Store) AlertRules(ctx context.Context, builtIn []accounting.AlertRule) ([]accounting.AlertRule, error) {
	rows, err := s.pool.Query(ctx, `-- name: alert_rule_switches
		SELECT rule_id, enabled, updated_at FROM alert_rule_switches`)
	if err != nil {
		return nil, fmt.Errorf("list switched alert rules: %w", err)
	}
	rules := append([]accounting.AlertRule(nil), builtIn...)
	var id string
	var enabled bool
	var at time.Time
	if _, err = pgx.ForEachRow(rows, []any{&id, &enabled, &at}, func() error {
		for i := range rules {
			if r := &rules[i]; r.ID == id && !r.AtOnce() {
				// A threshold of 0 has switched it off for good.
				r.Enabled, r.UpdatedAt = enabled && r.Threshold.IsPositive(), new(at.UTC())
			}
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("list switched alert rules: %w", err)
	}
	if rows, err = s.pool.Query(ctx, `-- name: alert_rules_list
		SELECT `+alertRuleColumns+` FROM alert_rules ORDER BY id`); err == nil {
		var own []accounting.AlertRule
		if own, err = pgx.CollectRows(rows, scanAlertRule); err == nil {
			return append(rules, own...), nil
		}
	}
	return nil, fmt.Errorf("list alert rules: %w", err)
}

func scanAlertRule(cr pgx.CollectableRow) (accounting.AlertRule, error) {
	var r accounting.AlertRule
	var campaign, platform, model, each *string
	err := cr.Scan(&r.ID, &r.Name, &r.Figure, &campaign, &platform, &model, &each, &r.Comparison, &r.Threshold, &r.Severity,
		&r.MinLeads, &r.QuietHours, &r.Enabled, &r.CreatedAt, &r.UpdatedAt)
	r.Scope = accounting.RuleScope{CampaignID: orBlank(campaign), Platform: orBlank(platform), Model: orBlank(model)}
	r.Each = accounting.Each(orBlank(each))
	r.CreatedAt, r.UpdatedAt = utc(r.CreatedAt), utc(r.UpdatedAt)
	return r, err
}

// CreateAlertRule makes a rule in the name of by; audited in the same
// transaction. Errors: [accounting.ErrAlertRuleExists],
// [accounting.ErrTooManyAlertRules].
func (s *Store) CreateAlertRule(ctx context.Context, r accounting.AlertRule, by string) (made accounting.AlertRule, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		if err := lockAlertRules(ctx, tx); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, `-- name: alert_rules_count
			SELECT count(*) FROM alert_rules`).Scan(&n); err != nil {
			return err
		}
		if n >= accounting.MaxAlertRules {
			return accounting.ErrTooManyAlertRules
		}
		rows, err := tx.Query(ctx, `-- name: alert_rule_insert
			INSERT INTO alert_rules (id, name, figure, campaign_id, platform, model, each, comparison, threshold, severity, min_leads, quiet_hours, enabled)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING RETURNING `+alertRuleColumns, alertRuleValues(&r)...)
		if err != nil {
			return err
		}
		made, err = pgx.CollectExactlyOneRow(rows, scanAlertRule)
		if errors.Is(err, pgx.ErrNoRows) {
			return accounting.ErrAlertRuleExists
		}
		if err != nil {
			return err
		}
		return audit(ctx, tx, auditEntry{actor: by, action: accounting.ActionAlertRuleCreate, subject: "alert-rules/" + made.ID, after: alertRuleObject(&made)})
	})
	if err != nil {
		return accounting.AlertRule{}, fmt.Errorf("create alert rule %s: %w", r.ID, err)
	}
	return made, nil
}

// ChangeAlertRule puts a rule in the place of the one with its id, in the name
// of by; audited in the same transaction. How it stood is forgotten. Errors:
// [accounting.ErrUnknownAlertRule].
func (s *Store) ChangeAlertRule(ctx context.Context, r accounting.AlertRule, by string) (changed accounting.AlertRule, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		before, err := findAlertRule(ctx, tx, r.ID)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `-- name: alert_rule_update
			UPDATE alert_rules SET name = $2, figure = $3, campaign_id = $4, platform = $5, model = $6, each = $7, comparison = $8, threshold = $9,
				severity = $10, min_leads = $11, quiet_hours = $12, enabled = $13, updated_at = now()
			WHERE id = $1 RETURNING `+alertRuleColumns, alertRuleValues(&r)...)
		if err != nil {
			return err
		}
		if changed, err = pgx.CollectExactlyOneRow(rows, scanAlertRule); err != nil {
			return err
		}
		if err := forgetStates(ctx, tx, r.ID); err != nil {
			return err
		}
		return audit(ctx, tx, auditEntry{actor: by, action: accounting.ActionAlertRuleChange, subject: "alert-rules/" + r.ID,
			before: alertRuleObject(&before), after: alertRuleObject(&changed)})
	})
	if err != nil {
		return accounting.AlertRule{}, fmt.Errorf("change alert rule %s: %w", clean(r.ID), err)
	}
	return changed, nil
}

// SwitchAlertRule switches a built-in rule on or off in the name of by; audited
// in the same transaction.
func (s *Store) SwitchAlertRule(ctx context.Context, id string, enabled bool, by string) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if err := lockAlertRules(ctx, tx); err != nil {
			return err
		}
		var before bool
		if err := tx.QueryRow(ctx, `-- name: alert_rule_switched
			SELECT coalesce((SELECT enabled FROM alert_rule_switches WHERE rule_id = $1), true)`, id).Scan(&before); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `-- name: alert_rule_switch
			INSERT INTO alert_rule_switches (rule_id, enabled) VALUES ($1, $2)
			ON CONFLICT (rule_id) DO UPDATE SET enabled = excluded.enabled, updated_at = now()`, id, enabled); err != nil {
			return err
		}
		if err := forgetStates(ctx, tx, id); err != nil {
			return err
		}
		return audit(ctx, tx, auditEntry{actor: by, action: accounting.ActionAlertRuleChange, subject: "alert-rules/" + id,
			before: map[string]any{"enabled": before}, after: map[string]any{"enabled": enabled}})
	})
	if err != nil {
		return fmt.Errorf("switch alert rule %s: %w", clean(id), err)
	}
	return nil
}

// DeleteAlertRule takes a rule away in the name of by; audited in the same
// transaction. Alerts that it has raised stay. Errors:
// [accounting.ErrUnknownAlertRule].
func (s *Store) DeleteAlertRule(ctx context.Context, id, by string) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		before, err := findAlertRule(ctx, tx, id)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `-- name: alert_rule_delete
			DELETE FROM alert_rules WHERE id = $1`, id); err != nil {
			return err
		}
		if err := forgetStates(ctx, tx, id); err != nil {
			return err
		}
		return audit(ctx, tx, auditEntry{actor: by, action: accounting.ActionAlertRuleDelete, subject: "alert-rules/" + id, before: alertRuleObject(&before)})
	})
	if err != nil {
		return fmt.Errorf("delete alert rule %s: %w", clean(id), err)
	}
	return nil
}

// findAlertRule locks the rules and reads one.
func findAlertRule(ctx context.Context, tx pgx.Tx, id string) (accounting.AlertRule, error) {
	if err := lockAlertRules(ctx, tx); err != nil {
		return accounting.AlertRule{}, err
	}
	rows, err := tx.Query(ctx, `-- name: alert_rule_find
		SELECT `+alertRuleColumns+` FROM alert_rules WHERE id = $1`, clean(id))
	if err != nil {
		return accounting.AlertRule{}, err
	}
	r, err := pgx.CollectExactlyOneRow(rows, scanAlertRule)
	if errors.Is(err, pgx.ErrNoRows) {
		err = accounting.ErrUnknownAlertRule
	}
	return r, err
}

// lockAlertRules keeps other changes of rules and of how they stand out until
// the transaction ends.
func lockAlertRules(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `-- name: alert_rules_lock
		SELECT FROM alert_rule_checks FOR UPDATE`)
	return err
}

func forgetStates(ctx context.Context, tx pgx.Tx, id string) error {
	_, err := tx.Exec(ctx, `-- name: alert_rule_forget
		DELETE FROM alert_rule_states WHERE rule_id = $1`, id)
	return err
}

// orBlank is a text, empty for NULL.
func orBlank(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func alertRuleValues(r *accounting.AlertRule) []any {
	return []any{r.ID, clean(r.Name), string(r.Figure), clean(r.Scope.CampaignID), clean(r.Scope.Platform), clean(r.Scope.Model), clean(string(r.Each)),
		string(r.Comparison), r.Threshold.Decimal, string(r.Severity), r.MinLeads, r.QuietHours, r.Enabled}
}

func alertRuleObject(r *accounting.AlertRule) map[string]any {
	return map[string]any{"name": r.Name, "figure": r.Figure, "scope": r.Scope, "each": r.Each, "comparison": r.Comparison, "threshold": r.Threshold,
		"severity": r.Severity, "min_leads": r.MinLeads, "quiet_hours": r.QuietHours, "enabled": r.Enabled}
}
