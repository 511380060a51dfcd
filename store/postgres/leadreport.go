package postgres

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

const leadColumns = `lead_id, campaign_id, platform, lead_value, cost_usd, wasted_usd, total_tokens, calls, emails_sent, replies, meetings, value_eur,
		processed_at, sent_at, replied_at, converted_at, bounced_at, unsubscribed_at`

// leadStates are the conditions of the states by which leads are listed.
var leadStates = map[accounting.LeadState]string{
	"":                       `true`,
	accounting.LeadUnsent:    `sent_at IS NULL`,
	accounting.LeadSent:      `sent_at IS NOT NULL`,
	accounting.LeadReplied:   `replied_at IS NOT NULL`,
	accounting.LeadConverted: `converted_at IS NOT NULL`,
	accounting.LeadLost:      `(bounced_at IS NOT NULL OR unsubscribed_at IS NOT NULL)`,
}

// ListLeads returns the leads that match, those whose first call was last
// first. Errors: [accounting.ErrBadCursor].
func (s *Store) ListLeads(ctx context.Context, f accounting.LeadFilter) (accounting.LeadPage, error) {
	state, ok := leadStates[f.State]
	if !ok || f.Limit < 1 || f.Limit > accounting.MaxUsageRows {
		return accounting.LeadPage{}, fmt.Errorf("list leads: state %q, limit %d", f.State, f.Limit)
	}
	after, err := parseLeadCursor(f.Cursor)
	if err != nil {
		return accounting.LeadPage{}, err
	}
	rows, err := s.pool.Query(ctx, `-- name: leads_list
		SELECT `+leadColumns+` FROM lead_processing_costs
		WHERE processed_at IS NOT NULL AND ($1::text IS NULL OR campaign_id = $1)
		  AND ($2::timestamptz IS NULL OR processed_at >= $2) AND ($3::timestamptz IS NULL OR processed_at < $3)
		  AND ($4::timestamptz IS NULL OR (processed_at, lead_id, campaign_id) < ($4, $5, $6)) AND `+state+`
		ORDER BY processed_at DESC, lead_id DESC, campaign_id DESC LIMIT $7`,
		f.CampaignID, orNull(f.Since), orNull(f.Until), after.at, after.lead, after.campaign, f.Limit+1)
	if err == nil {
		var list []accounting.LeadRow
		if list, err = pgx.CollectRows(rows, scanLead); err == nil {
			page := accounting.LeadPage{Rows: list}
			if len(list) > f.Limit {
				page.Rows = list[:f.Limit]
				page.NextCursor = leadCursorOf(&page.Rows[f.Limit-1])
			}
			return page, nil
		}
	}
	return accounting.LeadPage{}, fmt.Errorf("list leads: %w", err)
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func scanLead(cr pgx.CollectableRow) (accounting.LeadRow, error) {
	var l accounting.LeadRow
	err := cr.Scan(&l.LeadID, &l.CampaignID, &l.Platform, &l.LeadValue, &l.CostUSD, &l.WastedUSD, &l.TotalTokens, &l.Calls,
		&l.EmailsSent, &l.Replies, &l.Meetings, &l.ValueEUR, &l.ProcessedAt, &l.SentAt, &l.RepliedAt, &l.ConvertedAt, &l.BouncedAt, &l.UnsubscribedAt)
	for _, at := range []*time.Time{l.ProcessedAt, l.SentAt, l.RepliedAt, l.ConvertedAt, l.BouncedAt, l.UnsubscribedAt} {
		if at != nil {
			*at = at.UTC()
		}
	}
	return l, err
}

// leadCursor is the last lead of a page.
type leadCursor struct {
	at             *time.Time
	lead, campaign string
}

func leadCursorOf(l *accounting.LeadRow) string {
	parts := []string{l.ProcessedAt.Format(time.RFC3339Nano), l.LeadID, l.CampaignID}
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join(parts, "\x00")))
}

