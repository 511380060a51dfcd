-- Rules of the user's own over figures, and reports of weeks and months.
--
-- Forward-only and idempotent; by hand: psql -1 -v ON_ERROR_STOP=1 -f 0013_reports_and_rules.sql "$DATABASE_URL"

-- A rule that somebody made. The built-in ones are in the program, with
-- thresholds from its configuration.
CREATE TABLE IF NOT EXISTS alert_rules (
    id          text PRIMARY KEY,
    name        text NOT NULL CHECK (name <> ''),
    figure      text NOT NULL,
    campaign_id text,                        -- what the figure is of; all NULL: of everything
    platform    text,
    model       text,
    each        text CHECK (each IN ('campaign_id')),
    comparison  text NOT NULL CHECK (comparison IN ('above', 'below')),
    threshold   numeric NOT NULL CHECK (threshold >= 0),
    severity    text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    min_leads   bigint NOT NULL DEFAULT 0 CHECK (min_leads >= 0),
    quiet_hours integer NOT NULL DEFAULT 24 CHECK (quiet_hours > 0),
    enabled     boolean NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT alert_rules_scope_check CHECK (num_nonnulls(campaign_id, platform, model, each) <= 1)
);

-- Built-in rules that somebody has switched.
CREATE TABLE IF NOT EXISTS alert_rule_switches (
    rule_id    text PRIMARY KEY,
    enabled    boolean NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- How a rule stands for one value of its scope. A row goes when it says no more
-- than none would.
CREATE TABLE IF NOT EXISTS alert_rule_states (
    rule_id     text NOT NULL,
    value       text NOT NULL DEFAULT '',   -- of a rule for each campaign, the campaign
    firing      boolean NOT NULL,
    told        boolean NOT NULL,           -- of firing: an alert says so
    since       timestamptz NOT NULL,
    notified_at timestamptz,
    PRIMARY KEY (rule_id, value)
) WITH (fillfactor = 70);

-- When rules are next looked at, by one replica. Its one row is also what
-- changes of states wait for.
CREATE TABLE IF NOT EXISTS alert_rule_checks (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    due_at timestamptz NOT NULL
);
INSERT INTO alert_rule_checks (due_at) VALUES ('-infinity') ON CONFLICT DO NOTHING;

-- A whole document, for channels that can show one beside the text.
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS html text;

-- A report that was sent at its time: the first replica that writes the row has
-- sent it. What it said is kept.
CREATE TABLE IF NOT EXISTS reports (
    period   text NOT NULL CHECK (period IN ('weekly', 'monthly')),
    of       text NOT NULL,                 -- 2026-W46, 2026-10
    figures  jsonb NOT NULL,
    alert_id bigint REFERENCES alerts (id) ON DELETE SET NULL,
    made_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (period, of)
);

INSERT INTO schema_migrations (version, name) VALUES (13, 'reports_and_rules') ON CONFLICT (version) DO NOTHING;
