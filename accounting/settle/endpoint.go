package settle

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// endpoint watches OpenRouter's lookups as a whole. When many fail in a row it
// is the endpoint that is in trouble, not the rows: lookups rest, then a single
// one probes, and the rest doubles until one is answered. Safe for concurrent
// use.
type endpoint struct {
	pauseAfter int
	rest       backoff
	paused     prometheus.Gauge
	outage     outage

	mu       sync.Mutex
	failures int // in a row
	rests    int // in a row; above 0, only a probe is allowed
	until    time.Time
	probing  bool // the probe is on its way
}

func newEndpoint(pauseAfter int, most time.Duration, paused prometheus.Gauge, log zerolog.Logger) *endpoint {
	return &endpoint{
		pauseAfter: pauseAfter,
		rest:       backoff{first: min(time.Second, most), most: most},
		paused:     paused,
		outage:     outage{log: log, what: "OpenRouter's lookups; they rest in between, costs are completed later"},
	}
}

// wait waits for the end of a rest; false means that ctx ended first.
func (e *endpoint) wait(ctx context.Context) bool {
	for {
		e.mu.Lock()
		rest := time.Until(e.until)
		e.mu.Unlock()
		if rest <= 0 {
			return ctx.Err() == nil
		}
		if !sleep(ctx, rest) {
			return false
		}
	}
}

// allowed is how many of n lookups may start now: all; during a rest none;
// after it one, the probe. Of a probe the endpoint must hear: by answered,
// failed or unused.
func (e *endpoint) allowed(n int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.rests == 0:
		return n
	case e.probing || n == 0 || time.Now().Before(e.until):
		return 0
	default:
		e.probing = true
		return 1
	}
}

// unused takes a permission back of which no lookup came.
func (e *endpoint) unused() {
	e.mu.Lock()
	e.probing = false
	e.mu.Unlock()
}

// answered notes that the endpoint works, whatever it said.
func (e *endpoint) answered() {
	e.mu.Lock()
	e.failures, e.rests, e.until, e.probing = 0, 0, time.Time{}, false
	e.mu.Unlock()
	e.paused.Set(0)
	e.outage.ended()
}

// failed notes a failure of the endpoint itself.
func (e *endpoint) failed(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failures++
	now := time.Now()
	// Lookups that were under way when a rest began say nothing new.
	if e.failures < e.pauseAfter && e.rests == 0 || now.Before(e.until) {
		return
	}
	e.until = now.Add(e.rest.delay(e.rests, rand.Float64()))
	e.rests++
	e.probing = false
	e.paused.Set(1)
	e.outage.failed(err)
}
