package openroutertest

import (
	"bytes"
	"context"
	"strconv"
)

// filled is the number of bytes that stand for a filler of size: a multiple of
// four, so that it is base64.
func filled(size int64) int64 { return (size + 3) / 4 * 4 }

// render is a document as the Behavior spells it.
func (c *call) render(doc object) []byte {
	if c.b.NoUsage {
		doc = without(doc, "usage")
	}
	if c.b.UsageFirst {
		reversed := make(object, len(doc))
		for i, m := range doc {
			reversed[len(doc)-1-i] = m
		}
		doc = reversed
	}
	text := doc.bytes()
	if c.b.EscapeKeys {
		text = escapeKeys(text)
	}
	return text
}

// without is doc without a key, of its own or of the object that it wraps.
func without(doc object, key string) object {
	return edited(doc, key, func(member) (member, bool) { return member{}, false })
}

// withNull is doc with null in the place of a key's value.
func withNull(doc object, key string) object {
	return edited(doc, key, func(m member) (member, bool) { return member{m.key, nil}, true })
}

func edited(doc object, key string, edit func(member) (member, bool)) object {
	out := make(object, 0, len(doc))
	for _, m := range doc {
		inner, wraps := m.value.(object)
		switch {
		case m.key == key:
			kept, keep := edit(m)
			if keep {
				out = append(out, kept)
			}
			continue
		case wraps && (m.key == "response" || m.key == "message"):
			m.value = edited(inner, key, edit)
		}
		out = append(out, m)
	}
	return out
}

// answerWhole bills the answer and sends it as one JSON document. A client that
// leaves stops nothing: without a stream the model runs on.
func (c *call) answerWhole(a *answer) {
	var doc []byte
	switch c.b.Fault {
	case BlankAnswer:
		c.settleNothing(a)
		doc = []byte("\n         \n         .")
	case ErrorFirst:
		c.settleNothing(a)
		doc = c.render(c.skin.errorBody(c, newError(502, c.b.ErrorMessage)))
	default:
		c.settle(a)
		doc = c.render(c.skin.whole(a))
	}
	if c.b.Declare {
		c.b.Encoding, c.b.Trickle = "identity", 0
		c.w.Header().Set("Content-Length", strconv.FormatInt(c.lengthOf(doc), 10))
	}
	o, err := c.open(a, "application/json", false)
	if err == nil {
		err = o.document(doc)
	}
	if err != nil {
		c.s.aborted.Add(1)
	}
}

// lengthOf is the length of doc with its filler put in.
func (c *call) lengthOf(doc []byte) int64 {
	length := int64(len(doc))
	if c.b.Size > 0 && bytes.Contains(doc, []byte(filler)) {
		length += filled(c.b.Size) - int64(len(filler))
	}
	return length
}

func (o *wire) document(doc []byte) error {
	for range o.c.b.Trickle {
		if err := o.sendNow([]byte("\n         ")); err != nil {
			return err
		}
		if err := o.c.wait(o.c.b.TrickleInterval); err != nil {
			return err
		}
	}
	switch o.c.b.Fault {
	case CutMidway:
		if err := o.write(doc[:len(doc)/2]); err != nil {
			return err
		}
		o.cut()
	case HangMidway:
		if err := o.write(doc[:len(doc)/2]); err != nil {
			return err
		}
		return o.hang()
	}
	if err := o.write(doc); err != nil {
		return err
	}
	return o.close()
}

// hang keeps silent until the client leaves.
func (o *wire) hang() error {
	if err := o.flush(); err != nil {
		return err
	}
	<-o.c.r.Context().Done()
	return context.Cause(o.c.r.Context())
}
