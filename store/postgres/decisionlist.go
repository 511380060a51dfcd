package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

const decisionColumns = `id, created_at, verdict, reason, field, detail, campaign_id, email_id, lead_id, purpose, platform, key_fingerprint, endpoint,
		model, downgraded_to, bound_usd, bound_by, replica, usd_to_eur, stop_id, experiment_id, arm, arm_model, budgets, count, calls`

// decisionsSearched is how many decisions are looked at for one page, where no
// index finds those that are wanted: first some, and then at most as many as can
// be read in some ten milliseconds.
var decisionsSearched = [...]int{2_000, 20_000}

// ListDecisions returns one page of the decisions that match the filter, the
// newest first. Where that would take long, the search ends before the page is
// full, and the page says how far it went. Errors: [accounting.ErrBadCursor].
func (s *Store) ListDecisions(ctx context.Context, f accounting.DecisionFilter) (accounting.DecisionPage, error) {
	if f.Limit < 1 || f.Limit > accounting.MaxUsageRows {
		return accounting.DecisionPage{}, fmt.Errorf("list decisions: limit %d: want 1 to %d", f.Limit, accounting.MaxUsageRows)
	}
	after, err := parseCursor(f.Cursor)
	var page accounting.DecisionPage
	if err == nil {
		page, err = s.searchDecisions(ctx, &f, after)
	}
	if err != nil {
		return accounting.DecisionPage{}, fmt.Errorf("list decisions: %w", err)
	}
	return page, nil
}

func (s *Store) searchDecisions(ctx context.Context, f *accounting.DecisionFilter, after cursor) (accounting.DecisionPage, error) {
	var page accounting.DecisionPage
	var end cursor // none: all are looked at
	index, found := indexedDecisions(f)
	for _, n := range decisionsSearched {
		var err error
		if !found {
			if end, err = s.nthDecision(ctx, &index, after, n); err != nil {
				return page, err
			}
		}
		// One row more than asked for tells whether there is a next page.
		if page.Rows, err = queryDecisions(ctx, s.pool, listDecisionsSQL, append(decisionArgs(f, after), end.createdAt, end.id, f.Limit+1)...); err != nil {
			return page, err
		}
		if len(page.Rows) > f.Limit || end.createdAt == nil {
			break
		}
	}
	switch {
	case len(page.Rows) > f.Limit:
		page.Rows = page.Rows[:f.Limit]
		last := page.Rows[f.Limit-1]
		page.NextCursor = formatCursor(last.CreatedAt, last.ID)
	case end.createdAt != nil:
		page.SearchedTo = new(end.createdAt.UTC())
		page.NextCursor = formatCursor(*end.createdAt, accounting.RequestID(*end.id))
	}
	return page, nil
}

// indexedDecisions is the part of a filter for which there is an index. found:
// that is all of it, so those that are found are those that are wanted.
func indexedDecisions(f *accounting.DecisionFilter) (index accounting.DecisionFilter, found bool) {
	index = accounting.DecisionFilter{Since: f.Since, Until: f.Until}
	switch {
	case f.LeadID != "":
		index.LeadID = f.LeadID
	case f.EmailID != "":
		index.EmailID = f.EmailID
	case f.CampaignID != "":
		index.CampaignID = f.CampaignID
	case f.Reason != "":
		index.Reason = f.Reason
	case f.Verdict != accounting.VerdictAllowed:
		index.Verdict = f.Verdict
	}
	whole := *f
	whole.Limit, whole.Cursor = 0, ""
	return index, index == whole
}

// nthDecision is the nth decision that matches the filter, from the newest one
// on; none: there are fewer.
func (s *Store) nthDecision(ctx context.Context, f *accounting.DecisionFilter, after cursor, n int) (cursor, error) {
	var nth cursor
	err := s.pool.QueryRow(ctx, `-- name: decisions_nth
		SELECT created_at, id FROM budget_decisions `+decisionsWhere+`
		ORDER BY created_at DESC, id DESC OFFSET $13 LIMIT 1`, append(decisionArgs(f, after), n-1)...).Scan(&nth.createdAt, &nth.id)
	if errors.Is(err, pgx.ErrNoRows) {
		return cursor{}, nil
	}
	return nth, err
}

