package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// spendSQL are the columns of [accounting.Spend]. A failed call and one that
// an operator has dismissed are none: they are not billed, and OpenRouter does
// not count them.
const spendSQL = `
	coalesce(sum(cost_usd), 0),
	count(*),
	count(*) FILTER (WHERE status <> 'settled'),
	count(*) FILTER (WHERE status = 'settled' AND verified_at IS NULL),
	coalesce(sum(cost_usd) FILTER (WHERE verified_at IS NULL), 0)`

func spendFields(s *accounting.Spend) []any {
	return []any{&s.Cost, &s.Calls, &s.OpenCalls, &s.UnverifiedCalls, &s.UnverifiedCost}
}

// DaySpend sums the calls that began on a UTC day by key, model that served
// and model that was asked for.
func (s *Store) DaySpend(ctx context.Context, day accounting.Day) ([]accounting.ModelSpend, error) {
	rows, err := s.pool.Query(ctx, `-- name: day_spend
		SELECT coalesce(key_fingerprint, ''), model, coalesce(requested_model, ''), `+spendSQL+`
		FROM openrouter_usage
		WHERE created_at >= $1 AND created_at < $2 AND status NOT IN ('failed', 'dismissed')
		GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`, day.Start(), day.End())
	if err == nil {
		var sums []accounting.ModelSpend
		if sums, err = pgx.CollectRows(rows, func(cr pgx.CollectableRow) (m accounting.ModelSpend, err error) {
			err = cr.Scan(append([]any{&m.KeyFingerprint, &m.Model, &m.RequestedModel}, spendFields(&m.Spend)...)...)
			return m, err
		}); err == nil {
			return sums, nil
		}
	}
	return nil, fmt.Errorf("sum the calls of %s: %w", day, err)
}

const (
	// longestCall bounds how far before a window the calls are looked for that
	// ended in it.
	longestCall = 6 * time.Hour
	// sampleLag is for how long OpenRouter may go on showing a figure.
	sampleLag = time.Minute
)

// WindowSpend sums the calls that ended after from and not after to, of one
// key or, with an empty fingerprint, of all.
func (s *Store) WindowSpend(ctx context.Context, from, to time.Time, fingerprint string) (accounting.WindowSpend, error) {
	var w accounting.WindowSpend
	err := s.pool.QueryRow(ctx, `-- name: window_spend
		WITH calls AS (
			SELECT *, created_at + coalesce(duration_ms, 0) * interval '1 millisecond' AS ended_at
			FROM openrouter_usage
			WHERE created_at >= $3 AND created_at < $2 AND status NOT IN ('failed', 'dismissed')
			  AND ($4::text IS NULL OR key_fingerprint = $4)
		), counted AS (
			SELECT * FROM calls WHERE ended_at > $1 AND ended_at <= $2
		), in_flight AS (
			SELECT * FROM calls
			WHERE created_at < $1 AND ended_at > $1::timestamptz - $5::interval
			   OR created_at < $2 AND ended_at > $2::timestamptz - $5::interval
		)
		SELECT `+spendSQL+`,
			(SELECT count(*) FROM in_flight), (SELECT coalesce(sum(cost_usd), 0) FROM in_flight)
		FROM counted`, from, to, from.Add(-longestCall), clean(fingerprint), sampleLag).
		Scan(append(spendFields(&w.Spend), &w.InFlight, &w.InFlightCost)...)
	if err != nil {
		return accounting.WindowSpend{}, fmt.Errorf("sum the calls from %s to %s: %w", from.Format(time.RFC3339), to.Format(time.RFC3339), err)
	}
	return w, nil
}

// Suspects lists the calls of a time that may explain a difference, the
// likeliest kind first and in it the dearest: those without a cost, those
// whose record differed from the response, those that no record has confirmed,
// and those within a minute of either end.
func (s *Store) Suspects(ctx context.Context, f accounting.SuspectFilter) ([]accounting.Suspect, error) {
	rows, err := s.pool.Query(ctx, `-- name: suspects
		SELECT * FROM (
			SELECT id, generation_id, model, status, cost_usd, CASE
				WHEN status <> 'settled' THEN 'open'
				WHEN inline_cost_usd <> generation_cost_usd THEN 'mismatch'
				WHEN verified_at IS NULL THEN 'unverified'
				WHEN least(created_at - $1, $2 - created_at) < interval '1 minute'
				  OR created_at + coalesce(duration_ms, 0) * interval '1 millisecond' > $2 THEN 'midnight'
				END AS why
			FROM openrouter_usage
			WHERE created_at >= $1 AND created_at < $2 AND status NOT IN ('failed', 'dismissed')
			  AND ($3::text IS NULL OR key_fingerprint = $3)
		) AS calls
		WHERE why IS NOT NULL
		ORDER BY array_position(ARRAY['open', 'mismatch', 'unverified', 'midnight'], why), cost_usd DESC NULLS FIRST, id
		LIMIT $4`, f.From, f.To, clean(f.KeyFingerprint), f.Limit)
	if err == nil {
		var suspects []accounting.Suspect
		if suspects, err = pgx.CollectRows(rows, func(cr pgx.CollectableRow) (u accounting.Suspect, err error) {
			err = cr.Scan((*requestID)(&u.ID), &u.GenerationID, &u.Model, (*string)(&u.Status), &u.CostUSD, &u.Why)
			return u, err
		}); err == nil {
			return suspects, nil
		}
	}
	return nil, fmt.Errorf("list suspect calls: %w", err)
}
