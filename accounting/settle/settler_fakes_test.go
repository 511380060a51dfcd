package settle

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakeRow is a row of the settle queue.
type fakeRow struct {
	accounting.Unsettled
	due      time.Time
	queued   bool
	verified bool
	reason   string
}

// fakeQueue keeps the promises of Queue and Leftovers.
type fakeQueue struct {
	mu        sync.Mutex
	rows      map[accounting.RequestID]*fakeRow
	err       error // of every statement
	settleErr error
	held      []string
	claims    int
}

func newFakeQueue() *fakeQueue {
	return &fakeQueue{rows: make(map[accounting.RequestID]*fakeRow)}
}

func (q *fakeQueue) set(change func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	change()
}

func (q *fakeQueue) Claim(_ context.Context, r accounting.ClaimRequest) ([]accounting.Unsettled, error) {
	meet()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claims++
	if q.err != nil {
		return nil, q.err
	}
	var due []*fakeRow
	for _, row := range q.rows {
		if row.queued && !row.due.After(r.Now) && row.Missing() == r.Missing && slices.Contains(r.Fingerprints, row.KeyFingerprint) {
			due = append(due, row)
		}
	}
	slices.SortFunc(due, func(a, b *fakeRow) int { return a.due.Compare(b.due) })
	var claimed []accounting.Unsettled
	for _, row := range due[:min(len(due), r.Limit)] {
		claimed = append(claimed, row.Unsettled)
		row.Attempts++
		row.due = r.Now.Add(r.Lease)
	}
	return claimed, nil
}

func (q *fakeQueue) Settle(ctx context.Context, u accounting.Unsettled, g accounting.Generation, _ time.Time) (accounting.Posting, error) {
	meet()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return accounting.Posting{}, q.err
	}
	if err := ctx.Err(); err != nil {
		return accounting.Posting{}, err
	}
	if q.settleErr != nil {
		return accounting.Posting{}, q.settleErr
	}
	row := q.rows[u.ID]
	posting := accounting.Posting{ID: u.ID, Verified: true}
	row.queued = false
	if g.Failed && !g.Usage.Cost.Known {
		row.Status = accounting.StatusFailed
		return posting, nil
	}
	posting.Amount = g.Usage.Cost.Value.Sub(row.Cost.Value)
	posting.Mismatch = row.Cost.Known && !posting.Amount.IsZero()
	row.Status, row.Cost, row.verified = accounting.StatusSettled, g.Usage.Cost, true
	return posting, nil
}

func (q *fakeQueue) Postpone(_ context.Context, id accounting.RequestID, next time.Time, reason string) error {
	meet()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.rows[id].due, q.rows[id].reason = next, reason
	}
	return q.err
}

func (q *fakeQueue) GiveUp(_ context.Context, id accounting.RequestID, reason string) error {
	meet()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.rows[id].Status, q.rows[id].queued, q.rows[id].reason = accounting.StatusUnresolved, false, reason
	}
	return q.err
}

func (q *fakeQueue) MarkAwaitingKey(_ context.Context, held []string, overdueBefore time.Time) (n int64, err error) {
	meet()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = held
	for _, row := range q.rows {
		if row.queued && row.Status == accounting.StatusPending && row.due.Before(overdueBefore) && !slices.Contains(held, row.KeyFingerprint) {
			row.Status = accounting.StatusAwaitingKey
			n++
		}
	}
	return n, q.err
}

func (q *fakeQueue) SkipVerification(_ context.Context, createdBefore time.Time) (n int64, err error) {
	meet()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, row := range q.rows {
		if row.queued && !row.Missing() && row.ID.Time().Before(createdBefore) {
			row.queued = false
			n++
		}
	}
	return n, q.err
}

// fakeKeys holds the keys it lists.
type fakeKeys struct {
	mu   sync.Mutex
	keys map[string]string
}

func (k *fakeKeys) Key(f string) (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.keys[f]
	return key, ok
}

func (k *fakeKeys) Fingerprints() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []string
	for f := range k.keys {
		list = append(list, f)
	}
	return list
}

