-- What people decide: calls that they dismiss, and the log of all they change.
--
-- Forward-only and idempotent; by hand: psql -1 -v ON_ERROR_STOP=1 -f 0005_decisions.sql "$DATABASE_URL"

-- NOT VALID: the new rule admits all that the old one did, so no row has to be
-- looked at, however many there are. New rows are checked all the same.
ALTER TABLE openrouter_usage
    DROP CONSTRAINT IF EXISTS openrouter_usage_status_check;
ALTER TABLE openrouter_usage
    ADD CONSTRAINT openrouter_usage_status_check
        CHECK (status IN ('settled', 'pending', 'awaiting_key', 'unresolved', 'interrupted', 'failed', 'dismissed')) NOT VALID;

-- One row for each change that a person made, written in the transaction that
-- made it. Rows are only ever added.
CREATE TABLE IF NOT EXISTS audit_log (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    actor   text NOT NULL,   -- loopback, admin token, or the session
    action  text NOT NULL,   -- what was done, e.g. call.dismiss
    subject text NOT NULL,   -- to what, e.g. usage/01a2…
    reason  text,            -- in the actor's own words
    before  jsonb,           -- the columns that changed
    after   jsonb,

    CONSTRAINT audit_log_actor_check CHECK (actor <> '')
);
CREATE INDEX IF NOT EXISTS audit_log_subject_idx ON audit_log (subject, id DESC);

INSERT INTO schema_migrations (version, name) VALUES (5, 'decisions') ON CONFLICT (version) DO NOTHING;
