package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// dialer makes connections to OpenRouter.
type dialer struct {
	net.Dialer
	holdFor time.Duration
}

func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.Dialer.DialContext(ctx, network, address)
	if tcp, ok := c.(*net.TCPConn); ok {
		return &upstreamConn{TCPConn: tcp, holdFor: d.holdFor}, err
	}
	return c, err
}

// upstreamConn is a connection to OpenRouter that sends what belongs together in
// one packet, and large bodies through buffers from a pool.
type upstreamConn struct {
	*net.TCPConn

	multiplexed atomic.Bool   // HTTP/2 is spoken over it
	holding     atomic.Bool   // the next write waits for the one after it
	holdFor     time.Duration // at most

	mu   sync.Mutex
	held []byte
	due  *time.Timer // to send what is held
	err  error       // of sending it
}

const (
	// holdTime is how long a write waits for the next one, should it not come.
	holdTime = time.Millisecond
	// maxHeld is more than the headers of a call take.
	maxHeld = 8 << 10
)

// holdHeaders is for the trace of a call whose body is in memory. HTTP/2 sends
// its headers by themselves, and the body a moment later: two system calls, two
// packets and two wake-ups at the other end, of which one of each does.
func holdHeaders(got httptrace.GotConnInfo) {
	secure, ok := got.Conn.(*tls.Conn)
	if !ok {
		return
	}
	if c, ok := secure.NetConn().(*upstreamConn); ok && c.multiplexed.Load() {
		c.holding.Store(true)
	}
}

// markMultiplexed notes on the connections over which transport speaks HTTP/2
// that it does.
func markMultiplexed(transport *http.Transport) {
	upgrade := transport.TLSNextProto["h2"]
	transport.TLSNextProto["h2"] = func(authority string, secure *tls.Conn) http.RoundTripper {
		if c, ok := secure.NetConn().(*upstreamConn); ok {
			c.multiplexed.Store(true)
		}
		return upgrade(authority, secure)
	}
}

// Write sends p, or keeps a copy of it for the next Write to send before its
// own. What other calls write meanwhile does as well as the body.
func (c *upstreamConn) Write(p []byte) (int, error) {
	if !c.multiplexed.Load() {
		return c.TCPConn.Write(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return 0, c.err
	case len(c.held) > 0:
		c.due.Stop()
		held := len(c.held)
		c.held = append(c.held, p...)
		n, err := c.TCPConn.Write(c.held)
		c.held = c.held[:0]
		return max(0, n-held), err
	case c.holding.Swap(false) && len(p) <= maxHeld:
		c.held = append(c.held, p...)
		c.holdOn()
		return len(p), nil
	}
	return c.TCPConn.Write(p)
}

func (c *upstreamConn) holdOn() {
	if c.due == nil {
		c.due = time.AfterFunc(c.holdFor, c.letGo)
		return
	}
	c.due.Reset(c.holdFor)
}

// letGo sends what is held.
func (c *upstreamConn) letGo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.held) > 0 {
		_, c.err = c.TCPConn.Write(c.held)
		c.held = c.held[:0]
	}
}

// Close sends what is held first.
func (c *upstreamConn) Close() error {
	if c.multiplexed.Load() && c.mu.TryLock() { // or a Write is stuck, which this ends
		if c.due != nil {
			c.due.Stop()
		}
		if len(c.held) > 0 {
			_ = c.SetWriteDeadline(time.Now().Add(holdTime))
			_, c.err = c.TCPConn.Write(c.held)
			c.held = c.held[:0]
		}
		c.mu.Unlock()
	}
	return c.TCPConn.Close()
}

// ReadFrom sends what r has, until its end. Package net takes 32 kB anew for
// each body, to try sendfile and splice first, which nothing that comes here can
// use.
func (c *upstreamConn) ReadFrom(r io.Reader) (int64, error) {
	buf := bodyBuffers.Get().(*[bodyBuffer]byte)
	defer bodyBuffers.Put(buf)
	// Only the Writer of the connection, or CopyBuffer would come here again.
	return io.CopyBuffer(struct{ io.Writer }{c.TCPConn}, struct{ io.Reader }{r}, buf[:])
}

// bodyBuffer holds a prompt of the usual size.
const bodyBuffer = 64 << 10

var bodyBuffers = sync.Pool{New: func() any { return new([bodyBuffer]byte) }}
