package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// inspection is the body of a call as the guard asks about it: it is read,
// whole, when it is first asked for, and then sent as it was. It belongs to the
// goroutine that serves the call.
type inspection struct {
	call    *call
	client  context.Context //nolint:containedctx // for as long as the guard is asked
	request *http.Request

	asked accounting.AskedRequest // what the body says; nil: it was not read
	body  []byte
	err   error // why the body is not known whole
	sized bool  // its length was changed
}

// Models reads the body.
func (i *inspection) Models() (models []string, anyModel bool) {
	i.read()
	return i.asked.Models()
}

// Bound reads the body.
func (i *inspection) Bound(model string) (decimal.Decimal, error) {
	i.read()
	return i.asked.Bound(model)
}

func (i *inspection) read() {
	if i.asked != nil {
		return
	}
	c, began := i.call, i.call.handler.opts.Now()
	i.body, i.err = i.whole()
	c.prepared += c.handler.opts.Now().Sub(began)
	if i.err == nil && c.handler.opts.Bodies != nil {
		i.asked = c.handler.opts.Bodies.Read(c.class, i.body)
		return
	}
	if i.err == nil {
		i.err = &bodyError{"body", "nothing here knows what a body may cost"}
	}
	i.asked = unread{i.err}
}

// whole returns the whole body, which the client may still be sending. What was
// read of it stays the request's, whatever comes of it.
func (i *inspection) whole() ([]byte, error) {
	opts, r := &i.call.handler.opts, i.request
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, &bodyError{"Content-Encoding", "the body is encoded, and Bursar does not decode it; send it plain"}
	}
	switch {
	case i.call.gathered != nil:
		return i.call.gathered, nil
	case r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0:
		return nil, nil
	case r.ContentLength > opts.InspectBytes:
		return nil, tooLarge(opts.InspectBytes)
	}
	weight := r.ContentLength
	if weight < 0 {
		weight = opts.InspectBytes
	}
	waiting, cancel := context.WithTimeout(i.client, opts.InspectWait)
	defer cancel()
	if i.call.handler.memory.Acquire(waiting, weight) != nil {
		return nil, &bodyError{"body", "Bursar holds as many bodies as it has memory for, and no room came up in time to read this one; send the call again, or fewer at once"}
	}
	return i.readHeld(weight)
}

// readHeld reads the body into memory, of which weight was acquired.
func (i *inspection) readHeld(weight int64) ([]byte, error) {
	c, r := i.call, i.request
	memory, limit := c.handler.memory, c.handler.opts.InspectBytes
	var buf bytes.Buffer
	source := r.Body
	n, err := io.Copy(&buf, io.LimitReader(source, limit+1))
	if err == nil && n <= limit {
		memory.Release(weight - n)
		c.held = newHeldBody(buf.Bytes(), func() { memory.Release(n) })
		return buf.Bytes(), nil
	}
	// What came, and then what is to come: the rest, or the same error.
	c.held = newHeldBody(buf.Bytes(), func() { memory.Release(weight) })
	rest := io.Reader(source)
	if err != nil {
		rest = brokenReader{err}
	}
	r.Body = bodyOf{io.MultiReader(c.held.reader(), rest), source}
	if err != nil {
		return nil, &bodyError{"body", "the client did not send the whole of it"}
	}
	return nil, tooLarge(limit)
}

// rewrite changes the body as the decision wants it.
func (i *inspection) rewrite(d *accounting.BudgetDecision) error {
	i.read()
	if i.err != nil {
		return i.err
	}
	c := i.call
	body, err := c.handler.opts.Bodies.Rewrite(c.class, i.body, d)
	if err != nil {
		return err
	}
	i.body, i.sized = body, true
	if c.held != nil {
		c.held.replace(body)
		return nil
	}
	c.gathered = body
	return nil
}

// send makes the body that was read the request's.
func (i *inspection) send() {
	r, held, body := i.request, i.call.held, i.body
	i.client, i.request, i.body = nil, nil, nil
	if i.asked == nil || i.err != nil || held == nil && !i.sized {
		return // it goes on as it was
	}
	if i.sized && r.ContentLength >= 0 {
		r.ContentLength = int64(len(body))
	}
	again := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	if held != nil {
		r.Body = held.reader()
		again = func() (io.ReadCloser, error) { return held.reader(), nil }
	}
	if !isIdempotent(r.Header) {
		r.GetBody = again // as in prepareBody
	}
}

// bodyError says why a body tells nothing about its price.
type bodyError struct{ field, sentence string }

// Error is a sentence for the caller.
func (e *bodyError) Error() string { return e.sentence }

// Field is what it is about.
func (e *bodyError) Field() string { return e.field }

func tooLarge(limit int64) error {
	return &bodyError{"body", fmt.Sprintf("the body is larger than %d bytes, the most that Bursar reads (BURSAR_BUDGETS_INSPECT_BYTES); send less", limit)}
}

// unread is a body that is not known.
type unread struct{ err error }

func (u unread) Models() ([]string, bool) { return nil, true }

func (u unread) Bound(string) (decimal.Decimal, error) {
	return decimal.Decimal{}, u.err
}

type bodyOf struct {
	io.Reader
	io.Closer
}

type brokenReader struct{ err error }

func (b brokenReader) Read([]byte) (int, error) { return 0, b.err }
