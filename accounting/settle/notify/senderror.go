package notify

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what a receiver may ask for: a message is worth little
// after a day.
const maxRetryAfter = 24 * time.Hour

// SendError is why [Channel.Send] did not deliver, or does not know that it
// did. Its text holds no secret of the channel.
type SendError struct {
	Channel string // its name

	cause      error
	permanent  bool
	retryAfter time.Duration
}

// Error names the channel and the cause.
func (e *SendError) Error() string { return "send to " + e.Channel + ": " + e.cause.Error() }

// Unwrap returns the cause, such as [context.DeadlineExceeded].
func (e *SendError) Unwrap() error { return e.cause }

// Permanent reports that the same message to the same channel will fail again
// (the URL was revoked, the password is wrong, the recipient does not exist), or
// that trying again would repeat it to those who have it.
func (e *SendError) Permanent() bool { return e.permanent }

// RetryAfter is how long the receiver asks to be left alone, from 0 (it did not
// say) to 24 hours.
func (e *SendError) RetryAfter() time.Duration { return e.retryAfter }

// retryAfter reads the header of RFC 9110, 10.2.3: seconds, or a date. Discord
// sends fractions of a second.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		return seconds(s)
	}
	if at, err := http.ParseTime(v); err == nil {
		return bounded(at.Sub(now))
	}
	return 0
}

// seconds is s as a delay, rounded up to a millisecond.
func seconds(s float64) time.Duration {
	if math.IsNaN(s) || s <= 0 {
		return 0
	}
	return bounded(time.Duration(math.Ceil(min(s, maxRetryAfter.Seconds())*1000)) * time.Millisecond)
}

func bounded(d time.Duration) time.Duration { return max(0, min(d, maxRetryAfter)) }
