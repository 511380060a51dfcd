package settle

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"bursar/accounting"
)

// reconcilerMetrics are the figures of a [Reconciler]. They come from the
// database, so every replica shows the same, whichever did the work.
type reconcilerMetrics struct {
	difference, dark, day, differing *prometheus.GaugeVec // by source
}

func newReconcilerMetrics(reg prometheus.Registerer) *reconcilerMetrics {
	factory := promauto.With(reg)
	gauge := func(name, help string) *prometheus.GaugeVec {
		return factory.NewGaugeVec(prometheus.GaugeOpts{Name: "bursar_reconciliation_" + name, Help: help}, []string{"source"})
	}
	return &reconcilerMetrics{
		difference: gauge("difference_usd", "OpenRouter's figure of the latest reconciled day less ours, in US dollars, without what keys spent that Bursar does not know."),
		dark:       gauge("dark_spend_usd", "Of that, by calls on our keys that never came through Bursar, as far as it is known."),
		day:        gauge("day_timestamp_seconds", "Start of the latest day that was reconciled, Unix time."),
		differing:  gauge("differing", "Comparisons of that day with a difference above the tolerance."),
	}
}

// show sets the gauges from the rows of each source's latest day. The account
// speaks for the activity and the credits, all keys together for the keys.
func (m *reconcilerMetrics) show(latest []accounting.Reconciliation) {
	type sums struct{ difference, dark, day, differing float64 }
	bySource := make(map[accounting.Source]*sums)
	for i := range latest {
		c := &latest[i]
		s := bySource[c.Source]
		if s == nil {
			s = &sums{day: float64(c.Day.Start().Unix())}
			bySource[c.Source] = s
		}
		if c.Verdict == accounting.VerdictDiffers {
			s.differing++
		}
		if c.DifferenceUSD == nil || (c.KeyFingerprint == "") != (c.Source != accounting.SourceKey) {
			continue
		}
		difference := c.DifferenceUSD.Decimal
		if c.OtherKeysUSD != nil {
			difference = difference.Sub(c.OtherKeysUSD.Decimal)
		}
		s.difference += difference.InexactFloat64()
		if c.DarkSpendUSD != nil {
			s.dark += c.DarkSpendUSD.InexactFloat64()
		}
	}
	for source, s := range bySource {
		m.difference.WithLabelValues(string(source)).Set(s.difference)
		m.dark.WithLabelValues(string(source)).Set(s.dark)
		m.day.WithLabelValues(string(source)).Set(s.day)
		m.differing.WithLabelValues(string(source)).Set(s.differing)
	}
}
