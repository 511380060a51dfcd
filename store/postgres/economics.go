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

// step is how a transaction changes one row; before is nil for one that is new.
type step struct{ before, after *row }

// rows are the row as it was and as it is, with the sign that each has in sums.
func (s step) rows(do func(sign int64, r *row)) {
	if s.before != nil {
		do(-1, s.before)
	}
	do(1, s.after)
}

// economics are the leads, emails and daily sums that the steps of one
// transaction move. They are locked and written in this order: emails, leads,
// then each table of sums; the hours and months come after them.
type economics struct {
	emails    map[emailKey]*email
	leads     *leads
	waste     map[placeKey]wasted
	days      map[usageDayKey]usageDay
	finishes  map[finishKey]int64
	sequences map[sequenceKey]sequence
	models    map[leadModelKey]leadModel
}

// postEconomics brings everything that is summed of calls, but hours and
// months, up to what steps say. The rows themselves are written already.
func postEconomics(ctx context.Context, tx pgx.Tx, steps []step, groups map[groupKey]*group) error {
	e, err := lockEconomics(ctx, tx, steps)
	if err != nil {
		return err
	}
	e.tally(groups)
	for _, s := range steps {
		s.rows(e.add)
		if err := e.moveDraft(s, func(k emailKey, id requestID) (draft, error) { return e.draftBefore(ctx, tx, k, id) }); err != nil {
			return err
		}
	}
	if err := saveEmails(ctx, tx, e.emails); err != nil {
		return err
	}
	meetings, err := beginMeetingMove(ctx, tx, e.leads, 1, nil)
	if err != nil {
		return err
	}
	if err := e.leads.save(ctx, tx); err != nil {
		return err
	}
	if err := postLeadModels(ctx, tx, e.models); err != nil {
		return err
	}
	if err := meetings.end(ctx, tx); err != nil {
		return err
	}
	if err := wasteDaily.post(ctx, tx, e.waste); err != nil {
		return err
	}
	if err := usageDaily.post(ctx, tx, e.days); err != nil {
		return err
	}
	if err := finishDaily.post(ctx, tx, e.finishes); err != nil {
		return err
	}
	return postSequences(ctx, tx, e.sequences)
}

func lockEconomics(ctx context.Context, tx pgx.Tx, steps []step) (*economics, error) {
	e := &economics{
		waste: make(map[placeKey]wasted), days: make(map[usageDayKey]usageDay),
		finishes: make(map[finishKey]int64), sequences: make(map[sequenceKey]sequence),
		models: make(map[leadModelKey]leadModel),
	}
	firsts, leadKeys := make(map[emailKey]time.Time), make(map[leadKey]bool)
	for _, s := range steps {
		s.rows(func(_ int64, r *row) {
			if r.emailID != "" {
				if first, ok := firsts[emailKeyOf(r)]; !ok || r.createdAt.Before(first) {
					firsts[emailKeyOf(r)] = r.createdAt
				}
			}
			if r.leadID != "" {
				leadKeys[leadKeyOf(r)] = true
			}
		})
	}
	var err error
	if e.emails, err = lockEmails(ctx, tx, firsts); err != nil {
		return nil, err
	}
	for _, m := range e.emails {
		// Another draft takes this one's place, which is then wasted on its lead.
		if m.last.lead != "" {
			leadKeys[leadKey{string(m.last.lead), string(m.last.campaign)}] = true
		}
	}
	e.leads, err = lockLeads(ctx, tx, leadKeys)
	return e, err
}

// tally adds what calls add to their days.
func (e *economics) tally(groups map[groupKey]*group) {
	for k, g := range groups {
		sums := g.sums()
		for _, key := range k.usageDayKeys() {
			e.days[key] = e.days[key].plus(1, sums)
		}
		e.finishes[k.finishKey()] += sums.calls
	}
}

// add adds a row to every other sum that follows from it alone.
func (e *economics) add(sign int64, r *row) {
	if r.leadID != "" {
		e.leads.now[leadKeyOf(r)].add(sign, r)
		key := leadModelKey{leadKeyOf(r), string(r.model)}
		e.models[key] = e.models[key].plus(sign, r)
	}
	if r.emailID != "" {
		e.emails[emailKeyOf(r)].add(sign, r)
	}
	if kind := r.wasteKind(); kind != "" && r.cost != nil {
		key := placeKey{r.day(), string(r.campaignID), string(r.platform), kind}
		e.waste[key] = e.waste[key].plus(sign, *r.cost)
	}
	if r.sequenceID != "" {
		key := sequenceKey{string(r.sequenceID), string(r.campaignID)}
		e.sequences[key] = e.sequences[key].plus(sign, r)
	}
}

