-- Keys of calls that are not settled yet, sealed with BURSAR_SECRETS_KEY:
-- without it the bytes here are of no use to anybody.
--
-- Forward-only and idempotent; by hand: psql -1 -v ON_ERROR_STOP=1 -f 0003_sealed_keys.sql "$DATABASE_URL"

CREATE TABLE IF NOT EXISTS sealed_keys (
    fingerprint text PRIMARY KEY,  -- hex SHA-256 of the key
    sealed      bytea NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now()
);

INSERT INTO schema_migrations (version, name) VALUES (3, 'sealed_keys') ON CONFLICT (version) DO NOTHING;
