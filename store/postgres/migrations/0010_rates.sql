-- Euros at the rate of each day, and fixed costs that have a date and a name.
--
-- The present value of a month follows rates and fixed costs; a closed month
-- keeps those with which it was closed. Triggers see to that, so it holds
-- whoever writes, an older Bursar and psql included.
--
-- Forward-only and idempotent; by hand: psql -1 -v ON_ERROR_STOP=1 -f 0010_rates.sql "$DATABASE_URL"

-- EUR for one USD where no rate is dated on or before a day: USD_TO_EUR_RATE.
CREATE TABLE IF NOT EXISTS default_rate (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    usd_to_eur numeric NOT NULL CHECK (usd_to_eur > 0)
);
INSERT INTO default_rate (usd_to_eur)
SELECT coalesce((SELECT exchange_rate FROM monthly_costs WHERE exchange_rate > 0 ORDER BY year DESC, month DESC LIMIT 1), 0.92)
ON CONFLICT DO NOTHING;

-- The rates of the days of closed months.
CREATE TABLE IF NOT EXISTS closed_rates (
    day        date PRIMARY KEY,
    usd_to_eur numeric NOT NULL CHECK (usd_to_eur > 0)
);

-- Who asks for a feed of rates: it is done once over all replicas. A claim ends
-- by itself, so that a replica that died holds nobody up.
CREATE TABLE IF NOT EXISTS rate_feeds (
    feed          text PRIMARY KEY,
    claimed_until timestamptz NOT NULL,   -- also: not to be asked before
    failures      integer NOT NULL DEFAULT 0,
    fetched_at    timestamptz             -- NULL: never
);

-- What a month costs whatever is sent, from a month on until the next entry of
-- the same name. Those without any entry are as default_fixed_costs says.
CREATE TABLE IF NOT EXISTS fixed_costs (
    name        text NOT NULL CHECK (name <> ''),
    year        integer NOT NULL,
    month       integer NOT NULL CHECK (month BETWEEN 1 AND 12),
    eur         numeric NOT NULL CHECK (eur >= 0),   -- a month; 0: it has ended
    platform    text,                                -- whose subscription it is; NULL: everybody's
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, year, month)
);

CREATE TABLE IF NOT EXISTS default_fixed_costs (
    name     text PRIMARY KEY,
    eur      numeric NOT NULL CHECK (eur >= 0),
    platform text
);
INSERT INTO default_fixed_costs VALUES ('instantly', 75, 'instantly'), ('google_workspace', 48, NULL) ON CONFLICT DO NOTHING;

-- The fixed costs of closed months.
CREATE TABLE IF NOT EXISTS closed_fixed_costs (
    year     integer NOT NULL,
    month    integer NOT NULL,
    name     text NOT NULL,
    eur      numeric NOT NULL,
    platform text,
    PRIMARY KEY (year, month, name)
);

CREATE OR REPLACE FUNCTION day_rate(on_day date) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT usd_to_eur FROM closed_rates WHERE day = on_day),
        (SELECT usd_to_eur FROM exchange_rates WHERE day <= on_day ORDER BY day DESC LIMIT 1),
        (SELECT usd_to_eur FROM default_rate))
$$;

CREATE OR REPLACE FUNCTION fixed_costs_of(of_year integer, of_month integer)
RETURNS TABLE (name text, eur numeric, platform text) LANGUAGE sql STABLE AS $$
    SELECT c.name, c.eur, c.platform FROM closed_fixed_costs c WHERE (c.year, c.month) = (of_year, of_month)
    UNION ALL
    SELECT * FROM (
        SELECT DISTINCT ON (f.name) f.name, f.eur, f.platform
        FROM (
            SELECT d.name, 0 AS year, 0 AS month, d.eur, d.platform FROM default_fixed_costs d
            UNION ALL
            SELECT e.name, e.year, e.month, e.eur, e.platform FROM fixed_costs e WHERE (e.year, e.month) <= (of_year, of_month)
        ) f
        WHERE NOT EXISTS (SELECT FROM closed_fixed_costs c WHERE (c.year, c.month) = (of_year, of_month))
        ORDER BY f.name, f.year DESC, f.month DESC
    ) present
