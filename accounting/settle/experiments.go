package settle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"

	"bursar/accounting"
)

// ExperimentBook is the database as [Experiments] needs it.
type ExperimentBook interface {
	// ClaimExperiments claims the running experiments that are due, for one
	// replica alone until until; they are not due before.
	ClaimExperiments(ctx context.Context, now, until time.Time) ([]accounting.Experiment, error)
	// ExperimentSums are what the leads of each arm have cost and brought.
	ExperimentSums(ctx context.Context, e *accounting.Experiment) ([]accounting.ArmSums, error)
	// ConcludeExperiment ends one by its own rules. One that has ended stays as
	// it is.
	ConcludeExperiment(ctx context.Context, id string, end accounting.ExperimentEnd) error
}

// ExperimentsOptions configure [Experiments]. A zero duration stands for its
// default.
type ExperimentsOptions struct {
	Book     ExperimentBook
	Interval time.Duration // between two looks at one experiment; default 1 min
	Timeout  time.Duration // of one look at all; default 30 s

	Registerer prometheus.Registerer
	Logger     zerolog.Logger
}

// Experiments ends experiments by their own rules: on harm, on a clear verdict,
// after their time or with enough leads. Each is judged by one replica at a
// time.
type Experiments struct {
	opts   ExperimentsOptions
	ended  *prometheus.CounterVec // by reason
	outage outage
}

// NewExperiments checks the options. It starts nothing.
func NewExperiments(o ExperimentsOptions) (*Experiments, error) {
	if o.Book == nil {
		return nil, errors.New("experiments: they need a book")
	}
	if o.Interval < 0 || o.Timeout < 0 {
		return nil, errors.New("experiments: durations must not be negative")
	}
	setDefault(&o.Interval, time.Minute)
	setDefault(&o.Timeout, 30*time.Second)
	return &Experiments{
		opts: o,
		ended: promauto.With(o.Registerer).NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_experiments_ended_total",
			Help: "Experiments that this replica has ended by their own rules, by reason: harm, verdict, max_days, max_leads.",
		}, []string{"reason"}),
		outage: outage{log: o.Logger, what: "judging experiments; they run on"},
	}, nil
}

// Run judges experiments whenever they are due, until ctx ends; it returns nil.
func (x *Experiments) Run(ctx context.Context) error {
	every(ctx, x.opts.Interval, x.opts.Timeout, &x.outage, x.look)
	return nil
}

func (x *Experiments) look(ctx context.Context, now time.Time) error {
	// A little less than the interval, or this replica's next look would find
	// them all not due by a hair.
	due, err := x.opts.Book.ClaimExperiments(ctx, now, now.Add(x.opts.Interval*9/10))
	if err != nil {
		return err
	}
	var errs []error
	for i := range due {
		errs = append(errs, x.judge(ctx, &due[i], now))
	}
	return errors.Join(errs...)
}

func (x *Experiments) judge(ctx context.Context, e *accounting.Experiment, now time.Time) error {
	sums, err := x.opts.Book.ExperimentSums(ctx, e)
	if err != nil {
		return fmt.Errorf("judge experiment %s: %w", e.ID, err)
	}
	report := e.Report(sums)
	end, ok := report.Due(now)
	if !ok {
		return nil
	}
	if err := x.opts.Book.ConcludeExperiment(ctx, e.ID, end); err != nil {
		return fmt.Errorf("judge experiment %s: %w", e.ID, err)
	}
	x.ended.WithLabelValues(string(end.Reason)).Inc()
	x.opts.Logger.Info().Str("experiment", e.ID).Str("state", string(end.State)).Str("reason", string(end.Reason)).Msg("an experiment has ended")
	return nil
}
