package settle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"

	"bursar/accounting"
)

// Appender is the journal as the recorder needs it.
type Appender interface {
	// Append returns when the event is as durable as the journal promises. It
	// keeps no reference to e and is safe for concurrent use.
	Append(e *accounting.Event) error
}

// RecorderOptions configure a [Recorder].
type RecorderOptions struct {
	Journal Appender
	// Ledger takes the opening of a call that the journal did not take: the
	// call then waits for Postgres before it is sent. May be nil.
	Ledger      Ledger
	OpenTimeout time.Duration // how long it waits at the most; 0: 2 s
	Overflow    int           // events kept in memory while the journal fails; 0: 10,000
	Registerer  prometheus.Registerer
	Logger      zerolog.Logger
}

// Recorder takes the proxy's events. They go into the journal; while that
// fails, they go into a bounded queue in memory, from which the [Shipper] takes
// them straight to Postgres.
type Recorder struct {
	journal     Appender
	ledger      Ledger
	openTimeout time.Duration
	overflow    *overflow

	appendErrors prometheus.Counter
	lost         prometheus.Counter
	appending    outage
	losing       outage
}

// NewRecorder checks the options. It starts nothing.
func NewRecorder(o RecorderOptions) (*Recorder, error) {
	if o.Journal == nil {
		return nil, errors.New("recorder: it needs a journal")
	}
	if o.Overflow < 0 {
		return nil, fmt.Errorf("recorder: an overflow of %d events: must not be negative", o.Overflow)
	}
	if o.Overflow == 0 {
		o.Overflow = 10_000
	}
	if o.OpenTimeout == 0 {
		o.OpenTimeout = 2 * time.Second
	}
	factory := promauto.With(o.Registerer)
	r := &Recorder{
		journal:     o.Journal,
		ledger:      o.Ledger,
		openTimeout: o.OpenTimeout,
		overflow:    newOverflow(o.Overflow),
		appendErrors: factory.NewCounter(prometheus.CounterOpts{
			Name: "bursar_journal_append_errors_total",
			Help: "Events that the journal did not take.",
		}),
		lost: factory.NewCounter(prometheus.CounterOpts{
			Name: "bursar_events_lost_total",
			Help: "Events that neither the journal nor the memory beside it could take.",
		}),
		appending: outage{log: o.Logger, what: "appending to the journal; events wait in memory for Postgres"},
		losing:    outage{log: o.Logger, what: "the events in memory: there are too many, new ones are not recorded"},
	}
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bursar_journal_overflow_events",
		Help: "Events that the journal did not take and that wait in memory for Postgres.",
	}, func() float64 { return float64(r.overflow.depth()) })
	return r, nil
}

// Record records one step of a call. It keeps no reference to e and is safe for
// concurrent use.
//
// An Opened event that the journal does not take waits for its row in Postgres.
// Only where that fails too is there an error: the call has not been sent and
// can still be refused. Later ones cannot be taken back, so their trouble
// is never the caller's: such an event waits in memory instead. If there are
// too many of those it is counted as lost, though a call whose Opened (or
// Identified) reached the disk will be found there at the next start.
func (r *Recorder) Record(e *accounting.Event) error {
	err := r.journal.Append(e)
	if err == nil {
		r.appending.ended()
		return nil
	}
	r.appendErrors.Inc()
	r.appending.failed(err)
	if e.Kind == accounting.Opened {
		if ledgerErr := r.openInLedger(e); ledgerErr != nil {
			return fmt.Errorf("record the opening of call %s: %w", e.ID, errors.Join(err, ledgerErr))
		}
		return nil
	}
	r.keep(e, err)
	return nil
}

// keep holds the event in memory for the shipper. It is a function of its own
// so that its copy of the event is not on the stack of every call.
//
//go:noinline
func (r *Recorder) keep(e *accounting.Event, err error) {
	kept := *e
	if e.Kind == accounting.Identified {
		if e.GenerationID == "" && e.JobID == "" {
			return // it says nothing that Closed will not repeat
		}
		// Postgres keeps rows, not steps: this one becomes what a crash right
		// now would leave, and Closed completes it.
		kept.Kind = accounting.Interrupted
	}
	kept.Tags.Metadata = maps.Clone(e.Tags.Metadata)
	if r.overflow.push(kept) {
		r.losing.ended()
		return
	}
	r.lost.Inc()
	r.losing.failed(err)
}

// openInLedger makes the row that a crash right now would leave; the call's
// Closed completes it.
//
//go:noinline
func (r *Recorder) openInLedger(e *accounting.Event) error {
	if r.ledger == nil {
		return errors.New("there is no database to take it instead")
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.openTimeout)
	defer cancel()
	row := *e
	row.Kind = accounting.Interrupted
	_, err := r.ledger.Ship(ctx, []accounting.Event{row})
	return err
}