$$;

-- Writers of months share this lock until they commit, and who changes a rate
-- or a fixed cost holds it alone: so each writer sees one set of rates, and the
-- change sees every write or comes before it. (The digits spell "rates".)
CREATE OR REPLACE FUNCTION share_rates() RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock_shared(x'7261746573'::bigint)
$$;

-- EUR of a month's OpenRouter cost: each day's at its rate, and what was booked
-- here of closed months at the rates with which those were closed. What the
-- calls do not explain (a month that was imported) is at rest_rate.
CREATE OR REPLACE FUNCTION month_eur(of_year integer, of_month integer, usd numeric, rest_rate numeric)
RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(part.usd * day_rate(part.day)), 0) + (month_eur.usd - coalesce(sum(part.usd), 0)) * rest_rate
    FROM (
        SELECT u.day, u.cost_usd AS usd FROM usage_daily u
        WHERE u.dimension = 'all' AND u.campaign_id = ''
          AND u.day >= make_date(of_year, of_month, 1) AND u.day < make_date(of_year, of_month, 1) + interval '1 month'
        UNION ALL
        SELECT (c.created_at AT TIME ZONE 'UTC')::date, c.amount_usd FROM cost_corrections c
        WHERE (c.booked_year, c.booked_month) = (of_year, of_month)
    ) part
$$;

-- The totals are generated, as before: from what the month's EUR are now.
ALTER TABLE monthly_costs
    ADD COLUMN IF NOT EXISTS other_fixed_cost numeric NOT NULL DEFAULT 0,   -- EUR, of all fixed costs but the two
    ADD COLUMN IF NOT EXISTS openrouter_cost_eur numeric;
UPDATE monthly_costs SET openrouter_cost_eur = openrouter_cost * exchange_rate WHERE openrouter_cost_eur IS NULL;
ALTER TABLE monthly_costs
    ALTER COLUMN openrouter_cost_eur SET DEFAULT 0,
    ALTER COLUMN openrouter_cost_eur SET NOT NULL,
    DROP COLUMN IF EXISTS total_cost,
    DROP COLUMN IF EXISTS cost_per_email,
    DROP COLUMN IF EXISTS cost_per_meeting;
ALTER TABLE monthly_costs
    ADD COLUMN total_cost numeric NOT NULL GENERATED ALWAYS AS
        (instantly_cost + google_workspace_cost + other_fixed_cost + openrouter_cost_eur) STORED,
    ADD COLUMN cost_per_email numeric GENERATED ALWAYS AS (CASE WHEN emails_sent > 0 THEN
        round(div((instantly_cost + google_workspace_cost + other_fixed_cost + openrouter_cost_eur) * 20000000000 + emails_sent,
                  2 * emails_sent::numeric) * 0.0000000001, 10) END) STORED,
    ADD COLUMN cost_per_meeting numeric GENERATED ALWAYS AS (CASE WHEN meetings_booked > 0 THEN
        round(div((instantly_cost + google_workspace_cost + other_fixed_cost + openrouter_cost_eur) * 20000000000 + meetings_booked,
                  2 * meetings_booked::numeric) * 0.0000000001, 10) END) STORED;

