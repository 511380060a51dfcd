package settle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"bursar/accounting"
)

// backoff is the waiting time between tries of one thing: it doubles from
// first up to most.
type backoff struct {
	first, most time.Duration
}

// delay is how long to wait after try number n failed, counted from 0. random,
// in [0, 1), spreads it by a fifth to either side, so that rows that failed
// together do not come back together. It never exceeds most.
func (b backoff) delay(n int, random float64) time.Duration {
	d := b.most
	// A shift of 40 bits takes even a millisecond beyond any sensible bound,
	// and stays clear of overflow.
	if n = max(n, 0); n < 40 && b.first <= b.most>>n {
		d = b.first << n
	}
	return min(time.Duration(float64(d)*(0.8+0.4*random)), b.most)
}

// outcome is how one lookup ended: the label of bursar_settler_attempts_total.
type outcome string

const (
	outcomeSettled     outcome = "settled"      // a missing cost is known now
	outcomeVerified    outcome = "verified"     // an inline cost was confirmed
	outcomeMismatch    outcome = "mismatch"     // an inline cost was corrected
	outcomeFailed      outcome = "failed"       // the job ended without a charge
	outcomeNotFound    outcome = "not_found"    // 404: not published yet
	outcomeRunning     outcome = "running"      // the job has not ended
	outcomeNoCost      outcome = "no_cost"      // a record, but no amount in it
	outcomeOtherID     outcome = "other_id"     // a record of another generation
	outcomeRateLimited outcome = "rate_limited" // 429
	outcomeRefused     outcome = "refused"      // 401, 403 and other 4xx
	outcomeServerError outcome = "server_error" // 5xx
	outcomeTimeout     outcome = "timeout"
	outcomeUnreachable outcome = "unreachable" // no answer came
	outcomeNoKey       outcome = "no_key"      // the key was let go since the claim
	outcomeStoreError  outcome = "store_error" // looked up, but not written
)

// The ways in which an answer without an error can still be none.
var (
	errOtherID = errors.New("the answer is the record of another generation")
	errNoCost  = errors.New("the record holds no cost")
	errNoKey   = errors.New("the key is no longer held")
)

// policy says what follows a lookup that brought no cost. It is pure: time and
// chance are parameters.
type policy struct {
	retry       backoff       // 404, 5xx and everything else that passes
	refused     backoff       // 401, 403: a key rarely gets its rights back
	retryAfter  time.Duration // upper bound of an obeyed Retry-After
	giveUpAfter time.Duration // since the call's start
}

// verdict is the policy's answer.
type verdict struct {
	outcome  outcome
	reason   string        // for settle_error; never quotes an answer
	giveUp   bool          // the row is for an operator now
	after    time.Duration // else: until the next lookup of this row
	slowKey  bool          // the key is asked too often
	keyPause time.Duration // how long OpenRouter wants the key to rest; 0: it did not say
	down     bool          // the endpoint itself is in trouble, not this row
}

// judge decides what happens to row u after a lookup at the time now ended
// with err, which is not nil. random is in [0, 1).
//
// Only an answer about this very generation (not there, not yours, no cost in
// it) can end in giving up; trouble of the endpoint or of the network says
// nothing about the row, however long it lasts. A verification is never given
// up here: it runs into its age limit instead.
func (p policy) judge(u *accounting.Unsettled, err error, now time.Time, random float64) verdict {
	v := classify(err)
	switch v.outcome {
	case outcomeRefused:
		v.after = p.refused.delay(u.Attempts, random)
	case outcomeRateLimited:
		v.keyPause = min(v.keyPause, p.retryAfter)
		v.after = max(p.retry.delay(u.Attempts, random), v.keyPause)
	default:
		v.after = p.retry.delay(u.Attempts, random)
	}
	switch v.outcome {
	case outcomeNotFound, outcomeRunning, outcomeNoCost, outcomeOtherID, outcomeRefused:
		v.giveUp = u.Missing() && now.Sub(u.ID.Time()) >= p.giveUpAfter
	}
	return v
}

// classify names the error of a lookup.
func classify(err error) verdict {
	var answered *accounting.LookupError
	var timeout net.Error
	switch {
	case errors.As(err, &answered):
		return classifyStatus(answered)
	case errors.Is(err, accounting.ErrJobRunning):
		return verdict{outcome: outcomeRunning, reason: err.Error()}
	case errors.Is(err, errOtherID):
		return verdict{outcome: outcomeOtherID, reason: errOtherID.Error()}
	case errors.Is(err, errNoCost):
		return verdict{outcome: outcomeNoCost, reason: errNoCost.Error()}
	case errors.Is(err, errNoKey):
		return verdict{outcome: outcomeNoKey, reason: errNoKey.Error()}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return verdict{outcome: outcomeTimeout, reason: "the lookup timed out", down: true}
	default:
		return verdict{outcome: outcomeUnreachable, reason: "the lookup got no readable answer", down: true}
	}
}

// classifyStatus names an error status.
func classifyStatus(e *accounting.LookupError) verdict {
	switch status := e.Status; {
	case status == http.StatusNotFound:
		return verdict{outcome: outcomeNotFound, reason: "not published yet (status 404)"}
	case status == http.StatusTooManyRequests:
		return verdict{
			outcome: outcomeRateLimited, reason: "asked too often (status 429)",
			slowKey: true, keyPause: max(e.RetryAfter, 0),
		}
	case status >= 500, status == http.StatusRequestTimeout:
		return verdict{outcome: outcomeServerError, reason: fmt.Sprintf("the endpoint is in trouble (status %d)", status), down: true}
	default:
		return verdict{outcome: outcomeRefused, reason: fmt.Sprintf("the lookup was refused (status %d)", status)}
	}
}
