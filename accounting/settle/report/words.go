package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// Title is the report in a line: which period, what it cost and brought. It
// holds no name that a client has chosen.
func Title(r *accounting.PeriodReport) string {
	return fmt.Sprintf("%s: %s, %s, %s", periodName(r), eur(r.Spend.TotalEUR.Decimal), plural(r.Spend.Emails, "email"), plural(r.Spend.Meetings, "meeting"))
}

// periodName is Week 46 of 2026, or October 2026.
func periodName(r *accounting.PeriodReport) string {
	if r.Period == accounting.ReportMonthly {
		return r.From.Start().Format("January 2006")
	}
	year, week := r.From.Start().ISOWeek()
	return fmt.Sprintf("Week %d of %d", week, year)
}

// before is the period before, in a remark.
func before(r *accounting.PeriodReport) string {
	if r.Period == accounting.ReportMonthly {
		return "the month before"
	}
	return "the week before"
}

// days is a range of days: 9 to 15 November 2026.
func days(from, to accounting.Day) string {
	first, last := from.Start(), to.Start()
	switch {
	case first.Year() != last.Year():
		return first.Format("2 January 2006") + " to " + last.Format("2 January 2006")
	case first.Month() != last.Month():
		return first.Format("2 January") + " to " + last.Format("2 January 2006")
	}
	return fmt.Sprintf("%d to %s", first.Day(), last.Format("2 January 2006"))
}

func eur(d decimal.Decimal) string { return accounting.ShowCents(d) + " EUR" }

// eurOr is an amount, or what stands for one that is not known.
func eurOr(a *accounting.Amount, unknown string) string {
	if a == nil {
		return unknown
	}
	return eur(a.Decimal)
}

var hundred = decimal.NewFromInt(100)

// percent is a share as people read it.
func percent(a *accounting.Amount) string { return a.Mul(hundred).Round(1).String() + " %" }

// maxChange is the largest change, in percent, that says something.
var maxChange = decimal.NewFromInt(999)

// change is by how much an amount is above or below another one; empty where
// that cannot be said.
func change(now, then decimal.Decimal) string {
	q := accounting.Quotient(now.Sub(then).Mul(hundred), then)
	if !q.Known || q.Value.GreaterThan(maxChange) {
		return ""
	}
	switch percent := q.Value.Round(0); {
	case percent.IsZero():
		return "the same"
	case percent.IsNegative():
		return percent.Neg().String() + " % less"
	default:
		return percent.String() + " % more"
	}
}

func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// maxNameRunes is how much of a campaign's name is shown.
const maxNameRunes = 60

// name is a campaign as people know it, in one short line.
func name(c *accounting.ReportCampaign) string {
	shown := c.ID
	if c.Name != nil && strings.TrimSpace(*c.Name) != "" {
		shown = *c.Name
	}
	return line(shown)
}

// line is s in one short line of visible text. What changes the direction of
// text is left out: it could make a line read as another one.
func line(s string) string {
	return clip(s, maxNameRunes)
}

// clip is line of another length.
func clip(s string, limit int) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))), " ")
	if runes := []rune(s); len(runes) > limit {
		return strings.TrimSpace(string(runes[:limit-1])) + "…"
	}
	return s
}

// title is an alert's, which may be longer than a name.
func title(a *accounting.ReportAlert) string { return clip(a.Title, 2*maxNameRunes) }

var decisionWords = map[accounting.CampaignDecision]string{
	accounting.DecideInvest: "invest more", accounting.DecideTargeting: "optimise targeting",
	accounting.DecideWorkflow: "optimise workflow", accounting.DecideReduce: "reduce AI",
}

// wasteWords are the kinds of waste, with what their count counts.
var wasteWords = map[accounting.WasteKind]struct{ name, counted string }{
	accounting.WasteFailed: {"failed calls", "call"}, accounting.WasteCancelled: {"cancelled calls", "call"},
	accounting.WasteTruncated: {"answers cut by length", "call"}, accounting.WasteRedrafted: {"redrafts", "call"},
	accounting.WasteBounced: {"bounced leads", "lead"}, accounting.WasteUnsubscribed: {"unsubscribed leads", "lead"},
	accounting.WasteUnsent: {"leads never sent", "lead"},
}

