package postgres

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// ListUsage returns one page of the rows that match the filter, the newest
// call first. Pages are cut by key, not by offset: a row that arrives between
// two pages moves none of the others. Errors: [accounting.ErrBadCursor].
func (s *Store) ListUsage(ctx context.Context, f accounting.UsageFilter) (accounting.UsagePage, error) {
	if f.Limit < 1 || f.Limit > accounting.MaxUsageRows {
		return accounting.UsagePage{}, fmt.Errorf("list usage: limit %d: want 1 to %d", f.Limit, accounting.MaxUsageRows)
	}
	after, err := parseCursor(f.Cursor)
	if err != nil {
		return accounting.UsagePage{}, fmt.Errorf("list usage: %w", err)
	}
	found, err := s.listUsage(ctx, &f, after)
	if err != nil {
		return accounting.UsagePage{}, fmt.Errorf("list usage: %w", err)
	}
	page := accounting.UsagePage{Rows: found}
	if len(found) > f.Limit {
		page.Rows = found[:f.Limit]
		last := page.Rows[f.Limit-1]
		page.NextCursor = formatCursor(last.CreatedAt, last.ID)
	}
	return page, nil
}

func (s *Store) listUsage(ctx context.Context, f *accounting.UsageFilter, after cursor) ([]accounting.UsageRow, error) {
	sql, args := listUsageSQL, usageArgs(f, after)
	if combinesTags(f) {
		hours, err := s.usageHours(ctx, f, after)
		switch {
		case err != nil:
			return nil, err
		case len(hours) == 0:
			return []accounting.UsageRow{}, nil
		case f.Status == "": // of how many calls an hour has in a status nothing is told
			sql, args = listUsageHoursSQL, append(args, hours)
		}
	}
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanUsage)
}

// FindUsage returns the row of one call. Errors: [accounting.ErrUnknownCall].
func (s *Store) FindUsage(ctx context.Context, id accounting.RequestID) (accounting.UsageRow, error) {
	return findUsage(ctx, s.pool, id)
}

func findUsage(ctx context.Context, db querier, id accounting.RequestID) (accounting.UsageRow, error) {
	rows, err := db.Query(ctx, `-- name: usage_find
	SELECT `+usageColumns+` FROM openrouter_usage WHERE id = $1 AND created_at = $2`, requestID(id), id.Time())
	if err != nil {
		return accounting.UsageRow{}, fmt.Errorf("find call %s: %w", id, err)
	}
	row, err := pgx.CollectExactlyOneRow(rows, scanUsage)
	if errors.Is(err, pgx.ErrNoRows) {
		err = accounting.ErrUnknownCall
	}
	if err != nil {
		return accounting.UsageRow{}, fmt.Errorf("find call %s: %w", id, err)
	}
	return row, nil
}

// querier is the pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// usageColumns are those that scanUsage reads.
const usageColumns = `id, generation_id, campaign_id, email_id, lead_id, sequence_id, platform, lead_value, purpose, metadata,
		model, requested_model, provider, endpoint, status, http_status, finish_reason,
		prompt_tokens, completion_tokens, total_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
		is_byok, cost_usd, inline_cost_usd, generation_cost_usd, upstream_inference_cost_usd, estimated_cost_usd,
		cost_source, verified_at, settle_error, job_id, key_fingerprint, duration_ms, time_to_first_token_ms,
		streamed, cancelled, error, created_at, updated_at`

// A parameter that is NULL stands for a filter that is not set. PostgreSQL
// plans the statement with the values at hand and drops those terms, so each
// filter still finds its index.
const usageFilterSQL = `($1::text IS NULL OR campaign_id = $1)
	  AND ($2::text IS NULL OR email_id = $2)
	  AND ($3::text IS NULL OR lead_id = $3)
	  AND ($4::text IS NULL OR sequence_id = $4)
	  AND ($5::text IS NULL OR purpose = $5)
	  AND ($6::text IS NULL OR platform = $6)
	  AND ($7::text IS NULL OR model = $7)
	  AND ($8::text IS NULL OR status = $8)
	  AND ($9::text IS NULL OR generation_id = $9)
	  AND ($10::timestamptz IS NULL OR created_at >= $10)
	  AND ($11::timestamptz IS NULL OR created_at < $11)`

