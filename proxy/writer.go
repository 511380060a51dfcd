package proxy

import (
	"crypto/tls"
	"io"
	"net/http"
	"sync"
	"time"

	"bursar/accounting"
)

// responseWriter passes everything on. It marks what is ours on the answer,
// and cuts a client that stops reading: a write deadline is set again with
// each write, so it never ends a stream that moves.
type responseWriter struct {
	http.ResponseWriter

	// What each chunk of a stream needs stands together, so that it is fetched
	// together: with many streams it has left the cache since the last one.
	mu        sync.Mutex // a delayed flush comes from a goroutine of its own
	flush     interface{ FlushError() error }
	now       func() time.Time
	stall     time.Duration
	deadline  time.Time // of the last write; zero: none was set
	unflushed int       // bytes that the server may keep back
	atOnce    bool      // every write of the answer is flushed
	pending   bool      // something waits for lag to flush it
	lag       *time.Timer
	renewal   *time.Timer // over HTTP/2, of the deadline
	over      bool        // the call is, and the server's writer no longer ours

	multiplexed bool // over HTTP/2

	control  *http.ResponseController
	call     *call
	status   int
	wrote    bool
	headerAt time.Time
}

func (w *responseWriter) wrap(inner http.ResponseWriter, r *http.Request, c *call) {
	w.ResponseWriter, w.control, w.call = inner, http.NewResponseController(inner), c
	w.multiplexed = r.ProtoMajor > 1
	w.now, w.stall = c.handler.opts.Now, c.handler.opts.ClientStallTimeout
	w.flush, _ = inner.(interface{ FlushError() error })
}

// own adds our headers. They are set on the answer's own headers, since a 1xx
// answer clears those that stand on the writer.
func (w *responseWriter) own(header http.Header) {
	header[requestIDHeader] = []string{w.call.event.ID.String()}
	for _, name := range [...]string{verdictHeader, modelHeader, boundHeader, experimentHeader} {
		delete(header, name)
	}
	if !w.call.class.Billable || w.call.Context == nil {
		return
	}
	d := w.call.event.Decision
	if d == nil {
		header[verdictHeader] = verdictAllowed
		return
	}
	header[verdictHeader] = []string{string(d.Verdict)}
	if d.Experiment != "" {
		header[experimentHeader] = []string{d.Experiment + "/" + d.Arm}
	}
	if d.Verdict == accounting.VerdictBlocked {
		return
	}
	if model := d.SentModel(); model != "" {
		header[modelHeader] = []string{model}
	}
	if d.BoundBy == accounting.BoundProvider {
		header[boundHeader] = []string{string(d.BoundBy)}
	}
}

// verdictAllowed is shared by all answers: nobody adds to our headers.
var verdictAllowed = []string{string(accounting.VerdictAllowed)}

// Unwrap is for http.ResponseController.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// FlushError flushes the connection.
func (w *responseWriter) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flushNow()
}

func (w *responseWriter) flushNow() error {
	w.extendDeadline()
	w.unflushed = 0
	if w.flush == nil {
		return w.control.Flush() // which looks behind what wraps the server's own writer
	}
	return w.flush.FlushError()
}

// WriteHeader keeps net/http from guessing a Content-Type that OpenRouter did
// not send.
func (w *responseWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		header := w.ResponseWriter.Header()
		if _, ok := header["Content-Type"]; !ok {
			header["Content-Type"] = nil
		}
		if w.call.request.isStalled() || w.call.body.mayWait() {
			// The rest of the body is in the next request's way. In full duplex
			// the server does not say so, and then fails in reading both at once.
			header["Connection"] = []string{"close"}
		}
		w.status, w.wrote = status, true
		w.headerAt = w.call.handler.opts.Now()
	} else {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.extendDeadline()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *responseWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.willWrite(p)
	return w.ResponseWriter.Write(p)
}

// serverBuffer is less than what the server keeps back of an answer, its headers
// included, until there is more or it is flushed: so much needs no deadline.
const serverBuffer = 2 << 10

func (w *responseWriter) willWrite(p []byte) {
	if w.unflushed += len(p); w.unflushed > serverBuffer {
		w.extendDeadline()
	}
}

// beginRelay prepares for the answer's body: its headers, which were written
// before, go out without it if it does not come at once.
func (w *responseWriter) beginRelay(atOnce bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wait := flushLag
	if atOnce {
		wait = 0
	}
	w.atOnce, w.pending = atOnce, true
	w.lag = time.AfterFunc(wait, w.flushLate)
}

// relay sends the next bytes of the answer.
func (w *responseWriter) relay(p []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.willWrite(p)
	n, err := w.ResponseWriter.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	switch {
	case w.atOnce:
		w.pending = false
		_ = w.flushNow() // the next write tells
	case !w.pending:
		w.pending = true
		w.lag.Reset(flushLag)
	}
	return err
}

func (w *responseWriter) flushLate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pending {
		w.pending = false
		_ = w.flushNow()
	}
}

// endRelay ends the answer's body. What waits for flushLag is sent now over HTTP/1,
// so that the client need not wait for the accounting that follows; over HTTP/2 it
// is left to the server, which sends it with the stream's end. Headers that still
// wait for a body of unknown length go out before its end is known: the server
// would give an empty one a length.
func (w *responseWriter) endRelay(whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lag.Stop()
	if w.pending && whole && (w.atOnce || !w.multiplexed) {
		_ = w.flushNow() // a client that has left is the server's to notice
	}
	w.pending = false
}

// extendDeadline moves the deadline when a quarter of it is used up, not on
// every chunk.
func (w *responseWriter) extendDeadline() {
	now := w.now()
	if w.deadline.Sub(now) > w.stall*3/4 {
		return
	}
	w.deadline = now.Add(w.stall)
	_ = w.control.SetWriteDeadline(w.deadline) // a writer without deadlines has no stalled clients
	if !w.multiplexed {
		return
	}
	if w.renewal == nil {
		w.renewal = time.AfterFunc(w.stall, w.renew)
	}
	w.renewal.Reset(w.stall / 4)
}

// renew moves the deadline while nothing is written: over HTTP/2 one that
// passes ends the stream even then, and a model may think for longer.
func (w *responseWriter) renew() {
	if !w.mu.TryLock() {
		// A write is under way. If it is over by then, the deadline is moved.
		w.renewal.Reset(w.stall / 8)
		return
	}
	defer w.mu.Unlock()
	if !w.over {
		w.extendDeadline()
	}
}

func (w *responseWriter) clearDeadline() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.renewal != nil {
		w.renewal.Stop()
	}
	if !w.deadline.IsZero() {
		_ = w.control.SetWriteDeadline(time.Time{})
	}
}

// breakOff cuts the client's connection where its end is the end of the answer,
// and would look like a good one.
func (w *responseWriter) breakOff(r *http.Request) {
	if r.ProtoAtLeast(1, 1) || w.ResponseWriter.Header().Get("Content-Length") != "" {
		return
	}
	conn, _, err := w.control.Hijack()
	if err != nil {
		return
	}
	plain := conn
	if c, ok := conn.(*tls.Conn); ok {
		plain = c.NetConn()
	}
	if c, ok := plain.(interface{ SetLinger(seconds int) error }); ok {
		_ = c.SetLinger(0)
	}
	_ = plain.Close()
}
