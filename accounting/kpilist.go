package accounting

import "github.com/shopspring/decimal"

// Reasons why a figure cannot be measured.
const (
	whyNoEmails   = "No email was recorded as sent in this month."
	whyNoMeetings = "No meeting was recorded in this month."
	whyNoAI       = "No AI call of this month has a cost yet."
	whyNoLeads    = "No call of this month carries X-Lead-ID."
	whyNoValue    = "Nobody has told what a meeting is worth: set BURSAR_ECONOMICS_MEETING_VALUE, a campaign's meeting value, or send a value with the activity."
	whyNoForecast = "No month has ended of which a forecast was kept from its 11th day on."
)

// KPIs are the key figures of the two founding documents: the strategy's
// primary and secondary ones, and those of the dashboard's score.
func (t *Targets) KPIs(m *KPIMonth) []KPI {
	return append(append(t.primary(m), secondary(m)...), t.dashboard(m)...)
}

func (t *Targets) primary(m *KPIMonth) []KPI {
	f := m.Sums.figures(&m.Month)
	return []KPI{
		KPI{ID: "cost_per_email", Name: "Cost per email", Group: KPIPrimary, Unit: UnitEUR,
			Formula: "Fixed costs and OpenRouter's charge of the month ÷ emails sent."}.
			against(AimBelow, t.CostPerEmail, m.Month.CostPerEmail(), whyNoEmails),
		KPI{ID: "cost_per_meeting", Name: "Cost per meeting", Group: KPIPrimary, Unit: UnitEUR,
			Formula: "Fixed costs and OpenRouter's charge of the month ÷ meetings booked."}.
			against(AimBelow, t.CostPerMeeting, m.Month.CostPerMeeting(), whyNoMeetings),
		KPI{ID: "ai_roi", Name: "AI ROI ratio", Group: KPIPrimary, Unit: UnitShare,
			Formula: "Value of the month's meetings and deals ÷ all AI cost of the month. Campaigns whose value is unknown add cost but no value."}.
			against(AimAbove, t.ROI, f.ROI(), orReason(m.Sums.Value.Known, whyNoAI, whyNoValue)),
		KPI{ID: "waste", Name: "Waste percentage", Group: KPIPrimary, Unit: UnitShare,
			Formula: "AI cost of leads that nothing was sent to in time ÷ all AI cost of the month."}.
			against(AimBelow, t.Waste, f.Waste(), whyNoAI),
		KPI{ID: "send_rate", Name: "Send rate", Group: KPIPrimary, Unit: UnitShare,
			Formula: "Leads that something was sent to ÷ leads with at least one call."}.
			against(AimAbove, t.SendRate, f.SendRate(), whyNoLeads),
		KPI{ID: "conversion_rate", Name: "Conversion rate", Group: KPIPrimary, Unit: UnitShare,
			Formula: "Meetings booked ÷ emails sent."}.
			against(AimAbove, t.Conversion, f.Conversion(), whyNoEmails),
		t.budgetUse(m),
		KPI{ID: "prediction_accuracy", Name: "Cost prediction accuracy", Group: KPIPrimary, Unit: UnitShare,
			Formula: "Mean of 1 − |expected − actual| ÷ actual, at least 0, of the AI cost at the month's end, over the daily forecasts that were kept from the 11th day on, of the last three months that are over. Fixed costs, which nobody has to predict, are left out."}.
			against(AimAbove, t.ForecastAccuracy, m.Forecasts.Accuracy, whyNoForecast),
	}
}

// budgetUse is of the whole month: what of a running one is spent so far would
// miss the target on every day but the last.
func (t *Targets) budgetUse(m *KPIMonth) KPI {
	k := KPI{ID: "budget_utilisation", Name: "Budget utilisation", Group: KPIPrimary, Unit: UnitShare, TargetHigh: &Amount{t.BudgetUseHigh},
		Formula: "OpenRouter's charge of the month ÷ limit of the budget monthly-ai as it is now; of a running month what is expected at its end."}
	spent, why := Some(m.Month.VariableEUR()), "There is no budget monthly-ai, or its limit is 0."
	if m.Running {
		spent = m.Expected
	}
	switch {
	case !m.Budget.Known:
		return k.against(AimBetween, t.BudgetUseLow, unknown, why)
	case !spent.Known:
		return k.against(AimBetween, t.BudgetUseLow, unknown, "The month is not over, and there are too few days for a forecast of its end.")
	}
	return k.against(AimBetween, t.BudgetUseLow, Quotient(spent.Value, m.Budget.Value), why)
}

