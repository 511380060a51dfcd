-- The dearest sequences of a campaign, which its page lists, however many it has.
--
-- Forward-only and idempotent; by hand: psql -1 -v ON_ERROR_STOP=1 -f 0014_dearest_sequences.sql "$DATABASE_URL"

CREATE INDEX IF NOT EXISTS sequence_costs_dearest_idx ON sequence_costs (campaign_id, cost_usd DESC, sequence_id);

INSERT INTO schema_migrations (version, name) VALUES (14, 'dearest_sequences') ON CONFLICT (version) DO NOTHING;
