package postgres

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// auditEntry is what is added to the audit log. before and after are JSON
// objects, or nil where there was or is nothing.
type auditEntry struct {
	actor, action, subject string
	reason                 string // empty: none was given
	before, after          map[string]any
}

// audit writes an entry in the transaction of the change that it tells of, so
// that there is neither without the other.
func audit(ctx context.Context, tx pgx.Tx, e auditEntry) error {
	return auditAll(ctx, tx, []auditEntry{e})
}

// auditAll writes entries in their order.
func auditAll(ctx context.Context, tx pgx.Tx, entries []auditEntry) error {
	n := len(entries)
	actors, actions, subjects, reasons := make([]text, n), make([]string, n), make([]string, n), make([]text, n)
	before, after := make([]*string, n), make([]*string, n)
	for i := range entries {
		e := &entries[i]
		var errs [2]error
		actors[i], actions[i], subjects[i], reasons[i] = clean(e.actor), e.action, e.subject, clean(e.reason)
		before[i], errs[0] = jsonOrNull(e.before)
		after[i], errs[1] = jsonOrNull(e.after)
		if err := errors.Join(errs[:]...); err != nil {
			return fmt.Errorf("audit %s: %w", e.subject, err)
		}
	}
	if n == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, `-- name: audit_insert
		INSERT INTO audit_log (actor, action, subject, reason, before, after)
		SELECT actor, action, subject, reason, before::jsonb, after::jsonb
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
			WITH ORDINALITY AS e (actor, action, subject, reason, before, after, nth)
		ORDER BY nth`, actors, actions, subjects, reasons, before, after); err != nil {
		return fmt.Errorf("audit %s: %w", subjects[0], err)
	}
	return nil
}

func jsonOrNull(object map[string]any) (*string, error) {
	if object == nil {
		return nil, nil
	}
	document, err := json.Marshal(object)
	return new(string(document)), err
}

// ListAudit returns one page of what people changed, the newest entry first.
// Errors: [accounting.ErrBadCursor].
func (s *Store) ListAudit(ctx context.Context, f accounting.AuditFilter) (accounting.AuditPage, error) {
	if f.Limit < 1 || f.Limit > accounting.MaxUsageRows {
		return accounting.AuditPage{}, fmt.Errorf("list audit log: limit %d: want 1 to %d", f.Limit, accounting.MaxUsageRows)
	}
	before, err := parseAuditCursor(f.Cursor)
	if err != nil {
		return accounting.AuditPage{}, fmt.Errorf("list audit log: %w", err)
	}
	// One entry more than asked for tells whether there is a next page.
	rows, err := s.pool.Query(ctx, `-- name: audit_list
		SELECT id, at, actor, action, subject, reason, before, after
		FROM audit_log
		WHERE ($1::text IS NULL OR subject = $1) AND ($2::bigint IS NULL OR id < $2)
		ORDER BY id DESC
		LIMIT $3`, clean(f.Subject), before, f.Limit+1)
	if err != nil {
		return accounting.AuditPage{}, fmt.Errorf("list audit log: %w", err)
	}
	entries, err := pgx.CollectRows(rows, scanAudit)
	if err != nil {
		return accounting.AuditPage{}, fmt.Errorf("list audit log: %w", err)
	}
	page := accounting.AuditPage{Entries: entries}
	if len(entries) > f.Limit {
		page.Entries = entries[:f.Limit]
		page.NextCursor = formatAuditCursor(page.Entries[f.Limit-1].ID)
	}
	return page, nil
}

func scanAudit(cr pgx.CollectableRow) (accounting.AuditEntry, error) {
	var e accounting.AuditEntry
	err := cr.Scan(&e.ID, &e.At, &e.Actor, &e.Action, &e.Subject, &e.Reason, &e.Before, &e.After)
	e.At = e.At.UTC()
	return e, err
}

// formatAuditCursor writes the key of the last entry of a page.
func formatAuditCursor(id int64) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(id)))
}

func parseAuditCursor(s string) (*int64, error) {
	if s == "" {
		return nil, nil
	}
	buf, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(buf) != 8 {
		return nil, accounting.ErrBadCursor
	}
	id := int64(binary.BigEndian.Uint64(buf))
	if id < 1 {
		return nil, accounting.ErrBadCursor
	}
	return &id, nil
}
