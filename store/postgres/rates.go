package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// ratesLock is the transaction advisory lock that writers of months share and
// that a change of a rate or a fixed cost holds alone; see share_rates in
// 0010_rates.sql.
const ratesLock int64 = 0x7261746573

// lockRates waits until no transaction is under way that has read a rate. Those
// that come later wait for this one. It comes before every row of a month.
func lockRates(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `-- name: rates_lock
		SELECT pg_advisory_xact_lock($1)`, ratesLock)
	if err != nil {
		return fmt.Errorf("lock exchange rates: %w", err)
	}
	return nil
}

// EnsureDefaults makes the configured rate and the two configured fixed costs
// those that hold where nothing is dated. Open months follow.
func (s *Store) EnsureDefaults(ctx context.Context) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		var same bool
		if err := tx.QueryRow(ctx, sameDefaultsSQL, s.opts.USDToEURRate, s.opts.InstantlyCost, s.opts.WorkspaceCost).Scan(&same); err != nil || same {
			return err
		}
		if err := lockRates(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `-- name: default_rate_put
			INSERT INTO default_rate (usd_to_eur) VALUES ($1) ON CONFLICT (one) DO UPDATE SET usd_to_eur = excluded.usd_to_eur`,
			s.opts.USDToEURRate); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `-- name: default_fixed_costs_put
			INSERT INTO default_fixed_costs (name, eur, platform) VALUES ($1, $2, $3), ($4, $5, NULL)
			ON CONFLICT (name) DO UPDATE SET eur = excluded.eur, platform = excluded.platform`,
			accounting.FixedInstantly, s.opts.InstantlyCost, accounting.PlatformInstantly, accounting.FixedWorkspace, s.opts.WorkspaceCost); err != nil {
			return err
		}
		if _, err := convertMonths(ctx, tx, accounting.Day{}); err != nil {
			return err
		}
		return applyFixedCosts(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("store the configured rate and fixed costs: %w", err)
	}
	return nil
}

const sameDefaultsSQL = `-- name: defaults_same
	SELECT EXISTS (SELECT FROM default_rate WHERE usd_to_eur = $1)
		AND EXISTS (SELECT FROM default_fixed_costs WHERE name = 'instantly' AND eur = $2)
		AND EXISTS (SELECT FROM default_fixed_costs WHERE name = 'google_workspace' AND eur = $3)`

// ExchangeRates lists the rates of the UTC days from from to to, both included,
// the newest first, at most [accounting.MaxRates] of them.
func (s *Store) ExchangeRates(ctx context.Context, from, to accounting.Day) (accounting.RateBook, error) {
	book := accounting.RateBook{Rates: []accounting.ExchangeRate{}}
	err := s.pool.QueryRow(ctx, `-- name: default_rate
		SELECT usd_to_eur FROM default_rate`).Scan(&book.Default)
	if err != nil {
		return book, fmt.Errorf("list exchange rates: %w", err)
	}
	rows, err := s.pool.Query(ctx, `-- name: exchange_rates_list
		SELECT day, usd_to_eur, source, recorded_at FROM exchange_rates
		WHERE day BETWEEN $1 AND $2 ORDER BY day DESC LIMIT $3`, from.Start(), to.Start(), accounting.MaxRates)
	if err != nil {
		return book, fmt.Errorf("list exchange rates: %w", err)
	}
	var day time.Time
	var r accounting.ExchangeRate
	if _, err = pgx.ForEachRow(rows, []any{&day, &r.USDToEUR, &r.Source, &r.RecordedAt}, func() error {
		r.Day, r.RecordedAt = accounting.DayOf(day), r.RecordedAt.UTC()
		book.Rates = append(book.Rates, r)
		return nil
	}); err != nil {
		return book, fmt.Errorf("list exchange rates: %w", err)
	}
	return book, nil
}

// PutExchangeRates sets the rates of days in the name of by, and converts the
// open months anew. It is audited in the same transaction. Closed months keep
// their figures, and budgets what they were charged.
func (s *Store) PutExchangeRates(ctx context.Context, rates []accounting.ExchangeRate, by string) (accounting.RateChange, error) {
	var change accounting.RateChange
	err := s.inTx(ctx, func(tx pgx.Tx) (err error) {
		if change, err = putRates(ctx, tx, rates, accounting.RateByHand); err != nil || change.Changed == 0 {
			return err
		}
		after := make(map[string]any, len(rates))
		for _, r := range rates {
			after[r.Day.String()] = r.USDToEUR
		}
		return audit(ctx, tx, auditEntry{actor: by, action: accounting.ActionRatesPut, subject: "exchange-rates", after: after})
	})
	if err != nil {
		return accounting.RateChange{}, fmt.Errorf("store %d exchange rates: %w", len(rates), err)
	}
	return change, nil
}

