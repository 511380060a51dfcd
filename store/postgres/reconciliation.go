package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bursar/accounting"
)

// SaveReconciliations keeps one row for each day, source and key, in place of
// an earlier one; but a look at which OpenRouter's side was not to be had
// never replaces one at which it was. It returns those whose verdict became
// "differs" with this look, and raises an alert for each, once.
func (s *Store) SaveReconciliations(ctx context.Context, list []accounting.Reconciliation) ([]accounting.Reconciliation, error) {
	var raised []accounting.Reconciliation
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		raised = nil
		for i := range list {
			before, err := saveReconciliation(ctx, tx, &list[i])
			if err != nil {
				return fmt.Errorf("%s of %s: %w", list[i].Source, list[i].Day, err)
			}
			if list[i].Verdict == accounting.VerdictDiffers && before != accounting.VerdictDiffers {
				raised = append(raised, list[i])
			}
		}
		return s.raise(ctx, tx, reconciliationAlerts(raised))
	})
	if err != nil {
		return nil, fmt.Errorf("save reconciliations: %w", err)
	}
	return raised, nil
}

// saveReconciliation returns the verdict of the row before, empty if there was
// none. Several savers of one day take its rows in the same order, that of the
// list, so none waits for another in a circle.
func saveReconciliation(ctx context.Context, tx pgx.Tx, r *accounting.Reconciliation) (before accounting.Verdict, err error) {
	models, err := json.Marshal(orEmpty(r.Models))
	if err != nil {
		return "", err
	}
	suspects, err := json.Marshal(orEmpty(r.Suspects))
	if err != nil {
		return "", err
	}
	err = tx.QueryRow(ctx, `-- name: reconciliation_before
		SELECT verdict FROM reconciliations WHERE (day, source, key_fingerprint) = ($1, $2, $3) FOR UPDATE`,
		r.Day.Start(), string(r.Source), r.KeyFingerprint).Scan((*string)(&before))
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", err
	}
	_, err = tx.Exec(ctx, `-- name: reconciliation_save
		INSERT INTO reconciliations AS r (day, source, key_fingerprint, ours_usd, theirs_usd, other_keys_usd,
			dark_spend_usd, dark_calls, our_calls, their_calls, open_calls, unverified_calls, unverified_usd,
			sampled_from, sampled_to, calls_in_flight, in_flight_usd, tolerance, verdict, reason, models, suspects, checked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)
		ON CONFLICT (day, source, key_fingerprint) DO UPDATE SET
			ours_usd = excluded.ours_usd, theirs_usd = excluded.theirs_usd, other_keys_usd = excluded.other_keys_usd,
			dark_spend_usd = excluded.dark_spend_usd, dark_calls = excluded.dark_calls,
			our_calls = excluded.our_calls, their_calls = excluded.their_calls, open_calls = excluded.open_calls,
			unverified_calls = excluded.unverified_calls, unverified_usd = excluded.unverified_usd,
			sampled_from = excluded.sampled_from, sampled_to = excluded.sampled_to,
			calls_in_flight = excluded.calls_in_flight, in_flight_usd = excluded.in_flight_usd,
			tolerance = excluded.tolerance, verdict = excluded.verdict, reason = excluded.reason,
			models = excluded.models, suspects = excluded.suspects, checked_at = excluded.checked_at
		WHERE excluded.verdict <> 'unavailable' OR r.verdict = 'unavailable'`,
		r.Day.Start(), string(r.Source), r.KeyFingerprint, r.OursUSD, r.TheirsUSD, r.OtherKeysUSD,
		r.DarkSpendUSD, r.DarkCalls, r.OurCalls, r.TheirCalls, r.OpenCalls, r.UnverifiedCalls, r.UnverifiedUSD,
		r.SampledFrom, r.SampledTo, r.CallsInFlight, r.InFlightUSD, r.Tolerance, string(r.Verdict), clean(r.Reason),
		string(models), string(suspects), r.CheckedAt)
	return before, err
}

// orEmpty keeps JSON lists lists.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

const reconciliationColumns = `day, source, key_fingerprint, ours_usd, theirs_usd, difference_usd, other_keys_usd,
	dark_spend_usd, dark_calls, our_calls, their_calls, open_calls, unverified_calls, unverified_usd,
	sampled_from, sampled_to, calls_in_flight, in_flight_usd, tolerance, verdict, coalesce(reason, ''), models, suspects, checked_at`

func scanReconciliation(cr pgx.CollectableRow) (accounting.Reconciliation, error) {
	var (
		r   accounting.Reconciliation
		day time.Time
	)
	err := cr.Scan(&day, (*string)(&r.Source), &r.KeyFingerprint, &r.OursUSD, &r.TheirsUSD, &r.DifferenceUSD, &r.OtherKeysUSD,
		&r.DarkSpendUSD, &r.DarkCalls, &r.OurCalls, &r.TheirCalls, &r.OpenCalls, &r.UnverifiedCalls, &r.UnverifiedUSD,
		&r.SampledFrom, &r.SampledTo, &r.CallsInFlight, &r.InFlightUSD, &r.Tolerance, (*string)(&r.Verdict), &r.Reason,
		&r.Models, &r.Suspects, &r.CheckedAt)
	r.Day = accounting.DayOf(day)
	return r, err
}

