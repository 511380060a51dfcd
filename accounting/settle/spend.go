package settle

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"bursar/accounting"
)

// DefaultLabelValues is how many distinct values a label has of its own before
// the rest counts under "other".
const DefaultLabelValues = 100

// Spend counts postings for Prometheus: bursar_spend_usd_total, and
// bursar_spend_corrections_usd_total for what corrections took back, since a
// counter cannot fall. What was spent is the difference of the two.
//
// Prometheus counts in floating point, so these are for watching and alerting;
// the exact figures are in Postgres. Safe for concurrent use.
type Spend struct {
	spent, takenBack            *prometheus.CounterVec
	campaigns, purposes, models *labelLimiter
}

// NewSpend registers the two counters with reg. labelValues bounds the distinct
// campaigns, purposes and models that get series of their own; 0 stands for
// [DefaultLabelValues].
func NewSpend(reg prometheus.Registerer, labelValues int) (*Spend, error) {
	if labelValues < 0 {
		return nil, fmt.Errorf("spend metrics: %d label values: must not be negative", labelValues)
	}
	if labelValues == 0 {
		labelValues = DefaultLabelValues
	}
	labels := []string{"campaign", "purpose", "model"}
	factory := promauto.With(reg)
	return &Spend{
		spent: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_spend_usd_total",
			Help: "What recorded calls cost, in US dollars, before corrections.",
		}, labels),
		takenBack: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_spend_corrections_usd_total",
			Help: "What corrections took away again from bursar_spend_usd_total, in US dollars.",
		}, labels),
		campaigns: newLabelLimiter(labelValues),
		purposes:  newLabelLimiter(labelValues),
		models:    newLabelLimiter(labelValues),
	}, nil
}

// Add counts what a committed transaction changed.
func (s *Spend) Add(postings []accounting.Posting) {
	for i := range postings {
		p := &postings[i]
		vec, amount := s.spent, p.Amount
		switch amount.Sign() {
		case 0:
			continue
		case -1:
			vec, amount = s.takenBack, amount.Neg()
		}
		vec.WithLabelValues(
			s.campaigns.value(p.Tags.CampaignID),
			s.purposes.value(p.Tags.Purpose),
			s.models.value(p.Model),
		).Add(amount.InexactFloat64())
	}
}
