package admin

import (
	"cmp"
	"html/template"
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"

	"bursar/accounting"
)

const (
	platformDays  = 31 // of the chart of days
	platformsSide = 4  // beside each other
)

// platformsContent is what /platforms shows.
type platformsContent struct {
	Months             monthsForm
	Sides              []accounting.CampaignRow // platforms beside each other, the dearest that have a name
	Rows               []accounting.CampaignRow // all, the dearest first
	Sum                costSum
	Targets            accounting.Targets
	PerDay, Conversion template.HTML
}

// platformsPage answers GET /platforms: sending platforms beside each other.
func (h *Handler) platformsPage(w http.ResponseWriter, r *http.Request) error {
	if h.economics == nil {
		return nothingBehind("unit economics")
	}
	e, m := h.economics, h.moneyOf(r)
	in, months, err := e.readMonths(r)
	if err != nil {
		return err
	}
	content := &platformsContent{Months: months, Targets: e.Targets}
	var days []accounting.DailySeries
	group, ctx := errgroup.WithContext(r.Context())
	readInto(group, func() (*answer[platformList], error) { return e.listPlatforms(ctx, &in) },
		func(a *answer[platformList]) {
			content.Rows, content.Sum = a.Body.Data.Rows, sumCosts(a.Body.Data.Rows, a.Body.Data.UnallocatedCost)
		})
	readInto(group, func() ([]accounting.DailySeries, error) {
		from, to := months.Window.lastDays(e.Now(), platformDays)
		return e.Store.DailyCosts(ctx, from, to, accounting.ByPlatform, nil, platformsSide)
	}, func(series []accounting.DailySeries) { days = series })
	if err := group.Wait(); err != nil {
		return err
	}
	slices.SortStableFunc(content.Rows, func(a, b accounting.CampaignRow) int { return b.Cost.Cmp(a.Cost.Decimal) })
	c := rateChart("conversion", "Conversion: meetings per email sent", e.Targets.Conversion)
	c.Of, c.Empty = "Platform", "No email was sent in these months."
	for i := range content.Rows {
		row := &content.Rows[i]
		if row.ID != "" && len(content.Sides) < platformsSide {
			content.Sides = append(content.Sides, *row)
		}
		if row.EmailsSent > 0 && len(c.Rows) < campaignsDrawn {
			c.Rows = append(c.Rows, rateRow(cmp.Or(row.ID, "no platform"), row.Conversion, row.ConversionInterval))
		}
	}
	content.Conversion = c.HTML()
	content.PerDay = dayChart(m.chartFrame("per-day", "AI cost per day by platform", "Nothing was spent in these days."), days, m, seriesName("no platform"))
	return h.renderPage(w, r, http.StatusOK, "platforms", "Platforms", content)
}
