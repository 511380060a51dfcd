-- Daily snapshots of the forecast of the month's end, by which its accuracy is
-- judged once the month is over.
--
-- Forward-only and idempotent; by hand: psql -1 -v ON_ERROR_STOP=1 -f 0009_forecasts.sql "$DATABASE_URL"

-- What the end of a month was expected to cost on one of its days, without
-- fixed costs. The first replica that writes a day's row has made its forecast.
CREATE TABLE IF NOT EXISTS forecasts (
    made_on          date PRIMARY KEY,             -- UTC; the month is the day's
    model            text NOT NULL,
    history_days     integer NOT NULL CHECK (history_days > 0),
    settled_eur      numeric NOT NULL,             -- OpenRouter's charge so far
    expected_eur     numeric NOT NULL,             -- at the end of the month
    low80_eur        numeric NOT NULL,
    high80_eur       numeric NOT NULL,
    low95_eur        numeric NOT NULL,
    high95_eur       numeric NOT NULL,
    day_expected_eur numeric NOT NULL,             -- of made_on as a whole, from the days before it
    made_at          timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT forecasts_nested_check CHECK (
        low95_eur <= low80_eur AND low80_eur <= expected_eur AND expected_eur <= high80_eur AND high80_eur <= high95_eur)
);

INSERT INTO schema_migrations (version, name) VALUES (9, 'forecasts') ON CONFLICT (version) DO NOTHING;
