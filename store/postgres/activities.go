package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// RecordActivities records what happened in campaigns, all or none, and moves
// the leads, days and months that count it. An activity whose id is known
// changes nothing, so a batch may be sent again. The answers are in the order
// of the activities.
func (s *Store) RecordActivities(ctx context.Context, list []accounting.CampaignActivity) ([]accounting.RecordedActivity, error) {
	recorded := make([]accounting.RecordedActivity, len(list))
	rows := make([]*activity, len(list))
	for i, a := range list {
		rows[i] = s.receiveActivity(a)
	}
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		book, err := s.readBook(ctx, tx)
		if err != nil {
			return err
		}
		if err := s.convertValues(ctx, tx, rows); err != nil {
			return err
		}
		fresh, err := s.insertActivities(ctx, tx, book, rows)
		if err != nil {
			return err
		}
		for i, a := range rows {
			recorded[i] = accounting.RecordedActivity{ID: string(a.id), New: fresh[a], Booked: a.booked}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("record %d activities: %w", len(list), err)
	}
	return recorded, nil
}

// activity is a row of activities.
type activity struct {
	id                              text
	kind                            accounting.ActivityType
	campaign, lead, email, platform text
	value, valueEUR                 *decimal.Decimal
	currency                        text
	metadata                        metadata
	source                          text
	occurredAt                      time.Time
	booked                          accounting.Month
}

func (s *Store) receiveActivity(a accounting.CampaignActivity) *activity {
	r := &activity{
		id: clean(a.ID), kind: a.Type, campaign: clean(a.CampaignID), lead: clean(a.LeadID), email: clean(a.EmailID),
		platform: clean(a.Platform), value: a.Value.Pointer(), source: clean(cmp.Or(a.Source, "api")), occurredAt: a.OccurredAt.UTC(),
	}
	if r.id == "" {
		r.id = text(accounting.NewRequestID(s.now(), rand.Uint64(), rand.Uint64()).String())
	}
	if len(a.Metadata) > 0 {
		r.metadata = make(metadata, len(a.Metadata))
		for name, value := range a.Metadata {
			r.metadata[string(clean(name))] = string(clean(value))
		}
	}
	if r.value != nil {
		r.currency, r.valueEUR = text(a.Currency), r.value
	}
	return r
}

// convertValues converts values told in USD at the rate of the day on which it
// happened, as calls are: so it does not matter when an activity is recorded.
func (s *Store) convertValues(ctx context.Context, tx pgx.Tx, rows []*activity) error {
	rates := make(map[time.Time]decimal.Decimal)
	for _, a := range rows {
		if a.isInDollars() {
			rates[a.day()] = decimal.Decimal{}
		}
	}
	if err := readRates(ctx, tx, rates); err != nil {
		return err
	}
	for _, a := range rows {
		if a.isInDollars() {
			eur := a.value.Mul(rates[a.day()])
			a.valueEUR = &eur
		}
	}
	return nil
}

func (a *activity) isInDollars() bool       { return a.value != nil && a.currency == text(accounting.USD) }
func (a *activity) day() time.Time          { return a.occurredAt.Truncate(24 * time.Hour) }
func (a *activity) month() accounting.Month { return accounting.MonthOf(a.occurredAt) }
func (a *activity) leadKey() leadKey        { return leadKey{string(a.lead), string(a.campaign)} }
func (a *activity) dayKey() placeKey {
	return placeKey{a.day(), string(a.campaign), string(a.platform), string(a.kind)}
}

// insertActivities inserts those that are new, and returns which those are. The
// leads come before the months, as everywhere.
func (s *Store) insertActivities(ctx context.Context, tx pgx.Tx, book *book, rows []*activity) (map[*activity]bool, error) {
	first := make(map[text]*activity, len(rows)) // of several with one id, the first
	for _, a := range rows {
		if first[a.id] == nil {
			first[a.id] = a
		}
	}
	fresh, err := s.newActivities(ctx, tx, first)
	if err != nil {
		return nil, fmt.Errorf("insert activities: %w", err)
	}
	added := make([]*activity, 0, len(fresh))
	for _, a := range rows {
		if fresh[a] {
			added = append(added, a)
		}
	}
	if err := countActivities(ctx, tx, book, 1, added); err != nil {
		return nil, err
	}
	if err := s.bookActivities(ctx, tx, 1, added); err != nil {
		return nil, err
	}
	if err := saveBooked(ctx, tx, added); err != nil {
		return nil, fmt.Errorf("book activities: %w", err)
	}
	// What was known tells when it was booked.
	return fresh, knownActivities(ctx, tx, rows, fresh)
}

