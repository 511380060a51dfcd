package accounting

import "slices"

// AlertFigure is a figure that a rule can watch. Amounts are EUR; figures of a
// month are of the present UTC month, those of a day of the present UTC day.
type AlertFigure string

// The figures.
const (
	FigureMonthTotal       AlertFigure = "month_total"          // fixed costs and AI
	FigureMonthAICost      AlertFigure = "month_ai_cost"        // EUR
	FigureCostPerEmail     AlertFigure = "cost_per_email"       // with fixed costs
	FigureCostPerMeeting   AlertFigure = "cost_per_meeting"     // with fixed costs
	FigureAICostPerMeeting AlertFigure = "ai_cost_per_meeting"  // without
	FigureCostPerLead      AlertFigure = "cost_per_lead"        // AI cost ÷ processed leads
	FigureWastePercent     AlertFigure = "waste_percent"        // AI cost of leads unsent in time ÷ AI cost
	FigureCampaignScore    AlertFigure = "campaign_score"       // 0 to 100
	FigureSendRate         AlertFigure = "send_rate"            // a share
	FigureConversion       AlertFigure = "conversion_rate"      // a share
	FigureROIPercent       AlertFigure = "ai_roi_percent"       // 100 × value ÷ AI cost
	FigureForecastTotal    AlertFigure = "forecast_month_total" // fixed costs and AI, expected at the month's end
	FigureCallsToday       AlertFigure = "calls_today"          // a number
	FigureSpendToday       AlertFigure = "spend_today"          // EUR
	FigureErrorRateToday   AlertFigure = "error_rate_today"     // a share of today's calls, from 30 on
)

// MinRuleCalls is how many calls of a day an error rate needs to say something.
const MinRuleCalls = 30

// FigureUnit is what a figure is counted in.
type FigureUnit string

// The units.
const (
	FigureEUR     FigureUnit = "EUR"
	FigurePercent FigureUnit = "percent" // 30 is 30 %
	FigureShare   FigureUnit = "share"   // 0.3 is 30 %
	FigurePoints  FigureUnit = "points"  // 0 to 100
	FigureCount   FigureUnit = "count"
)

// ruleDimension is what a figure is of.
type ruleDimension string

const (
	ofAll          ruleDimension = "everything"
	ofCampaign     ruleDimension = "one campaign"
	ofEachCampaign ruleDimension = "each campaign"
	ofPlatform     ruleDimension = "one platform"
	ofModel        ruleDimension = "one model"
)

// figureInfo is all that is to be known about a figure.
type figureInfo struct {
	figure  AlertFigure
	words   string // in a sentence, after "the"
	unit    FigureUnit
	leads   bool   // a rate, or a quotient that says little of few leads
	advice  string // what to do about it
	formula string
	of      []ruleDimension
}

var (
	campaignLike = []ruleDimension{ofAll, ofCampaign, ofEachCampaign, ofPlatform}
	everywhere   = []ruleDimension{ofAll, ofCampaign, ofEachCampaign, ofPlatform, ofModel}
)

var figureList = []figureInfo{
	{FigureMonthTotal, "month's total", FigureEUR, false, "", "fixed costs and AI of the month", []ruleDimension{ofAll}},
	{FigureMonthAICost, "month's AI cost", FigureEUR, false, "", "OpenRouter's charge of the month", everywhere},
	{FigureCostPerEmail, "cost of an email", FigureEUR, true, "", "AI and fixed costs of the month ÷ emails sent", campaignLike},
	{FigureCostPerMeeting, "cost of a meeting", FigureEUR, true, "Move the budget to what brings meetings for less.", "AI and fixed costs of the month ÷ meetings", campaignLike},
	{FigureAICostPerMeeting, "AI cost of a meeting", FigureEUR, true, "", "AI cost of the month ÷ meetings", []ruleDimension{ofCampaign, ofEachCampaign, ofPlatform, ofModel}},
	{FigureCostPerLead, "AI cost of a lead", FigureEUR, true, "", "AI cost of the month ÷ processed leads", everywhere},
	{FigureWastePercent, "waste", FigurePercent, true, "Review the workflow: GET /api/waste says what was spent in vain, and what to do.", "100 × AI cost of leads unsent in time ÷ AI cost of the month", campaignLike},
	{FigureCampaignScore, "score", FigurePoints, true, "Optimise it: GET /api/campaigns/{id} says what to do.", "send rate, conversion and target ÷ cost per meeting, each at most 100, by their weights", []ruleDimension{ofCampaign, ofEachCampaign}},
	{FigureSendRate, "send rate", FigureShare, true, "", "sent ÷ processed leads of the month", campaignLike},
	{FigureConversion, "conversion rate", FigureShare, true, "", "meetings ÷ emails sent of the month", campaignLike},
	{FigureROIPercent, "AI ROI", FigurePercent, true, "", "100 × value ÷ AI cost of the month", []ruleDimension{ofAll, ofCampaign, ofEachCampaign}},
	{FigureForecastTotal, "month's expected total", FigureEUR, false, "", "fixed costs and AI, expected at the month's end", []ruleDimension{ofAll}},
	{FigureCallsToday, "number of calls today", FigureCount, false, "", "calls of the UTC day", everywhere},
	{FigureSpendToday, "AI cost of today", FigureEUR, false, "", "OpenRouter's charge of the UTC day", everywhere},
	{FigureErrorRateToday, "error rate of today", FigureShare, false, "", "failed ÷ all calls of the UTC day, from 30 calls on", everywhere},
}

// AlertFigures lists the figures in the order in which help and docs show them.
func AlertFigures() []AlertFigure {
	list := make([]AlertFigure, len(figureList))
	for i := range figureList {
		list[i] = figureList[i].figure
	}
	return list
}

func figureNames() []string {
	var names []string
	for _, f := range AlertFigures() {
		names = append(names, string(f))
	}
	return names
}

func (f AlertFigure) info() figureInfo {
	if i := slices.IndexFunc(figureList, func(info figureInfo) bool { return info.figure == f }); i >= 0 {
		return figureList[i]
	}
	return figureInfo{figure: f}
}

func (f AlertFigure) known() bool { return f.info().words != "" }

// Unit is what the figure is counted in; empty for one that there is not.
func (f AlertFigure) Unit() FigureUnit { return f.info().unit }

// Formula is how the figure is computed, in words.
func (f AlertFigure) Formula() string { return f.info().formula }

// NeedsLeads reports whether the figure says something only from a number of
// processed leads on.
func (f AlertFigure) NeedsLeads() bool { return f.info().leads }

func (f AlertFigure) has(d ruleDimension) bool { return slices.Contains(f.info().of, d) }

func (f AlertFigure) dimensionNames() []string {
	var names []string
	for _, d := range f.info().of {
		names = append(names, string(d))
	}
	return names
}
