package settle

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"
)

// Calendar is the database as [Partitions] needs it.
type Calendar interface {
	// EnsurePartitions makes the monthly partitions for now and the months
	// ahead. Having them already is no error; any number of replicas may call
	// it at once.
	EnsurePartitions(ctx context.Context, now time.Time) error
}

// PartitionsOptions configure [Partitions]. A zero duration stands for its
// default.
type PartitionsOptions struct {
	Calendar   Calendar
	Interval   time.Duration // default 24 h
	Timeout    time.Duration // of one try; default 5 minutes, for rows may have to be moved
	Registerer prometheus.Registerer
	Logger     zerolog.Logger
}

// Partitions keeps the database's monthly partitions ahead of the calendar.
type Partitions struct {
	opts   PartitionsOptions
	retry  backoff
	last   prometheus.Gauge
	outage outage
}

// NewPartitions checks the options. It starts nothing.
func NewPartitions(o PartitionsOptions) (*Partitions, error) {
	if o.Calendar == nil {
		return nil, errors.New("partitions: they need a calendar")
	}
	if o.Interval < 0 || o.Timeout < 0 {
		return nil, errors.New("partitions: durations must not be negative")
	}
	setDefault(&o.Interval, 24*time.Hour)
	setDefault(&o.Timeout, 5*time.Minute)
	return &Partitions{
		opts:  o,
		retry: backoff{first: time.Second, most: 10 * time.Minute},
		last: promauto.With(o.Registerer).NewGauge(prometheus.GaugeOpts{
			Name: "bursar_partitions_last_success_timestamp_seconds",
			Help: "When the months ahead were last seen to have their partitions, Unix time.",
		}),
		outage: outage{log: o.Logger, what: "making partitions; rows of a month without one go to the default partition"},
	}, nil
}

// Run makes partitions at once and then at each interval until ctx ends; it
// returns nil. A failure is tried again sooner.
func (p *Partitions) Run(ctx context.Context) error {
	for failures := 0; ctx.Err() == nil; {
		wait := p.opts.Interval
		if err := p.ensure(ctx); err == nil {
			failures = 0
			p.outage.ended()
			p.last.SetToCurrentTime()
		} else if ctx.Err() == nil {
			p.outage.failed(err)
			wait = p.retry.delay(failures, rand.Float64())
			failures++
		}
		sleep(ctx, wait)
	}
	return nil
}

func (p *Partitions) ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	return p.opts.Calendar.EnsurePartitions(ctx, time.Now())
}
