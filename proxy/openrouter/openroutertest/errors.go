package openroutertest

import (
	"cmp"
	"net/http"
	"strconv"
	"time"
)

// apiError is an error as OpenRouter words it.
type apiError struct {
	status   int
	kind     string // metadata.error_type
	message  string
	metadata object // beside error_type
}

// errorKinds are the documented names of statuses. A status that is not among
// them is an unmapped one.
var errorKinds = map[int]struct{ kind, anthropic, message string }{
	400: {"invalid_request", "invalid_request_error", "Input required: specify \"prompt\" or \"messages\""},
	401: {"authentication", "authentication_error", "No cookie auth credentials found"},
	402: {"payment_required", "billing_error", "Insufficient credits. Add more using https://openrouter.ai/settings/credits"},
	403: {"permission_denied", "permission_error", "Your chosen model requires moderation and your input was flagged"},
	404: {"not_found", "not_found_error", "No endpoints found that meet the constraints of the request"},
	408: {"timeout", "timeout_error", "Request timed out"},
	413: {"payload_too_large", "request_too_large", "Request entity too large"},
	422: {"unprocessable", "invalid_request_error", "The request is well-formed but cannot be processed"},
	429: {"rate_limit_exceeded", "rate_limit_error", "Rate limit exceeded: free-models-per-min"},
	500: {"server", "api_error", "Internal Server Error"},
	502: {"provider_unavailable", "api_error", "Provider returned error"},
	503: {"provider_overloaded", "overloaded_error", "There is no available model provider that meets your routing requirements"},
	504: {"timeout", "timeout_error", "Upstream timed out"},
	524: {"timeout", "timeout_error", "Provider timed out at the edge"},
	529: {"provider_overloaded", "overloaded_error", "Provider overloaded"},
}

func newError(status int, message string) *apiError {
	known := errorKinds[status]
	return &apiError{
		status:  status,
		kind:    cmp.Or(known.kind, "unmapped"),
		message: cmp.Or(message, known.message, http.StatusText(status), "Unknown error"),
	}
}

// anthropicKind is the error's type on the messages endpoint.
func (e *apiError) anthropicKind() string {
	return cmp.Or(errorKinds[e.status].anthropic, "api_error")
}

// envelope is the error as chat and most other endpoints answer it.
func (e *apiError) envelope() object {
	return object{{"error", e.chatError()}, {"user_id", "user_2fakeAccount"}}
}

// chatError is the member "error" of envelope and of a chat stream's last chunk.
func (e *apiError) chatError() object {
	metadata := object{{"error_type", e.kind}}.with(e.metadata...)
	return object{{"code", e.status}, {"message", e.message}, {"metadata", metadata}}
}

// refuse answers a request with the error that its Behavior asks for, in the
// endpoint's envelope. No generation comes about.
func (c *call) refuse() {
	b := &c.b
	if b.ErrorID {
		c.w.Header().Set("X-Generation-Id", newID("gen-", c.started))
	}
	if b.HTML {
		cloudflarePage(c.w, cmp.Or(b.Status, 403))
		return
	}
	e := newError(b.Status, b.ErrorMessage)
	c.limitHeaders(e)
	c.fail(e)
}

// limitHeaders adds to e and the headers what 402, 429 and 503 bring along.
func (c *call) limitHeaders(e *apiError) {
	h := c.w.Header()
	wait := c.b.RetryAfter
	switch e.status {
	case 402:
		source := "openrouter_credits"
		if wait > 0 { // only the in-flight budget passes by waiting
			source = "openrouter_in_flight_budget"
			e.metadata = object{{"reason", "in_flight_budget_exhausted"}}
		}
		e.metadata = e.metadata.with(member{"limit_source", source})
	case 429:
		reset := strconv.FormatInt(c.started.Add(time.Minute).UnixMilli(), 10)
		limits := object{{"X-RateLimit-Limit", "20"}, {"X-RateLimit-Remaining", "0"}, {"X-RateLimit-Reset", reset}}
		for _, l := range limits {
			h.Set(l.key, l.value.(string))
		}
		e.metadata = object{{"headers", limits}, {"provider_name", nil}}
		wait = cmp.Or(wait, 2*time.Second)
	case 502, 529:
		e.metadata = object{{"provider_name", "Anthropic"}, {"provider_code", "overloaded_error"}}
	case 503:
		wait = cmp.Or(wait, 2*time.Second)
	}
	if wait > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	}
}

// fail writes an error in the endpoint's envelope.
func (c *call) fail(e *apiError) {
	writeJSON(c.w, e.status, c.skin.errorBody(c, e))
}

// cloudflarePage is what the edge answers by itself.
func cloudflarePage(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(status)
	page := "<!DOCTYPE html>\n<html lang=\"en-US\">\n<head><title>Attention Required! | Cloudflare</title></head>\n" +
		"<body><h1>Error " + strconv.Itoa(status) + "</h1><p>Ray ID: " + w.Header().Get("CF-RAY") + "</p></body>\n</html>\n"
	_, _ = w.Write([]byte(page)) // the client may have left
}

// writeJSON writes a small document of an endpoint without a generation.
func writeJSON(w http.ResponseWriter, status int, doc object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(doc.bytes()) // the client may have left
}
