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

	"bursar/accounting"
)

// experimentLeadKey is the key of experiment_leads.
type experimentLeadKey struct{ experiment, lead, campaign string }

func compareExperimentLeads(a, b experimentLeadKey) int {
	return cmp.Or(cmp.Compare(a.experiment, b.experiment), cmp.Compare(a.lead, b.lead), cmp.Compare(a.campaign, b.campaign))
}

// experimentLead is a row of experiment_leads.
type experimentLead struct {
	arm    int64
	seenAt *time.Time
	experimentOutcome
}

// experimentOutcome counts what came of a lead since the experiment's start.
type experimentOutcome struct{ emails, replies, meetings int64 }

func (o experimentOutcome) plus(p experimentOutcome) experimentOutcome {
	return experimentOutcome{o.emails + p.emails, o.replies + p.replies, o.meetings + p.meetings}
}

// experimentDayKey is the key of experiment_daily.
type experimentDayKey struct {
	experiment string
	day        time.Time
	arm        int64
}

// experimentDay is what leads and calls add to experiment_daily.
type experimentDay struct {
	leads, sent, replied, converted, meetings, calls int64
	cost                                             decimal.Decimal
}

func (d experimentDay) plus(sign int64, o experimentDay) experimentDay {
	return experimentDay{
		leads: d.leads + sign*o.leads, sent: d.sent + sign*o.sent, replied: d.replied + sign*o.replied,
		converted: d.converted + sign*o.converted, meetings: d.meetings + sign*o.meetings,
		calls: d.calls + sign*o.calls, cost: plus(d.cost, sign, o.cost),
	}
}

func (d experimentDay) isZero() bool {
	return d.leads == 0 && d.sent == 0 && d.replied == 0 && d.converted == 0 && d.meetings == 0 && d.calls == 0 && d.cost.IsZero()
}

var experimentDaily = newSums("experiment_daily",
	sortedBy(
		func(a, b *experimentDayKey) int { return cmp.Compare(a.experiment, b.experiment) },
		func(a, b *experimentDayKey) int { return a.day.Compare(b.day) },
		func(a, b *experimentDayKey) int { return cmp.Compare(a.arm, b.arm) },
	),
	experimentDay.isZero,
	[]sumColumn[experimentDayKey]{
		textOf("experiment_id", func(k *experimentDayKey) *string { return &k.experiment }),
		dayOf(func(k *experimentDayKey) *time.Time { return &k.day }),
		countOf("arm", func(k *experimentDayKey) *int64 { return &k.arm }),
	},
	[]sumColumn[experimentDay]{
		countOf("leads", func(d *experimentDay) *int64 { return &d.leads }),
		countOf("sent_leads", func(d *experimentDay) *int64 { return &d.sent }),
		countOf("replied_leads", func(d *experimentDay) *int64 { return &d.replied }),
		countOf("converted_leads", func(d *experimentDay) *int64 { return &d.converted }),
		countOf("meetings", func(d *experimentDay) *int64 { return &d.meetings }),
		countOf("calls", func(d *experimentDay) *int64 { return &d.calls }),
		amountOf("cost_usd", func(d *experimentDay) *decimal.Decimal { return &d.cost }),
	})

// day is the lead's part in experiment_daily: nothing, as long as it takes no
// part.
func (l *experimentLead) day(experiment string) (experimentDayKey, experimentDay) {
	if l.seenAt == nil {
		return experimentDayKey{}, experimentDay{}
	}
	return experimentDayKey{experiment, l.seenAt.UTC().Truncate(24 * time.Hour), l.arm}, experimentDay{
		leads: 1, sent: count(l.emails > 0), replied: count(l.replies > 0), converted: count(l.meetings > 0), meetings: l.meetings,
	}
}

// experimentSums are what a transaction adds to experiments.
type experimentSums struct {
	book     *book
	arms     map[experimentLeadKey]int64
	seen     map[experimentLeadKey]time.Time // when a lead was seen, the earliest
	happened map[experimentLeadKey]experimentOutcome
	days     map[experimentDayKey]experimentDay
}

