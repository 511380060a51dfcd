package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// priceLock is the transaction advisory lock under which prices are compared
// with those of before, so that replicas do not both add a change.
const priceLock int64 = 0x627572736172 + 7

// SavePrices keeps what has changed in models since the latest prices, dated
// at. Of a model whose endpoints were never fetched only the offer that GET
// /models shows is looked at; of any other, endpoints that are gone are
// withdrawn. What was fetched before what is kept already is passed over.
func (s *Store) SavePrices(ctx context.Context, at time.Time, models []accounting.Model) error {
	rows, err := priceRowsOf(models)
	if err != nil {
		return err
	}
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `-- name: prices_lock
			SELECT pg_advisory_xact_lock($1)`, priceLock); err != nil {
			return err
		}
		if err := insertPrices(ctx, tx, at, rows); err != nil {
			return err
		}
		return withdrawPrices(ctx, tx, at, models, rows)
	})
	if err != nil {
		return fmt.Errorf("save the prices of %d models: %w", len(models), err)
	}
	return nil
}

// priceRows are the columns of rows of model_prices.
type priceRows struct {
	models, endpoints, providers, tags, canonicals, aliases []string
	contexts, maxPrompts, maxCompletions                    []*int64
	prompts, completions, requests                          []*decimal.Decimal
	prices                                                  []string // JSON
}

func priceRowsOf(models []accounting.Model) (priceRows, error) {
	var rows priceRows
	for i := range models {
		m := &models[i]
		if isListed(m) {
			if err := rows.add(m.Slug, "", &m.Top); err != nil {
				return rows, err
			}
			last := len(rows.models) - 1
			rows.canonicals[last], rows.aliases[last] = m.CanonicalSlug, m.AliasOf
		}
		if m.FetchedAt.IsZero() {
			continue
		}
		if err := rows.addEndpoints(m); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// isListed reports whether GET /models has shown the model.
func isListed(m *accounting.Model) bool {
	return m.CanonicalSlug != "" || m.AliasOf != "" || m.Top.Prices.Rates[accounting.PricePrompt].Known || len(m.Top.Prices.Others) > 0
}

// addEndpoints names each endpoint for good: in the order of the list two with
// the same tag would change places.
func (r *priceRows) addEndpoints(m *accounting.Model) error {
	type named struct {
		name, prices string
		endpoint     *accounting.Endpoint
	}
	sorted := make([]named, len(m.Endpoints))
	for i := range m.Endpoints {
		e := &m.Endpoints[i]
		prices, err := json.Marshal(e.Prices)
		if err != nil {
			return fmt.Errorf("write the prices of %s at %s: %w", m.Slug, e.Provider, err)
		}
		sorted[i] = named{cmp.Or(e.Tag, e.Provider, "?"), string(prices), e}
	}
	slices.SortStableFunc(sorted, func(a, b named) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.prices, b.prices))
	})
	taken := make(map[string]int)
	for _, e := range sorted {
		taken[e.name]++
		name := e.name
		if n := taken[name]; n > 1 {
			name = fmt.Sprintf("%s#%d", name, n)
		}
		if err := r.add(m.Slug, name, e.endpoint); err != nil {
			return err
		}
	}
	return nil
}

func (r *priceRows) add(model, endpoint string, e *accounting.Endpoint) error {
	prices, err := json.Marshal(e.Prices)
	if err != nil {
		return fmt.Errorf("write the prices of %s at %s: %w", model, e.Provider, err)
	}
	rates := &e.Prices.Rates
	r.models, r.endpoints = append(r.models, model), append(r.endpoints, endpoint)
	r.providers, r.tags = append(r.providers, e.Provider), append(r.tags, e.Tag)
	r.canonicals, r.aliases = append(r.canonicals, ""), append(r.aliases, "")
	r.contexts = append(r.contexts, e.ContextLength.Pointer())
	r.maxPrompts = append(r.maxPrompts, e.MaxPromptTokens.Pointer())
	r.maxCompletions = append(r.maxCompletions, e.MaxCompletionTokens.Pointer())
	r.prompts = append(r.prompts, rates[accounting.PricePrompt].Pointer())
	r.completions = append(r.completions, rates[accounting.PriceCompletion].Pointer())
	r.requests = append(r.requests, rates[accounting.PriceRequest].Pointer())
	r.prices = append(r.prices, string(prices))
	return nil
}

func insertPrices(ctx context.Context, tx pgx.Tx, at time.Time, r priceRows) error {
	_, err := tx.Exec(ctx, `-- name: prices_insert
		INSERT INTO model_prices (valid_from, model, endpoint, provider, tag, canonical_slug, alias_of,
			context_length, max_prompt_tokens, max_completion_tokens, prompt_usd, completion_usd, request_usd, prices)
		SELECT $1::timestamptz, n.model, n.endpoint, n.provider, n.tag, n.canonical_slug, n.alias_of,
			n.context_length, n.max_prompt_tokens, n.max_completion_tokens, n.prompt_usd, n.completion_usd, n.request_usd, n.prices::jsonb
		FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[],
				$11::numeric[], $12::numeric[], $13::numeric[], $14::text[])
			AS n (model, endpoint, provider, tag, canonical_slug, alias_of, context_length, max_prompt_tokens, max_completion_tokens,
				prompt_usd, completion_usd, request_usd, prices)
		LEFT JOIN LATERAL (
			SELECT * FROM model_prices p WHERE (p.model, p.endpoint) = (n.model, n.endpoint) ORDER BY p.valid_from DESC LIMIT 1
		) l ON true
		WHERE (n.endpoint = '' OR NOT EXISTS (SELECT FROM model_price_checks c WHERE c.model = n.model AND c.fetched_at > $1))
		AND (l.model IS NULL OR l.valid_from < $1 AND
			(l.listed, l.provider, l.tag, l.canonical_slug, l.alias_of, l.context_length, l.max_prompt_tokens, l.max_completion_tokens, l.prices)
			IS DISTINCT FROM
			(true, n.provider, n.tag, n.canonical_slug, n.alias_of, n.context_length, n.max_prompt_tokens, n.max_completion_tokens, n.prices::jsonb))
		ON CONFLICT (model, endpoint, valid_from) DO NOTHING`,
		at, r.models, r.endpoints, r.providers, r.tags, r.canonicals, r.aliases, r.contexts, r.maxPrompts, r.maxCompletions,
		r.prompts, r.completions, r.requests, r.prices)
	return err
}

