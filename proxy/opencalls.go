package proxy

import (
	"sync"
	"time"

	"bursar/accounting"
)

// cutError is [accounting.Event.Error] of a call that an operator has cut.
const cutError = "cut_by_operator"

// callShards keep calls that begin and end at once from waiting for each other.
const callShards = 64

// openCalls are the billable calls in flight.
type openCalls [callShards]struct {
	mu    sync.Mutex
	first *call
	_     [48]byte // a cache line each
}

// shard chooses by the last byte of the id, which is random.
func (o *openCalls) shard(c *call) int { return int(c.event.ID[len(c.event.ID)-1]) % callShards }

func (o *openCalls) add(c *call) {
	s := &o[o.shard(c)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.after = s.first; c.after != nil {
		c.after.before = c
	}
	s.first = c
	c.listed = true
}

// remove takes a call out that may have been added.
func (o *openCalls) remove(c *call) {
	if !c.listed {
		return
	}
	s := &o[o.shard(c)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.before == nil {
		s.first = c.after
	} else {
		c.before.after = c.after
	}
	if c.after != nil {
		c.after.before = c.before
	}
	c.before, c.after = nil, nil
}

// Cut ends the billable calls in flight for which match is true, and returns how
// many those are. A call whose generation is known is ended at once: its client
// sees the answer break off, as if OpenRouter had. One that has no answer yet
// is given Options.IdentifyTimeout to get an id by which its cost can be asked
// for. One that has not been sent is put before the guard once more. The costs
// are settled as ever; the calls' events say cut_by_operator.
//
// match is called with the tags, the key's fingerprint and the models that may
// answer, as far as they are known, under a lock: it must return quickly and
// keep nothing.
func (h *Handler) Cut(match func(tags *accounting.Tags, key string, models []string) bool) int {
	n := 0
	for i := range h.calls {
		n += h.cutIn(i, match)
	}
	h.metrics.cuts.Add(float64(n))
	return n
}

func (h *Handler) cutIn(shard int, match func(*accounting.Tags, string, []string) bool) (n int) {
	s := &h.calls[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := s.first; c != nil; c = c.after {
		if match(&c.event.Tags, c.event.KeyFingerprint, c.knownModels()) && c.cutOff() {
			n++
		}
	}
	return n
}

func (c *call) knownModels() []string {
	c.mu.Lock()
	models := c.models
	c.mu.Unlock()
	if model := c.request.model(); len(models) == 0 && model != "" {
		return []string{model}
	}
	return models
}

// cutOff ends the call, and reports whether it was for the first time.
func (c *call) cutOff() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return false
	}
	c.cut = true
	switch {
	case !c.launched:
	case c.hasHeaders:
		c.cancel()
	case c.timer == nil:
		c.timer = time.AfterFunc(c.handler.opts.IdentifyTimeout, c.cancel)
	}
	return true
}

// launch reports whether the call may be sent; false, once, if it was cut while
// the guard was asked.
func (c *call) launch() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		c.cut = false
		return false
	}
	c.launched = true
	return true
}

func (c *call) isCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}