func newExperimentSums(b *book) *experimentSums {
	return &experimentSums{
		book: b, arms: make(map[experimentLeadKey]int64), seen: make(map[experimentLeadKey]time.Time),
		happened: make(map[experimentLeadKey]experimentOutcome), days: make(map[experimentDayKey]experimentDay),
	}
}

// lead is the key of a lead in an experiment, whose arm is noted.
func (t *experimentSums) lead(e *accounting.Experiment, lead, campaign string) experimentLeadKey {
	k := experimentLeadKey{e.ID, lead, campaign}
	if _, known := t.arms[k]; !known {
		t.arms[k] = int64(e.Assign(lead))
	}
	return k
}

// see has a lead take part from at on.
func (t *experimentSums) see(k experimentLeadKey, at time.Time) {
	if first, ok := t.seen[k]; !ok || at.Before(first) {
		t.seen[k] = at
	}
}

// call adds a call to the experiments that it belongs to; sign is 1 for what it
// is now, -1 for what it was.
func (t *experimentSums) call(sign int64, r *row) {
	if r.leadID == "" {
		return
	}
	tags := accounting.Tags{CampaignID: string(r.campaignID), LeadID: string(r.leadID), Purpose: string(r.purpose)}
	t.book.experimentsOf(tags.CampaignID, func(e *accounting.Experiment) {
		if !e.Holds(r.createdAt, &tags) {
			return
		}
		k := t.lead(e, tags.LeadID, tags.CampaignID)
		day := experimentDayKey{e.ID, r.day(), t.arms[k]}
		t.days[day] = t.days[day].plus(sign, experimentDay{calls: 1, cost: amount(r.cost)})
		if sign > 0 {
			t.see(k, r.createdAt)
		}
	})
}

// refused has the lead of a call take part that was not sent.
func (t *experimentSums) refused(e *accounting.Event) {
	tags := accounting.Tags{CampaignID: string(clean(e.Tags.CampaignID)), LeadID: string(clean(e.Tags.LeadID)), Purpose: string(clean(e.Tags.Purpose))}
	t.book.experimentsOf(tags.CampaignID, func(x *accounting.Experiment) {
		if x.Holds(e.CreatedAt(), &tags) {
			t.see(t.lead(x, tags.LeadID, tags.CampaignID), e.CreatedAt())
		}
	})
}

// activity adds what came of a lead; sign is -1 for what was taken back.
func (t *experimentSums) activity(sign int64, a *activity) {
	var o experimentOutcome
	switch a.kind {
	case accounting.EmailSent:
		o.emails = sign
	case accounting.ReplyReceived:
		o.replies = sign
	case accounting.MeetingBooked:
		o.meetings = sign
	}
	if a.lead == "" || o == (experimentOutcome{}) {
		return
	}
	t.book.experimentsOf(string(a.campaign), func(e *accounting.Experiment) {
		if e.Follows(a.occurredAt, string(a.campaign)) {
			k := t.lead(e, string(a.lead), string(a.campaign))
			t.happened[k] = t.happened[k].plus(o)
		}
	})
}

// post writes the leads and adds them to the days. It comes after the other
// leads and days, and before hours and months.
func (t *experimentSums) post(ctx context.Context, tx pgx.Tx) error {
	if len(t.arms) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(t.arms), compareExperimentLeads)
	if err := t.make(ctx, tx, keys); err != nil {
		return fmt.Errorf("make leads of experiments: %w", err)
	}
	leads, err := lockExperimentLeads(ctx, tx, keys)
	if err != nil {
		return fmt.Errorf("lock leads of experiments: %w", err)
	}
	if err := t.save(ctx, tx, keys, leads); err != nil {
		return fmt.Errorf("update leads of experiments: %w", err)
	}
	return experimentDaily.post(ctx, tx, t.days)
}