-- Keeps the EUR of an open month what its days, rates and corrections say, and
-- exchange_rate their ratio. It is volatile: each of its queries sees what was
-- committed before the row was locked.
CREATE OR REPLACE FUNCTION monthly_costs_follow() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    last_day date := (make_date(NEW.year, NEW.month, 1) + interval '1 month')::date - 1;
BEGIN
    PERFORM share_rates();
    IF TG_OP = 'INSERT' THEN
        IF EXISTS (SELECT FROM monthly_costs m WHERE (m.year, m.month) = (NEW.year, NEW.month)) THEN
            RETURN NEW; -- it will be an update
        END IF;
        IF NEW.closed_at IS NULL THEN
            SELECT coalesce(sum(f.eur) FILTER (WHERE f.name = 'instantly'), 0),
                   coalesce(sum(f.eur) FILTER (WHERE f.name = 'google_workspace'), 0),
                   coalesce(sum(f.eur) FILTER (WHERE f.name NOT IN ('instantly', 'google_workspace')), 0)
            INTO NEW.instantly_cost, NEW.google_workspace_cost, NEW.other_fixed_cost
            FROM fixed_costs_of(NEW.year, NEW.month) f;
        END IF;
    ELSIF OLD.closed_at IS NOT NULL THEN
        RETURN NEW; -- a closed month keeps its figures
    END IF;
    NEW.openrouter_cost_eur := month_eur(NEW.year, NEW.month, NEW.openrouter_cost, NEW.exchange_rate);
    NEW.exchange_rate := CASE WHEN NEW.openrouter_cost <> 0
        THEN trim_scale(round(NEW.openrouter_cost_eur / NEW.openrouter_cost, 10)) ELSE day_rate(last_day) END;
    IF NEW.closed_at IS NOT NULL THEN
        INSERT INTO closed_rates SELECT d::date, day_rate(d::date)
        FROM generate_series(make_date(NEW.year, NEW.month, 1), last_day, interval '1 day') d ON CONFLICT DO NOTHING;
        IF TG_OP = 'INSERT' THEN -- it was imported, with fixed costs of its own
            INSERT INTO closed_fixed_costs VALUES
                (NEW.year, NEW.month, 'instantly', NEW.instantly_cost, 'instantly'),
                (NEW.year, NEW.month, 'google_workspace', NEW.google_workspace_cost, NULL) ON CONFLICT DO NOTHING;
        ELSE
            INSERT INTO closed_fixed_costs SELECT NEW.year, NEW.month, f.* FROM fixed_costs_of(NEW.year, NEW.month) f ON CONFLICT DO NOTHING;
        END IF;
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER monthly_costs_follow_insert BEFORE INSERT ON monthly_costs
    FOR EACH ROW EXECUTE FUNCTION monthly_costs_follow();
CREATE OR REPLACE TRIGGER monthly_costs_follow_update
    BEFORE UPDATE OF openrouter_cost, openrouter_cost_eur, exchange_rate, closed_at ON monthly_costs
    FOR EACH ROW EXECUTE FUNCTION monthly_costs_follow();

-- A correction is written after the month that it moves: that month then knows
-- the day, and so the rate, of what was booked.
CREATE OR REPLACE FUNCTION cost_corrections_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE monthly_costs m SET openrouter_cost_eur = m.openrouter_cost_eur
    FROM (SELECT DISTINCT booked_year, booked_month FROM fresh) f
    WHERE (m.year, m.month) = (f.booked_year, f.booked_month) AND m.closed_at IS NULL;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER cost_corrections_follow AFTER INSERT ON cost_corrections
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION cost_corrections_follow();

-- Months that were closed before keep what they were closed with.
INSERT INTO closed_rates
SELECT d::date, m.exchange_rate FROM monthly_costs m CROSS JOIN LATERAL
    generate_series(make_date(m.year, m.month, 1), make_date(m.year, m.month, 1) + interval '1 month' - interval '1 day', interval '1 day') d
WHERE m.closed_at IS NOT NULL AND m.exchange_rate > 0 ON CONFLICT DO NOTHING;
INSERT INTO closed_fixed_costs
SELECT year, month, f.* FROM monthly_costs CROSS JOIN LATERAL (VALUES
    ('instantly', instantly_cost, 'instantly'), ('google_workspace', google_workspace_cost, NULL)) f
WHERE closed_at IS NOT NULL ON CONFLICT DO NOTHING;

INSERT INTO schema_migrations (version, name) VALUES (10, 'rates') ON CONFLICT (version) DO NOTHING;
