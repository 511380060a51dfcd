package settle

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// outage turns a trouble that may repeat a thousand times into two lines of
// log: one when it begins, one when it is over. It is safe for concurrent use.
type outage struct {
	log  zerolog.Logger
	what string // completes "trouble with …"

	on atomic.Bool // spares the lock while all is well

	mu       sync.Mutex
	began    time.Time // zero: all is well
	failures int
}

// failed notes one failure.
func (o *outage) failed(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures++
	if o.began.IsZero() {
		o.began = time.Now()
		o.on.Store(true)
		o.log.Error().Err(err).Msg("trouble with " + o.what)
	}
}

// ended notes a success. It is cheap enough for every call.
func (o *outage) ended() {
	if !o.on.Load() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.began.IsZero() {
		return
	}
	o.log.Info().Int("failures", o.failures).Dur("lasted_ms", time.Since(o.began)).
		Msg("no more trouble with " + o.what)
	o.began, o.failures = time.Time{}, 0
	o.on.Store(false)
}

// sleep waits for d and reports whether it did so to the end: false means that
// ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
