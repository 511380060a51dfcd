package admin

import (
	"cmp"
	"context"
	"html/template"
	"net/http"
	"slices"
	"strconv"

	"github.com/shopspring/decimal"

	"bursar/accounting"
	"bursar/admin/chart"
)

const (
	campaignsListed = 1000 // that are read at once, and sorted by their whole cost
	campaignsShown  = 40   // of these, on one page
	campaignsDrawn  = 12   // of these, in the chart of intervals
	sparkDays       = 30
)

// campaignsContent is what /campaigns shows.
type campaignsContent struct {
	Months   monthsForm
	Rows     []campaignLine // of this page
	Sum      costSum        // of all pages
	SparkEnd accounting.Day

	Conversion template.HTML
	Targets    accounting.Targets

	Page, Pages      int    // of the campaigns that were read
	Earlier, Further string // addresses of the pages beside this one
	First            bool   // the dearest of all were read
	All              bool   // all were read
	Start            startPage
}

// campaignLine is a campaign in the table.
type campaignLine struct {
	accounting.CampaignRow
	Spark template.HTML // AI cost of the last days
}

// costSum is what rows come to, with the fixed costs that are in none of them.
type costSum struct {
	Rows        int
	AI, Fixed   decimal.Decimal // EUR
	Unallocated decimal.Decimal // EUR, fixed costs that no email can carry
	Emails      int64
	Meetings    int64
}

// Total is all of it, EUR.
func (s *costSum) Total() decimal.Decimal { return s.AI.Add(s.Fixed).Add(s.Unallocated) }

// sumCosts adds up rows.
func sumCosts(rows []accounting.CampaignRow, unallocated accounting.Amount) costSum {
	s := costSum{Rows: len(rows), Unallocated: unallocated.Decimal}
	for i := range rows {
		s.AI, s.Fixed = s.AI.Add(rows[i].AICost.Decimal), s.Fixed.Add(rows[i].FixedCost.Decimal)
		s.Emails, s.Meetings = s.Emails+rows[i].EmailsSent, s.Meetings+rows[i].Meetings
	}
	return s
}

// campaignsPage answers GET /campaigns: campaigns beside each other, and what
// none of them carries.
func (h *Handler) campaignsPage(w http.ResponseWriter, r *http.Request) error {
	if h.economics == nil {
		return nothingBehind("unit economics")
	}
	in, months, err := h.economics.readMonths(r)
	if err != nil {
		return err
	}
	cursor := r.URL.Query().Get("cursor")
	answer, err := h.economics.listCampaigns(r.Context(), &campaignsInput{MonthsInput: in, Limit: campaignsListed, Cursor: cursor})
	if err != nil {
		return err
	}
	list := &answer.Body.Data
	rows := list.Rows
	slices.SortStableFunc(rows, func(a, b accounting.CampaignRow) int { return b.Cost.Cmp(a.Cost.Decimal) })
	content := &campaignsContent{Months: months, Sum: list.sum(), Targets: h.economics.Targets, Start: h.startPage(),
		First: cursor == "", All: cursor == "" && list.NextCursor == nil}
	if err := content.choosePage(r, len(rows), list.NextCursor); err != nil {
		return err
	}
	first := (content.Page - 1) * campaignsShown
	rows = rows[first:min(first+campaignsShown, len(rows))]
	m := h.moneyOf(r)
	if content.Rows, content.SparkEnd, err = h.economics.sparkLines(r.Context(), rows, months.Window, m); err != nil {
		return err
	}
	content.Conversion = conversionChart(rows, &h.economics.Targets)
	return h.renderPage(w, r, http.StatusOK, "campaigns", "Campaigns", content)
}

// sum is what the rows of all pages come to.
func (l *campaignList) sum() costSum {
	return costSum{
		Rows: int(l.All.Campaigns), AI: l.All.AICost.Decimal, Fixed: l.FixedCost.Sub(l.UnallocatedCost.Decimal), Unallocated: l.UnallocatedCost.Decimal,
		Emails: l.All.Emails, Meetings: l.All.Meetings,
	}
}

// choosePage reads which part of the campaigns that were read is wanted; after
// the last part come those of the next cursor.
func (c *campaignsContent) choosePage(r *http.Request, rows int, next *string) error {
	c.Page, c.Pages = 1, max(1, (rows+campaignsShown-1)/campaignsShown)
	if text := r.URL.Query().Get("page"); text != "" {
		page, err := strconv.Atoi(text)
		if err != nil || page < 1 || page > c.Pages {
			return invalid(fieldError{Field: "page", Value: shown(text), Message: "expected a page of the table", Allowed: "a whole number from 1 to " + strconv.Itoa(c.Pages)})
		}
		c.Page = page
	}
	address := func(page int) string {
		if page < 1 || page > c.Pages {
			return ""
		}
		return query("from", c.Months.From(), "to", c.Months.To(), "cursor", r.URL.Query().Get("cursor"), "page", strconv.Itoa(page))
	}
	c.Earlier, c.Further = address(c.Page-1), address(c.Page+1)
	if c.Page == c.Pages && next != nil {
		c.Further = query("from", c.Months.From(), "to", c.Months.To(), "cursor", *next)
	}
	return nil
}

