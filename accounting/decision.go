package accounting

import (
	"encoding/json"
	"errors"
	"time"
)

// ErrUnknownCall is the answer to a [RequestID] of which there is no row.
var ErrUnknownCall = errors.New("there is no call with that id")

// MaxReasonBytes bounds the reason of a [Decision], UTF-8.
const MaxReasonBytes = 500

// Decision is what a person decides about a call whose accounting cannot go on
// by itself (see [Status.Undecided]).
type Decision struct {
	Call   RequestID
	Actor  string // who decides, for the audit log
	Reason string // why, in the person's own words; at most MaxReasonBytes
}

// DecisionError says that a decision does not fit what is recorded: the call is
// settled already, say, or the generation is another call's.
type DecisionError struct {
	Reason string // a sentence for whoever decides
}

// Error is the reason.
func (e *DecisionError) Error() string { return e.Reason }

// AuditEntry is one thing that a person changed in the records.
type AuditEntry struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
	Action  string    `json:"action"`  // what was done, e.g. call.dismiss
	Subject string    `json:"subject"` // to what, e.g. usage/01a2…
	Reason  *string   `json:"reason"`  // in the actor's own words; null: none was given

	// Before and After are the columns that changed, as JSON objects.
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
}

// The actions of an audit log.
const (
	ActionAttachGeneration = "call.attach_generation"
	ActionDismiss          = "call.dismiss"
)

// UsageSubject is how the audit log names a call.
func UsageSubject(id RequestID) string { return "usage/" + id.String() }

// AuditFilter says which entries of the audit log are wanted.
type AuditFilter struct {
	Subject string // empty: all
	Limit   int    // entries of the page, 1 to MaxUsageRows
	Cursor  string // NextCursor of the page before; empty: the newest entries
}

// AuditPage is one page of the audit log, the newest entry first.
type AuditPage struct {
	Entries    []AuditEntry
	NextCursor string // of the next, older page; empty: this is the last one
}