// moveDraft follows up what a step means for the drafts of its email.
func (e *economics) moveDraft(s step, before func(emailKey, requestID) (draft, error)) error {
	was, is := s.before != nil && s.before.isDraft(), s.after.isDraft()
	switch {
	case was && is && emailKeyOf(s.before) == emailKeyOf(s.after):
		e.emails[emailKeyOf(s.after)].changeDraft(draftOf(s.before), draftOf(s.after), e.redrafted)
		return nil
	case was:
		if err := e.emails[emailKeyOf(s.before)].dropDraft(draftOf(s.before), e.redrafted, before); err != nil {
			return err
		}
	}
	if is {
		e.emails[emailKeyOf(s.after)].addDraft(draftOf(s.after), e.redrafted)
	}
	return nil
}

// draftBefore is the latest draft of an email before a call. Its lead is locked
// too, out of order: the drafts of one email are of one lead, unless somebody
// has mixed up the tags.
func (e *economics) draftBefore(ctx context.Context, tx pgx.Tx, k emailKey, id requestID) (draft, error) {
	d, err := draftBefore(ctx, tx, k, id)
	key := leadKey{string(d.lead), string(d.campaign)}
	if err != nil || d.lead == "" || e.leads.now[key] != nil {
		return d, err
	}
	more, err := lockLeads(ctx, tx, map[leadKey]bool{key: true})
	if err != nil {
		return d, err
	}
	maps.Copy(e.leads.was, more.was)
	maps.Copy(e.leads.now, more.now)
	return d, nil
}

// redrafted counts a draft as wasted, or no longer.
func (e *economics) redrafted(sign int64, d draft) {
	key := placeKey{d.day(), string(d.campaign), string(d.platform), wasteRedrafted}
	e.waste[key] = e.waste[key].plus(sign, d.cost)
	if d.lead != "" {
		l := e.leads.now[leadKey{string(d.lead), string(d.campaign)}]
		l.wasted = plus(l.wasted, sign, d.cost)
	}
}

// sequenceKey is the key of sequence_costs.
type sequenceKey struct{ sequence, campaign string }

// sequence is what calls add to their sequence.
type sequence struct {
	calls, tokens int64
	cost          decimal.Decimal
	first         time.Time
}

func (q sequence) plus(sign int64, r *row) sequence {
	q.calls += sign
	q.tokens += sign * number(r.totalTokens)
	q.cost = plus(q.cost, sign, amount(r.cost))
	if q.first.IsZero() || r.createdAt.Before(q.first) {
		q.first = r.createdAt
	}
	return q
}

func postSequences(ctx context.Context, tx pgx.Tx, deltas map[sequenceKey]sequence) error {
	maps.DeleteFunc(deltas, func(_ sequenceKey, q sequence) bool { return q.calls == 0 && q.tokens == 0 && q.cost.IsZero() })
	if len(deltas) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(deltas), func(a, b sequenceKey) int {
		return cmp.Or(cmp.Compare(a.sequence, b.sequence), cmp.Compare(a.campaign, b.campaign))
	})
	_, err := tx.Exec(ctx, `-- name: sequence_costs_post
		INSERT INTO sequence_costs AS s (sequence_id, campaign_id, cost_usd, total_tokens, calls, first_at)
		SELECT * FROM unnest($1::text[], $2::text[], $3::numeric[], $4::bigint[], $5::bigint[], $6::timestamptz[])
		ON CONFLICT (sequence_id, campaign_id) DO UPDATE SET
			cost_usd = s.cost_usd + excluded.cost_usd, total_tokens = s.total_tokens + excluded.total_tokens,
			calls = s.calls + excluded.calls, first_at = least(s.first_at, excluded.first_at), updated_at = now()`,
		each(keys, func(k sequenceKey) string { return k.sequence }),
		each(keys, func(k sequenceKey) string { return k.campaign }),
		each(keys, func(k sequenceKey) decimal.Decimal { return deltas[k].cost }),
		each(keys, func(k sequenceKey) int64 { return deltas[k].tokens }),
		each(keys, func(k sequenceKey) int64 { return deltas[k].calls }),
		each(keys, func(k sequenceKey) time.Time { return deltas[k].first }))
	if err != nil {
		return fmt.Errorf("update sequence_costs: %w", err)
	}
	return nil
}
