package settle

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// priceLists is an OpenRouter whose prices can be changed, and that can be
// away or slow.
type priceLists struct {
	mu     sync.Mutex
	prices map[string]string // of a prompt token, by slug
	err    error
	slow   time.Duration
	asked  map[string]int // questions by slug; of the list of models: ""
	keys   map[string]bool
	at     map[string]time.Time // of the latest question
}

func (l *priceLists) ask(ctx context.Context, key, slug string) error {
	l.mu.Lock()
	l.asked[slug]++
	l.keys[key] = true
	l.at[slug] = time.Now()
	slow, err := l.slow, l.err
	l.mu.Unlock()
	if slow > 0 && !sleep(ctx, slow) {
		return ctx.Err()
	}
	return err
}

func (l *priceLists) count(slug string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[slug]
}

func (l *priceLists) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func offerAt(literal string) accounting.Endpoint {
	e := accounting.Endpoint{Provider: "P", Tag: "p", ContextLength: accounting.Some(int64(1000))}
	e.Prices.Rates[accounting.PricePrompt] = accounting.ParseCost(literal)
	e.Prices.Rates[accounting.PriceCompletion] = accounting.ParseCost(literal)
	return e
}

func (l *priceLists) Models(ctx context.Context, key string) ([]accounting.Model, error) {
	if err := l.ask(ctx, key, ""); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	models := []accounting.Model{{Slug: "~a/latest", AliasOf: "a/m"}}
	for slug, price := range l.prices {
		models = append(models, accounting.Model{Slug: slug, CanonicalSlug: slug + "-2026", Top: offerAt(price)})
	}
	return models, nil
}

func (l *priceLists) Endpoints(ctx context.Context, key, slug string) (accounting.Model, error) {
	if err := l.ask(ctx, key, slug); err != nil {
		return accounting.Model{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	price, ok := l.prices[slug]
	if !ok {
		return accounting.Model{}, &accounting.LookupError{Status: http.StatusNotFound}
	}
	if price == "" {
		return accounting.Model{Slug: slug}, nil
	}
	return accounting.Model{Slug: slug, Endpoints: []accounting.Endpoint{offerAt(price)}}, nil
}

// priceBook keeps the latest of each model in memory.
type priceBook struct {
	mu     sync.Mutex
	models map[string]accounting.Model
	saves  int
	err    error
}

func (b *priceBook) LoadPrices(context.Context) ([]accounting.Model, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var models []accounting.Model
	for _, m := range b.models {
		models = append(models, m)
	}
	return models, b.err
}

func (b *priceBook) SavePrices(_ context.Context, _ time.Time, models []accounting.Model) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	b.saves++
	for _, m := range models {
		if m.FetchedAt.IsZero() {
			have := b.models[m.Slug]
			m.Endpoints, m.FetchedAt = have.Endpoints, have.FetchedAt
		}
		b.models[m.Slug] = m
	}
	return nil
}

func (b *priceBook) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

type pricing struct {
	*Prices
	lists *priceLists
	book  *priceBook
	reg   *prometheus.Registry
}

func newPricing(t *testing.T, change func(*PricesOptions)) *pricing {
	t.Helper()
	s := &pricing{
		lists: &priceLists{prices: map[string]string{"a/m": "1", "a/n": "2", "a/m:free": "0"}, asked: map[string]int{}, keys: map[string]bool{}, at: map[string]time.Time{}},
		book:  &priceBook{models: map[string]accounting.Model{}},
		reg:   prometheus.NewRegistry(),
	}
	o := PricesOptions{Lists: s.lists, Book: s.book, Registerer: s.reg, Logger: zerolog.Nop()}
	if change != nil {
		change(&o)
	}
	var err error
	s.Prices, err = NewPrices(o)
	require.NoError(t, err)
	return s
}

func (s *pricing) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() { cancel(); <-done }
}

// prompt is the price of a prompt token of a model's only endpoint.
func (s *pricing) prompt(name string) string {
	m := s.Catalog().Model(name)
	if m == nil || len(m.Endpoints) == 0 {
		return "none"
	}
	return m.Endpoints[0].Prices.Rates[accounting.PricePrompt].Value.String()
}

