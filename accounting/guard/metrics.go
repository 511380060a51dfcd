package guard

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// metrics are the figures of a [Guard].
type metrics struct {
	decisions *prometheus.CounterVec
	waits     prometheus.Histogram
}

func newMetrics(g *Guard, reg prometheus.Registerer) (*metrics, error) {
	factory := promauto.With(nil)
	m := &metrics{
		decisions: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "bursar_guard_decisions_total",
			Help: "Calls that a budget or a stop applied to, by verdict and reason.",
		}, []string{"verdict", "reason"}),
		waits: factory.NewHistogram(prometheus.HistogramOpts{
			Name:    "bursar_guard_grant_wait_seconds",
			Help:    "Time that calls waited for money of a hard budget.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12),
		}),
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.decisions), reg.Register(m.waits), reg.Register(&collector{guard: g}))
}

func (m *metrics) decided(d *accounting.BudgetDecision) {
	m.decisions.WithLabelValues(string(d.Verdict), string(d.Reason)).Inc()
}

func (m *metrics) waited(d time.Duration) { m.waits.Observe(d.Seconds()) }

// collector shows how budgets and stops stand when it is asked.
type collector struct {
	guard *Guard
}

var (
	byBudget   = []string{"budget", "currency"}
	limitDesc  = prometheus.NewDesc("bursar_budget_limit", "Limit of a budget; of one that is divided, for each value.", byBudget, nil)
	settleDesc = prometheus.NewDesc("bursar_budget_settled",
		"Settled spend of a budget's present period; of one that is divided, of the values in use here.", byBudget, nil)
	reserveDesc = prometheus.NewDesc("bursar_budget_reserved",
		"Reserved for calls whose cost is not known: those in Postgres, and those in flight here.", byBudget, nil)
	leaseDesc = prometheus.NewDesc("bursar_budget_leased", "Money of a hard budget in the hands of this replica.", byBudget, nil)
	stopDesc  = prometheus.NewDesc("bursar_guard_stop_active", "Emergency stops and holds that block calls here.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{limitDesc, settleDesc, reserveDesc, leaseDesc, stopDesc} {
		ch <- d
	}
}

// standing sums up the accounts of one budget.
type standing struct {
	settled, reserved, leased decimal.Decimal
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	set := c.guard.set.Load()
	if set == nil {
		return
	}
	now := c.guard.o.Now().UnixNano()
	sums := make(map[string]*standing, len(set.byID))
	c.guard.table.visit(func(a *account) {
		if now < a.start || now >= a.end {
			return
		}
		s := sums[a.key.BudgetID]
		if s == nil {
			s = &standing{}
			sums[a.key.BudgetID] = s
		}
		reserved := exact(a.reserved.Load())
		s.leased = s.leased.Add(exact(a.inHand(essential))).Add(reserved)
		s.reserved = s.reserved.Add(reserved)
		if f := a.figures.Load(); f != nil {
			s.settled = s.settled.Add(f.Settled)
			s.reserved = s.reserved.Add(f.Reserved)
		}
	})
	for id, r := range set.byID {
		s := sums[id]
		if s == nil {
			s = &standing{}
		}
		gauge := func(desc *prometheus.Desc, v decimal.Decimal) {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v.InexactFloat64(), id, string(r.budget.Currency))
		}
		gauge(limitDesc, r.budget.Limit.Decimal)
		gauge(settleDesc, s.settled)
		gauge(reserveDesc, s.reserved)
		gauge(leaseDesc, s.leased)
	}
	blocking := 0
	for i := range set.stops {
		if !set.stops[i].Drill {
			blocking++
		}
	}
	ch <- prometheus.MustNewConstMetric(stopDesc, prometheus.GaugeValue, float64(blocking))
}
