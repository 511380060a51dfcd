-- Every call through Bursar, one row each, and the ids that make it one.
--
-- Forward-only and idempotent. Bursar applies it at start; by hand:
--   psql -1 -v ON_ERROR_STOP=1 -f 0001_usage.sql "$DATABASE_URL"

CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- Amounts are NUMERIC without precision or scale: OpenRouter sends as many
-- digits as a price has, and numeric(20,10) would round 5e-11 to 1e-10
-- without a word. Everything derived from them is rounded where it is shown.
--
-- Partitioned by the time inside the id, so that a replayed call always meets
-- its own row; hence created_at is part of the key and never the time of
-- writing.
CREATE TABLE IF NOT EXISTS openrouter_usage (
    id            uuid NOT NULL,
    generation_id text,
    campaign_id   text,
    email_id      text,
    lead_id       text,
    sequence_id   text,
    purpose       text,
    platform      text,
    lead_value    text,
    metadata      jsonb,

    key_fingerprint text,           -- hex SHA-256 of the key that made the call
    endpoint        text,           -- request path without query
    requested_model text,           -- the body's "model"
    model           text NOT NULL,  -- that served; else the requested one; else 'unknown'
    provider        text,

    status        text NOT NULL,
    http_status   integer,          -- NULL: no response came
    finish_reason text,
    error         text,             -- a code or type, never a message: that may quote a prompt

    prompt_tokens      bigint,
    completion_tokens  bigint,
    total_tokens       bigint,      -- as sent, never recomputed
    cached_tokens      bigint,
    cache_write_tokens bigint,
    reasoning_tokens   bigint,

    is_byok                     boolean,
    cost_usd                    numeric,  -- generation_cost_usd if known, else inline_cost_usd
    inline_cost_usd             numeric,  -- usage.cost of the response
    generation_cost_usd         numeric,  -- total_cost of GET /generation
    upstream_inference_cost_usd numeric,  -- additive only where is_byok
    estimated_cost_usd          numeric,  -- by the price list; never part of cost_usd
    cost_source                 text,     -- of cost_usd
    verified_at                 timestamptz,

    job_id                 text,
    duration_ms            bigint,        -- NULL: the call's end was never seen
    time_to_first_token_ms bigint,
    streamed               boolean NOT NULL DEFAULT false,
    cancelled              boolean NOT NULL DEFAULT false,
    repeated_by            uuid,          -- the latest other call that returned the same generation or job

    settle_attempts integer NOT NULL DEFAULT 0,
    settle_next_at  timestamptz,          -- NULL: not in the settler's queue
    settle_error    text,

    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),

    PRIMARY KEY (id, created_at),
    CONSTRAINT openrouter_usage_status_check
        CHECK (status IN ('settled', 'pending', 'awaiting_key', 'unresolved', 'interrupted', 'failed')),
    CONSTRAINT openrouter_usage_cost_source_check
        CHECK (cost_source IN ('inline', 'generation')),
    CONSTRAINT openrouter_usage_cost_has_source_check
        CHECK ((cost_usd IS NULL) = (cost_source IS NULL)),
    CONSTRAINT openrouter_usage_cost_check
        CHECK (cost_usd IS NOT DISTINCT FROM coalesce(generation_cost_usd, inline_cost_usd))
) PARTITION BY RANGE (created_at);

-- Months are attached ahead of time; what falls outside them waits here and is
-- moved before its month is attached.
CREATE TABLE IF NOT EXISTS openrouter_usage_default PARTITION OF openrouter_usage DEFAULT;

CREATE INDEX IF NOT EXISTS openrouter_usage_created_idx
    ON openrouter_usage (created_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS openrouter_usage_campaign_idx
    ON openrouter_usage (campaign_id, created_at DESC) WHERE campaign_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS openrouter_usage_purpose_idx
    ON openrouter_usage (purpose, created_at DESC) WHERE purpose IS NOT NULL;
CREATE INDEX IF NOT EXISTS openrouter_usage_model_idx
    ON openrouter_usage (model, created_at DESC);
CREATE INDEX IF NOT EXISTS openrouter_usage_email_idx
    ON openrouter_usage (email_id) WHERE email_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS openrouter_usage_lead_idx
    ON openrouter_usage (lead_id) WHERE lead_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS openrouter_usage_generation_idx
    ON openrouter_usage (generation_id) WHERE generation_id IS NOT NULL;

-- The settler's two queues. The key comes first: a settler may claim only rows
-- whose key it holds, and must not wade through those whose key nobody has.
CREATE INDEX IF NOT EXISTS openrouter_usage_missing_idx
    ON openrouter_usage (key_fingerprint, settle_next_at)
    WHERE settle_next_at IS NOT NULL AND status IN ('pending', 'awaiting_key');
CREATE INDEX IF NOT EXISTS openrouter_usage_unverified_idx
    ON openrouter_usage (key_fingerprint, settle_next_at)
    WHERE settle_next_at IS NOT NULL AND status = 'settled';
-- What an operator and the metrics ask for: calls whose cost is still open.
CREATE INDEX IF NOT EXISTS openrouter_usage_open_idx
    ON openrouter_usage (status, created_at)
    WHERE status IN ('pending', 'awaiting_key', 'unresolved', 'interrupted');

-- A partitioned table cannot make a column unique that is not part of its
-- partition key; these two can. They are written in the transaction that
-- writes the row, so one generation is one row, ever. usage_id and created_at
-- are the row's key.
CREATE TABLE IF NOT EXISTS generations (
    generation_id text PRIMARY KEY,
    usage_id      uuid NOT NULL,
    created_at    timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS jobs (
    job_id     text PRIMARY KEY,
    usage_id   uuid NOT NULL,
    created_at timestamptz NOT NULL
);

INSERT INTO schema_migrations (version, name) VALUES (1, 'usage') ON CONFLICT (version) DO NOTHING;
