package proxy

import (
	"errors"
	"io"
	"sync"
)

var errBodyGone = errors.New("the request body is not held any more")

// heldBody is a body in memory that is sent from there, perhaps twice: again
// where the transport had not written a byte of it. It is let go when the answer
// is there and nobody reads it any more, which the transport may do until after
// its answer has ended.
type heldBody struct {
	mu      sync.Mutex
	data    []byte
	readers int  // open ones
	last    bool // there will be no further reader
	freed   func()
}

// newHeldBody holds data; freed is called when it does no longer.
func newHeldBody(data []byte, freed func()) *heldBody { return &heldBody{data: data, freed: freed} }

// replace puts another body in its place. Nobody reads it yet.
func (b *heldBody) replace(data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = data
}

// reader returns the body from its beginning.
func (b *heldBody) reader() io.ReadCloser {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readers++
	return &heldReader{body: b}
}

// answered says that the body is not sent again.
func (b *heldBody) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = true
	b.letGo()
}

// end lets go of the body, whoever still reads it.
func (b *heldBody) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last, b.readers = true, 0
	b.letGo()
}

// letGo is called with mu held.
func (b *heldBody) letGo() {
	if b.last && b.readers <= 0 && b.freed != nil {
		b.freed()
		b.data, b.freed = nil, nil
	}
}

// heldReader is one reading of a held body. Close may be called during a Read.
type heldReader struct {
	body   *heldBody
	off    int
	closed bool
}

// Read returns the next bytes.
func (r *heldReader) Read(p []byte) (int, error) {
	r.body.mu.Lock()
	defer r.body.mu.Unlock()
	if r.closed || r.body.freed == nil {
		return 0, errBodyGone
	}
	n := copy(p, r.body.data[r.off:])
	r.off += n
	if r.off == len(r.body.data) {
		return n, io.EOF
	}
	return n, nil
}

// Close ends the reading.
func (r *heldReader) Close() error {
	r.body.mu.Lock()
	defer r.body.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.body.readers--
		r.body.letGo()
	}
	return nil
}