// putRates writes rates of a source. What was set by hand only a hand changes.
func putRates(ctx context.Context, tx pgx.Tx, rates []accounting.ExchangeRate, source string) (accounting.RateChange, error) {
	if len(rates) == 0 {
		return accounting.RateChange{}, nil
	}
	if err := lockRates(ctx, tx); err != nil {
		return accounting.RateChange{}, err
	}
	rows, err := tx.Query(ctx, `-- name: exchange_rates_put
		INSERT INTO exchange_rates AS x (day, usd_to_eur, source)
		SELECT DISTINCT ON (day) day, rate, $3 FROM unnest($1::date[], $2::numeric[]) WITH ORDINALITY AS d (day, rate, n) ORDER BY day, n DESC
		ON CONFLICT (day) DO UPDATE SET usd_to_eur = excluded.usd_to_eur, source = excluded.source, recorded_at = now()
		WHERE (x.usd_to_eur, x.source) <> (excluded.usd_to_eur, excluded.source) AND ($3 = 'api' OR x.source <> 'api')
		RETURNING day`,
		each(rates, func(r accounting.ExchangeRate) time.Time { return r.Day.Start() }),
		each(rates, func(r accounting.ExchangeRate) decimal.Decimal { return r.USDToEUR.Decimal }), source)
	if err != nil {
		return accounting.RateChange{}, err
	}
	days, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil || len(days) == 0 {
		return accounting.RateChange{}, err
	}
	months, err := convertMonths(ctx, tx, accounting.DayOf(slices.MinFunc(days, time.Time.Compare)))
	return accounting.RateChange{Changed: len(days), Months: months}, err
}

// convertMonths makes the EUR of the open months since a day anew, and returns
// those whose figures moved. The caller holds the lock of rates.
func convertMonths(ctx context.Context, tx pgx.Tx, since accounting.Day) ([]accounting.Month, error) {
	first := accounting.MonthOf(since.Start())
	rows, err := tx.Query(ctx, `-- name: months_convert
		WITH was AS (
			SELECT id, openrouter_cost_eur, exchange_rate FROM monthly_costs
			WHERE closed_at IS NULL AND (year, month) >= ($1, $2) ORDER BY year, month FOR UPDATE
		), moved AS (
			UPDATE monthly_costs m SET openrouter_cost_eur = was.openrouter_cost_eur FROM was WHERE m.id = was.id
			RETURNING m.year, m.month, m.openrouter_cost_eur <> was.openrouter_cost_eur OR m.exchange_rate <> was.exchange_rate AS moved
		)
		SELECT year, month FROM moved WHERE moved ORDER BY year, month`, first.Year, int(first.Month))
	if err != nil {
		return nil, fmt.Errorf("convert open months: %w", err)
	}
	months, err := pgx.CollectRows(rows, pgx.RowToStructByPos[accounting.Month])
	if err != nil {
		return nil, fmt.Errorf("convert open months: %w", err)
	}
	if len(months) > 0 {
		_, err = tx.Exec(ctx, `-- name: months_converted
			UPDATE monthly_costs SET updated_at = now() WHERE (year, month) IN (SELECT * FROM unnest($1::integer[], $2::integer[]))`,
			each(months, func(m accounting.Month) int32 { return int32(m.Year) }), each(months, func(m accounting.Month) int32 { return int32(m.Month) }))
	}
	return months, err
}

// RateOn is EUR for one USD on a UTC day, as reports convert it: the latest rate
// dated on or before it, else the configured one.
func (s *Store) RateOn(ctx context.Context, day accounting.Day) (rate decimal.Decimal, err error) {
	if err = s.pool.QueryRow(ctx, `-- name: day_rate
		SELECT day_rate($1::date)`, day.Start()).Scan(&rate); err != nil {
		return rate, fmt.Errorf("find the exchange rate of %s: %w", day, err)
	}
	return rate, nil
}

// readRates sets, for each UTC day that is a key, what one USD was in EUR.
func readRates(ctx context.Context, tx pgx.Tx, rates map[time.Time]decimal.Decimal) error {
	if len(rates) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, `-- name: day_rates
		SELECT day, day_rate(day) FROM unnest($1::date[]) AS day`, slices.Collect(maps.Keys(rates)))
	if err != nil {
		return fmt.Errorf("find the exchange rates of %d days: %w", len(rates), err)
	}
	var day time.Time
	var rate decimal.Decimal
	if _, err := pgx.ForEachRow(rows, []any{&day, &rate}, func() error {
		rates[day] = rate
		return nil
	}); err != nil {
		return fmt.Errorf("find the exchange rates of %d days: %w", len(rates), err)
	}
	return nil
}
