package proxy

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/semaphore"

	"bursar/accounting"
	"bursar/proxy/openrouter"
)

// Recorder keeps the events of calls.
//
// Record returns once the event survives the death of this process. It is
// called from many goroutines at once and must not hold on to the event. An
// error means that the event is kept nowhere; it fails a call only where that
// has not been sent yet and [Options] say so.
type Recorder interface {
	Record(*accounting.Event) error
}

// Keyring holds the keys with which calls were made, so that their costs can
// be asked for later.
//
// Hold is called once for each billable call that OpenRouter did not refuse
// for its key, from many goroutines, and returns the key's
// [accounting.Fingerprint].
type Keyring interface {
	Hold(key string) (fingerprint string)
}

// Disconnect says what happens to a call whose client has left.
type Disconnect string

// The choices. After either, what is still unknown comes from GET /generation.
const (
	// DisconnectGrace reads on for Options.DisconnectGrace, or until the
	// answer's headers for Options.IdentifyTimeout, then cancels upstream.
	DisconnectGrace Disconnect = "grace"
	// DisconnectDrain reads the answer to its end, at most DrainTimeout.
	DisconnectDrain Disconnect = "drain"
)

// Options configure a [Handler]. Zero durations and nil funcs take defaults.
type Options struct {
	Upstream  *url.URL          // where to forward, e.g. https://openrouter.ai
	Transport http.RoundTripper // see [NewTransport]
	Recorder  Recorder
	Keyring   Keyring

	// RefuseUnrecorded: a billable call whose Opened could not be recorded is
	// answered with 503 in place of being sent.
	RefuseUnrecorded bool

	Guard  Guard  // nil: there are no budgets
	Bodies Bodies // of the calls that Guard asks about; nil: nothing is known of them
	// FindBudget is for the words of a refusal; nil: none is found.
	FindBudget    func(id string) (accounting.Budget, bool)
	InspectBytes  int64         // a larger body is not read for the guard; default 8 MiB
	InspectMemory int64         // for the bodies of all calls that were; default 32 times that
	InspectWait   time.Duration // for a share of it; default 1 s

	APIKey       string   // injected upstream in place of the client's; empty: the client's passes through
	ClientTokens []string // what clients must present; empty: nothing

	Purposes   []string // accepted X-Purpose values; empty: the default ones
	StrictTags bool     // a bad tag is a 400, not a mark in the metadata

	Disconnect         Disconnect    // default DisconnectGrace
	DisconnectGrace    time.Duration // default 1 s
	IdentifyTimeout    time.Duration // default 3 s
	DrainTimeout       time.Duration // default 10 min
	ClientStallTimeout time.Duration // a client that neither reads nor sends when it is its turn is cut; default 60 s

	Registerer prometheus.Registerer // nil: metrics are kept but not exported
	Logger     zerolog.Logger
	Now        func() time.Time
}

// Handler is the proxy. It serves every path and method.
type Handler struct {
	opts          Options
	target        target
	tokens        tokenSet
	purposes      map[string]bool
	upgrades      httputil.ReverseProxy // of the calls that become a WebSocket
	transport     timedTransport
	keyName       atomic.Pointer[keyName] // of the last key
	authorization []string                // of the injected key; empty: none is
	metrics       *metrics
	calls         openCalls
	memory        *semaphore.Weighted // for the bodies that the guard asks about
}

// New returns a Handler. It starts nothing.
func New(opts Options) (*Handler, error) {
	if err := opts.setDefaults(); err != nil {
		return nil, err
	}
	h := &Handler{
		opts:     opts,
		target:   newTarget(opts.Upstream),
		tokens:   newTokenSet(opts.ClientTokens),
		purposes: map[string]bool{},
		metrics:  newMetrics(opts.Registerer),
		memory:   semaphore.NewWeighted(max(opts.InspectMemory, opts.InspectBytes)),
	}
	for _, purpose := range opts.Purposes {
		h.purposes[purpose] = true
	}
	if opts.APIKey != "" {
		h.authorization = []string{"Bearer " + opts.APIKey}
	}
	h.transport = timedTransport{opts.Transport}
	h.upgrades = httputil.ReverseProxy{
		Rewrite:   h.rewrite,
		Transport: h.transport,
		ModifyResponse: func(response *http.Response) error {
			callOf(response.Request).receive(response)
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) { h.upstreamFailed(callOf(r), err) },
		ErrorLog:     log.New(debugWriter{opts.Logger}, "", 0),
	}
	return h, nil
}