func (s *Store) newActivities(ctx context.Context, tx pgx.Tx, first map[text]*activity) (map[*activity]bool, error) {
	rows := make([]*activity, 0, len(first))
	for _, a := range first {
		rows = append(rows, a)
	}
	slices.SortFunc(rows, func(a, b *activity) int { return cmp.Compare(a.id, b.id) })
	a := newArrays()
	defer a.release()
	addActivities(a, rows)
	fresh := make(map[*activity]bool, len(rows))
	_, err := a.query(ctx, tx, `-- name: activities_insert
		INSERT INTO activities (id, type, campaign_id, lead_id, email_id, platform, value, currency, value_eur, metadata, source, occurred_at, booked_year, booked_month)
		SELECT *, extract(year FROM d.occurred_at AT TIME ZONE 'UTC'), extract(month FROM d.occurred_at AT TIME ZONE 'UTC')
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::numeric[], $8::text[], $9::numeric[],
			$10::jsonb[], $11::text[], $12::timestamptz[]) AS d (id, type, campaign, lead, email, platform, value, currency, eur, metadata, source, occurred_at)
		ON CONFLICT (id) DO NOTHING RETURNING id`, func(values [][]byte) { fresh[first[text(values[0])]] = true })
	return fresh, err
}

// addActivities adds the columns of the insert.
func addActivities(a *arrays, rows []*activity) {
	for _, field := range []func(*activity) *text{
		func(a *activity) *text { return &a.id }, func(a *activity) *text { return (*text)(&a.kind) },
		func(a *activity) *text { return &a.campaign }, func(a *activity) *text { return &a.lead },
		func(a *activity) *text { return &a.email }, func(a *activity) *text { return &a.platform },
	} {
		addField(a, wireText, rows, field)
	}
	addField(a, wireAmount, rows, func(a *activity) **decimal.Decimal { return &a.value })
	addField(a, wireText, rows, func(a *activity) *text { return &a.currency })
	addField(a, wireAmount, rows, func(a *activity) **decimal.Decimal { return &a.valueEUR })
	addField(a, wireMetadata, rows, func(a *activity) *metadata { return &a.metadata })
	addField(a, wireText, rows, func(a *activity) *text { return &a.source })
	addField(a, wireTime, rows, func(a *activity) *time.Time { return &a.occurredAt })
}

// countActivities adds activities to their leads, days and experiments, or takes
// them away (sign -1).
func countActivities(ctx context.Context, tx pgx.Tx, book *book, sign int64, rows []*activity) error {
	keys := make(map[leadKey]bool)
	for _, a := range rows {
		if a.lead != "" {
			keys[a.leadKey()] = true
		}
	}
	leads, err := lockLeads(ctx, tx, keys)
	if err != nil {
		return err
	}
	days, experiments := make(map[placeKey]activityDay), newExperimentSums(book)
	for _, a := range rows {
		experiments.activity(sign, a)
		days[a.dayKey()] = days[a.dayKey()].plus(sign, a)
		if a.lead != "" {
			leads.now[a.leadKey()].happen(sign, a)
		}
	}
	if sign < 0 {
		if err := leads.remember(ctx, tx); err != nil {
			return err
		}
	}
	meetings, err := beginMeetingMove(ctx, tx, leads, sign, rows)
	if err != nil {
		return err
	}
	if err := leads.save(ctx, tx); err != nil {
		return err
	}
	if err := meetings.end(ctx, tx); err != nil {
		return err
	}
	if err := activityDaily.post(ctx, tx, days); err != nil {
		return err
	}
	return experiments.post(ctx, tx)
}

// activityDay is what activities of one type add to their day.
type activityDay struct {
	n, valued int64
	value     decimal.Decimal // EUR
}

func (d activityDay) plus(sign int64, a *activity) activityDay {
	return activityDay{d.n + sign, d.valued + sign*count(a.valueEUR != nil), plus(d.value, sign, amount(a.valueEUR))}
}

func (d activityDay) isZero() bool { return d.n == 0 && d.valued == 0 && d.value.IsZero() }

var activityDaily = newSums("activity_daily", byPlace, activityDay.isZero, placeColumns("type"), []sumColumn[activityDay]{
	countOf("count", func(d *activityDay) *int64 { return &d.n }),
	countOf("valued", func(d *activityDay) *int64 { return &d.valued }),
	amountOf("value_eur", func(d *activityDay) *decimal.Decimal { return &d.value }),
})

