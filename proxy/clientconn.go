package proxy

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync/atomic"
)

// Listen makes the connections that a listener accepts tell how much of a
// request came with its headers; see [clientConn].
func Listen(l net.Listener) net.Listener { return clientListener{l} }

type clientListener struct{ net.Listener }

// Accept waits for the next connection.
func (l clientListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return &clientConn{TCPConn: tcp}, err
	}
	return c, err
}

// clientConn notices how much of a body came in one read with the end of its
// headers. So much the server has in its buffer, and can be read without
// waiting for the client, which net/http does not tell.
type clientConn struct {
	*net.TCPConn

	// Bytes of the last read behind its last empty line: no more than there are of
	// the body whose headers it ends, even if it began in another request's.
	beyond atomic.Int64
}

var emptyLine = []byte("\r\n\r\n")

// Read reads.
func (c *clientConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if len(p) > 1 { // the server watches for the client's leaving by reads of one byte
		c.beyond.Store(int64(behindLastLine(p[:n])))
	}
	return n, err
}

// behindLastLine goes forward: bytes.LastIndex takes forty times as long.
func behindLastLine(p []byte) (beyond int) {
	for {
		_, rest, found := bytes.Cut(p, emptyLine)
		if !found {
			return beyond
		}
		p, beyond = rest, len(rest)
	}
}

type clientConnKey struct{}

// withClientConn lets the requests of a connection find it.
func withClientConn(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*clientConn); ok {
		return context.WithValue(ctx, clientConnKey{}, c)
	}
	return ctx
}

// takeBeyond is how much of the request's body is there for certain; 0 if that
// is not known. It is asked once for each request, so that a client which sends
// several at once is not taken for having sent the whole of the next one.
func takeBeyond(r *http.Request) int64 {
	if c, ok := r.Context().Value(clientConnKey{}).(*clientConn); ok {
		return c.beyond.Swap(0)
	}
	return 0
}
