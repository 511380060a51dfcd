-- Do the sums of experiments equal the calls, activities and leads they are
-- sums of? Every line of the answer is a difference; no line means that all of
-- them are exact.
--
--   psql -f docs/queries/experiments.sql "$DATABASE_URL"
--
-- It reads every row in one snapshot, so it may run at any time, beside
-- writers; on a large table prefer a read replica. A line says which table
-- (rollup), of what (key), which column (figure), what it says (recorded) and
-- what the rows say (recomputed).

WITH calls AS (
    SELECT e.id, u.lead_id, coalesce(u.campaign_id, '') AS campaign, (u.created_at AT TIME ZONE 'UTC')::date AS day,
        experiment_arm(e.id, u.lead_id, e.arms) AS arm, u.cost_usd
    FROM experiments e JOIN openrouter_usage u ON u.lead_id IS NOT NULL AND u.created_at >= e.started_at AND u.created_at < coalesce(e.ended_at, 'infinity')
        AND (e.campaign_id IS NULL OR u.campaign_id = e.campaign_id) AND (e.purpose IS NULL OR u.purpose = e.purpose)
), done AS (
    SELECT e.id, a.lead_id, coalesce(a.campaign_id, '') AS campaign,
        count(*) FILTER (WHERE type = 'email_sent') AS emails, count(*) FILTER (WHERE type = 'reply_received') AS replies,
        count(*) FILTER (WHERE type = 'meeting_booked') AS meetings
    FROM experiments e JOIN activities a ON a.lead_id IS NOT NULL AND a.reversed_at IS NULL AND a.occurred_at >= e.started_at
        AND (e.campaign_id IS NULL OR a.campaign_id = e.campaign_id)
    GROUP BY 1, 2, 3
), leads AS (
    SELECT l.*, e.arms, (l.seen_at AT TIME ZONE 'UTC')::date AS day FROM experiment_leads l JOIN experiments e ON e.id = l.experiment_id
), recomputed (rollup, key, figure, value) AS (
    -- A lead with a call takes part; others may, since a call was refused.
    SELECT DISTINCT 'experiment_leads', format('%s lead=%s campaign=%s', id, lead_id, campaign), 'takes_part', 1::numeric FROM calls
    UNION ALL
    SELECT 'experiment_leads', format('%s lead=%s campaign=%s', experiment_id, lead_id, campaign_id), 'arm', experiment_arm(experiment_id, lead_id, arms) FROM leads
    UNION ALL
    SELECT 'experiment_leads', format('%s lead=%s campaign=%s', id, lead_id, campaign), f.*
    FROM done CROSS JOIN LATERAL (VALUES ('emails', emails::numeric), ('replies', replies), ('meetings', meetings)) AS f
    UNION ALL
    SELECT 'experiment_daily', format('%s %s arm=%s', experiment_id, day, arm), f.*
    FROM (SELECT experiment_id, day, arm, count(*) AS n, count(*) FILTER (WHERE emails > 0) AS sent, count(*) FILTER (WHERE replies > 0) AS replied,
            count(*) FILTER (WHERE meetings > 0) AS converted, sum(meetings) AS meetings FROM leads WHERE seen_at IS NOT NULL GROUP BY 1, 2, 3) d
    CROSS JOIN LATERAL (VALUES ('leads', n::numeric), ('sent_leads', sent), ('replied_leads', replied), ('converted_leads', converted), ('meetings', meetings)) AS f
    UNION ALL
    SELECT 'experiment_daily', format('%s %s arm=%s', id, day, arm), f.*
    FROM (SELECT id, day, arm, count(*) AS n, sum(cost_usd) AS cost FROM calls GROUP BY 1, 2, 3) d
    CROSS JOIN LATERAL (VALUES ('calls', n::numeric), ('cost_usd', cost)) AS f
), recorded (rollup, key, figure, value) AS (
    SELECT 'experiment_leads', format('%s lead=%s campaign=%s', l.experiment_id, l.lead_id, l.campaign_id), 'takes_part', 1::numeric
    FROM leads l WHERE seen_at IS NOT NULL AND EXISTS (SELECT FROM calls c WHERE c.id = l.experiment_id AND c.lead_id = l.lead_id AND c.campaign = l.campaign_id)
    UNION ALL
    SELECT 'experiment_leads', format('%s lead=%s campaign=%s', experiment_id, lead_id, campaign_id), f.*
    FROM leads CROSS JOIN LATERAL (VALUES ('arm', arm::numeric), ('emails', emails), ('replies', replies), ('meetings', meetings)) AS f
    UNION ALL
    SELECT 'experiment_daily', format('%s %s arm=%s', experiment_id, day, arm), f.*
    FROM experiment_daily CROSS JOIN LATERAL (VALUES
        ('leads', leads::numeric), ('sent_leads', sent_leads), ('replied_leads', replied_leads), ('converted_leads', converted_leads),
        ('meetings', meetings), ('calls', calls), ('cost_usd', cost_usd)) AS f
)
SELECT rollup, key, figure, coalesce(d.value, 0) AS recorded, coalesce(r.value, 0) AS recomputed
FROM recorded d FULL JOIN recomputed r USING (rollup, key, figure)
WHERE coalesce(d.value, 0) <> coalesce(r.value, 0)
ORDER BY rollup, key, figure;