func secondary(m *KPIMonth) []KPI {
	figure := func(id, name string, unit KPIUnit, formula string) KPI {
		return KPI{ID: id, Name: name, Group: KPISecondary, Unit: unit, Formula: formula}
	}
	platforms := figure("platform_efficiency", "Instantly against HeyReach", UnitRatio,
		"AI cost of a meeting on Instantly ÷ that on HeyReach; parts: AI cost of a meeting on each platform, EUR.")
	platforms.Parts = m.Platforms
	models := figure("model_performance", "Model performance", UnitEUR,
		"AI cost of a meeting with the model that pays least for one; parts: the same of each model. A meeting is shared over the models that worked for its lead by what each of them cost.")
	models.Parts = m.Models
	return []KPI{
		platforms.measured(ratioOf(m.Platforms, PlatformInstantly, PlatformHeyReach), "Not both platforms have AI cost and a meeting in this month."),
		models.measured(least(m.Models), "No meeting of this month belongs to a lead that a model worked for."),
		figure("time_to_roi", "Time to ROI", UnitDays,
			"Mean days from a campaign's first call to its first meeting or deal, over the campaigns that brought their first one in this month.").
			measured(Per(decimal.NewFromInt(m.Sums.ReturnDays), m.Sums.Returned), "No campaign brought its first meeting or deal in this month."),
		figure("optimisation_speed", "Campaign optimisation speed", UnitDays,
			"Days from an advice to change a campaign until its figures no longer call for it.").
			measured(unknown, "Advice is computed when it is asked for; on which day it was first given is not kept."),
		figure("trend_accuracy", "Cost trend accuracy", UnitShare,
			"1 − sum of |expected − actual| ÷ sum of actual AI cost of single days, at least 0, over the daily forecasts of this month and the three before it.").
			measured(m.Forecasts.Daily, "Fewer than 7 days have a forecast that was made before them, or nothing was spent on them."),
		figure("predictive_performance", "Predictive model performance", UnitShare,
			"Share of the kept forecasts, from the 11th day of a month on, whose 80 % interval held the month's AI cost. 0.8 is what it promises.").
			measured(m.Forecasts.In80, whyNoForecast),
		figure("alert_effectiveness", "Alert effectiveness", UnitShare,
			"Alerts of severity warning and critical that somebody acknowledged within 24 hours ÷ those raised in this month.").
			measured(Rate(m.Sums.AlertsHandled, m.Sums.Alerts), "No such alert was raised in this month."),
		figure("decision_support", "Decision support quality", UnitShare,
			"Share of the advice that was followed and improved the figure it was about.").
			measured(unknown, "Bursar cannot see whether an advice was followed."),
	}
}

// PlatformHeyReach is the platform that Instantly is compared with.
const PlatformHeyReach = "heyreach"

func (t *Targets) dashboard(m *KPIMonth) []KPI {
	return []KPI{
		KPI{ID: "dashboard_cost_per_email", Name: "Cost per email (dashboard)", Group: KPIDashboard, Unit: UnitEUR,
			Formula: "As cost_per_email, against the dashboard's target."}.
			against(AimBelow, t.DashboardCostPerEmail, m.Month.CostPerEmail(), whyNoEmails),
		KPI{ID: "dashboard_cost_per_meeting", Name: "Cost per meeting (dashboard)", Group: KPIDashboard, Unit: UnitEUR,
			Formula: "As cost_per_meeting, against the dashboard's target."}.
			against(AimBelow, t.DashboardCostPerMeeting, m.Month.CostPerMeeting(), whyNoMeetings),
		KPI{ID: "efficiency_score", Name: "Cost efficiency score", Group: KPIDashboard, Unit: UnitScore,
			Formula: "Mean of target ÷ actual for both, each at most 100."}.
			measured(t.DashboardScore(&m.Month), whyNoEmails),
	}
}

func orReason(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// ratioOf is the value of part a ÷ that of part b.
func ratioOf(parts []KPIPart, a, b string) Optional[decimal.Decimal] {
	var of [2]*Amount
	for _, p := range parts {
		switch p.Name {
		case a:
			of[0] = p.Value
		case b:
			of[1] = p.Value
		}
	}
	if of[0] == nil || of[1] == nil {
		return unknown
	}
	return Quotient(of[0].Decimal, of[1].Decimal)
}

// least is the smallest value of all parts.
func least(parts []KPIPart) Optional[decimal.Decimal] {
	var found Optional[decimal.Decimal]
	for _, p := range parts {
		if p.Value != nil && (!found.Known || p.Value.LessThan(found.Value)) {
			found = Some(p.Value.Decimal)
		}
	}
	return found
}
