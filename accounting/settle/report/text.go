package report

import (
	"fmt"
	"strings"

	"bursar/accounting"
)

// Text is the report as plain text. Its lines end in \n and are not wrapped,
// which is for what shows them.
func Text(r *accounting.PeriodReport) string {
	var t text
	t.linef("%s, in EUR, by UTC days.", days(r.From, r.To))
	t.spend(r)
	t.campaigns(r)
	t.waste(r)
	if r.Forecast != nil {
		t.section("Forecast against budget")
		t.linef("%s", forecastLine(r.Forecast))
		t.linef("%s", budgetLine(r.Forecast))
	}
	t.section("Alerts")
	t.linef("%s", alertsLine(&r.Alerts))
	for i := range r.Alerts.Latest {
		a := &r.Alerts.Latest[i]
		t.linef("- %s, %s: %s", at(a.At), a.Severity, title(a))
	}
	t.section("Still open")
	t.linef("%s", openLine(&r.Open))
	return strings.TrimSuffix(t.String(), "\n")
}

type text struct{ strings.Builder }

func (t *text) linef(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

func (t *text) section(name string) { t.linef("\n%s", strings.ToUpper(name)) }

func (t *text) spend(r *accounting.PeriodReport) {
	t.section("Spend")
	for _, f := range spendRows(r) {
		s := f.Name + ": " + f.Value
		if f.Against != "" {
			s += " (" + f.Against + ")"
		}
		t.linef("%s", s)
	}
}

func (t *text) campaigns(r *accounting.PeriodReport) {
	t.section("Campaigns to act on")
	if len(r.Campaigns) == 0 {
		t.linef("None has enough leads for a verdict (%s).", days(r.CampaignsFrom, r.CampaignsTo))
		return
	}
	t.linef("Judged by %s:", days(r.CampaignsFrom, r.CampaignsTo))
	for i := range r.Campaigns {
		c := &r.Campaigns[i]
		t.linef("- %s: %s. %s. %s", name(c), strings.ToUpper(decisionWords[c.Decision]), campaignFigures(c), c.Advice)
	}
	if r.CampaignsMore > 0 {
		t.linef("and %d more", r.CampaignsMore)
	}
}

func (t *text) waste(r *accounting.PeriodReport) {
	t.section("Waste")
	t.linef("%s", wasteLine(r))
	for i := range r.Waste {
		w := &r.Waste[i]
		t.linef("- %s: %s. %s", wasteName(w), eur(w.Cost.Decimal), w.Advice)
	}
}

// figure is a line of the spend.
type figure struct{ Name, Value, Against string }

func spendRows(r *accounting.PeriodReport) []figure {
	s, b := &r.Spend, &r.Before
	fixed := "Fixed costs"
	if r.Period == accounting.ReportWeekly {
		fixed = "Fixed costs, by the day"
	}
	rows := []figure{
		{"Total", eur(s.TotalEUR.Decimal), against(r, &s.TotalEUR, &b.TotalEUR)},
		{fixed, eur(s.FixedEUR.Decimal), ""},
		{"AI", eur(s.AIEUR.Decimal), against(r, &s.AIEUR, &b.AIEUR)},
		{"Emails sent", fmt.Sprint(s.Emails), fmt.Sprintf("%d %s", b.Emails, before(r))},
		{"Cost of an email", eurOr(s.CostPerEmail, "not known, nothing was sent"), against(r, s.CostPerEmail, b.CostPerEmail)},
		{"Meetings booked", fmt.Sprint(s.Meetings), fmt.Sprintf("%d %s", b.Meetings, before(r))},
		{"Cost of a meeting", eurOr(s.CostPerMeeting, "not known, none was booked"), against(r, s.CostPerMeeting, b.CostPerMeeting)},
	}
	return rows
}

func campaignFigures(c *accounting.ReportCampaign) string {
	parts := []string{"Cost " + eur(c.Cost.Decimal)}
	if c.CostPerMeeting != nil {
		parts = append(parts, eur(c.CostPerMeeting.Decimal)+" a meeting")
	}
	if c.Score != nil {
		parts = append(parts, "score "+c.Score.Round(0).String())
	}
	return strings.Join(parts, ", ")
}

func wasteName(w *accounting.ReportWaste) string {
	words := wasteWords[w.Kind]
	return fmt.Sprintf("%s (%s)", words.name, plural(w.Count, words.counted))
}

func wasteLine(r *accounting.PeriodReport) string {
	switch {
	case len(r.Waste) == 0:
		return "Nothing was found that was spent in vain."
	case r.WasteShare == nil:
		return eur(r.WasteTotal.Decimal) + "."
	}
	return fmt.Sprintf("%s, %s of the AI cost.", eur(r.WasteTotal.Decimal), percent(r.WasteShare))
}
