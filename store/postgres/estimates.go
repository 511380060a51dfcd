package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// Unestimated lists calls from before a time whose cost is not known and that
// have no estimate either, in the order of their ids, from the one that follows
// after.
func (s *Store) Unestimated(ctx context.Context, before time.Time, after accounting.RequestID, limit int) ([]accounting.OpenCall, error) {
	// The rows of an id lie at the time inside it, which keeps the question to
	// the partitions that can hold them.
	rows, err := s.pool.Query(ctx, `-- name: usage_unestimated
		SELECT u.id, u.model, u.provider, u.prompt_tokens, u.completion_tokens, u.cached_tokens, u.cache_write_tokens, d.bound_usd
		FROM openrouter_usage u
		LEFT JOIN budget_decisions d ON d.id = u.id AND d.created_at = u.created_at
		WHERE u.status IN ('pending', 'awaiting_key', 'unresolved', 'interrupted')
		  AND u.created_at <= $1 AND u.created_at >= $2 AND u.id > $3
		  AND u.cost_usd IS NULL AND u.estimated_cost_usd IS NULL
		ORDER BY u.id LIMIT $4`, before, after.Time(), requestID(after), limit)
	if err == nil {
		var calls []accounting.OpenCall
		if calls, err = pgx.CollectRows(rows, scanOpenCall); err == nil {
			return calls, nil
		}
	}
	return nil, fmt.Errorf("list calls without an estimate: %w", err)
}

func scanOpenCall(cr pgx.CollectableRow) (accounting.OpenCall, error) {
	var (
		c                                 accounting.OpenCall
		provider                          text
		prompt, completion, cached, write *int64
		bound                             *decimal.Decimal
	)
	err := cr.Scan((*requestID)(&c.ID), &c.Model, &provider, &prompt, &completion, &cached, &write, &bound)
	c.Provider = string(provider)
	if c.Model == unknownModel {
		c.Model = ""
	}
	c.Usage = accounting.Usage{
		PromptTokens: accounting.FromPointer(prompt), CompletionTokens: accounting.FromPointer(completion),
		CachedTokens: accounting.FromPointer(cached), CacheWriteTokens: accounting.FromPointer(write),
	}
	c.Bound = accounting.FromPointer(bound)
	return c, err
}

// MeanCosts is what a call of each model has cost on average since a time, USD.
// A model without such calls is not in the answer.
func (s *Store) MeanCosts(ctx context.Context, since time.Time, models []string) (map[string]decimal.Decimal, error) {
	rows, err := s.pool.Query(ctx, `-- name: usage_means
		SELECT model, sum(cost_usd), sum(calls - failed_calls - unsettled_calls)::bigint
		FROM usage_hourly WHERE hour >= $1 AND model = ANY($2)
		GROUP BY model`, since.UTC().Truncate(time.Hour), models)
	if err != nil {
		return nil, fmt.Errorf("read mean costs: %w", err)
	}
	means := make(map[string]decimal.Decimal)
	var (
		model string
		cost  decimal.Decimal
		calls int64
	)
	_, err = pgx.ForEachRow(rows, []any{&model, &cost, &calls}, func() error {
		if mean := accounting.Per(cost, calls); mean.Known {
			means[model] = mean.Value
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read mean costs: %w", err)
	}
	return means, nil
}

// SetEstimates gives calls whose cost is still not known what they have
// probably cost; budgets count it until the cost is known. A call whose cost is
// known meanwhile, or that has an estimate, stays as it is. It returns how many
// were set.
func (s *Store) SetEstimates(ctx context.Context, estimates []accounting.CallEstimate) (int, error) {
	if len(estimates) == 0 {
		return 0, nil
	}
	set := 0
	err := s.inTx(ctx, func(tx pgx.Tx) (err error) {
		set, err = s.setEstimates(ctx, tx, estimates)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("set estimates of %d calls: %w", len(estimates), err)
	}
	return set, nil
}

func (s *Store) setEstimates(ctx context.Context, tx pgx.Tx, estimates []accounting.CallEstimate) (set int, err error) {
	budgets, err := s.readBook(ctx, tx)
	if err != nil {
		return 0, err
	}
	amounts := make(map[requestID]decimal.Decimal, len(estimates))
	ids := make([]requestID, len(estimates))
	for i, e := range estimates {
		ids[i], amounts[requestID(e.ID)] = requestID(e.ID), e.Amount
	}
	slices.SortFunc(ids, func(a, b requestID) int { return slices.Compare(a[:], b[:]) })
	rows, err := lockRows(ctx, tx, slices.Compact(ids))
	if err != nil {
		return 0, fmt.Errorf("lock usage: %w", err)
	}
	d := newDeltas(budgets)
	entries := make(map[requestID]*entry, len(rows))
	for _, r := range rows {
		if !r.is(unsettled...) || r.cost != nil || r.estimatedCost != nil {
			continue
		}
		before, amount := *r, amounts[r.id]
		r.estimatedCost = &amount
		entries[r.id] = &entry{stored: &before, now: r, absorbed: true}
		d.budgets.step(&before, r, false)
	}
	_, err = s.write(ctx, tx, entries, d)
	return len(entries), err
}
