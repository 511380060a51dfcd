package settle

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"

	"bursar/accounting"
)

// RateFeed is where exchange rates are read, e.g. [ECB].
type RateFeed interface {
	// ReadRates returns all that the feed holds at now, checked. It must return
	// when ctx ends.
	ReadRates(ctx context.Context, now time.Time) ([]accounting.ExchangeRate, error)
}

// RateStore is the database as [Rates] needs it.
type RateStore interface {
	// ClaimRates claims a feed from now until until, for one replica alone, and
	// returns how many readings in a row have come to nothing. A feed that is
	// not due is not claimed.
	ClaimRates(ctx context.Context, feed string, now, until time.Time) (failures int, claimed bool, err error)
	// SaveRates stores what was read at now, and that the feed is due again at
	// next, in one transaction. Saving the same again changes nothing.
	SaveRates(ctx context.Context, feed string, rates []accounting.ExchangeRate, now, next time.Time) (accounting.RateChange, error)
	// PostponeRates notes that a reading came to nothing.
	PostponeRates(ctx context.Context, feed string, next time.Time) error
}

// RatesOptions configure [Rates]. A zero duration stands for its default.
type RatesOptions struct {
	Feed  RateFeed // nil: rates are set by hand only
	Store RateStore

	Interval time.Duration // between two looks whether the feed is due; default 5 min
	Timeout  time.Duration // of one reading; default 30 s

	Registerer prometheus.Registerer
	Logger     zerolog.Logger
}

// Rates reads the feed of exchange rates once a day over all replicas, soon
// after it is published. While it cannot be read, the latest rate holds on.
type Rates struct {
	opts   RatesOptions
	errors prometheus.Counter
	last   prometheus.Gauge
	outage outage
	book   outage
}

var ratesRetry = backoff{first: 10 * time.Minute, most: 3 * time.Hour}

// ratesDue is when the day's rates are asked for, after midnight UTC. The ECB
// publishes them at about 16:00 in Frankfurt, which is 14:00 or 15:00 UTC.
const ratesDue = 15*time.Hour + 30*time.Minute

// ratesClaim is for how long a reading is one replica's.
const ratesClaim = 10 * time.Minute

// NewRates checks the options. It starts nothing.
func NewRates(o RatesOptions) (*Rates, error) {
	if o.Store == nil {
		return nil, errors.New("exchange rates: they need a store")
	}
	if o.Interval < 0 || o.Timeout < 0 {
		return nil, errors.New("exchange rates: durations must not be negative")
	}
	setDefault(&o.Interval, 5*time.Minute)
	setDefault(&o.Timeout, 30*time.Second)
	factory := promauto.With(o.Registerer)
	return &Rates{
		opts: o,
		errors: factory.NewCounter(prometheus.CounterOpts{
			Name: "bursar_exchange_rates_errors_total",
			Help: "Readings of the feed of exchange rates that came to nothing. The latest rate holds on.",
		}),
		last: factory.NewGauge(prometheus.GaugeOpts{
			Name: "bursar_exchange_rates_last_success_timestamp_seconds",
			Help: "When this replica last read the feed of exchange rates, Unix time. 0: not since its start.",
		}),
		outage: outage{log: o.Logger, what: "reading the feed of exchange rates (BURSAR_RATES_ECB_URL); the latest rate holds on"},
		book:   outage{log: o.Logger, what: "keeping exchange rates in Postgres; the latest rate holds on"},
	}, nil
}

// Run reads the feed whenever it is due, until ctx ends; it returns nil.
func (r *Rates) Run(ctx context.Context) error {
	if r.opts.Feed == nil {
		<-ctx.Done()
		return nil
	}
	for ctx.Err() == nil {
		err := r.look(ctx, time.Now())
		switch {
		case err == nil:
			r.book.ended()
		case ctx.Err() == nil:
			r.errors.Inc()
			r.book.failed(err)
		}
		sleep(ctx, r.opts.Interval)
	}
	return nil
}

// look reads the feed if it is due and nobody else does.
func (r *Rates) look(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout+saveTimeout)
	defer cancel()
	failures, claimed, err := r.opts.Store.ClaimRates(ctx, accounting.RateOfECB, now, now.Add(ratesClaim))
	if err != nil || !claimed {
		return err
	}
	reading, cancelReading := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancelReading()
	rates, err := r.opts.Feed.ReadRates(reading, now)
	if err != nil {
		r.errors.Inc()
		r.outage.failed(err)
		return r.opts.Store.PostponeRates(ctx, accounting.RateOfECB, now.Add(ratesRetry.delay(failures, rand.Float64())))
	}
	r.outage.ended()
	change, err := r.opts.Store.SaveRates(ctx, accounting.RateOfECB, rates, now, nextRates(now))
	if err != nil {
		return err
	}
	r.last.Set(float64(now.Unix()))
	if change.Changed > 0 {
		r.opts.Logger.Info().Int("rates", change.Changed).Int("months", len(change.Months)).
			Msg("new exchange rates; open months are converted anew")
	}
	return nil
}

// nextRates is when the rates after those read at now are published.
func nextRates(now time.Time) time.Time {
	next := accounting.DayOf(now).Start().Add(ratesDue)
	if !now.Before(next) {
		next = next.AddDate(0, 0, 1)
	}
	return next
}
