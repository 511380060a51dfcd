package settle

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"bursar/accounting"
)

// Queue is the database as the [Settler]'s workers need it. All methods are
// safe for concurrent use, over all replicas.
type Queue interface {
	// Claim leases due rows to the caller and counts an attempt for each. A
	// row whose lease ran out without a word is due again.
	Claim(ctx context.Context, r accounting.ClaimRequest) ([]accounting.Unsettled, error)
	// Settle stores OpenRouter's own record of the row's generation and takes
	// the row out of the queue, in one transaction with all sums. A record
	// that is Failed and without a cost ends the row as failed.
	Settle(ctx context.Context, u accounting.Unsettled, g accounting.Generation, now time.Time) (accounting.Posting, error)
	// Postpone makes the row due at next; reason is kept for the operator.
	Postpone(ctx context.Context, id accounting.RequestID, next time.Time, reason string) error
}

// Leftovers is the database as the settler needs it for the rows that lookups
// cannot help.
type Leftovers interface {
	// GiveUp leaves a row without a cost to an operator, as unresolved.
	GiveUp(ctx context.Context, id accounting.RequestID, reason string) error
	// MarkAwaitingKey marks the pending rows that have been due since
	// overdueBefore and whose key is not among held, and returns their number.
	// They are claimed like pending ones as soon as the key is held.
	MarkAwaitingKey(ctx context.Context, held []string, overdueBefore time.Time) (int64, error)
	// SkipVerification takes settled, unverified rows of calls that began
	// before createdBefore out of the queue, and returns their number. They
	// stay unverified.
	SkipVerification(ctx context.Context, createdBefore time.Time) (int64, error)
}

// Generations is OpenRouter as the settler needs it. An error is an
// *[accounting.LookupError], [accounting.ErrJobRunning] or one of transport.
type Generations interface {
	// Generation asks for the record of a generation.
	Generation(ctx context.Context, key, id string) (accounting.Generation, error)
	// Job asks for the state of the job that a call to endpoint created.
	Job(ctx context.Context, key, endpoint, jobID string) (accounting.Generation, error)
}

// Keys gives the settler the keys that made the calls. [Keyring] is one.
type Keys interface {
	// Key is the key with this fingerprint, false if it is not held.
	Key(fingerprint string) (string, bool)
	// Fingerprints lists the keys that are held.
	Fingerprints() []string
}

// SettlerOptions configure a [Settler]. A zero number or duration stands for
// its default.
type SettlerOptions struct {
	Enabled     bool // false: Run only waits
	Verify      bool // false: only missing costs are looked up
	Queue       Queue
	Leftovers   Leftovers
	Generations Generations
	Keys        Keys

	// Claimer names this process in the rows that it has claimed. May be empty.
	Claimer string

	Workers        int           // lookups at the same time, each for missing costs and for verifications; default 8
	PollInterval   time.Duration // between looks into an empty queue; default 1 s
	SweepInterval  time.Duration // between looks for leftovers; default 15 s
	LookupTimeout  time.Duration // default 10 s
	VerifyRate     float64       // verifications per key and second; default 10
	VerifyMaxAge   time.Duration // of a call, to be verified; default 24 h
	FirstBackoff   time.Duration // after the first lookup in vain, doubling; default 1 s
	MaxBackoff     time.Duration // default 1 h
	RefusedBackoff time.Duration // after the first 401 or 403, doubling; default 15 min, at most MaxBackoff
	MaxRetryAfter  time.Duration // of a 429 that is obeyed; default 10 min
	GiveUpAfter    time.Duration // since the call's start, without a record; default 7 days
	AwaitKeyAfter  time.Duration // overdue for so long without its key, a row is marked; default 30 s
	PauseAfter     int           // failures in a row of OpenRouter itself, to rest; default 10
	MaxPause       time.Duration // of such a rest; default 1 min

	// Posted is told what each settled row changed, as in [ShipperOptions].
	Posted     func([]accounting.Posting)
	Registerer prometheus.Registerer
	Logger     zerolog.Logger
}

// Settler asks OpenRouter for the exact cost of calls whose answer did not hold
// it, and for confirmation of the costs that it did hold. It claims rows only
// for keys that it holds, so any number of replicas may run one each.
type Settler struct {
	opts     SettlerOptions
	policy   policy
	lease    time.Duration
	paces    *paces
	endpoint *endpoint
	metrics  *settlerMetrics
	storing  outage
	wake     chan struct{} // capacity 1: somebody shipped a pending row
}

// NewSettler checks the options. It starts nothing.
func NewSettler(o SettlerOptions) (*Settler, error) {
	if o.Queue == nil || o.Leftovers == nil || o.Generations == nil || o.Keys == nil {
		return nil, errors.New("settler: it needs a queue, leftovers, generations and keys")
	}
	for _, d := range []time.Duration{
		o.PollInterval, o.SweepInterval, o.LookupTimeout, o.VerifyMaxAge, o.FirstBackoff, o.MaxBackoff,
		o.RefusedBackoff, o.MaxRetryAfter, o.GiveUpAfter, o.AwaitKeyAfter, o.MaxPause,
	} {
		if d < 0 {
			return nil, errors.New("settler: durations must not be negative")
		}
	}
	if o.Workers < 0 || o.VerifyRate < 0 || o.PauseAfter < 0 {
		return nil, errors.New("settler: numbers must not be negative")
	}
	o.setDefaults()
	metrics := newSettlerMetrics(o.Registerer)
	return &Settler{
		opts: o,
		policy: policy{
			retry:       backoff{first: min(o.FirstBackoff, o.MaxBackoff), most: o.MaxBackoff},
			refused:     backoff{first: min(o.RefusedBackoff, o.MaxBackoff), most: o.MaxBackoff},
			retryAfter:  o.MaxRetryAfter,
			giveUpAfter: o.GiveUpAfter,
		},
		lease:    o.lease(),
		paces:    newPaces(o.VerifyRate),
		endpoint: newEndpoint(o.PauseAfter, o.MaxPause, metrics.paused, o.Logger),
		metrics:  metrics,
		storing:  outage{log: o.Logger, what: "the settler's queue in Postgres"},
		wake:     make(chan struct{}, 1),
	}, nil
}