// withdrawPrices notes the endpoints that the models no longer have, and that
// these were looked at.
func withdrawPrices(ctx context.Context, tx pgx.Tx, at time.Time, models []accounting.Model, r priceRows) error {
	var slugs []string
	var fetched []time.Time
	for i := range models {
		if !models[i].FetchedAt.IsZero() {
			slugs, fetched = append(slugs, models[i].Slug), append(fetched, models[i].FetchedAt)
		}
	}
	if len(slugs) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, `-- name: prices_withdraw
		INSERT INTO model_prices (valid_from, listed, model, endpoint, provider, tag, canonical_slug, alias_of,
			context_length, max_prompt_tokens, max_completion_tokens, prompt_usd, completion_usd, request_usd, prices)
		SELECT $1::timestamptz, false, model, endpoint, provider, tag, canonical_slug, alias_of,
			context_length, max_prompt_tokens, max_completion_tokens, prompt_usd, completion_usd, request_usd, prices
		FROM model_prices_latest
		WHERE model = ANY ($2::text[]) AND endpoint <> '' AND valid_from < $1
			AND (model, endpoint) NOT IN (SELECT * FROM unnest($3::text[], $4::text[]))
			AND NOT EXISTS (SELECT FROM model_price_checks c WHERE c.model = model_prices_latest.model AND c.fetched_at > $1)
		ON CONFLICT (model, endpoint, valid_from) DO NOTHING`,
		at, slugs, r.models, r.endpoints); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `-- name: prices_checked
		INSERT INTO model_price_checks (model, fetched_at)
		SELECT DISTINCT ON (model) model, fetched_at FROM unnest($1::text[], $2::timestamptz[]) AS n (model, fetched_at)
		ORDER BY model, fetched_at DESC
		ON CONFLICT (model) DO UPDATE SET fetched_at = greatest(model_price_checks.fetched_at, EXCLUDED.fetched_at)`, slugs, fetched)
	return err
}

// LoadPrices returns the price list as it was last saved, in the order of the
// slugs.
func (s *Store) LoadPrices(ctx context.Context) ([]accounting.Model, error) {
	models, err := s.loadPrices(ctx)
	if err != nil {
		return nil, fmt.Errorf("load prices: %w", err)
	}
	return models, nil
}

func (s *Store) loadPrices(ctx context.Context) ([]accounting.Model, error) {
	rows, err := s.pool.Query(ctx, `-- name: prices_load
		SELECT coalesce(p.model, c.model), coalesce(p.endpoint, ''), coalesce(p.provider, ''), coalesce(p.tag, ''),
			coalesce(p.canonical_slug, ''), coalesce(p.alias_of, ''),
			p.context_length, p.max_prompt_tokens, p.max_completion_tokens, coalesce(p.prices, '{}'::jsonb), c.fetched_at
		FROM model_prices_latest p FULL JOIN model_price_checks c ON c.model = p.model
		ORDER BY 1, 2`)
	if err != nil {
		return nil, err
	}
	var models []accounting.Model
	var m accounting.Model
	var endpoint, canonical, alias string
	var e accounting.Endpoint
	var contextLength, maxPrompt, maxCompletion *int64
	var prices []byte
	var fetched *time.Time
	_, err = pgx.ForEachRow(rows, []any{&m.Slug, &endpoint, &e.Provider, &e.Tag, &canonical, &alias,
		&contextLength, &maxPrompt, &maxCompletion, &prices, &fetched}, func() error {
		if len(models) == 0 || models[len(models)-1].Slug != m.Slug {
			models = append(models, accounting.Model{Slug: m.Slug})
		}
		model := &models[len(models)-1]
		if fetched != nil {
			model.FetchedAt = fetched.UTC()
		}
		e.Prices = accounting.Prices{}
		if err := json.Unmarshal(prices, &e.Prices); err != nil {
			return fmt.Errorf("%s at %q: %w", m.Slug, endpoint, err)
		}
		e.ContextLength, e.MaxPromptTokens = accounting.FromPointer(contextLength), accounting.FromPointer(maxPrompt)
		e.MaxCompletionTokens = accounting.FromPointer(maxCompletion)
		if endpoint == "" {
			model.CanonicalSlug, model.AliasOf, model.Top = canonical, alias, e
			return nil
		}
		model.Endpoints = append(model.Endpoints, e)
		return nil
	})
	return models, err
}
