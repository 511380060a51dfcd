package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// SaveSamples keeps samples of the moment slot. Of each figure the first one
// stays, whichever replica brought it.
func (s *Store) SaveSamples(ctx context.Context, slot time.Time, samples []accounting.Sample) error {
	n := len(samples)
	sources, fingerprints, taken := make([]string, n), make([]string, n), make([]time.Time, n)
	usage := make([]decimal.Decimal, n)
	daily, monthly, credits := make([]*decimal.Decimal, n), make([]*decimal.Decimal, n), make([]*decimal.Decimal, n)
	for i, sample := range samples {
		sources[i], fingerprints[i], taken[i] = string(sample.Source), sample.KeyFingerprint, sample.TakenAt
		usage[i], daily[i] = sample.Usage, sample.UsageDaily.Pointer()
		monthly[i], credits[i] = sample.UsageMonthly.Pointer(), sample.TotalCredits.Pointer()
	}
	_, err := s.pool.Exec(ctx, `-- name: samples_insert
		INSERT INTO account_samples (slot, source, key_fingerprint, taken_at, usage_usd, usage_daily_usd, usage_monthly_usd, total_credits_usd)
		SELECT $1::timestamptz, d.*
		FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::numeric[], $6::numeric[], $7::numeric[], $8::numeric[]) AS d
		ON CONFLICT (slot, source, key_fingerprint) DO NOTHING`,
		slot, sources, fingerprints, taken, usage, daily, monthly, credits)
	if err != nil {
		return fmt.Errorf("insert %d samples: %w", n, err)
	}
	return nil
}

// SampledAt lists the figures that have a sample of the moment slot.
func (s *Store) SampledAt(ctx context.Context, slot time.Time) ([]accounting.Sampled, error) {
	rows, err := s.pool.Query(ctx, `-- name: samples_of_slot
		SELECT source, key_fingerprint FROM account_samples WHERE slot = $1`, slot)
	if err == nil {
		var sampled []accounting.Sampled
		if sampled, err = pgx.CollectRows(rows, pgx.RowToStructByPos[accounting.Sampled]); err == nil {
			return sampled, nil
		}
	}
	return nil, fmt.Errorf("list the samples of %s: %w", slot.Format(time.RFC3339), err)
}

// Samples lists the samples taken from from to to, both included, in the order
// of time.
func (s *Store) Samples(ctx context.Context, from, to time.Time) ([]accounting.Sample, error) {
	rows, err := s.pool.Query(ctx, `-- name: samples
		SELECT source, key_fingerprint, taken_at, usage_usd, usage_daily_usd, usage_monthly_usd, total_credits_usd
		FROM account_samples WHERE taken_at BETWEEN $1 AND $2 ORDER BY taken_at, source, key_fingerprint`, from, to)
	if err == nil {
		var samples []accounting.Sample
		if samples, err = pgx.CollectRows(rows, scanSample); err == nil {
			return samples, nil
		}
	}
	return nil, fmt.Errorf("read samples: %w", err)
}

func scanSample(cr pgx.CollectableRow) (accounting.Sample, error) {
	var sample accounting.Sample
	var daily, monthly, credits *decimal.Decimal
	err := cr.Scan((*string)(&sample.Source), &sample.KeyFingerprint, &sample.TakenAt, &sample.Usage, &daily, &monthly, &credits)
	sample.TakenAt = sample.TakenAt.UTC()
	sample.UsageDaily = accounting.FromPointer(daily)
	sample.UsageMonthly = accounting.FromPointer(monthly)
	sample.TotalCredits = accounting.FromPointer(credits)
	return sample, err
}

// PruneSamples deletes the samples taken before a time.
func (s *Store) PruneSamples(ctx context.Context, before time.Time) error {
	_, err := s.pool.Exec(ctx, `-- name: samples_prune
		DELETE FROM account_samples WHERE taken_at < $1`, before)
	if err != nil {
		return fmt.Errorf("delete samples before %s: %w", before.Format(time.RFC3339), err)
	}
	return nil
}
