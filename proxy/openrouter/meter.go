package openrouter

import (
	"mime"
	"net/http"
	"strings"
	"sync"

	"bursar/accounting"
)

// Meter reads from a passing response what it says about itself. It is not
// safe for concurrent use. Its memory does not depend on the body.
type Meter struct {
	reading Reading
	stream  bool
	events  events
	json    scanner
	decoder *decoder
	first   bool // content was seen
	opaque  bool // nothing to read: audio, or an encoding we do not know
}

var meters = sync.Pool{New: func() any { return new(Meter) }}

// NewMeter returns a meter for a response with the given headers. Return it
// with [Meter.Release].
func NewMeter(header http.Header) *Meter {
	m := meters.Get().(*Meter)
	kind := mediaType(header)
	m.stream = kind == "text/event-stream"
	m.opaque = strings.HasPrefix(kind, "audio/") || strings.HasPrefix(kind, "video/") || kind == "application/octet-stream"
	m.events.json.out, m.events.json.root = &m.reading, nodeAnswer
	m.json.out, m.json.root = &m.reading, nodeAnswer
	if values := header["Content-Encoding"]; len(values) > 0 && !m.opaque {
		if encodings := contentEncodings(values); len(encodings) > 0 {
			m.decoder = newDecoder(encodings, m.read)
			m.opaque = m.decoder == nil
		}
	}
	return m
}

// Release gives the meter back for use by another call.
func (m *Meter) Release() {
	m.Close()
	*m = Meter{}
	meters.Put(m)
}

// mediaType avoids mime's parser, and its allocations, for the forms that
// OpenRouter sends.
func mediaType(header http.Header) string {
	value := header.Get("Content-Type")
	switch value {
	case "application/json", "text/event-stream":
		return value
	}
	kind, _, err := mime.ParseMediaType(value)
	if err != nil {
		kind, _, _ = strings.Cut(value, ";")
		kind = strings.ToLower(strings.TrimSpace(kind))
	}
	return kind
}

// Streamed reports whether the response is a stream of events.
func (m *Meter) Streamed() bool { return m.stream }

// Write shows the meter the next bytes of the body, as they came over the
// wire. It keeps none of them.
func (m *Meter) Write(p []byte) {
	switch {
	case m.opaque:
		m.first = m.first || len(p) > 0
	case m.decoder != nil:
		m.decoder.Write(p)
	default:
		m.read(p)
	}
}

func (m *Meter) read(p []byte) {
	if m.stream {
		m.events.Write(p)
		m.first = m.events.content
		return
	}
	m.json.Write(p)
	m.first = m.json.began
}

// SawContent reports whether the answer itself has begun, as against comments
// and white space that keep the connection alive.
func (m *Meter) SawContent() bool { return m.first }

// Close ends the body: what a decompressor still held is read.
func (m *Meter) Close() {
	if m.decoder != nil {
		m.decoder.Close()
		m.decoder = nil
	}
}

// Reading is what is known so far.
func (m *Meter) Reading() *Reading { return &m.reading }

// RequestScanner reads from a passing request body what the accounting wants
// to know: the model asked for, and whether a stream was.
type RequestScanner struct {
	reading Reading
	json    scanner
}

// Write shows the scanner the next bytes of the body. It cannot fail.
func (s *RequestScanner) Write(p []byte) {
	if s.json.out == nil {
		s.json.out, s.json.root = &s.reading, nodeRequest
	}
	s.json.Write(p)
}

// Model is the body's "model", cleaned like a tag, since a client wrote it.
func (s *RequestScanner) Model() string {
	model, _ := accounting.CleanTag(s.reading.Model)
	return model
}

// GenerationOf says which generation the answer to a call of class c is, from
// the X-Generation-Id header, which always wins, and the body.
func (r *Reading) GenerationOf(c Class, header string) string {
	switch {
	case header != "":
		return header
	case c.CreatesJob:
		return r.GenerationID
	case isGenerationID(r.ID), c.Known && r.ID != "" && r.Error == "":
		return r.ID
	case isGenerationID(r.RequestID):
		return r.RequestID
	}
	return ""
}

func isGenerationID(id string) bool { return strings.HasPrefix(id, "gen-") }

// JobOutcome reports how the job ended: with a charge, without one (failed), or
// not at all yet. A cost that is sent while the job runs is not its bill.
func (r *Reading) JobOutcome() (ended, failed bool) {
	switch r.Status {
	case "failed", "cancelled", "canceled", "expired":
		return true, !r.Usage.Cost.Known
	case "", "completed", "succeeded":
		return r.Usage.Cost.Known, false
	}
	return false, false
}