func (o *SettlerOptions) setDefaults() {
	setDefault(&o.Workers, 8)
	setDefault(&o.PollInterval, time.Second)
	setDefault(&o.SweepInterval, 15*time.Second)
	setDefault(&o.LookupTimeout, 10*time.Second)
	setDefault(&o.VerifyRate, 10)
	setDefault(&o.VerifyMaxAge, 24*time.Hour)
	setDefault(&o.FirstBackoff, time.Second)
	setDefault(&o.MaxBackoff, time.Hour)
	setDefault(&o.RefusedBackoff, 15*time.Minute)
	setDefault(&o.MaxRetryAfter, 10*time.Minute)
	setDefault(&o.GiveUpAfter, 7*24*time.Hour)
	setDefault(&o.AwaitKeyAfter, 30*time.Second)
	setDefault(&o.PauseAfter, 10)
	setDefault(&o.MaxPause, time.Minute)
}

// lease is how long a row may take from claim to outcome: both lookups (a
// generation's and its job's), the writes, and the wait for a turn at the
// verification rate, with room to spare. It is also how long the rows of a
// settler that died wait, so it is not generous; a row claimed twice is settled
// to the same cost twice, which adds nothing.
func (o *SettlerOptions) lease() time.Duration {
	turn := time.Duration(float64(o.Workers) / o.VerifyRate * float64(time.Second))
	return 2*o.LookupTimeout + 2*storeTimeout + turn + 5*time.Second
}

// storeTimeout bounds one try to write an outcome. It is not cut short by the
// end of Run: a cost that was learnt should not have to be asked for again.
const storeTimeout = 5 * time.Second

// storeRetry is the wait between such tries while Postgres is away.
var storeRetry = backoff{first: 100 * time.Millisecond, most: 2 * time.Second}

// store writes an outcome of a row whose claim ends at until, and tries again
// until then, or until ctx ends: if the outcome were dropped, the row would wait
// for the end of its claim and then be looked up once more. The worker that is
// held here could claim nothing in the meantime.
func (s *Settler) store(ctx context.Context, until time.Time, write func(context.Context) error) error {
	for failures := 0; ; failures++ {
		attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		err := write(attempt)
		cancel()
		s.stored(context.Background(), err)
		if err == nil || isPermanent(err) {
			return err
		}
		pause := storeRetry.delay(failures, rand.Float64())
		if time.Now().Add(pause).After(until) || !sleep(ctx, pause) {
			return err
		}
	}
}

// Run settles until ctx ends, waits for the lookups under way and returns nil.
func (s *Settler) Run(ctx context.Context) error {
	if !s.opts.Enabled {
		<-ctx.Done()
		return nil
	}
	var loops sync.WaitGroup
	loops.Go(func() { s.sweepLoop(ctx) })
	loops.Go(func() { s.newLane(true).run(ctx) })
	if s.opts.Verify {
		loops.Go(func() { s.newLane(false).run(ctx) })
	}
	loops.Wait()
	return nil
}

// Lease is how long a claimed row is nobody else's.
func (s *Settler) Lease() time.Duration { return s.lease }

// Wake has the queue looked into at once. It never blocks.
func (s *Settler) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// sweepLoop looks for leftovers, at once and then at each interval.
func (s *Settler) sweepLoop(ctx context.Context) {
	for ctx.Err() == nil {
		s.sweep(ctx)
		sleep(ctx, s.opts.SweepInterval)
	}
}

// sweep deals with the rows that no lookup can help: those whose key nobody
// holds, and those that became too old to be verified.
func (s *Settler) sweep(ctx context.Context) {
	now, held := time.Now(), s.opts.Keys.Fingerprints()
	s.paces.keepOnly(held)
	waiting, err := s.opts.Leftovers.MarkAwaitingKey(ctx, held, now.Add(-s.opts.AwaitKeyAfter))
	if err == nil && waiting > 0 {
		s.metrics.awaitingKey.Add(float64(waiting))
		s.opts.Logger.Warn().Int64("calls", waiting).
			Msg("calls wait for their cost until their key is seen again; no key of theirs is held here")
	}
	skipped, skipErr := s.opts.Leftovers.SkipVerification(ctx, now.Add(-s.opts.VerifyMaxAge))
	if skipErr == nil && skipped > 0 {
		s.metrics.skipped.Add(float64(skipped))
		s.opts.Logger.Warn().Int64("calls", skipped).Msg("costs became too old to be verified and keep their inline figure")
	}
	s.stored(ctx, errors.Join(err, skipErr))
}

// stored notes how a statement went. The end of ctx is nobody's trouble.
func (s *Settler) stored(ctx context.Context, err error) {
	switch {
	case err == nil:
		s.storing.ended()
	case ctx.Err() == nil:
		s.storing.failed(err)
	}
}
