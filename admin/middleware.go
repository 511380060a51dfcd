package admin

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/rs/zerolog"
)

// observe logs each request at debug level, by the names of its query
// parameters and never their values, and turns a panic into a problem.
func (h *Handler) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		log := h.log.With().Str("method", r.Method).Str("path", shown(r.URL.Path)).Logger()
		r = r.WithContext(log.WithContext(r.Context()))
		rec := &recorder{ResponseWriter: w}
		defer func() {
			h.recovered(rec, r, recover())
			log.Debug().
				Strs("query", queryNames(r)).
				Int("status", rec.status).
				Int64("bytes", rec.bytes).
				Dur("duration_ms", time.Since(start)).
				Msg("admin request")
		}()
		next.ServeHTTP(rec, r)
	})
}

// queryNames lists the parameters of a request, of which the API has about a
// dozen; what else is sent need not fill the log.
func queryNames(r *http.Request) []string {
	names := slices.Sorted(maps.Keys(r.URL.Query()))
	names = names[:min(len(names), 20)]
	for i := range names {
		names[i] = shown(names[i])
	}
	return names
}

// recovered answers a request whose handler panicked with v, if it still can.
func (h *Handler) recovered(w *recorder, r *http.Request, v any) {
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v) // net/http's own way of saying "close the connection"
	}
	log := zerolog.Ctx(r.Context())
	if w.status != 0 {
		// Half an answer must not look like a whole one.
		log.Error().Str("panic", fmt.Sprint(v)).Bytes("stack", debug.Stack()).Msg("admin handler panicked while answering")
		panic(http.ErrAbortHandler)
	}
	log.Error().Str("panic", fmt.Sprint(v)).Bytes("stack", debug.Stack()).Msg("admin handler panicked")
	h.fail(w, r, newProblem(http.StatusInternalServerError, sorry))
}

// recorder remembers what was answered. Status 0: nothing yet.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements [http.ResponseWriter].
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap gives [http.ResponseController] the connection's own writer.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// metricsLog gives promhttp its logger.
type metricsLog struct{ log zerolog.Logger }

// Println implements promhttp.Logger.
func (l metricsLog) Println(v ...any) {
	l.log.Error().Str("reason", fmt.Sprint(v...)).Msg("gather metrics")
}