func TestThePricesOfWantedModelsAreReadAtOnceAndEveryHour(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newPricing(t, nil)
		defer s.start()()
		pass(time.Second)
		assert.Equal(t, 4, s.Catalog().Len())
		assert.Equal(t, "none", s.prompt("a/m"), "nobody wants it")
		for range 3 {
			s.Want("~a/latest")
		}
		pass(time.Second)
		assert.Equal(t, "1", s.prompt("a/m"))
		assert.Equal(t, "1", s.prompt("~a/latest"))
		assert.Equal(t, 1, s.lists.count("a/m"), "asked for by three")
		s.lists.set(func() { s.lists.prices["a/m"] = "1.5" })
		pass(2*time.Hour + 30*time.Minute)
		assert.Equal(t, "1.5", s.prompt("a/m"))
		assert.Equal(t, 3, s.lists.count("a/m"))
		assert.Equal(t, 3, s.lists.count(""))
		assert.Equal(t, map[string]bool{"": true}, s.lists.keys, "the list is public")
		assert.Equal(t, "1.5", s.book.models["a/m"].Endpoints[0].Prices.Rates[accounting.PricePrompt].Value.String())
		assert.Less(t, metric(t, s.reg, "bursar_prices_age_seconds"), 4000.0)
		s.lists.set(func() { delete(s.lists.prices, "a/m") })
		pass(90 * time.Minute)
		assert.Equal(t, "none", s.prompt("a/m"), "withdrawn")
		assert.Empty(t, s.book.models["a/m"].Endpoints)
	})
}

func TestWhoWaitsForPricesGetsThemOrTheReason(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newPricing(t, nil)
		s.lists.slow = time.Second
		s.lists.prices["a/nobody"] = ""
		defer s.start()()
		var waiters sync.WaitGroup
		for _, name := range []string{"a/n", "a/n:floor", "a/n-2026", "a/m:free"} {
			for range 3 {
				waiters.Go(func() { assert.NoError(t, s.Wait(t.Context(), name), name) })
			}
		}
		waiters.Wait()
		for _, name := range []string{"a/n", "a/n:floor", "a/n:nitro", "a/n-2026", "a/m:free", "~a/latest", "a/n:thinking", "a/unknown"} {
			facts := accounting.RequestFacts{Model: name}
			_, err := accounting.Bound(&facts, s.Catalog(), "")
			var unbounded *accounting.UnboundedError
			if errors.As(err, &unbounded) && unbounded.UnknownModel != "" && s.Wait(t.Context(), unbounded.UnknownModel) == nil {
				_, err = accounting.Bound(&facts, s.Catalog(), "")
				assert.NoError(t, err, "what was waited for is there")
			}
		}
		assert.Equal(t, "2", s.prompt("a/n"))
		assert.Equal(t, "0", s.prompt("a/m:free"))
		assert.NoError(t, s.Wait(t.Context(), "a/n"))
		assert.LessOrEqual(t, s.lists.count("a/n"), 3, "once for each name")

		for _, name := range []string{"a/unknown", "a/nobody"} {
			assert.Error(t, s.Wait(t.Context(), name))
			asked := s.lists.count(name)
			assert.Error(t, s.Wait(t.Context(), name))
			assert.Equal(t, asked, s.lists.count(name), "its absence is remembered")
		}
		pass(2 * unknownFor)
		assert.GreaterOrEqual(t, s.lists.count("a/unknown"), 2, "not for ever")
		assert.Nil(t, s.Catalog().Listed("a/unknown"))
		for _, name := range []string{"", "a", "a/", "/a", "a/../../keys", "a/b/c", "a/b?c", "a b/c", "@preset/x"} {
			assert.ErrorContains(t, s.Wait(t.Context(), name), "cannot be looked up", name)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		assert.ErrorIs(t, s.Wait(ctx, "a/slow"), context.DeadlineExceeded)
	})
}

func TestThoseWhoWaitAreToldWhenTheLoopEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newPricing(t, nil)
		s.lists.slow = time.Second
		stop := s.start()
		ended := make(chan error, 1)
		go func() { ended <- s.Wait(context.Background(), "a/m") }()
		pass(time.Millisecond)
		stop()
		assert.ErrorIs(t, <-ended, errPricesEnded)
	})
}

func TestThePricesLastKnownServeWhileOpenRouterIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newPricing(t, nil)
		s.lists.err = errors.New("no route")
		yesterday := time.Now().Add(-24 * time.Hour)
		s.book.models["a/m"] = accounting.Model{Slug: "a/m", Top: offerAt("1"), Endpoints: []accounting.Endpoint{offerAt("0.9")}, FetchedAt: yesterday}
		defer s.start()()
		pass(10 * time.Second)
		assert.Equal(t, "0.9", s.prompt("a/m"))
		assert.NoError(t, s.Wait(t.Context(), "a/m"))
		assert.Error(t, s.Wait(t.Context(), "a/n"))
		assert.GreaterOrEqual(t, metric(t, s.reg, "bursar_prices_age_seconds"), 86400.0)
		pass(3 * time.Hour)
		asked := s.lists.count("a/m")
		assert.Greater(t, asked, 10, "it is tried again")
		assert.Less(t, asked, 60, "ever more rarely")
		assert.Equal(t, "0.9", s.prompt("a/m"))
		assert.Positive(t, metric(t, s.reg, "bursar_prices_refresh_errors_total", "list", "endpoints"))
		assert.Positive(t, metric(t, s.reg, "bursar_prices_refresh_errors_total", "list", "models"))
		s.lists.set(func() { s.lists.err = nil })
		pass(time.Hour)
		assert.Equal(t, "1", s.prompt("a/m"))
		assert.Equal(t, "2", s.prompt("a/n"))
	})
}