// happen counts an activity for its lead, or no longer (sign -1).
func (l *lead) happen(sign int64, a *activity) {
	l.valueEUR = plus(l.valueEUR, sign, amount(a.valueEUR))
	if l.platform == "" {
		l.platform = a.platform
	}
	var when **time.Time
	switch a.kind {
	case accounting.EmailSent:
		l.emailsSent += sign
		when = &l.sentAt
	case accounting.ReplyReceived:
		l.replies += sign
		when = &l.repliedAt
	case accounting.MeetingBooked:
		l.meetings += sign
		when = &l.convertedAt
	case accounting.Bounced:
		when = &l.bouncedAt
	case accounting.Unsubscribed:
		when = &l.unsubscribedAt
	default:
		return
	}
	if sign > 0 && (*when == nil || a.occurredAt.Before(**when)) {
		at := a.occurredAt
		*when = &at
	}
}

// remember finds again when each thing happened first, after some of it was
// reversed.
func (all *leads) remember(ctx context.Context, tx pgx.Tx) error {
	for k, l := range all.now {
		err := tx.QueryRow(ctx, `-- name: lead_firsts
			SELECT min(occurred_at) FILTER (WHERE type = 'email_sent'), min(occurred_at) FILTER (WHERE type = 'reply_received'),
				min(occurred_at) FILTER (WHERE type = 'meeting_booked'), min(occurred_at) FILTER (WHERE type = 'bounced'),
				min(occurred_at) FILTER (WHERE type = 'unsubscribed')
			FROM activities WHERE lead_id = $1 AND coalesce(campaign_id, '') = $2 AND reversed_at IS NULL`, k.lead, k.campaign).
			Scan(&l.sentAt, &l.repliedAt, &l.convertedAt, &l.bouncedAt, &l.unsubscribedAt)
		if err != nil {
			return fmt.Errorf("find what happened to lead %s: %w", k.lead, err)
		}
	}
	return nil
}

// monthActivity is what activities add to a month of monthly_costs.
type monthActivity struct{ emails, meetings int64 }

// bookActivities counts activities in their months, or, where those are closed,
// in the present one, as late costs are. It sets booked.
func (s *Store) bookActivities(ctx context.Context, tx pgx.Tx, sign int64, rows []*activity) error {
	late := make([]*activity, 0)
	months := make(map[accounting.Month]monthActivity)
	for _, a := range rows {
		if sign > 0 {
			a.booked = a.month()
		}
		months[a.booked] = months[a.booked].plus(sign, a.kind)
	}
	open, err := s.addActivity(ctx, tx, months)
	if err != nil {
		return err
	}
	for _, a := range rows {
		if !open[a.booked] && (a.kind == accounting.EmailSent || a.kind == accounting.MeetingBooked) {
			late = append(late, a)
		}
	}
	present := accounting.MonthOf(s.now())
	for len(late) > 0 {
		var sum monthActivity
		for _, a := range late {
			if sign > 0 {
				a.booked = present
			}
			sum = sum.plus(sign, a.kind)
		}
		if open, err = s.addActivity(ctx, tx, map[accounting.Month]monthActivity{present: sum}); err != nil {
			return err
		}
		if open[present] {
			break
		}
		present = present.Next() // closed ahead of its time
	}
	return nil
}

func (m monthActivity) plus(sign int64, kind accounting.ActivityType) monthActivity {
	switch kind {
	case accounting.EmailSent:
		m.emails += sign
	case accounting.MeetingBooked:
		m.meetings += sign
	}
	return m
}

