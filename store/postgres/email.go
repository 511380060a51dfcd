package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// emailKey is the key of email_costs.
type emailKey struct{ email, purpose string }

func emailKeyOf(r *row) emailKey { return emailKey{string(r.emailID), string(r.purpose)} }

func compareEmails(a, b emailKey) int {
	return cmp.Or(cmp.Compare(a.email, b.email), cmp.Compare(a.purpose, b.purpose))
}

// email is a row of email_costs.
type email struct {
	emailKey
	cost          decimal.Decimal
	tokens, calls int64
	drafts        int64
	draftsCost    decimal.Decimal
	last          draft // zero: there is none
	createdAt     time.Time
}

// draft is a call that wrote an email.
type draft struct {
	id       requestID
	cost     decimal.Decimal
	campaign text
	lead     text
	platform text
}

func (d *draft) day() time.Time { return d.id.time().Truncate(24 * time.Hour) }

// known is the id of the call, nil if there is none.
func (d *draft) known() *requestID {
	if d.id == (requestID{}) {
		return nil
	}
	return &d.id
}

func draftOf(r *row) draft {
	return draft{id: r.id, cost: amount(r.cost), campaign: r.campaignID, lead: r.leadID, platform: r.platform}
}

// isDraft reports whether the call brought a whole answer for an email. One
// whose cost is still open did, as far as is known.
func (r *row) isDraft() bool {
	return r.emailID != "" && r.wasteKind() == "" && !r.is(accounting.StatusDismissed, accounting.StatusInterrupted)
}

