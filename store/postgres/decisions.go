package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// decided records what the guard decided: one row for each call, that of its
// first event. A budget that refuses calls for the first time in a period is
// among the alerts of d.
func (s *Store) decided(ctx context.Context, tx pgx.Tx, d *deltas, events []*accounting.Event) error {
	if len(events) == 0 {
		return nil
	}
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b *accounting.Event) int { return slices.Compare(a.ID[:], b.ID[:]) })
	events = slices.CompactFunc(events, func(a, b *accounting.Event) bool { return a.ID == b.ID })
	if err := insertDecisions(ctx, tx, events); err != nil {
		return fmt.Errorf("insert decisions: %w", err)
	}
	for _, e := range events {
		if e.Kind != accounting.Refused {
			continue
		}
		d.experiments.refused(e)
		for i := range e.Decision.Budgets {
			share := &e.Decision.Budgets[i]
			key := periodKeyOf(accounting.LeaseKey{BudgetID: share.BudgetID, EachValue: share.EachValue, PeriodStart: share.PeriodStart})
			if b := d.budgets.book.byID[key.budget]; b != nil && share.Verdict == accounting.VerdictBlocked && usedUp(share.Reason) {
				d.alerts = append(d.alerts, blockedAlert(b, key, share))
			}
		}
	}
	return nil
}

// decisionRow is one row on its way into budget_decisions.
type decisionRow struct {
	id                                                            requestID
	createdAt                                                     time.Time
	verdict, reason, field, detail                                text
	campaign, email, lead, purpose, platform, key, endpoint       text
	model, downgradedTo, boundBy, replica, stop, budgets, callIDs text
	experiment, arm, armModel                                     text
	bound, rate                                                   *decimal.Decimal
	count                                                         int32
}

// take makes r the row of what was decided for e. scratch is memory for it to
// use and to give back.
func (r *decisionRow) take(e *accounting.Event, scratch []byte) []byte {
	d := e.Decision
	*r = decisionRow{
		id: requestID(e.ID), createdAt: e.CreatedAt(),
		verdict: text(d.Verdict), reason: clean(string(d.Reason)), field: clean(d.Field), detail: clean(d.Detail),
		campaign: clean(e.Tags.CampaignID), email: clean(e.Tags.EmailID), lead: clean(e.Tags.LeadID),
		purpose: clean(e.Tags.Purpose), platform: clean(e.Tags.Platform), key: clean(e.KeyFingerprint), endpoint: clean(e.Endpoint),
		model: clean(d.Model), downgradedTo: clean(d.DowngradedTo), boundBy: clean(string(d.BoundBy)), replica: clean(d.Replica), stop: clean(d.Stop),
		experiment: clean(d.Experiment), arm: clean(d.Arm), armModel: clean(d.ArmModel),
		bound: d.Bound.Pointer(), count: int32(max(1, min(d.Count, 1<<30))),
	}
	if d.Rate.IsPositive() {
		r.rate = &d.Rate
	}
	scratch = appendShares(scratch[:0], d.Budgets)
	r.budgets = text(scratch)
	if len(d.Calls) > 0 {
		ids := make([]string, min(len(d.Calls), accounting.MaxMergedCalls))
		for i := range ids {
			ids[i] = d.Calls[i].String()
		}
		r.callIDs = text("{" + strings.Join(ids, ",") + "}")
	}
	return scratch
}