// make makes the leads that are new, so that two transactions cannot both do.
func (t *experimentSums) make(ctx context.Context, tx pgx.Tx, keys []experimentLeadKey) error {
	_, err := tx.Exec(ctx, `-- name: experiment_leads_make
		INSERT INTO experiment_leads (experiment_id, lead_id, campaign_id, arm)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) ON CONFLICT DO NOTHING`,
		each(keys, func(k experimentLeadKey) string { return k.experiment }),
		each(keys, func(k experimentLeadKey) string { return k.lead }),
		each(keys, func(k experimentLeadKey) string { return k.campaign }),
		each(keys, func(k experimentLeadKey) int64 { return t.arms[k] }))
	return err
}

// lockExperimentLeads reads leads under lock, in the order of their keys.
func lockExperimentLeads(ctx context.Context, tx pgx.Tx, keys []experimentLeadKey) (map[experimentLeadKey]experimentLead, error) {
	rows, err := tx.Query(ctx, `-- name: experiment_leads_lock
		SELECT l.experiment_id, l.lead_id, l.campaign_id, l.arm::bigint, l.seen_at, l.emails, l.replies, l.meetings
		FROM experiment_leads l
		JOIN unnest($1::text[], $2::text[], $3::text[]) AS wanted (experiment_id, lead_id, campaign_id) USING (experiment_id, lead_id, campaign_id)
		ORDER BY l.experiment_id, l.lead_id, l.campaign_id FOR UPDATE OF l`,
		each(keys, func(k experimentLeadKey) string { return k.experiment }),
		each(keys, func(k experimentLeadKey) string { return k.lead }),
		each(keys, func(k experimentLeadKey) string { return k.campaign }))
	if err != nil {
		return nil, err
	}
	leads := make(map[experimentLeadKey]experimentLead, len(keys))
	var k experimentLeadKey
	var l experimentLead
	_, err = pgx.ForEachRow(rows, []any{&k.experiment, &k.lead, &k.campaign, &l.arm, &l.seenAt, &l.emails, &l.replies, &l.meetings}, func() error {
		leads[k] = l
		l = experimentLead{}
		return nil
	})
	return leads, err
}

// save writes the leads that change, and adds the difference to the days.
func (t *experimentSums) save(ctx context.Context, tx pgx.Tx, keys []experimentLeadKey, leads map[experimentLeadKey]experimentLead) error {
	var changed []experimentLeadKey
	for _, k := range keys {
		was := leads[k]
		is := was
		is.experimentOutcome = was.plus(t.happened[k])
		if seen, ok := t.seen[k]; ok && (was.seenAt == nil || seen.Before(*was.seenAt)) {
			is.seenAt = &seen
		}
		if is == was {
			continue
		}
		beforeKey, before := was.day(k.experiment)
		t.days[beforeKey] = t.days[beforeKey].plus(-1, before)
		afterKey, after := is.day(k.experiment)
		t.days[afterKey] = t.days[afterKey].plus(1, after)
		leads[k] = is
		changed = append(changed, k)
	}
	if len(changed) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `-- name: experiment_leads_save
		UPDATE experiment_leads l SET seen_at = d.seen_at, emails = d.emails, replies = d.replies, meetings = d.meetings
		FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::bigint[])
			AS d (experiment_id, lead_id, campaign_id, seen_at, emails, replies, meetings)
		WHERE l.experiment_id = d.experiment_id AND l.lead_id = d.lead_id AND l.campaign_id = d.campaign_id`,
		each(changed, func(k experimentLeadKey) string { return k.experiment }),
		each(changed, func(k experimentLeadKey) string { return k.lead }),
		each(changed, func(k experimentLeadKey) string { return k.campaign }),
		each(changed, func(k experimentLeadKey) *time.Time { return leads[k].seenAt }),
		each(changed, func(k experimentLeadKey) int64 { return leads[k].emails }),
		each(changed, func(k experimentLeadKey) int64 { return leads[k].replies }),
		each(changed, func(k experimentLeadKey) int64 { return leads[k].meetings }))
	return err
}
