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

// MonthBook is the database as [Months] needs it.
type MonthBook interface {
	// OpenMonths are the months before the one of now that are not closed.
	OpenMonths(ctx context.Context, now time.Time) ([]accounting.Month, error)
	// MonthRest counts what of a month OpenRouter's own record has not
	// confirmed. It may read all of the month's rows.
	MonthRest(ctx context.Context, m accounting.Month) (accounting.MonthRest, error)
	// CloseMonth closes a month. Closing it again changes nothing; any number
	// of replicas may do it at once.
	CloseMonth(ctx context.Context, m accounting.Month, by string, now time.Time) (accounting.ClosedMonth, error)
}

// MonthsOptions configure [Months]. A zero duration stands for its default.
type MonthsOptions struct {
	Book     MonthBook
	CloseDay int           // of the following month, UTC; 0: months are closed by hand only
	Interval time.Duration // between looks; default 24 h, since one may read a month's rows
	Timeout  time.Duration // of one look; default 10 min

	Registerer prometheus.Registerer
	Logger     zerolog.Logger
}

// Months closes each month on its day if nothing of it is open or unverified.
// Otherwise it says daily what is left, and leaves the month to a person.
type Months struct {
	opts   MonthsOptions
	due    prometheus.Gauge
	retry  backoff
	outage outage
}

// closedByItself is closed_by of a month that nobody closed by hand.
const closedByItself = "bursar"

// NewMonths checks the options. It starts nothing.
func NewMonths(o MonthsOptions) (*Months, error) {
	switch {
	case o.Book == nil:
		return nil, errors.New("months: they need a book")
	case o.CloseDay < 0 || o.CloseDay > 28:
		return nil, fmt.Errorf("months: closing on day %d: want 1 to 28, or 0 for never", o.CloseDay)
	case o.Interval < 0 || o.Timeout < 0:
		return nil, errors.New("months: durations must not be negative")
	}
	setDefault(&o.Interval, 24*time.Hour)
	setDefault(&o.Timeout, 10*time.Minute)
	return &Months{
		opts:  o,
		retry: backoff{first: time.Minute, most: time.Hour},
		due: promauto.With(o.Registerer).NewGauge(prometheus.GaugeOpts{
			Name: "bursar_months_overdue",
			Help: "Months that should be closed and are not, because calls of them are open or unverified.",
		}),
		outage: outage{log: o.Logger, what: "closing months; they stay open"},
	}, nil
}

// Run closes what is due at once and then at each interval, until ctx ends; it
// returns nil. A failure is tried again sooner.
func (m *Months) Run(ctx context.Context) error {
	for failures := 0; ctx.Err() == nil; {
		wait := m.opts.Interval
		if err := m.close(ctx, time.Now()); err == nil {
			failures = 0
			m.outage.ended()
			wait = untilNextDay(time.Now(), wait)
		} else if ctx.Err() == nil {
			m.outage.failed(err)
			wait = m.retry.delay(failures, 0.5)
			failures++
		}
		sleep(ctx, wait)
	}
	return nil
}

// untilNextDay shortens a wait that would sleep into a day: months close soon
// after midnight UTC, and not at the hour at which Bursar happened to start.
func untilNextDay(now time.Time, wait time.Duration) time.Duration {
	return min(wait, accounting.DayOf(now).End().Sub(now)+time.Minute)
}

func (m *Months) close(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, m.opts.Timeout)
	defer cancel()
	open, err := m.opts.Book.OpenMonths(ctx, now)
	if err != nil {
		return err
	}
	overdue := 0
	for _, month := range accounting.DueMonths(open, now, m.opts.CloseDay) {
		rest, err := m.opts.Book.MonthRest(ctx, month)
		if err != nil {
			return err
		}
		if !rest.IsZero() {
			overdue++
			m.opts.Logger.Warn().Stringer("month", month).Int64("open_calls", rest.OpenCalls).Int64("unverified_calls", rest.UnverifiedCalls).
				Msgf("the month is not closed, because calls of it are open or unverified; POST /api/months/%s/close closes it all the same", month)
			continue
		}
		closed, err := m.opts.Book.CloseMonth(ctx, month, closedByItself, now)
		if err != nil {
			return err
		}
		m.opts.Logger.Info().Stringer("month", month).Stringer("openrouter_cost_usd", closed.OpenRouterCostUSD).
			Str("closed_by", closed.ClosedBy).Msg("the month is closed")
	}
	m.due.Set(float64(overdue))
	return nil
}