// appendShares writes shares as accounting.DecisionShare is written in JSON,
// without looking at its fields by reflection: every call has some.
func appendShares(b []byte, shares []accounting.BudgetShare) []byte {
	b = append(b, '[')
	for i := range shares {
		s := &shares[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"budget_id":`...), s.BudgetID)
		b = appendString(append(b, `,"each_value":`...), s.EachValue)
		b = append(b, `,"period_start":"`...)
		b = s.PeriodStart.UTC().AppendFormat(b, time.RFC3339Nano)
		b = appendString(append(b, `","verdict":`...), string(s.Verdict))
		b = appendString(append(b, `,"reason":`...), string(s.Reason))
		b = appendAmount(append(b, `,"limit":`...), s.Limit)
		b = appendAmount(append(b, `,"settled":`...), s.Settled)
		b = appendAmount(append(b, `,"reserved":`...), s.Reserved)
		b = appendAmount(append(b, `,"charge":`...), s.Charge)
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendString writes s as JSON that PostgreSQL takes.
func appendString(b []byte, s string) []byte {
	if isPlain(s) {
		return append(append(append(b, '"'), s...), '"')
	}
	quoted, _ := json.Marshal(string(clean(s))) // strings cannot fail
	return append(b, quoted...)
}

// isPlain reports whether s stands for itself in JSON.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// appendAmount writes d as its String does, which makes objects for it.
func appendAmount(b []byte, d decimal.Decimal) []byte {
	places := -int(d.Exponent())
	if places < 0 || places > maxPlainPlaces || d.NumDigits() > maxPlainPlaces {
		return append(b, d.String()...)
	}
	coefficient := d.CoefficientInt64()
	if coefficient < 0 {
		b, coefficient = append(b, '-'), -coefficient
	}
	for places > 0 && coefficient%10 == 0 {
		coefficient, places = coefficient/10, places-1
	}
	var scratch [2*maxPlainPlaces + 2]byte
	end := len(scratch)
	for i := 0; i <= places || coefficient > 0; i++ {
		if i == places && places > 0 {
			end--
			scratch[end] = '.'
		}
		end--
		scratch[end] = byte('0' + coefficient%10)
		coefficient /= 10
	}
	return append(b, scratch[end:]...)
}

// maxPlainPlaces is how many digits every int64 holds.
const maxPlainPlaces = 18

func insertDecisions(ctx context.Context, tx pgx.Tx, events []*accounting.Event) error {
	rows := make([]decisionRow, len(events))
	var scratch []byte
	for i, e := range events {
		scratch = rows[i].take(e, scratch)
	}
	a := newArrays()
	defer a.release()
	n := len(rows)
	add(a, wireID, n, func(i int) *requestID { return &rows[i].id })
	add(a, wireTime, n, func(i int) *time.Time { return &rows[i].createdAt })
	for _, field := range []func(*decisionRow) *text{
		func(r *decisionRow) *text { return &r.verdict }, func(r *decisionRow) *text { return &r.reason },
		func(r *decisionRow) *text { return &r.field }, func(r *decisionRow) *text { return &r.detail },
		func(r *decisionRow) *text { return &r.campaign }, func(r *decisionRow) *text { return &r.email },
		func(r *decisionRow) *text { return &r.lead }, func(r *decisionRow) *text { return &r.purpose },
		func(r *decisionRow) *text { return &r.platform }, func(r *decisionRow) *text { return &r.key },
		func(r *decisionRow) *text { return &r.endpoint }, func(r *decisionRow) *text { return &r.model },
		func(r *decisionRow) *text { return &r.downgradedTo }, func(r *decisionRow) *text { return &r.boundBy },
		func(r *decisionRow) *text { return &r.replica }, func(r *decisionRow) *text { return &r.stop },
		func(r *decisionRow) *text { return &r.budgets }, func(r *decisionRow) *text { return &r.callIDs },
		func(r *decisionRow) *text { return &r.experiment }, func(r *decisionRow) *text { return &r.arm },
		func(r *decisionRow) *text { return &r.armModel },
	} {
		add(a, wireText, n, func(i int) *text { return field(&rows[i]) })
	}
	add(a, wireAmount, n, func(i int) **decimal.Decimal { return &rows[i].bound })
	add(a, wireAmount, n, func(i int) **decimal.Decimal { return &rows[i].rate })
	counts := make([]*int32, n)
	for i := range rows {
		counts[i] = &rows[i].count
	}
	addAll(a, wireInteger, counts)
	_, err := a.query(ctx, tx, insertDecisionsSQL, nil)
	return err
}

const insertDecisionsSQL = `-- name: decisions_insert
	INSERT INTO budget_decisions (id, created_at, verdict, reason, field, detail, campaign_id, email_id, lead_id, purpose, platform,
		key_fingerprint, endpoint, model, downgraded_to, bound_by, replica, stop_id, budgets, calls, experiment_id, arm, arm_model, bound_usd, usd_to_eur, count)
	SELECT id, created_at, verdict, reason, field, detail, campaign, email, lead, purpose, platform,
		key, endpoint, model, downgraded_to, bound_by, replica, stop, budgets::jsonb, coalesce(calls, '{}')::uuid[], experiment, arm, arm_model, bound, rate, count
	FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
		$12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::numeric[], $25::numeric[], $26::integer[])
		AS d (id, created_at, verdict, reason, field, detail, campaign, email, lead, purpose, platform,
			key, endpoint, model, downgraded_to, bound_by, replica, stop, budgets, calls, experiment, arm, arm_model, bound, rate, count)
	ON CONFLICT (id, created_at) DO NOTHING`
