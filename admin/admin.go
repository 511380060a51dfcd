package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"bursar/accounting"
)

// Usage reads recorded calls.
type Usage interface {
	// ListUsage returns the newest rows that match, at most filter.Limit of
	// them. A cursor it never handed out is [accounting.ErrBadCursor]. It is
	// called concurrently and must return when ctx ends.
	ListUsage(ctx context.Context, filter accounting.UsageFilter) (accounting.UsagePage, error)
	// FindUsage returns the row of one call. A call that is not there is
	// [accounting.ErrUnknownCall]. It is called as ListUsage is.
	FindUsage(ctx context.Context, id accounting.RequestID) (accounting.UsageRow, error)
}

// Options are what a [Handler] is made from.
type Options struct {
	// Token opens everything but the health checks, the description of the
	// API and the login page. Empty: all is open, but only to requests
	// addressed to a loopback name, so that no web page can reach it through
	// a name of its own.
	Token string

	// AppURL is the one browser origin besides our own that may use the API.
	// Its path is ignored. Empty: none.
	AppURL string

	Usage     Usage               // required
	Decisions Decisions           // required
	Audit     Audit               // required
	Gatherer  prometheus.Gatherer // required; what /metrics shows

	Exports         Exports           // nil: their route does not exist
	Reconciliations Reconciliations   // nil: their routes do not exist
	Economics       *EconomicsOptions // nil: costs, campaigns and leads have no routes
	Budgets         *BudgetOptions    // nil: the routes of budgets, decisions, stops and alerts do not exist

	// ProxyURL is where applications reach the data port, for the pages that say
	// how to point one at it. Empty: they name the default.
	ProxyURL string

	Readiness []Check     // what /readyz asks; names must differ
	Draining  func() bool // true: stopping, hence not ready; nil: never

	Logger  zerolog.Logger // the zero value logs nothing
	Version string         // of Bursar; empty: "devel"
}

// Handler serves the admin port. Create it with [New].
type Handler struct {
	chain     http.Handler // middleware around mux
	mux       *router
	usage     Usage
	decisions Decisions
	audit     Audit
	token     [sha256.Size]byte // of Options.Token; meaningless when open
	open      bool              // no token is set
	origin    string            // of AppURL; empty: none
	sessions  *sessions
	ready     *readiness
	log       zerolog.Logger
	version   string
	openAPI   []byte
	docs      func() ([]byte, error) // the page of /docs
	gatherer  prometheus.Gatherer
	live      *live
	proxyURL  string

	exports         Exports         // nil: there are none
	reconciliations Reconciliations // nil: there are none
	budgets         *BudgetOptions  // nil: there are none
	economics       *economics      // nil: there are none
}

// New returns the admin port's handler. The error names every option that
// cannot be.
func New(o Options) (*Handler, error) {
	origin, err := originOf(o.AppURL)
	err = errors.Join(err, checkReadiness(o.Readiness))
	if o.Usage == nil {
		err = errors.Join(err, errors.New("admin: Options.Usage is nil"))
	}
	if o.Decisions == nil {
		err = errors.Join(err, errors.New("admin: Options.Decisions is nil"))
	}
	if o.Audit == nil {
		err = errors.Join(err, errors.New("admin: Options.Audit is nil"))
	}
	if o.Budgets != nil && o.Budgets.Store == nil {
		err = errors.Join(err, errors.New("admin: Options.Budgets.Store is nil"))
	}
	if o.Gatherer == nil {
		err = errors.Join(err, errors.New("admin: Options.Gatherer is nil"))
	}
	economics, economicsErr := newEconomics(o.Economics)
	if err = errors.Join(err, economicsErr); err != nil {
		return nil, err
	}
	if o.Version == "" {
		o.Version = "devel"
	}
	h := &Handler{
		mux:       newRouter(),
		usage:     o.Usage,
		decisions: o.Decisions,
		audit:     o.Audit,
		token:     sha256.Sum256([]byte(o.Token)),
		open:      o.Token == "",
		origin:    origin,
		sessions:  newSessions(sessionLife, maxSessions),
		ready:     newReadiness(o.Readiness, o.Draining),
		log:       o.Logger,
		version:   o.Version,
		gatherer:  o.Gatherer,
		proxyURL:  cmp.Or(o.ProxyURL, "http://127.0.0.1:8080"),

		exports:         o.Exports,
		reconciliations: o.Reconciliations,
		budgets:         o.Budgets,
		economics:       economics,
	}
	h.live = &live{read: h.readLive, log: o.Logger, watchers: make(map[chan struct{}]struct{})}
	if err := h.routes(o.Gatherer); err != nil {
		return nil, fmt.Errorf("admin routes: %w", err)
	}
	protect, err := h.crossOriginProtection()
	if err != nil {
		return nil, err
	}
	h.chain = h.observe(h.secure(h.cors(protect(h.authenticate(http.HandlerFunc(h.dispatch))))))
	return h, nil
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.chain.ServeHTTP(w, r) }

// Close ends what browsers follow, which otherwise lasts for as long as they
// look. Call it when the server begins to shut down.
func (h *Handler) Close() {
	h.live.close()
	if h.economics != nil {
		h.economics.credits.asking.Wait()
	}
}

// Server returns a server for the admin port whose time limits suit what
// people and scrapers ask of it. It does not listen yet.
func Server(addr string, handler http.Handler) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      time.Minute, // above queryTimeout, so that a slow query can still be answered
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
}
