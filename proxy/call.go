package proxy

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bursar/accounting"
	"bursar/proxy/openrouter"
)

// call is one request on its way through. It is the context of its upstream
// request as well, which saves finding it again.
//
// Its event is filled along the way by the goroutine that serves the request,
// and recorded once. Only what carries its own lock or atomic is touched by
// others: the request body (read by the transport) and the client's leaving.
type call struct {
	context.Context // of the upstream request: does not end with the client's
	cancel          context.CancelFunc

	handler    *Handler
	started    time.Time
	event      accounting.Event
	class      openrouter.Class
	requestURI string // without the tag path
	key        string // presented or injected; empty: none
	writer     responseWriter
	request    requestBody
	arrived    int64       // bytes of the request body that came with its headers, as far as is known
	gathered   []byte      // the whole request body, if it was there at once
	body       *clientBody // that is sent as it comes; nil: none is

	ask        accounting.Ask // to the guard
	inspection inspection
	held       *heldBody // the request body, if the guard had to know it; may be nil
	reserved   bool      // the guard waits to be told what became of the call

	header     http.Header       // of the answer, once it is there
	answer     *answer           // its body
	meter      *openrouter.Meter // nil: the answer is not metered
	recorded   bool              // opened or identified was recorded, so closed must be
	finished   bool
	answerEnd  bool // the answer was read to its end
	sent       bool // the request may have reached OpenRouter
	upstreamAt time.Time
	upstream   time.Duration // waiting for the answer's headers
	prepared   time.Duration // waiting for the client's body
	firstByte  time.Duration // request in to first byte out; 0: none

	left       atomic.Bool // the client has gone
	mu         sync.Mutex  // guards what follows
	timer      *time.Timer // ends the reading on after the client has gone
	hasHeaders bool        // the answer's headers have come
	launched   bool        // it is about to be sent
	cut        bool        // by an operator
	models     []string    // that may answer it, as far as the guard had to know them

	before, after *call // among the open calls; guarded by their shard
	listed        bool  // it was among them
}

type callKey struct{}

// Value makes the call findable from its own context.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func callOf(r *http.Request) *call { return r.Context().Value(callKey{}).(*call) }

// nameKey puts the key's fingerprint on the event.
func (c *call) nameKey() {
	if c.key != "" {
		c.event.KeyFingerprint = c.handler.nameOf(c.key)
	}
}

// keyName is a key and its fingerprint.
type keyName struct{ key, fingerprint string }

// nameOf is the key's fingerprint. Most calls are made with the same key as the
// one before.
func (h *Handler) nameOf(key string) string {
	if last := h.keyName.Load(); last != nil && last.key == key {
		return last.fingerprint
	}
	name := &keyName{strings.Clone(key), accounting.Fingerprint(key)}
	h.keyName.Store(name)
	return name.fingerprint
}

// holdKey keeps the key with which the call's cost can be asked for. One that
// OpenRouter refuses is not kept: a flood of them must not push out those that
// are needed.
func (c *call) holdKey(status int) {
	if c.key != "" && status != http.StatusUnauthorized && status != http.StatusForbidden {
		c.handler.opts.Keyring.Hold(c.key)
	}
}

// open records that a billable call is about to go upstream, and reports
// whether it may. Accounting trouble does not stop a call, unless the operator
// or a hard budget wants that: what the later events say stands alone.
func (c *call) open() bool {
	c.event.Kind = accounting.Opened
	c.event.RequestedModel = c.sentModel()
	if c.record() || !c.handler.opts.RefuseUnrecorded && !c.holdsMoney() {
		return true
	}
	c.recorded = false
	c.release()
	c.refuse(unrecorded)
	return false
}

// sentModel is the model that OpenRouter is asked for, as far as it is known
// yet.
func (c *call) sentModel() string {
	if model := c.event.Decision.SentModel(); model != "" {
		return model
	}
	return c.request.model()
}

// record reports whether the event was recorded.
func (c *call) record() bool {
	c.recorded = true
	if err := c.handler.opts.Recorder.Record(&c.event); err != nil {
		c.handler.metrics.recordErrors.Inc()
		return false
	}
	return true
}

