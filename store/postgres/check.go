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

// checkEconomicsSQL is docs/queries/economics.sql, in the same way.
//
//go:embed economics.sql
var checkEconomicsSQL string

// checkExperimentsSQL is docs/queries/experiments.sql, in the same way.
//
//go:embed experiments.sql
var checkExperimentsSQL string

// RollupDifference is a sum that does not equal its rows.
type RollupDifference struct {
	Rollup     string          // table: usage_hourly, monthly_costs, lead_processing_costs, …
	Key        string          // e.g. 2026-11-22T10:00Z campaign=q4 purpose= model=openai/gpt-4o platform=
	Figure     string          // column
	Recorded   decimal.Decimal // what the sum says; 0 if it has no row
	Recomputed decimal.Decimal // what the rows say
}

// CheckRollups recomputes every table of sums from the rows, those of calls,
// those of what came of them and those of experiments each in one snapshot, and returns where they
// differ: nowhere, at any moment. Its time grows with the number of rows.
func (s *Store) CheckRollups(ctx context.Context) ([]RollupDifference, error) {
	var all []RollupDifference
	for name, query := range map[string]string{"rollups_check": checkRollupsSQL, "economics_check": checkEconomicsSQL, "experiments_check": checkExperimentsSQL} {
		rows, err := s.pool.Query(ctx, nameComment+name+"\n"+query)
		if err != nil {
			return nil, fmt.Errorf("check rollups against rows: %w", err)
		}
		differences, err := pgx.CollectRows(rows, pgx.RowToStructByPos[RollupDifference])
		if err != nil {
			return nil, fmt.Errorf("check rollups against rows: %w", err)
		}
		all = append(all, differences...)
	}
	return all, nil
}
