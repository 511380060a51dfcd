package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// ClaimRates claims a feed of rates from now until until, unless somebody else
// has, or it was read and is not due yet. It returns how many readings in a row
// have come to nothing.
func (s *Store) ClaimRates(ctx context.Context, feed string, now, until time.Time) (failures int, claimed bool, err error) {
	rows, err := s.pool.Query(ctx, `-- name: rate_feed_claim
		INSERT INTO rate_feeds AS f (feed, claimed_until) VALUES ($1, $3)
		ON CONFLICT (feed) DO UPDATE SET claimed_until = excluded.claimed_until WHERE f.claimed_until <= $2
		RETURNING failures`, feed, now, until)
	if err == nil {
		var found []int
		if found, err = pgx.CollectRows(rows, pgx.RowTo[int]); err == nil {
			if len(found) == 1 {
				return found[0], true, nil
			}
			return 0, false, nil
		}
	}
	return 0, false, fmt.Errorf("claim the exchange rates of %s: %w", feed, err)
}

// SaveRates stores what was read of a feed at now, which is read again at next.
// What was set by hand stays. Open months are converted anew.
func (s *Store) SaveRates(ctx context.Context, feed string, rates []accounting.ExchangeRate, now, next time.Time) (accounting.RateChange, error) {
	var change accounting.RateChange
	err := s.inTx(ctx, func(tx pgx.Tx) (err error) {
		if change, err = putRates(ctx, tx, rates, feed); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `-- name: rate_feed_read
			UPDATE rate_feeds SET claimed_until = $2, fetched_at = $3, failures = 0 WHERE feed = $1`, feed, next, now)
		return err
	})
	if err != nil {
		return accounting.RateChange{}, fmt.Errorf("store the exchange rates of %s: %w", feed, err)
	}
	return change, nil
}

// PostponeRates notes that a feed gave nothing, and is tried again at next.
func (s *Store) PostponeRates(ctx context.Context, feed string, next time.Time) error {
	_, err := s.pool.Exec(ctx, `-- name: rate_feed_postpone
		UPDATE rate_feeds SET claimed_until = $2, failures = failures + 1 WHERE feed = $1`, feed, next)
	if err != nil {
		return fmt.Errorf("postpone the exchange rates of %s: %w", feed, err)
	}
	return nil
}
