-- Experiments: which leads get how much AI, by chance, and what came of it.
--
-- Forward-only and idempotent; by hand: psql -1 -v ON_ERROR_STOP=1 -f 0011_experiments.sql "$DATABASE_URL"

CREATE TABLE IF NOT EXISTS experiments (
    id              text PRIMARY KEY,
    name            text NOT NULL,
    campaign_id     text,                          -- NULL: leads of every campaign
    purpose         text,                          -- NULL: calls for any purpose
    arms            jsonb NOT NULL,                -- [{name, weight, model, ai}], the first is the control
    metric          text NOT NULL CHECK (metric IN ('conversion', 'reply_rate', 'send_rate')),
    margin          numeric NOT NULL CHECK (margin > 0 AND margin < 1),
    enforce         boolean NOT NULL,
    stop_on_verdict boolean NOT NULL,
    max_days        integer CHECK (max_days > 0),
    max_leads       bigint CHECK (max_leads > 0),
    state           text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'running', 'stopped', 'rolled_back')),
    started_at      timestamptz,                   -- from which calls count
    ended_at        timestamptz,                   -- from which they do no longer
    ended_by        text,
    end_reason      text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    claimed_until   timestamptz NOT NULL DEFAULT '-infinity',  -- a replica judges it; also: not to be judged before
    CONSTRAINT experiments_started_check CHECK ((state = 'draft') = (started_at IS NULL)),
    CONSTRAINT experiments_ended_check CHECK ((state IN ('stopped', 'rolled_back')) = (ended_at IS NOT NULL)),
    CONSTRAINT experiments_arms_check CHECK (jsonb_typeof(arms) = 'array' AND jsonb_array_length(arms) >= 2)
);

-- A lead of an experiment in one campaign. It takes part from the first call
-- that belongs to the experiment, sent or refused, or since somebody asked to
-- have it in. The counts are those of activities since the experiment's start.
CREATE TABLE IF NOT EXISTS experiment_leads (
    experiment_id text NOT NULL,
    lead_id       text NOT NULL,
    campaign_id   text NOT NULL DEFAULT '',
    arm           integer NOT NULL,                -- place among the arms, from 0
    seen_at       timestamptz,                     -- NULL: it takes no part; what comes of it is kept in case it will
    emails        bigint NOT NULL DEFAULT 0,
    replies       bigint NOT NULL DEFAULT 0,
    meetings      bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (experiment_id, lead_id, campaign_id)
) WITH (fillfactor = 70);

-- Sums by arm. Leads, and what came of them, are of the UTC day on which they
-- were first seen; calls of their own day.
CREATE TABLE IF NOT EXISTS experiment_daily (
    experiment_id   text NOT NULL,
    day             date NOT NULL,
    arm             integer NOT NULL,
    leads           bigint NOT NULL DEFAULT 0,
    sent_leads      bigint NOT NULL DEFAULT 0,
    replied_leads   bigint NOT NULL DEFAULT 0,
    converted_leads bigint NOT NULL DEFAULT 0,
    meetings        bigint NOT NULL DEFAULT 0,
    calls           bigint NOT NULL DEFAULT 0,
    cost_usd        numeric NOT NULL DEFAULT 0,
    PRIMARY KEY (experiment_id, day, arm)
) WITH (fillfactor = 70);