// lockEmails reads the emails under lock, in the order of their keys. Those that
// are new are made, as of the time that firsts has for them.
func lockEmails(ctx context.Context, tx pgx.Tx, firsts map[emailKey]time.Time) (map[emailKey]*email, error) {
	found := make(map[emailKey]*email, len(firsts))
	if len(firsts) == 0 {
		return found, nil
	}
	keys := slices.SortedFunc(maps.Keys(firsts), compareEmails)
	ids := each(keys, func(k emailKey) string { return k.email })
	purposes := each(keys, func(k emailKey) string { return k.purpose })
	if _, err := tx.Exec(ctx, `-- name: emails_make
		INSERT INTO email_costs (email_id, purpose, created_at)
		SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[]) ON CONFLICT DO NOTHING`,
		ids, purposes, each(keys, func(k emailKey) time.Time { return firsts[k] })); err != nil {
		return nil, fmt.Errorf("make emails: %w", err)
	}
	rows, err := tx.Query(ctx, `-- name: emails_lock
		SELECT e.email_id, e.purpose, e.cost_usd, e.total_tokens, e.calls, e.drafts, e.drafts_usd,
			e.last_draft, e.last_draft_usd, e.campaign_id, e.lead_id, e.platform, e.created_at
		FROM email_costs e
		JOIN unnest($1::text[], $2::text[]) AS wanted (email_id, purpose) USING (email_id, purpose)
		ORDER BY e.email_id, e.purpose FOR UPDATE OF e`, ids, purposes)
	if err != nil {
		return nil, fmt.Errorf("lock emails: %w", err)
	}
	var e email
	var last *requestID
	_, err = pgx.ForEachRow(rows, []any{&e.email, &e.purpose, &e.cost, &e.tokens, &e.calls, &e.drafts, &e.draftsCost,
		&last, &e.last.cost, &e.last.campaign, &e.last.lead, &e.last.platform, &e.createdAt}, func() error {
		stored := e
		if last != nil {
			stored.last.id = *last
		}
		found[e.emailKey] = &stored
		e, last = email{}, nil
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lock emails: %w", err)
	}
	return found, nil
}

// add moves an email by the step of one of its calls, without its drafts; sign
// is 1 for what the call is now, -1 for what it was.
func (e *email) add(sign int64, r *row) {
	e.cost = plus(e.cost, sign, amount(r.cost))
	e.tokens += sign * number(r.totalTokens)
	e.calls += sign
	if sign > 0 && r.createdAt.Before(e.createdAt) {
		e.createdAt = r.createdAt
	}
}

// redraft is told of each draft that is written over (sign 1), or no longer is
// (-1).
type redraft func(sign int64, d draft)

// addDraft notes another draft: it, or the last one before it, is in vain.
func (e *email) addDraft(d draft, inVain redraft) {
	e.drafts++
	e.draftsCost = e.draftsCost.Add(d.cost)
	switch {
	case e.last.id == requestID{}:
		e.last = d
	case e.last.id.before(d.id):
		inVain(1, e.last)
		e.last = d
	default:
		inVain(1, d)
	}
}

// changeDraft notes what has become of a draft.
func (e *email) changeDraft(was, now draft, inVain redraft) {
	e.draftsCost = e.draftsCost.Add(now.cost).Sub(was.cost)
	if e.last.id == now.id {
		e.last = now
		return
	}
	inVain(-1, was)
	inVain(1, now)
}

// dropDraft notes that a call is no draft any more. before finds the draft
// that is the last one then.
func (e *email) dropDraft(was draft, inVain redraft, before func(emailKey, requestID) (draft, error)) error {
	e.drafts--
	e.draftsCost = e.draftsCost.Sub(was.cost)
	if e.last.id != was.id {
		inVain(-1, was)
		return nil
	}
	last, err := before(e.emailKey, was.id)
	if err != nil {
		return err
	}
	if e.last = last; last.id != (requestID{}) {
		inVain(-1, last)
	}
	return nil
}

// draftBefore is the latest draft of an email before a call, as the rows have
// it; zero if there is none.
func draftBefore(ctx context.Context, tx pgx.Tx, k emailKey, id requestID) (draft, error) {
	var d draft
	var cost *decimal.Decimal
	err := tx.QueryRow(ctx, `-- name: draft_before
		SELECT id, cost_usd, campaign_id, lead_id, platform FROM openrouter_usage
		WHERE email_id = $1 AND coalesce(purpose, '') = $2 AND id < $3 AND `+isDraftSQL+`
		ORDER BY id DESC LIMIT 1`, k.email, k.purpose, id).Scan(&d.id, &cost, &d.campaign, &d.lead, &d.platform)
	if errors.Is(err, pgx.ErrNoRows) {
		return draft{}, nil
	}
	if err != nil {
		return draft{}, fmt.Errorf("find the draft before %s: %w", accounting.RequestID(id), err)
	}
	d.cost = amount(cost)
	return d, nil
}

// The same as row.wasteKind and row.isDraft, for the rows that are stored.
const (
	wasteKindSQL = `CASE WHEN status = 'failed' OR error IS NOT NULL THEN 'failed'
		WHEN cancelled THEN 'cancelled'
		WHEN finish_reason IN ('length', 'max_tokens', 'max_output_tokens') THEN 'truncated' END`
	isDraftSQL = `email_id IS NOT NULL AND status NOT IN ('failed', 'dismissed', 'interrupted') AND error IS NULL AND NOT cancelled
		AND coalesce(finish_reason, '') NOT IN ('length', 'max_tokens', 'max_output_tokens')`
)

// saveEmails writes emails that have changed.
func saveEmails(ctx context.Context, tx pgx.Tx, emails map[emailKey]*email) error {
	if len(emails) == 0 {
		return nil
	}
	rows := slices.SortedFunc(maps.Values(emails), func(a, b *email) int { return compareEmails(a.emailKey, b.emailKey) })
	a := newArrays()
	defer a.release()
	addField(a, wireString, rows, func(e *email) *string { return &e.email })
	addField(a, wireString, rows, func(e *email) *string { return &e.purpose })
	addField(a, wireSum, rows, func(e *email) *decimal.Decimal { return &e.cost })
	addField(a, wireCount, rows, func(e *email) *int64 { return &e.tokens })
	addField(a, wireCount, rows, func(e *email) *int64 { return &e.calls })
	addField(a, wireCount, rows, func(e *email) *int64 { return &e.drafts })
	addField(a, wireSum, rows, func(e *email) *decimal.Decimal { return &e.draftsCost })
	addField(a, wireOptionalID, rows, func(e *email) **requestID { return new(e.last.known()) })
	addField(a, wireSum, rows, func(e *email) *decimal.Decimal { return &e.last.cost })
	addField(a, wireString, rows, func(e *email) *string { return (*string)(&e.last.campaign) })
	addField(a, wireText, rows, func(e *email) *text { return &e.last.lead })
	addField(a, wireText, rows, func(e *email) *text { return &e.last.platform })
	addField(a, wireTime, rows, func(e *email) *time.Time { return &e.createdAt })
	_, err := a.query(ctx, tx, `-- name: emails_save
		UPDATE email_costs e SET
			cost_usd = d.cost_usd, total_tokens = d.total_tokens, calls = d.calls, drafts = d.drafts, drafts_usd = d.drafts_usd,
			last_draft = d.last_draft, last_draft_usd = d.last_draft_usd, campaign_id = d.campaign_id, lead_id = d.lead_id,
			platform = d.platform, created_at = d.created_at, updated_at = now()
		FROM unnest($1::text[], $2::text[], $3::numeric[], $4::bigint[], $5::bigint[], $6::bigint[], $7::numeric[],
			$8::uuid[], $9::numeric[], $10::text[], $11::text[], $12::text[], $13::timestamptz[])
			AS d (email_id, purpose, cost_usd, total_tokens, calls, drafts, drafts_usd,
				last_draft, last_draft_usd, campaign_id, lead_id, platform, created_at)
		WHERE e.email_id = d.email_id AND e.purpose = d.purpose`, nil)
	if err != nil {
		return fmt.Errorf("update emails: %w", err)
	}
	return nil
}