// against is what a figure is compared with: 28.10 EUR the week before, 12 % more.
func against(r *accounting.PeriodReport, now, then *accounting.Amount) string {
	if then == nil {
		return ""
	}
	remark := fmt.Sprintf("%s %s", eur(then.Decimal), before(r))
	if now == nil {
		return remark
	}
	if c := change(now.Decimal, then.Decimal); c != "" {
		remark += ", now " + c
	}
	return remark
}

// forecastLine says where the month is heading.
func forecastLine(f *accounting.ReportForecast) string {
	month := f.Month.Start().Format("January")
	if f.Expected == nil {
		return fmt.Sprintf("%s has cost %s so far; there are too few days for a forecast.", month, eur(f.Settled.Decimal))
	}
	s := fmt.Sprintf("%s has cost %s so far and will have cost about %s", month, eur(f.Settled.Decimal), eur(f.Expected.Decimal))
	if b := f.Bounds80; b != nil {
		s += fmt.Sprintf(" (between %s and %s with 80 %%)", accounting.ShowCents(b.Low.Decimal), accounting.ShowCents(b.High.Decimal))
	}
	return s + "."
}

// budgetLine holds the forecast against the AI budget and the alert threshold.
func budgetLine(f *accounting.ReportForecast) string {
	var s string
	switch {
	case f.AIBudget == nil:
		s = "There is no budget monthly-ai."
	case f.ExpectedAI == nil:
		s = fmt.Sprintf("The AI budget is %s.", eur(f.AIBudget.Decimal))
	case f.ExpectedAI.GreaterThan(f.AIBudget.Decimal):
		s = fmt.Sprintf("AI alone about %s: %s MORE than its budget of %s.", eur(f.ExpectedAI.Decimal), eur(f.ExpectedAI.Sub(f.AIBudget.Decimal)), eur(f.AIBudget.Decimal))
	case f.BudgetUse == nil:
		s = fmt.Sprintf("AI alone about %s, of a budget of %s.", eur(f.ExpectedAI.Decimal), eur(f.AIBudget.Decimal))
	default:
		s = fmt.Sprintf("AI alone about %s: %s of its budget of %s.", eur(f.ExpectedAI.Decimal), percent(f.BudgetUse), eur(f.AIBudget.Decimal))
	}
	if f.Threshold != nil && f.Expected != nil && f.Expected.GreaterThan(f.Threshold.Decimal) {
		s += fmt.Sprintf(" The total passes the alert threshold of %s.", eur(f.Threshold.Decimal))
	}
	return s
}

// openLine says what of the figures may still move.
func openLine(o *accounting.ReportOpen) string {
	var s string
	switch o.OpenCalls {
	case 0:
		s = "Every call has its exact cost."
	case 1:
		s = "1 call has no cost yet and is not in these figures."
	default:
		s = fmt.Sprintf("%d calls have no cost yet and are not in these figures.", o.OpenCalls)
	}
	switch {
	case o.UnverifiedCalls == nil:
		return s + " How many costs OpenRouter's own record has still to confirm could not be counted in time."
	case *o.UnverifiedCalls == 0 && o.OpenCalls == 0:
		return s + " OpenRouter's own record has confirmed all of them."
	case *o.UnverifiedCalls == 0:
		return s + " OpenRouter's own record has confirmed all others."
	case *o.UnverifiedCalls == 1:
		return s + " 1 cost is known from the response only: OpenRouter's own record has not confirmed it."
	}
	return s + fmt.Sprintf(" %d costs are known from the response only: OpenRouter's own record has not confirmed them.", *o.UnverifiedCalls)
}

func alertsLine(a *accounting.ReportAlerts) string {
	if a.Critical+a.Warning+a.Info == 0 {
		return "None."
	}
	return fmt.Sprintf("%d critical, %s, %d for information.", a.Critical, plural(a.Warning, "warning"), a.Info)
}

func at(t time.Time) string { return t.UTC().Format("2 January 15:04") }
