package settle

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"

	"bursar/accounting"
)

// Usages is OpenRouter as the [Sampler] needs it. An error is an
// *[accounting.LookupError] or one of transport.
type Usages interface {
	// Key is what a key has used so far.
	Key(ctx context.Context, key string) (accounting.Sample, error)
	// Credits is what the account of a management key has used so far.
	Credits(ctx context.Context, managementKey string) (accounting.Sample, error)
}

// SampleBook is where the [Sampler] keeps what it finds.
type SampleBook interface {
	// SampledAt lists the figures that have a sample of the moment slot.
	SampledAt(ctx context.Context, slot time.Time) ([]accounting.Sampled, error)
	// SaveSamples keeps samples of the moment slot; of each figure the first
	// one stays, of whichever replica.
	SaveSamples(ctx context.Context, slot time.Time, samples []accounting.Sample) error
	// PruneSamples deletes the samples taken before a time.
	PruneSamples(ctx context.Context, before time.Time) error
}

// ActiveKeys are the keys whose use is worth following. [Keyring] is one.
type ActiveKeys interface {
	// UsedSince lists the fingerprints of at most n keys that made a call
	// here since t, the latest first.
	UsedSince(t time.Time, n int) []string
	// Key is the key with this fingerprint, false if it is not held.
	Key(fingerprint string) (string, bool)
}

// SamplerOptions configure a [Sampler]. A zero duration stands for its default.
type SamplerOptions struct {
	Enabled bool // false: Run only waits
	Usages  Usages
	Book    SampleBook
	Keys    ActiveKeys

	ManagementKey string // empty: the account is not sampled
	InjectedKey   string // sampled whether it is used or not; empty: there is none
	MaxKeys       int    // keys sampled at one moment; 0: none but the injected one

	Interval      time.Duration // between samples; default 10 min
	LookupTimeout time.Duration // of one question; default 30 s
	Registerer    prometheus.Registerer
	Logger        zerolog.Logger
}

const (
	// activeFor is for how long after its last call a key is sampled: over the
	// end of the day on which it was used, and the next.
	activeFor = 48 * time.Hour
	// samplesKept is for how long samples are kept: a month, and some days to
	// look at it.
	samplesKept = 40 * 24 * time.Hour
	// saveTimeout bounds one statement of the sample book.
	saveTimeout = 10 * time.Second
)

// Sampler notes the running figures of the account and of the keys in use, at
// the same moments on every replica, midnight UTC among them.
type Sampler struct {
	opts    SamplerOptions
	samples *prometheus.CounterVec
	outage  outage
}

// NewSampler checks the options. It starts nothing.
func NewSampler(o SamplerOptions) (*Sampler, error) {
	if o.Usages == nil || o.Book == nil || o.Keys == nil {
		return nil, errors.New("sampler: it needs usages, a sample book and keys")
	}
	if o.Interval < 0 || o.LookupTimeout < 0 || o.MaxKeys < 0 {
		return nil, errors.New("sampler: durations and the number of keys must not be negative")
	}
	setDefault(&o.Interval, 10*time.Minute)
	setDefault(&o.LookupTimeout, 30*time.Second)
	return &Sampler{
		opts: o,
		samples: promauto.With(o.Registerer).NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_account_samples_total",
			Help: "Questions for the running figures of keys and of the account, by source and outcome: ok, refused (the key may not), failed.",
		}, []string{"source", "outcome"}),
		outage: outage{log: o.Logger, what: "sampling OpenRouter's running figures; days without samples cannot be reconciled with them"},
	}, nil
}

// Run samples at each moment until ctx ends; it returns nil. A moment that
// fails is not made up for: the next one is near.
func (s *Sampler) Run(ctx context.Context) error {
	if !s.opts.Enabled {
		<-ctx.Done()
		return nil
	}
	for sleep(ctx, time.Until(nextSlot(time.Now(), s.opts.Interval))) {
		slot := time.Now().Truncate(s.opts.Interval)
		switch err := s.sample(ctx, slot); {
		case err == nil:
			s.outage.ended()
		case ctx.Err() == nil:
			s.outage.failed(err)
		}
	}
	return nil
}

