package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// tracer feeds the duration of every query to a histogram. A query is named by
// the comment it starts with, "-- name: usage_insert": names are constants of
// this package, so the label is bounded, and the same name is found in
// PostgreSQL's own log and in pg_stat_activity.
type tracer struct {
	durations *prometheus.HistogramVec
}

func newTracer(reg prometheus.Registerer) (*tracer, error) {
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "bursar_database_query_duration_seconds",
		Help:    "Time from sending a query to its last row, by the query's name.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"query"})
	if reg != nil {
		if err := reg.Register(durations); err != nil {
			return nil, err
		}
	}
	return &tracer{durations: durations}, nil
}

type traceKey struct{}

type trace struct {
	query string
	start time.Time
}

// TraceQueryStart implements pgx.QueryTracer.
func (t *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, traceKey{}, trace{query: queryName(data.SQL), start: time.Now()})
}

// TraceQueryEnd implements pgx.QueryTracer.
func (t *tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if tr, ok := ctx.Value(traceKey{}).(trace); ok {
		t.durations.WithLabelValues(tr.query).Observe(time.Since(tr.start).Seconds())
	}
}

const nameComment = "-- name: "

func queryName(sql string) string {
	if rest, ok := strings.CutPrefix(sql, nameComment); ok {
		name, _, _ := strings.Cut(rest, "\n")
		return name
	}
	switch word, _, _ := strings.Cut(sql, " "); word {
	case "begin", "commit", "rollback":
		return word
	}
	return "other"
}
