package admin

import (
	"cmp"
	"html/template"
	"net/http"
	"slices"

	"github.com/shopspring/decimal"
	"golang.org/x/sync/errgroup"

	"bursar/accounting"
	"bursar/admin/chart"
)

const (
	campaignDays   = 92  // of the chart of days
	campaignOthers = 200 // to compare with
)

// campaignContent is what /campaigns/{id} shows.
type campaignContent struct {
	Months monthsForm
	campaignPage
	Targets campaignTargets

	PerDay, Conversion, SendRate template.HTML

	Others   []accounting.CampaignRow // to compare with
	With     string                   // the one that was chosen
	Compared *comparedPage
}

// campaignTargets are what a campaign is measured by: its own targets where it
// has some, else those of all.
type campaignTargets struct {
	accounting.Targets
	OwnPerEmail, OwnPerMeeting bool
}

func (e *economics) targetsOf(s *accounting.CampaignSettings) campaignTargets {
	t := campaignTargets{Targets: e.Targets}
	if s != nil && s.TargetCostPerEmail != nil {
		t.CostPerEmail, t.OwnPerEmail = s.TargetCostPerEmail.Decimal, true
	}
	if s != nil && s.TargetCostPerMeeting != nil {
		t.CostPerMeeting, t.OwnPerMeeting = s.TargetCostPerMeeting.Decimal, true
	}
	return t
}

// Known are the campaign's settings, all unknown where nothing was told.
func (c *campaignContent) Known() accounting.CampaignSettings {
	if c.Campaign.Settings == nil {
		return accounting.CampaignSettings{Currency: accounting.EUR}
	}
	return *c.Campaign.Settings
}

// HasWaste reports whether anything was spent in vain.
func (c *campaignContent) HasWaste() bool {
	return slices.ContainsFunc(c.Waste, func(w accounting.WasteSum) bool { return w.Count > 0 })
}

// Tone is the class of the notice that holds the decision.
func (c *campaignContent) Tone() string {
	switch c.Campaign.Decision {
	case accounting.DecideInvest:
		return "good"
	case accounting.DecideTargeting, accounting.DecideWorkflow:
		return "warning"
	case accounting.DecideReduce:
		return "critical"
	}
	return ""
}

// campaignPage answers GET /campaigns/{id}: what to do with a campaign, and why.
func (h *Handler) campaignPage(w http.ResponseWriter, r *http.Request) error {
	if h.economics == nil {
		return nothingBehind("unit economics")
	}
	in, months, err := h.economics.readMonths(r, "with")
	if err != nil {
		return err
	}
	content, err := h.readCampaign(r, in, months)
	if err != nil {
		return err
	}
	title := cmp.Or(value(content.Campaign.Name), content.Campaign.ID)
	return h.renderPage(w, r, http.StatusOK, "campaign", title, content)
}

// readCampaign asks for all that the page shows at once.
func (h *Handler) readCampaign(r *http.Request, in MonthsInput, months monthsForm) (*campaignContent, error) {
	e, id, m := h.economics, r.PathValue("id"), h.moneyOf(r)
	content := &campaignContent{Months: months, With: r.URL.Query().Get("with")}
	var days []accounting.DailySeries
	group, ctx := errgroup.WithContext(r.Context())
	readInto(group, func() (*answer[campaignPage], error) {
		return e.findCampaign(ctx, &campaignInput{MonthsInput: in, ID: id})
	}, func(a *answer[campaignPage]) { content.campaignPage = a.Body.Data })
	readInto(group, func() ([]accounting.DailySeries, error) {
		from, to := months.Window.lastDays(e.Now(), campaignDays)
		return e.Store.DailyCosts(ctx, from, to, accounting.ByCampaign, []string{id}, 1)
	}, func(series []accounting.DailySeries) { days = series })
	readInto(group, func() (*answer[campaignList], error) {
		return e.listCampaigns(ctx, &campaignsInput{MonthsInput: in, Limit: campaignOthers})
	}, func(a *answer[campaignList]) { content.Others = othersThan(id, a.Body.Data.Rows) })
	readInto(group, func() (*comparedPage, error) { return e.readComparison(ctx, in, "campaign", id, content.With) },
		func(c *comparedPage) { content.Compared = c })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	row := &content.Campaign
	content.Targets = e.targetsOf(row.Settings)
	content.PerDay = dayChart(m.chartFrame("per-day", "AI cost per day", "Nothing was spent in these days."), days, m,
		func(*accounting.DailySeries) string { return "AI cost" })
	content.Conversion = oneRate("conversion", "Conversion: meetings per email sent", "No email was sent in these months.",
		e.Targets.Conversion, rateRow("Conversion", row.Conversion, row.ConversionInterval))
	content.SendRate = oneRate("send-rate", "Send rate: leads sent per lead written for", "No lead was processed in these months.",
		e.Targets.SendRate, rateRow("Send rate", row.SendRate, row.SendRateInterval))
	return content, nil
}

// oneRate is the chart of one rate.
func oneRate(id, title, empty string, target decimal.Decimal, row chart.Interval) template.HTML {
	c := rateChart(id, title, target)
	c.Of, c.Empty = "Rate", empty
	if row.Value.Known {
		c.Rows = []chart.Interval{row}
	}
	return c.HTML()
}

// othersThan are the campaigns that one may be compared with.
func othersThan(id string, rows []accounting.CampaignRow) []accounting.CampaignRow {
	var others []accounting.CampaignRow
	for i := range rows {
		if rows[i].ID != id && rows[i].ID != "" {
			others = append(others, rows[i])
		}
	}
	return others
}
