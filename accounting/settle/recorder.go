package settle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"

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
	Full    func() bool // whether the journal would refuse a new call now; may be nil
	// WhenFull says what becomes of a new call that the journal does not take;
	// empty: [WhenFullCommit].
	WhenFull WhenFull
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
	whenFull    WhenFull
	openTimeout time.Duration
	overflow    *overflow
	recording   *recording

	appendErrors prometheus.Counter
	unaccounted  prometheus.Counter
	refused      prometheus.Counter
	kept         prometheus.Counter
	lost         prometheus.Counter
}

// NewRecorder checks the options. It starts nothing.
func NewRecorder(o RecorderOptions) (*Recorder, error) {
	if o.Journal == nil {
		return nil, errors.New("recorder: it needs a journal")
	}
	if o.Overflow < 0 {
		return nil, fmt.Errorf("recorder: an overflow of %d events: must not be negative", o.Overflow)
	}
	switch o.WhenFull {
	case "":
		o.WhenFull = WhenFullCommit
	case WhenFullCommit, WhenFullRefuse, WhenFullPass:
	default:
		return nil, fmt.Errorf("recorder: when full %q: want %s, %s or %s", o.WhenFull, WhenFullCommit, WhenFullRefuse, WhenFullPass)
	}
	setDefault(&o.Overflow, 10_000)
	setDefault(&o.OpenTimeout, 2*time.Second)
	r := &Recorder{
		journal:     o.Journal,
		ledger:      o.Ledger,
		whenFull:    o.WhenFull,
		openTimeout: o.OpenTimeout,
		overflow:    newOverflow(o.Overflow),
		recording:   newRecording(&o),
	}
	if err := r.register(o.Registerer); err != nil {
		return nil, fmt.Errorf("recorder: register its metrics: %w", err)
	}
	return r, nil
}

func (r *Recorder) register(registerer prometheus.Registerer) error {
	factory := promauto.With(registerer)
	r.appendErrors = factory.NewCounter(prometheus.CounterOpts{
		Name: "bursar_journal_append_errors_total",
		Help: "Events that the journal did not take.",
	})
	r.unaccounted = factory.NewCounter(prometheus.CounterOpts{
		Name: "bursar_unaccounted_calls_total",
		Help: "Calls that were sent although neither the journal nor Postgres had recorded their opening.",
	})
	r.refused = factory.NewCounter(prometheus.CounterOpts{
		Name: "bursar_unrecorded_refusals_total",
		Help: "Calls that were refused because neither the journal nor Postgres had recorded their opening.",
	})
	r.kept = factory.NewCounter(prometheus.CounterOpts{
		Name: "bursar_events_kept_in_memory_total",
		Help: "Events that the journal did not take and that were kept in memory for Postgres.",
	})
	r.lost = factory.NewCounter(prometheus.CounterOpts{
		Name: "bursar_events_lost_total",
		Help: "Events that neither the journal nor the memory beside it could take.",
	})
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bursar_journal_overflow_events",
		Help: "Of those, the events that still wait in memory; up to a batch more may be on its way.",
	}, func() float64 { return float64(r.overflow.depth()) })
	return r.recording.register(registerer)
}

// Record records one step of a call. It keeps no reference to e and is safe for
// concurrent use.
//
// Only for an Opened event is there an error, since its call has not been sent
// yet: neither the journal nor Postgres has it, and the call is refused or sent
// unaccounted, as [RecorderOptions] say. Later events cannot be taken back, so
// their trouble is never the caller's: such an event waits in memory instead.
// If there are too many of those it is counted as lost, though a call whose
// Opened (or Identified) reached the disk will be found there at the next start.
//
// A Refused event waits in memory likewise, but takes at most half of the room
// there from the events of calls that cost money.
func (r *Recorder) Record(e *accounting.Event) error {
	err := r.journal.Append(e)
	if err == nil {
		if e.Kind == accounting.Opened {
			r.recording.saw(ModeJournal, nil)
		}
		return nil
	}
	r.appendErrors.Inc()
	if e.Kind == accounting.Opened && r.whenFull != WhenFullPass {
		return r.openElsewhere(e, err)
	}
	if e.Kind == accounting.Refused {
		r.keepRefused(e)
		return nil
	}
	r.keep(e, err)
	return nil
}

//go:noinline
func (r *Recorder) keepRefused(e *accounting.Event) {
	if r.overflow.depth() >= r.overflow.limit/2 || !r.overflow.push(*e) {
		r.lost.Inc()
	}
}

// openElsewhere has the opening of a call wait for its row in Postgres.
//
//go:noinline
func (r *Recorder) openElsewhere(e *accounting.Event, cause error) error {
	err := r.openInLedger(e)
	if err == nil {
		r.recording.saw(ModeDatabase, cause)
		return nil
	}
	err = fmt.Errorf("record the opening of call %s: %w", e.ID, errors.Join(cause, err))
	if r.whenFull == WhenFullRefuse {
		r.refused.Inc()
		r.recording.saw(ModeRefused, err)
		return err
	}
	r.unaccounted.Inc()
	r.recording.saw(ModeUnaccounted, err)
	return err
}

// keep holds the event in memory for the shipper. It is a function of its own
// so that its copy of the event is not on the stack of every call.
//
//go:noinline
func (r *Recorder) keep(e *accounting.Event, cause error) {
	kept := *e
	switch {
	case e.Kind == accounting.Identified && e.GenerationID == "" && e.JobID == "":
		return // it says nothing that Closed will not repeat
	case e.Kind == accounting.Identified, e.Kind == accounting.Opened:
		// Postgres keeps rows, not steps: this one becomes what a crash right
		// now would leave, and Closed completes it.
		kept.Kind = accounting.Interrupted
		kept.Decision = uncharged(e.Decision)
	}
	kept.Tags.Metadata = maps.Clone(e.Tags.Metadata)
	if r.overflow.push(kept) {
		r.kept.Inc()
		r.recording.saw(ModeMemory, cause)
		return
	}
	r.lost.Inc()
	if e.Kind == accounting.Opened {
		r.unaccounted.Inc()
	}
	r.recording.saw(ModeLosing, cause)
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
	row.Decision = uncharged(e.Decision)
	_, err := r.ledger.Ship(ctx, []accounting.Event{row})
	return err
}

// uncharged is the decision for a row that a living process makes early. The
// money that it reserved for the call stays in its lease until Closed takes it
// from there.
func uncharged(d *accounting.BudgetDecision) *accounting.BudgetDecision {
	if d == nil {
		return nil
	}
	without := *d
	without.Budgets = slices.Clone(d.Budgets)
	for i := range without.Budgets {
		without.Budgets[i].Charge = decimal.Decimal{}
	}
	return &without
}
