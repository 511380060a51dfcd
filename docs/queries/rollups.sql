-- Do the sums equal the rows? Every line of the answer is a difference; no
-- line means that usage_hourly and the costs of monthly_costs are exact.
--
--   psql -f docs/queries/rollups.sql "$DATABASE_URL"
--
-- It reads every row in one snapshot, so it may run at any time, beside
-- writers; on a large table prefer a read replica. A line says which sum
-- (rollup), of what (key), which column (figure), what it says (recorded) and
-- what the rows say (recomputed; of a month, with the corrections that were
-- booked after another one was closed).

WITH hours AS (
    SELECT date_trunc('hour', created_at, 'UTC') AS hour,
        coalesce(campaign_id, '') AS campaign_id,
        coalesce(purpose, '')     AS purpose,
        model,
        coalesce(platform, '')    AS platform,
        count(*)                                     AS calls,
        count(*) FILTER (WHERE status = 'failed')    AS failed_calls,
        count(*) FILTER (WHERE cancelled)            AS cancelled_calls,
        count(*) FILTER (WHERE status IN ('pending', 'awaiting_key', 'unresolved', 'interrupted')) AS unsettled_calls,
        sum(cost_usd)                                             AS cost_usd,
        sum(upstream_inference_cost_usd) FILTER (WHERE is_byok)   AS byok_upstream_cost_usd,
        sum(prompt_tokens)     AS prompt_tokens,
        sum(completion_tokens) AS completion_tokens,
        sum(total_tokens)      AS total_tokens,
        sum(cached_tokens)     AS cached_tokens,
        sum(reasoning_tokens)  AS reasoning_tokens
    FROM openrouter_usage
    GROUP BY 1, 2, 3, 4, 5
), months AS (
    SELECT year, month, sum(cost) AS openrouter_cost
    FROM (
        SELECT extract(year  FROM hour AT TIME ZONE 'UTC')::integer AS year,
               extract(month FROM hour AT TIME ZONE 'UTC')::integer AS month,
               cost_usd AS cost
        FROM hours
        -- What became known after a month was closed counts where it was booked.
        UNION ALL SELECT year, month, -amount_usd FROM cost_corrections
        UNION ALL SELECT booked_year, booked_month, amount_usd FROM cost_corrections
    ) AS parts
    GROUP BY 1, 2
), euros AS (
    -- Each day at its own rate, a correction at that of its call's day.
    SELECT year, month, sum(cost * day_rate(day)) AS openrouter_cost_eur
    FROM (
        SELECT extract(year FROM day)::integer AS year, extract(month FROM day)::integer AS month, day, cost
        FROM (SELECT (hour AT TIME ZONE 'UTC')::date AS day, sum(cost_usd) AS cost FROM hours GROUP BY 1) AS days
        UNION ALL SELECT year, month, (created_at AT TIME ZONE 'UTC')::date, -amount_usd FROM cost_corrections
        UNION ALL SELECT booked_year, booked_month, (created_at AT TIME ZONE 'UTC')::date, amount_usd FROM cost_corrections
    ) AS parts
    GROUP BY 1, 2
)
SELECT 'usage_hourly' AS rollup,
    to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') || format(' campaign=%s purpose=%s model=%s platform=%s',
        campaign_id, purpose, model, platform) AS key,
    figure, coalesce(recorded, 0) AS recorded, coalesce(recomputed, 0) AS recomputed
FROM usage_hourly h
FULL JOIN hours r USING (hour, campaign_id, purpose, model, platform)
CROSS JOIN LATERAL (VALUES
    ('calls',                  h.calls::numeric,            r.calls::numeric),
    ('failed_calls',           h.failed_calls::numeric,     r.failed_calls::numeric),
    ('cancelled_calls',        h.cancelled_calls::numeric,  r.cancelled_calls::numeric),
    ('unsettled_calls',        h.unsettled_calls::numeric,  r.unsettled_calls::numeric),
    ('cost_usd',               h.cost_usd,                  r.cost_usd),
    ('byok_upstream_cost_usd', h.byok_upstream_cost_usd,    r.byok_upstream_cost_usd),
    ('prompt_tokens',          h.prompt_tokens::numeric,    r.prompt_tokens),
    ('completion_tokens',      h.completion_tokens::numeric, r.completion_tokens),
    ('total_tokens',           h.total_tokens::numeric,     r.total_tokens),
    ('cached_tokens',          h.cached_tokens::numeric,    r.cached_tokens),
    ('reasoning_tokens',       h.reasoning_tokens::numeric, r.reasoning_tokens)
) AS f (figure, recorded, recomputed)
WHERE coalesce(recorded, 0) <> coalesce(recomputed, 0)
UNION ALL
SELECT 'monthly_costs', format('%s-%s', year, lpad(month::text, 2, '0')),
    'openrouter_cost', coalesce(m.openrouter_cost, 0), coalesce(r.openrouter_cost, 0)
FROM monthly_costs m
FULL JOIN months r USING (year, month)
WHERE coalesce(m.openrouter_cost, 0) <> coalesce(r.openrouter_cost, 0)
UNION ALL
-- Where the USD differ, so do the EUR: that is one difference and not two.
SELECT 'monthly_costs', format('%s-%s', year, lpad(month::text, 2, '0')),
    'openrouter_cost_eur', m.openrouter_cost_eur, coalesce(e.openrouter_cost_eur, 0)
FROM monthly_costs m LEFT JOIN months r USING (year, month) LEFT JOIN euros e USING (year, month)
WHERE m.openrouter_cost = coalesce(r.openrouter_cost, 0) AND m.openrouter_cost_eur <> coalesce(e.openrouter_cost_eur, 0)
UNION ALL
SELECT 'monthly_costs', format('%s-%s', year, lpad(month::text, 2, '0')), 'fixed_cost', recorded, recomputed
FROM monthly_costs CROSS JOIN LATERAL (
    SELECT instantly_cost + google_workspace_cost + other_fixed_cost AS recorded, coalesce(sum(eur), 0) AS recomputed
    FROM fixed_costs_of(year, month)
) AS f
WHERE recorded <> recomputed
ORDER BY rollup, key, figure;
