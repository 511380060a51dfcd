-- What came of the calls: activities, and what leads and emails have cost. The
-- sums beside them move by deltas in the transaction that moves what they are
-- sums of, so reports read a few hundred rows, however many calls there are.
--
-- Forward-only and idempotent; by hand: psql -1 -v ON_ERROR_STOP=1 -f 0008_economics.sql "$DATABASE_URL"

-- Something that happened in a campaign. It is counted once, by its id; one
-- that was reversed is kept and counts no more.
CREATE TABLE IF NOT EXISTS activities (
    id           text PRIMARY KEY,
    type         text NOT NULL CHECK (type IN ('email_sent', 'meeting_booked', 'reply_received', 'bounced', 'unsubscribed', 'opened', 'deal_won')),
    campaign_id  text,
    lead_id      text,
    email_id     text,
    platform     text,
    value        numeric CHECK (value >= 0),       -- of a meeting or a deal, in currency
    currency     text CHECK (currency IN ('USD', 'EUR')),
    value_eur    numeric,                          -- at the rate of the day on which it happened
    metadata     jsonb,
    source       text NOT NULL DEFAULT 'api',      -- api, lead, webhook/instantly, …
    occurred_at  timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT now(),
    booked_year  integer NOT NULL,                 -- of the month whose figures it moved: its own, or a later one if that was closed
    booked_month integer NOT NULL,
    reversed_at  timestamptz,
    reversed_by  text,
    CONSTRAINT activities_value_has_currency_check CHECK ((value IS NULL) = (currency IS NULL))
);
CREATE INDEX IF NOT EXISTS activities_occurred_idx ON activities (occurred_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS activities_campaign_idx ON activities (campaign_id, occurred_at DESC) WHERE campaign_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS activities_lead_idx ON activities (lead_id, campaign_id) WHERE lead_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS activities_email_idx ON activities (email_id) WHERE email_id IS NOT NULL;

-- Activities by the UTC day on which they happened, reversed ones left out.
CREATE TABLE IF NOT EXISTS activity_daily (
    day         date NOT NULL,
    campaign_id text NOT NULL DEFAULT '',
    platform    text NOT NULL DEFAULT '',
    type        text NOT NULL,
    count       bigint NOT NULL DEFAULT 0,
    valued      bigint NOT NULL DEFAULT 0,         -- of count, those that told a value
    value_eur   numeric NOT NULL DEFAULT 0,
    PRIMARY KEY (day, campaign_id, platform, type)
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS activity_daily_campaign_idx ON activity_daily (campaign_id, day);

-- One lead in one campaign: what its calls have cost, and what came of it.
CREATE TABLE IF NOT EXISTS lead_processing_costs (
    lead_id         text NOT NULL,
    campaign_id     text NOT NULL DEFAULT '',     -- '' for calls without one
    platform        text,
    lead_value      text,
    cost_usd        numeric NOT NULL DEFAULT 0,
    wasted_usd      numeric NOT NULL DEFAULT 0,   -- of cost_usd: failed, cut off and redrafted calls, wasted whatever comes of the lead
    total_tokens    bigint NOT NULL DEFAULT 0,
    calls           bigint NOT NULL DEFAULT 0,
    emails_sent     bigint NOT NULL DEFAULT 0,
    replies         bigint NOT NULL DEFAULT 0,
    meetings        bigint NOT NULL DEFAULT 0,
    value_eur       numeric NOT NULL DEFAULT 0,   -- of its meetings and deals
    processed_at    timestamptz,                  -- its first call; NULL: none
    sent_at         timestamptz,                  -- the first of each
    replied_at      timestamptz,
    converted_at    timestamptz,
    bounced_at      timestamptz,
    unsubscribed_at timestamptz,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (lead_id, campaign_id)
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS lead_processing_costs_campaign_idx ON lead_processing_costs (campaign_id, processed_at DESC);
CREATE INDEX IF NOT EXISTS lead_processing_costs_processed_idx ON lead_processing_costs (processed_at DESC, lead_id DESC, campaign_id);
-- The lists of leads by state; of what is rare, or was never there, a page would else read every lead.
CREATE INDEX IF NOT EXISTS lead_processing_costs_replied_idx ON lead_processing_costs (processed_at DESC, lead_id DESC) WHERE replied_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS lead_processing_costs_met_idx ON lead_processing_costs (processed_at DESC, lead_id DESC) WHERE converted_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS lead_processing_costs_lost_idx ON lead_processing_costs (processed_at DESC, lead_id DESC)
    WHERE bounced_at IS NOT NULL OR unsubscribed_at IS NOT NULL;

-- Leads by the UTC day of their first call.
CREATE TABLE IF NOT EXISTS lead_daily (
    day                date NOT NULL,
    campaign_id        text NOT NULL DEFAULT '',
    platform           text NOT NULL DEFAULT '',
    leads              bigint NOT NULL DEFAULT 0,
    sent_leads         bigint NOT NULL DEFAULT 0,
    replied_leads      bigint NOT NULL DEFAULT 0,
    converted_leads    bigint NOT NULL DEFAULT 0,
    cost_usd           numeric NOT NULL DEFAULT 0,
    -- What is wasted on leads, without wasted_usd. A lead is of one kind only:
    -- bounced before unsubscribed before unsent; one that converted is of none.
    unsent_leads       bigint NOT NULL DEFAULT 0,
    unsent_usd         numeric NOT NULL DEFAULT 0,
    bounced_leads      bigint NOT NULL DEFAULT 0,
    bounced_usd        numeric NOT NULL DEFAULT 0,
    unsubscribed_leads bigint NOT NULL DEFAULT 0,
    unsubscribed_usd   numeric NOT NULL DEFAULT 0,
    PRIMARY KEY (day, campaign_id, platform)
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS lead_daily_campaign_idx ON lead_daily (campaign_id, day);

-- What each model has cost for a lead: a meeting is shared over the models that
-- worked for it, by what they cost.
CREATE TABLE IF NOT EXISTS lead_models (
    lead_id     text NOT NULL,
    campaign_id text NOT NULL DEFAULT '',
    model       text NOT NULL,
    cost_usd    numeric NOT NULL DEFAULT 0,
    calls       bigint NOT NULL DEFAULT 0,
    first_at    timestamptz NOT NULL,             -- of the call that made the row
    PRIMARY KEY (lead_id, campaign_id, model)
) WITH (fillfactor = 70);

-- Leads by the UTC day on which a model first worked for them.
CREATE TABLE IF NOT EXISTS model_lead_daily (
    day   date NOT NULL,
    model text NOT NULL,
    leads bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (day, model)
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS lead_processing_costs_converted_idx ON lead_processing_costs (converted_at) WHERE meetings > 0;

-- One email, for one purpose: its drafts are the calls that brought a whole
-- answer, and all but the last were in vain.
CREATE TABLE IF NOT EXISTS email_costs (
    email_id       text NOT NULL,
    purpose        text NOT NULL DEFAULT '',
    campaign_id    text NOT NULL DEFAULT '',      -- these three of the last draft
    lead_id        text,
    platform       text,
    cost_usd       numeric NOT NULL DEFAULT 0,
    total_tokens   bigint NOT NULL DEFAULT 0,
    calls          bigint NOT NULL DEFAULT 0,
    drafts         bigint NOT NULL DEFAULT 0,
    drafts_usd     numeric NOT NULL DEFAULT 0,
    last_draft     uuid,                          -- the call; NULL: there is none
    last_draft_usd numeric NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL,          -- of its first call
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (email_id, purpose)
) WITH (fillfactor = 70);

-- Calls that were wasted whatever came of their lead. A call is of one kind.
CREATE TABLE IF NOT EXISTS waste_daily (
    day         date NOT NULL,
    campaign_id text NOT NULL DEFAULT '',
    platform    text NOT NULL DEFAULT '',
    kind        text NOT NULL CHECK (kind IN ('failed', 'cancelled', 'truncated', 'redrafted')),
    calls       bigint NOT NULL DEFAULT 0,
    cost_usd    numeric NOT NULL DEFAULT 0,
    PRIMARY KEY (day, campaign_id, platform, kind)
) WITH (fillfactor = 70);

-- Calls by UTC day, once for each way of asking: in all, by each tag, model and
-- key, and by purpose and model within a campaign. A report of a month so reads
-- as many rows as it has lines and days.
CREATE TABLE IF NOT EXISTS usage_daily (
    day               date NOT NULL,
    dimension         text NOT NULL CHECK (dimension IN ('all', 'campaign', 'purpose', 'platform', 'model', 'key', 'campaign_purpose', 'campaign_model')),
    campaign_id       text NOT NULL DEFAULT '',   -- of the last two dimensions only
    value             text NOT NULL DEFAULT '',   -- '' is untagged
    calls             bigint NOT NULL DEFAULT 0,
    failed_calls      bigint NOT NULL DEFAULT 0,
    cancelled_calls   bigint NOT NULL DEFAULT 0,
    truncated_calls   bigint NOT NULL DEFAULT 0,  -- cut by length
    unsettled_calls   bigint NOT NULL DEFAULT 0,
    cost_usd          numeric NOT NULL DEFAULT 0,
    prompt_tokens     bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    total_tokens      bigint NOT NULL DEFAULT 0,
    cached_tokens     bigint NOT NULL DEFAULT 0,
    reasoning_tokens  bigint NOT NULL DEFAULT 0,
    timed_calls       bigint NOT NULL DEFAULT 0,  -- whose duration is known
    duration_ms       bigint NOT NULL DEFAULT 0,
    first_token_calls bigint NOT NULL DEFAULT 0,  -- whose time to the first token is known
    first_token_ms    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (dimension, campaign_id, day, value)
) WITH (fillfactor = 70);
-- One campaign, model, … over its days, among however many others.
CREATE INDEX IF NOT EXISTS usage_daily_value_idx ON usage_daily (dimension, campaign_id, value, day);

CREATE TABLE IF NOT EXISTS finish_daily (
    day           date NOT NULL,
    model         text NOT NULL DEFAULT '',
    finish_reason text NOT NULL DEFAULT '',
    calls         bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (day, model, finish_reason)
) WITH (fillfactor = 70);

-- X-Sequence-ID: the emails that follow each other to one lead.
CREATE TABLE IF NOT EXISTS sequence_costs (
    sequence_id  text NOT NULL,
    campaign_id  text NOT NULL DEFAULT '',
    cost_usd     numeric NOT NULL DEFAULT 0,
    total_tokens bigint NOT NULL DEFAULT 0,
    calls        bigint NOT NULL DEFAULT 0,
    first_at     timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sequence_id, campaign_id)
) WITH (fillfactor = 70);

-- What is known about a campaign besides its calls and activities.
CREATE TABLE IF NOT EXISTS campaigns (
    id                text PRIMARY KEY,
    name              text,
    platform          text,
    meeting_value     numeric CHECK (meeting_value >= 0),
    currency          text NOT NULL DEFAULT 'EUR' CHECK (currency IN ('USD', 'EUR')),
    target_cost_per_email   numeric CHECK (target_cost_per_email >= 0),    -- EUR
    target_cost_per_meeting numeric CHECK (target_cost_per_meeting >= 0),  -- EUR
    testing           boolean NOT NULL DEFAULT false,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
);

-- EUR for one USD, from a day on until the next one. Where none is dated on or
-- before a day, the configured rate holds.
CREATE TABLE IF NOT EXISTS exchange_rates (
    day         date PRIMARY KEY,
    usd_to_eur  numeric NOT NULL CHECK (usd_to_eur > 0),
    source      text NOT NULL,                    -- ecb, api
    recorded_at timestamptz NOT NULL DEFAULT now()
);

-- What calls and decisions are listed by as well. Without these a page of what
-- is rare, or was never there, reads every row.
CREATE INDEX IF NOT EXISTS openrouter_usage_platform_idx ON openrouter_usage (platform, created_at DESC) WHERE platform IS NOT NULL;
CREATE INDEX IF NOT EXISTS openrouter_usage_sequence_idx ON openrouter_usage (sequence_id) WHERE sequence_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS openrouter_usage_unbilled_idx ON openrouter_usage (status, created_at DESC) WHERE status IN ('failed', 'dismissed');
CREATE INDEX IF NOT EXISTS budget_decisions_reason_idx ON budget_decisions (reason, created_at DESC) WHERE reason IS NOT NULL;
CREATE INDEX IF NOT EXISTS budget_decisions_lead_idx ON budget_decisions (lead_id) WHERE lead_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS budget_decisions_email_idx ON budget_decisions (email_id) WHERE email_id IS NOT NULL;

-- The views of the founding documents. A lead counts as wasted once it is 14
-- days old and nothing was sent to it.
CREATE OR REPLACE VIEW lead_processing_efficiency AS
WITH leads AS (
    SELECT campaign_id, sum(leads) AS processed, sum(sent_leads) AS sent, sum(converted_leads) AS converted,
        sum(cost_usd) AS cost_usd,
        coalesce(sum(unsent_usd) FILTER (WHERE day < (now() AT TIME ZONE 'UTC')::date - 14), 0) AS waste_usd
    FROM lead_daily GROUP BY campaign_id
), done AS (
    SELECT campaign_id,
        sum(count) FILTER (WHERE type = 'email_sent')     AS emails_sent,
        sum(count) FILTER (WHERE type = 'meeting_booked') AS meetings
    FROM activity_daily GROUP BY campaign_id
)
SELECT campaign_id, processed AS processed_leads, sent AS sent_leads, converted AS converted_leads,
    coalesce(emails_sent, 0) AS emails_sent, coalesce(meetings, 0) AS meetings_booked,
    CASE WHEN processed > 0 THEN round(sent / processed, 10) END              AS send_rate,
    CASE WHEN emails_sent > 0 THEN round(coalesce(meetings, 0) / emails_sent, 10) END AS conversion_rate,
    cost_usd AS total_cost_usd, waste_usd,
    CASE WHEN cost_usd > 0 THEN round(waste_usd / cost_usd, 10) END           AS waste_factor
FROM leads LEFT JOIN done USING (campaign_id);

CREATE OR REPLACE VIEW monthly_lead_costs AS
WITH leads AS (
    SELECT extract(year FROM day)::integer AS year, extract(month FROM day)::integer AS month,
        sum(leads) AS processed, sum(sent_leads) AS sent, sum(converted_leads) AS converted, sum(cost_usd) AS cost_usd,
        coalesce(sum(unsent_usd) FILTER (WHERE day < (now() AT TIME ZONE 'UTC')::date - 14), 0) AS waste_usd
    FROM lead_daily GROUP BY 1, 2
), done AS (
    SELECT extract(year FROM day)::integer AS year, extract(month FROM day)::integer AS month,
        sum(count) FILTER (WHERE type = 'email_sent')     AS emails_sent,
        sum(count) FILTER (WHERE type = 'meeting_booked') AS meetings
    FROM activity_daily GROUP BY 1, 2
)
SELECT year, month, processed AS processed_leads, sent AS sent_leads, converted AS converted_leads,
    coalesce(emails_sent, 0) AS emails_sent, coalesce(meetings, 0) AS meetings_booked,
    CASE WHEN processed > 0 THEN round(sent / processed, 10) END              AS send_rate,
    CASE WHEN emails_sent > 0 THEN round(coalesce(meetings, 0) / emails_sent, 10) END AS conversion_rate,
    cost_usd AS total_cost_usd, waste_usd,
    CASE WHEN cost_usd > 0 THEN round(waste_usd / cost_usd, 10) END           AS waste_factor
FROM leads LEFT JOIN done USING (year, month);

-- recount: from here to the end everything above is counted again from the
-- calls and activities that are recorded. Bursar runs the same statements for
-- bursar migrate --recount, with writers kept out.
DELETE FROM usage_daily;
DELETE FROM finish_daily;
DELETE FROM waste_daily;
DELETE FROM lead_daily;
DELETE FROM activity_daily;
DELETE FROM model_lead_daily;
DELETE FROM lead_models;
DELETE FROM lead_processing_costs;
DELETE FROM email_costs;
DELETE FROM sequence_costs;

-- In two steps: a call has eight rows here, but few calls are the only ones of
-- their kind on their day.
INSERT INTO usage_daily
SELECT u.day, k.dimension, k.campaign, k.value, sum(u.calls), sum(u.failed), sum(u.cancelled), sum(u.truncated), sum(u.unsettled),
    sum(u.usd), sum(u.prompt), sum(u.completion), sum(u.total), sum(u.cached), sum(u.reasoning), sum(u.timed), sum(u.ms), sum(u.first_tokens), sum(u.first_ms)
FROM (
    SELECT (created_at AT TIME ZONE 'UTC')::date AS day, coalesce(campaign_id, '') AS campaign, coalesce(purpose, '') AS purpose,
        coalesce(platform, '') AS platform, model, coalesce(key_fingerprint, '') AS key,
        count(*) AS calls, count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE cancelled) AS cancelled,
        count(*) FILTER (WHERE finish_reason IN ('length', 'max_tokens', 'max_output_tokens')) AS truncated,
        count(*) FILTER (WHERE status IN ('pending', 'awaiting_key', 'unresolved', 'interrupted')) AS unsettled,
        coalesce(sum(cost_usd), 0) AS usd, coalesce(sum(prompt_tokens), 0)::bigint AS prompt, coalesce(sum(completion_tokens), 0)::bigint AS completion,
        coalesce(sum(total_tokens), 0)::bigint AS total, coalesce(sum(cached_tokens), 0)::bigint AS cached, coalesce(sum(reasoning_tokens), 0)::bigint AS reasoning,
        count(duration_ms) AS timed, coalesce(sum(duration_ms), 0)::bigint AS ms,
        count(time_to_first_token_ms) AS first_tokens, coalesce(sum(time_to_first_token_ms), 0)::bigint AS first_ms
    FROM openrouter_usage GROUP BY 1, 2, 3, 4, 5, 6
) u CROSS JOIN LATERAL (VALUES
    ('all', '', ''), ('campaign', '', u.campaign), ('purpose', '', u.purpose), ('platform', '', u.platform), ('model', '', u.model), ('key', '', u.key),
    ('campaign_purpose', u.campaign, u.purpose), ('campaign_model', u.campaign, u.model)) AS k (dimension, campaign, value)
GROUP BY 1, 2, 3, 4
ORDER BY 2, 3, 1, 4; -- so that the rows of a report lie beside each other

INSERT INTO finish_daily
SELECT (created_at AT TIME ZONE 'UTC')::date, model, coalesce(finish_reason, ''), count(*) FROM openrouter_usage GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- The draft that is used is the last one of its email and purpose.
CREATE TEMPORARY TABLE recounted_drafts AS
SELECT id, (created_at AT TIME ZONE 'UTC')::date AS day, email_id, coalesce(purpose, '') AS purpose,
    campaign_id, lead_id, platform, coalesce(cost_usd, 0) AS cost_usd,
    row_number() OVER (PARTITION BY email_id, coalesce(purpose, '') ORDER BY id DESC) AS age
FROM openrouter_usage
WHERE email_id IS NOT NULL AND status NOT IN ('failed', 'dismissed', 'interrupted') AND error IS NULL AND NOT cancelled
  AND coalesce(finish_reason, '') NOT IN ('length', 'max_tokens', 'max_output_tokens');

CREATE TEMPORARY TABLE recounted_waste AS
SELECT (created_at AT TIME ZONE 'UTC')::date AS day, coalesce(campaign_id, '') AS campaign_id, coalesce(platform, '') AS platform, lead_id,
    CASE WHEN status = 'failed' OR error IS NOT NULL THEN 'failed' WHEN cancelled THEN 'cancelled' ELSE 'truncated' END AS kind, cost_usd
FROM openrouter_usage
WHERE cost_usd IS NOT NULL
  AND (status = 'failed' OR error IS NOT NULL OR cancelled OR finish_reason IN ('length', 'max_tokens', 'max_output_tokens'))
UNION ALL
SELECT day, coalesce(campaign_id, ''), coalesce(platform, ''), lead_id, 'redrafted', cost_usd FROM recounted_drafts WHERE age > 1;

INSERT INTO waste_daily SELECT day, campaign_id, platform, kind, count(*), sum(cost_usd) FROM recounted_waste GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;

INSERT INTO email_costs (email_id, purpose, cost_usd, total_tokens, calls, created_at, drafts, drafts_usd, last_draft, last_draft_usd, campaign_id, lead_id, platform)
SELECT email_id, purpose, cost_usd, tokens, calls, first, coalesce(d.drafts, 0), coalesce(d.usd, 0), l.id, coalesce(l.usd, 0), coalesce(l.campaign_id, ''), l.lead_id, l.platform
FROM (SELECT email_id, coalesce(purpose, '') AS purpose, coalesce(sum(cost_usd), 0) AS cost_usd, coalesce(sum(total_tokens), 0) AS tokens, count(*) AS calls, min(created_at) AS first
    FROM openrouter_usage WHERE email_id IS NOT NULL GROUP BY 1, 2) e
LEFT JOIN (SELECT email_id, purpose, count(*) AS drafts, sum(cost_usd) AS usd FROM recounted_drafts GROUP BY 1, 2) d USING (email_id, purpose)
LEFT JOIN (SELECT email_id, purpose, id, cost_usd AS usd, campaign_id, lead_id, platform FROM recounted_drafts WHERE age = 1) l USING (email_id, purpose);

INSERT INTO sequence_costs (sequence_id, campaign_id, cost_usd, total_tokens, calls, first_at)
SELECT sequence_id, coalesce(campaign_id, ''), coalesce(sum(cost_usd), 0), coalesce(sum(total_tokens), 0), count(*), min(created_at)
FROM openrouter_usage WHERE sequence_id IS NOT NULL GROUP BY 1, 2 ORDER BY min(created_at);

INSERT INTO lead_models
SELECT lead_id, coalesce(campaign_id, ''), model, coalesce(sum(cost_usd), 0), count(*), min(created_at)
FROM openrouter_usage WHERE lead_id IS NOT NULL GROUP BY 1, 2, 3 ORDER BY min(created_at);
INSERT INTO model_lead_daily SELECT (first_at AT TIME ZONE 'UTC')::date, model, count(*) FROM lead_models GROUP BY 1, 2;

INSERT INTO lead_processing_costs (lead_id, campaign_id, cost_usd, total_tokens, calls, processed_at, platform, lead_value)
SELECT lead_id, coalesce(campaign_id, ''), coalesce(sum(cost_usd), 0), coalesce(sum(total_tokens), 0), count(*), min(created_at),
    (array_agg(platform ORDER BY id DESC) FILTER (WHERE platform IS NOT NULL))[1],
    (array_agg(lead_value ORDER BY id DESC) FILTER (WHERE lead_value IS NOT NULL))[1]
FROM openrouter_usage WHERE lead_id IS NOT NULL GROUP BY 1, 2 ORDER BY min(created_at);
UPDATE lead_processing_costs l SET wasted_usd = w.usd
FROM (SELECT lead_id, campaign_id, sum(cost_usd) AS usd FROM recounted_waste WHERE lead_id IS NOT NULL GROUP BY 1, 2) w
WHERE l.lead_id = w.lead_id AND l.campaign_id = w.campaign_id;
INSERT INTO lead_processing_costs AS l (lead_id, campaign_id, platform, emails_sent, replies, meetings, value_eur,
    sent_at, replied_at, converted_at, bounced_at, unsubscribed_at)
SELECT lead_id, coalesce(campaign_id, ''), (array_agg(platform ORDER BY recorded_at, id) FILTER (WHERE platform IS NOT NULL))[1],
    count(*) FILTER (WHERE type = 'email_sent'), count(*) FILTER (WHERE type = 'reply_received'), count(*) FILTER (WHERE type = 'meeting_booked'),
    coalesce(sum(value_eur), 0),
    min(occurred_at) FILTER (WHERE type = 'email_sent'), min(occurred_at) FILTER (WHERE type = 'reply_received'),
    min(occurred_at) FILTER (WHERE type = 'meeting_booked'), min(occurred_at) FILTER (WHERE type = 'bounced'),
    min(occurred_at) FILTER (WHERE type = 'unsubscribed')
FROM activities WHERE lead_id IS NOT NULL AND reversed_at IS NULL GROUP BY 1, 2
ON CONFLICT (lead_id, campaign_id) DO UPDATE SET platform = coalesce(l.platform, excluded.platform),
    emails_sent = excluded.emails_sent, replies = excluded.replies, meetings = excluded.meetings, value_eur = excluded.value_eur,
    sent_at = excluded.sent_at, replied_at = excluded.replied_at, converted_at = excluded.converted_at,
    bounced_at = excluded.bounced_at, unsubscribed_at = excluded.unsubscribed_at;

INSERT INTO lead_daily
SELECT (processed_at AT TIME ZONE 'UTC')::date, campaign_id, coalesce(platform, ''),
    count(*), count(sent_at), count(replied_at), count(converted_at), sum(cost_usd),
    count(*) FILTER (WHERE fate = 'unsent'), coalesce(sum(cost_usd - wasted_usd) FILTER (WHERE fate = 'unsent'), 0),
    count(*) FILTER (WHERE fate = 'bounced'), coalesce(sum(cost_usd - wasted_usd) FILTER (WHERE fate = 'bounced'), 0),
    count(*) FILTER (WHERE fate = 'unsubscribed'), coalesce(sum(cost_usd - wasted_usd) FILTER (WHERE fate = 'unsubscribed'), 0)
FROM (SELECT *, CASE WHEN converted_at IS NOT NULL THEN 'converted' WHEN bounced_at IS NOT NULL THEN 'bounced'
        WHEN unsubscribed_at IS NOT NULL THEN 'unsubscribed' WHEN sent_at IS NULL THEN 'unsent' END AS fate
    FROM lead_processing_costs WHERE processed_at IS NOT NULL) l
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

INSERT INTO activity_daily
SELECT (occurred_at AT TIME ZONE 'UTC')::date, coalesce(campaign_id, ''), coalesce(platform, ''), type, count(*), count(value_eur), coalesce(sum(value_eur), 0)
FROM activities WHERE reversed_at IS NULL GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;

DROP TABLE recounted_drafts, recounted_waste;

INSERT INTO schema_migrations (version, name) VALUES (8, 'economics') ON CONFLICT (version) DO NOTHING;