func (o *Options) setDefaults() error {
	var errs []error
	if o.Upstream == nil || o.Upstream.Host == "" {
		errs = append(errs, errors.New("proxy: no upstream URL"))
	}
	if o.Transport == nil {
		errs = append(errs, errors.New("proxy: no transport"))
	}
	if o.Recorder == nil || o.Keyring == nil {
		errs = append(errs, errors.New("proxy: a recorder and a keyring are needed"))
	}
	if len(o.Purposes) == 0 {
		o.Purposes = accounting.DefaultPurposes()
	}
	switch o.Disconnect {
	case "":
		o.Disconnect = DisconnectGrace
	case DisconnectGrace, DisconnectDrain:
	default:
		errs = append(errs, fmt.Errorf("proxy: disconnect %q: want %s or %s", o.Disconnect, DisconnectGrace, DisconnectDrain))
	}
	setDefault(&o.DisconnectGrace, time.Second)
	setDefault(&o.IdentifyTimeout, 3*time.Second)
	setDefault(&o.DrainTimeout, 10*time.Minute)
	setDefault(&o.ClientStallTimeout, time.Minute)
	setDefault(&o.InspectBytes, 8<<20)
	setDefault(&o.InspectMemory, 32*o.InspectBytes)
	setDefault(&o.InspectWait, time.Second)
	if o.FindBudget == nil {
		o.FindBudget = func(string) (accounting.Budget, bool) { return accounting.Budget{}, false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return errors.Join(errs...)
}

func setDefault[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// ServeHTTP forwards one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := h.opts.Now()
	c := &call{handler: h, started: started}
	c.arrived = takeBeyond(r)
	c.event.ID = accounting.NewRequestID(started, rand.Uint64(), rand.Uint64())
	c.writer.wrap(w, r, c)

	if isLoop(r.Header["Via"]) {
		c.refuse(refusal{status: http.StatusLoopDetected, kind: "loop_detected",
			message: "the request has passed through Bursar before: BURSAR_UPSTREAM_URL points back at Bursar itself; set it to OpenRouter's address"})
		return
	}
	tagged, rest := cutTagPath(originForm(r.RequestURI))
	c.requestURI = rest
	path := pathOf(rest)
	c.class = openrouter.Classify(r.Method, path)

	key, ok := h.authorize(r, c)
	if !ok {
		c.refuse(refusal{status: http.StatusUnauthorized, kind: "authentication",
			message: "no valid client token: send one of BURSAR_PROXY_CLIENT_TOKENS as \"Authorization: Bearer <token>\" or \"x-api-key: <token>\""})
		return
	}
	tags, problem := h.readTags(r.Header, tagged)
	if problem != "" && h.opts.StrictTags {
		c.refuse(refusal{status: http.StatusBadRequest, kind: "invalid_request", message: problem + " (BURSAR_TAGS_STRICT is on)"})
		return
	}
	c.event.Tags = tags
	c.event.Endpoint, _ = accounting.CleanTag(path)
	c.key = key
	h.forward(c, r)
}

// forward sends the call upstream and its answer back. The call's context
// outlives the client's, so that an answer can be read on after the client
// has left.
func (h *Handler) forward(c *call, r *http.Request) {
	client := r.Context()
	ctx, cancel := context.WithCancel(context.WithoutCancel(client))
	c.Context, c.cancel = ctx, cancel
	if r.Trailer == nil && r.ContentLength < 0 {
		// The server fills the request's own map at the body's end; one that is
		// there before can be shared with the request that goes upstream.
		r.Trailer = http.Header{}
	}
	r = r.WithContext(c)
	c.prepareBody(r)
	h.metrics.inFlight.Inc()
	stop := context.AfterFunc(client, c.clientLeft)
	defer func() {
		stop()
		h.calls.remove(c)
		c.finish() // no answer's Close did it: an upgraded connection, or a panic
		if c.held != nil {
			c.held.end()
		}
		c.stopTimer()
		cancel()
		c.writer.clearDeadline()
		c.request.leave()
		h.metrics.inFlight.Dec()
		h.metrics.observe(c)
	}()
	if c.class.Billable && (!c.reserve(client, r) || !c.open()) {
		return
	}
	h.exchange(c, r)
}

// debugWriter takes ReverseProxy's remarks (a client left, an upstream broke
// off), which are events of calls and not errors of ours.
type debugWriter struct{ log zerolog.Logger }

func (d debugWriter) Write(p []byte) (int, error) {
	d.log.Debug().Msg(string(p))
	return len(p), nil
}