// nextSlot is the next moment at which samples are due: a multiple of the
// interval since the beginning of the calendar, so that an interval that
// divides a day always meets midnight.
func nextSlot(now time.Time, interval time.Duration) time.Time {
	return now.Truncate(interval).Add(interval)
}

// sample asks for every figure that no other replica has brought yet. One that
// fails does not keep the others from being saved.
func (s *Sampler) sample(ctx context.Context, slot time.Time) error {
	looking, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	taken, err := s.opts.Book.SampledAt(looking, slot)
	if err != nil {
		return err
	}
	var samples []accounting.Sample
	var errs []error
	for _, figure := range s.figures() {
		if slices.Contains(taken, figure.Sampled) {
			continue
		}
		sample, err := s.ask(ctx, figure)
		if err == nil {
			samples = append(samples, sample)
		} else if lasting(err) != nil {
			errs = append(errs, err)
		}
	}
	saving, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	if len(samples) > 0 {
		errs = append(errs, s.opts.Book.SaveSamples(saving, slot, samples))
	}
	if slot.Equal(slot.Truncate(24 * time.Hour)) {
		errs = append(errs, s.opts.Book.PruneSamples(saving, slot.Add(-samplesKept)))
	}
	return errors.Join(errs...)
}

// figure is one question and the key to ask it with.
type figure struct {
	accounting.Sampled
	key string
}

// figures are the questions of a moment.
func (s *Sampler) figures() []figure {
	var list []figure
	if s.opts.ManagementKey != "" {
		list = append(list, figure{accounting.Sampled{Source: accounting.SourceCredits}, s.opts.ManagementKey})
	}
	add := func(key string) {
		f := figure{accounting.Sampled{Source: accounting.SourceKey, KeyFingerprint: accounting.Fingerprint(key)}, key}
		if !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	if s.opts.InjectedKey != "" {
		add(s.opts.InjectedKey)
	}
	for _, fingerprint := range s.opts.Keys.UsedSince(time.Now().Add(-activeFor), s.opts.MaxKeys) {
		if key, held := s.opts.Keys.Key(fingerprint); held {
			add(key)
		}
	}
	return list
}

func (s *Sampler) ask(ctx context.Context, f figure) (accounting.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.LookupTimeout)
	defer cancel()
	question := s.opts.Usages.Key
	if f.Source == accounting.SourceCredits {
		question = s.opts.Usages.Credits
	}
	// The time before the question: what is charged after it is in doubt.
	asked := time.Now()
	sample, err := question(ctx, f.key)
	outcome := "ok"
	switch {
	case err == nil:
	case lasting(err) == nil:
		outcome = "refused"
	default:
		outcome = "failed"
	}
	s.samples.WithLabelValues(string(f.Source), outcome).Inc()
	sample.Sampled, sample.TakenAt = f.Sampled, asked.UTC()
	return sample, err
}

// UsedSince lists the fingerprints of at most n keys that made a call here
// since t, the latest first.
func (k *Keyring) UsedSince(t time.Time, n int) []string {
	type use struct {
		fingerprint string
		at          int64
	}
	k.mu.RLock()
	var used []use
	for fingerprint, h := range k.byFingerprint {
		if at := h.used.Load(); at >= t.Unix() {
			used = append(used, use{fingerprint, at})
		}
	}
	k.mu.RUnlock()
	slices.SortFunc(used, func(a, b use) int {
		return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.fingerprint, b.fingerprint))
	})
	fingerprints := make([]string, 0, min(n, len(used)))
	for _, u := range used[:min(n, len(used))] {
		fingerprints = append(fingerprints, u.fingerprint)
	}
	return fingerprints
}
