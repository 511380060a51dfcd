package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// leadKey is the key of lead_processing_costs. The campaign is empty for calls
// without one.
type leadKey struct{ lead, campaign string }

func leadKeyOf(r *row) leadKey { return leadKey{string(r.leadID), string(r.campaignID)} }

func compareLeads(a, b leadKey) int {
	return cmp.Or(cmp.Compare(a.lead, b.lead), cmp.Compare(a.campaign, b.campaign))
}

// lead is a row of lead_processing_costs.
type lead struct {
	leadKey
	platform, value text
	cost, wasted    decimal.Decimal // USD
	tokens, calls   int64

	emailsSent, replies, meetings int64
	valueEUR                      decimal.Decimal

	processedAt, sentAt, repliedAt, convertedAt, bouncedAt, unsubscribedAt *time.Time
}

// leadDay is what leads add to the day of their first call.
type leadDay struct {
	leads, sent, replied, converted        int64
	cost                                   decimal.Decimal
	unsent, bounced, unsubscribed          int64
	unsentUSD, bouncedUSD, unsubscribedUSD decimal.Decimal
}

// day is the lead's part in lead_daily: nothing, before its first call.
func (l *lead) day() (placeKey, leadDay) {
	if l.processedAt == nil {
		return placeKey{}, leadDay{}
	}
	d := leadDay{
		leads: 1, sent: count(l.sentAt != nil), replied: count(l.repliedAt != nil), converted: count(l.convertedAt != nil),
		cost: l.cost,
	}
	switch inVain := l.cost.Sub(l.wasted); {
	case l.convertedAt != nil:
	case l.bouncedAt != nil:
		d.bounced, d.bouncedUSD = 1, inVain
	case l.unsubscribedAt != nil:
		d.unsubscribed, d.unsubscribedUSD = 1, inVain
	case l.sentAt == nil:
		d.unsent, d.unsentUSD = 1, inVain
	}
	key := placeKey{day: l.processedAt.UTC().Truncate(24 * time.Hour), campaign: l.campaign, platform: string(l.platform)}
	return key, d
}

// plus is d + sign × o; sign is 1 or -1.
func (d leadDay) plus(sign int64, o leadDay) leadDay {
	return leadDay{
		leads: d.leads + sign*o.leads, sent: d.sent + sign*o.sent,
		replied: d.replied + sign*o.replied, converted: d.converted + sign*o.converted,
		cost:   plus(d.cost, sign, o.cost),
		unsent: d.unsent + sign*o.unsent, bounced: d.bounced + sign*o.bounced, unsubscribed: d.unsubscribed + sign*o.unsubscribed,
		unsentUSD:       plus(d.unsentUSD, sign, o.unsentUSD),
		bouncedUSD:      plus(d.bouncedUSD, sign, o.bouncedUSD),
		unsubscribedUSD: plus(d.unsubscribedUSD, sign, o.unsubscribedUSD),
	}
}

func (d leadDay) isZero() bool {
	return d.leads == 0 && d.sent == 0 && d.replied == 0 && d.converted == 0 && d.cost.IsZero() &&
		d.unsent == 0 && d.bounced == 0 && d.unsubscribed == 0 &&
		d.unsentUSD.IsZero() && d.bouncedUSD.IsZero() && d.unsubscribedUSD.IsZero()
}

var leadDaily = newSums("lead_daily", byPlace, leadDay.isZero, placeColumns(""), []sumColumn[leadDay]{
	countOf("leads", func(d *leadDay) *int64 { return &d.leads }),
	countOf("sent_leads", func(d *leadDay) *int64 { return &d.sent }),
	countOf("replied_leads", func(d *leadDay) *int64 { return &d.replied }),
	countOf("converted_leads", func(d *leadDay) *int64 { return &d.converted }),
	amountOf("cost_usd", func(d *leadDay) *decimal.Decimal { return &d.cost }),
	countOf("unsent_leads", func(d *leadDay) *int64 { return &d.unsent }),
	amountOf("unsent_usd", func(d *leadDay) *decimal.Decimal { return &d.unsentUSD }),
	countOf("bounced_leads", func(d *leadDay) *int64 { return &d.bounced }),
	amountOf("bounced_usd", func(d *leadDay) *decimal.Decimal { return &d.bouncedUSD }),
	countOf("unsubscribed_leads", func(d *leadDay) *int64 { return &d.unsubscribed }),
	amountOf("unsubscribed_usd", func(d *leadDay) *decimal.Decimal { return &d.unsubscribedUSD }),
})

