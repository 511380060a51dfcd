package settle

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakeUsages counts up by one dollar with each question.
type fakeUsages struct {
	mu    sync.Mutex
	asked map[string]int
	errs  map[string]error
}

func (u *fakeUsages) ask(name string) (accounting.Sample, error) {
	meet()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked[name]++
	return accounting.Sample{Usage: usd("1")}, u.errs[name]
}

func (u *fakeUsages) Key(_ context.Context, key string) (accounting.Sample, error) { return u.ask(key) }
func (u *fakeUsages) Credits(_ context.Context, key string) (accounting.Sample, error) {
	return u.ask("credits with " + key)
}

// fakeSamples keeps the first sample of each figure and slot.
type fakeSamples struct {
	mu     sync.Mutex
	kept   map[time.Time]map[accounting.Sampled]accounting.Sample
	pruned []time.Time
	err    error
}

func (b *fakeSamples) SampledAt(_ context.Context, slot time.Time) (list []accounting.Sampled, _ error) {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	for of := range b.kept[slot.UTC()] {
		list = append(list, of)
	}
	return list, b.err
}

func (b *fakeSamples) SaveSamples(_ context.Context, slot time.Time, samples []accounting.Sample) error {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	slot = slot.UTC()
	if b.kept[slot] == nil {
		b.kept[slot] = map[accounting.Sampled]accounting.Sample{}
	}
	for _, s := range samples {
		if _, taken := b.kept[slot][s.Sampled]; !taken {
			b.kept[slot][s.Sampled] = s
		}
	}
	return b.err
}

func (b *fakeSamples) PruneSamples(_ context.Context, before time.Time) error {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pruned = append(b.pruned, before.UTC())
	return b.err
}

// sampling is a sampler among fakes.
type sampling struct {
	*Sampler
	usages *fakeUsages
	book   *fakeSamples
	keys   *Keyring
	log    *logBook
	reg    *prometheus.Registry
}

func newSampling(t *testing.T, change func(*SamplerOptions)) *sampling {
	t.Helper()
	keys, err := NewKeyring(KeyringOptions{})
	require.NoError(t, err)
	s := &sampling{
		usages: &fakeUsages{asked: map[string]int{}, errs: map[string]error{}},
		book:   &fakeSamples{kept: map[time.Time]map[accounting.Sampled]accounting.Sample{}},
		keys:   keys, log: new(logBook), reg: prometheus.NewRegistry(),
	}
	o := SamplerOptions{Enabled: true, Usages: s.usages, Book: s.book, Keys: keys, ManagementKey: manager, InjectedKey: ownKey,
		MaxKeys: 10, Registerer: s.reg, Logger: s.log.logger()}
	if change != nil {
		change(&o)
	}
	s.Sampler, err = NewSampler(o)
	require.NoError(t, err)
	return s
}

func (s *sampling) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() { cancel(); <-done }
}

func TestFiguresAreSampledEveryTenMinutesAndAtMidnight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSampling(t, nil)
		time.Sleep(3*time.Minute + 17*time.Second)
		s.keys.Hold("sk-or-client")
		defer s.run()()
		pass(24 * time.Hour)
		assert.Equal(t, 144, s.usages.asked[ownKey])
		assert.Equal(t, 144, s.usages.asked["credits with "+manager])
		assert.Equal(t, 144, s.usages.asked["sk-or-client"])
		midnight := today.Start()
		of := accounting.Sampled{Source: accounting.SourceKey, KeyFingerprint: own}
		assert.Equal(t, midnight, s.book.kept[midnight][of].TakenAt)
		assert.Equal(t, []time.Time{midnight.Add(-samplesKept)}, s.book.pruned, "once a day")
		pass(48 * time.Hour)
		assert.Less(t, s.usages.asked["sk-or-client"], 300, "a key that rests is no longer followed")
		assert.Equal(t, 3*144, s.usages.asked[ownKey])
	})
}

func TestReplicasThatSampleAtOnceKeepOneSampleOfEachFigure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSampling(t, nil)
		other := newSampling(t, func(o *SamplerOptions) { o.Book = s.book })
		defer s.run()()
		defer other.run()()
		pass(time.Hour)
		assert.Len(t, s.book.kept, 6)
		for _, kept := range s.book.kept {
			assert.Len(t, kept, 2)
		}
	})
}

func TestAFigureThatCannotBeHadLeavesTheOthersAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSampling(t, nil)
		s.usages.errs["credits with "+manager] = &accounting.LookupError{Status: 403}
		s.keys.Hold("sk-or-broken")
		defer s.run()()
		pass(25 * time.Minute)
		assert.Len(t, s.book.kept, 2)
		assert.Zero(t, s.log.lines("trouble"), "a key that may not is no trouble")
		assert.Equal(t, 2.0, metric(t, s.reg, "bursar_account_samples_total", "source", "credits", "outcome", "refused"))
		s.usages.mu.Lock()
		s.usages.errs["sk-or-broken"] = errors.New("connection reset")
		s.usages.mu.Unlock()
		pass(20 * time.Minute)
		assert.Equal(t, 1, s.log.lines("trouble with sampling"))
		assert.NotContains(t, s.log.String(), "sk-or-broken")
		assert.Len(t, s.book.kept, 4, "the injected key is sampled all the same")
		s.usages.mu.Lock()
		delete(s.usages.errs, "sk-or-broken")
		s.usages.mu.Unlock()
		pass(10 * time.Minute)
		assert.Equal(t, 1, s.log.lines("no more trouble"))
	})
}

