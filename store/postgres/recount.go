package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// recountMark begins the part of a migration that counts everything anew.
const recountMark = "-- recount:"

// recountSQL is that part of those that have one: the same statements, so they
// cannot differ.
func recountSQL() (string, error) {
	var all strings.Builder
	for _, name := range []string{"0008_economics.sql", "0011_experiments.sql", "0015_model_meetings.sql"} {
		sql, err := migrationFiles.ReadFile("migrations/" + name)
		if err != nil {
			return "", err
		}
		_, after, found := strings.Cut(string(sql), recountMark)
		if !found {
			return "", errors.New("migration " + name + " has no part that counts anew")
		}
		all.WriteString("--" + after) // the rest of the mark's line is a comment
	}
	return all.String(), nil
}

// RecountEconomics counts leads, emails, sequences, experiments and the daily
// sums anew from calls and activities, in one transaction that keeps writers out. It mends what
// an older Bursar beside this one has recorded without counting it; otherwise it
// changes nothing. Its time grows with the number of rows.
func (s *Store) RecountEconomics(ctx context.Context) error {
	sql, err := recountSQL()
	if err != nil {
		return fmt.Errorf("count economics anew: %w", err)
	}
	err = s.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `-- name: recount_lock
			LOCK TABLE openrouter_usage, activities IN SHARE ROW EXCLUSIVE MODE`, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, nameComment+"recount\n"+sql, pgx.QueryExecModeSimpleProtocol)
		return err
	})
	if err != nil {
		return fmt.Errorf("count economics anew: %w", err)
	}
	return nil
}
