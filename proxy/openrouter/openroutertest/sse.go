package openroutertest

import (
	"bytes"
	"net/http"
)

// frame is one server-sent event.
type frame struct {
	name  string // of the event: line; empty: none
	doc   object
	raw   string // the data where it is no JSON: [DONE]
	usage bool   // it carries the usage
}

// done ends most streams.
var done = frame{raw: "[DONE]"}

// stream sends the answer as server-sent events.
func (c *call) stream(a *answer) {
	o, err := c.open(a, "text/event-stream", true)
	if err == nil {
		err = o.stream()
	}
	if err != nil { // the client left
		c.abandon(a, true)
		c.s.aborted.Add(1)
	}
}

func (o *wire) stream() error {
	c, a := o.c, o.a
	if err := o.preamble(); err != nil {
		return err
	}
	if c.b.Fault == ErrorFirst {
		c.bill(a, tokens{prompt: a.tokens.prompt}, free(), "error", false)
		return o.breakOff(nil)
	}
	if err := o.frames(c.skin.head(a)); err != nil {
		return err
	}
	if err := o.content(); err != nil || c.b.Fault == ErrorMidway || c.b.Fault == ErrorMidwayBilled {
		return err
	}
	c.settle(a)
	for _, f := range c.ending() {
		if f.usage && c.b.Fault == CutInUsage {
			o.cutInside(f)
		}
		if err := o.event(f); err != nil {
			return err
		}
	}
	return o.close()
}

// ending are the last frames, with what the Behavior makes of the usage. It is
// the caller who has settled.
func (c *call) ending() []frame {
	return c.skin.tail
}
