package settle

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// EstimateBook is the database as [Estimates] needs it.
type EstimateBook interface {
	// Unestimated lists calls from before a time that have neither a cost nor
	// an estimate, in the order of their ids, from the one that follows after.
	Unestimated(ctx context.Context, before time.Time, after accounting.RequestID, limit int) ([]accounting.OpenCall, error)
	// MeanCosts is what a call of each model has cost on average since a time,
	// USD; models without such calls are left out.
	MeanCosts(ctx context.Context, since time.Time, models []string) (map[string]decimal.Decimal, error)
	// SetEstimates gives calls that still have neither an estimate, and
	// returns how many. Any number of replicas may set the same.
	SetEstimates(ctx context.Context, estimates []accounting.CallEstimate) (int, error)
}

// PriceList is what OpenRouter charges, as far as it is known now.
type PriceList interface {
	Catalog() *accounting.Catalog
}

const (
	// meanSpan is how far back the mean cost of a model looks.
	meanSpan = 7 * 24 * time.Hour
	// estimateBatch is how many calls are estimated in one transaction.
	estimateBatch = 500
)

// EstimatesOptions configure [Estimates]. A zero duration stands for its
// default.
type EstimatesOptions struct {
	Book       EstimateBook
	Prices     PriceList
	After      time.Duration // since a call's start; default 1 h
	Interval   time.Duration // between two looks; default 5 min, or After if that is less
	Timeout    time.Duration // of one look; default 5 min
	Registerer prometheus.Registerer
	Logger     zerolog.Logger
}

// Estimates gives calls whose cost stays unknown what they have probably cost,
// so that budgets do not take them for free. An estimate is never part of a
// cost.
type Estimates struct {
	opts   EstimatesOptions
	made   *prometheus.CounterVec // by basis
	outage outage
}

// NewEstimates checks the options. It starts nothing.
func NewEstimates(o EstimatesOptions) (*Estimates, error) {
	if o.Book == nil || o.Prices == nil {
		return nil, errors.New("estimates: they need a book and prices")
	}
	if o.After < 0 || o.Interval < 0 || o.Timeout < 0 {
		return nil, errors.New("estimates: durations must not be negative")
	}
	setDefault(&o.After, time.Hour)
	setDefault(&o.Interval, min(5*time.Minute, o.After))
	setDefault(&o.Timeout, 5*time.Minute)
	return &Estimates{
		opts: o,
		made: promauto.With(o.Registerer).NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_estimates_total",
			Help: "Estimates of calls whose cost was not known in time, by what they rest on: prices (and the call's tokens), mean (of the model's calls), bound (the most it can cost).",
		}, []string{"basis"}),
		outage: outage{log: o.Logger, what: "estimating calls whose cost is not known"},
	}, nil
}

// Run looks at once and then at each interval until ctx ends; it returns nil.
func (e *Estimates) Run(ctx context.Context) error {
	every(ctx, e.opts.Interval, e.opts.Timeout, &e.outage, e.estimateAll)
	return nil
}

// estimateAll goes through all calls that have no estimate. Those of which
// nothing is known come again the next time.
func (e *Estimates) estimateAll(ctx context.Context, now time.Time) error {
	var last accounting.RequestID
	for {
		calls, err := e.opts.Book.Unestimated(ctx, now.Add(-e.opts.After), last, estimateBatch)
		if err != nil || len(calls) == 0 {
			return err
		}
		estimates, err := e.estimate(ctx, now, calls)
		if err != nil {
			return err
		}
		if _, err := e.opts.Book.SetEstimates(ctx, estimates); err != nil {
			return err
		}
		last = calls[len(calls)-1].ID
	}
}

func (e *Estimates) estimate(ctx context.Context, now time.Time, calls []accounting.OpenCall) ([]accounting.CallEstimate, error) {
	catalog := e.opts.Prices.Catalog()
	estimates := make([]accounting.CallEstimate, 0, len(calls))
	var rest []accounting.OpenCall
	for _, c := range calls {
		if amount, ok := accounting.Estimate(catalog.Model(c.Model), c.Provider, &c.Usage); ok {
			estimates = append(estimates, accounting.CallEstimate{ID: c.ID, Amount: amount})
			e.made.WithLabelValues("prices").Inc()
			continue
		}
		rest = append(rest, c)
	}
	if len(rest) == 0 {
		return estimates, nil
	}
	means, err := e.opts.Book.MeanCosts(ctx, now.Add(-meanSpan), modelsOf(rest))
	if err != nil {
		return nil, err
	}
	for _, c := range rest {
		mean, known := means[c.Model]
		switch {
		case known:
			estimates = append(estimates, accounting.CallEstimate{ID: c.ID, Amount: mean})
			e.made.WithLabelValues("mean").Inc()
		case c.Bound.Known:
			estimates = append(estimates, accounting.CallEstimate{ID: c.ID, Amount: c.Bound.Value})
			e.made.WithLabelValues("bound").Inc()
		}
	}
	return estimates, nil
}

// modelsOf are the models of calls, as far as they are known.
func modelsOf(calls []accounting.OpenCall) []string {
	models := make([]string, 0, len(calls))
	for _, c := range calls {
		if c.Model != "" {
			models = append(models, c.Model)
		}
	}
	slices.Sort(models)
	return slices.Compact(models)
}
