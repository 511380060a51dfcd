package settle

import (
	"github.com/prometheus/client_golang/prometheus"

	"bursar/accounting"
)

// showMonthCost sets the parts of what a month has cost.
func showMonthCost(cost *prometheus.GaugeVec, m *accounting.MonthFigures) {
	cost.WithLabelValues("fixed").Set(m.FixedEUR().InexactFloat64())
	cost.WithLabelValues("openrouter").Set(m.VariableEUR().InexactFloat64())
	cost.WithLabelValues("total").Set(m.TotalEUR().InexactFloat64())
}
