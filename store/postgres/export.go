package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// ExportUsage returns one page of the calls that match the filter, the oldest
// first, each with the exchange rate of its day. Pages are cut by key and each
// is a statement of its own: however slowly an export is read, no transaction
// stays open that would keep the database from cleaning up, and no row is in two
// pages. A row is as it stood when its page was read; one that arrives behind
// the page being read is in a later one. Errors: [accounting.ErrBadCursor].
func (s *Store) ExportUsage(ctx context.Context, f accounting.UsageFilter) (accounting.ExportPage, error) {
	if f.Limit < 1 || f.Limit > accounting.MaxUsageRows {
		return accounting.ExportPage{}, fmt.Errorf("export usage: limit %d: want 1 to %d", f.Limit, accounting.MaxUsageRows)
	}
	after, err := parseCursor(f.Cursor)
	if err != nil {
		return accounting.ExportPage{}, fmt.Errorf("export usage: %w", err)
	}
	rows, err := s.pool.Query(ctx, exportUsageSQL, append(usageArgs(&f, after), s.opts.USDToEURRate)...)
	if err != nil {
		return accounting.ExportPage{}, fmt.Errorf("export usage: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanExport)
	if err != nil {
		return accounting.ExportPage{}, fmt.Errorf("export usage: %w", err)
	}
	page := accounting.ExportPage{Rows: found}
	if len(found) > f.Limit {
		page.Rows = found[:f.Limit]
		last := &page.Rows[f.Limit-1]
		page.NextCursor = formatCursor(last.CreatedAt, last.ID)
	}
	return page, nil
}

// As in listUsageSQL, created_at >= $12 is there for the partitions that it
// leaves out. The rate is that of ratesSQL, for the day of each row.
const exportUsageSQL = `-- name: usage_export
	SELECT ` + usageColumns + `,
		coalesce((SELECT x.usd_to_eur FROM exchange_rates x
			WHERE x.day <= (u.created_at AT TIME ZONE 'UTC')::date ORDER BY x.day DESC LIMIT 1), $15::numeric)
	FROM openrouter_usage u
	WHERE ` + usageFilterSQL + `
	  AND ($12::timestamptz IS NULL OR created_at >= $12 AND (created_at, id) > ($12, $13::uuid))
	ORDER BY created_at, id
	LIMIT $14`

func scanExport(row pgx.CollectableRow) (r accounting.ExportRow, err error) {
	r.UsageRow, err = scanUsage(oneMore{row, &r.USDToEUR})
	return r, err
}

// oneMore is a row with one column more than its scan knows of, the last.
type oneMore struct {
	pgx.CollectableRow
	last any
}

// Scan implements [pgx.CollectableRow].
func (r oneMore) Scan(dest ...any) error { return r.CollectableRow.Scan(append(dest, r.last)...) }
