-- Budgets, the money that replicas hold of them, what was decided by them, and
-- the alerts that come of it.
--
-- Forward-only and idempotent; by hand: psql -1 -v ON_ERROR_STOP=1 -f 0006_budgets.sql "$DATABASE_URL"

-- A budget that was deleted keeps its row, so that its decisions can be
-- explained and the one that exists from the first start does not come back.
CREATE TABLE IF NOT EXISTS budgets (
    id   text PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),

    -- The scope: NULL matches every call.
    campaign_id     text,
    purpose         text,
    platform        text,
    model           text,
    key_fingerprint text,
    each            text CHECK (each IN ('lead_id', 'email_id', 'campaign_id')),

    period    text NOT NULL CHECK (period IN ('day', 'week', 'month', 'total')),
    timezone  text NOT NULL DEFAULT 'UTC',
    starts_at timestamptz,
    ends_at   timestamptz,

    limit_amount numeric NOT NULL CHECK (limit_amount >= 0),  -- in currency
    currency     text NOT NULL CHECK (currency IN ('USD', 'EUR')),
    mode         text NOT NULL CHECK (mode IN ('alert', 'soft', 'hard')),
    thresholds   integer[] NOT NULL DEFAULT '{50,75,90,100}',
    enabled      boolean NOT NULL DEFAULT true,

    on_exceed             text NOT NULL DEFAULT 'block' CHECK (on_exceed IN ('block', 'downgrade', 'warn')),
    downgrade_to          text,
    essential_purposes    text[] NOT NULL DEFAULT '{}',
    nonessential_purposes text[] NOT NULL DEFAULT '{}',
    essential_share       numeric NOT NULL DEFAULT 0 CHECK (essential_share >= 0 AND essential_share <= 1),
    bound                 text NOT NULL DEFAULT 'computed' CHECK (bound IN ('computed', 'provider')),

    counts_from timestamptz NOT NULL,   -- start of the window in which it was made; earlier calls do not count
    origin      text NOT NULL DEFAULT 'api',
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    edited_at   timestamptz,            -- when a person last changed it: the configuration's limit is then passed over
    deleted_at  timestamptz,            -- calls that started from then on do not count

    CONSTRAINT budgets_downgrade_check CHECK ((on_exceed = 'downgrade') = (downgrade_to IS NOT NULL)),
    CONSTRAINT budgets_dates_check CHECK (ends_at > starts_at)
);

-- What a budget's period has taken, moved by deltas in the transaction that
-- writes the calls' rows. At any moment, for each row:
--   settled  = Σ cost of its calls
--   reserved = Σ reservations of its calls whose cost is not known
--   granted  = settled + reserved + Σ held of its leases - overshoot
-- Nothing limits settled: a call that was billed is recorded, whatever a
-- budget says. What leads to spending is granted, and that is limited.
CREATE TABLE IF NOT EXISTS budget_periods (
    budget_id    text NOT NULL REFERENCES budgets (id),
    each_value   text NOT NULL DEFAULT '',  -- of the budget's tag; '' if it is not divided
    period_start timestamptz NOT NULL,      -- UTC

    limit_amount numeric NOT NULL,          -- the budget's, which past periods keep
    ceiling   numeric NOT NULL,             -- the limit, or granted where the limit was lowered below it
    granted   numeric NOT NULL DEFAULT 0,
    settled   numeric NOT NULL DEFAULT 0,
    reserved  numeric NOT NULL DEFAULT 0,
    estimated numeric NOT NULL DEFAULT 0,   -- of calls whose cost is not known; no part of the others
    overshoot numeric NOT NULL DEFAULT 0,
    short_at  timestamptz,                  -- when money was last asked for and not there
    updated_at timestamptz NOT NULL DEFAULT now(),

    PRIMARY KEY (budget_id, each_value, period_start),
    CONSTRAINT budget_periods_granted_check CHECK (granted >= 0 AND granted <= ceiling),
    CONSTRAINT budget_periods_overshoot_check CHECK (overshoot >= 0)
) WITH (fillfactor = 50);
-- Of columns that never change, so that an update stays in its page (HOT).
CREATE INDEX IF NOT EXISTS budget_periods_window_idx ON budget_periods (budget_id, period_start);

-- Money in the hands of one replica. A lease ends when its replica gives it
-- back, when the journal of a dead replica is settled, or by an operator.
CREATE TABLE IF NOT EXISTS budget_leases (
    replica      text NOT NULL,
    budget_id    text NOT NULL,
    each_value   text NOT NULL DEFAULT '',
    period_start timestamptz NOT NULL,
    held         numeric NOT NULL CHECK (held >= 0),
    updated_at   timestamptz NOT NULL DEFAULT now(),

    PRIMARY KEY (replica, budget_id, each_value, period_start),
    FOREIGN KEY (budget_id, each_value, period_start) REFERENCES budget_periods
) WITH (fillfactor = 50);
CREATE INDEX IF NOT EXISTS budget_leases_period_idx ON budget_leases (budget_id, each_value, period_start);

