package settle

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"

	"bursar/accounting"
)

// ForecastBook is the database as [Forecasts] needs it.
type ForecastBook interface {
	// Forecasted reports whether the forecast of a day was made, by anybody.
	Forecasted(ctx context.Context, day accounting.Day) (bool, error)
	// CostHistories are the daily costs of scopes from from to today.
	CostHistories(ctx context.Context, from, today accounting.Day, currency accounting.Currency, scopes []accounting.Scope) ([]accounting.Optional[accounting.CostHistory], error)
	// SaveForecast keeps the forecast of a day; of several the first one stays.
	SaveForecast(ctx context.Context, f accounting.ForecastSnapshot) (made bool, err error)
}

// MonthFigures reads what months have cost.
type MonthFigures interface {
	Months(ctx context.Context, from, to accounting.Month) ([]accounting.MonthReport, error)
}

// ForecastsOptions configure [Forecasts]. A zero duration stands for its
// default.
type ForecastsOptions struct {
	Book     ForecastBook
	Months   MonthFigures
	Interval time.Duration // default 1 min
	Timeout  time.Duration // of one look; default 30 s

	Registerer prometheus.Registerer
	Logger     zerolog.Logger
}

// Forecasts keeps a forecast of the month's end each day, one over all
// replicas, so that it can be held to what it said; and shows what the present
// month has cost.
type Forecasts struct {
	opts   ForecastsOptions
	cost   *prometheus.GaugeVec // by part
	outage outage

	done accounting.Day // the latest day with a forecast, or without enough data for one
	any  bool           // done is one
}

// NewForecasts checks the options. It starts nothing.
func NewForecasts(o ForecastsOptions) (*Forecasts, error) {
	if o.Book == nil || o.Months == nil {
		return nil, errors.New("forecasts: they need a book and months")
	}
	if o.Interval < 0 || o.Timeout < 0 {
		return nil, errors.New("forecasts: durations must not be negative")
	}
	setDefault(&o.Interval, time.Minute)
	setDefault(&o.Timeout, 30*time.Second)
	return &Forecasts{
		opts: o,
		cost: promauto.With(o.Registerer).NewGaugeVec(prometheus.GaugeOpts{
			Name: "bursar_month_cost_eur",
			Help: "What the present UTC month has cost, by part: fixed (whole from the first day on), openrouter, and total, which is both.",
		}, []string{"part"}),
		outage: outage{log: o.Logger, what: "reading what the month costs and keeping its forecast"},
	}, nil
}

// Run looks at once and then at each interval until ctx ends; it returns nil.
func (f *Forecasts) Run(ctx context.Context) error {
	every(ctx, f.opts.Interval, f.opts.Timeout, &f.outage, f.look)
	return nil
}

func (f *Forecasts) look(ctx context.Context, now time.Time) error {
	return errors.Join(f.show(ctx, now), f.keep(ctx, now))
}

// show sets the gauge. While the database is away there is nothing to show:
// unknown is not zero.
func (f *Forecasts) show(ctx context.Context, now time.Time) error {
	month := accounting.MonthOf(now)
	months, err := f.opts.Months.Months(ctx, month, month)
	if err != nil || len(months) == 0 {
		f.cost.Reset()
		return err
	}
	showMonthCost(f.cost, &months[0].MonthFigures)
	return nil
}

// keep makes the day's forecast, unless it was made.
func (f *Forecasts) keep(ctx context.Context, now time.Time) error {
	today := accounting.DayOf(now)
	if f.any && !f.done.Before(today) {
		return nil
	}
	made, err := f.opts.Book.Forecasted(ctx, today)
	if err != nil {
		return err
	}
	if !made {
		histories, err := f.opts.Book.CostHistories(ctx, today.Add(-accounting.MaxForecastDays), today, accounting.EUR, []accounting.Scope{{}})
		if err != nil {
			return err
		}
		if snapshot, ok := accounting.SnapshotForecast(histories[0].Value, now); ok {
			if _, err := f.opts.Book.SaveForecast(ctx, snapshot); err != nil {
				return err
			}
		}
	}
	f.done, f.any = today, true
	return nil
}