// addActivity adds to the months that are open, and returns which those were.
func (s *Store) addActivity(ctx context.Context, tx pgx.Tx, months map[accounting.Month]monthActivity) (map[accounting.Month]bool, error) {
	keys := make([]accounting.Month, 0, len(months))
	for m, sum := range months {
		if sum != (monthActivity{}) {
			keys = append(keys, m)
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	slices.SortFunc(keys, func(a, b accounting.Month) int { return a.Start().Compare(b.Start()) })
	rows, err := tx.Query(ctx, `-- name: monthly_costs_activity
		INSERT INTO monthly_costs AS m (year, month, emails_sent, meetings_booked, exchange_rate)
		SELECT year, month, emails, meetings, $5::numeric
		FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::bigint[]) AS d (year, month, emails, meetings)
		ON CONFLICT (year, month) DO UPDATE SET
			emails_sent     = m.emails_sent + excluded.emails_sent,
			meetings_booked = m.meetings_booked + excluded.meetings_booked,
			updated_at      = now()
		WHERE m.closed_at IS NULL
		RETURNING year, month`,
		each(keys, func(m accounting.Month) int32 { return int32(m.Year) }),
		each(keys, func(m accounting.Month) int32 { return int32(m.Month) }),
		each(keys, func(m accounting.Month) int64 { return months[m].emails }),
		each(keys, func(m accounting.Month) int64 { return months[m].meetings }),
		s.opts.USDToEURRate)
	if err != nil {
		return nil, fmt.Errorf("count activities in monthly_costs: %w", err)
	}
	open := make(map[accounting.Month]bool, len(keys))
	var year, month int
	if _, err = pgx.ForEachRow(rows, []any{&year, &month}, func() error {
		open[accounting.Month{Year: year, Month: time.Month(month)}] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("count activities in monthly_costs: %w", err)
	}
	return open, nil
}

// saveBooked notes the month of activities that were booked in a later one.
func saveBooked(ctx context.Context, tx pgx.Tx, rows []*activity) error {
	later := slices.DeleteFunc(slices.Clone(rows), func(a *activity) bool { return a.booked == a.month() })
	if len(later) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `-- name: activities_book
		UPDATE activities a SET booked_year = d.year, booked_month = d.month
		FROM unnest($1::text[], $2::integer[], $3::integer[]) AS d (id, year, month) WHERE a.id = d.id`,
		each(later, func(a *activity) string { return string(a.id) }),
		each(later, func(a *activity) int32 { return int32(a.booked.Year) }),
		each(later, func(a *activity) int32 { return int32(a.booked.Month) }))
	return err
}

// knownActivities sets booked of those that were recorded before.
func knownActivities(ctx context.Context, tx pgx.Tx, rows []*activity, fresh map[*activity]bool) error {
	known := make(map[text][]*activity)
	var ids []string
	for _, a := range rows {
		if !fresh[a] {
			known[a.id] = append(known[a.id], a)
			ids = append(ids, string(a.id))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	found, err := tx.Query(ctx, `-- name: activities_known
		SELECT id, booked_year, booked_month FROM activities WHERE id = ANY($1)`, ids)
	if err != nil {
		return fmt.Errorf("find known activities: %w", err)
	}
	var id text
	var year, month int
	_, err = pgx.ForEachRow(found, []any{&id, &year, &month}, func() error {
		for _, a := range known[id] {
			a.booked = accounting.Month{Year: year, Month: time.Month(month)}
		}
		return nil
	})
	return err
}

// ReverseActivity takes an activity back in the name of by: it is kept and
// counts no more. What it moved moves back, in the month in which it was
// booked, or, if that is closed now, in the present one. It is audited in the
// same transaction. Errors: [accounting.ErrUnknownActivity].
func (s *Store) ReverseActivity(ctx context.Context, id, by string) (accounting.CampaignActivity, error) {
	var reversed accounting.CampaignActivity
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		book, err := s.readBook(ctx, tx)
		if err != nil {
			return err
		}
		a, err := reverse(ctx, tx, clean(id), by)
		if err != nil {
			return err
		}
		if err := countActivities(ctx, tx, book, -1, []*activity{a}); err != nil {
			return err
		}
		if err := s.bookActivities(ctx, tx, -1, []*activity{a}); err != nil {
			return err
		}
		reversed = accounting.CampaignActivity{
			ID: string(a.id), Type: a.kind, CampaignID: string(a.campaign), LeadID: string(a.lead), EmailID: string(a.email),
			Platform: string(a.platform), Value: accounting.FromPointer(a.value), Currency: accounting.Currency(a.currency),
			Metadata: a.metadata, Source: string(a.source), OccurredAt: a.occurredAt,
		}
		return audit(ctx, tx, auditEntry{actor: by, action: accounting.ActionReverseActivity, subject: "activities/" + string(a.id),
			before: map[string]any{"type": a.kind, "campaign_id": a.campaign, "lead_id": a.lead}})
	})
	if err != nil {
		return accounting.CampaignActivity{}, fmt.Errorf("reverse activity %s: %w", clean(id), err)
	}
	return reversed, nil
}

func reverse(ctx context.Context, tx pgx.Tx, id text, by string) (*activity, error) {
	a := &activity{id: id}
	var kind string
	var year, month int
	err := tx.QueryRow(ctx, `-- name: activity_reverse
		UPDATE activities SET reversed_at = now(), reversed_by = $2 WHERE id = $1 AND reversed_at IS NULL
		RETURNING type, campaign_id, lead_id, email_id, platform, value, currency, value_eur, metadata, source, occurred_at, booked_year, booked_month`,
		string(id), string(clean(by))).Scan(&kind, &a.campaign, &a.lead, &a.email, &a.platform, &a.value, &a.currency, &a.valueEUR,
		&a.metadata, &a.source, &a.occurredAt, &year, &month)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, accounting.ErrUnknownActivity
	}
	a.kind, a.booked = accounting.ActivityType(kind), accounting.Month{Year: year, Month: time.Month(month)}
	a.occurredAt = a.occurredAt.UTC()
	return a, err
}
