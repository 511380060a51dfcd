package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// reportsMigration is the one since which there are reports.
const reportsMigration = 13

// ReportsSince is when this database has learnt to send reports. Those that
// were due before it are not made up for.
func (s *Store) ReportsSince(ctx context.Context) (time.Time, error) {
	var since time.Time
	err := s.pool.QueryRow(ctx, `-- name: reports_since
		SELECT applied_at FROM schema_migrations WHERE version = $1`, reportsMigration).Scan(&since)
	if err != nil {
		return time.Time{}, fmt.Errorf("read since when there are reports: %w", err)
	}
	return since.UTC(), nil
}

// ReportSent reports whether the report of a span was sent at its time.
func (s *Store) ReportSent(ctx context.Context, span accounting.ReportSpan) (sent bool, err error) {
	err = s.pool.QueryRow(ctx, `-- name: report_sent
		SELECT EXISTS (SELECT FROM reports WHERE (period, of) = ($1, $2))`, string(span.Period), span.String()).Scan(&sent)
	if err != nil {
		return false, fmt.Errorf("look for the report of %s: %w", span, err)
	}
	return sent, nil
}

// SendReport keeps a report and raises the alert that it travels as, in one
// transaction and once for its span over all replicas. It reports whether this
// call did.
func (s *Store) SendReport(ctx context.Context, r *accounting.PeriodReport, a accounting.Alert) (sent bool, err error) {
	figures, err := json.Marshal(r)
	if err != nil {
		return false, fmt.Errorf("write the report of %s: %w", r.Of, err)
	}
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		sent = false
		tag, err := tx.Exec(ctx, `-- name: report_claim
			INSERT INTO reports (period, of, figures, made_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			string(r.Period), r.Of, json.RawMessage(figures), r.MadeAt)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if _, err := s.insertAlerts(ctx, tx, []accounting.Alert{a}); err != nil {
			return err
		}
		sent = true
		_, err = tx.Exec(ctx, `-- name: report_alert
			UPDATE reports SET alert_id = (SELECT id FROM alerts WHERE key = $3) WHERE (period, of) = ($1, $2)`, string(r.Period), r.Of, a.Key)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("send the report of %s: %w", r.Of, err)
	}
	return sent, nil
}

// SendReportNow raises the alert that a report travels as in the name of by,
// whether or not it was sent before; audited in the same transaction.
func (s *Store) SendReportNow(ctx context.Context, r *accounting.PeriodReport, a accounting.Alert, by string) (raised accounting.Alert, err error) {
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := s.insertAlerts(ctx, tx, []accounting.Alert{a}); err != nil {
			return err
		}
		if raised, err = findAlert(ctx, tx, `key = $1`, a.Key); err != nil {
			return err
		}
		return audit(ctx, tx, auditEntry{actor: by, action: accounting.ActionReportSend, subject: fmt.Sprintf("reports/%s/%s", r.Period, r.Of),
			after: map[string]any{"alert_id": raised.ID, "total": r.Spend.TotalEUR}})
	})
	if err != nil {
		return accounting.Alert{}, fmt.Errorf("send the report of %s by hand: %w", r.Of, err)
	}
	return raised, nil
}

// AlertsOf counts the alerts that were raised on the UTC days from from to to,
// both included, without reports, and lists the latest warnings and worse.
func (s *Store) AlertsOf(ctx context.Context, from, to accounting.Day) (accounting.ReportAlerts, error) {
	list := accounting.ReportAlerts{Latest: []accounting.ReportAlert{}}
	const those = `FROM alerts WHERE created_at >= $1 AND created_at < $2 AND kind NOT IN ('report', 'test')`
	err := s.pool.QueryRow(ctx, `-- name: alerts_count
		SELECT count(*) FILTER (WHERE severity = 'critical'), count(*) FILTER (WHERE severity = 'warning'), count(*) FILTER (WHERE severity = 'info') `+those,
		from.Start(), to.End()).Scan(&list.Critical, &list.Warning, &list.Info)
	if err != nil {
		return list, fmt.Errorf("count alerts of %s to %s: %w", from, to, err)
	}
	rows, err := s.pool.Query(ctx, `-- name: alerts_latest
		SELECT created_at, severity, title `+those+` AND severity <> 'info' ORDER BY created_at DESC, id DESC LIMIT $3`,
		from.Start(), to.End(), accounting.MaxReportAlerts)
	if err == nil {
		list.Latest, err = pgx.CollectRows(rows, func(cr pgx.CollectableRow) (a accounting.ReportAlert, err error) {
			err = cr.Scan(&a.At, &a.Severity, &a.Title)
			a.At = a.At.UTC()
			return a, err
		})
	}
	if err != nil {
		return list, fmt.Errorf("list alerts of %s to %s: %w", from, to, err)
	}
	list.Latest = orEmpty(list.Latest)
	return list, nil
}

// unverifiedTimeout is how long calls that are not verified are counted: there
// is no sum of them, and a report is not to wait for a hundred million rows.
const unverifiedTimeout = 10 * time.Second

// OpenOf counts what of the UTC days from from to to, both included, may still
// move: calls without a cost, and those whose cost nobody has confirmed, if
// that can be told within ten seconds.
func (s *Store) OpenOf(ctx context.Context, from, to accounting.Day) (open accounting.ReportOpen, err error) {
	err = s.pool.QueryRow(ctx, `-- name: report_open
		SELECT coalesce(sum(unsettled_calls), 0)::bigint FROM usage_daily
		WHERE dimension = 'all' AND campaign_id = '' AND day BETWEEN $1 AND $2`, from.Start(), to.Start()).Scan(&open.OpenCalls)
	if err != nil {
		return open, fmt.Errorf("count calls without a cost of %s to %s: %w", from, to, err)
	}
	limited, cancel := context.WithTimeout(ctx, unverifiedTimeout)
	defer cancel()
	var n int64
	err = s.pool.QueryRow(limited, `-- name: report_unverified
		SELECT count(*) FROM openrouter_usage WHERE created_at >= $1 AND created_at < $2 AND status = 'settled' AND verified_at IS NULL`,
		from.Start(), to.End()).Scan(&n)
	switch {
	case err == nil:
		open.UnverifiedCalls = &n
	case ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded):
		// It is not known, which the report says.
	default:
		return open, fmt.Errorf("count calls of %s to %s that are not verified: %w", from, to, err)
	}
	return open, nil
}
