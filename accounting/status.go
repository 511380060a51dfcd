package accounting

// Status is where a call's accounting stands. It is the column status of
// openrouter_usage.
type Status string

// The states of a row.
const (
	// StatusSettled: the cost is known. verified_at says whether OpenRouter's
	// own record has confirmed it.
	StatusSettled Status = "settled"
	// StatusPending: a generation came about whose exact cost is not known
	// yet; the settler is asking for it.
	StatusPending Status = "pending"
	// StatusAwaitingKey: as pending, but no replica holds the key that made
	// the call. It goes on when the same key makes another call.
	StatusAwaitingKey Status = "awaiting_key"
	// StatusUnresolved: OpenRouter has not published the generation within
	// the time allowed, or answered without a cost and without an id; an
	// operator decides.
	StatusUnresolved Status = "unresolved"
	// StatusInterrupted: Bursar died, the client left or the connection broke
	// between sending the call and learning its generation id; an operator
	// decides.
	StatusInterrupted Status = "interrupted"
	// StatusFailed: the call was answered with an error and no generation
	// came about. Nothing was billed.
	StatusFailed Status = "failed"
	// StatusDismissed: an operator has found that an undecided call was not
	// billed. It has no cost, until OpenRouter's own record says otherwise.
	StatusDismissed Status = "dismissed"
)

// Undecided reports whether a row in this state waits for an operator.
func (s Status) Undecided() bool { return s == StatusInterrupted || s == StatusUnresolved }

// CostSource says where the amount in cost_usd came from.
type CostSource string

// The sources of a cost. An unknown cost has none.
const (
	CostInline     CostSource = "inline"     // usage in the response
	CostGeneration CostSource = "generation" // GET /generation, or the polled job
)

// Status is the state in which a call's row starts, from what its last event
// knows.
func (e *Event) Status() Status {
	switch {
	case e.Usage.Cost.Known && !e.Truncated:
		return StatusSettled
	case e.GenerationID != "" || e.JobID != "":
		return StatusPending
	case e.Usage.Cost.Known:
		// Cut off, and no id to ask by: the last figure seen is all there
		// will ever be.
		return StatusSettled
	case e.Kind == Interrupted || e.HTTPStatus == 0 && (e.Cancelled || e.Truncated):
		return StatusInterrupted
	case e.HTTPStatus >= 200 && e.HTTPStatus < 300 && e.Error == "":
		// Answered, but neither a cost nor an id could be read.
		return StatusUnresolved
	default:
		return StatusFailed
	}
}
