package openroutertest

import (
	"bytes"
	"slices"
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
	switch c.b.Fault {
	case BlankAnswer:
		c.settleNothing(a)
		return o.close()
	case ErrorFirst:
		c.settleNothing(a)
		return o.breakOff(a, false)
	}
	if err := o.frames(c.skin.head(a)); err != nil {
		return err
	}
	broken, err := o.content()
	if err != nil || broken {
		return err
	}
	c.settle(a)
	if err := o.frames(a.ending()); err != nil {
		return err
	}
	return o.close()
}

// preamble is what precedes the first event.
func (o *wire) preamble() error {
	var text []byte
	if o.c.b.BOM {
		text = append(text, "\uFEFF"...)
	}
	text = append(text, o.c.skin.comment...)
	text = append(text, "\n\n"...)
	return o.sendNow(o.lineEnds(text))
}

// content sends the units one by one, up to a fault. broken reports that the
// stream has been ended with an error event.
func (o *wire) content() (broken bool, err error) {
	c, a := o.c, o.a
	n := len(a.units())
	at := n / 2
	if c.b.FaultAfter > 0 {
		at = min(c.b.FaultAfter, n)
	}
	for i := range n + 1 {
		if i == at {
			if broken, err := o.fault(); broken || err != nil {
				return broken, err
			}
		}
		if i == n {
			return false, nil
		}
		if i > 0 {
			if err := c.wait(c.b.ChunkInterval); err != nil {
				return false, err
			}
		}
		if err := o.event(c.skin.piece(a, i)); err != nil {
			return false, err
		}
		a.sent++
	}
	return false, nil
}

// fault does what the Behavior wants in the middle of the stream.
func (o *wire) fault() (broken bool, err error) {
	c, a := o.c, o.a
	switch c.b.Fault {
	case CutMidway:
		c.abandon(a, true)
		o.cut()
	case HangMidway:
		return false, o.hang()
	case ErrorMidway, ErrorMidwayBilled:
		soFar := *a
		soFar.tokens, soFar.charge = a.partial()
		c.bill(a, soFar.tokens, soFar.charge, "error", false)
		return true, o.breakOff(&soFar, c.b.Fault == ErrorMidwayBilled)
	}
	return false, nil
}

// breakOff ends the stream with an error event.
func (o *wire) breakOff(a *answer, withUsage bool) error {
	frames := o.c.skin.broken(a, newError(502, o.c.b.ErrorMessage), withUsage)
	if !o.c.b.NoDone {
		frames = append(frames, done)
	}
	if err := o.frames(frames); err != nil {
		return err
	}
	return o.close()
}

// ending is the stream's last frames, with what the Behavior makes of those
// that carry the usage.
func (a *answer) ending() []frame {
	b := &a.c.b
	var out []frame
	for _, f := range a.c.skin.tail(a) {
		switch {
		case f.raw == done.raw && b.NoDone, f.name == "data" && b.NoDone:
			continue
		case f.usage && b.UsageGrowing:
			out = append(out, a.earlier())
		}
		out = append(out, f)
		if f.usage && b.UsageTwice {
			out = append(out, f)
		}
		if f.usage && b.UsageNull {
			out = append(out, frame{name: f.name, doc: withNull(f.doc, "usage")})
		}
	}
	return out
}

// earlier is the usage frame as if the answer had half of its tokens.
func (a *answer) earlier() frame {
	half := *a
	half.sent = a.tokens.completion / 2
	half.tokens, half.charge = half.partial()
	tail := half.c.skin.tail(&half)
	return tail[slices.IndexFunc(tail, func(f frame) bool { return f.usage })]
}

func (o *wire) frames(frames []frame) error {
	for _, f := range frames {
		if err := o.event(f); err != nil {
			return err
		}
	}
	return nil
}

// event sends one event and flushes it.
func (o *wire) event(f frame) error {
	text := o.text(f)
	if f.usage && o.c.b.Fault == CutInUsage {
		o.cutInside(text)
	}
	if err := o.write(text); err != nil {
		return err
	}
	return o.flush()
}

// text is an event as the Behavior spells it.
func (o *wire) text(f frame) []byte {
	b := &o.c.b
	var text []byte
	if b.Comments {
		text = append(text, o.c.skin.comment...)
		text = append(text, "\n\n"...)
	}
	name := f.name
	if name == "" && b.EventNames {
		name = "message"
	}
	if name != "" {
		text = append(text, "event: "...)
		text = append(text, name...)
		text = append(text, '\n')
	}
	if b.Comments {
		text = append(text, ": inside an event\n"...)
	}
	data := []byte(f.raw)
	if f.doc != nil {
		data = o.c.render(f.doc)
	}
	if b.MultiLine && f.doc != nil {
		data = indented(data)
	}
	for line := range bytes.Lines(data) {
		text = append(text, "data: "...)
		text = append(text, bytes.TrimSuffix(line, []byte("\n"))...)
		text = append(text, '\n')
	}
	return o.lineEnds(append(text, '\n'))
}

// lineEnds replaces the line ends of text. Documents have none inside.
func (o *wire) lineEnds(text []byte) []byte {
	if end := o.c.b.LineEnd; end != "" {
		return bytes.ReplaceAll(text, []byte("\n"), []byte(end))
	}
	return text
}

// cutInside sends an event up to the middle of its cost and cuts.
func (o *wire) cutInside(text []byte) {
	at := bytes.Index(text, []byte(`"cost":`))
	if at < 0 {
		at = len(text) / 2
	}
	_ = o.write(text[:min(at+len(`"cost":0`), len(text)-1)]) // the connection ends here anyway
	o.cut()
}