// sparkLines puts beside each campaign what its last days until the end of the
// window have cost.
func (e *economics) sparkLines(ctx context.Context, rows []accounting.CampaignRow, w monthWindow, m moneyFormat) ([]campaignLine, accounting.Day, error) {
	_, end := w.lastDays(e.Now(), sparkDays)
	if len(rows) == 0 {
		return nil, end, nil
	}
	names := make([]string, 0, len(rows))
	for i := range rows {
		names = append(names, rows[i].ID)
	}
	reading, cancel := limited(ctx)
	defer cancel()
	series, err := e.Store.DailyCosts(reading, end.Add(1-sparkDays), end, accounting.ByCampaign, names, len(names))
	if err != nil {
		return nil, end, err
	}
	days := make(map[string][]chart.Value, len(series))
	for i := range series {
		days[series[i].Name] = m.dayValues(&series[i])
	}
	lines := make([]campaignLine, 0, len(rows))
	for i := range rows {
		line := campaignLine{CampaignRow: rows[i]}
		if values := days[rows[i].ID]; values != nil {
			line.Spark = chart.Sparkline{Name: "AI cost per day", Unit: string(m.Currency), Sign: m.sign(), Format: readable, Values: values}.HTML()
		}
		lines = append(lines, line)
	}
	return lines, end, nil
}

// dayValues are the days of a series in the reader's currency.
func (m moneyFormat) dayValues(s *accounting.DailySeries) []chart.Value {
	values := make([]chart.Value, 0, len(s.Days))
	for _, day := range s.Days {
		values = append(values, accounting.Some(m.in(day.CostEUR.Decimal)))
	}
	return values
}

// conversionChart shows how sure the conversions of the dearest campaigns are.
func conversionChart(rows []accounting.CampaignRow, targets *accounting.Targets) template.HTML {
	c := rateChart("conversion", "Conversion: meetings per email sent", targets.Conversion)
	c.Of, c.Empty = "Campaign", "No email was sent in these months. Record what is sent by POST /api/costs/record-activity, or connect the sending platform."
	for i := range rows {
		if row := &rows[i]; row.EmailsSent > 0 && len(c.Rows) < campaignsDrawn {
			c.Rows = append(c.Rows, rateRow(cmp.Or(value(row.Name), row.ID, "no campaign"), row.Conversion, row.ConversionInterval))
		}
	}
	return c.HTML()
}

// rateChart is a chart of rates in percent.
func rateChart(id, title string, target decimal.Decimal) chart.Intervals {
	return chart.Intervals{
		Frame: chart.Frame{ID: id, Title: title, Unit: "%", Format: func(d decimal.Decimal) string { return d.Round(1).String() }},
		Level: "95 %", Target: accounting.Some(target.Mul(hundredPercent)), TargetName: "Target",
	}
}

// rateRow is a rate and its interval, as shares, in percent.
func rateRow(name string, rate *accounting.Amount, interval *accounting.IntervalRow) chart.Interval {
	row := chart.Interval{Name: name}
	if rate != nil {
		row.Value = accounting.Some(rate.Mul(hundredPercent))
	}
	if interval != nil && interval.High != nil {
		row.Low = accounting.Some(statistic(100 * interval.Low))
		row.High = accounting.Some(statistic(100 * *interval.High))
	}
	return row
}

// dayChart stacks the days of some series, each named by name.
func dayChart(frame chart.Frame, series []accounting.DailySeries, m moneyFormat, name func(*accounting.DailySeries) string) template.HTML {
	c := chart.StackedBars{Frame: frame, Of: "Day"}
	for i := range series {
		c.Series = append(c.Series, chart.Series{Name: name(&series[i]), Values: m.dayValues(&series[i])})
	}
	if len(series) == 0 {
		return c.HTML()
	}
	label := "2"
	if len(series[0].Days) > 31 {
		label = "2 Jan"
	}
	for _, day := range series[0].Days {
		start := day.Day.Start()
		c.Categories = append(c.Categories, chart.Category{Label: start.Format(label), Name: start.Format("Mon 2 January 2006")})
	}
	return c.HTML()
}
