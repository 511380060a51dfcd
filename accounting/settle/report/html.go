package report

import (
	"bytes"
	_ "embed" // the document
	"html/template"

	"bursar/accounting"
)

//go:embed report.html
var document string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"name": func(c accounting.ReportCampaign) string { return name(&c) },
	"figures": func(c accounting.ReportCampaign) string {
		return campaignFigures(&c)
	},
	"decision":  func(d accounting.CampaignDecision) string { return decisionWords[d] },
	"wasteName": func(w accounting.ReportWaste) string { return wasteName(&w) },
	"eur":       func(a accounting.Amount) string { return eur(a.Decimal) },
	"title":     func(a accounting.ReportAlert) string { return title(&a) },
	"at":        at,
}).Parse(document))

// view is what the document shows.
type view struct {
	*accounting.PeriodReport
	Title, Days, CampaignDays string
	SpendRows                 []figure
	WasteLine                 string
	ForecastLine, BudgetLine  string
	AlertsLine, OpenLine      string
}

// HTML is the report as a whole document for mail: its styles stand in the
// elements, since mail programs drop others, and it needs no image.
func HTML(r *accounting.PeriodReport) ([]byte, error) {
	v := view{
		PeriodReport: r, Title: Title(r), Days: days(r.From, r.To), CampaignDays: days(r.CampaignsFrom, r.CampaignsTo),
		SpendRows: spendRows(r), WasteLine: wasteLine(r), AlertsLine: alertsLine(&r.Alerts), OpenLine: openLine(&r.Open),
	}
	if r.Forecast != nil {
		v.ForecastLine, v.BudgetLine = forecastLine(r.Forecast), budgetLine(r.Forecast)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