// usageArgs are the parameters of a page: those of usageFilterSQL, the row after
// which it begins, and one row more than asked for, which tells whether there is
// a next page.
func usageArgs(f *accounting.UsageFilter, after cursor) []any {
	return []any{
		clean(f.CampaignID), clean(f.EmailID), clean(f.LeadID), clean(f.SequenceID), clean(f.Purpose),
		clean(f.Platform), clean(f.Model), clean(string(f.Status)), clean(f.GenerationID),
		timeOrNil(f.Since), timeOrNil(f.Until), after.createdAt, after.id, f.Limit + 1,
	}
}

// created_at <= $12 says nothing new, but only so are the newer months left out:
// partitions are not pruned by a row comparison.
const listUsageSQL = `-- name: usage_list
	SELECT ` + usageColumns + `
	FROM openrouter_usage
	WHERE ` + usageFilterSQL + `
	  AND ($12::timestamptz IS NULL OR created_at <= $12 AND (created_at, id) < ($12, $13::uuid))
	ORDER BY created_at DESC, id DESC
	LIMIT $14`

func scanUsage(cr pgx.CollectableRow) (accounting.UsageRow, error) {
	var r accounting.UsageRow
	err := cr.Scan((*requestID)(&r.ID), &r.GenerationID, &r.CampaignID, &r.EmailID, &r.LeadID, &r.SequenceID,
		&r.Platform, &r.LeadValue, &r.Purpose, &r.Metadata,
		&r.Model, &r.RequestedModel, &r.Provider, &r.Endpoint, &r.Status, &r.HTTPStatus, &r.FinishReason,
		&r.PromptTokens, &r.CompletionTokens, &r.TotalTokens, &r.CachedTokens, &r.CacheWriteTokens, &r.ReasoningTokens,
		&r.IsBYOK, &r.CostUSD, &r.InlineCostUSD, &r.GenerationCostUSD, &r.UpstreamInferenceCostUSD, &r.EstimatedCostUSD,
		&r.CostSource, &r.VerifiedAt, &r.SettleError, &r.JobID, &r.KeyFingerprint, &r.DurationMS, &r.TimeToFirstTokenMS,
		&r.Streamed, &r.Cancelled, &r.Error, &r.CreatedAt, &r.UpdatedAt)
	r.CreatedAt, r.UpdatedAt = r.CreatedAt.UTC(), r.UpdatedAt.UTC()
	if r.VerifiedAt != nil {
		*r.VerifiedAt = r.VerifiedAt.UTC()
	}
	return r, err
}

// cursor is the last row of a page. Both nil: there is no page before.
type cursor struct {
	createdAt *time.Time
	id        *requestID
}

// formatCursor writes the key of a row: 8 bytes of Unix microseconds, which is
// PostgreSQL's resolution, and 16 bytes of id.
func formatCursor(createdAt time.Time, id accounting.RequestID) string {
	buf := binary.BigEndian.AppendUint64(nil, uint64(createdAt.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(buf, id[:]...))
}

func parseCursor(s string) (cursor, error) {
	if s == "" {
		return cursor{}, nil
	}
	buf, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(buf) != 8+16 {
		return cursor{}, accounting.ErrBadCursor
	}
	createdAt := time.UnixMicro(int64(binary.BigEndian.Uint64(buf))).UTC()
	if y := createdAt.Year(); y < 0 || y > 10_999 { // beyond any RequestID
		return cursor{}, accounting.ErrBadCursor
	}
	id := requestID(buf[8:])
	return cursor{createdAt: &createdAt, id: &id}, nil
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
