package settle

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"bursar/accounting"
)

// SpikeBook is the database as [SpikeBrake] needs it.
type SpikeBook interface {
	// BrakeSpikes judges the hour that holds at: it raises an alert for each
	// spike, once, and holds campaigns if the rule says so. Any number of
	// replicas may call it at once; one of them looks.
	BrakeSpikes(ctx context.Context, rule accounting.SpikeRule, at time.Time) ([]accounting.Spike, error)
}

// SpikeBrakeOptions configure a [SpikeBrake]. A zero duration stands for its
// default.
type SpikeBrakeOptions struct {
	Book     SpikeBook
	Rule     accounting.SpikeRule
	Interval time.Duration // default 1 min
	Timeout  time.Duration // of one look; default 1 min
	Logger   zerolog.Logger
}

// SpikeBrake watches for campaigns that suddenly spend far more than they use
// to.
type SpikeBrake struct {
	opts   SpikeBrakeOptions
	outage outage
}

// NewSpikeBrake checks the options. It starts nothing.
func NewSpikeBrake(o SpikeBrakeOptions) (*SpikeBrake, error) {
	if o.Book == nil {
		return nil, errors.New("spike brake: it needs a book")
	}
	if o.Interval < 0 || o.Timeout < 0 || o.Rule.MinHours < 0 || o.Rule.MinUSD.IsNegative() {
		return nil, errors.New("spike brake: durations, hours and amounts must not be negative")
	}
	setDefault(&o.Interval, time.Minute)
	setDefault(&o.Timeout, time.Minute)
	return &SpikeBrake{opts: o, outage: outage{log: o.Logger, what: "looking for spikes of spending"}}, nil
}

// Run looks at once and then at each interval until ctx ends; it returns nil.
func (b *SpikeBrake) Run(ctx context.Context) error {
	every(ctx, b.opts.Interval, b.opts.Timeout, &b.outage, func(ctx context.Context, now time.Time) error {
		// By one interval in the past, so that the last minutes of an hour are
		// judged too, when they are over.
		_, err := b.opts.Book.BrakeSpikes(ctx, b.opts.Rule, now.Add(-b.opts.Interval))
		return err
	})
	return nil
}
