package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// SealKey stores a key in sealed form under its fingerprint, in place of any
// earlier one.
func (s *Store) SealKey(ctx context.Context, fingerprint string, sealed []byte) error {
	_, err := s.pool.Exec(ctx, `-- name: seal_key
		INSERT INTO sealed_keys (fingerprint, sealed) VALUES ($1, $2)
		ON CONFLICT (fingerprint) DO UPDATE SET sealed = excluded.sealed, updated_at = now()`,
		fingerprint, sealed)
	if err != nil {
		return fmt.Errorf("store sealed key %s: %w", fingerprint, err)
	}
	return nil
}

// SealedKeys returns all sealed keys by fingerprint.
func (s *Store) SealedKeys(ctx context.Context) (map[string][]byte, error) {
	rows, err := s.pool.Query(ctx, `-- name: sealed_keys
		SELECT fingerprint, sealed FROM sealed_keys`)
	if err != nil {
		return nil, fmt.Errorf("read sealed keys: %w", err)
	}
	keys := make(map[string][]byte)
	var fingerprint string
	var sealed []byte
	if _, err := pgx.ForEachRow(rows, []any{&fingerprint, &sealed}, func() error {
		keys[fingerprint] = sealed
		sealed = nil // the next scan would otherwise reuse its bytes
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read sealed keys: %w", err)
	}
	return keys, nil
}
