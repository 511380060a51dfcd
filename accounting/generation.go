package accounting

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Generation is OpenRouter's own record of a generation (GET /generation), or
// the final state of a polled job: the figure that the bill is made from.
type Generation struct {
	ID           string
	Model        string
	Provider     string
	FinishReason string
	Cancelled    Optional[bool]
	Streamed     Optional[bool]
	Usage        Usage // Cost is total_cost; tokens are the native_* ones
	Failed       bool  // a job that ended without a result and without a charge
}

// ErrJobRunning is the answer of a lookup to which an asynchronous job has not
// ended yet.
var ErrJobRunning = errors.New("the job is still running")

// LookupError is a lookup that OpenRouter answered with an error status.
type LookupError struct {
	Status     int           // HTTP status: 404 not published yet, 429 too fast, 401 and 403 a key that may not
	RetryAfter time.Duration // as the answer asks; 0: it did not say
}

// Error names the status.
func (e *LookupError) Error() string {
	return fmt.Sprintf("OpenRouter answered the lookup with status %d", e.Status)
}

// Fingerprint is the hex SHA-256 of an OpenRouter key: how a key is named
// wherever it must not stand itself. OpenRouter uses the same form (the hash
// of GET /keys), so the two can be matched.
func Fingerprint(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}
