package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// schemaLock is the transaction advisory lock under which the schema changes:
// one replica migrates, the others wait and find it done. (The digits spell
// "bursar".)
const schemaLock int64 = 0x627572736172

type migration struct {
	version int
	name    string
	sql     string
}

// migrations are the embedded files in the order of their numbers, which must
// run from 1 without a gap.
func migrations() ([]migration, error) {
	files, err := fs.Glob(migrationFiles, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	all := make([]migration, 0, len(files))
	for _, file := range files {
		number, name, ok := strings.Cut(strings.TrimSuffix(path.Base(file), ".sql"), "_")
		version, err := strconv.Atoi(number)
		if err != nil || !ok || version != len(all)+1 {
			return nil, fmt.Errorf("migration %s: want a name like %04d_what_it_adds.sql", file, len(all)+1)
		}
		sql, err := migrationFiles.ReadFile(file)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{version: version, name: name, sql: string(sql)})
	}
	return all, nil
}

// Migrate brings the schema up to date, one transaction for each migration, and
// then the configured rate and fixed costs, as [Store.EnsureDefaults]. A schema that a newer Bursar has migrated further is left alone: it still
// serves this one.
func (s *Store) Migrate(ctx context.Context) error {
	all, err := migrations()
	if err != nil {
		return err
	}
	for _, m := range all {
		if err := s.migrate(ctx, m); err != nil {
			return fmt.Errorf("migrate schema to %d (%s): %w", m.version, m.name, err)
		}
	}
	return s.EnsureDefaults(ctx)
}

// migrate applies one migration unless it has been. The file itself records
// that it ran, so that psql records it too.
func (s *Store) migrate(ctx context.Context, m migration) error {
	return s.inTx(ctx, func(tx pgx.Tx) error {
		if err := lockSchema(ctx, tx); err != nil {
			return err
		}
		var tracked bool
		if err := tx.QueryRow(ctx, `-- name: migrate
			SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'schema_migrations' AND pg_table_is_visible(oid))`).Scan(&tracked); err != nil {
			return err
		}
		if tracked {
			var applied bool
			if err := tx.QueryRow(ctx, `-- name: migrate
				SELECT EXISTS (SELECT FROM schema_migrations WHERE version = $1)`, m.version).Scan(&applied); err != nil || applied {
				return err
			}
		}
		// The simple protocol takes a whole file in one message.
		_, err := tx.Exec(ctx, nameComment+"migrate\n"+m.sql, pgx.QueryExecModeSimpleProtocol)
		return err
	})
}

func lockSchema(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `-- name: migrate
		SELECT pg_advisory_xact_lock($1)`, schemaLock)
	return err
}
