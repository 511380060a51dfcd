package settle

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// rateFeed is a feed that can be away.
type rateFeed struct {
	mu  sync.Mutex
	err error
	at  []time.Time // of the readings
}

func (f *rateFeed) ReadRates(_ context.Context, now time.Time) ([]accounting.ExchangeRate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = append(f.at, now)
	return []accounting.ExchangeRate{{Day: accounting.DayOf(now), Source: accounting.RateOfECB}}, f.err
}

// read forgets the readings and returns their times.
func (f *rateFeed) read(err error) (at []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.at {
		at = append(at, t.UTC().Format("02 15:04"))
	}
	f.at, f.err = nil, err
	return at
}

// rateStore is the database of some replicas, in memory.
type rateStore struct {
	mu       sync.Mutex
	until    time.Time
	failures int
	saved    int
	err      error
}

func (s *rateStore) ClaimRates(_ context.Context, _ string, now, until time.Time) (int, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || now.Before(s.until) {
		return 0, false, s.err
	}
	s.until = until
	return s.failures, true, nil
}

func (s *rateStore) SaveRates(_ context.Context, _ string, rates []accounting.ExchangeRate, _, next time.Time) (accounting.RateChange, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until, s.failures = next, 0
	s.saved += len(rates)
	return accounting.RateChange{Changed: len(rates)}, nil
}

// count is how many rates were saved.
func (s *rateStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saved
}

func (s *rateStore) PostponeRates(_ context.Context, _ string, next time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = next
	s.failures++
	return nil
}

func TestTheFeedIsReadOnceADayOverAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed, store := &rateFeed{}, &rateStore{}
		ctx, cancel := context.WithCancel(t.Context())
		var registries []*prometheus.Registry
		for range 3 {
			registry := prometheus.NewRegistry()
			r, err := NewRates(RatesOptions{Feed: feed, Store: store, Registerer: registry, Logger: zerolog.Nop()})
			require.NoError(t, err)
			registries = append(registries, registry)
			go func() { _ = r.Run(ctx) }()
		}
		synctest.Wait()
		// The fake clock begins at midnight UTC.
		require.Equal(t, []string{"01 00:00"}, feed.read(nil), "at once, by one of them")
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		require.Equal(t, []string{"01 15:30", "02 15:30"}, feed.read(errors.New("away")))
		require.Equal(t, 3, store.count())

		time.Sleep(24 * time.Hour)
		synctest.Wait()
		tries := feed.read(nil)
		require.Greater(t, len(tries), 3, "it is tried again")
		require.Less(t, len(tries), 16, "and ever more seldom")
		require.Equal(t, 3, store.count())
		var failures float64
		for _, registry := range registries {
			failures += metric(t, registry, "bursar_exchange_rates_errors_total")
		}
		require.InDelta(t, len(tries), failures, 0)

		time.Sleep(24 * time.Hour)
		synctest.Wait()
		require.NotEmpty(t, feed.read(nil))
		require.GreaterOrEqual(t, store.count(), 4)
		cancel()
		synctest.Wait()
	})
}

func TestRatesWaitForTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed, store := &rateFeed{}, &rateStore{err: errors.New("away")}
		registry := prometheus.NewRegistry()
		r, err := NewRates(RatesOptions{Feed: feed, Store: store, Registerer: registry, Logger: zerolog.Nop()})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = r.Run(ctx) }()
		synctest.Wait()
		require.Empty(t, feed.read(nil), "nobody is asked who cannot be remembered")
		require.InDelta(t, 1, metric(t, registry, "bursar_exchange_rates_errors_total"), 0)
		store.mu.Lock()
		store.err = nil
		store.mu.Unlock()
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		require.Len(t, feed.read(nil), 1)
		cancel()
		synctest.Wait()
	})
}

func TestWithoutAFeedRatesDoNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := NewRates(RatesOptions{Store: &rateStore{err: errors.New("nobody may ask")}, Logger: zerolog.Nop()})
	require.NoError(t, err)
	require.NoError(t, r.Run(ctx))
	_, err = NewRates(RatesOptions{})
	require.Error(t, err)
	_, err = NewRates(RatesOptions{Store: &rateStore{}, Interval: -1})
	require.Error(t, err)
}
