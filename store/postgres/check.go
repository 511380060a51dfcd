package postgres

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// checkRollupsSQL is docs/queries/rollups.sql, which operators run by hand; a
// test keeps the two equal.
//
//go:embed rollups.sql
var checkRollupsSQL string

// RollupDifference is a sum that does not equal its rows.
type RollupDifference struct {
	Rollup     string          // table: usage_hourly or monthly_costs
	Key        string          // e.g. 2026-11-22T10:00Z campaign=q4 purpose= model=openai/gpt-4o platform=
	Figure     string          // column
	Recorded   decimal.Decimal // what the sum says; 0 if it has no row
	Recomputed decimal.Decimal // what the rows say
}

// CheckRollups recomputes usage_hourly and monthly_costs.openrouter_cost from
// every row, in one snapshot, and returns where they differ: nowhere, at any
// moment. Its time grows with the number of rows.
func (s *Store) CheckRollups(ctx context.Context) ([]RollupDifference, error) {
	rows, err := s.pool.Query(ctx, nameComment+"rollups_check\n"+checkRollupsSQL)
	if err == nil {
		var differences []RollupDifference
		if differences, err = pgx.CollectRows(rows, pgx.RowToStructByPos[RollupDifference]); err == nil {
			return differences, nil
		}
	}
	return nil, fmt.Errorf("check rollups against rows: %w", err)
}
