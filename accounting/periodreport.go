package accounting

import (
	"cmp"
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

// ActionReportSend is the sending of a report by hand in the audit log.
const ActionReportSend = "report.send"

// AlertReport is the kind of alert that a report travels as.
const AlertReport = "report"

// How much of everything a report lists.
const (
	MaxReportCampaigns = 5
	MaxReportAlerts    = 5
)

// PeriodReport is what happened with the money in a week or a month. Amounts
// are EUR with all their digits; null is not known.
type PeriodReport struct {
	Period ReportPeriod `json:"period"`
	Of     string       `json:"of"` // 2026-W46, 2026-10
	From   Day          `json:"from"`
	To     Day          `json:"to"` // included
	MadeAt time.Time    `json:"made_at"`

	Spend  ReportSpend `json:"spend"`
	Before ReportSpend `json:"before"` // of the period before

	// Campaigns to act on, the dearest first: those with a decision.
	Campaigns     []ReportCampaign `json:"campaigns"`
	CampaignsMore int              `json:"campaigns_more"` // beyond those listed
	CampaignsFrom Day              `json:"campaigns_from"` // what they are judged by: the month, or four weeks to the week's end
	CampaignsTo   Day              `json:"campaigns_to"`

	Waste      []ReportWaste `json:"waste"` // kinds that cost something, the dearest first
	WasteTotal Amount        `json:"waste_total"`
	WasteShare *Amount       `json:"waste_share"` // of the AI cost; null: there was none

	Forecast *ReportForecast `json:"forecast"` // null: the period is not the latest one
	Alerts   ReportAlerts    `json:"alerts"`
	Open     ReportOpen      `json:"open"`
}

// ReportSpend is what a period has cost and brought.
type ReportSpend struct {
	FixedEUR       Amount  `json:"fixed"` // of a week: a month's, by its days
	AIEUR          Amount  `json:"ai"`
	TotalEUR       Amount  `json:"total"`
	Emails         int64   `json:"emails_sent"`
	Meetings       int64   `json:"meetings_booked"`
	CostPerEmail   *Amount `json:"cost_per_email"`   // total ÷ emails sent
	CostPerMeeting *Amount `json:"cost_per_meeting"` // total ÷ meetings
}

// NewReportSpend is the spend with what follows from it.
func NewReportSpend(fixed []FixedCost, ai decimal.Decimal, emails, meetings int64) ReportSpend {
	s := ReportSpend{AIEUR: Amount{ai}, Emails: emails, Meetings: meetings}
	for _, c := range fixed {
		s.FixedEUR.Decimal = s.FixedEUR.Add(c.EUR)
	}
	s.TotalEUR.Decimal = s.FixedEUR.Add(ai)
	s.CostPerEmail, s.CostPerMeeting = AmountOf(Per(s.TotalEUR.Decimal, emails)), AmountOf(Per(s.TotalEUR.Decimal, meetings))
	return s
}

// ReportCampaign is a campaign that somebody should do something about.
type ReportCampaign struct {
	ID             string           `json:"id"`
	Name           *string          `json:"name"`
	Cost           Amount           `json:"cost"` // AI and its share of the fixed costs
	CostPerMeeting *Amount          `json:"cost_per_meeting"`
	Score          *Amount          `json:"score"`
	Decision       CampaignDecision `json:"decision"`
	Advice         string           `json:"advice"`
}

// ReportWaste is one kind of waste, with what to do about it.
type ReportWaste struct {
	Kind   WasteKind `json:"kind"`
	Count  int64     `json:"count"` // calls; of the last three kinds leads
	Cost   Amount    `json:"cost"`
	Advice string    `json:"advice"`
}

// ReportForecast is where the present month is heading.
type ReportForecast struct {
	Month      Month   `json:"month"`
	Settled    Amount  `json:"settled"`  // fixed costs and AI so far
	Expected   *Amount `json:"expected"` // at the month's end; null: too few days
	Bounds80   *Bounds `json:"interval_80"`
	ExpectedAI *Amount `json:"expected_ai"`
	AIBudget   *Amount `json:"ai_budget"` // limit of the budget monthly-ai; null: there is none
	BudgetUse  *Amount `json:"budget_use"`
	Threshold  *Amount `json:"threshold"` // COST_ALERT_THRESHOLD; null: there is none
}

// ReportAlerts are the alerts that were raised in the period, without reports.
type ReportAlerts struct {
	Critical int64         `json:"critical"`
	Warning  int64         `json:"warning"`
	Info     int64         `json:"info"`
	Latest   []ReportAlert `json:"latest"` // warnings and worse
}

// ReportAlert is one alert in a report.
type ReportAlert struct {
	At       time.Time `json:"at"`
	Severity Severity  `json:"severity"`
	Title    string    `json:"title"`
}

// ReportOpen is what of the period's figures may still move.
type ReportOpen struct {
	OpenCalls       int64  `json:"open_calls"`       // whose cost is not known
	UnverifiedCalls *int64 `json:"unverified_calls"` // that OpenRouter's own record has not confirmed; null: they could not be counted in time
}

// CampaignsToActOn are the campaigns that a decision asks something of: those
// to spend less on before those to mend before those to spend more on, and the
// dearest first. more is how many there are beyond [MaxReportCampaigns].
func CampaignsToActOn(rows []CampaignRow) (list []ReportCampaign, more int) {
	rank := map[CampaignDecision]int{DecideReduce: 1, DecideTargeting: 2, DecideWorkflow: 2, DecideInvest: 3}
	list = []ReportCampaign{}
	for i := range rows {
		c := &rows[i]
		if c.ID == "" || rank[c.Decision] == 0 {
			continue
		}
		list = append(list, ReportCampaign{
			ID: c.ID, Name: c.Name, Cost: c.Cost, CostPerMeeting: c.CostPerMeeting, Score: c.Score, Decision: c.Decision, Advice: c.Advice,
		})
	}
	slices.SortStableFunc(list, func(a, b ReportCampaign) int {
		return cmp.Or(cmp.Compare(rank[a.Decision], rank[b.Decision]), b.Cost.Cmp(a.Cost.Decimal))
	})
	if len(list) > MaxReportCampaigns {
		return list[:MaxReportCampaigns], len(list) - MaxReportCampaigns
	}
	return list, 0
}

// SetWaste notes what was spent in vain, of an AI cost.
func (r *PeriodReport) SetWaste(sums []WasteSum) {
	r.Waste, r.WasteTotal = []ReportWaste{}, Amount{}
	for _, s := range sums {
		if s.CostEUR.IsPositive() {
			r.Waste = append(r.Waste, ReportWaste{Kind: s.Kind, Count: s.Count, Cost: s.CostEUR, Advice: s.Kind.Advice()})
			r.WasteTotal.Decimal = r.WasteTotal.Add(s.CostEUR.Decimal)
		}
	}
	slices.SortStableFunc(r.Waste, func(a, b ReportWaste) int { return b.Cost.Cmp(a.Cost.Decimal) })
	r.WasteShare = AmountOf(Quotient(r.WasteTotal.Decimal, r.Spend.AIEUR.Decimal))
}
