package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// CostHistories are the daily costs of scopes, in their order: the whole days
// from from to the one before today, and today so far. They are in the currency,
// euros at the rate of each day. It reads the sums of days, which there are of
// everything, of one campaign, purpose, platform, model or key, and of a
// campaign's purpose or model; the history of any other scope is unknown. A
// model's are those of the calls that it answered.
func (s *Store) CostHistories(ctx context.Context, from, today accounting.Day, currency accounting.Currency, scopes []accounting.Scope) ([]accounting.Optional[accounting.CostHistory], error) {
	histories := make([]accounting.Optional[accounting.CostHistory], len(scopes))
	var numbers []int
	var dimensions, campaigns, values []string
	for i := range scopes {
		dimension, campaign, value, ok := dailySums(&scopes[i])
		if !ok {
			continue
		}
		numbers = append(numbers, i)
		dimensions, campaigns, values = append(dimensions, dimension), append(campaigns, campaign), append(values, value)
		histories[i] = accounting.Some(accounting.CostHistory{First: from, Days: []decimal.Decimal{}})
	}
	rows, err := s.pool.Query(ctx, `-- name: cost_histories
		WITH `+ratesSQL+`
		SELECT number, day = $2::date, CASE WHEN $4 = 'EUR' THEN usd * rate ELSE usd END
		FROM (
			SELECT w.number, r.day, r.rate, coalesce((SELECT u.cost_usd FROM usage_daily u -- one row: a join would read the table
				WHERE u.dimension = w.dimension AND u.campaign_id = w.campaign AND u.value = w.value AND u.day = r.day), 0) AS usd
			FROM unnest($5::integer[], $6::text[], $7::text[], $8::text[]) AS w (number, dimension, campaign, value)
			CROSS JOIN rates r
		) days
		ORDER BY number, day`,
		from.Start(), today.Start(), s.opts.USDToEURRate, string(currency), numbers, dimensions, campaigns, values)
	if err != nil {
		return nil, fmt.Errorf("read daily costs of %s to %s: %w", from, today, err)
	}
	var number int
	var last bool
	var cost decimal.Decimal
	if _, err = pgx.ForEachRow(rows, []any{&number, &last, &cost}, func() error {
		h := &histories[number].Value
		if last {
			h.Today = cost
		} else {
			h.Days = append(h.Days, cost)
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read daily costs of %s to %s: %w", from, today, err)
	}
	return histories, nil
}

// dailySums names the rows of usage_daily that are a scope's.
func dailySums(scope *accounting.Scope) (dimension, campaign, value string, ok bool) {
	c := string(clean(scope.CampaignID))
	switch *scope {
	case accounting.Scope{}:
		return dimensionAll, "", "", true
	case accounting.Scope{CampaignID: scope.CampaignID}:
		return dimensionCampaign, "", c, true
	case accounting.Scope{Purpose: scope.Purpose}:
		return dimensionPurpose, "", string(clean(scope.Purpose)), true
	case accounting.Scope{Platform: scope.Platform}:
		return dimensionPlatform, "", string(clean(scope.Platform)), true
	case accounting.Scope{Model: scope.Model}:
		return dimensionModel, "", string(clean(scope.Model)), true
	case accounting.Scope{Key: scope.Key}:
		return dimensionKey, "", scope.Key, true
	case accounting.Scope{CampaignID: scope.CampaignID, Purpose: scope.Purpose}:
		return dimensionCampaignPurpose, c, string(clean(scope.Purpose)), true
	case accounting.Scope{CampaignID: scope.CampaignID, Model: scope.Model}:
		return dimensionCampaignModel, c, string(clean(scope.Model)), true
	}
	return "", "", "", false
}

// Forecasted reports whether the forecast of a day was made.
func (s *Store) Forecasted(ctx context.Context, day accounting.Day) (made bool, err error) {
	if err = s.pool.QueryRow(ctx, `-- name: forecasts_made
		SELECT EXISTS (SELECT FROM forecasts WHERE made_on = $1)`, day.Start()).Scan(&made); err != nil {
		return false, fmt.Errorf("look for the forecast of %s: %w", day, err)
	}
	return made, nil
}

// SaveForecast keeps the forecast of a day. Of those that several replicas make
// the first one stays; made is whether it was this one.
func (s *Store) SaveForecast(ctx context.Context, f accounting.ForecastSnapshot) (made bool, err error) {
	tag, err := s.pool.Exec(ctx, `-- name: forecasts_save
		INSERT INTO forecasts (made_on, model, history_days, settled_eur, expected_eur, low80_eur, high80_eur, low95_eur, high95_eur, day_expected_eur)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (made_on) DO NOTHING`,
		f.Day.Start(), string(f.Model), f.History, f.Settled, f.Expected,
		f.Bounds80.Low, f.Bounds80.High, f.Bounds95.Low, f.Bounds95.High, f.DayExpected)
	if err != nil {
		return false, fmt.Errorf("save the forecast of %s: %w", f.Day, err)
	}
	return tag.RowsAffected() == 1, nil
}

// ForecastOutcomes are the forecasts that were made on the days from from to
// to, both included, with what became of them: what the day cost, and what the
// month cost that is over at today. Amounts are EUR at the rate of each day.
func (s *Store) ForecastOutcomes(ctx context.Context, from, to, today accounting.Day) ([]accounting.ForecastOutcome, error) {
	first, last := accounting.DayOf(accounting.MonthOf(from.Start()).Start()), accounting.DayOf(accounting.MonthOf(to.Start()).End()).Add(-1)
	if !last.Before(today) {
		last = today.Add(-1)
	}
	rows, err := s.pool.Query(ctx, `-- name: forecasts_outcomes
		WITH `+ratesSQL+`, days AS (
			SELECT r.day, coalesce(u.cost_usd, 0) * r.rate AS eur FROM rates r
			LEFT JOIN usage_daily u ON u.dimension = 'all' AND u.campaign_id = '' AND u.value = '' AND u.day = r.day
		), months AS (
			SELECT date_trunc('month', day) AS month, sum(eur) AS eur FROM days
			WHERE date_trunc('month', day) + interval '1 month' <= $4::date GROUP BY 1
		)
		SELECT f.made_on, f.model, f.history_days, f.settled_eur, f.expected_eur, f.low80_eur, f.high80_eur, f.low95_eur, f.high95_eur, f.day_expected_eur,
			d.eur, m.eur
		FROM forecasts f LEFT JOIN days d ON d.day = f.made_on LEFT JOIN months m ON m.month = date_trunc('month', f.made_on)
		WHERE f.made_on BETWEEN $5 AND $6 ORDER BY f.made_on`,
		first.Start(), last.Start(), s.opts.USDToEURRate, today.Start(), from.Start(), to.Start())
	if err != nil {
		return nil, fmt.Errorf("read forecasts of %s to %s: %w", from, to, err)
	}
	outcomes, err := pgx.CollectRows(rows, func(cr pgx.CollectableRow) (o accounting.ForecastOutcome, err error) {
		var made time.Time
		var model string
		var day, month *decimal.Decimal
		err = cr.Scan(&made, &model, &o.History, &o.Settled, &o.Expected, &o.Bounds80.Low, &o.Bounds80.High, &o.Bounds95.Low, &o.Bounds95.High, &o.DayExpected, &day, &month)
		o.Day, o.Model = accounting.DayOf(made), accounting.ForecastModel(model)
		o.DayActual, o.MonthActual = accounting.FromPointer(day), accounting.FromPointer(month)
		return o, err
	})
	if err != nil {
		return nil, fmt.Errorf("read forecasts of %s to %s: %w", from, to, err)
	}
	return outcomes, nil
}
