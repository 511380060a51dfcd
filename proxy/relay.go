package proxy

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// flushLag is how long the bytes of an answer of known length may wait for its
// end, so that a short one goes out in one write. Everything else is flushed at
// every read: events, and answers of unknown length, which OpenRouter's JSON is
// (it trickles white space while a model thinks).
const flushLag = time.Millisecond

// relay sends the answer on to the client. It panics with
// [http.ErrAbortHandler], which cuts the client's connection, if the answer
// breaks off: what came of it must not look whole.
func (c *call) relay(response *http.Response, r *http.Request) {
	header := c.writer.Header()
	addHeader(header, response.Header)
	announced := len(response.Trailer)
	if announced > 0 {
		names := make([]string, 0, announced)
		for name := range response.Trailer {
			names = append(names, name)
		}
		header.Add("Trailer", strings.Join(names, ", "))
	}
	c.writer.WriteHeader(response.StatusCode)
	err := c.copyBody(response)
	_ = response.Body.Close()
	if err != nil {
		c.handler.opts.Logger.Debug().Err(err).Msg("an answer did not reach its client whole")
		if r.Context().Value(http.ServerContextKey) != nil {
			c.writer.breakOff(r)
			panic(http.ErrAbortHandler)
		}
		return // not under a server, which alone would expect that
	}
	if len(response.Trailer) > 0 {
		// Before the end is known to the server, which would otherwise give a
		// short answer a length in place of trailers.
		_ = c.writer.FlushError()
	}
	if len(response.Trailer) == announced {
		setTrailers(header, response.Trailer)
		return
	}
	for name, values := range response.Trailer {
		header[http.TrailerPrefix+name] = values
	}
}

// setTrailers puts the announced trailers in place of headers of their names,
// which are out. One that did not come must not be there at all: the server's
// HTTP/2 would wait for its values, and never end the stream.
func setTrailers(header, trailers http.Header) {
	for name, values := range trailers {
		if len(values) == 0 {
			delete(header, name)
		} else {
			header[name] = values
		}
	}
}

// copyBody copies until the end, and returns what kept it from coming there.
func (c *call) copyBody(response *http.Response) (broken error) {
	w, events := &c.writer, isEvents(response)
	w.beginRelay(events || response.ContentLength < 0)
	defer func() { w.endRelay(broken == nil) }()
	buffers := &bodyCopies
	if events {
		buffers = &eventCopies
	}
	pooled := buffers.Get().(*[]byte)
	defer buffers.Put(pooled)
	a, buf := c.answer, *pooled
	unseen := buf[:0] // by the meter, though the client has it
	defer func() { a.observe(unseen) }()
	for {
		start := len(unseen)
		n, err := a.read(buf[start:])
		unseen = buf[:start+n]
		if !events || !a.noted || len(buf)-len(unseen) < eventRoom {
			a.observe(unseen)
			unseen = buf[:0]
		}
		if n > 0 {
			if err := w.relay(buf[start : start+n]); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}

// eventRoom is how much room of a buffer the next read of a stream wants at the
// least. Until there is less, the meter waits for more: with many streams its
// state has left the processor's cache since the last event, and ten events at
// once fetch it as one would.
const eventRoom = 1 << 10

// Every open answer holds a buffer. The events of a stream have a few hundred
// bytes each: at 32 kB a thousand streams would hold 28 MB more for nothing.
var eventCopies, bodyCopies = copyBuffers(4 << 10), copyBuffers(8 << 10)

func copyBuffers(size int) sync.Pool {
	return sync.Pool{New: func() any { b := make([]byte, size); return &b }}
}

func isEvents(response *http.Response) bool {
	kind, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}
