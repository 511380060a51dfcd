package openroutertest

import (
	"sync"
	"time"

	"github.com/shopspring/decimal"
)

// Bill is one generation as the account was charged for it: what a proxy in
// front of the server should have recorded, to the last digit.
type Bill struct {
	ID             string // gen-…; a batch's is its own id, batch_…
	JobID          string // of a video or a batch
	Endpoint       string // request path without query
	KeyFingerprint string // see accounting.Fingerprint
	Model          string // as asked for; empty if the request had none
	ServedModel    string // as the answer names it
	Provider       string

	Cost         decimal.Decimal // USD taken from the account
	CostLiteral  string          // the same number as it stood on the wire
	IsBYOK       bool
	UpstreamCost decimal.Decimal // USD; additive only where IsBYOK

	PromptTokens     int64
	CompletionTokens int64
	CachedTokens     int64
	CacheWriteTokens int64
	ReasoningTokens  int64

	FinishReason string // empty: the generation was cancelled
	Streamed     bool
	Cancelled    bool // the client left and the provider stopped
	// Announced reports whether response headers left the server. A bill
	// without them is one that no client can know of by itself.
	Announced bool

	StartedAt time.Time // the request's arrival
	When      time.Time // when it was charged
}

// record is a generation as GET /generation tells it.
type record struct {
	bill      Bill
	apiType   string
	publishAt time.Time
	never     bool // it is never published
	fault     LookupFault
	lookups   int
	userAgent string
	cacheFrom string // of a response-cache hit: the generation that was kept
	sessionID string
	user      string
}

// ledger is every generation, in the order in which they were billed.
type ledger struct {
	mu     sync.Mutex
	byID   map[string]*record
	inTurn []*record
}

// add records a generation. It panics if the id has been billed before: the
// promise of the package is that this cannot happen.
func (l *ledger) add(r *record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID == nil {
		l.byID = make(map[string]*record)
	}
	if _, twice := l.byID[r.bill.ID]; twice {
		panic("openroutertest: generation " + r.bill.ID + " is billed twice")
	}
	l.byID[r.bill.ID] = r
	l.inTurn = append(l.inTurn, r)
}

// announce notes that the headers of a generation's answer have left.
func (l *ledger) announce(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.byID[id]; ok {
		r.bill.Announced = true
	}
}

// bills are the generations charged until now.
func (l *ledger) bills(now time.Time) []Bill {
	l.mu.Lock()
	defer l.mu.Unlock()
	bills := make([]Bill, 0, len(l.inTurn))
	for _, r := range l.inTurn {
		if !r.bill.When.After(now) {
			bills = append(bills, r.bill)
		}
	}
	return bills
}

func (l *ledger) bill(id string, now time.Time) (Bill, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.byID[id]
	if !ok || r.bill.When.After(now) {
		return Bill{}, false
	}
	return r.bill, true
}

// lookup counts a GET /generation and returns a copy of the record with the
// number of this lookup, from 1. Unknown ids are not counted here.
func (l *ledger) lookup(id string) (r record, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.byID[id]
	if !ok {
		return record{}, false
	}
	found.lookups++
	return *found, true
}

// Ledger returns every bill so far, in the order of charging.
func (s *Server) Ledger() []Bill { return s.ledger.bills(s.opts.Now()) }

// Bill returns the bill of a generation (or of a batch), false if there is none.
func (s *Server) Bill(id string) (Bill, bool) { return s.ledger.bill(id, s.opts.Now()) }

// Total is the sum of all costs in USD: what the account was charged.
func (s *Server) Total() decimal.Decimal { return total(s.Ledger()) }

func total(bills []Bill) decimal.Decimal {
	sum := decimal.Zero
	for i := range bills {
		sum = sum.Add(bills[i].Cost)
	}
	return sum
}
