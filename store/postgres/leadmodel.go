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

// leadModelKey is the key of lead_models.
type leadModelKey struct {
	leadKey
	model string
}

// leadModel is what calls of a model add to a lead.
type leadModel struct {
	cost  decimal.Decimal
	calls int64
	first time.Time
}

func (m leadModel) plus(sign int64, r *row) leadModel {
	m.cost = plus(m.cost, sign, amount(r.cost))
	m.calls += sign
	if m.first.IsZero() || r.createdAt.Before(m.first) {
		m.first = r.createdAt
	}
	return m
}

// modelDayKey is the key of model_lead_daily and model_meeting_daily.
type modelDayKey struct {
	day   time.Time
	model string
}

func byModelDay(a, b modelDayKey) int {
	return cmp.Or(a.day.Compare(b.day), cmp.Compare(a.model, b.model))
}

var modelDayColumns = []sumColumn[modelDayKey]{
	dayOf(func(k *modelDayKey) *time.Time { return &k.day }),
	textOf("model", func(k *modelDayKey) *string { return &k.model }),
}

var modelLeadDaily = newSums("model_lead_daily",
	byModelDay, func(leads int64) bool { return leads == 0 }, modelDayColumns,
	[]sumColumn[int64]{countOf("leads", func(n *int64) *int64 { return n })})

// postLeadModels adds to lead_models, and counts each lead on the day on which a
// model first worked for it. Calls come in any order, and may turn out to be of
// another model: then the day moves, or the lead is the model's no more. The
// rows themselves are written already, and their leads are locked.
func postLeadModels(ctx context.Context, tx pgx.Tx, deltas map[leadModelKey]leadModel) error {
	maps.DeleteFunc(deltas, func(_ leadModelKey, m leadModel) bool { return m.calls == 0 && m.cost.IsZero() })
	if len(deltas) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(deltas), func(a, b leadModelKey) int {
		return cmp.Or(compareLeads(a.leadKey, b.leadKey), cmp.Compare(a.model, b.model))
	})
	// A statement sees what was there before it, so before is the row as it was.
	made, err := tx.Query(ctx, `-- name: lead_models_post
		WITH d AS MATERIALIZED (
			SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::bigint[], $6::timestamptz[])
				AS d (lead_id, campaign_id, model, cost_usd, calls, first_at)
		), now AS (
			INSERT INTO lead_models AS m (lead_id, campaign_id, model, cost_usd, calls, first_at)
			SELECT * FROM d
			ON CONFLICT (lead_id, campaign_id, model) DO UPDATE SET cost_usd = m.cost_usd + excluded.cost_usd, calls = m.calls + excluded.calls,
				first_at = CASE
					WHEN m.calls = 0 THEN excluded.first_at
					WHEN excluded.calls < 0 THEN coalesce((SELECT min(u.created_at) FROM openrouter_usage u
						WHERE u.lead_id = m.lead_id AND coalesce(u.campaign_id, '') = m.campaign_id AND u.model = m.model), m.first_at)
					ELSE least(m.first_at, excluded.first_at) END
			RETURNING lead_id, campaign_id, model, calls, first_at
		)
		SELECT model, before.first_at, coalesce(before.calls, 0), now.first_at, now.calls
		FROM now LEFT JOIN LATERAL (
			SELECT first_at, calls FROM lead_models b WHERE (b.lead_id, b.campaign_id, b.model) = (now.lead_id, now.campaign_id, now.model) OFFSET 0 -- by its key
		) before ON true`,
		each(keys, func(k leadModelKey) string { return k.lead }),
		each(keys, func(k leadModelKey) string { return k.campaign }),
		each(keys, func(k leadModelKey) string { return k.model }),
		each(keys, func(k leadModelKey) decimal.Decimal { return deltas[k].cost }),
		each(keys, func(k leadModelKey) int64 { return deltas[k].calls }),
		each(keys, func(k leadModelKey) time.Time { return deltas[k].first }))
	if err != nil {
		return fmt.Errorf("update lead_models: %w", err)
	}
	days := make(map[modelDayKey]int64)
	var model string
	var before *time.Time
	var first time.Time
	var callsBefore, calls int64
	if _, err := pgx.ForEachRow(made, []any{&model, &before, &callsBefore, &first, &calls}, func() error {
		if callsBefore > 0 {
			days[modelDayKey{before.UTC().Truncate(24 * time.Hour), model}]--
		}
		if calls > 0 {
			days[modelDayKey{first.UTC().Truncate(24 * time.Hour), model}]++
		}
		return nil
	}); err != nil {
		return fmt.Errorf("update lead_models: %w", err)
	}
	return modelLeadDaily.post(ctx, tx, days)
}
