-- The AI budget split over campaigns: which plan was in force when, and what it
-- did with the budget of each campaign.
--
-- Forward-only and idempotent; by hand: psql -1 -v ON_ERROR_STOP=1 -f 0012_budget_plans.sql "$DATABASE_URL"

CREATE TABLE IF NOT EXISTS budget_plans (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id   text UNIQUE,                    -- the sender's own, which makes it idempotent; NULL: none
    year         integer NOT NULL,               -- of the month that it was made for, UTC
    month        integer NOT NULL CHECK (month BETWEEN 1 AND 12),
    from_day     date NOT NULL,                  -- of the figures, both included
    to_day       date NOT NULL,
    amount_eur   numeric NOT NULL CHECK (amount_eur >= 0),
    reserve_eur  numeric NOT NULL CHECK (reserve_eur >= 0 AND reserve_eur <= amount_eur),
    high_roi_percent numeric NOT NULL CHECK (high_roi_percent >= 0),
    standard_percent numeric NOT NULL CHECK (standard_percent >= 0),
    testing_percent  numeric NOT NULL CHECK (testing_percent >= 0),
    step_percent numeric NOT NULL CHECK (step_percent > 0),  -- of a limit, a day
    mode         text NOT NULL CHECK (mode IN ('alert', 'soft', 'hard')),
    automatic    boolean NOT NULL DEFAULT false,
    actor        text NOT NULL,
    reason       text,
    created_at   timestamptz NOT NULL,
    moved_on     date NOT NULL,                  -- UTC day of its latest step: there is one a day, over all replicas
    replaces     bigint REFERENCES budget_plans (id),
    ended_at     timestamptz,                    -- NULL: it is in force
    ended_by     text,
    ending       text CHECK (ending IN ('replaced', 'rolled_back')),

    CONSTRAINT budget_plans_split_check CHECK (high_roi_percent + standard_percent + testing_percent = 100),
    CONSTRAINT budget_plans_ended_check CHECK ((ended_at IS NULL) = (ending IS NULL))
);
-- At most one is in force.
CREATE UNIQUE INDEX IF NOT EXISTS budget_plans_in_force_idx ON budget_plans ((true)) WHERE ended_at IS NULL;

CREATE TABLE IF NOT EXISTS budget_plan_items (
    plan_id     bigint NOT NULL REFERENCES budget_plans (id) ON DELETE CASCADE,
    campaign_id text NOT NULL,
    class       text CHECK (class IN ('high_roi', 'standard', 'testing')),  -- NULL: the campaign is not in the plan
    decision    text,
    why         text,
    model_class text,
    model       text,
    budget_id   text REFERENCES budgets (id),   -- that it moves; of a conflict, the person's
    before_eur  numeric,                         -- limit of the planned budget before; NULL: there was none
    before_mode text,
    target_eur  numeric CHECK (target_eur >= 0), -- NULL: the campaign is not in the plan
    limit_eur   numeric CHECK (limit_eur >= 0),  -- as the plan has last set it; NULL: it has set none
    state       text NOT NULL CHECK (state IN ('moving', 'reached', 'removed', 'conflict', 'stopped')),
    PRIMARY KEY (plan_id, campaign_id),
    CONSTRAINT budget_plan_items_before_check CHECK ((before_eur IS NULL) = (before_mode IS NULL)),
    CONSTRAINT budget_plan_items_in_plan_check CHECK ((class IS NULL) = (target_eur IS NULL))
);

INSERT INTO schema_migrations (version, name) VALUES (12, 'budget_plans') ON CONFLICT (version) DO NOTHING;
