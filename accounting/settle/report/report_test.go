package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata/")

func amount(s string) accounting.Amount {
	return accounting.Amount{Decimal: decimal.RequireFromString(s)}
}

func fixed(s string) []accounting.FixedCost {
	return []accounting.FixedCost{{EUR: decimal.RequireFromString(s)}}
}

// week is a report in which something is said of everything.
func week(t *testing.T) *accounting.PeriodReport {
	t.Helper()
	span, err := accounting.ParseReportSpan(accounting.ReportWeekly, "2026-W46")
	require.NoError(t, err)
	name, unverified := "Q4 <b>outreach</b> & more", int64(12)
	cost, score, expected, ai, budget, use, threshold := amount("12.345"), amount("41.26"), amount("130.2"), amount("77.7"), amount("77"), amount("1.0090909091"), amount("130")
	r := &accounting.PeriodReport{
		Period: span.Period, Of: span.String(), From: span.From, To: span.To, MadeAt: time.Date(2026, 11, 16, 7, 0, 0, 0, time.UTC),
		Spend:         accounting.NewReportSpend(fixed("28.7"), decimal.RequireFromString("2.70449"), 120, 3),
		Before:        accounting.NewReportSpend(fixed("28.7"), decimal.RequireFromString("0.004"), 80, 0),
		CampaignsFrom: span.From.Add(-21), CampaignsTo: span.To, CampaignsMore: 2,
		Campaigns: []accounting.ReportCampaign{
			{ID: "q4", Name: &name, Cost: amount("12.3"), CostPerMeeting: &cost, Score: &score, Decision: accounting.DecideReduce, Advice: "Stop writing for leads that are not sent."},
			{ID: "plain", Cost: amount("1"), Decision: accounting.DecideInvest, Advice: "Give it more leads."},
		},
		Forecast: &accounting.ReportForecast{Month: accounting.Month{Year: 2026, Month: time.November}, Settled: amount("126"), Expected: &expected,
			Bounds80: &accounting.Bounds{Low: amount("128.1"), High: amount("133")}, ExpectedAI: &ai, AIBudget: &budget, BudgetUse: &use, Threshold: &threshold},
		Alerts: accounting.ReportAlerts{Critical: 1, Warning: 1, Info: 3, Latest: []accounting.ReportAlert{
			{At: time.Date(2026, 11, 14, 9, 30, 0, 0, time.UTC), Severity: accounting.SeverityCritical, Title: "Budget monthly-ai: 90 % of 77.00 EUR is spent"}}},
		Open: accounting.ReportOpen{OpenCalls: 3, UnverifiedCalls: &unverified},
	}
	r.SetWaste([]accounting.WasteSum{
		{Kind: accounting.WasteFailed, Count: 1, CostEUR: amount("0.002")}, {Kind: accounting.WasteUnsent, Count: 14, CostEUR: amount("1.198")}})
	return r
}

// quiet is a month in which nothing happened.
func quiet(t *testing.T) *accounting.PeriodReport {
	t.Helper()
	span, err := accounting.ParseReportSpan(accounting.ReportMonthly, "2026-10")
	require.NoError(t, err)
	r := &accounting.PeriodReport{Period: span.Period, Of: span.String(), From: span.From, To: span.To,
		Spend: accounting.NewReportSpend(fixed("123"), decimal.Decimal{}, 0, 0), Before: accounting.NewReportSpend(fixed("123"), decimal.Decimal{}, 0, 0),
		CampaignsFrom: span.From, CampaignsTo: span.To}
	none := int64(0)
	r.Open.UnverifiedCalls = &none
	r.SetWaste(nil)
	return r
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "if this is meant: go test ./accounting/settle/report -update")
}

func TestAReportReadsAsItsGoldenFiles(t *testing.T) {
	for name, r := range map[string]*accounting.PeriodReport{"week": week(t), "quiet": quiet(t)} {
		page, err := HTML(r)
		require.NoError(t, err)
		golden(t, name+".txt", Title(r)+"\n\n"+Text(r)+"\n")
		golden(t, name+".html", string(page))
	}
}

func TestTextAndDocumentSayTheSame(t *testing.T) {
	r := week(t)
	page, err := HTML(r)
	require.NoError(t, err)
	_, seen := tokens(t, page)
	for _, line := range strings.Split(Text(r), "\n") {
		for _, part := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(":(),.-", r) }) {
			part = strings.ToLower(strings.TrimSpace(part))
			if part != "" && part != "judged by" {
				assert.Contains(t, strings.ToLower(seen), part)
			}
		}
	}
}

// tokens reads a document.
func tokens(t *testing.T, page []byte) (elements []xml.StartElement, text string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var b strings.Builder
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return elements, b.String()
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			elements = append(elements, token.Copy())
		case xml.CharData:
			b.Write(token)
		}
	}
}

