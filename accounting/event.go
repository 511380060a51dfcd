package accounting

import "time"

// Kind says which step of a call's life an [Event] records.
type Kind uint8

// The kinds of events. Their numbers are part of the journal's format.
const (
	// Opened is recorded before a billable request goes upstream.
	Opened Kind = 1
	// Identified is recorded as soon as the generation's id is known, before
	// the bytes that hold it reach the client.
	Identified Kind = 2
	// Closed is recorded once, when the response body is closed. It repeats
	// everything that Opened and Identified said, so it stands alone.
	Closed Kind = 3
	// Polled is the answer to a GET of an asynchronous job (a video, a batch).
	// It completes the row of the call that created the job, found by JobID.
	Polled Kind = 4
	// Interrupted is never written by the proxy: the journal makes it on
	// recovery from an Opened (and Identified) without a Closed.
	Interrupted Kind = 5
	// Refused is recorded for a call that the guard blocked: nothing went
	// upstream, and it makes a row of budget_decisions only. It may stand for
	// several calls that were blocked alike.
	Refused Kind = 6
)

// Event is one step in the life of one call. Which fields are set depends on
// its Kind; the zero value of a field means that the step did not know it.
//
// An Event never holds a prompt, a completion or a key.
type Event struct {
	Kind Kind
	ID   RequestID // of the call; for Polled, of the polling request

	Tags           Tags
	KeyFingerprint string // see [Fingerprint]; empty when the call carried no key
	Endpoint       string // request path without query, e.g. /api/v1/chat/completions
	RequestedModel string // the body's "model"

	GenerationID string // gen-…, from X-Generation-Id or the body
	JobID        string // of an asynchronous job, from the body or the polled path

	Model        string // the model that served
	Provider     string
	HTTPStatus   int // 0: no response came
	FinishReason string
	Error        string // OpenRouter's error code or type, or ours; never its message, which may quote a prompt
	Usage        Usage

	Duration         time.Duration           // request in to body closed
	TimeToFirstToken Optional[time.Duration] // request in to first byte of content
	Streamed         bool                    // answered as server-sent events
	Cancelled        bool                    // the client left before the answer was complete
	Truncated        bool                    // the answer broke off, or none came to a call that was sent: usage in it may not be final

	// Decision is the guard's, on Opened, Closed, Interrupted and Refused; nil:
	// no budget applied, or the call is not billable. Whoever has the event may
	// read it, nobody writes to it.
	Decision *BudgetDecision
}

// CreatedAt is the start of the call.
func (e *Event) CreatedAt() time.Time { return e.ID.Time() }
