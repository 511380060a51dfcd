package settle

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
)

// every calls work at once and then at each interval until ctx ends. A failure
// is noted and tried again at the next.
func every(ctx context.Context, interval, timeout time.Duration, trouble *outage, work func(context.Context, time.Time) error) {
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, timeout)
		err := work(limited, time.Now())
		cancel()
		switch {
		case err == nil:
			trouble.ended()
		case ctx.Err() == nil:
			trouble.failed(err)
		}
		sleep(ctx, interval)
	}
}

// UndecidedBook is the database as [Undecided] needs it.
type UndecidedBook interface {
	// RaiseUndecided raises the alert of now's day about calls that wait for
	// an operator, if there are any, and reports whether it was new.
	RaiseUndecided(ctx context.Context, now time.Time) (made bool, err error)
}

// UndecidedOptions configure [Undecided]. A zero duration stands for its
// default.
type UndecidedOptions struct {
	Book     UndecidedBook
	Interval time.Duration // default 10 min
	Timeout  time.Duration // of one look; default 1 min
	Logger   zerolog.Logger
}

// Undecided reminds, once a day, of calls that wait for an operator.
type Undecided struct {
	opts   UndecidedOptions
	outage outage
}

// NewUndecided checks the options. It starts nothing.
func NewUndecided(o UndecidedOptions) (*Undecided, error) {
	if o.Book == nil {
		return nil, errors.New("undecided calls: they need a book")
	}
	if o.Interval < 0 || o.Timeout < 0 {
		return nil, errors.New("undecided calls: durations must not be negative")
	}
	setDefault(&o.Interval, 10*time.Minute)
	setDefault(&o.Timeout, time.Minute)
	return &Undecided{opts: o, outage: outage{log: o.Logger, what: "looking for calls that wait for somebody"}}, nil
}

// Run looks at once and then at each interval until ctx ends; it returns nil.
func (u *Undecided) Run(ctx context.Context) error {
	every(ctx, u.opts.Interval, u.opts.Timeout, &u.outage, func(ctx context.Context, now time.Time) error {
		_, err := u.opts.Book.RaiseUndecided(ctx, now)
		return err
	})
	return nil
}