// As in listUsageSQL, a parameter that is NULL is no filter.
const decisionsWhere = `WHERE ($1::text IS NULL OR verdict = $1)
	  AND ($2::text IS NULL OR reason = $2)
	  AND ($3::text IS NULL OR budgets @> jsonb_build_array(jsonb_build_object('budget_id', $3::text)))
	  AND ($4::text IS NULL OR campaign_id = $4)
	  AND ($5::text IS NULL OR lead_id = $5)
	  AND ($6::text IS NULL OR email_id = $6)
	  AND ($7::text IS NULL OR purpose = $7)
	  AND ($8::text IS NULL OR model = $8)
	  AND ($9::timestamptz IS NULL OR created_at >= $9)
	  AND ($10::timestamptz IS NULL OR created_at < $10)
	  AND ($11::timestamptz IS NULL OR created_at <= $11 AND (created_at, id) < ($11, $12::uuid))`

const listDecisionsSQL = decisionsWhere + `
	  AND ($13::timestamptz IS NULL OR created_at >= $13 AND (created_at, id) >= ($13, $14::uuid))
	ORDER BY created_at DESC, id DESC
	LIMIT $15`

// decisionArgs are the parameters of decisionsWhere.
func decisionArgs(f *accounting.DecisionFilter, after cursor) []any {
	return []any{
		clean(string(f.Verdict)), clean(string(f.Reason)), clean(f.BudgetID), clean(f.CampaignID), clean(f.LeadID), clean(f.EmailID),
		clean(f.Purpose), clean(f.Model), timeOrNil(f.Since), timeOrNil(f.Until), after.createdAt, after.id,
	}
}

// mergedWithin is how far the first of merged refusals may lie from the others.
const mergedWithin = 10 * time.Second

// FindDecision returns the decision about a call, which may be one that stands
// for several. Errors: [accounting.ErrUnknownCall].
func (s *Store) FindDecision(ctx context.Context, id accounting.RequestID) (accounting.DecisionRow, error) {
	found, err := queryDecisions(ctx, s.pool, `WHERE id = $1 AND created_at = $2`, requestID(id), id.Time())
	if err == nil && len(found) == 0 {
		found, err = queryDecisions(ctx, s.pool, `WHERE created_at BETWEEN $2 AND $3 AND calls @> ARRAY[$1::uuid] LIMIT 1`,
			requestID(id), id.Time().Add(-mergedWithin), id.Time().Add(mergedWithin))
	}
	if err == nil && len(found) == 0 {
		err = accounting.ErrUnknownCall
	}
	if err != nil {
		return accounting.DecisionRow{}, fmt.Errorf("find decision about call %s: %w", id, err)
	}
	return found[0], nil
}

func queryDecisions(ctx context.Context, db querier, rest string, args ...any) ([]accounting.DecisionRow, error) {
	rows, err := db.Query(ctx, `-- name: decisions_list
		SELECT `+decisionColumns+` FROM budget_decisions `+rest, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanDecision)
}

func scanDecision(cr pgx.CollectableRow) (accounting.DecisionRow, error) {
	var r accounting.DecisionRow
	var calls []requestID
	err := cr.Scan((*requestID)(&r.ID), &r.CreatedAt, &r.Verdict, &r.Reason, &r.Field, &r.Detail, &r.CampaignID, &r.EmailID, &r.LeadID, &r.Purpose, &r.Platform,
		&r.KeyFingerprint, &r.Endpoint, &r.Model, &r.DowngradedTo, &r.BoundUSD, &r.BoundBy, &r.Replica, &r.USDToEUR, &r.StopID, &r.ExperimentID, &r.Arm, &r.ArmModel, &r.Budgets, &r.Count, &calls)
	r.CreatedAt = r.CreatedAt.UTC()
	r.Calls = make([]accounting.RequestID, len(calls))
	for i, id := range calls {
		r.Calls[i] = accounting.RequestID(id)
	}
	return r, err
}
