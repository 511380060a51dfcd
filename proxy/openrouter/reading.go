package openrouter

import (
	"strconv"
	"strings"

	"bursar/accounting"
)

// Reading is what has been read from one response. Where a field was sent
// more than once the last value stands, except for ID: the first one names the
// generation.
type Reading struct {
	ID           string // the body's own id
	GenerationID string // generation_id, sent where ID names a job
	RequestID    string // request_id of an error of /messages: a generation's id or nothing
	Model        string
	Provider     string
	FinishReason string
	Status       string // of a response object or a job
	Error        string // code or type only; messages may quote a prompt
	Usage        accounting.Usage

	Stream *bool // the request's "stream", when a request body is read
	Done   bool  // the answer said itself that it is complete

	cancelled, streamed accounting.Optional[bool] // of GET /generation
	staged              accounting.Usage          // the usage object being read; counts once it is closed
}

// field is a scalar the scanner reports.
type field uint8

const (
	noField field = iota
	fieldID
	fieldGenerationID
	fieldRequestID
	fieldModel
	fieldProvider
	fieldFinishReason
	fieldStatus
	fieldType
	fieldErrorCode
	fieldErrorType
	fieldErrorString
	fieldCost
	fieldUpstreamCost
	fieldIsBYOK
	fieldPromptTokens
	fieldCompletionTokens
	fieldTotalTokens
	fieldCachedTokens
	fieldCacheWriteTokens
	fieldReasoningTokens
	fieldCancelled
	fieldStreamed
	fieldStream
)

// set takes the value of a field: the text of a string without its quotes, or
// a literal. null says nothing and changes nothing.
func (r *Reading) set(f field, value []byte, quoted bool) {
	if !quoted && string(value) == "null" {
		return
	}
	switch f {
	case fieldID:
		if r.ID == "" && quoted {
			r.ID = string(value)
		}
	case fieldGenerationID:
		keep(&r.GenerationID, value)
	case fieldRequestID:
		keep(&r.RequestID, value)
	case fieldModel:
		keep(&r.Model, value)
	case fieldProvider:
		keep(&r.Provider, value)
	case fieldFinishReason:
		keep(&r.FinishReason, value)
	case fieldStatus:
		keep(&r.Status, value)
	case fieldType:
		r.event(value)
	case fieldErrorCode:
		if r.Error == "" || r.Error == unnamedError {
			r.Error = errorName(value)
		}
	case fieldErrorType, fieldErrorString:
		if name := errorName(value); name != unnamedError || r.Error == "" {
			r.Error = name
		}
	case fieldCancelled:
		r.cancelled = optionalBool(value)
	case fieldStreamed:
		r.streamed = optionalBool(value)
	case fieldStream:
		r.Stream = optionalBool(value).Pointer()
	default:
		r.setUsage(f, value)
	}
}

func (r *Reading) setUsage(f field, value []byte) {
	u := &r.staged
	switch f {
	case fieldCost:
		u.Cost = accounting.ParseCost(string(value))
	case fieldUpstreamCost:
		u.UpstreamCost = accounting.ParseCost(string(value))
	case fieldIsBYOK:
		u.IsBYOK = optionalBool(value)
	case fieldPromptTokens:
		u.PromptTokens = count(value)
	case fieldCompletionTokens:
		u.CompletionTokens = count(value)
	case fieldTotalTokens:
		u.TotalTokens = count(value)
	case fieldCachedTokens:
		u.CachedTokens = count(value)
	case fieldCacheWriteTokens:
		u.CacheWriteTokens = count(value)
	case fieldReasoningTokens:
		u.ReasoningTokens = count(value)
	}
}

// enter and leave bracket the objects that mean something as a whole.
func (r *Reading) enter(n node) {
	switch n {
	case nodeUsage:
		r.staged = accounting.Usage{}
	case nodeError:
		if r.Error == "" {
			r.Error = unnamedError
		}
	}
}

func (r *Reading) leave(n node) {
	// A usage object counts only when it was read to its closing brace: half
	// of "0.0012" is another number.
	if n == nodeUsage || n == nodeData {
		r.Usage = r.Usage.Merge(r.staged)
		r.staged = accounting.Usage{}
	}
}

// event notes the events that end an answer (Responses, Messages, images).
func (r *Reading) event(kind []byte) {
	switch string(kind) {
	case "response.completed", "response.incomplete", "response.failed", "message_stop", "image_generation.completed":
		r.Done = true
	}
}

// keep avoids an allocation where every chunk of a stream repeats the value.
func keep(s *string, value []byte) {
	if *s != string(value) {
		*s = string(value)
	}
}

const unnamedError = "error"

// errorName keeps what looks like a code or a type. Anything else might be
// prose, and prose may quote a prompt.
func errorName(value []byte) string {
	if len(value) == 0 || len(value) > 64 {
		return unnamedError
	}
	for _, c := range value {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_-.", rune(c)) {
			return unnamedError
		}
	}
	return string(value)
}

func optionalBool(value []byte) accounting.Optional[bool] {
	switch string(value) {
	case "true":
		return accounting.Some(true)
	case "false":
		return accounting.Some(false)
	}
	return accounting.Optional[bool]{}
}

// count reads a whole number of tokens; "12.0" is one too.
func count(value []byte) accounting.Optional[int64] {
	n, err := strconv.ParseInt(strings.TrimSuffix(string(value), ".0"), 10, 64)
	if err != nil || n < 0 {
		return accounting.Optional[int64]{}
	}
	return accounting.Some(n)
}
