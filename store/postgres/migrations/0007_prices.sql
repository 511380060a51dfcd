-- OpenRouter's price list, with the date of every change.
--
-- Forward-only and idempotent; by hand: psql -1 -v ON_ERROR_STOP=1 -f 0007_prices.sql "$DATABASE_URL"

-- A row for each change of what one provider asks for one model; rows are only
-- ever added. A list price is what a provider asks, not what a call cost.
CREATE TABLE IF NOT EXISTS model_prices (
    model      text NOT NULL,              -- slug, as clients ask for it
    endpoint   text NOT NULL,              -- the provider's tag, with #2, #3 … where several have the same; '' for what GET /models shows
    valid_from timestamptz NOT NULL,       -- when it was first seen, not when it began
    listed     boolean NOT NULL DEFAULT true,  -- false: withdrawn; the rest of the row is what it was

    provider       text NOT NULL DEFAULT '',  -- display name
    tag            text NOT NULL DEFAULT '',
    canonical_slug text NOT NULL DEFAULT '',  -- of the row whose endpoint is ''
    alias_of       text NOT NULL DEFAULT '',  -- of the row whose endpoint is ''

    context_length        bigint,          -- tokens; NULL: not listed
    max_prompt_tokens     bigint,
    max_completion_tokens bigint,
    prompt_usd            numeric,         -- a token; NULL: not listed, or not fixed
    completion_usd        numeric,         -- a token
    request_usd           numeric,         -- a call
    prices                jsonb NOT NULL,  -- all of them, as decimal strings, with overrides

    PRIMARY KEY (model, endpoint, valid_from)
);

-- When the endpoints of a model were last read, changed or not.
CREATE TABLE IF NOT EXISTS model_price_checks (
    model      text PRIMARY KEY,
    fetched_at timestamptz NOT NULL
);

-- The list as it is now.
CREATE OR REPLACE VIEW model_prices_latest AS
    SELECT * FROM (SELECT DISTINCT ON (model, endpoint) * FROM model_prices ORDER BY model, endpoint, valid_from DESC) latest
    WHERE listed;

INSERT INTO schema_migrations (version, name) VALUES (7, 'prices') ON CONFLICT (version) DO NOTHING;
