-- The meetings that each model has a part in, by day, so that what a meeting
-- costs by model need not be worked out anew from every lead that had one.
--
-- Forward-only and idempotent; by hand: psql -1 -v ON_ERROR_STOP=1 -f 0015_model_meetings.sql "$DATABASE_URL"

-- The parts that models have in a meeting, on the UTC day for which it is
-- booked: as what their calls for the lead cost, in all and whenever that was,
-- or as their number, where all were free. A meeting of a lead without calls
-- has none.
CREATE OR REPLACE VIEW model_meetings AS
SELECT a.id AS activity_id, a.reversed_at, (a.occurred_at AT TIME ZONE 'UTC')::date AS day, l.lead_id, l.campaign_id, m.model,
    CASE WHEN l.cost_usd > 0 THEN m.cost_usd / l.cost_usd ELSE m.calls::numeric / l.calls END AS meetings
FROM activities a
JOIN lead_processing_costs l ON l.lead_id = a.lead_id AND l.campaign_id = coalesce(a.campaign_id, '')
JOIN lead_models m ON m.lead_id = l.lead_id AND m.campaign_id = l.campaign_id
WHERE a.type = 'meeting_booked' AND l.calls > 0;

CREATE TABLE IF NOT EXISTS model_meeting_daily (
    day      date NOT NULL,
    model    text NOT NULL,
    meetings numeric NOT NULL DEFAULT 0,
    PRIMARY KEY (day, model)
) WITH (fillfactor = 70);

-- It found leads by their meetings, for the report that reads the sums now.
DROP INDEX IF EXISTS lead_processing_costs_converted_idx;

-- recount: from here to the end everything above is counted again, as in
-- 0008_economics.sql.
DELETE FROM model_meeting_daily;
INSERT INTO model_meeting_daily
SELECT day, model, sum(meetings) FROM model_meetings WHERE reversed_at IS NULL GROUP BY day, model ORDER BY day, model;

INSERT INTO schema_migrations (version, name) VALUES (15, 'model_meetings') ON CONFLICT (version) DO NOTHING;
