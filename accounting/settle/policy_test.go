package settle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"bursar/accounting"
)

var testPolicy = policy{
	retry:       backoff{first: time.Second, most: time.Hour},
	refused:     backoff{first: 15 * time.Minute, most: time.Hour},
	retryAfter:  10 * time.Minute,
	giveUpAfter: 7 * 24 * time.Hour,
}

func TestABackoffDoublesFromTheFirstDelayToItsBound(t *testing.T) {
	b := backoff{first: time.Second, most: time.Hour}
	for n, want := range map[int]time.Duration{
		-1: time.Second, 0: time.Second, 1: 2 * time.Second, 5: 32 * time.Second, 11: 2048 * time.Second,
		12: time.Hour, 39: time.Hour, 40: time.Hour, 63: time.Hour, 64: time.Hour, 1 << 40: time.Hour,
	} {
		assert.Equal(t, want, b.delay(n, 0.5), "try %d", n) // 0.5 is the middle of the spread
	}
	assert.Equal(t, 800*time.Millisecond, b.delay(0, 0))
	assert.Less(t, b.delay(0, 0.999), 1200*time.Millisecond)
}

func TestABackoffStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := backoff{
			first: time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "first")),
			most:  time.Duration(rapid.Int64Range(int64(time.Hour), int64(1000*time.Hour)).Draw(t, "most")),
		}
		n, random := rapid.IntRange(-5, 1000).Draw(t, "n"), rapid.Float64Range(0, 0.999999).Draw(t, "random")
		d, next := b.delay(n, random), b.delay(n+1, random)
		if d > b.most || d < b.first*8/10-1 || next < d {
			t.Fatalf("%+v: delay %d is %v, the next %v", b, n, d, next)
		}
	})
}

func TestWhatFollowsALookupInVain(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	status := func(code int, retryAfter time.Duration) error {
		return fmt.Errorf("look up: %w", &accounting.LookupError{Status: code, RetryAfter: retryAfter})
	}
	timeout := &net.OpError{Op: "read", Err: context.DeadlineExceeded}
	for _, c := range []struct {
		name     string
		err      error
		attempts int
		age      time.Duration
		settled  bool
		want     verdict
	}{
		{"not published", status(404, 0), 0, 0, false, verdict{outcome: outcomeNotFound, after: time.Second}},
		{"still not published", status(404, 0), 4, 0, false, verdict{outcome: outcomeNotFound, after: 16 * time.Second}},
		{"never published", status(404, 0), 99, 7 * 24 * time.Hour, false, verdict{outcome: outcomeNotFound, after: time.Hour, giveUp: true}},
		{"almost never published", status(404, 0), 99, 7*24*time.Hour - time.Second, false, verdict{outcome: outcomeNotFound, after: time.Hour}},
		{"only a verification", status(404, 0), 99, 8 * 24 * time.Hour, true, verdict{outcome: outcomeNotFound, after: time.Hour}},
		{"running", fmt.Errorf("job: %w", accounting.ErrJobRunning), 1, 0, false, verdict{outcome: outcomeRunning, after: 2 * time.Second}},
		{"running for ever", accounting.ErrJobRunning, 99, 8 * 24 * time.Hour, false, verdict{outcome: outcomeRunning, after: time.Hour, giveUp: true}},
		{"unauthorized", status(401, 0), 0, 0, false, verdict{outcome: outcomeRefused, after: 15 * time.Minute}},
		{"forbidden", status(403, 0), 5, 0, false, verdict{outcome: outcomeRefused, after: time.Hour}},
		{"forbidden for ever", status(403, 0), 99, 8 * 24 * time.Hour, false, verdict{outcome: outcomeRefused, after: time.Hour, giveUp: true}},
		{"too fast", status(429, 0), 0, 0, false, verdict{outcome: outcomeRateLimited, after: time.Second, slowKey: true}},
		{"too fast, wait", status(429, time.Minute), 0, 0, false, verdict{outcome: outcomeRateLimited, after: time.Minute, slowKey: true, keyPause: time.Minute}},
		{"too fast, wait for days", status(429, 99*time.Hour), 0, 0, false, verdict{outcome: outcomeRateLimited, after: 10 * time.Minute, slowKey: true, keyPause: 10 * time.Minute}},
		{"too fast, nonsense", status(429, -time.Hour), 0, 0, false, verdict{outcome: outcomeRateLimited, after: time.Second, slowKey: true}},
		{"too fast for ever", status(429, 0), 99, 99 * 24 * time.Hour, false, verdict{outcome: outcomeRateLimited, after: time.Hour, slowKey: true}},
		{"server error for ever", status(524, 0), 99, 99 * 24 * time.Hour, false, verdict{outcome: outcomeServerError, after: time.Hour, down: true}},
		{"request timeout", status(408, 0), 0, 0, false, verdict{outcome: outcomeServerError, after: time.Second, down: true}},
		{"deadline", context.DeadlineExceeded, 0, 0, false, verdict{outcome: outcomeTimeout, after: time.Second, down: true}},
		{"net timeout", timeout, 0, 99 * 24 * time.Hour, false, verdict{outcome: outcomeTimeout, after: time.Second, down: true}},
		{"no connection", errors.New("connection refused"), 2, 99 * 24 * time.Hour, false, verdict{outcome: outcomeUnreachable, after: 4 * time.Second, down: true}},
		{"another id", errOtherID, 0, 0, false, verdict{outcome: outcomeOtherID, after: time.Second}},
		{"no cost", errNoCost, 0, 0, false, verdict{outcome: outcomeNoCost, after: time.Second}},
		{"no key for ever", errNoKey, 0, 99 * 24 * time.Hour, false, verdict{outcome: outcomeNoKey, after: time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := accounting.Unsettled{ID: accounting.NewRequestID(now.Add(-c.age), 1, 2), Attempts: c.attempts, Status: accounting.StatusAwaitingKey}
			if c.settled {
				u.Status = accounting.StatusSettled
			}
			got := testPolicy.judge(&u, c.err, now, 0.5)
			assert.NotEmpty(t, got.reason)
			got.reason = ""
			assert.Equal(t, c.want, got)
		})
	}
}
