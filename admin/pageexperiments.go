package admin

import (
	"html/template"
	"net/http"

	"github.com/shopspring/decimal"

	"bursar/accounting"
	"bursar/admin/chart"
)

// experimentsPage is the content of /experiments.
type experimentsPage struct {
	Experiments []accounting.Experiment
	Campaigns   []accounting.CampaignRow // to choose from
	Purposes    []string
}

// experimentsPage answers GET /experiments.
func (h *Handler) experimentsPage(w http.ResponseWriter, r *http.Request) error {
	if h.economics == nil || h.economics.Experiments == nil {
		return nothingBehind("experiments")
	}
	list, err := h.economics.listExperiments(r.Context(), &experimentsInput{})
	if err != nil {
		return err
	}
	campaigns, err := h.economics.listCampaigns(r.Context(), &campaignsInput{Limit: 100})
	if err != nil {
		return err
	}
	page := &experimentsPage{Experiments: list.Body.Data.Experiments, Campaigns: campaigns.Body.Data.Rows}
	if h.budgets != nil {
		page.Purposes = h.budgets.Purposes
	}
	return h.renderPage(w, r, http.StatusOK, "experiments", "Experiments", page)
}

// experimentPage is the content of /experiments/{id}.
type experimentPage struct {
	accounting.ExperimentReport
	Chart template.HTML // of the rate that decides, in each arm
}

// experimentPage answers GET /experiments/{id}: each arm's results and the
// verdict so far.
func (h *Handler) experimentPage(w http.ResponseWriter, r *http.Request) error {
	if h.economics == nil || h.economics.Experiments == nil {
		return nothingBehind("experiments")
	}
	found, err := h.economics.findExperiment(r.Context(), &experimentInput{ID: r.PathValue("id")})
	if err != nil {
		return err
	}
	report := found.Body.Data
	return h.renderPage(w, r, http.StatusOK, "experiment", "Experiment", &experimentPage{report, armsChart(&report)})
}

// armsChart shows the rate that decides with its interval, arm beside arm.
func armsChart(report *accounting.ExperimentReport) template.HTML {
	c := rateChart("arms", "What decides: "+words(report.Experiment.Metric), decimal.Decimal{})
	c.Of, c.Empty, c.Target = "Arm", "No lead of this experiment was seen yet.", chart.Value{}
	for i := range report.Arms {
		arm := &report.Arms[i]
		rate, interval := arm.Conversion, arm.ConversionInterval
		switch report.Experiment.Metric {
		case accounting.MetricReplies:
			rate, interval = arm.ReplyRate, arm.ReplyRateInterval
		case accounting.MetricSends:
			rate, interval = arm.SendRate, arm.SendRateInterval
		case accounting.MetricConversion:
		}
		c.Rows = append(c.Rows, rateRow(arm.Name, rate, interval))
	}
	return c.HTML()
}
