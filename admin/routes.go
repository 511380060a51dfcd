package admin

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// openPaths need no token: what a load balancer probes, what a client
// generator reads, and the way in.
var openPaths = map[string]bool{
	"/healthz":      true,
	"/readyz":       true,
	"/openapi.json": true,
	"/login":        true,
	"/logout":       true,
}

// router is the mux and the patterns that it was given, which a mux does not
// tell.
type router struct {
	*http.ServeMux
	patterns []string
}

func newRouter() *router { return &router{ServeMux: http.NewServeMux()} }

// Handle registers a route.
func (m *router) Handle(pattern string, handler http.Handler) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.Handle(pattern, handler)
}

// HandleFunc registers a route.
func (m *router) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, http.HandlerFunc(handler))
}

// routes registers every route of the admin port.
func (h *Handler) routes(metrics prometheus.Gatherer) error {
	api := h.newAPI()
	huma.Register(api, healthzOperation, operation(h.healthz))
	huma.Register(api, readyzOperation, operation(h.readyz))
	huma.Register(api, listUsageOperation, operation(h.listUsage))
	huma.Register(api, findUsageOperation, operation(h.findUsage))
	huma.Register(api, attachGenerationOperation, operation(h.attachGeneration))
	huma.Register(api, dismissCallOperation, operation(h.dismissCall))
	huma.Register(api, listAuditOperation, operation(h.listAudit))
	h.exportRoutes(api)
	h.reconciliationRoutes(api)
	h.economics.routes(api)
	h.budgetRoutes(api)

	h.pageRoutes()
	h.mux.Handle("GET /login", h.adapt(h.loginForm))
	h.mux.Handle("POST /login", h.adapt(h.login))
	h.mux.Handle("POST /logout", h.adapt(h.logout))
	h.mux.Handle("GET /openapi.json", h.adapt(h.serveOpenAPI))
	h.mux.Handle("GET /docs", h.adapt(h.serveDocs))
	h.mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		ErrorLog:      metricsLog{h.log},
		ErrorHandling: promhttp.ContinueOnError, // one broken collector must not blind the operator to the rest
	}))

	return h.describe(api)
}

// dispatch calls the route, or answers as a problem what ServeMux would answer
// in plain text.
func (h *Handler) dispatch(w http.ResponseWriter, r *http.Request) {
	if !utf8.ValidString(r.URL.Path) || strings.ContainsRune(r.URL.Path, 0) { // Postgres knows no such text
		h.fail(w, r, newProblem(http.StatusNotFound, "There is nothing at %s: names are UTF-8 text without NUL.", shown(r.URL.Path)))
		return
	}
	fallback, pattern := h.mux.Handler(r)
	if pattern != "" {
		h.mux.ServeHTTP(w, r)
		return
	}
	answer := &headerOnly{header: http.Header{}, status: http.StatusOK}
	fallback.ServeHTTP(answer, r)
	if answer.status == http.StatusMethodNotAllowed {
		allow := answer.header.Get("Allow")
		w.Header().Set("Allow", allow)
		h.fail(w, r, newProblem(http.StatusMethodNotAllowed, "%s is not possible on %s, only %s.", shown(r.Method), shown(r.URL.Path), allow))
		return
	}
	h.fail(w, r, newProblem(http.StatusNotFound, "There is nothing at %s. /openapi.json lists what there is.", shown(r.URL.Path)))
}

// headerOnly is a ResponseWriter that keeps a response's head and drops its
// body.
type headerOnly struct {
	header http.Header
	status int
}

func (w *headerOnly) Header() http.Header         { return w.header }
func (w *headerOnly) WriteHeader(status int)      { w.status = status }
func (w *headerOnly) Write(p []byte) (int, error) { return len(p), nil }
