package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// rateRefresh is how soon budgets count at a rate that was set just now.
const rateRefresh = 10 * time.Second

// dailyRates is where the rate of a day is found.
type dailyRates interface {
	RateOn(ctx context.Context, day accounting.Day) (decimal.Decimal, error)
}

// budgetRate is EUR for one USD just now, at which calls are charged to budgets
// in EUR: that of the present day, as reports have it, so that a limit in EUR is
// one of the EUR that reports show. Each call keeps the rate it was charged at.
// Until the database has told one, it is the configured one. present may be
// called by anybody; what is latest is written by refresh alone.
type budgetRate struct {
	configured decimal.Decimal
	latest     atomic.Pointer[decimal.Decimal]
}

func (r *budgetRate) present() decimal.Decimal {
	if latest := r.latest.Load(); latest != nil {
		return *latest
	}
	return r.configured
}

// refresh reads the rate of the day of now.
func (r *budgetRate) refresh(ctx context.Context, rates dailyRates, now time.Time) error {
	rate, err := rates.RateOn(ctx, accounting.DayOf(now))
	if err == nil {
		r.latest.Store(&rate)
	}
	return err
}

// follow refreshes the rate from time to time. While the database is away the
// last one known stays in use.
func (r *budgetRate) follow(ctx context.Context, rates dailyRates, log zerolog.Logger) error {
	ticker := time.NewTicker(rateRefresh)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			if err := r.refresh(ctx, rates, now); err != nil && ctx.Err() == nil {
				log.Debug().Err(err).Msg("the rate for budgets in EUR could not be read; the last one known stays in use")
			}
		}
	}
}
