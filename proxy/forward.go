package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
)

// exchange sends the call upstream and its answer back. It does for the
// requests that Bursar sees what httputil.ReverseProxy does, with what that
// leaves to hooks in its place: see docs/decisions/0013. r is the call's own
// copy of the client's request.
func (h *Handler) exchange(c *call, r *http.Request) {
	if isWebSocket(r.Header) {
		h.upgrades.ServeHTTP(&c.writer, r)
		return
	}
	early := earlyAnswers{to: &c.writer, expected: r.Header["Expect"] != nil, over: !r.ProtoAtLeast(1, 1)} // HTTP/1.0 knows none
	trace := &httptrace.ClientTrace{Got1xxResponse: early.pass}
	if len(c.gathered) > 0 {
		trace.GotConn = holdHeaders
	}
	c.Context = httptrace.WithClientTrace(c.Context, trace)
	if body := h.outgoing(c, r); body != nil {
		defer body.end()
	}
	response, err := h.transport.RoundTrip(r)
	early.end()
	if err != nil {
		h.upstreamFailed(c, err)
		return
	}
	if response.StatusCode < http.StatusOK {
		if response.StatusCode == http.StatusSwitchingProtocols {
			c.receive(response)
		}
		_ = response.Body.Close()
		h.upstreamFailed(c, errors.New("OpenRouter switched protocols unasked, or sent no status of HTTP"))
		return
	}
	removeHopByHop(response.Header)
	if response.StatusCode == http.StatusNotModified {
		// Its length is that of what the client has. HTTP/2's client takes it for
		// that of a body, and misses that.
		_ = response.Body.Close()
		response.Body = http.NoBody
	}
	c.receive(response)
	c.relay(response, r)
}

// outgoing makes r the request that goes upstream. The body that is returned
// has to be ended when the call is over; nil: there is none that matters.
func (h *Handler) outgoing(c *call, r *http.Request) *clientBody {
	in := r.Header
	header := make(http.Header, len(in)+2)
	for name, values := range in {
		if !keptBack[name] && !isMeta(name) {
			header[name] = values
		}
	}
	removeNamed(header, in["Connection"])
	if hasToken(in["Te"], "trailers") {
		header["Te"] = teTrailers
	}
	if _, ok := header["User-Agent"]; !ok {
		header["User-Agent"] = noUserAgent // or the transport would send its own
	}
	h.setCredentials(header)
	addVia(header, r)
	r.URL = h.target.url(c.requestURI, r.URL)
	r.Host, r.Header, r.Close = h.target.host, header, false
	c.sent = false
	return setBody(c, r, in)
}

// setBody puts the body in place. The transport closes bodies before the call
// is over and reads them after it, neither of which net/http's own would bear.
func setBody(c *call, r *http.Request, in http.Header) *clientBody {
	if r.ContentLength == 0 {
		r.Body = nil // the transport would look into another one for its first byte
	}
	switch {
	case c.gathered != nil:
		// In a form that the transport knows to be in memory: it sends such a
		// one with the headers, in one write.
		r.Body = io.NopCloser(bytes.NewReader(c.gathered))
	case r.Body != nil:
		// Without full duplex the server closes the body when the answer starts,
		// which breaks an upload that is still under way (golang/go#40747).
		_ = c.writer.control.EnableFullDuplex()
		c.body = &clientBody{source: r.Body, multiplexed: r.ProtoMajor > 1}
		r.Body = c.body
		return c.body
	case isIdempotent(in):
		// The transport may send a request again that has no body and such a
		// key, and OpenRouter would bill twice. It does not if there might be
		// one.
		r.Body = io.NopCloser(io.LimitReader(nil, 0))
	}
	return nil
}

// clientBody is a body that is still on its way from the client. Only the
// server closes the connection's own.
type clientBody struct {
	source      io.ReadCloser
	multiplexed bool        // over HTTP/2, where closing it ends a Read and leaves the connection
	read        atomic.Bool // to its end
	over        atomic.Bool
}

var errCallOver = errors.New("read of the body of a call that is over")

// Read passes on the next bytes, as long as the call lasts.
func (b *clientBody) Read(p []byte) (int, error) {
	if b.over.Load() {
		return 0, errCallOver
	}
	n, err := b.source.Read(p)
	if err != nil {
		b.read.Store(true)
	}
	return n, err
}

// Close ends the reading. Over HTTP/1 it leaves the source as it is, and a Read
// that waits for the client does so still.
func (b *clientBody) Close() error {
	b.end()
	if b.multiplexed {
		return b.source.Close()
	}
	return nil
}

// isUnread reports whether the client has still to send, and OpenRouter to get.
func (b *clientBody) isUnread() bool { return b != nil && !b.read.Load() }

// mayWait reports whether somebody may be reading who cannot be called back.
func (b *clientBody) mayWait() bool { return b.isUnread() && !b.multiplexed }

func (b *clientBody) end() { b.over.Store(true) }

// earlyAnswers passes 1xx answers on, which the transport reports from a
// goroutine of its own, until the answer proper is there.
type earlyAnswers struct {
	to       *responseWriter
	expected bool // the client awaits a 100, which the server sends as its body is read

	mu   sync.Mutex
	over bool
}

func (e *earlyAnswers) pass(status int, header textproto.MIMEHeader) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over || e.expected && status == http.StatusContinue {
		return nil
	}
	to := e.to.Header()
	addHeader(to, http.Header(header))
	e.to.WriteHeader(status)
	clear(to) // the server does not, and they are not the final answer's
	return nil
}

func (e *earlyAnswers) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
}

// hopByHop are the headers that belong to one connection: RFC 9110, section
// 7.6.1, and what clients and older proxies send beside them.
var hopByHop = [...]string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// keptBack are the request headers that do not go upstream, besides those of
// metadata.
var keptBack = func() map[string]bool {
	names := map[string]bool{"Http2-Settings": true} // of an offer of h2c
	for _, name := range hopByHop {
		names[name] = true
	}
	for _, tag := range tagHeaders {
		names[tag.header] = true
	}
	return names
}()

// Values that many requests share: nobody adds to them.
var (
	teTrailers  = []string{"trailers"}
	noUserAgent = []string{""}
)

func removeHopByHop(header http.Header) {
	removeNamed(header, header["Connection"])
	for _, name := range hopByHop {
		delete(header, name)
	}
}

// removeNamed deletes the headers that the values of Connection name.
func removeNamed(header http.Header, connection []string) {
	for _, value := range connection {
		for name := range strings.SplitSeq(value, ",") {
			if name = textproto.TrimString(name); name != "" {
				header.Del(name)
			}
		}
	}
}

// addHeader adds all values of one header to another. Those that the other has
// none of are shared, not copied.
func addHeader(to, from http.Header) {
	for name, values := range from {
		if has, ok := to[name]; ok {
			values = append(has[:len(has):len(has)], values...)
		}
		to[name] = values
	}
}

// hasToken reports whether a list of tokens has one, whatever its case.
func hasToken(values []string, token string) bool {
	for _, value := range values {
		for element := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(textproto.TrimString(element), token) {
				return true
			}
		}
	}
	return false
}

// isWebSocket reports whether the client wants to change to the one protocol
// that is passed on.
func isWebSocket(header http.Header) bool {
	return header["Upgrade"] != nil && hasToken(header["Connection"], "Upgrade") && strings.EqualFold(header.Get("Upgrade"), "websocket")
}