-- The arm that a lead is in: the same as Bursar's, for queries by hand. The
-- first 48 bits of SHA-256 of "<experiment>/<lead>", by the sum of the weights.
CREATE OR REPLACE FUNCTION experiment_arm(experiment text, lead text, arms jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    WITH weighed AS (
        SELECT (place - 1)::integer AS arm, sum((a ->> 'weight')::bigint) OVER (ORDER BY place) AS up_to
        FROM jsonb_array_elements(arms) WITH ORDINALITY AS t (a, place)
    )
    SELECT min(arm) FROM weighed
    WHERE ('x' || substr(encode(sha256(convert_to(experiment || '/' || lead, 'UTF8')), 'hex'), 1, 12))::bit(48)::bigint
        % (SELECT max(up_to) FROM weighed) < up_to
$$;

-- NULL where no experiment held the call.
ALTER TABLE budget_decisions
    ADD COLUMN IF NOT EXISTS experiment_id text,
    ADD COLUMN IF NOT EXISTS arm           text,
    ADD COLUMN IF NOT EXISTS arm_model     text;   -- in place of the one that was asked for

-- recount: from here to the end leads of experiments and their sums are counted
-- again from the calls and activities that are recorded, as in 0008. Leads that
-- were refused, or that somebody has had in, stay.
INSERT INTO experiment_leads AS l (experiment_id, lead_id, campaign_id, arm, seen_at)
SELECT e.id, u.lead_id, coalesce(u.campaign_id, ''), experiment_arm(e.id, u.lead_id, e.arms), min(u.created_at)
FROM experiments e JOIN openrouter_usage u ON u.lead_id IS NOT NULL AND u.created_at >= e.started_at AND u.created_at < coalesce(e.ended_at, 'infinity')
    AND (e.campaign_id IS NULL OR u.campaign_id = e.campaign_id) AND (e.purpose IS NULL OR u.purpose = e.purpose)
WHERE (SELECT count(*) FROM experiments) > 0 -- asked once: without experiments no call is looked at
GROUP BY e.id, u.lead_id, coalesce(u.campaign_id, '')
ON CONFLICT (experiment_id, lead_id, campaign_id) DO UPDATE SET seen_at = least(l.seen_at, excluded.seen_at);

UPDATE experiment_leads l SET arm = experiment_arm(e.id, l.lead_id, e.arms), emails = 0, replies = 0, meetings = 0
FROM experiments e WHERE e.id = l.experiment_id;
INSERT INTO experiment_leads AS l (experiment_id, lead_id, campaign_id, arm, emails, replies, meetings)
SELECT e.id, a.lead_id, coalesce(a.campaign_id, ''), experiment_arm(e.id, a.lead_id, e.arms),
    count(*) FILTER (WHERE type = 'email_sent'), count(*) FILTER (WHERE type = 'reply_received'), count(*) FILTER (WHERE type = 'meeting_booked')
FROM experiments e JOIN activities a ON a.lead_id IS NOT NULL AND a.reversed_at IS NULL AND a.occurred_at >= e.started_at
    AND (e.campaign_id IS NULL OR a.campaign_id = e.campaign_id)
WHERE a.type IN ('email_sent', 'reply_received', 'meeting_booked') AND (SELECT count(*) FROM experiments) > 0
GROUP BY e.id, a.lead_id, coalesce(a.campaign_id, '')
ON CONFLICT (experiment_id, lead_id, campaign_id) DO UPDATE SET emails = excluded.emails, replies = excluded.replies, meetings = excluded.meetings;

DELETE FROM experiment_daily;
INSERT INTO experiment_daily (experiment_id, day, arm, leads, sent_leads, replied_leads, converted_leads, meetings)
SELECT experiment_id, (seen_at AT TIME ZONE 'UTC')::date, arm, count(*),
    count(*) FILTER (WHERE emails > 0), count(*) FILTER (WHERE replies > 0), count(*) FILTER (WHERE meetings > 0), sum(meetings)
FROM experiment_leads WHERE seen_at IS NOT NULL GROUP BY 1, 2, 3;
INSERT INTO experiment_daily AS d (experiment_id, day, arm, calls, cost_usd)
SELECT e.id, (u.created_at AT TIME ZONE 'UTC')::date, experiment_arm(e.id, u.lead_id, e.arms), count(*), coalesce(sum(u.cost_usd), 0)
FROM experiments e JOIN openrouter_usage u ON u.lead_id IS NOT NULL AND u.created_at >= e.started_at AND u.created_at < coalesce(e.ended_at, 'infinity')
    AND (e.campaign_id IS NULL OR u.campaign_id = e.campaign_id) AND (e.purpose IS NULL OR u.purpose = e.purpose)
WHERE (SELECT count(*) FROM experiments) > 0
GROUP BY 1, 2, 3
ON CONFLICT (experiment_id, day, arm) DO UPDATE SET calls = excluded.calls, cost_usd = excluded.cost_usd;

INSERT INTO schema_migrations (version, name) VALUES (11, 'experiments') ON CONFLICT (version) DO NOTHING;