func TestPricesThatWereNeverReadAreOfNoAge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newPricing(t, nil)
		s.lists.err = errors.New("no route")
		defer s.start()()
		pass(3 * time.Second)
		assert.True(t, math.IsInf(metric(t, s.reg, "bursar_prices_age_seconds"), 1), "not the time since the start")
		s.lists.mu.Lock()
		s.lists.err = nil
		s.lists.mu.Unlock()
		pass(time.Hour)
		assert.Less(t, metric(t, s.reg, "bursar_prices_age_seconds"), 4000.0)
	})
}

func TestWhoWaitsFromTheStartIsServedFromWhatWasSaved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newPricing(t, nil)
		s.lists.slow = time.Hour
		s.book.models["a/m"] = accounting.Model{Slug: "a/m", Endpoints: []accounting.Endpoint{offerAt("0.9")}, FetchedAt: time.Now()}
		served := make(chan error, 2)
		for _, name := range []string{"a/m", "a/m:floor"} {
			go func() { served <- s.Wait(t.Context(), name) }()
		}
		pass(time.Second)
		defer s.start()()
		pass(time.Second)
		require.Len(t, served, 2)
		assert.NoError(t, <-served)
		assert.NoError(t, <-served)
	})
}

func TestPricesAreReadWhilePostgresIsAwayAndKeptAfterwards(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newPricing(t, nil)
		s.book.models["a/old"] = accounting.Model{Slug: "a/old", Endpoints: []accounting.Endpoint{offerAt("7")}, FetchedAt: time.Now()}
		s.book.models["a/m"] = accounting.Model{Slug: "a/m", Endpoints: []accounting.Endpoint{offerAt("7")}, FetchedAt: time.Now()}
		s.book.fail(errors.New("away"))
		defer s.start()()
		assert.NoError(t, s.Wait(t.Context(), "a/m"))
		assert.Zero(t, s.book.saves)
		assert.Positive(t, metric(t, s.reg, "bursar_prices_refresh_errors_total", "list", "book"))
		s.book.fail(nil)
		pass(30 * time.Minute)
		assert.Equal(t, "7", s.prompt("a/old"), "loaded as soon as it could be")
		assert.Equal(t, "1", s.prompt("a/m"), "what was read since is newer")
		pass(time.Hour)
		assert.Equal(t, "1", s.book.models["a/m"].Endpoints[0].Prices.Rates[accounting.PricePrompt].Value.String())
	})
}

func TestInventedNamesDoNotCrowdOutModelsInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newPricing(t, func(o *PricesOptions) { o.MaxModels = 3 })
		defer s.start()()
		assert.NoError(t, s.Wait(t.Context(), "a/m"))
		assert.NoError(t, s.Wait(t.Context(), "a/n"))
		for i := range 50 {
			assert.Error(t, s.Wait(t.Context(), fmt.Sprintf("invented/%d", i)))
		}
		s.lists.set(func() { s.lists.err = &accounting.LookupError{Status: http.StatusServiceUnavailable} })
		pass(90 * time.Minute)
		s.Want("invented/last")
		pass(time.Minute)
		s.lists.set(func() { s.lists.err = nil })
		pass(90 * time.Minute)
		assert.Len(t, s.wanted, 3)
		assert.Contains(t, s.wanted, "a/m")
		assert.Contains(t, s.wanted, "a/n")
	})
}

func TestOpenRouterIsNotAskedBeforeTheTimeItNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		held := newTestKeyring(t, KeyringOptions{})
		held.Hold("sk-or-client")
		s := newPricing(t, func(o *PricesOptions) { o.Keys = held })
		s.lists.err = &accounting.LookupError{Status: http.StatusTooManyRequests, RetryAfter: 20 * time.Minute}
		defer s.start()()
		pass(19 * time.Minute)
		assert.Equal(t, 1, s.lists.count(""))
		pass(2 * time.Minute)
		assert.Equal(t, 2, s.lists.count(""))
		assert.Equal(t, map[string]bool{"sk-or-client": true}, s.lists.keys)
	})
}

func TestPricesThatCannotWorkAreRefused(t *testing.T) {
	_, err := NewPrices(PricesOptions{})
	assert.Error(t, err)
	_, err = NewPrices(PricesOptions{Lists: &priceLists{}, Book: &priceBook{}, Interval: -1})
	assert.Error(t, err)
}