func TestHostileNamesAreTextInADocumentThatLoadsNothing(t *testing.T) {
	page, err := HTML(week(t))
	require.NoError(t, err)
	harmless, _ := tokens(t, page)
	for _, hostile := range []string{
		`<script>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `"><a href="javascript:alert(1)">x`, "{{.Title}}", "</div></body>",
		"a\r\nBcc: x@y.z\r\n\r\nbody", "\u202egnp.exe", "nul\x00bell\x07", "\xff\xfe", strings.Repeat("long", 500), strings.Repeat("日", 300), "style=x;background:url(http://evil.example)",
	} {
		r := week(t)
		r.Campaigns[0].Name, r.Campaigns[1].ID, r.Alerts.Latest[0].Title = &hostile, hostile, hostile
		page, err := HTML(r)
		require.NoError(t, err)
		elements, shown := tokens(t, page)
		assert.Len(t, elements, len(harmless), "%q adds no element", hostile)
		for _, e := range elements {
			assert.NotContains(t, []string{"script", "img", "a", "link", "iframe", "style", "form"}, e.Name.Local, hostile)
			for _, a := range e.Attr {
				assert.Contains(t, []string{"style", "lang", "charset", "name", "content", "role"}, a.Name.Local, hostile)
				assert.NotContains(t, a.Value, "url(")
			}
		}
		assert.NotContains(t, shown, "\u202e")
		text := Text(r)
		assert.Equal(t, strings.Count(Text(week(t)), "\n"), strings.Count(text, "\n"), "%q adds no line", hostile)
		assert.NotContains(t, text, "\u202e")
		assert.NotContains(t, text, "\x00")
		assert.NotContains(t, Title(r), "x@y.z", "the subject holds no name")
		assert.Less(t, len(text), 6000)
	}
}

func TestALongReportFitsAnAlertsText(t *testing.T) {
	r := week(t)
	long := strings.Repeat("𝔚", 300)
	r.Campaigns, r.Alerts.Latest, r.Waste = nil, nil, nil
	for range accounting.MaxReportCampaigns {
		r.Campaigns = append(r.Campaigns, accounting.ReportCampaign{ID: long, Decision: accounting.DecideReduce, Advice: week(t).Campaigns[0].Advice})
	}
	for range accounting.MaxReportAlerts {
		r.Alerts.Latest = append(r.Alerts.Latest, accounting.ReportAlert{Title: long})
	}
	for _, k := range accounting.WasteKinds() {
		r.Waste = append(r.Waste, accounting.ReportWaste{Kind: k, Count: 1 << 60, Cost: amount("9999999.99"), Advice: k.Advice()})
	}
	assert.Less(t, len(Text(r)), 16_000)
}

func TestDaysAreNamedOnceWhereTheyShareMonthAndYear(t *testing.T) {
	day := func(s string) accounting.Day {
		d, err := accounting.ParseDay(s)
		require.NoError(t, err)
		return d
	}
	assert.Equal(t, "9 to 15 November 2026", days(day("2026-11-09"), day("2026-11-15")))
	assert.Equal(t, "26 October to 1 November 2026", days(day("2026-10-26"), day("2026-11-01")))
	assert.Equal(t, "28 December 2026 to 3 January 2027", days(day("2026-12-28"), day("2027-01-03")))
}

func TestWhatIsOpenIsSaidAsItIs(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	for want, o := range map[string]accounting.ReportOpen{
		"Every call has its exact cost. OpenRouter's own record has confirmed all of them.":                                                                {UnverifiedCalls: n(0)},
		"Every call has its exact cost. 1 cost is known from the response only: OpenRouter's own record has not confirmed it.":                             {UnverifiedCalls: n(1)},
		"1 call has no cost yet and is not in these figures. OpenRouter's own record has confirmed all others.":                                            {OpenCalls: 1, UnverifiedCalls: n(0)},
		"2 calls have no cost yet and are not in these figures. How many costs OpenRouter's own record has still to confirm could not be counted in time.": {OpenCalls: 2},
	} {
		assert.Equal(t, want, openLine(&o))
	}
}

func TestTheForecastSaysWhatItDoesNotKnow(t *testing.T) {
	f := &accounting.ReportForecast{Month: accounting.Month{Year: 2026, Month: time.November}, Settled: amount("126")}
	assert.Equal(t, "November has cost 126.00 EUR so far; there are too few days for a forecast.", forecastLine(f))
	assert.Equal(t, "There is no budget monthly-ai.", budgetLine(f))
	budget, ai, use := amount("77"), amount("7.7"), amount("0.1")
	f.AIBudget = &budget
	assert.Equal(t, "The AI budget is 77.00 EUR.", budgetLine(f))
	f.ExpectedAI, f.BudgetUse = &ai, &use
	assert.Equal(t, "AI alone about 7.70 EUR: 10 % of its budget of 77.00 EUR.", budgetLine(f))
	zero := amount("0")
	f.AIBudget, f.BudgetUse = &zero, nil
	assert.Equal(t, "AI alone about 7.70 EUR: 7.70 EUR MORE than its budget of 0.00 EUR.", budgetLine(f))
}
