package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// ClaimAlertRules claims the next look at the rules, which is due again at
// next, for one replica alone. It reports false where it is not due at now.
func (s *Store) ClaimAlertRules(ctx context.Context, now, next time.Time) (claimed bool, err error) {
	tag, err := s.pool.Exec(ctx, `-- name: alert_rules_claim
		UPDATE alert_rule_checks SET due_at = $2 WHERE due_at <= $1`, now, next)
	if err != nil {
		return false, fmt.Errorf("claim the look at alert rules: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

// ruleValue names a state.
type ruleValue struct{ rule, value string }

// RecordReadings notes at now how the rules stand, and raises the alerts that
// come of it, in one transaction. readings are those of each rule, in the order
// of rules. What a rule has stood for and has no reading any more has ended;
// what is known of other rules is forgotten.
func (s *Store) RecordReadings(ctx context.Context, rules []accounting.AlertRule, readings [][]accounting.RuleReading, now time.Time) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		if err := lockAlertRules(ctx, tx); err != nil {
			return err
		}
		states, err := readRuleStates(ctx, tx)
		if err != nil {
			return err
		}
		look := ruleLook{now: now, states: states, gone: make(map[ruleValue]bool, len(states))}
		for key := range states {
			look.gone[key] = true
		}
		for i := range rules {
			look.step(&rules[i], readings[i])
		}
		if err := look.write(ctx, tx); err != nil {
			return err
		}
		return s.raise(ctx, tx, look.alerts)
	})
	if err != nil {
		return fmt.Errorf("record how alert rules stand: %w", err)
	}
	return nil
}

// RuleStates are how a rule stands, by value.
func (s *Store) RuleStates(ctx context.Context, rule string) (map[string]accounting.RuleState, error) {
	all, err := readRuleStates(ctx, s.pool)
	if err != nil {
		return nil, fmt.Errorf("read how alert rule %s stands: %w", clean(rule), err)
	}
	states := make(map[string]accounting.RuleState)
	for key, state := range all {
		if key.rule == rule {
			states[key.value] = state
		}
	}
	return states, nil
}

func readRuleStates(ctx context.Context, db querier) (map[ruleValue]accounting.RuleState, error) {
	rows, err := db.Query(ctx, `-- name: alert_rule_states
		SELECT rule_id, value, firing, told, since, notified_at FROM alert_rule_states`)
	if err != nil {
		return nil, err
	}
	states := make(map[ruleValue]accounting.RuleState)
	_, err = pgx.CollectRows(rows, func(cr pgx.CollectableRow) (struct{}, error) {
		var id string
		var state accounting.RuleState
		err := cr.Scan(&id, &state.Value, &state.Firing, &state.Told, &state.Since, &state.NotifiedAt)
		state.Since, state.NotifiedAt = state.Since.UTC(), utc(state.NotifiedAt)
		states[ruleValue{id, state.Value}] = state
		return struct{}{}, err
	})
	return states, err
}

// ruleLook is one look at all rules: how they stood, how they stand, and what
// comes of that.
type ruleLook struct {
	now    time.Time
	states map[ruleValue]accounting.RuleState
	gone   map[ruleValue]bool // states that say nothing any more
	alerts []accounting.Alert

	ids, values   []string // of the states to write
	firing, told  []bool
	since         []time.Time
	notifications []*time.Time
}

// step judges the readings of a rule against how it stood.
func (l *ruleLook) step(r *accounting.AlertRule, readings []accounting.RuleReading) {
	read := make(map[string]bool, len(readings))
	for i := range readings {
		read[readings[i].Value] = true
	}
	for key, state := range l.states {
		if key.rule == r.ID && !read[key.value] && state.Firing {
			readings = append(readings, accounting.RuleReading{Value: key.value, Reason: "There is nothing to read of it any more."})
		}
	}
	notices := make(map[accounting.RuleNotice][]accounting.RuleReading)
	for i := range readings {
		key := ruleValue{r.ID, readings[i].Value}
		state, was := l.states[key]
		state.Value = key.value
		next, notice := r.Step(state, readings[i], l.now)
		notices[notice] = append(notices[notice], readings[i])
		switch {
		case r.Forgettable(next, l.now): // and stays among those that are gone
		case was && next == state:
			delete(l.gone, key)
		default:
			delete(l.gone, key)
			l.ids, l.values = append(l.ids, r.ID), append(l.values, key.value)
			l.firing, l.told = append(l.firing, next.Firing), append(l.told, next.Told)
			l.since, l.notifications = append(l.since, next.Since), append(l.notifications, next.NotifiedAt)
		}
	}
	for _, notice := range []accounting.RuleNotice{accounting.NoticeFires, accounting.NoticeResolved} {
		l.alerts = append(l.alerts, r.Alerts(notices[notice], notice, l.now)...)
	}
}

func (l *ruleLook) write(ctx context.Context, tx pgx.Tx) error {
	if len(l.ids) > 0 {
		if _, err := tx.Exec(ctx, `-- name: alert_rule_states_put
			INSERT INTO alert_rule_states (rule_id, value, firing, told, since, notified_at)
			SELECT * FROM unnest($1::text[], $2::text[], $3::bool[], $4::bool[], $5::timestamptz[], $6::timestamptz[])
			ON CONFLICT (rule_id, value) DO UPDATE SET firing = excluded.firing, told = excluded.told, since = excluded.since, notified_at = excluded.notified_at`,
			l.ids, l.values, l.firing, l.told, l.since, l.notifications); err != nil {
			return err
		}
	}
	if len(l.gone) == 0 {
		return nil
	}
	var ids, values []string
	for key := range l.gone {
		ids, values = append(ids, key.rule), append(values, key.value)
	}
	_, err := tx.Exec(ctx, `-- name: alert_rule_states_forget
		DELETE FROM alert_rule_states s USING unnest($1::text[], $2::text[]) AS g (rule_id, value)
		WHERE s.rule_id = g.rule_id AND s.value = g.value`, ids, values)
	return err
}
