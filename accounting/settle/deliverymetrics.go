package settle

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// deliveryMetrics are the figures of [Deliveries].
type deliveryMetrics struct {
	raised   *prometheus.CounterVec   // by kind and severity
	outcomes *prometheus.CounterVec   // by channel_kind and outcome
	age      *prometheus.HistogramVec // by channel_kind
}

func newDeliveryMetrics(reg prometheus.Registerer) *deliveryMetrics {
	factory := promauto.With(reg)
	return &deliveryMetrics{
		raised: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_alerts_raised_total",
			Help: "Alerts that this process has made.",
		}, []string{"kind", "severity"}),
		outcomes: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_alert_deliveries_total",
			Help: "Attempts to deliver an alert by outcome: delivered, retried (it failed and is tried again), failed (given up).",
		}, []string{"channel_kind", "outcome"}),
		age: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "bursar_alert_delivery_age_seconds",
			Help:    "Time from an alert to its delivery.",
			Buckets: prometheus.ExponentialBuckets(0.1, 4, 11), // to 29 h
		}, []string{"channel_kind"}),
	}
}

func (m *deliveryMetrics) delivered(kind string, age time.Duration) {
	m.ended(kind, "delivered")
	m.age.WithLabelValues(kind).Observe(max(age, 0).Seconds())
}

func (m *deliveryMetrics) ended(kind, outcome string) {
	m.outcomes.WithLabelValues(kind, outcome).Inc()
}
