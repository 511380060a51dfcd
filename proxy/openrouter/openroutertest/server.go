package openroutertest

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shopspring/decimal"
)

// Options set up a [Server]. The zero value is a working one.
type Options struct {
	// Seed draws the texts, their lengths and with them the costs: the same
	// seed, model and body give the same answer. Ids are always fresh.
	Seed uint64

	// Models is the price list; nil: DefaultModels.
	Models []Model

	// Keys are the inference keys that exist; empty: any key does.
	Keys []string
	// ManagementKeys may read /activity, /credits, /keys and /analytics, and
	// may not call inference; empty: any key may do both.
	ManagementKeys []string
	// Credits is what was bought, USD; zero: 1000. Inference goes on when it
	// is used up: refusals are a Behavior.
	Credits decimal.Decimal

	// GenerationDelay is how long GET /generation answers 404 for a new id;
	// CancelledDelay the same for a cancelled one, zero: GenerationDelay.
	GenerationDelay time.Duration
	CancelledDelay  time.Duration

	// Choose says how a request is answered that does not say so itself
	// (X-Fake-Behavior, model fake/…). It is called for every request but
	// /echo, so that free endpoints can fail too (Status, HTML, Delay and the
	// faults before the headers apply to them); look at r.URL.Path. body is
	// nil for a GET and must not be kept. Calls are concurrent. nil:
	// well-behaved.
	Choose func(r *http.Request, body []byte) Behavior
	// Lookup says what happens to the nth lookup (from 1) of an id, before
	// the fault of the generation's own Behavior. nil: nothing.
	Lookup func(id string, n int) LookupFault

	// Now is the clock of dates and delays of publication; nil: time.Now.
	// Waiting between chunks always takes real time.
	Now func() time.Time

	// Lean makes POSTs cheap for benchmarks: constant answers, rendered
	// before, with fresh ids; no ledger, no counters by path, no Choose.
	Lean bool
	// LeanChunks is the number of content chunks of a lean stream; 0: 32.
	LeanChunks int
}

// Server is the fake OpenRouter. It is an http.Handler and safe for concurrent
// use. A connection that a Behavior cuts is cut by panicking with
// http.ErrAbortHandler, which net/http expects.
type Server struct {
	opts   Options
	prices *priceList
	ledger ledger
	jobs   jobs
	cache  responseCache
	lean   *lean

	inFlight atomic.Int64
	aborted  atomic.Int64

	mu       sync.Mutex
	requests map[string]int
	lookups  map[string]int
}

// New makes a server. It starts nothing and needs no closing.
func New(opts Options) *Server {
	if opts.Models == nil {
		opts.Models = DefaultModels()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Credits.IsZero() {
		opts.Credits = decimal.NewFromInt(1000)
	}
	if opts.CancelledDelay == 0 {
		opts.CancelledDelay = opts.GenerationDelay
	}
	s := &Server{
		opts:     opts,
		prices:   newPriceList(opts.Models),
		requests: make(map[string]int),
		lookups:  make(map[string]int),
	}
	if opts.Lean {
		s.lean = newLean(s)
	}
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	if s.lean != nil && s.lean.serve(w, r) {
		return
	}
	s.count(r.URL.Path)
	if r.URL.Path == "/echo" || strings.HasPrefix(r.URL.Path, "/echo/") {
		echo(w, r)
		return
	}
	edgeHeaders(w.Header())
	s.route(w, r)
}

// edgeHeaders sets what Cloudflare and OpenRouter put on every answer.
func edgeHeaders(h http.Header) {
	h.Set("Server", "cloudflare")
	h.Set("CF-RAY", randomID("0123456789abcdef", 16)+"-FRA")
	h["Set-Cookie"] = []string{"__cf_bm=" + randomID(alphanumeric, 24) + "; path=/; HttpOnly; Secure; SameSite=None"}
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "X-Generation-Id,X-Provider-Name,request-id,cf-ray")
	h.Set("Permissions-Policy", `payment=(self "https://checkout.stripe.com")`)
	h.Set("Referrer-Policy", "no-referrer, strict-origin-when-cross-origin")
	h.Set("X-Content-Type-Options", "nosniff")
}

func (s *Server) count(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[path]++
}

// Requests returns how many requests came for each path.
func (s *Server) Requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.requests)
}

// Lookups returns how often GET /generation was asked for an id, known or not.
func (s *Server) Lookups(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lookups[id]
}

// InFlight is the number of requests being answered.
func (s *Server) InFlight() int { return int(s.inFlight.Load()) }

// Aborted is the number of answers that the client left before their end.
// Connections that the server cut are not among them.
func (s *Server) Aborted() int { return int(s.aborted.Load()) }

// WaitIdle returns when no request is in flight, so that the ledger is
// complete, or when ctx ends, with its error.
func (s *Server) WaitIdle(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.InFlight() > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
