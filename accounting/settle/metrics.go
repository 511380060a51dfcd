package settle

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"bursar/accounting"
)

// shipperMetrics are the figures of a [Shipper].
type shipperMetrics struct {
	batches        *prometheus.CounterVec // by outcome
	size           prometheus.Histogram
	duration       prometheus.Histogram
	delay          prometheus.Histogram
	rows           *prometheus.CounterVec // by change
	rejected       prometheus.Counter
	orphansGivenUp prometheus.Counter
}

func newShipperMetrics(reg prometheus.Registerer, lag func() float64) *shipperMetrics {
	factory := promauto.With(reg)
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bursar_shipper_lag_seconds",
		Help: "Age of the oldest ended call that the shipper has in hand; 0 if it has none.",
	}, lag)
	return &shipperMetrics{
		batches: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_shipper_batches_total",
			Help: "Transactions by outcome: shipped, failed (will be tried again), refused (holds an event that Postgres does not take).",
		}, []string{"outcome"}),
		size: factory.NewHistogram(prometheus.HistogramOpts{
			Name:    "bursar_shipper_batch_events",
			Help:    "Events in a shipped transaction.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000},
		}),
		duration: factory.NewHistogram(prometheus.HistogramOpts{
			Name:    "bursar_shipper_ship_duration_seconds",
			Help:    "Time a transaction took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}),
		delay: factory.NewHistogram(prometheus.HistogramOpts{
			Name:    "bursar_shipper_delay_seconds",
			Help:    "Time from the end of a call to the commit of its row.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 15),
		}),
		rows: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_shipper_rows_total",
			Help: "Rows by change: inserted, updated, replayed (nothing was left to change).",
		}, []string{"change"}),
		rejected: factory.NewCounter(prometheus.CounterOpts{
			Name: "bursar_events_rejected_total",
			Help: "Events that Postgres refuses for good and that were set aside.",
		}),
		orphansGivenUp: factory.NewCounter(prometheus.CounterOpts{
			Name: "bursar_orphan_polls_total",
			Help: "Polls of asynchronous jobs that no recorded call had created.",
		}),
	}
}

// observe counts one try.
func (m *shipperMetrics) observe(took time.Duration, events int, err error) {
	m.duration.Observe(took.Seconds())
	switch {
	case err == nil:
		m.batches.WithLabelValues("shipped").Inc()
		m.size.Observe(float64(events))
	case isPermanent(err):
		m.batches.WithLabelValues("refused").Inc()
	default:
		m.batches.WithLabelValues("failed").Inc()
	}
}

// count counts what a transaction changed.
func (m *shipperMetrics) count(s *accounting.Shipment) {
	m.rows.WithLabelValues("inserted").Add(float64(s.Inserted))
	m.rows.WithLabelValues("updated").Add(float64(s.Updated))
	m.rows.WithLabelValues("replayed").Add(float64(s.Replayed))
}

// settlerMetrics are the figures of a [Settler].
type settlerMetrics struct {
	attempts    *prometheus.CounterVec // by outcome
	duration    prometheus.Histogram
	mismatches  prometheus.Counter
	corrections *prometheus.CounterVec // by direction
	skipped     prometheus.Counter
	givenUp     prometheus.Counter
	awaitingKey prometheus.Counter
	paused      prometheus.Gauge
}

func newSettlerMetrics(reg prometheus.Registerer) *settlerMetrics {
	factory := promauto.With(reg)
	return &settlerMetrics{
		attempts: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_settler_attempts_total",
			Help: "Lookups of generations and jobs by outcome.",
		}, []string{"outcome"}),
		duration: factory.NewHistogram(prometheus.HistogramOpts{
			Name:    "bursar_settler_lookup_duration_seconds",
			Help:    "Time a lookup took, answered or not.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 12),
		}),
		mismatches: factory.NewCounter(prometheus.CounterOpts{
			Name: "bursar_cost_mismatches_total",
			Help: "Calls whose own record at OpenRouter names another cost than the response did.",
		}),
		corrections: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_cost_corrections_usd_total",
			Help: "By how much those costs were corrected, in US dollars, by direction: up or down.",
		}, []string{"direction"}),
		skipped: factory.NewCounter(prometheus.CounterOpts{
			Name: "bursar_verifications_skipped_total",
			Help: "Inline costs that became too old to be verified.",
		}),
		givenUp: factory.NewCounter(prometheus.CounterOpts{
			Name: "bursar_settler_given_up_total",
			Help: "Calls without a cost that were left to an operator as unresolved.",
		}),
		awaitingKey: factory.NewCounter(prometheus.CounterOpts{
			Name: "bursar_settler_awaiting_key_total",
			Help: "Calls that began to wait for a key that no replica holds.",
		}),
		paused: factory.NewGauge(prometheus.GaugeOpts{
			Name: "bursar_settler_paused",
			Help: "1 while lookups rest because too many failed in a row.",
		}),
	}
}

// posted counts the result of one settled row.
func (m *settlerMetrics) posted(p *accounting.Posting) {
	if !p.Mismatch {
		return
	}
	m.mismatches.Inc()
	direction := "up"
	if p.Amount.IsNegative() {
		direction = "down"
	}
	m.corrections.WithLabelValues(direction).Add(p.Amount.Abs().InexactFloat64())
}
