package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// monthsAhead is how many partitions stand ready beyond the present month:
// enough that nobody notices for a quarter if this stops being called.
const monthsAhead = 3

// partitioned are the tables that have a partition for each month, on created_at.
var partitioned = []string{"openrouter_usage", "budget_decisions"}

// EnsurePartitions makes the monthly partitions of openrouter_usage and
// budget_decisions for the month of now and the three after it, and moves into
// each what its month left in the DEFAULT partition. It is quick when there is
// nothing to do; call it at start and daily.
func (s *Store) EnsurePartitions(ctx context.Context, now time.Time) error {
	now = now.UTC()
	for _, table := range partitioned {
		for i := range monthsAhead + 1 {
			month := time.Date(now.Year(), now.Month()+time.Month(i), 1, 0, 0, 0, 0, time.UTC)
			if err := s.ensurePartition(ctx, table, month); err != nil {
				return fmt.Errorf("make partition of %s for %s: %w", table, month.Format("2006-01"), err)
			}
		}
	}
	return nil
}

func (s *Store) ensurePartition(ctx context.Context, table string, month time.Time) error {
	name := table + "_" + month.Format("2006_01")
	if exists, err := hasPartition(ctx, s.pool, table, name); err != nil || exists {
		return err
	}
	return s.inTx(ctx, func(tx pgx.Tx) error {
		if err := lockSchema(ctx, tx); err != nil {
			return err
		}
		if exists, err := hasPartition(ctx, tx, table, name); err != nil || exists {
			return err
		}
		_, err := tx.Exec(ctx, partitionSQL(table, name, month), pgx.QueryExecModeSimpleProtocol)
		return err
	})
}

type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// hasPartition asks the catalogue's tables: to_regclass answers from a cache
// that waiting for an advisory lock does not refresh.
func hasPartition(ctx context.Context, db rowQuerier, table, name string) (exists bool, err error) {
	err = db.QueryRow(ctx, `-- name: partition_exists
		SELECT EXISTS (
			SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
			WHERE i.inhparent = $1::text::regclass AND c.relname = $2)`, table, name).Scan(&exists)
	return exists, err
}

// partitionSQL makes a month's partition from what the DEFAULT one holds of it.
//
// The parent is locked so that other writers keep on writing (ATTACH PARTITION
// takes the same lock), and before the DEFAULT partition, as every writer does.
// That one is locked fully, since a row arriving there between the move and
// ATTACH would make ATTACH refuse. It holds next to nothing, so this is short.
func partitionSQL(table, name string, month time.Time) string {
	from, to := month.Format(time.RFC3339), month.AddDate(0, 1, 0).Format(time.RFC3339)
	return fmt.Sprintf(`-- name: partition_make
		LOCK TABLE ONLY %[4]s IN SHARE UPDATE EXCLUSIVE MODE;
		LOCK TABLE %[4]s_default IN ACCESS EXCLUSIVE MODE;
		CREATE TABLE %[1]s (LIKE %[4]s INCLUDING ALL);
		WITH moved AS (
			DELETE FROM %[4]s_default
			WHERE created_at >= '%[2]s' AND created_at < '%[3]s'
			RETURNING *
		)
		INSERT INTO %[1]s SELECT * FROM moved;
		ALTER TABLE %[4]s ATTACH PARTITION %[1]s FOR VALUES FROM ('%[2]s') TO ('%[3]s');`,
		name, from, to, table)
}
