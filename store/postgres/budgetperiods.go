package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// period is a row of budget_periods.
type period struct {
	accounting.PeriodFigures // Short is not set: it depends on the time
	limit                    decimal.Decimal
	shortAt                  *time.Time
	updatedAt                time.Time
}

// shortFor is how long after a request that found nothing a period is short.
const shortFor = 5 * time.Second

// figures are those of the period at now.
func (p *period) figures(now time.Time) accounting.PeriodFigures {
	f := p.PeriodFigures
	f.Short = p.shortAt != nil && now.Sub(*p.shortAt) < shortFor
	return f
}

// readPeriods reads periods; rest is what follows FROM budget_periods p.
func readPeriods(ctx context.Context, db querier, rest string, args ...any) (map[periodKey]*period, error) {
	rows, err := db.Query(ctx, `-- name: budget_periods_read
		SELECT p.budget_id, p.each_value, p.period_start, p.limit_amount, p.ceiling, p.granted, p.settled, p.reserved, p.estimated, p.overshoot,
			p.short_at, p.updated_at
		FROM budget_periods p `+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("read periods: %w", err)
	}
	periods := make(map[periodKey]*period)
	var k periodKey
	var start time.Time
	var p period
	if _, err := pgx.ForEachRow(rows, []any{&k.budget, &k.each, &start, &p.limit, &p.Ceiling, &p.Total, &p.Settled, &p.Reserved, &p.Estimated, &p.Overshoot,
		&p.shortAt, &p.updatedAt}, func() error {
		k.start = start.Unix()
		found := p
		periods[k] = &found
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read periods: %w", err)
	}
	return periods, nil
}

// overlap is how far back Periods looks: a transaction may commit this long
// after the moment that it stamped.
const overlap = time.Minute

// Periods returns those of keys that have changed since a time, all of them for
// the zero time, as they are now. Some that have not changed may be among them.
// A period without a row, of which nothing was granted or spent, is left out.
func (s *Store) Periods(ctx context.Context, since time.Time, keys []accounting.LeaseKey) ([]accounting.PeriodState, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	wanted := make([]periodKey, len(keys))
	for i, k := range keys {
		wanted[i] = periodKeyOf(k)
	}
	budgets, eaches, starts := periodArrays(wanted)
	if !since.IsZero() {
		since = since.Add(-overlap)
	}
	found, err := readPeriods(ctx, s.pool, `JOIN unnest($1::text[], $2::text[], $3::timestamptz[]) AS wanted (budget_id, each_value, period_start)
			USING (budget_id, each_value, period_start)
		WHERE $4::timestamptz IS NULL OR p.updated_at >= $4`, budgets, eaches, starts, timeOrNil(since))
	if err != nil {
		return nil, err
	}
	now := s.now()
	states := make([]accounting.PeriodState, 0, len(found))
	for key, p := range found {
		states = append(states, accounting.PeriodState{LeaseKey: key.leaseKey(), PeriodFigures: p.figures(now), UpdatedAt: p.updatedAt.UTC()})
	}
	return states, nil
}
