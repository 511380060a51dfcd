package admin

import (
	"net/http"

	"github.com/shopspring/decimal"
	"golang.org/x/sync/errgroup"

	"bursar/accounting"
)

// settingsPage is the content of /settings.
type settingsPage struct {
	FixedCosts *accounting.FixedCostBook // nil: they have no routes
	Rates      *accounting.RateBook      // nil: they have no routes
	Month      accounting.Month
	Today      accounting.Day
	Targets    []setTarget
	CanTest    bool // test alerts can be sent
	CanReport  bool // reports can be previewed
	CanSend    bool // there is a channel to send them to
}

// setTarget is a target in force and the variable that changes it.
type setTarget struct {
	Name, Value, Variable string
}

// settingsPage answers GET /settings: what can be set while Bursar runs, and
// what of its configuration figures depend on.
func (h *Handler) settingsPage(w http.ResponseWriter, r *http.Request) error {
	if h.economics == nil {
		return nothingBehind("settings")
	}
	now := h.economics.Now().UTC()
	page := &settingsPage{
		Month: accounting.MonthOf(now), Today: accounting.DayOf(now), Targets: targetsInForce(&h.economics.Targets),
		CanTest:   h.budgets != nil && h.budgets.Tester != nil,
		CanReport: h.economics.Reports != nil,
	}
	page.CanSend = page.CanReport && h.economics.Reports.HasChannels()
	group, ctx := errgroup.WithContext(r.Context())
	if h.economics.FixedCosts != nil {
		readInto(group, func() (*answer[accounting.FixedCostBook], error) { return h.economics.listFixedCosts(ctx, &noInput{}) },
			func(a *answer[accounting.FixedCostBook]) { page.FixedCosts = &a.Body.Data })
	}
	if h.economics.Rates != nil {
		readInto(group, func() (*answer[accounting.RateBook], error) { return h.economics.listRates(ctx, &ratesInput{}) },
			func(a *answer[accounting.RateBook]) { page.Rates = &a.Body.Data })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return h.renderPage(w, r, http.StatusOK, "settings", "Settings", page)
}

// targetsInForce are the targets as figures are measured by them.
func targetsInForce(t *accounting.Targets) []setTarget {
	eur := func(d decimal.Decimal) string { return signed("€", d) }
	return []setTarget{
		{"Cost per email, of the dashboard's score", eur(t.DashboardCostPerEmail), "BURSAR_ECONOMICS_DASHBOARD_COST_PER_EMAIL"},
		{"Cost per meeting, of the dashboard's score", eur(t.DashboardCostPerMeeting), "BURSAR_ECONOMICS_DASHBOARD_COST_PER_MEETING"},
		{"Cost per email, of the KPIs", eur(t.CostPerEmail), "BURSAR_ECONOMICS_TARGET_COST_PER_EMAIL"},
		{"Cost per meeting, of the KPIs and of campaigns", eur(t.CostPerMeeting), "BURSAR_ECONOMICS_TARGET_COST_PER_MEETING"},
		{"Value ÷ AI cost", percent(t.ROI), "BURSAR_ECONOMICS_TARGET_ROI"},
		{"Waste, at most", percent(t.Waste), "BURSAR_ECONOMICS_TARGET_WASTE"},
		{"Send rate", percent(t.SendRate), "BURSAR_ECONOMICS_TARGET_SEND_RATE"},
		{"Conversion", percent(t.Conversion), "BURSAR_ECONOMICS_TARGET_CONVERSION"},
		{"Budget use, from", percent(t.BudgetUseLow), "BURSAR_ECONOMICS_TARGET_BUDGET_USE_LOW"},
		{"Budget use, to", percent(t.BudgetUseHigh), "BURSAR_ECONOMICS_TARGET_BUDGET_USE_HIGH"},
		{"Forecast accuracy", percent(t.ForecastAccuracy), "BURSAR_ECONOMICS_TARGET_FORECAST_ACCURACY"},
		{"Score: weight of the send rate", groupThousands(t.Weights.SendRate) + " %", "BURSAR_ECONOMICS_SCORE_WEIGHT_SEND_RATE"},
		{"Score: weight of the conversion", groupThousands(t.Weights.Conversion) + " %", "BURSAR_ECONOMICS_SCORE_WEIGHT_CONVERSION"},
		{"Score: weight of the cost per meeting", groupThousands(t.Weights.Cost) + " %", "BURSAR_ECONOMICS_SCORE_WEIGHT_COST"},
		{"Score from which on it is excellent", t.Bands.Excellent.String(), "BURSAR_ECONOMICS_BAND_EXCELLENT"},
		{"Score from which on it is good", t.Bands.Good.String(), "BURSAR_ECONOMICS_BAND_GOOD"},
		{"Score from which on it is fair", t.Bands.Fair.String(), "BURSAR_ECONOMICS_BAND_FAIR"},
		{"Send rate above which a campaign is premium", percent(t.Tiers.Premium), "BURSAR_ECONOMICS_TIER_PREMIUM"},
		{"Send rate from which on it is standard", percent(t.Tiers.Standard), "BURSAR_ECONOMICS_TIER_STANDARD"},
		{"Send rate from which on it is efficiency", percent(t.Tiers.Efficiency), "BURSAR_ECONOMICS_TIER_EFFICIENCY"},
		{"Send rate above which the conversion decides", percent(t.InvestSendRate), "BURSAR_ECONOMICS_INVEST_SEND_RATE"},
		{"Send rate below which AI is reduced", percent(t.ReduceSendRate), "BURSAR_ECONOMICS_REDUCE_SEND_RATE"},
		{"Leads below which there is no verdict", groupThousands(t.MinLeads), "BURSAR_ECONOMICS_MIN_LEADS"},
	}
}
