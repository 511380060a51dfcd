package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"bursar/proxy/openrouter"
)

// A body up to maxGathered bytes is gathered before the call goes upstream if
// the client has sent it already: then it costs one write instead of two and
// its model is known before the call is. Nobody waits for a body that has not
// arrived within gatherWait; it is streamed like a large one.
const (
	maxGathered = 16 << 10
	gatherWait  = 10 * time.Millisecond
)

// requestBody scans a request body as it passes. The transport reads it in a
// goroutine of its own, perhaps still after the answer has ended, so what the
// scanner found is behind a lock.
type requestBody struct {
	call    *call
	source  io.ReadCloser
	ahead   *gathering // what is read of source first; nil: nothing is
	drained bool       // ahead has been passed on; the reader's
	control *http.ResponseController
	stall   time.Duration
	now     func() time.Time

	reading  sync.Mutex // held during a Read
	mu       sync.Mutex
	scanner  openrouter.RequestScanner
	deadline time.Time // of the read under way; zero: none was set
	stalled  bool      // the client did not send when it was due to
	ended    bool      // source has been read to its end
	over     bool      // the call is, and the server's writer, which has the deadlines, no longer ours
}

func (b *requestBody) model() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.scanner.Model()
}

func (b *requestBody) scan(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.scanner.Write(p)
}

// prepareBody gives the upstream request a body that is scanned on its way.
func (c *call) prepareBody(r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return
	}
	b := &c.request
	b.call = c
	b.source, b.control, b.stall, b.now = r.Body, c.writer.control, c.handler.opts.ClientStallTimeout, c.handler.opts.Now
	if r.ProtoMajor == 1 && r.ContentLength > 0 && r.ContentLength <= maxGathered && r.Header.Get("Expect") == "" {
		if head, complete := b.gather(int(r.ContentLength), c.arrived); complete {
			c.gathered = head
			// The transport may send the call again only where it has not
			// written a byte of it; with an idempotency key it would also
			// after it had, and OpenRouter would bill twice.
			if !isIdempotent(r.Header) {
				r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(head)), nil }
			}
			c.prepared = c.handler.opts.Now().Sub(c.started)
			return
		}
	}
	r.Body = b
	c.prepared = c.handler.opts.Now().Sub(c.started)
}

// gather returns the body if all of its size bytes arrive in time; so many have
// come already. If not, the goroutine that waits for them goes on until the next
// bytes or the end.
func (b *requestBody) gather(size int, arrived int64) (head []byte, complete bool) {
	if arrived >= int64(size) {
		head = make([]byte, size)
		n, err := io.ReadFull(b.source, head)
		b.scan(head[:n])
		return head, err == nil
	}
	ahead := gather(b.source, size)
	timer := time.NewTimer(gatherWait)
	defer timer.Stop()
	select {
	case <-ahead.over:
	case <-timer.C:
	}
	if head, complete = ahead.whole(size); complete {
		b.scan(head)
		return head, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ahead = ahead
	return nil, false
}

// Read passes on the next bytes. A client that is due to send and does not is
// cut after the stall timeout.
func (b *requestBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if !b.extendDeadline() {
		return 0, errCallOver
	}
	n, err := b.next(p)
	b.scan(p[:n])
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.giveUp()
	case err != nil:
		b.end()
	case b.call.writer.multiplexed:
		// Over HTTP/2 one that passes ends the body even if nobody reads, and
		// OpenRouter may let the client wait for longer.
		b.clearDeadline()
	}
	return n, err
}

// next reads what came early, and then the source.
func (b *requestBody) next(p []byte) (int, error) {
	if b.ahead != nil && !b.drained && len(p) > 0 {
		n, err := b.ahead.Read(p)
		if err != io.EOF { //nolint:errorlint // never wrapped
			return n, err
		}
		b.drained = true
	}
	return b.source.Read(p)
}

// Close ends the reading. The transport may call it during a Read.
func (b *requestBody) Close() error {
	b.clearDeadline()
	return b.source.Close()
}

// extendDeadline reports whether the call lasts.
func (b *requestBody) extendDeadline() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return false
	}
	if now := b.now(); b.deadline.Sub(now) <= b.stall*3/4 {
		b.deadline = now.Add(b.stall)
		_ = b.control.SetReadDeadline(b.deadline)
	}
	return true
}

// end notes that there is nothing more to be read.
func (b *requestBody) end() {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.clearDeadline()
}

// leave ends a call whose body may not have come whole. Over HTTP/1 the server
// reads the rest, which must not last for ever. It would take a deadline back if
// somebody were still reading, so that is ended before.
func (b *requestBody) leave() {
	b.mu.Lock()
	b.over = true
	unread := b.source != nil && !b.ended && !b.stalled && b.call.gathered == nil && !b.call.writer.multiplexed
	b.mu.Unlock()
	if !unread {
		return
	}
	_ = b.control.SetReadDeadline(time.Unix(1, 0))
	if b.ahead != nil {
		<-b.ahead.over
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	_ = b.control.SetReadDeadline(b.now().Add(b.stall))
}

// giveUp leaves a deadline that has passed, so that the server does not wait for
// the rest of the body either.
func (b *requestBody) giveUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deadline = time.Time{}
	b.stalled = true
}

// gaveUp reports whether the client did not send when it was due to.
func (b *requestBody) gaveUp() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stalled
}

// isStalled reports whether the rest of the body is not waited for, or may not
// be: then the connection takes no further request.
func (b *requestBody) isStalled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stalled || b.ahead != nil && b.ahead.pending()
}

// clearDeadline lets the server wait for the next request, and watch for the
// client's leaving, as long as it likes.
func (b *requestBody) clearDeadline() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over && !b.deadline.IsZero() {
		b.deadline = time.Time{}
		_ = b.control.SetReadDeadline(time.Time{})
	}
}
