package settle

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakeJournal delivers in order, once, and redelivers after reopen what was not
// acknowledged, as the journal promises.
type fakeJournal struct {
	mu        sync.Mutex
	ready     chan struct{}
	events    []accounting.Event
	delivered int
	acked     map[accounting.RequestID]int
	appendErr error
	ackErr    error
	nextErr   error
	nextCalls int
}

func newFakeJournal() *fakeJournal {
	return &fakeJournal{ready: make(chan struct{}, 1), acked: make(map[accounting.RequestID]int)}
}

func (j *fakeJournal) Append(e *accounting.Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.appendErr != nil {
		return j.appendErr
	}
	if e.Kind == accounting.Closed || e.Kind == accounting.Polled || e.Kind == accounting.Interrupted {
		j.events = append(j.events, *e)
		j.signal()
	}
	return nil
}

func (j *fakeJournal) signal() {
	select {
	case j.ready <- struct{}{}:
	default:
	}
}

func (j *fakeJournal) set(change func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change()
}

func (j *fakeJournal) Next(ctx context.Context, n int) ([]accounting.Event, error) {
	for {
		j.mu.Lock()
		j.nextCalls++
		if j.nextErr != nil {
			defer j.mu.Unlock()
			return nil, j.nextErr
		}
		if waiting := j.events[j.delivered:]; len(waiting) > 0 {
			n = min(n, len(waiting))
			j.delivered += n
			j.mu.Unlock()
			return slices.Clone(waiting[:n]), nil
		}
		j.mu.Unlock()
		select {
		case <-j.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (j *fakeJournal) Ack(events []accounting.Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ackErr != nil {
		return j.ackErr
	}
	for i := range events {
		j.acked[events[i].ID]++
	}
	return nil
}

// reopen is the same journal after a restart of the process.
func (j *fakeJournal) reopen() *fakeJournal {
	j.mu.Lock()
	defer j.mu.Unlock()
	again := newFakeJournal()
	for _, e := range j.events {
		if j.acked[e.ID] == 0 {
			again.events = append(again.events, e)
		}
	}
	return again
}

func (j *fakeJournal) acks() map[accounting.RequestID]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.acked)
}

// poisonError is a permanent error of the data.
type poisonError struct{}

func (poisonError) Error() string   { return "value out of range (SQLSTATE 22003)" }
func (poisonError) Permanent() bool { return true }

// fakeLedger records calls by id, all or none of a batch, and knows the jobs
// that recorded calls created.
type fakeLedger struct {
	mu      sync.Mutex
	rows    map[accounting.RequestID]accounting.Event
	at      map[accounting.RequestID]time.Time
	polls   map[accounting.RequestID]bool
	poison  map[accounting.RequestID]bool
	err     error         // every Ship fails
	after   error         // Ship commits and then fails: the answer was lost
	takes   time.Duration // a Ship
	batches [][]accounting.Event
	tries   []time.Time
}

func newFakeLedger() *fakeLedger {
	return &fakeLedger{
		rows:   make(map[accounting.RequestID]accounting.Event),
		at:     make(map[accounting.RequestID]time.Time),
		polls:  make(map[accounting.RequestID]bool),
		poison: make(map[accounting.RequestID]bool),
	}
}

func (l *fakeLedger) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *fakeLedger) Ship(ctx context.Context, events []accounting.Event) (accounting.Shipment, error) {
	meet()
	l.mu.Lock()
	l.tries = append(l.tries, time.Now())
	takes := l.takes
	l.mu.Unlock()
	// Slept without the lock: waiting for a mutex would stop the fake clock.
	if takes > 0 && !sleep(ctx, takes) {
		return accounting.Shipment{}, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return accounting.Shipment{}, l.err
	}
	inBatch := make(map[accounting.RequestID]bool)
	for _, e := range events {
		if l.poison[e.ID] || e.Kind == accounting.Identified || e.Kind == accounting.Opened || inBatch[e.ID] {
			return accounting.Shipment{}, poisonError{}
		}
		inBatch[e.ID] = true
	}
	var s accounting.Shipment
	for _, e := range events {
		l.record(e, &s)
	}
	l.batches = append(l.batches, slices.Clone(events))
	if l.after != nil {
		return accounting.Shipment{}, l.after
	}
	return s, nil
}

func (l *fakeLedger) record(e accounting.Event, s *accounting.Shipment) {
	if e.Kind == accounting.Polled {
		known := false
		for _, row := range l.rows {
			known = known || row.JobID == e.JobID
		}
		if !known {
			s.Orphans = append(s.Orphans, e)
			return
		}
		l.polls[e.ID] = true
		s.Updated++
		return
	}
	old, ok := l.rows[e.ID]
	switch {
	case !ok:
		s.Inserted++
	case old.Kind == accounting.Interrupted && e.Kind == accounting.Closed:
		s.Updated++
	default:
		s.Replayed++
		return
	}
	l.rows[e.ID], l.at[e.ID] = e, time.Now()
	if amount := e.Usage.Cost; amount.Known {
		s.Postings = append(s.Postings, accounting.Posting{ID: e.ID, Tags: e.Tags, Model: e.Model, Amount: amount.Value})
	}
}

func (l *fakeLedger) recorded() map[accounting.RequestID]accounting.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.rows)
}

// ids makes distinct ids of calls that start now.
var idCount struct {
	sync.Mutex
	n uint64
}

func newID() accounting.RequestID {
	idCount.Lock()
	defer idCount.Unlock()
	idCount.n++
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], idCount.n)
	return accounting.NewRequestID(time.Now(), 0, binary.LittleEndian.Uint64(b[:]))
}

func closed(cost string) *accounting.Event {
	return &accounting.Event{
		Kind: accounting.Closed, ID: newID(), Model: "test/model", HTTPStatus: 200,
		Tags:  accounting.Tags{CampaignID: "q4", Purpose: accounting.PurposeFollowUp},
		Usage: accounting.Usage{Cost: accounting.ParseCost(cost)},
	}
}

func polled(job, cost string) *accounting.Event {
	e := closed(cost)
	e.Kind, e.JobID = accounting.Polled, job
	return e
}

// logBook collects log lines.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// lines is how many lines contain s.
func (b *logBook) lines(s string) int {
	n := 0
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, s) {
			n++
		}
	}
	return n
}

func (b *logBook) logger() zerolog.Logger { return zerolog.New(b) }

// metric is the value of the series whose labels contain all of labels, given
// as name, value, …; a histogram's is its count. A series that does not exist
// is 0.
func metric(t *testing.T, reg *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	var sum float64
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
	series:
		for _, m := range family.GetMetric() {
			has := make(map[string]string)
			for _, l := range m.GetLabel() {
				has[l.GetName()] = l.GetValue()
			}
			for i := 0; i < len(labels); i += 2 {
				if has[labels[i]] != labels[i+1] {
					continue series
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// turn orders what the test looked at before time passed ahead of what the
// loops change afterwards: the fake clock alone does not tell the race detector.
var turn sync.Mutex

func meet() {
	turn.Lock()
	defer turn.Unlock()
}

// pass lets time pass, and then everybody do what they have to do by now.
func pass(d time.Duration) {
	meet()
	time.Sleep(d)
	synctest.Wait()
}

func usd(s string) decimal.Decimal { return decimal.RequireFromString(s) }
