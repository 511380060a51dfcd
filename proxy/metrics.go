package proxy

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the data plane. Labels are bounded: endpoints by name, statuses
// by number.
type metrics struct {
	requests       *prometheus.CounterVec
	inFlight       prometheus.Gauge
	duration       *prometheus.HistogramVec
	firstByte      *prometheus.HistogramVec
	addedLatency   prometheus.Histogram
	upstreamErrors *prometheus.CounterVec
	recordErrors   prometheus.Counter
	disconnects    prometheus.Counter
	cuts           prometheus.Counter
	endpoints      sync.Map // of *endpointMetrics, by name
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	seconds := []float64{.005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_requests_total", Help: "Requests on the data port, by endpoint and status sent to the client."}, []string{"endpoint", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "bursar_requests_in_flight", Help: "Requests being served on the data port."}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bursar_request_duration_seconds", Help: "Request in to last byte out.", Buckets: seconds}, []string{"endpoint"}),
		firstByte: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bursar_time_to_first_byte_seconds", Help: "Request in to the answer's first body byte.", Buckets: seconds}, []string{"endpoint"}),
		addedLatency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "bursar_added_latency_seconds",
			Help:    "Time that Bursar itself adds before the answer's headers go out: not waiting for OpenRouter or for the client's body.",
			Buckets: []float64{.00005, .0001, .0002, .0005, .001, .002, .005, .01, .05, .2, 1}}),
		upstreamErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_upstream_errors_total", Help: "Calls that got no answer from OpenRouter, by reason."}, []string{"reason"}),
		recordErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bursar_record_errors_total", Help: "Events that could not be recorded when they happened."}),
		disconnects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bursar_client_disconnects_total", Help: "Calls whose client left before the answer's end."}),
		cuts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bursar_calls_cut_total", Help: "Calls in flight that an operator's stop has cut."}),
	}
	if registerer != nil {
		registerer.MustRegister(m.requests, m.inFlight, m.duration, m.firstByte, m.addedLatency, m.upstreamErrors, m.recordErrors, m.disconnects, m.cuts)
	}
	return m
}

// endpointMetrics are those of one endpoint, found once.
type endpointMetrics struct {
	ok                  prometheus.Counter // requests answered 200
	duration, firstByte prometheus.Observer
}

func (m *metrics) of(endpoint string) *endpointMetrics {
	if of, ok := m.endpoints.Load(endpoint); ok {
		return of.(*endpointMetrics)
	}
	of, _ := m.endpoints.LoadOrStore(endpoint, &endpointMetrics{
		ok:       m.requests.WithLabelValues(endpoint, strconv.Itoa(http.StatusOK)),
		duration: m.duration.WithLabelValues(endpoint), firstByte: m.firstByte.WithLabelValues(endpoint),
	})
	return of.(*endpointMetrics)
}

// observe counts a request that is over.
func (m *metrics) observe(c *call) {
	of := m.of(c.class.Name)
	switch {
	case !c.writer.wrote:
		m.requests.WithLabelValues(c.class.Name, "none").Inc()
	case c.writer.status == http.StatusOK:
		of.ok.Inc()
	default:
		m.requests.WithLabelValues(c.class.Name, strconv.Itoa(c.writer.status)).Inc()
	}
	now := c.handler.opts.Now()
	of.duration.Observe(now.Sub(c.started).Seconds())
	if c.firstByte > 0 {
		of.firstByte.Observe(c.firstByte.Seconds())
	}
	if !c.upstreamAt.IsZero() && c.writer.wrote {
		added := c.writer.headerAt.Sub(c.started) - c.upstream - c.prepared
		m.addedLatency.Observe(max(0, added, time.Duration(0)).Seconds())
	}
	if c.left.Load() {
		m.disconnects.Inc()
	}
}