func TestTheKeysLatestUsedAreFollowed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k, err := NewKeyring(KeyringOptions{})
		require.NoError(t, err)
		fingerprints := map[string]string{}
		for _, key := range []string{"a", "b", "c"} {
			fingerprints[key] = k.Hold(key)
			time.Sleep(time.Minute)
		}
		assert.Equal(t, []string{fingerprints["c"], fingerprints["b"]}, k.UsedSince(time.Time{}, 2))
		assert.Equal(t, []string{fingerprints["c"]}, k.UsedSince(time.Now().Add(-90*time.Second), 10))
		assert.Empty(t, k.UsedSince(time.Now(), 10))
		assert.Empty(t, k.UsedSince(time.Time{}, 0))
	})
}

func TestSlotsMeetMidnight(t *testing.T) {
	midnight := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, interval := range []time.Duration{time.Minute, 10 * time.Minute, time.Hour} {
		assert.Equal(t, midnight, nextSlot(midnight.Add(-time.Second), interval))
		assert.Equal(t, midnight.Add(interval), nextSlot(midnight, interval))
	}
}

func TestOptionsOfTheSamplerAreChecked(t *testing.T) {
	u, b, k := new(fakeUsages), new(fakeSamples), new(Keyring)
	for _, o := range []SamplerOptions{{}, {Usages: u, Book: b}, {Usages: u, Book: b, Keys: k, Interval: -1}, {Usages: u, Book: b, Keys: k, MaxKeys: -1}} {
		_, err := NewSampler(o)
		assert.Error(t, err)
	}
	bubble(t, func(t *testing.T) {
		s := newSampling(t, func(o *SamplerOptions) { o.Enabled = false })
		defer s.run()()
		pass(time.Hour)
		assert.Empty(t, s.usages.asked, "switched off")
	})
}

// fakeMonths keeps months and what is left of them.
type fakeMonths struct {
	mu     sync.Mutex
	open   []accounting.Month
	rest   map[accounting.Month]accounting.MonthRest
	closed map[accounting.Month]time.Time
	err    error
}

func (b *fakeMonths) OpenMonths(_ context.Context, now time.Time) ([]accounting.Month, error) {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.open), func(m accounting.Month) bool { return !m.Before(accounting.MonthOf(now)) }), b.err
}

func (b *fakeMonths) MonthRest(_ context.Context, m accounting.Month) (accounting.MonthRest, error) {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rest[m], b.err
}

func (b *fakeMonths) CloseMonth(_ context.Context, m accounting.Month, by string, now time.Time) (accounting.ClosedMonth, error) {
	meet()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = slices.DeleteFunc(b.open, func(o accounting.Month) bool { return o == m })
	b.closed[m] = now
	return accounting.ClosedMonth{Month: m, ClosedBy: by}, b.err
}

func TestAMonthClosesByItselfOnItsDayUnlessSomethingIsUnverified(t *testing.T) {
	bubble(t, func(t *testing.T) { // from 2000-01-01
		november, december, january := accounting.Month{Year: 1999, Month: 11}, accounting.Month{Year: 1999, Month: 12}, accounting.Month{Year: 2000, Month: 1}
		book := &fakeMonths{open: []accounting.Month{november, december, january}, closed: map[accounting.Month]time.Time{},
			rest: map[accounting.Month]accounting.MonthRest{november: {UnverifiedCalls: 1}}}
		log, reg := new(logBook), prometheus.NewRegistry()
		time.Sleep(7 * time.Hour)
		m, err := NewMonths(MonthsOptions{Book: book, CloseDay: 5, Registerer: reg, Logger: log.logger()})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		pass(3*24*time.Hour + 16*time.Hour)
		assert.Empty(t, book.closed)
		pass(2 * time.Hour)
		assert.Equal(t, map[accounting.Month]time.Time{december: time.Date(2000, 1, 5, 0, 1, 0, 0, time.UTC)}, utc(book.closed))
		assert.Equal(t, 1.0, metric(t, reg, "bursar_months_overdue"))
		assert.Equal(t, 1, log.lines("the month is closed"))
		assert.Equal(t, 5, log.lines("POST /api/months/1999-11/close"), "said daily")

		book.mu.Lock()
		book.rest = nil
		book.err = errors.New("connection refused")
		book.mu.Unlock()
		pass(25 * time.Hour)
		assert.NotContains(t, book.closed, november)
		assert.Equal(t, 1, log.lines("trouble with closing months"))
		book.mu.Lock()
		book.err = nil
		book.mu.Unlock()
		pass(2 * time.Hour)
		assert.Contains(t, book.closed, november)
		assert.Zero(t, metric(t, reg, "bursar_months_overdue"))
		assert.NotContains(t, book.closed, january, "it still runs")
		cancel()
		assert.NoError(t, <-done)
	})
}

func utc(times map[accounting.Month]time.Time) map[accounting.Month]time.Time {
	for m, at := range times {
		times[m] = at.UTC()
	}
	return times
}

func TestOptionsOfMonthsAreChecked(t *testing.T) {
	for _, o := range []MonthsOptions{{}, {Book: new(fakeMonths), CloseDay: 29}, {Book: new(fakeMonths), CloseDay: -1}, {Book: new(fakeMonths), Interval: -1}} {
		_, err := NewMonths(o)
		assert.Error(t, err)
	}
}
