package proxy

import (
	"io"
	"sync"
)

// gathering reads a small body ahead, in a goroutine of its own, so that its
// call need not wait for one that comes late. A read deadline would not do: to
// net/http a read that fails in any way means that the client has left, and it
// ends the contexts of this request and of all later ones on the connection.
type gathering struct {
	over chan struct{} // closed at the goroutine's end

	mu      sync.Mutex
	changed sync.Cond
	data    []byte // what has come; its bytes do not change any more
	taken   int    // bytes of data that Read has passed on
	err     error  // that ended the reading
	ended   bool
	unasked bool // nobody waits for the whole: what comes next ends the goroutine
}

// gather begins to read size bytes of source, which is the goroutine's until
// over is closed.
func gather(source io.Reader, size int) *gathering {
	g := &gathering{over: make(chan struct{})}
	g.changed.L = &g.mu
	go g.run(source, make([]byte, size))
	return g
}

func (g *gathering) run(source io.Reader, buf []byte) {
	defer close(g.over)
	for n, ended := 0, false; !ended; {
		read, err := source.Read(buf[n:])
		n += read
		g.mu.Lock()
		g.data, g.err = buf[:n], err
		g.ended = err != nil || n == len(buf) || g.unasked
		ended = g.ended
		g.mu.Unlock()
		g.changed.Broadcast()
	}
}

// whole returns the body if all of size bytes are there.
func (g *gathering) whole(size int) ([]byte, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unasked = len(g.data) < size
	return g.data, !g.unasked
}

// pending reports whether the goroutine still reads.
func (g *gathering) pending() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.ended
}

// Read passes on what has come, and waits for it if need be. io.EOF: the rest
// is to be read from the source itself.
func (g *gathering) Read(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.taken == len(g.data) && !g.ended {
		g.changed.Wait()
	}
	n := copy(p, g.data[g.taken:])
	g.taken += n
	switch {
	case n > 0:
		return n, nil
	case g.err != nil && g.err != io.EOF: //nolint:errorlint // as io.Reader has it
		return 0, g.err
	}
	return 0, io.EOF
}
