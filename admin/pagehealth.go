package admin

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"bursar/accounting"
)

const (
	healthAlerts = 50
	healthFailed = 20 // calls
)

// healthPage is the content of /health.
type healthPage struct {
	Checks    []checkResult
	Figures   []healthFigure
	Alerts    []accounting.Alert
	Replicas  []accounting.Replica
	Leases    []accounting.LeaseRow
	Failed    []accounting.UsageRow
	Undecided callsPage
}

// healthFigure is a metric in words.
type healthFigure struct {
	Name, Value, Meaning string
	Bad                  bool
}

// healthMetrics are the metrics that the page shows, summed over their series:
// no second bookkeeping stands beside them.
var healthMetrics = []struct {
	metric, label, name, meaning string // label: only series that have this value of one
	show                         func(float64) string
	bad                          func(float64) bool
}{
	{"bursar_shipper_lag_seconds", "", "Journal waits for Postgres", "Age of the oldest event that is in the journal and not in Postgres yet.", ageText, above(60)},
	{"bursar_journal_depth", "", "Events that wait in the journal", "In the journal, and not in Postgres yet.", countText, nil},
	{"bursar_requests_in_flight", "", "Calls in flight", "Requests of the data port that are being answered.", countText, nil},
	{"bursar_unsettled_calls", "pending", "Costs being asked for", "Calls whose generation came about and whose exact cost is not known yet.", countText, nil},
	{"bursar_unsettled_calls", "awaiting_key", "Costs that wait for a key", "They can be asked for only with the key that made the call.", countText, nil},
	{"bursar_unsettled_calls", "unresolved", "Costs that OpenRouter did not tell", "Somebody has to look.", countText, above(0)},
	{"bursar_unsettled_calls", "interrupted", "Calls that broke off without an id", "Somebody has to look.", countText, above(0)},
	{"bursar_unsettled_calls", "unverified", "Costs not confirmed yet", "Known from the answer; OpenRouter's own record has not confirmed them yet.", countText, nil},
	{"bursar_oldest_pending_seconds", "", "Oldest pending call", "How long the oldest call has waited for its cost.", ageText, above(24 * 3600)},
	{"bursar_cost_mismatches_total", "", "Costs that OpenRouter's record corrected", "Since this process started: the answer said another cost than the record.", countText, nil},
	{"bursar_settler_given_up_total", "", "Costs given up", "Since this process started: OpenRouter did not say within the time allowed.", countText, above(0)},
	{"bursar_unaccounted_calls_total", "", "Calls not accounted", "Since this process started, with journal and Postgres both away.", countText, above(0)},
	{"bursar_events_lost_total", "", "Events lost", "Since this process started. It should be 0 for ever.", countText, above(0)},
	{"bursar_journal_refused_appends_total", "", "Failed writes to the journal", "Since this process started.", countText, above(0)},
	{"bursar_journal_bytes", "", "Journal on disk", "Size of its files.", bytesText, nil},
	{"bursar_journal_full", "", "Journal is full", "1 while new calls wait for their commit in Postgres.", countText, above(0)},
	{"bursar_prices_age_seconds", "", "Age of the price list", "By which hard budgets bound a call.", pricesAge, above(24 * 3600)},
	{"bursar_keys_held", "", "Keys held in memory", "With which costs can be asked for.", countText, nil},
	{"bursar_months_overdue", "", "Months that should be closed", "Over, and something of them is still open.", countText, above(0)},
	{"bursar_reconciliation_differing", "", "Days that differ from OpenRouter's figures", "Of the days compared lately.", countText, above(0)},
}

func above(limit float64) func(float64) bool { return func(v float64) bool { return v > limit } }

func countText(v float64) string { return groupThousands(strconv.FormatFloat(v, 'f', -1, 64)) }

func ageText(v float64) string {
	return (time.Duration(v*1000) * time.Millisecond).Round(time.Second / 10).String()
}

// pricesAge is infinite while no list was read.
func pricesAge(v float64) string {
	if math.IsInf(v, 1) {
		return "none yet"
	}
	return ageText(v)
}

func bytesText(v float64) string { return fmt.Sprintf("%.1f MB", v/1e6) }

// healthPage answers GET /health: how Bursar itself is.
func (h *Handler) healthPage(w http.ResponseWriter, r *http.Request) error {
	page := &healthPage{Checks: h.ready.state(r.Context()), Figures: h.healthFigures(r)}
	group, ctx := errgroup.WithContext(r.Context())
	readInto(group, func() (accounting.UsagePage, error) {
		return h.readUsage(ctx, accounting.UsageFilter{Status: accounting.StatusFailed, Limit: healthFailed})
	}, func(found accounting.UsagePage) { page.Failed = found.Rows })
	group.Go(func() error { return h.readUndecided(ctx, &page.Undecided) })
	if h.budgets != nil {
		readInto(group, func() (accounting.AlertPage, error) {
			return h.budgets.Store.ListAlerts(ctx, accounting.AlertFilter{Limit: healthAlerts})
		}, func(alerts accounting.AlertPage) { page.Alerts = alerts.Alerts })
		readInto(group, func() (*replicasOutput, error) { return h.listReplicas(ctx, &noInput{}) },
			func(found *replicasOutput) { page.Replicas = found.Body.Data.Replicas })
		readInto(group, func() (*leasesOutput, error) { return h.listLeases(ctx, &leasesInput{}) },
			func(found *leasesOutput) { page.Leases = found.Body.Data.Leases })
	}
	if err := group.Wait(); err != nil {
		// This page is looked at when something is wrong, the database most of all.
		zerolog.Ctx(r.Context()).Warn().Err(err).Msg("read what the page of Bursar's health shows")
	}
	return h.renderPage(w, r, http.StatusOK, "health", "Health", page)
}

// healthFigures reads the metrics of this process.
func (h *Handler) healthFigures(r *http.Request) []healthFigure {
	families, err := h.gatherer.Gather()
	if err != nil {
		zerolog.Ctx(r.Context()).Error().Err(err).Msg("gather metrics for the page of Bursar's health")
	}
	type series struct{ metric, label string }
	sums := make(map[series]float64, len(families))
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			sums[series{family.GetName(), ""}] += plainValue(metric)
			for _, label := range metric.GetLabel() {
				sums[series{family.GetName(), label.GetValue()}] += plainValue(metric)
			}
		}
	}
	var figures []healthFigure
	for _, m := range healthMetrics {
		if value, ok := sums[series{m.metric, m.label}]; ok {
			figures = append(figures, healthFigure{Name: m.name, Value: m.show(value), Meaning: m.meaning, Bad: m.bad != nil && m.bad(value)})
		}
	}
	return figures
}

// plainValue is the value of a gauge or a counter.
func plainValue(m *dto.Metric) float64 {
	if g := m.GetGauge(); g != nil {
		return g.GetValue()
	}
	return m.GetCounter().GetValue()
}
