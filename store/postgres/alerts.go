package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

const alertColumns = `id, key, kind, severity, subject, title, text, data, created_at, acknowledged_at, acknowledged_by`

// raise makes alerts in the transaction of what caused them, the last thing
// that it does. Those whose key is taken exist already.
func (s *Store) raise(ctx context.Context, tx pgx.Tx, alerts []accounting.Alert) error {
	alerts = s.raised.unknown(alerts)
	if len(alerts) == 0 {
		return nil
	}
	made, err := s.insertAlerts(ctx, tx, alerts)
	if err != nil {
		return fmt.Errorf("insert alerts: %w", err)
	}
	for _, a := range alerts {
		if !made[a.Key] { // so it was committed before, and ours may yet be rolled back
			s.raised.add(a.Key)
		}
	}
	return nil
}

// insertAlerts makes those alerts that are new, in the order of their keys, and
// returns their keys. Each gets a delivery to every configured channel, unless
// it is not severe enough (by DeliverAs, if set), or about that channel.
func (s *Store) insertAlerts(ctx context.Context, tx pgx.Tx, alerts []accounting.Alert) (map[string]bool, error) {
	slices.SortStableFunc(alerts, func(a, b accounting.Alert) int { return strings.Compare(a.Key, b.Key) })
	alerts = slices.CompactFunc(alerts, func(a, b accounting.Alert) bool { return a.Key == b.Key })
	n := len(alerts)
	keys, kinds, urgencies, subjects := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	titles, texts, data := make([]string, n), make([]string, n), make([]json.RawMessage, n)
	documents, sent := make([]*string, n), make([]bool, n)
	severities := s.delivered()
	for i, a := range alerts {
		keys[i], kinds[i], urgencies[i], subjects[i] = a.Key, a.Kind, string(a.Severity), string(clean(a.Subject))
		titles[i], texts[i], data[i] = string(clean(a.Title)), cleanLong(a.Text), a.Data
		if data[i] == nil {
			data[i] = json.RawMessage("{}")
		}
		if a.HTML != "" {
			documents[i] = &a.HTML
		}
		sent[i] = slices.Contains(severities, string(cmp.Or(a.DeliverAs, a.Severity)))
	}
	rows, err := tx.Query(ctx, `-- name: alerts_insert
		WITH made AS (
			INSERT INTO alerts (key, kind, severity, subject, title, text, data, html, created_at)
			SELECT d.*, coalesce($12::timestamptz, now())
			FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::text[]) AS d
			ON CONFLICT (key) DO NOTHING
			RETURNING id, key, subject
		), deliveries AS (
			INSERT INTO alert_deliveries (alert_id, channel)
			SELECT made.id, channel FROM made JOIN unnest($1::text[], $9::bool[]) AS a (key, sent) USING (key), unnest($10::text[]) AS channel
			WHERE a.sent AND made.subject <> $11::text || channel
		)
		SELECT key FROM made`, keys, kinds, urgencies, subjects, titles, texts, data, documents, sent,
		s.opts.Channels, accounting.ChannelSubject(""), s.givenTime())
	if err != nil {
		return nil, err
	}
	made := make(map[string]bool)
	var key string
	_, err = pgx.ForEachRow(rows, []any{&key}, func() error { made[key] = true; return nil })
	noteRaised(tx, slices.DeleteFunc(slices.Clone(alerts), func(a accounting.Alert) bool { return !made[a.Key] }))
	return made, err
}

// knownAlerts are keys of alerts that exist, so that what goes on causing one
// (a month that is too dear, a loop of refused calls) costs no statement each
// time. Some may be missing.
type knownAlerts struct {
	mu   sync.Mutex
	keys map[string]bool
}

const maxKnownAlerts = 10_000

func (k *knownAlerts) add(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil || len(k.keys) >= maxKnownAlerts {
		k.keys = make(map[string]bool)
	}
	k.keys[key] = true
}

// unknown are the alerts that are not known to exist.
func (k *knownAlerts) unknown(alerts []accounting.Alert) []accounting.Alert {
	if len(alerts) == 0 {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(alerts), func(a accounting.Alert) bool { return k.keys[a.Key] })
}

// maxAlertBytes bounds an alert's text, that of a report too.
const maxAlertBytes = 16_000

func cleanLong(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
	if len(s) > maxAlertBytes {
		s = strings.ToValidUTF8(s[:maxAlertBytes], "")
	}
	return s
}

