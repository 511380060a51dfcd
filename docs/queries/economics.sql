-- Do leads, emails, sequences and the daily sums equal the calls and activities
-- they are sums of? Every line of the answer is a difference; no line means
-- that all of them are exact.
--
--   psql -f docs/queries/economics.sql "$DATABASE_URL"
--
-- It reads every row in one snapshot, so it may run at any time, beside
-- writers; on a large table prefer a read replica. A line says which table
-- (rollup), of what (key), which column (figure), what it says (recorded) and
-- what the rows say (recomputed).

WITH calls AS (
    SELECT *, (created_at AT TIME ZONE 'UTC')::date AS day,
        coalesce(campaign_id, '') AS campaign, coalesce(platform, '') AS place,
        CASE WHEN status = 'failed' OR error IS NOT NULL THEN 'failed'
             WHEN cancelled THEN 'cancelled'
             WHEN finish_reason IN ('length', 'max_tokens', 'max_output_tokens') THEN 'truncated' END AS waste
    FROM openrouter_usage
), drafts AS (
    -- Of each email and purpose all but the last draft were in vain.
    SELECT *, row_number() OVER (PARTITION BY email_id, coalesce(purpose, '') ORDER BY id DESC) AS age
    FROM calls
    WHERE email_id IS NOT NULL AND waste IS NULL AND status NOT IN ('dismissed', 'interrupted')
), wasted AS (
    SELECT day, campaign, place, lead_id, waste AS kind, cost_usd FROM calls WHERE waste IS NOT NULL AND cost_usd IS NOT NULL
    UNION ALL
    SELECT day, campaign, place, lead_id, 'redrafted', coalesce(cost_usd, 0) FROM drafts WHERE age > 1
), done AS (
    SELECT * FROM activities WHERE reversed_at IS NULL
), recomputed (rollup, key, figure, value) AS (
    SELECT 'usage_daily', format('%s %s campaign=%s value=%s', day, dimension, campaign, value), f.*
    FROM (
        SELECT day, dimension, k.campaign, k.value, count(*) AS n,
            count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE cancelled) AS cancelled,
            count(*) FILTER (WHERE finish_reason IN ('length', 'max_tokens', 'max_output_tokens')) AS truncated,
            count(*) FILTER (WHERE status IN ('pending', 'awaiting_key', 'unresolved', 'interrupted')) AS unsettled,
            sum(cost_usd) AS cost, sum(prompt_tokens) AS prompt, sum(completion_tokens) AS completion, sum(total_tokens) AS total,
            sum(cached_tokens) AS cached, sum(reasoning_tokens) AS reasoning,
            count(duration_ms) AS timed, sum(duration_ms) AS ms, count(time_to_first_token_ms) AS first_tokens, sum(time_to_first_token_ms) AS first_ms
        FROM calls c CROSS JOIN LATERAL (VALUES
            ('all', '', ''), ('campaign', '', c.campaign), ('purpose', '', coalesce(c.purpose, '')), ('platform', '', c.place),
            ('model', '', c.model), ('key', '', coalesce(c.key_fingerprint, '')),
            ('campaign_purpose', c.campaign, coalesce(c.purpose, '')), ('campaign_model', c.campaign, c.model)) AS k (dimension, campaign, value)
        GROUP BY 1, 2, 3, 4
    ) d CROSS JOIN LATERAL (VALUES
        ('calls', n::numeric), ('failed_calls', failed), ('cancelled_calls', cancelled), ('truncated_calls', truncated), ('unsettled_calls', unsettled),
        ('cost_usd', cost), ('prompt_tokens', prompt), ('completion_tokens', completion), ('total_tokens', total), ('cached_tokens', cached), ('reasoning_tokens', reasoning),
        ('timed_calls', timed), ('duration_ms', ms), ('first_token_calls', first_tokens), ('first_token_ms', first_ms)) AS f
    UNION ALL
    SELECT 'finish_daily', format('%s model=%s finish_reason=%s', day, model, coalesce(finish_reason, '')), 'calls', count(*)
    FROM calls GROUP BY day, model, coalesce(finish_reason, '')
    UNION ALL
    SELECT 'waste_daily', format('%s campaign=%s platform=%s kind=%s', day, campaign, place, kind), f.*
    FROM (SELECT day, campaign, place, kind, count(*) AS n, sum(cost_usd) AS cost FROM wasted GROUP BY 1, 2, 3, 4) w
    CROSS JOIN LATERAL (VALUES ('calls', n::numeric), ('cost_usd', cost)) AS f
    UNION ALL
    SELECT 'lead_processing_costs', format('%s campaign=%s', lead_id, campaign), f.*
    FROM (SELECT lead_id, campaign, count(*) AS n, sum(cost_usd) AS cost, sum(total_tokens) AS tokens FROM calls WHERE lead_id IS NOT NULL GROUP BY 1, 2) l
    CROSS JOIN LATERAL (VALUES ('calls', n::numeric), ('cost_usd', cost), ('total_tokens', tokens)) AS f
    UNION ALL
    SELECT 'lead_processing_costs', format('%s campaign=%s', lead_id, campaign), 'wasted_usd', sum(cost_usd)
    FROM wasted WHERE lead_id IS NOT NULL GROUP BY lead_id, campaign
    UNION ALL
    SELECT 'lead_processing_costs', format('%s campaign=%s', lead_id, coalesce(campaign_id, '')), f.*
    FROM (SELECT lead_id, campaign_id, count(*) FILTER (WHERE type = 'email_sent') AS sent, count(*) FILTER (WHERE type = 'reply_received') AS replies,
            count(*) FILTER (WHERE type = 'meeting_booked') AS meetings, sum(value_eur) AS value
        FROM done WHERE lead_id IS NOT NULL GROUP BY 1, 2) l
    CROSS JOIN LATERAL (VALUES ('emails_sent', sent::numeric), ('replies', replies), ('meetings', meetings), ('value_eur', value)) AS f
    UNION ALL
    SELECT 'lead_models', format('%s campaign=%s model=%s', lead_id, campaign, model), f.*
    FROM (SELECT lead_id, campaign, model, count(*) AS n, sum(cost_usd) AS cost FROM calls WHERE lead_id IS NOT NULL GROUP BY 1, 2, 3) m
    CROSS JOIN LATERAL (VALUES ('calls', n::numeric), ('cost_usd', cost)) AS f
    UNION ALL
    SELECT 'model_lead_daily', format('%s model=%s', day, model), 'leads', count(*)
    FROM (SELECT min(day) AS day, model FROM calls WHERE lead_id IS NOT NULL GROUP BY lead_id, campaign, model) m GROUP BY day, model
    UNION ALL
    SELECT 'model_meeting_daily', format('%s model=%s', day, model), 'meetings', sum(meetings)
    FROM model_meetings WHERE reversed_at IS NULL GROUP BY day, model
    UNION ALL
    SELECT 'email_costs', format('%s purpose=%s', email_id, coalesce(purpose, '')), f.*
    FROM (SELECT email_id, purpose, count(*) AS n, sum(cost_usd) AS cost, sum(total_tokens) AS tokens FROM calls WHERE email_id IS NOT NULL GROUP BY 1, 2) e
    CROSS JOIN LATERAL (VALUES ('calls', n::numeric), ('cost_usd', cost), ('total_tokens', tokens)) AS f
    UNION ALL
    SELECT 'email_costs', format('%s purpose=%s', email_id, coalesce(purpose, '')), f.*
    FROM (SELECT email_id, purpose, count(*) AS n, sum(cost_usd) AS cost, sum(cost_usd) FILTER (WHERE age = 1) AS last FROM drafts GROUP BY 1, 2) e
    CROSS JOIN LATERAL (VALUES ('drafts', n::numeric), ('drafts_usd', cost), ('last_draft_usd', last)) AS f
    UNION ALL
    SELECT 'sequence_costs', format('%s campaign=%s', sequence_id, campaign), f.*
    FROM (SELECT sequence_id, campaign, count(*) AS n, sum(cost_usd) AS cost, sum(total_tokens) AS tokens FROM calls WHERE sequence_id IS NOT NULL GROUP BY 1, 2) q
    CROSS JOIN LATERAL (VALUES ('calls', n::numeric), ('cost_usd', cost), ('total_tokens', tokens)) AS f
    UNION ALL
    SELECT 'activity_daily', format('%s campaign=%s platform=%s type=%s', day, campaign, platform, type), f.*
    FROM (SELECT (occurred_at AT TIME ZONE 'UTC')::date AS day, coalesce(campaign_id, '') AS campaign, coalesce(platform, '') AS platform, type,
            count(*) AS n, count(value_eur) AS valued, sum(value_eur) AS value FROM done GROUP BY 1, 2, 3, 4) a
    CROSS JOIN LATERAL (VALUES ('count', n::numeric), ('valued', valued), ('value_eur', value)) AS f
    UNION ALL
    SELECT 'lead_daily', format('%s campaign=%s platform=%s', day, campaign_id, platform), f.*
    FROM (
        SELECT (processed_at AT TIME ZONE 'UTC')::date AS day, campaign_id, coalesce(platform, '') AS platform,
            count(*) AS n, count(sent_at) AS sent, count(replied_at) AS replied, count(converted_at) AS converted, sum(cost_usd) AS cost,
            count(*) FILTER (WHERE fate = 'unsent') AS unsent, sum(cost_usd - wasted_usd) FILTER (WHERE fate = 'unsent') AS unsent_usd,
            count(*) FILTER (WHERE fate = 'bounced') AS bounced, sum(cost_usd - wasted_usd) FILTER (WHERE fate = 'bounced') AS bounced_usd,
            count(*) FILTER (WHERE fate = 'unsubscribed') AS unsubscribed, sum(cost_usd - wasted_usd) FILTER (WHERE fate = 'unsubscribed') AS unsubscribed_usd
        FROM (SELECT *, CASE WHEN converted_at IS NOT NULL THEN 'converted' WHEN bounced_at IS NOT NULL THEN 'bounced'
                WHEN unsubscribed_at IS NOT NULL THEN 'unsubscribed' WHEN sent_at IS NULL THEN 'unsent' END AS fate
            FROM lead_processing_costs WHERE processed_at IS NOT NULL) l
        GROUP BY 1, 2, 3
    ) l CROSS JOIN LATERAL (VALUES
        ('leads', n::numeric), ('sent_leads', sent), ('replied_leads', replied), ('converted_leads', converted), ('cost_usd', cost),
        ('unsent_leads', unsent), ('unsent_usd', unsent_usd), ('bounced_leads', bounced), ('bounced_usd', bounced_usd),
        ('unsubscribed_leads', unsubscribed), ('unsubscribed_usd', unsubscribed_usd)) AS f
), recorded (rollup, key, figure, value) AS (
    SELECT 'usage_daily', format('%s %s campaign=%s value=%s', day, dimension, campaign_id, value), f.*
    FROM usage_daily CROSS JOIN LATERAL (VALUES
        ('calls', calls::numeric), ('failed_calls', failed_calls), ('cancelled_calls', cancelled_calls), ('truncated_calls', truncated_calls), ('unsettled_calls', unsettled_calls),
        ('cost_usd', cost_usd), ('prompt_tokens', prompt_tokens), ('completion_tokens', completion_tokens), ('total_tokens', total_tokens), ('cached_tokens', cached_tokens), ('reasoning_tokens', reasoning_tokens),
        ('timed_calls', timed_calls), ('duration_ms', duration_ms), ('first_token_calls', first_token_calls), ('first_token_ms', first_token_ms)) AS f
    UNION ALL
    SELECT 'finish_daily', format('%s model=%s finish_reason=%s', day, model, finish_reason), 'calls', calls FROM finish_daily
    UNION ALL
    SELECT 'waste_daily', format('%s campaign=%s platform=%s kind=%s', day, campaign_id, platform, kind), f.*
    FROM waste_daily CROSS JOIN LATERAL (VALUES ('calls', calls::numeric), ('cost_usd', cost_usd)) AS f
    UNION ALL
    SELECT 'lead_processing_costs', format('%s campaign=%s', lead_id, campaign_id), f.*
    FROM lead_processing_costs CROSS JOIN LATERAL (VALUES
        ('calls', calls::numeric), ('cost_usd', cost_usd), ('total_tokens', total_tokens), ('wasted_usd', wasted_usd),
        ('emails_sent', emails_sent), ('replies', replies), ('meetings', meetings), ('value_eur', value_eur)) AS f
    UNION ALL
    SELECT 'lead_models', format('%s campaign=%s model=%s', lead_id, campaign_id, model), f.*
    FROM lead_models CROSS JOIN LATERAL (VALUES ('calls', calls::numeric), ('cost_usd', cost_usd)) AS f
    UNION ALL
    SELECT 'model_lead_daily', format('%s model=%s', day, model), 'leads', leads FROM model_lead_daily
    UNION ALL
    SELECT 'model_meeting_daily', format('%s model=%s', day, model), 'meetings', meetings FROM model_meeting_daily
    UNION ALL
    SELECT 'email_costs', format('%s purpose=%s', email_id, purpose), f.*
    FROM email_costs CROSS JOIN LATERAL (VALUES
        ('calls', calls::numeric), ('cost_usd', cost_usd), ('total_tokens', total_tokens),
        ('drafts', drafts), ('drafts_usd', drafts_usd), ('last_draft_usd', last_draft_usd)) AS f
    UNION ALL
    SELECT 'sequence_costs', format('%s campaign=%s', sequence_id, campaign_id), f.*
    FROM sequence_costs CROSS JOIN LATERAL (VALUES ('calls', calls::numeric), ('cost_usd', cost_usd), ('total_tokens', total_tokens)) AS f
    UNION ALL
    SELECT 'activity_daily', format('%s campaign=%s platform=%s type=%s', day, campaign_id, platform, type), f.*
    FROM activity_daily CROSS JOIN LATERAL (VALUES ('count', count::numeric), ('valued', valued), ('value_eur', value_eur)) AS f
    UNION ALL
    SELECT 'lead_daily', format('%s campaign=%s platform=%s', day, campaign_id, platform), f.*
    FROM lead_daily CROSS JOIN LATERAL (VALUES
        ('leads', leads::numeric), ('sent_leads', sent_leads), ('replied_leads', replied_leads), ('converted_leads', converted_leads), ('cost_usd', cost_usd),
        ('unsent_leads', unsent_leads), ('unsent_usd', unsent_usd), ('bounced_leads', bounced_leads), ('bounced_usd', bounced_usd),
        ('unsubscribed_leads', unsubscribed_leads), ('unsubscribed_usd', unsubscribed_usd)) AS f
)
SELECT rollup, key, figure, coalesce(d.value, 0) AS recorded, coalesce(r.value, 0) AS recomputed
FROM recorded d FULL JOIN recomputed r USING (rollup, key, figure)
WHERE coalesce(d.value, 0) <> coalesce(r.value, 0)
ORDER BY rollup, key, figure;
