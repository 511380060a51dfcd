package openroutertest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// filler stands in a document where Behavior.Size bytes are to go. They are
// written in blocks, so that a body of 100 MB needs no memory.
const filler = "@@filler@@"

// fillBlock is what a filler is made of: base64 that decodes to anything.
var fillBlock = []byte(strings.Repeat("QUJDREVGR0hJSktM", 2048))

// wire sends a body the way a Behavior wants: coded, dribbled, split, cut.
type wire struct {
	c   *call
	a   *answer
	rc  *http.ResponseController
	enc encoder
}

// open sends the headers. From here on the answer is on its way.
func (c *call) open(a *answer, contentType string, stream bool) (*wire, error) {
	h := c.w.Header()
	h.Set("Content-Type", contentType)
	h.Add("Vary", "Accept-Encoding")
	if stream {
		h.Set("Cache-Control", "no-cache")
	}
	coding := c.coding(stream)
	if coding != "identity" {
		h.Set("Content-Encoding", strings.TrimSuffix(coding, "-raw"))
	}
	enc, err := newEncoder(c.w, coding)
	if err != nil {
		return nil, fmt.Errorf("open the coding %s: %w", coding, err)
	}
	o := &wire{c: c, a: a, rc: http.NewResponseController(c.w), enc: enc}
	if err := c.r.Context().Err(); err != nil {
		return nil, context.Cause(c.r.Context())
	}
	c.w.WriteHeader(c.status())
	c.announce(a)
	if stream {
		return o, o.rc.Flush()
	}
	return o, nil
}

func (c *call) status() int {
	if c.skin.status != 0 {
		return c.skin.status
	}
	return http.StatusOK
}

// flush sends what has been written.
func (o *wire) flush() error {
	if err := o.enc.Flush(); err != nil {
		return err
	}
	if err := o.rc.Flush(); err != nil {
		return err
	}
	return o.c.r.Context().Err()
}

// write sends p, with the filler put in.
func (o *wire) write(p []byte) error {
	size := o.c.b.Size
	if size <= 0 {
		return o.send(p)
	}
	before, after, found := bytes.Cut(p, []byte(filler))
	if !found {
		return o.send(p)
	}
	if err := o.send(before); err != nil {
		return err
	}
	for size = filled(size); size > 0; size -= int64(len(fillBlock)) {
		if err := o.send(fillBlock[:min(size, int64(len(fillBlock)))]); err != nil {
			return err
		}
	}
	return o.send(after)
}

// send writes p as the Behavior cuts it.
func (o *wire) send(p []byte) error {
	switch {
	case o.c.b.Dribble:
		for i := range p {
			if err := o.sendNow(p[i : i+1]); err != nil {
				return err
			}
		}
		return nil
	case o.c.b.Split:
		return o.sendSplit(p)
	default:
		_, err := o.enc.Write(p)
		return err
	}
}

func (o *wire) sendNow(p []byte) error {
	if _, err := o.enc.Write(p); err != nil {
		return err
	}
	return o.flush()
}

// sendSplit flushes inside runes and inside "usage", and gives the reader time
// to see the pieces apart.
func (o *wire) sendSplit(p []byte) error {
	start := 0
	for i := range p {
		insideRune := p[i] >= utf8.RuneSelf && !utf8.RuneStart(p[i])
		insideUsage := bytes.HasPrefix(p[i:], []byte(`age":`)) && bytes.HasSuffix(p[:i], []byte(`"us`))
		if !insideRune && !insideUsage {
			continue
		}
		if err := o.sendNow(p[start:i]); err != nil {
			return err
		}
		start = i
		time.Sleep(100 * time.Microsecond)
	}
	_, err := o.enc.Write(p[start:])
	return err
}

// close ends the body well.
func (o *wire) close() error {
	if err := o.enc.Close(); err != nil {
		return err
	}
	if o.c.b.Trailers {
		o.c.w.Header().Set("X-Fake-Trailer", "complete")
	}
	return nil
}

// cut flushes and closes the connection in the middle of the body.
func (o *wire) cut() {
	_ = o.flush() // what matters is that the end is missing
	panic(http.ErrAbortHandler)
}