// identify records the generation's id, before the bytes that hold it go on
// to the client.
func (c *call) identify(id string) {
	id, _ = accounting.CleanTag(id)
	if id == "" || c.event.GenerationID == id {
		return
	}
	c.event.GenerationID = id
	c.event.Kind = accounting.Identified
	c.record()
}

// finish records the end of the call, once. It runs in the answer's Close, or
// where there was no answer.
func (c *call) finish() {
	if c.finished {
		return
	}
	c.finished = true
	defer c.releaseMeter()
	if !c.recorded && c.class.JobID == "" {
		c.release()
		return // free, or not sent
	}
	e := &c.event
	e.Duration = c.handler.opts.Now().Sub(c.started)
	if model := c.sentModel(); model != "" {
		e.RequestedModel = model
	}
	e.Cancelled = c.left.Load() && !c.answerEnd
	if c.meter != nil {
		c.read()
	}
	if e.HTTPStatus == 0 {
		e.Truncated = c.sent
	}
	switch {
	case c.class.JobID != "":
		c.finishPoll()
	default:
		if c.isCut() && !c.answerEnd {
			e.Error = cutError
		}
		e.Kind = accounting.Closed
		c.record()
		c.settle()
	}
}

// read takes over what the meter has seen.
func (c *call) read() {
	c.meter.Close()
	reading, e := c.meter.Reading(), &c.event
	e.Truncated = !c.answerEnd && !reading.Done
	e.Streamed = c.meter.Streamed()
	e.Usage = reading.Usage
	e.Model, _ = accounting.CleanTag(reading.Model)
	e.Provider, _ = accounting.CleanTag(reading.Provider)
	e.FinishReason, _ = accounting.CleanTag(reading.FinishReason)
	if e.FinishReason == "" && !c.class.CreatesJob {
		e.FinishReason, _ = accounting.CleanTag(reading.Status)
	}
	e.Error = reading.Error
	if e.Error == "" && e.HTTPStatus >= 400 {
		e.Error = "http_error"
	}
	if id := reading.GenerationOf(c.class, c.header.Get(generationHeader)); id != "" {
		e.GenerationID, _ = accounting.CleanTag(id)
	}
	if c.class.CreatesJob {
		e.JobID, _ = accounting.CleanTag(reading.ID)
	}
}

// finishPoll records the end of the job that was polled, if it has ended.
func (c *call) finishPoll() {
	if c.meter == nil || c.event.HTTPStatus != http.StatusOK {
		return
	}
	reading := c.meter.Reading()
	ended, failed := reading.JobOutcome()
	if !ended {
		return
	}
	c.event.Kind = accounting.Polled
	c.event.JobID = c.class.JobID
	if failed {
		c.event.Error = reading.Status
	}
	c.record()
}

func (c *call) releaseMeter() {
	if c.meter != nil {
		c.meter.Release()
		c.meter = nil
	}
}

// clientLeft runs when the client has gone before its call was over. A call
// that costs is read on for a while: the headers that name the generation may
// be on their way, and its usage is often milliseconds behind them.
func (c *call) clientLeft() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left.Swap(true) || c.timer != nil {
		return
	}
	c.timer = time.AfterFunc(c.patience(), c.cancel)
}

// answered notes that the headers are there, and shortens the wait of a call
// whose client has left.
func (c *call) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hasHeaders = true
	if c.held != nil {
		c.held.answered()
	}
	if c.cut {
		c.cancel()
		return
	}
	if c.timer != nil {
		c.timer.Reset(c.patience())
	}
}

// patience is how long a call goes on without its client. A cost can be asked
// for by its id only, so what brings the id is waited for longer than what
// would save the asking.
func (c *call) patience() time.Duration {
	opts := &c.handler.opts
	switch {
	case !c.class.Billable:
		return 0
	case opts.Disconnect == DisconnectDrain:
		return opts.DrainTimeout
	case !c.hasHeaders:
		return opts.IdentifyTimeout
	}
	return opts.DisconnectGrace
}

func (c *call) stopTimer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}