// ListReconciliations lists the rows that match, the newest day first.
func (s *Store) ListReconciliations(ctx context.Context, f accounting.ReconciliationFilter) ([]accounting.Reconciliation, error) {
	if f.Limit < 1 || f.Limit > accounting.MaxReconciliations {
		return nil, fmt.Errorf("list reconciliations: limit %d: want 1 to %d", f.Limit, accounting.MaxReconciliations)
	}
	rows, err := s.pool.Query(ctx, `-- name: reconciliations_list
		SELECT `+reconciliationColumns+` FROM reconciliations
		WHERE ($1::date IS NULL OR day >= $1) AND ($2::date IS NULL OR day <= $2)
		  AND ($3::text IS NULL OR source = $3) AND ($4::text IS NULL OR key_fingerprint = $4)
		  AND ($5::text IS NULL OR verdict = $5)
		ORDER BY day DESC, source, key_fingerprint LIMIT $6`,
		dateOrNil(f.From), dateOrNil(f.To), clean(string(f.Source)), clean(f.KeyFingerprint), clean(string(f.Verdict)), f.Limit)
	return collectReconciliations(rows, err)
}

// LatestReconciliations are the rows of each source's latest day at which
// OpenRouter's side was to be had.
func (s *Store) LatestReconciliations(ctx context.Context) ([]accounting.Reconciliation, error) {
	rows, err := s.pool.Query(ctx, `-- name: reconciliations_latest
		SELECT `+reconciliationColumns+` FROM reconciliations
		WHERE verdict <> 'unavailable' AND (source, day) IN (
			SELECT source, max(day) FROM reconciliations WHERE verdict <> 'unavailable' GROUP BY source)
		ORDER BY source, key_fingerprint`)
	return collectReconciliations(rows, err)
}

func collectReconciliations(rows pgx.Rows, err error) ([]accounting.Reconciliation, error) {
	if err == nil {
		var list []accounting.Reconciliation
		if list, err = pgx.CollectRows(rows, scanReconciliation); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("list reconciliations: %w", err)
}

func dateOrNil(d *accounting.Day) *time.Time {
	if d == nil {
		return nil
	}
	start := d.Start()
	return &start
}

// DaysToReconcile are the days from since to until, both included, that are
// due at now: not finished, and claimed by nobody. Days before the first
// recorded call are not due.
func (s *Store) DaysToReconcile(ctx context.Context, since, until accounting.Day, now time.Time) ([]accounting.Day, error) {
	rows, err := s.pool.Query(ctx, `-- name: reconciliation_days_due
		SELECT d.day::date FROM generate_series(
			greatest($1::timestamp, (SELECT date_trunc('day', min(hour) AT TIME ZONE 'UTC') FROM usage_hourly)),
			$2::timestamp, interval '1 day') AS d (day)
		LEFT JOIN reconciliation_days r ON r.day = d.day::date
		WHERE EXISTS (SELECT FROM usage_hourly)
		  AND (r.day IS NULL OR r.finished_at IS NULL AND r.claimed_until <= $3)
		ORDER BY 1`, since.Start(), until.Start(), now)
	if err == nil {
		var days []accounting.Day
		if days, err = pgx.CollectRows(rows, func(cr pgx.CollectableRow) (accounting.Day, error) {
			var day time.Time
			err := cr.Scan(&day)
			return accounting.DayOf(day), err
		}); err == nil {
			return days, nil
		}
	}
	return nil, fmt.Errorf("list the days to reconcile: %w", err)
}

// ClaimDay takes a day for the caller alone until a time; of callers at once
// one is told true. attempts is how often the day has been claimed, from 1.
func (s *Store) ClaimDay(ctx context.Context, day accounting.Day, now, until time.Time) (attempts int, claimed bool, err error) {
	err = s.pool.QueryRow(ctx, `-- name: reconciliation_day_claim
		INSERT INTO reconciliation_days AS r (day, claimed_until) VALUES ($1, $2)
		ON CONFLICT (day) DO UPDATE SET claimed_until = excluded.claimed_until, attempts = r.attempts + 1
		WHERE r.finished_at IS NULL AND r.claimed_until <= $3
		RETURNING attempts`, day.Start(), until, now).Scan(&attempts)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("claim %s: %w", day, err)
	}
	return attempts, true, nil
}

// ReleaseDay ends a claim: the day is due again at next, or never with the
// zero time.
func (s *Store) ReleaseDay(ctx context.Context, day accounting.Day, next, now time.Time) error {
	_, err := s.pool.Exec(ctx, `-- name: reconciliation_day_release
		UPDATE reconciliation_days SET
			claimed_until = coalesce($2, claimed_until),
			finished_at = CASE WHEN $2::timestamptz IS NULL THEN $3::timestamptz END
		WHERE day = $1`, day.Start(), timeOrNil(next), now)
	if err != nil {
		return fmt.Errorf("release %s: %w", day, err)
	}
	return nil
}