-- What was reserved for a call, of which leases, and the rate at which a
-- budget in EUR is charged: they belong to the call as long as its cost moves.
ALTER TABLE openrouter_usage
    ADD COLUMN IF NOT EXISTS reservation jsonb,   -- {"replica": …, "charges": [{"budget", "each", "period", "amount"}]}
    ADD COLUMN IF NOT EXISTS usd_to_eur  numeric; -- EUR for one USD when the call was made

-- One row for each call that a budget or a stop applied to. id is the call's;
-- of merged refusals the first one's.
CREATE TABLE IF NOT EXISTS budget_decisions (
    id              uuid NOT NULL,
    created_at      timestamptz NOT NULL,   -- the time inside the id
    verdict         text NOT NULL CHECK (verdict IN ('allowed', 'warned', 'downgraded', 'blocked')),
    reason          text,
    field           text,                   -- of the request that has no bound, or the tag that is missing
    detail          text,                   -- as the caller was told
    campaign_id     text,
    email_id        text,
    lead_id         text,
    purpose         text,
    platform        text,
    key_fingerprint text,
    endpoint        text,
    model           text,                   -- that the call asked for
    downgraded_to   text,
    bound_usd       numeric,                -- the most the call could cost
    bound_by        text,
    replica         text,
    usd_to_eur      numeric,                -- of charges in EUR
    stop_id         text,
    budgets         jsonb NOT NULL DEFAULT '[]',
    count           integer NOT NULL DEFAULT 1,
    calls           uuid[] NOT NULL DEFAULT '{}',  -- of merged refusals, up to 100, without id
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);
CREATE TABLE IF NOT EXISTS budget_decisions_default PARTITION OF budget_decisions DEFAULT;
CREATE INDEX IF NOT EXISTS budget_decisions_created_idx ON budget_decisions (created_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS budget_decisions_verdict_idx ON budget_decisions (verdict, created_at DESC) WHERE verdict <> 'allowed';
CREATE INDEX IF NOT EXISTS budget_decisions_campaign_idx ON budget_decisions (campaign_id, created_at DESC) WHERE campaign_id IS NOT NULL;

-- One row, whose version rises with every change of budgets and stops: what a
-- replica asks for four times a second.
CREATE TABLE IF NOT EXISTS guard_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  bigint NOT NULL DEFAULT 1
);
INSERT INTO guard_state (only_row) VALUES (true) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS guard_replicas (
    replica    text PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    version    bigint NOT NULL DEFAULT 0,   -- of guard_state, that it obeys
    version_at timestamptz,                 -- since when
    ended_at   timestamptz                  -- it stopped, or its journal was settled
);

CREATE TABLE IF NOT EXISTS guard_stops (
    id              text PRIMARY KEY,
    kind            text NOT NULL CHECK (kind IN ('emergency', 'spike')),
    campaign_id     text,
    purpose         text,
    platform        text,
    model           text,
    key_fingerprint text,
    reason          text NOT NULL,
    actor           text NOT NULL,
    cut_streams     boolean NOT NULL DEFAULT false,
    drill           boolean NOT NULL DEFAULT false,
    version         bigint NOT NULL,        -- of guard_state, that it came with
    reached         jsonb NOT NULL DEFAULT '{}',  -- when each replica obeyed, by its id
    created_at      timestamptz NOT NULL DEFAULT now(),
    lifted_at       timestamptz,
    lifted_by       text
);
CREATE INDEX IF NOT EXISTS guard_stops_active_idx ON guard_stops (created_at) WHERE lifted_at IS NULL;

-- An alert is made in the transaction of what caused it; its key makes it one,
-- however many replicas see the cause.
CREATE TABLE IF NOT EXISTS alerts (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key             text NOT NULL UNIQUE,
    kind            text NOT NULL,
    severity        text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    subject         text NOT NULL,
    title           text NOT NULL,
    text            text NOT NULL,
    data            jsonb NOT NULL DEFAULT '{}',
    created_at      timestamptz NOT NULL DEFAULT now(),
    acknowledged_at timestamptz,
    acknowledged_by text
);
CREATE INDEX IF NOT EXISTS alerts_created_idx ON alerts (created_at DESC, id DESC);

CREATE TABLE IF NOT EXISTS alert_deliveries (
    alert_id     bigint NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    channel      text NOT NULL,
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts     integer NOT NULL DEFAULT 0,
    next_at      timestamptz DEFAULT now(),  -- NULL: nothing more will be tried
    delivered_at timestamptz,
    error        text,
    PRIMARY KEY (alert_id, channel)
);
CREATE INDEX IF NOT EXISTS alert_deliveries_due_idx ON alert_deliveries (next_at) WHERE state = 'pending';

INSERT INTO schema_migrations (version, name) VALUES (6, 'budgets') ON CONFLICT (version) DO NOTHING;
