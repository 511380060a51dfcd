package settle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// Books are the recorded calls as the [Reconciler] needs them.
type Books interface {
	// DaySpend sums the calls that began on a day by key and model.
	DaySpend(ctx context.Context, day accounting.Day) ([]accounting.ModelSpend, error)
	// WindowSpend sums the calls that ended after from and not after to, of
	// one key or, with an empty fingerprint, of all.
	WindowSpend(ctx context.Context, from, to time.Time, fingerprint string) (accounting.WindowSpend, error)
	// Suspects lists calls that may explain a difference, the likeliest first.
	Suspects(ctx context.Context, f accounting.SuspectFilter) ([]accounting.Suspect, error)
}

// Findings are where the [Reconciler] keeps what it finds, and finds what the
// [Sampler] kept.
type Findings interface {
	// Samples lists the samples taken from from to to, both included.
	Samples(ctx context.Context, from, to time.Time) ([]accounting.Sample, error)
	// SaveReconciliations keeps one row for each day, source and key, however
	// often and wherever it is called, and returns those that are news: whose
	// verdict became "differs" with this.
	SaveReconciliations(ctx context.Context, list []accounting.Reconciliation) ([]accounting.Reconciliation, error)
	// LatestReconciliations are the rows of each source's latest day.
	LatestReconciliations(ctx context.Context) ([]accounting.Reconciliation, error)
}

// DayClaims let each day be reconciled once over all replicas.
type DayClaims interface {
	// DaysToReconcile are the days from since to until, both included, that
	// nobody has finished or claimed at now.
	DaysToReconcile(ctx context.Context, since, until accounting.Day, now time.Time) ([]accounting.Day, error)
	// ClaimDay takes a day until a time, for one caller of all at once.
	// attempts counts the claims of the day.
	ClaimDay(ctx context.Context, day accounting.Day, now, until time.Time) (attempts int, claimed bool, err error)
	// ReleaseDay ends the claim: the day is due again at next, with the zero
	// time never.
	ReleaseDay(ctx context.Context, day accounting.Day, next, now time.Time) error
}

// ActivityReader is OpenRouter as the [Reconciler] needs it. An error is an
// *[accounting.LookupError] or one of transport.
type ActivityReader interface {
	// Activity is what was charged on a day, by model: of one key or, with an
	// empty fingerprint, of the account that the management key belongs to.
	Activity(ctx context.Context, managementKey string, day accounting.Day, fingerprint string) ([]accounting.Activity, error)
}

// ReconcilerOptions configure a [Reconciler]. A zero duration stands for its
// default.
type ReconcilerOptions struct {
	Enabled  bool // false: Run only waits; Reconcile works all the same
	Books    Books
	Findings Findings
	Days     DayClaims
	Activity ActivityReader

	ManagementKey string // empty: neither activity nor credits can be read
	// InjectedKey is reconciled also on days on which it made no call through
	// Bursar. Empty: there is none.
	InjectedKey string

	Tolerance decimal.Decimal // a share of OpenRouter's figure above which a difference is an alert
	MaxKeys   int             // keys reconciled with the activity of a day of their own, the dearest first; 0: none

	After         time.Duration // after midnight UTC, when a day's activity is complete; default 40 min
	CheckInterval time.Duration // between looks for days that are due; default 5 min
	LookupTimeout time.Duration // of one question; default 30 s

	Now        func() time.Time // nil: time.Now
	Registerer prometheus.Registerer
	Logger     zerolog.Logger
}

