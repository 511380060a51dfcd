package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// recount moves the periods of a budget by what its change from before to after
// means for the calls since from; before is nil for a budget that is new. Nobody
// else writes what budgets count meanwhile.
func (s *Store) recount(ctx context.Context, tx pgx.Tx, before, after *booked, from time.Time) error {
	if before == nil && after.Currency == accounting.EUR {
		// Rows from before there were budgets.
		if err := s.setRates(ctx, tx, from); err != nil {
			return err
		}
	}
	was, is := new(book), bookOf(after)
	if before != nil {
		was = bookOf(before)
	}
	d := newDeltas(is)
	if err := tally(ctx, tx, after, from, func(r *row) { d.budgets.move(was.sharesOf(r, nil), is.sharesOf(r, nil)) }); err != nil {
		return err
	}
	if err := s.postBudgets(ctx, tx, d); err != nil {
		return err
	}
	return s.raise(ctx, tx, d.alerts)
}

// setRates gives the rows since from that have no rate the default one.
func (s *Store) setRates(ctx context.Context, tx pgx.Tx, from time.Time) error {
	if _, err := tx.Exec(ctx, `-- name: usage_rate
		UPDATE openrouter_usage SET usd_to_eur = $2 WHERE created_at >= $1 AND usd_to_eur IS NULL`, from, s.opts.USDToEURRate); err != nil {
		return fmt.Errorf("set rates of rows: %w", err)
	}
	return nil
}

// bookOf is a book of some budgets.
func bookOf(budgets ...*booked) *book {
	b := &book{byID: make(map[string]*booked, len(budgets)), rest: budgets}
	for _, one := range budgets {
		b.byID[one.ID] = one
	}
	return b
}

// tally calls visit with every row since from that may count towards the
// budget: those in its scope, and those that were charged to it and are open.
// Only the columns are set that sharesOf reads.
func tally(ctx context.Context, db querier, b *booked, from time.Time, visit func(*row)) error {
	scope := b.Scope
	return scanShares(ctx, db, `-- name: usage_of_budget
		SELECT `+shareColumns+` FROM openrouter_usage
		WHERE created_at >= $1
		  AND (($2::text IS NULL OR campaign_id = $2) AND ($3::text IS NULL OR purpose = $3) AND ($4::text IS NULL OR platform = $4)
		  AND ($5::text IS NULL OR key_fingerprint = $5) AND ($6::text IS NULL OR model = $6 OR requested_model = $6)
		  AND (cost_usd IS NOT NULL OR estimated_cost_usd IS NOT NULL)
		   OR reservation IS NOT NULL AND status IN ('pending', 'awaiting_key', 'unresolved', 'interrupted'))`, visit,
		from, text(scope.CampaignID), text(scope.Purpose), text(scope.Platform), text(scope.Key), text(scope.Model))
}

const shareColumns = `id, created_at, campaign_id, email_id, lead_id, purpose, platform, key_fingerprint,
		requested_model, model, status, cost_usd, estimated_cost_usd, reservation, usd_to_eur`

func scanShares(ctx context.Context, db querier, sql string, visit func(*row), args ...any) error {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("count rows of budgets: %w", err)
	}
	var r row
	dest := []any{&r.id, &r.createdAt, &r.campaignID, &r.emailID, &r.leadID, &r.purpose, &r.platform, &r.keyFingerprint,
		&r.requestedModel, &r.model, &r.status, &r.cost, &r.estimatedCost, &r.reservation, &r.usdToEUR}
	if _, err := pgx.ForEachRow(rows, dest, func() error { visit(&r); return nil }); err != nil {
		return fmt.Errorf("count rows of budgets: %w", err)
	}
	return nil
}

// CheckBudgets recomputes the figures of every budget's periods from the rows
// and the leases, in one snapshot, and returns where they differ: nowhere, at
// any moment. Its time grows with the number of rows.
func (s *Store) CheckBudgets(ctx context.Context) ([]RollupDifference, error) {
	var differences []RollupDifference
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		differences, err = checkBudgets(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("check budgets against rows: %w", err)
	}
	return differences, nil
}

func checkBudgets(ctx context.Context, tx pgx.Tx) ([]RollupDifference, error) {
	budgets, err := queryBudgets(ctx, tx, "")
	if err != nil || len(budgets) == 0 {
		return nil, err
	}
	all, err := newBook(0, budgets)
	if err != nil {
		return nil, err
	}
	d := newBudgetDeltas(all)
	if err := scanShares(ctx, tx, `-- name: usage_of_budgets
		SELECT `+shareColumns+` FROM openrouter_usage`, func(r *row) { d.step(nil, r, false) }); err != nil {
		return nil, err
	}
	held, err := heldByPeriod(ctx, tx)
	if err != nil {
		return nil, err
	}
	recorded, err := readPeriods(ctx, tx, "")
	if err != nil {
		return nil, err
	}
	for key := range recorded {
		d.periods[key] = d.periods[key].plus(periodDelta{}) // of which there are no rows, too
	}
	var differences []RollupDifference
	for key, p := range d.periods {
		r := recorded[key]
		if r == nil {
			r = new(period) // of which nothing was spent, so far
		}
		for _, f := range []RollupDifference{
			{Figure: "settled", Recorded: r.Settled, Recomputed: p.settled},
			{Figure: "reserved", Recorded: r.Reserved, Recomputed: p.reserved},
			{Figure: "estimated", Recorded: r.Estimated, Recomputed: p.estimated},
			{Figure: "granted", Recorded: r.Total, Recomputed: p.settled.Add(p.reserved).Add(held[key]).Sub(r.Overshoot)},
			{Figure: "ceiling", Recorded: r.Ceiling, Recomputed: decimal.Max(r.limit, r.Total)},
		} {
			if !f.Recorded.Equal(f.Recomputed) {
				f.Rollup, f.Key = "budget_periods", fmt.Sprintf("%s each=%s from %s", key.budget, key.each, key.startTime().Format(time.RFC3339))
				differences = append(differences, f)
			}
		}
	}
	slices.SortFunc(differences, func(a, b RollupDifference) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Figure, b.Figure))
	})
	return differences, nil
}

func heldByPeriod(ctx context.Context, db querier) (map[periodKey]decimal.Decimal, error) {
	rows, err := db.Query(ctx, `-- name: budget_leases_held
		SELECT budget_id, each_value, period_start, sum(held) FROM budget_leases GROUP BY 1, 2, 3`)
	if err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	held := make(map[periodKey]decimal.Decimal)
	var k periodKey
	var start time.Time
	var sum decimal.Decimal
	if _, err := pgx.ForEachRow(rows, []any{&k.budget, &k.each, &start, &sum}, func() error {
		k.start = start.Unix()
		held[k] = sum
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	return held, nil
}
