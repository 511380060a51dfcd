package settle

import (
	"slices"
	"sync"

	"bursar/accounting"
)

// overflow is the queue in memory of the events that the journal did not take:
// the recorder pushes, the shipper takes, in the same order.
type overflow struct {
	limit int

	mu      sync.Mutex
	waiting []accounting.Event
	taken   int                          // events taken so far: the place of waiting[0] in all that were pushed
	early   map[accounting.RequestID]int // places of early rows, so that Closed finds its own
	wake    func()                       // set while the shipper waits for work; called once
}

func newOverflow(limit int) *overflow {
	return &overflow{limit: limit, early: make(map[accounting.RequestID]int)}
}

// push appends e and reports whether there was room. The last word of a call
// displaces its early row, which is of Kind Interrupted: Closed repeats all of
// it.
func (o *overflow) push(e accounting.Event) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if place, ok := o.early[e.ID]; ok {
		o.waiting[place-o.taken] = e
		if e.Kind == accounting.Closed {
			delete(o.early, e.ID)
		}
		return true
	}
	if len(o.waiting) >= o.limit {
		return false
	}
	if e.Kind == accounting.Interrupted {
		o.early[e.ID] = o.taken + len(o.waiting)
	}
	o.waiting = append(o.waiting, e)
	if o.wake != nil {
		o.wake()
		o.wake = nil
	}
	return true
}

// take removes up to n events, the oldest first.
func (o *overflow) take(n int) []accounting.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	n = min(n, len(o.waiting))
	if n == 0 {
		return nil
	}
	taken := slices.Clone(o.waiting[:n])
	for i := range taken {
		delete(o.early, taken[i].ID)
	}
	o.waiting = slices.Delete(o.waiting, 0, n)
	o.taken += n
	return taken
}

// onPush has wake called at the next push, or now if something waits already.
// nil takes an earlier one back.
func (o *overflow) onPush(wake func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if wake != nil && len(o.waiting) > 0 {
		wake()
		wake = nil
	}
	o.wake = wake
}

// depth is how many events wait.
func (o *overflow) depth() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting)
}