func (o *ReconcilerOptions) validate() error {
	switch {
	case o.Books == nil || o.Findings == nil || o.Days == nil || o.Activity == nil:
		return errors.New("reconciler: it needs books, findings, days and an activity reader")
	case o.After < 0 || o.CheckInterval < 0 || o.LookupTimeout < 0 || o.MaxKeys < 0:
		return errors.New("reconciler: durations and the number of keys must not be negative")
	case o.Tolerance.IsNegative():
		return fmt.Errorf("reconciler: a tolerance of %s: must not be negative", o.Tolerance)
	}
	setDefault(&o.After, 40*time.Minute)
	setDefault(&o.CheckInterval, 5*time.Minute)
	setDefault(&o.LookupTimeout, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Reconciler compares the days that are over with OpenRouter's own figures.
// Its methods may be called at the same time, here and on other replicas.
type Reconciler struct {
	opts      ReconcilerOptions
	injected  string // fingerprint
	noAccount string // why the account's figures cannot be read; empty: they can
	metrics   *reconcilerMetrics
	outage    outage
}

// NewReconciler checks the options. It starts nothing.
func NewReconciler(o ReconcilerOptions) (*Reconciler, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	r := &Reconciler{
		opts:    o,
		metrics: newReconcilerMetrics(o.Registerer),
		outage:  outage{log: o.Logger, what: "reconciling with OpenRouter's figures; the days are tried again"},
	}
	if o.InjectedKey != "" {
		r.injected = accounting.Fingerprint(o.InjectedKey)
	}
	if o.ManagementKey == "" {
		r.noAccount = "OPENROUTER_MANAGEMENT_KEY is not set, and only a management key may read this."
	}
	return r, nil
}

// Reconcile compares the days from from to to, both included, keeps the
// results and returns them, the oldest day first. What cannot be compared is
// said in the verdict; an error is one of the database or the end of ctx.
func (r *Reconciler) Reconcile(ctx context.Context, from, to accounting.Day) ([]accounting.Reconciliation, error) {
	var all []accounting.Reconciliation
	for day := from; !to.Before(day); day = day.Add(1) {
		list, _, err := r.reconcileDay(ctx, day)
		if err != nil {
			return all, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// reconcileDay compares one day with every source and keeps the result.
// trouble is an error of OpenRouter's, which is in the verdicts as well and
// may pass.
func (r *Reconciler) reconcileDay(ctx context.Context, day accounting.Day) (list []accounting.Reconciliation, trouble, err error) {
	now := r.opts.Now()
	ours, err := r.opts.Books.DaySpend(ctx, day)
	if err != nil {
		return nil, nil, fmt.Errorf("reconcile %s: %w", day, err)
	}
	list, whole, trouble := r.byActivity(ctx, day, ours, now)
	if ctx.Err() != nil {
		return nil, nil, fmt.Errorf("reconcile %s: %w", day, ctx.Err())
	}
	sampled, err := r.bySamples(ctx, day, ours, whole, now)
	if err != nil {
		return nil, nil, fmt.Errorf("reconcile %s: %w", day, err)
	}
	list = append(list, sampled...)
	for i := range list {
		if err := r.judge(ctx, &list[i], now); err != nil {
			return nil, nil, fmt.Errorf("reconcile %s: %w", day, err)
		}
	}
	news, err := r.opts.Findings.SaveReconciliations(ctx, list)
	if err != nil {
		return nil, nil, fmt.Errorf("reconcile %s: %w", day, err)
	}
	for i := range news {
		r.report(&news[i])
	}
	return list, trouble, nil
}

// judge sets the verdict, and lists suspects where there is a difference.
func (r *Reconciler) judge(ctx context.Context, c *accounting.Reconciliation, now time.Time) (err error) {
	c.CheckedAt = now
	c.Judge(r.opts.Tolerance)
	if c.Verdict != accounting.VerdictDiffers {
		return nil
	}
	f := accounting.SuspectFilter{From: c.Day.Start(), To: c.Day.End(), KeyFingerprint: c.KeyFingerprint, Limit: accounting.MaxSuspects}
	if c.SampledFrom != nil {
		f.From, f.To = *c.SampledFrom, *c.SampledTo
	}
	c.Suspects, err = r.opts.Books.Suspects(ctx, f)
	return err
}

// report logs a difference, once: the store tells whether it is news.
func (r *Reconciler) report(c *accounting.Reconciliation) {
	line := r.opts.Logger.Warn().Stringer("day", c.Day).Str("source", string(c.Source)).
		Stringer("ours_usd", c.OursUSD).Stringer("theirs_usd", c.TheirsUSD).Stringer("difference_usd", c.DifferenceUSD).
		Int64("open_calls", c.OpenCalls).Int64("unverified_calls", c.UnverifiedCalls).Int("suspects", len(c.Suspects))
	if c.KeyFingerprint != "" {
		line = line.Str("key_fingerprint", c.KeyFingerprint)
	}
	if c.DarkSpendUSD != nil {
		line = line.Stringer("dark_spend_usd", c.DarkSpendUSD)
	}
	line.Msg("our day and OpenRouter's differ by more than the tolerance; GET /api/reconciliations lists the suspects")
}