// RaiseAlert makes an alert, with a delivery to each configured channel, and
// returns it. If there is one with its key, that one is returned and made is
// false.
func (s *Store) RaiseAlert(ctx context.Context, a accounting.Alert) (raised accounting.Alert, made bool, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		keys, err := s.insertAlerts(ctx, tx, []accounting.Alert{a})
		if err != nil {
			return err
		}
		made = keys[a.Key]
		raised, err = findAlert(ctx, tx, `key = $1`, a.Key)
		return err
	})
	if err != nil {
		return accounting.Alert{}, false, fmt.Errorf("raise alert %s: %w", a.Key, err)
	}
	return raised, made, nil
}

// AcknowledgeAlert records that somebody has seen an alert. It is audited in
// the same transaction; acknowledging it again changes nothing. Errors:
// [accounting.ErrUnknownAlert].
func (s *Store) AcknowledgeAlert(ctx context.Context, id int64, actor string, now time.Time) (accounting.Alert, error) {
	var a accounting.Alert
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `-- name: alerts_acknowledge
			UPDATE alerts SET acknowledged_at = $2, acknowledged_by = $3 WHERE id = $1 AND acknowledged_at IS NULL`, id, now, clean(actor))
		if err != nil {
			return err
		}
		if tag.RowsAffected() > 0 {
			if err := audit(ctx, tx, auditEntry{actor: actor, action: accounting.ActionAlertAck, subject: fmt.Sprintf("alerts/%d", id)}); err != nil {
				return err
			}
		}
		a, err = findAlert(ctx, tx, `id = $1`, id)
		return err
	})
	if err != nil {
		return accounting.Alert{}, fmt.Errorf("acknowledge alert %d: %w", id, err)
	}
	return a, nil
}

// ListAlerts returns one page of alerts with their deliveries, the newest
// first. Errors: [accounting.ErrBadCursor].
func (s *Store) ListAlerts(ctx context.Context, f accounting.AlertFilter) (accounting.AlertPage, error) {
	if f.Limit < 1 || f.Limit > accounting.MaxUsageRows {
		return accounting.AlertPage{}, fmt.Errorf("list alerts: limit %d: want 1 to %d", f.Limit, accounting.MaxUsageRows)
	}
	before, err := parseAuditCursor(f.Cursor)
	if err != nil {
		return accounting.AlertPage{}, fmt.Errorf("list alerts: %w", err)
	}
	alerts, err := queryAlerts(ctx, s.pool, `($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR severity = $2)
		  AND ($3::text IS NULL OR subject = $3) AND (NOT $4 OR acknowledged_at IS NULL)
		  AND ($5::timestamptz IS NULL OR created_at >= $5) AND ($6::timestamptz IS NULL OR created_at < $6)
		  AND ($7::bigint IS NULL OR (created_at, id) < (SELECT created_at, id FROM alerts WHERE id = $7))
		ORDER BY created_at DESC, id DESC LIMIT $8`,
		clean(f.Kind), clean(string(f.Severity)), clean(f.Subject), f.Unacknowledged, f.From, f.To, before, f.Limit+1)
	if err != nil {
		return accounting.AlertPage{}, fmt.Errorf("list alerts: %w", err)
	}
	page := accounting.AlertPage{Alerts: alerts}
	if len(alerts) > f.Limit { // one more than asked for tells whether there is a next page
		page.Alerts = alerts[:f.Limit]
		page.NextCursor = formatAuditCursor(page.Alerts[f.Limit-1].ID)
	}
	return page, nil
}

func findAlert(ctx context.Context, db querier, where string, arg any) (accounting.Alert, error) {
	alerts, err := queryAlerts(ctx, db, where, arg)
	if err == nil && len(alerts) == 0 {
		err = accounting.ErrUnknownAlert
	}
	if err != nil {
		return accounting.Alert{}, err
	}
	return alerts[0], nil
}

