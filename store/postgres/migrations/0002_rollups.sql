-- Sums that dashboards read instead of the rows. Both move by deltas in the
-- transaction that writes the rows, so they equal the rows at any moment;
-- docs/queries/rollups.sql proves it.
--
-- Forward-only and idempotent; by hand: psql -1 -v ON_ERROR_STOP=1 -f 0002_rollups.sql "$DATABASE_URL"

-- '' means untagged: a key column that may be NULL could not be unique.
-- The room left in each page lets an update stay in its page (HOT), without
-- touching the index: the rows of the present hour change all the time.
CREATE TABLE IF NOT EXISTS usage_hourly (
    hour        timestamptz NOT NULL,  -- start, UTC
    campaign_id text NOT NULL DEFAULT '',
    purpose     text NOT NULL DEFAULT '',
    model       text NOT NULL DEFAULT '',
    platform    text NOT NULL DEFAULT '',

    calls           bigint NOT NULL DEFAULT 0,
    failed_calls    bigint NOT NULL DEFAULT 0,
    cancelled_calls bigint NOT NULL DEFAULT 0,
    unsettled_calls bigint NOT NULL DEFAULT 0,  -- pending, awaiting_key, unresolved, interrupted

    cost_usd               numeric NOT NULL DEFAULT 0,  -- what OpenRouter charged
    byok_upstream_cost_usd numeric NOT NULL DEFAULT 0,  -- what providers charged, only where is_byok

    prompt_tokens     bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    total_tokens      bigint NOT NULL DEFAULT 0,
    cached_tokens     bigint NOT NULL DEFAULT 0,
    reasoning_tokens  bigint NOT NULL DEFAULT 0,

    PRIMARY KEY (hour, campaign_id, purpose, model, platform)
) WITH (fillfactor = 70);

CREATE INDEX IF NOT EXISTS usage_hourly_campaign_idx ON usage_hourly (campaign_id, hour);

-- A month in EUR, except openrouter_cost, which is USD as OpenRouter bills it.
-- The totals are generated, so that they hold whoever writes the parts.
--
-- A quotient is exact to its tenth decimal, half up: div() is integer division
-- over every digit, where numeric "/" would round once by itself and round()
-- a second time. Nothing sent is NULL: no cost per email, not a cost of zero.
CREATE TABLE IF NOT EXISTS monthly_costs (
    id    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    year  integer NOT NULL,
    month integer NOT NULL CHECK (month BETWEEN 1 AND 12),

    instantly_cost        numeric NOT NULL DEFAULT 75,
    google_workspace_cost numeric NOT NULL DEFAULT 48,
    openrouter_cost       numeric NOT NULL DEFAULT 0,
    exchange_rate         numeric NOT NULL DEFAULT 0.92,  -- EUR for one USD
    total_cost            numeric NOT NULL GENERATED ALWAYS AS
        (instantly_cost + google_workspace_cost + openrouter_cost * exchange_rate) STORED,

    emails_sent      bigint NOT NULL DEFAULT 0,
    meetings_booked  bigint NOT NULL DEFAULT 0,
    cost_per_email   numeric GENERATED ALWAYS AS (CASE WHEN emails_sent > 0 THEN
        round(div((instantly_cost + google_workspace_cost + openrouter_cost * exchange_rate) * 20000000000 + emails_sent,
                  2 * emails_sent::numeric) * 0.0000000001, 10) END) STORED,
    cost_per_meeting numeric GENERATED ALWAYS AS (CASE WHEN meetings_booked > 0 THEN
        round(div((instantly_cost + google_workspace_cost + openrouter_cost * exchange_rate) * 20000000000 + meetings_booked,
                  2 * meetings_booked::numeric) * 0.0000000001, 10) END) STORED,

    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),

    UNIQUE (year, month)
) WITH (fillfactor = 50);

INSERT INTO schema_migrations (version, name) VALUES (2, 'rollups') ON CONFLICT (version) DO NOTHING;
