package proxy

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
)

// refusal is an answer of our own, in the envelope of the endpoint that was
// called, so that a client's error handling works as it does with OpenRouter.
type refusal struct {
	status  int
	kind    string // OpenRouter's error_type vocabulary
	message string

	source   string         // what limits the call; empty: Bursar itself
	metadata map[string]any // more about that
	final    bool           // sending the call again is of no use
}

// unrecorded refuses a call whose opening nobody has.
var unrecorded = refusal{status: http.StatusServiceUnavailable, kind: "provider_overloaded",
	message: "Bursar can record this call neither in its journal, which is full or fails, nor in Postgres, and BURSAR_JOURNAL_WHEN_FULL=refuse, or a hard budget, lets no unrecorded call pass. " +
		"Nothing was sent to OpenRouter: the call may be sent again once there is room on the journal's disk (or below BURSAR_JOURNAL_MAX_BYTES) or Postgres answers"}

// refuse writes a refusal. Nothing went upstream, or nothing came back.
func (c *call) refuse(r refusal) {
	body, err := json.Marshal(r.envelope(c.class.Name == "messages"))
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	header := c.writer.Header()
	c.writer.own(header)
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.final {
		header.Set("X-Should-Retry", "false") // the SDKs of OpenAI and Anthropic obey it
	}
	c.writer.WriteHeader(r.status)
	_, _ = c.writer.Write(body)
}

func (r refusal) envelope(anthropic bool) any {
	about := map[string]any{"error_type": r.kind}
	maps.Copy(about, r.metadata)
	if r.source != "" {
		about["limit_source"] = r.source
	}
	if anthropic {
		about["type"], about["message"] = r.kind, r.message
		return map[string]any{"type": "error", "error": about, "request_id": nil}
	}
	about["limit_source"] = cmp.Or(r.source, limitBursar)
	return map[string]any{"error": map[string]any{"code": r.status, "message": r.message, "metadata": about}}
}

// upstreamFailed answers a call that got no answer. It runs before any byte
// went to the client.
func (h *Handler) upstreamFailed(c *call, err error) {
	if c.writer.wrote {
		return // an upgrade that failed half-way: there is nobody left to tell
	}
	name, answer := c.failure(err)
	c.event.Error = name
	h.metrics.upstreamErrors.WithLabelValues(name).Inc()
	c.finish()
	c.refuse(answer)
}

// failure says why the call got no answer: a name for its event, and what its
// client is told.
func (c *call) failure(err error) (name string, answer refusal) {
	answer = refusal{status: http.StatusBadGateway, kind: "provider_unavailable",
		message: "Bursar could not reach OpenRouter: the connection failed before the request was sent"}
	var timeout net.Error
	switch {
	case c.isCut():
		return cutError, cutUnanswered
	case c.request.gaveUp():
		// Before what follows from it: the error is a timeout, and over HTTP/1 the
		// server takes the client for gone.
		return "client_stalled", refusal{status: http.StatusRequestTimeout, kind: "timeout",
			message: fmt.Sprintf("the client sent nothing of its request's body for %s (BURSAR_PROXY_CLIENT_STALL_TIMEOUT), and Bursar gave the call up; OpenRouter got no whole request", c.handler.opts.ClientStallTimeout)}
	case c.left.Load():
		return "client_left", answer
	case !c.sent && isDeclined(err):
		answer.message = "OpenRouter declined the request before it looked at it (HTTP/2 REFUSED_STREAM or GOAWAY), and Bursar could not send it again by itself: nothing was billed, and the call may be sent once more"
		return "upstream_unreachable", answer
	case !c.sent:
		return "upstream_unreachable", answer
	case errors.As(err, &timeout) && timeout.Timeout():
		return "upstream_timeout", refusal{status: http.StatusGatewayTimeout, kind: "timeout",
			message: "OpenRouter sent no answer in the time allowed (BURSAR_UPSTREAM_RESPONSE_HEADER_TIMEOUT); it may still run and bill the request"}
	}
	answer.message = "OpenRouter broke off the connection before it answered; it may still run and bill the request"
	return "upstream_broken", answer
}