func parseLeadCursor(s string) (leadCursor, error) {
	if s == "" {
		return leadCursor{}, nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(s)
	parts := strings.Split(string(decoded), "\x00")
	if err != nil || len(parts) != 3 {
		return leadCursor{}, accounting.ErrBadCursor
	}
	at, err := time.Parse(time.RFC3339Nano, parts[0])
	if err != nil {
		return leadCursor{}, accounting.ErrBadCursor
	}
	return leadCursor{&at, parts[1], parts[2]}, nil
}

// FindLead returns a lead, once for each campaign that it is in. Errors:
// [accounting.ErrUnknownLead].
func (s *Store) FindLead(ctx context.Context, id string) ([]accounting.LeadRow, error) {
	rows, err := s.pool.Query(ctx, `-- name: lead_find
		SELECT `+leadColumns+` FROM lead_processing_costs WHERE lead_id = $1 ORDER BY processed_at DESC NULLS LAST, campaign_id LIMIT $2`,
		id, accounting.MaxUsageRows)
	if err == nil {
		var list []accounting.LeadRow
		if list, err = pgx.CollectRows(rows, scanLead); err == nil && len(list) == 0 {
			err = accounting.ErrUnknownLead
		}
		if err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("find lead %s: %w", clean(id), err)
}

// ListActivities returns the activities of a lead or an email (the other one is
// empty), the latest first, reversed ones included.
func (s *Store) ListActivities(ctx context.Context, lead, email string, limit int) ([]accounting.ActivityRow, error) {
	column, id := "lead_id", lead
	if email != "" {
		column, id = "email_id", email
	}
	rows, err := s.pool.Query(ctx, `-- name: activities_list
		SELECT id, type, campaign_id, lead_id, email_id, platform, value, currency, metadata, source, occurred_at, reversed_at
		FROM activities WHERE `+column+` = $1 ORDER BY occurred_at DESC, id DESC LIMIT $2`, id, limit)
	if err == nil {
		var list []accounting.ActivityRow
		if list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[accounting.ActivityRow]); err == nil {
			for i := range list {
				list[i].OccurredAt = list[i].OccurredAt.UTC()
			}
			return list, nil
		}
	}
	return nil, fmt.Errorf("list activities of %s: %w", clean(id), err)
}

// FindEmail returns what an email has cost, once for each purpose. Errors:
// [accounting.ErrUnknownEmail], if it has activities only as well.
func (s *Store) FindEmail(ctx context.Context, id string) ([]accounting.EmailRow, error) {
	rows, err := s.pool.Query(ctx, `-- name: email_find
		SELECT email_id, purpose, campaign_id, lead_id, cost_usd, total_tokens, calls, drafts, drafts_usd - last_draft_usd, created_at
		FROM email_costs WHERE email_id = $1 AND calls > 0 ORDER BY purpose`, id)
	if err == nil {
		var list []accounting.EmailRow
		if list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[accounting.EmailRow]); err == nil && len(list) == 0 {
			err = accounting.ErrUnknownEmail
		}
		if err == nil {
			for i := range list {
				list[i].CreatedAt = list[i].CreatedAt.UTC()
			}
			return list, nil
		}
	}
	return nil, fmt.Errorf("find email %s: %w", clean(id), err)
}

// ListSequences returns the sequences of a campaign, the dearest first.
func (s *Store) ListSequences(ctx context.Context, campaign string, limit int) ([]accounting.SequenceRow, error) {
	rows, err := s.pool.Query(ctx, `-- name: sequences_list
		SELECT sequence_id, campaign_id, cost_usd, total_tokens, calls, first_at FROM sequence_costs
		WHERE campaign_id = $1 ORDER BY cost_usd DESC, sequence_id LIMIT $2`, campaign, limit)
	if err == nil {
		var list []accounting.SequenceRow
		if list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[accounting.SequenceRow]); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("list sequences of campaign %s: %w", clean(campaign), err)
}
