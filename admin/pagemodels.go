package admin

import (
	"cmp"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
	"golang.org/x/sync/errgroup"

	"bursar/accounting"
)

const (
	modelDays   = 31 // of the chart of days
	modelSeries = 7  // one by one in it
)

// modelsContent is what /models shows.
type modelsContent struct {
	Months   monthsForm
	Rows     []accounting.ModelSums
	PerDay   template.HTML
	A, B     string // that are compared
	Compared *comparedPage
	Start    startPage
}

// Total is the AI cost of all models, EUR.
func (c *modelsContent) Total() decimal.Decimal {
	var sum decimal.Decimal
	for i := range c.Rows {
		sum = sum.Add(c.Rows[i].CostEUR.Decimal)
	}
	return sum
}

// modelsPage answers GET /models: what each model is used for, costs and brings.
func (h *Handler) modelsPage(w http.ResponseWriter, r *http.Request) error {
	if h.economics == nil {
		return nothingBehind("unit economics")
	}
	e, m := h.economics, h.moneyOf(r)
	in, months, err := e.readMonths(r, "a", "b")
	if err != nil {
		return err
	}
	content := &modelsContent{Months: months, A: months.Keep["a"], B: months.Keep["b"], Start: h.startPage()}
	var days []accounting.DailySeries
	group, ctx := errgroup.WithContext(r.Context())
	readInto(group, func() (*answer[modelList], error) { return e.listModels(ctx, &in) },
		func(a *answer[modelList]) { content.Rows = a.Body.Data.Rows })
	readInto(group, func() ([]accounting.DailySeries, error) {
		from, to := months.Window.lastDays(e.Now(), modelDays)
		return e.Store.DailyCosts(ctx, from, to, accounting.ByModel, nil, modelSeries)
	}, func(series []accounting.DailySeries) { days = series })
	readInto(group, func() (*comparedPage, error) { return e.readComparison(ctx, in, "model", content.A, content.B) },
		func(c *comparedPage) { content.Compared = c })
	if err := group.Wait(); err != nil {
		return err
	}
	content.PerDay = dayChart(m.chartFrame("per-day", "AI cost per day by model", "Nothing was spent in these days."), days, m, seriesName("no model"))
	return h.renderPage(w, r, http.StatusOK, "models", "Models", content)
}

// seriesName names series of a chart as they are; nameless is for calls that
// have none.
func seriesName(nameless string) func(*accounting.DailySeries) string {
	return func(s *accounting.DailySeries) string {
		if s.Rest {
			return "other" // as the chart calls what it does not name
		}
		return cmp.Or(s.Name, nameless)
	}
}

// finishShown is how many reasons a model's row names.
const finishShown = 3

// finishReasons are how often calls ended why, the most frequent first:
// "stop 120, length 4".
func finishReasons(counts map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, name := range names[:min(len(names), finishShown)] {
		parts = append(parts, cmp.Or(name, "not told")+" "+groupThousands(counts[name]))
	}
	if len(names) > finishShown {
		parts = append(parts, "…")
	}
	return strings.Join(parts, ", ")
}
