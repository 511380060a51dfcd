-- Meetings of leads by the time for which they are booked: a report of models
-- shares each of them, and a lead may have several, in different months.
--
-- Forward-only and idempotent; by hand: psql -1 -v ON_ERROR_STOP=1 -f 0015_meetings.sql "$DATABASE_URL"
CREATE INDEX IF NOT EXISTS activities_meetings_idx ON activities (occurred_at)
    WHERE type = 'meeting_booked' AND reversed_at IS NULL AND lead_id IS NOT NULL;
-- It found leads by their first meeting only.
DROP INDEX IF EXISTS lead_processing_costs_converted_idx;

INSERT INTO schema_migrations (version, name) VALUES (15, 'meetings') ON CONFLICT (version) DO NOTHING;