// leads are the leads that a transaction touches, locked.
type leads struct {
	was map[leadKey]lead  // as they are stored; not there: new
	now map[leadKey]*lead // with what the transaction adds
}

// lockLeads reads the leads under lock, in the order of their keys.
func lockLeads(ctx context.Context, tx pgx.Tx, keys map[leadKey]bool) (*leads, error) {
	found := &leads{was: make(map[leadKey]lead, len(keys)), now: make(map[leadKey]*lead, len(keys))}
	if len(keys) == 0 {
		return found, nil
	}
	ids, campaigns := make([]string, 0, len(keys)), make([]string, 0, len(keys))
	for _, k := range slices.SortedFunc(maps.Keys(keys), compareLeads) {
		ids, campaigns = append(ids, k.lead), append(campaigns, k.campaign)
		found.now[k] = &lead{leadKey: k}
	}
	// What is new is made first, so that two transactions cannot both make it.
	if _, err := tx.Exec(ctx, `-- name: leads_make
		INSERT INTO lead_processing_costs (lead_id, campaign_id)
		SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING`, ids, campaigns); err != nil {
		return nil, fmt.Errorf("make leads: %w", err)
	}
	rows, err := tx.Query(ctx, `-- name: leads_lock
		SELECT l.lead_id, l.campaign_id, l.platform, l.lead_value, l.cost_usd, l.wasted_usd, l.total_tokens, l.calls,
			l.emails_sent, l.replies, l.meetings, l.value_eur,
			l.processed_at, l.sent_at, l.replied_at, l.converted_at, l.bounced_at, l.unsubscribed_at
		FROM lead_processing_costs l
		JOIN unnest($1::text[], $2::text[]) AS wanted (lead_id, campaign_id) USING (lead_id, campaign_id)
		ORDER BY l.lead_id, l.campaign_id FOR UPDATE OF l`, ids, campaigns)
	if err != nil {
		return nil, fmt.Errorf("lock leads: %w", err)
	}
	var l lead
	_, err = pgx.ForEachRow(rows, []any{&l.lead, &l.leadKey.campaign, &l.platform, &l.value, &l.cost, &l.wasted, &l.tokens, &l.calls,
		&l.emailsSent, &l.replies, &l.meetings, &l.valueEUR,
		&l.processedAt, &l.sentAt, &l.repliedAt, &l.convertedAt, &l.bouncedAt, &l.unsubscribedAt}, func() error {
		stored := l
		found.was[l.leadKey] = l
		found.now[l.leadKey] = &stored
		l = lead{}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lock leads: %w", err)
	}
	return found, nil
}

// add moves a lead by the step of one of its calls; sign is 1 for what the call
// is now, -1 for what it was.
func (l *lead) add(sign int64, r *row) {
	cost := amount(r.cost)
	l.cost = plus(l.cost, sign, cost)
	l.tokens += sign * number(r.totalTokens)
	l.calls += sign
	if r.wasteKind() != "" {
		l.wasted = plus(l.wasted, sign, cost)
	}
	if sign < 0 {
		return
	}
	if l.processedAt == nil || r.createdAt.Before(*l.processedAt) {
		at := r.createdAt
		l.processedAt = &at
	}
	if r.platform != "" {
		l.platform = r.platform
	}
	if r.leadValue != "" {
		l.value = r.leadValue
	}
}

// save writes what has changed, and adds it to the days.
func (all *leads) save(ctx context.Context, tx pgx.Tx) error {
	changed := make([]*lead, 0, len(all.now))
	days := make(map[placeKey]leadDay)
	for k, l := range all.now {
		was := all.was[k]
		if l.calls == 0 {
			l.processedAt = nil
		}
		changed = append(changed, l)
		beforeKey, before := was.day()
		days[beforeKey] = days[beforeKey].plus(-1, before)
		nowKey, now := l.day()
		days[nowKey] = days[nowKey].plus(1, now)
	}
	if len(changed) == 0 {
		return nil
	}
	slices.SortFunc(changed, func(a, b *lead) int { return compareLeads(a.leadKey, b.leadKey) })
	a := newArrays()
	defer a.release()
	addLeads(a, changed)
	if _, err := a.query(ctx, tx, saveLeadsSQL, nil); err != nil {
		return fmt.Errorf("update leads: %w", err)
	}
	return leadDaily.post(ctx, tx, days)
}

const saveLeadsSQL = `-- name: leads_save
	UPDATE lead_processing_costs l SET
		platform = d.platform, lead_value = d.lead_value, cost_usd = d.cost_usd, wasted_usd = d.wasted_usd,
		total_tokens = d.total_tokens, calls = d.calls, emails_sent = d.emails_sent, replies = d.replies,
		meetings = d.meetings, value_eur = d.value_eur, processed_at = d.processed_at, sent_at = d.sent_at,
		replied_at = d.replied_at, converted_at = d.converted_at, bounced_at = d.bounced_at,
		unsubscribed_at = d.unsubscribed_at, updated_at = now()
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::numeric[], $7::bigint[], $8::bigint[],
		$9::bigint[], $10::bigint[], $11::bigint[], $12::numeric[],
		$13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::timestamptz[], $18::timestamptz[])
		AS d (lead_id, campaign_id, platform, lead_value, cost_usd, wasted_usd, total_tokens, calls,
			emails_sent, replies, meetings, value_eur,
			processed_at, sent_at, replied_at, converted_at, bounced_at, unsubscribed_at)
	WHERE l.lead_id = d.lead_id AND l.campaign_id = d.campaign_id`

// addLeads adds the columns of saveLeadsSQL.
func addLeads(a *arrays, rows []*lead) {
	addField(a, wireString, rows, func(l *lead) *string { return &l.lead })
	addField(a, wireString, rows, func(l *lead) *string { return &l.campaign })
	addField(a, wireText, rows, func(l *lead) *text { return &l.platform })
	addField(a, wireText, rows, func(l *lead) *text { return &l.value })
	addField(a, wireSum, rows, func(l *lead) *decimal.Decimal { return &l.cost })
	addField(a, wireSum, rows, func(l *lead) *decimal.Decimal { return &l.wasted })
	addField(a, wireCount, rows, func(l *lead) *int64 { return &l.tokens })
	addField(a, wireCount, rows, func(l *lead) *int64 { return &l.calls })
	addField(a, wireCount, rows, func(l *lead) *int64 { return &l.emailsSent })
	addField(a, wireCount, rows, func(l *lead) *int64 { return &l.replies })
	addField(a, wireCount, rows, func(l *lead) *int64 { return &l.meetings })
	addField(a, wireSum, rows, func(l *lead) *decimal.Decimal { return &l.valueEUR })
	for _, at := range []func(*lead) **time.Time{
		func(l *lead) **time.Time { return &l.processedAt }, func(l *lead) **time.Time { return &l.sentAt },
		func(l *lead) **time.Time { return &l.repliedAt }, func(l *lead) **time.Time { return &l.convertedAt },
		func(l *lead) **time.Time { return &l.bouncedAt }, func(l *lead) **time.Time { return &l.unsubscribedAt },
	} {
		addField(a, wireOptionalTime, rows, at)
	}
}

// addField appends one field of every row as one parameter.
func addField[R, T any](a *arrays, w wireType[T], rows []*R, field func(*R) *T) {
	add(a, w, len(rows), func(i int) *T { return field(rows[i]) })
}

// each is one field of every row.
func each[R, T any](rows []R, field func(R) T) []T {
	values := make([]T, len(rows))
	for i, r := range rows {
		values[i] = field(r)
	}
	return values
}
