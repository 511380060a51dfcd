package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// DailyCosts are the costs of the UTC days from from to to, both included, for
// each value of a dimension: the limit dearest, and their rest as one series at
// the end. names are the only values that are wanted; nil: all. Its time depends
// on the days and the values and not on the calls.
func (s *Store) DailyCosts(ctx context.Context, from, to accounting.Day, by accounting.DailyDimension, names []string, limit int) ([]accounting.DailySeries, error) {
	rows, err := s.pool.Query(ctx, `-- name: daily_costs
		WITH `+ratesSQL+`, sums AS (
			SELECT u.value, u.day, u.calls, u.cost_usd, u.cost_usd * r.rate AS cost_eur
			FROM usage_daily u JOIN rates r USING (day)
			WHERE u.campaign_id = '' AND u.dimension = $4 AND u.day BETWEEN $1 AND $2 AND ($5::text[] IS NULL OR u.value = ANY ($5))
		), top AS (
			SELECT value, sum(cost_eur) AS total, row_number() OVER (ORDER BY sum(cost_eur) DESC, value) AS rank
			FROM sums GROUP BY value
		)
		SELECT least(t.rank, $6 + 1), CASE WHEN t.rank <= $6 THEN s.value ELSE '' END, s.day,
			sum(s.calls)::bigint, sum(s.cost_usd), sum(s.cost_eur)
		FROM sums s JOIN top t USING (value)
		GROUP BY 1, 2, 3 ORDER BY 1, 3`,
		from.Start(), to.Start(), s.opts.USDToEURRate, by, names, limit)
	if err != nil {
		return nil, fmt.Errorf("read daily costs by %s of %s to %s: %w", by, from, to, err)
	}
	days := int(to.Start().Sub(from.Start()).Hours()/24) + 1
	list := []accounting.DailySeries{}
	var rank, last int
	var name string
	var day time.Time
	var cost accounting.DailyCost
	if _, err = pgx.ForEachRow(rows, []any{&rank, &name, &day, &cost.Calls, &cost.CostUSD, &cost.CostEUR}, func() error {
		if rank != last {
			list = append(list, accounting.DailySeries{Name: name, Rest: rank > limit, Days: emptyDays(from, days)})
			last = rank
		}
		series := &list[len(list)-1]
		cost.Day = accounting.DayOf(day)
		if i := slices.IndexFunc(series.Days, func(d accounting.DailyCost) bool { return d.Day == cost.Day }); i >= 0 {
			series.Days[i] = cost
		}
		series.Total.Decimal = series.Total.Add(cost.CostEUR.Decimal)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read daily costs by %s of %s to %s: %w", by, from, to, err)
	}
	return list, nil
}

// emptyDays are n days without calls.
func emptyDays(from accounting.Day, n int) []accounting.DailyCost {
	days := make([]accounting.DailyCost, n)
	for i := range days {
		days[i].Day = from.Add(i)
	}
	return days
}
