package settle

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"bursar/accounting"
)

// Journal is the journal as the shipper needs it.
type Journal interface {
	// Next returns up to n events that are ready to be shipped, at once if
	// there are any; else it waits until there are or ctx ends, which is its
	// error then. It has one caller at a time and delivers an event once.
	Next(ctx context.Context, n int) ([]accounting.Event, error)
	// Ack says that these events are safe elsewhere. An event without it is
	// delivered again after a restart. Events that Next did not deliver are
	// ignored.
	Ack(events []accounting.Event) error
}

// Ledger is the database as the shipper needs it.
type Ledger interface {
	// Ship records the events in one transaction, all or none; one that was
	// recorded before changes nothing. Trying the same events again cannot
	// help if the error, or one it wraps, has a method Permanent() bool that
	// says so or a method SQLState() string of class 22 or 23, as pgx's has.
	Ship(ctx context.Context, events []accounting.Event) (accounting.Shipment, error)
}

// ShipperOptions configure a [Shipper]. A zero number or duration stands for
// its default.
type ShipperOptions struct {
	Journal  Journal
	Recorder *Recorder // nil: there is no overflow to ship
	Ledger   Ledger

	BatchSize     int           // events a transaction; default 1000
	FlushInterval time.Duration // between two batches of a busy proxy; default 500 ms
	ShipTimeout   time.Duration // of one transaction; default 30 s
	MaxBackoff    time.Duration // between tries while Postgres is away; default 10 s
	OrphanAge     time.Duration // how long a poll waits for its job's row; default 1 minute

	// Posted is told what each transaction changed, after it is committed; the
	// metric of spend and the budgets listen here. It must not block. May be
	// nil.
	Posted func([]accounting.Posting)
	// Pending is called after a batch left calls without a cost in the
	// ledger, to wake the [Settler]. It must not block. May be nil.
	Pending func()
	// Reject puts an event that the ledger refuses for good into safe keeping.
	// If it returns nil the journal may forget the event; otherwise, and
	// without a Reject, the journal keeps it and delivers it again after a
	// restart. [Rejects.Add] is one. May be nil.
	Reject func(e accounting.Event, cause error) error

	Registerer prometheus.Registerer
	Logger     zerolog.Logger
}

// Shipper carries events from the journal and from the recorder's overflow to
// Postgres: in batches, each in one transaction, acknowledged only after its
// commit. What it cannot ship it keeps and tries again.
type Shipper struct {
	opts     ShipperOptions
	overflow *overflow
	retry    backoff
	metrics  *shipperMetrics
	shipping outage
	reading  outage
	acking   outage

	// turn holds one token, which Run or Flush has while it works: the journal
	// allows one consumer, and everything below belongs to the token's holder.
	turn     chan struct{}
	work     [][]accounting.Event // delivered but not shipped, a stack: the next part is last
	gathered time.Time            // when the last batch was complete
	orphans  orphanage
	unacked  []accounting.Event // shipped, but Ack failed

	oldest atomic.Int64 // end of the oldest call in work, Unix ns; 0: none
}

// NewShipper checks the options. It starts nothing.
func NewShipper(o ShipperOptions) (*Shipper, error) {
	if o.Journal == nil || o.Ledger == nil {
		return nil, errors.New("shipper: it needs a journal and a ledger")
	}
	if o.BatchSize < 0 || o.FlushInterval < 0 || o.ShipTimeout < 0 || o.MaxBackoff < 0 || o.OrphanAge < 0 {
		return nil, errors.New("shipper: sizes and durations must not be negative")
	}
	setDefault(&o.BatchSize, 1000)
	setDefault(&o.FlushInterval, 500*time.Millisecond)
	setDefault(&o.ShipTimeout, 30*time.Second)
	setDefault(&o.MaxBackoff, 10*time.Second)
	setDefault(&o.OrphanAge, time.Minute)
	s := &Shipper{
		opts:     o,
		overflow: newOverflow(0),
		retry:    backoff{first: min(100*time.Millisecond, o.MaxBackoff), most: o.MaxBackoff},
		shipping: outage{log: o.Logger, what: "shipping to Postgres; events wait in the journal"},
		reading:  outage{log: o.Logger, what: "reading the journal"},
		acking:   outage{log: o.Logger, what: "acknowledging to the journal; a restart ships again what is there already"},
		turn:     make(chan struct{}, 1),
		orphans:  orphanage{age: o.OrphanAge, limit: o.BatchSize},
	}
	if o.Recorder != nil {
		s.overflow = o.Recorder.overflow
	}
	s.metrics = newShipperMetrics(o.Registerer, s.lag)
	s.turn <- struct{}{}
	return s, nil
}

// setDefault gives a zero option its default.
func setDefault[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}

// Run ships until ctx ends and returns nil. What it then has in hand is left
// for [Shipper.Flush].
func (s *Shipper) Run(ctx context.Context) error {
	if err := s.acquire(ctx); err != nil {
		return nil
	}
	defer s.release()
	for ctx.Err() == nil {
		if len(s.work) == 0 {
			s.gather(ctx)
		}
		s.deliver(ctx)
	}
	return nil
}

// Flush ships what Run left and what is ready in the journal and the overflow,
// until there is no more. It is the last word at shutdown: ctx is its own
// deadline, detached from the signal that ended Run. The error says what stays
// in the journal, and what is lost with the process because it is only in
// memory.
func (s *Shipper) Flush(ctx context.Context) error {
	if err := s.acquire(ctx); err != nil {
		return fmt.Errorf("flush: wait for the running shipper: %w", err)
	}
	defer s.release()
	s.orphans.hurry()
	for ctx.Err() == nil {
		if len(s.work) == 0 && !s.gatherReady(ctx) {
			break
		}
		s.deliver(ctx)
	}
	inHand := 0
	for _, part := range s.work {
		inHand += len(part)
	}
	if memory := s.overflow.depth(); inHand+memory > 0 {
		return fmt.Errorf("flush: %d events not shipped, %d more only in memory: %w", inHand, memory, ctx.Err())
	}
	return nil
}

// acquire waits for the turn.
func (s *Shipper) acquire(ctx context.Context) error {
	select {
	case <-s.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Shipper) release() { s.turn <- struct{}{} }

// Idle reports whether nothing that was in memory only waits to be shipped, and
// nothing is being shipped. What waits in the journal it does not know.
func (s *Shipper) Idle() bool { return s.overflow.depth() == 0 && s.oldest.Load() == 0 }

// lag is the age of the oldest call in hand, in seconds.
func (s *Shipper) lag() float64 {
	oldest := s.oldest.Load()
	if oldest == 0 {
		return 0
	}
	return max(0, time.Since(time.Unix(0, oldest)).Seconds())
}
