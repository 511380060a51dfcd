package proxy

import (
	"cmp"
	"encoding/json"
	"errors"
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
	answer := refusal{status: http.StatusBadGateway, kind: "provider_unavailable",
		message: "Bursar could not reach OpenRouter: the connection failed before the request was sent"}
	c.event.Error = "upstream_unreachable"
	var timeout net.Error
	switch {
	case c.isCut():
		c.event.Error, answer = cutError, cutUnanswered
	case c.left.Load():
		c.event.Error = "client_left"
	case c.sent && errors.As(err, &timeout) && timeout.Timeout():
		c.event.Error = "upstream_timeout"
		answer = refusal{status: http.StatusGatewayTimeout, kind: "timeout",
			message: "OpenRouter sent no answer in the time allowed (BURSAR_UPSTREAM_RESPONSE_HEADER_TIMEOUT); it may still run and bill the request"}
	case c.sent:
		c.event.Error = "upstream_broken"
		answer.message = "OpenRouter broke off the connection before it answered; it may still run and bill the request"
	}
	h.metrics.upstreamErrors.WithLabelValues(c.event.Error).Inc()
	c.finish()
	c.refuse(answer)
}
