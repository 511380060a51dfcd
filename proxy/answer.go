package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"bursar/accounting"
	"bursar/proxy/openrouter"
)

const (
	generationHeader = "X-Generation-Id"
	requestIDHeader  = "X-Bursar-Request-Id"
	verdictHeader    = "X-Bursar-Verdict"
	modelHeader      = "X-Bursar-Model"      // that a call was sent with in place of the one it asked for
	boundHeader      = "X-Bursar-Bound"      // provider: OpenRouter was told prices to hold
	experimentHeader = "X-Bursar-Experiment" // <experiment>/<arm> that the call's lead is in
)

// receive puts the meter on the answer. Nothing of it is changed but the
// headers that are ours.
func (c *call) receive(response *http.Response) {
	c.header = response.Header
	c.event.HTTPStatus = response.StatusCode
	if id := response.Header.Get(generationHeader); id != "" && !c.class.Lookup {
		// Whatever the path: an answer with a generation id is a generation.
		if !c.recorded && c.class.JobID == "" {
			c.class.Billable = true
			c.nameKey()
		}
		if c.class.JobID != "" {
			c.event.GenerationID, _ = accounting.CleanTag(id)
		} else {
			c.identify(id)
		}
	}
	if c.class.Billable || c.class.JobID != "" {
		c.holdKey(response.StatusCode)
	}
	c.answered()
	c.writer.own(response.Header)
	if response.StatusCode == http.StatusSwitchingProtocols {
		return
	}
	if c.recorded || c.class.JobID != "" {
		c.meter = openrouter.NewMeter(response.Header)
	}
	c.answer = &answer{upstream: response.Body, call: c, meter: c.meter}
	response.Body = c.answer
}

// answer is the body of a response on its way to the client. Its Close ends
// the call's accounting, exactly once.
type answer struct {
	upstream io.ReadCloser
	call     *call
	meter    *openrouter.Meter // the call's, until Close
	noted    bool              // only the meter has to see what comes
	broken   error             // how it broke off, to be told after what had come
}

// Read shows the meter what it returns, before it returns it.
func (a *answer) Read(p []byte) (int, error) {
	n, err := a.read(p)
	a.observe(p[:n])
	return n, err
}

// read leaves it to the caller to [answer.observe] what it returns: before the
// client has it as long as there is something to be noted, and before the next
// Read or Close.
func (a *answer) read(p []byte) (int, error) {
	if a.broken != nil {
		return 0, a.breakOff()
	}
	n, err := a.upstream.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		a.call.answerEnd = true
	default:
		a.broken = err
		if n > 0 {
			return n, nil // these bytes first
		}
		return 0, a.breakOff()
	}
	return n, err
}

// breakOff sends on what had come before the answer broke off: the connection
// to the client is about to be cut, with what waits to be flushed.
func (a *answer) breakOff() error {
	_ = a.call.writer.FlushError() // the client may be gone as well
	return a.broken
}

func (a *answer) observe(p []byte) {
	if len(p) == 0 {
		return
	}
	if a.meter != nil {
		a.meter.Write(p)
	}
	if !a.noted {
		a.note()
	}
}

// note takes over what is needed of an answer's beginning, and is done when it
// has it: of a thousand open streams each chunk would otherwise fetch half of
// its call back into the processor's cache.
func (a *answer) note() {
	c := a.call
	elapsed := c.handler.opts.Now().Sub(c.started)
	if c.firstByte == 0 {
		c.firstByte = elapsed
	}
	if a.meter == nil {
		a.noted = true
		return
	}
	if !c.event.TimeToFirstToken.Known && a.meter.SawContent() {
		c.event.TimeToFirstToken = accounting.Some(elapsed)
	}
	if c.event.GenerationID == "" && c.class.JobID == "" {
		c.identify(a.meter.Reading().GenerationOf(c.class, ""))
	}
	a.noted = c.event.TimeToFirstToken.Known && (c.event.GenerationID != "" || c.class.JobID != "")
}

// Close reads on if the client left before the end, for as long as the call
// allows, and then ends the call.
func (a *answer) Close() error {
	c := a.call
	if !c.answerEnd && a.broken == nil && c.meter != nil && c.class.Billable {
		a.readOn()
	}
	err := a.closeUpstream()
	a.meter = nil // finish gives it to another call
	c.finish()
	return err
}

// closeUpstream does not wait for a client that has still to send, which over
// HTTP/2 the transport does: the end of its answer would wait for it as well.
func (a *answer) closeUpstream() error {
	if a.call.body.mayWait() {
		go func() { _ = a.upstream.Close() }()
		return nil
	}
	return a.upstream.Close()
}

func (a *answer) readOn() {
	a.call.clientLeft()
	buf := drainBuffers.Get().(*[]byte)
	defer drainBuffers.Put(buf)
	for {
		if _, err := a.Read(*buf); err != nil {
			return // the end, or the timer has cancelled the request
		}
	}
}

var drainBuffers = sync.Pool{New: func() any { b := make([]byte, 4<<10); return &b }}