// queryAlerts reads alerts and their deliveries.
func queryAlerts(ctx context.Context, db querier, where string, args ...any) ([]accounting.Alert, error) {
	rows, err := db.Query(ctx, `-- name: alerts_list
		SELECT `+alertColumns+` FROM alerts WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	alerts, err := pgx.CollectRows(rows, scanAlert)
	if err != nil || len(alerts) == 0 {
		return alerts, err
	}
	index := make(map[int64]*accounting.Alert, len(alerts))
	ids := make([]int64, len(alerts))
	for i := range alerts {
		ids[i], index[alerts[i].ID] = alerts[i].ID, &alerts[i]
	}
	rows, err = db.Query(ctx, `-- name: alert_deliveries_list
		SELECT `+deliveryColumns+` FROM alert_deliveries WHERE alert_id = ANY($1) ORDER BY alert_id, channel`, ids)
	if err != nil {
		return nil, err
	}
	deliveries, err := pgx.CollectRows(rows, scanDelivery)
	for _, d := range deliveries {
		index[d.AlertID].Deliveries = append(index[d.AlertID].Deliveries, d)
	}
	return alerts, err
}

func scanAlert(cr pgx.CollectableRow) (accounting.Alert, error) {
	a := accounting.Alert{Deliveries: []accounting.AlertDelivery{}}
	err := cr.Scan(&a.ID, &a.Key, &a.Kind, &a.Severity, &a.Subject, &a.Title, &a.Text, &a.Data, &a.CreatedAt, &a.AcknowledgedAt, &a.AcknowledgedBy)
	a.CreatedAt, a.AcknowledgedAt = a.CreatedAt.UTC(), utc(a.AcknowledgedAt)
	return a, err
}

// utc is t in UTC; nil stays nil.
func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}

const deliveryColumns = `alert_id, channel, state, attempts, next_at, delivered_at, error`

func scanDelivery(cr pgx.CollectableRow) (accounting.AlertDelivery, error) {
	var d accounting.AlertDelivery
	err := cr.Scan(&d.AlertID, &d.Channel, &d.State, &d.Attempts, &d.NextAt, &d.DeliveredAt, &d.Error)
	d.NextAt, d.DeliveredAt = utc(d.NextAt), utc(d.DeliveredAt)
	return d, err
}

// ClaimDeliveries hands out up to limit deliveries to one of channels that are
// due at now, each to one claimer only: an alert with that one delivery inside.
// The claim counts as an attempt and ends by itself after lease.
func (s *Store) ClaimDeliveries(ctx context.Context, channels []string, now time.Time, lease time.Duration, limit int) ([]accounting.Alert, error) {
	if len(channels) == 0 || limit <= 0 {
		return nil, nil
	}
	rows, err := s.pool.Query(ctx, `-- name: alert_deliveries_claim
		WITH due AS (
			SELECT alert_id, channel FROM alert_deliveries
			WHERE state = 'pending' AND next_at <= $2 AND channel = ANY($1)
			ORDER BY next_at, alert_id LIMIT $4
			FOR UPDATE SKIP LOCKED
		), claimed AS (
			UPDATE alert_deliveries d SET next_at = $3, attempts = d.attempts + 1
			FROM due WHERE d.alert_id = due.alert_id AND d.channel = due.channel
			RETURNING d.*
		)
		SELECT a.`+strings.ReplaceAll(alertColumns, ", ", ", a.")+`, c.`+strings.ReplaceAll(deliveryColumns, ", ", ", c.")+`, a.html
		FROM claimed c JOIN alerts a ON a.id = c.alert_id ORDER BY a.id, c.channel`, channels, now, now.Add(lease), limit)
	if err == nil {
		var alerts []accounting.Alert
		if alerts, err = pgx.CollectRows(rows, scanClaimed); err == nil {
			return alerts, nil
		}
	}
	return nil, fmt.Errorf("claim deliveries of alerts: %w", err)
}

func scanClaimed(cr pgx.CollectableRow) (accounting.Alert, error) {
	var a accounting.Alert
	var d accounting.AlertDelivery
	var document *string
	err := cr.Scan(&a.ID, &a.Key, &a.Kind, &a.Severity, &a.Subject, &a.Title, &a.Text, &a.Data, &a.CreatedAt, &a.AcknowledgedAt, &a.AcknowledgedBy,
		&d.AlertID, &d.Channel, &d.State, &d.Attempts, &d.NextAt, &d.DeliveredAt, &d.Error, &document)
	a.HTML = orBlank(document)
	a.CreatedAt, a.AcknowledgedAt = a.CreatedAt.UTC(), utc(a.AcknowledgedAt)
	d.NextAt, d.DeliveredAt = utc(d.NextAt), utc(d.DeliveredAt)
	a.Deliveries = []accounting.AlertDelivery{d}
	return a, err
}

// FinishDelivery records how a claimed delivery ended at at: without a
// deliverErr it is delivered, with one it is due again at next, or given up if
// that is nil. One that has ended before stays as it is.
func (s *Store) FinishDelivery(ctx context.Context, alertID int64, channel string, at time.Time, deliverErr string, next *time.Time) error {
	state, delivered := "delivered", &at
	if deliverErr != "" {
		state, delivered = "pending", nil
		if next == nil {
			state = "failed"
		}
	} else {
		next = nil
	}
	_, err := s.pool.Exec(ctx, `-- name: alert_deliveries_finish
		UPDATE alert_deliveries SET state = $3, delivered_at = $4, error = $5, next_at = $6
		WHERE alert_id = $1 AND channel = $2 AND state = 'pending'`,
		alertID, channel, state, delivered, clean(deliverErr), next)
	if err != nil {
		return fmt.Errorf("finish delivery of alert %d to %s: %w", alertID, channel, err)
	}
	return nil
}
