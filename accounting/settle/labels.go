package settle

import (
	"strings"
	"sync"
)

// The label values that stand for many.
const (
	labelUntagged = "untagged" // the call carried no such tag
	labelOther    = "other"    // the label has as many values as it may
)

// labelLimiter keeps a metric's label, whose values clients choose, from
// growing without bound: the first values seen keep their own series, later
// ones share "other". It is safe for concurrent use.
type labelLimiter struct {
	limit int

	mu   sync.RWMutex
	seen map[string]string // as sent → as shown
}

func newLabelLimiter(limit int) *labelLimiter {
	return &labelLimiter{limit: limit, seen: make(map[string]string)}
}

// value is the label value that stands for v.
func (l *labelLimiter) value(v string) string {
	if v == "" {
		return labelUntagged
	}
	l.mu.RLock()
	shown, ok := l.seen[v]
	full := len(l.seen) >= l.limit
	l.mu.RUnlock()
	switch {
	case ok:
		return shown
	case full:
		return labelOther
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if shown, ok = l.seen[v]; ok {
		return shown
	}
	if len(l.seen) >= l.limit {
		return labelOther
	}
	// A model's name comes from OpenRouter's answer as it stands there;
	// Prometheus refuses a label that is not UTF-8. The copy lets go of the
	// larger string that v may be a part of.
	shown = strings.ToValidUTF8(v, "\uFFFD")
	l.seen[strings.Clone(v)] = shown
	return shown
}
