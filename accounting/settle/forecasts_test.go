package settle

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakeForecastBook costs a Euro a day, from a first day on.
type fakeForecastBook struct {
	mu    sync.Mutex
	first accounting.Day
	saved []accounting.ForecastSnapshot
	asked int
	err   error
}

func (b *fakeForecastBook) Forecasted(_ context.Context, day accounting.Day) (bool, error) {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	for _, s := range b.saved {
		if s.Day == day {
			return true, nil
		}
	}
	return false, b.err
}

func (b *fakeForecastBook) CostHistories(_ context.Context, from, today accounting.Day, currency accounting.Currency, scopes []accounting.Scope) ([]accounting.Optional[accounting.CostHistory], error) {
	h := accounting.CostHistory{First: from, Days: []decimal.Decimal{}}
	for d := from; d.Before(today); d = d.Add(1) {
		cost := decimal.Decimal{}
		if !d.Before(b.first) && currency == accounting.EUR && scopes[0].IsZero() {
			cost = decimal.NewFromInt(1)
		}
		h.Days = append(h.Days, cost)
	}
	return []accounting.Optional[accounting.CostHistory]{accounting.Some(h)}, nil
}

func (b *fakeForecastBook) SaveForecast(_ context.Context, f accounting.ForecastSnapshot) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saved = append(b.saved, f)
	return true, nil
}

func (b *fakeForecastBook) Months(_ context.Context, m, _ accounting.Month) ([]accounting.MonthReport, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	return []accounting.MonthReport{{MonthFigures: accounting.MonthFigures{Month: m, Fixed: []accounting.FixedCost{{EUR: usd("123")}},
		OpenRouterUSD: usd("5.5"), USDToEUR: usd("0.92")}}}, nil
}

func (b *fakeForecastBook) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func TestAForecastIsKeptOnceADayAndTheMonthsCostIsShown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log, reg := new(logBook), prometheus.NewRegistry()
		today := accounting.DayOf(time.Now())
		b := &fakeForecastBook{first: today.Add(-5)}
		f, err := NewForecasts(ForecastsOptions{Book: b, Months: b, Registerer: reg, Logger: log.logger()})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		pass(time.Hour)
		assert.Empty(t, b.saved, "five days are too few")
		assert.Equal(t, 1, b.asked, "which is not asked again on the same day")
		assert.InDelta(t, 123, metric(t, reg, "bursar_month_cost_eur", "part", "fixed"), 1e-9)
		assert.InDelta(t, 5.06, metric(t, reg, "bursar_month_cost_eur", "part", "openrouter"), 1e-9)
		assert.InDelta(t, 128.06, metric(t, reg, "bursar_month_cost_eur", "part", "total"), 1e-9)

		pass(4 * 24 * time.Hour)
		require.Len(t, b.saved, 3)
		assert.Equal(t, today.Add(2), b.saved[0].Day)
		assert.Equal(t, "1", b.saved[0].DayExpected.String())
		assert.Equal(t, 7, b.saved[0].History)

		b.fail(errors.New("connection refused"))
		pass(24 * time.Hour)
		families, err := reg.Gather()
		require.NoError(t, err)
		for _, family := range families {
			assert.NotEqual(t, "bursar_month_cost_eur", family.GetName(), "unknown is not zero")
		}
		assert.Equal(t, 1, log.lines("trouble with reading what the month costs"))
		b.fail(nil)
		pass(5 * time.Minute)
		assert.Len(t, b.saved, 4, "made later on the same day")
		cancel()
		assert.NoError(t, <-done)
	})
}

func TestOptionsOfForecastsAreChecked(t *testing.T) {
	b := &fakeForecastBook{}
	for _, o := range []ForecastsOptions{{}, {Book: b}, {Months: b}, {Book: b, Months: b, Interval: -1}} {
		_, err := NewForecasts(o)
		assert.Error(t, err)
	}
}
