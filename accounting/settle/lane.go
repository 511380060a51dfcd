package settle

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"bursar/accounting"
)

// lane is one of the settler's two lines of work: missing costs, and
// verifications. They have workers of their own, so that however many costs
// wait to be verified, a missing one is looked up at once.
type lane struct {
	*Settler
	missing bool
	slots   chan struct{} // one token per idle worker
	lookups sync.WaitGroup
	retry   backoff // of claims, while Postgres is away
}

func (s *Settler) newLane(missing bool) *lane {
	l := &lane{
		Settler: s, missing: missing,
		slots: make(chan struct{}, s.opts.Workers),
		// A database that was away for a minute should not have to be waited
		// for half of another, and one question in five seconds does not hurt.
		retry: backoff{first: s.opts.PollInterval, most: 5 * s.opts.PollInterval},
	}
	for range s.opts.Workers {
		l.slots <- struct{}{}
	}
	return l
}

// run claims rows and looks them up until ctx ends, then waits for the lookups
// under way.
func (l *lane) run(ctx context.Context) {
	defer l.lookups.Wait()
	for failures := 0; ctx.Err() == nil; {
		if !l.endpoint.wait(ctx) {
			return
		}
		full, err := l.claim(ctx)
		switch {
		case err != nil:
			sleep(ctx, l.retry.delay(failures, rand.Float64()))
			failures++
		case full:
			failures = 0
		default:
			failures = 0
			l.idle(ctx)
		}
	}
}

// idle waits for the next look into the queue.
func (l *lane) idle(ctx context.Context) {
	wake := l.wake
	if !l.missing {
		wake = nil // a fresh cost is verified only after some seconds
	}
	timer := time.NewTimer(l.opts.PollInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// claim takes as many rows as there are idle workers and starts their lookups.
// full reports that there may be more.
func (l *lane) claim(ctx context.Context) (full bool, err error) {
	idle := l.reserve(ctx)
	if idle == 0 {
		return false, nil
	}
	started := 0
	defer func() {
		for range idle - started {
			l.slots <- struct{}{}
		}
	}()
	request := accounting.ClaimRequest{Now: time.Now(), Missing: l.missing, Lease: l.lease, Claimer: l.opts.Claimer}
	request.Fingerprints, request.Limit = l.paces.ready(l.opts.Keys.Fingerprints(), request.Now, l.missing)
	request.Limit = l.endpoint.allowed(min(idle, request.Limit))
	if request.Limit == 0 {
		return false, nil
	}
	rows, err := l.opts.Queue.Claim(ctx, request)
	l.stored(ctx, err)
	if len(rows) == 0 {
		l.endpoint.unused()
		return false, err
	}
	for _, u := range rows {
		started++
		l.lookups.Go(func() {
			defer func() { l.slots <- struct{}{} }()
			l.settle(ctx, u, request.Now.Add(l.lease))
		})
	}
	return len(rows) == request.Limit, nil
}

// reserve waits for one idle worker and takes all there are.
func (l *lane) reserve(ctx context.Context) (idle int) {
	select {
	case <-l.slots:
		idle = 1
	case <-ctx.Done():
		return 0
	}
	for {
		select {
		case <-l.slots:
			idle++
		default:
			return idle
		}
	}
}