func (k *fakeKeys) hold(fingerprint string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[fingerprint] = "sk-" + fingerprint
}

// answer is what the fake OpenRouter says to the n-th lookup, counted from 0,
// of the id.
type answer func(ctx context.Context, id string, n int) (accounting.Generation, error)

// settling is a settler over fakes.
type settling struct {
	t     *testing.T
	queue *fakeQueue
	keys  *fakeKeys
	reg   *prometheus.Registry
	log   *logBook
	*Settler

	mu      sync.Mutex
	answer  answer
	asked   map[string][]time.Time // by generation or job id
	withKey map[string]string
	busy    int
	busiest int
	posted  []accounting.Posting
}

func newSettling(t *testing.T, answer answer, change func(*SettlerOptions)) *settling {
	s := &settling{
		t: t, queue: newFakeQueue(), keys: &fakeKeys{keys: make(map[string]string)}, reg: prometheus.NewRegistry(), log: new(logBook),
		answer: answer, asked: make(map[string][]time.Time), withKey: make(map[string]string),
	}
	s.keys.hold("a")
	o := SettlerOptions{
		Enabled: true, Verify: true, Queue: s.queue, Leftovers: s.queue, Generations: s, Keys: s.keys,
		Registerer: s.reg, Logger: s.log.logger(),
		Posted: func(p []accounting.Posting) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.posted = append(s.posted, p...)
		},
	}
	if change != nil {
		change(&o)
	}
	var err error
	s.Settler, err = NewSettler(o)
	require.NoError(t, err)
	return s
}

func (s *settling) Generation(ctx context.Context, key, id string) (accounting.Generation, error) {
	return s.ask(ctx, key, id)
}

func (s *settling) Job(ctx context.Context, key, endpoint, jobID string) (accounting.Generation, error) {
	return s.ask(ctx, key, endpoint+"/"+jobID)
}

func (s *settling) ask(ctx context.Context, key, id string) (accounting.Generation, error) {
	meet()
	s.mu.Lock()
	n := len(s.asked[id])
	s.asked[id] = append(s.asked[id], time.Now())
	s.withKey[id] = key
	s.busy++
	s.busiest = max(s.busiest, s.busy)
	answer := s.answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy--
	}()
	return answer(ctx, id, n)
}

// add queues a row that is due now: of a call that began age ago.
func (s *settling) add(generationID, cost string, age time.Duration) *fakeRow {
	idCount.Lock()
	idCount.n++
	id := accounting.NewRequestID(time.Now().Add(-age), 0, idCount.n)
	idCount.Unlock()
	row := &fakeRow{queued: true, due: time.Now(), Unsettled: accounting.Unsettled{
		ID: id, GenerationID: generationID, KeyFingerprint: "a", Endpoint: "/api/v1/videos",
		Status: accounting.StatusPending, Cost: accounting.ParseCost(cost),
	}}
	if row.Cost.Known {
		row.Status = accounting.StatusSettled
	}
	s.queue.set(func() { s.queue.rows[id] = row })
	return row
}

func (s *settling) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		assert.NoError(s.t, <-done)
	}
}

func (s *settling) attempts(o outcome) float64 {
	return metric(s.t, s.reg, "bursar_settler_attempts_total", "outcome", string(o))
}

// record answers every lookup with this cost.
func record(cost string) answer {
	return func(_ context.Context, id string, _ int) (accounting.Generation, error) {
		return accounting.Generation{ID: id, Usage: accounting.Usage{Cost: accounting.ParseCost(cost)}}, nil
	}
}

// status answers every lookup with an error status.
func status(code int, retryAfter time.Duration) answer {
	return func(context.Context, string, int) (accounting.Generation, error) {
		return accounting.Generation{}, &accounting.LookupError{Status: code, RetryAfter: retryAfter}
	}
}

// after answers the first n lookups of an id with first, then with rest.
func after(n int, first, rest answer) answer {
	return func(ctx context.Context, id string, i int) (accounting.Generation, error) {
		if i < n {
			return first(ctx, id, i)
		}
		return rest(ctx, id, i)
	}
}
