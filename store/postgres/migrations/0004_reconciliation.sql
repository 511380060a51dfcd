-- Our days beside OpenRouter's own figures, and months that are closed.
--
-- Forward-only and idempotent; by hand: psql -1 -v ON_ERROR_STOP=1 -f 0004_reconciliation.sql "$DATABASE_URL"

-- A month that is closed keeps its figure. What changes a cost after that
-- moves the row and usage_hourly as ever, but of the months the one in which
-- it became known. For every month, at any moment:
--   openrouter_cost = its rows - corrections of it + corrections booked in it
ALTER TABLE monthly_costs
    ADD COLUMN IF NOT EXISTS closed_at timestamptz,
    ADD COLUMN IF NOT EXISTS closed_by text;

CREATE TABLE IF NOT EXISTS cost_corrections (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    usage_id      uuid NOT NULL,          -- with created_at, the call's row
    created_at    timestamptz NOT NULL,   -- start of the call
    generation_id text,
    year          integer NOT NULL,       -- of the closed month that the call belongs to
    month         integer NOT NULL,
    booked_year   integer NOT NULL,       -- of the month whose figure it moves
    booked_month  integer NOT NULL,
    amount_usd    numeric NOT NULL CHECK (amount_usd <> 0),  -- what the call's cost rose by
    corrected_at  timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT cost_corrections_booked_later_check CHECK ((booked_year, booked_month) > (year, month))
);
CREATE INDEX IF NOT EXISTS cost_corrections_month_idx ON cost_corrections (year, month);
CREATE INDEX IF NOT EXISTS cost_corrections_booked_idx ON cost_corrections (booked_year, booked_month);

-- Running figures of OpenRouter's. Replicas sample at the same moments; a
-- figure is kept once for each.
CREATE TABLE IF NOT EXISTS account_samples (
    source            text NOT NULL CHECK (source IN ('key', 'credits')),
    key_fingerprint   text NOT NULL DEFAULT '',  -- hex SHA-256 of the key; '' for the account
    slot              timestamptz NOT NULL,      -- the moment it was due
    taken_at          timestamptz NOT NULL,      -- when OpenRouter was asked
    usage_usd         numeric NOT NULL,          -- since the beginning
    usage_daily_usd   numeric,                   -- since 00:00 UTC; of keys only
    usage_monthly_usd numeric,                   -- since the first of the month, UTC; of keys only
    total_credits_usd numeric,                   -- bought so far; of the account only
    PRIMARY KEY (slot, source, key_fingerprint)
);
CREATE INDEX IF NOT EXISTS account_samples_taken_idx ON account_samples (taken_at);

-- One day against one source; a second look replaces the first.
CREATE TABLE IF NOT EXISTS reconciliations (
    day             date NOT NULL,             -- UTC
    source          text NOT NULL CHECK (source IN ('activity', 'key', 'credits')),
    key_fingerprint text NOT NULL DEFAULT '',  -- '' for the whole account

    ours_usd       numeric NOT NULL,
    theirs_usd     numeric,                    -- NULL: not to be had
    difference_usd numeric GENERATED ALWAYS AS (theirs_usd - ours_usd) STORED,
    other_keys_usd numeric,                    -- of theirs, by keys that Bursar did not see that day
    dark_spend_usd numeric,                    -- by calls on our keys that never came through Bursar; NULL: unknown
    dark_calls     bigint,

    our_calls        bigint NOT NULL,          -- without failed ones, which are not billed
    their_calls      bigint,
    open_calls       bigint NOT NULL,          -- of ours, cost not known yet
    unverified_calls bigint NOT NULL,          -- of ours, cost not confirmed by OpenRouter's record
    unverified_usd   numeric NOT NULL,

    sampled_from    timestamptz,               -- the moments that stand for the midnights
    sampled_to      timestamptz,
    calls_in_flight bigint,                    -- at those moments
    in_flight_usd   numeric,

    tolerance  numeric NOT NULL,               -- a share of theirs_usd
    verdict    text NOT NULL CHECK (verdict IN ('agrees', 'within_tolerance', 'differs', 'unavailable')),
    reason     text,                           -- why it is unavailable
    models     jsonb NOT NULL DEFAULT '[]',    -- of the activity: both sides by model
    suspects   jsonb NOT NULL DEFAULT '[]',    -- calls that may explain the difference
    checked_at timestamptz NOT NULL,

    PRIMARY KEY (day, source, key_fingerprint),
    CONSTRAINT reconciliations_theirs_check CHECK ((verdict = 'unavailable') = (theirs_usd IS NULL))
);

-- Who looks at a day: each is done once over all replicas. A claim ends by
-- itself, so that a replica that died holds nobody up.
CREATE TABLE IF NOT EXISTS reconciliation_days (
    day           date PRIMARY KEY,            -- UTC
    claimed_until timestamptz NOT NULL,        -- also: not to be looked at before
    attempts      integer NOT NULL DEFAULT 1,
    finished_at   timestamptz
);

INSERT INTO schema_migrations (version, name) VALUES (4, 'reconciliation') ON CONFLICT (version) DO NOTHING;
