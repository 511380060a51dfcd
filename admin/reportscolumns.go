package admin

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// describeReports describes what a report holds.
func describeReports(api huma.API) {
	for t, descriptions := range reportColumns {
		describeType(api, t, descriptions)
	}
}

var reportColumns = map[reflect.Type]map[string]string{
	reflect.TypeFor[accounting.PeriodReport](): {
		"period":         "weekly or monthly.",
		"of":             "The ISO week or the month.",
		"from":           "First day, UTC.",
		"to":             "Last day, included.",
		"made_at":        "When the figures were read.",
		"spend":          "What the period has cost and brought.",
		"before":         "The same of the period before.",
		"campaigns":      "To act on: to spend less on, to mend, to spend more on; the dearest of each first, five at most.",
		"campaigns_more": "How many there are beyond those.",
		"campaigns_from": "First day of what campaigns are judged by.",
		"campaigns_to":   "Last day of it, included.",
		"waste":          "Kinds that cost something, the dearest first.",
		"waste_total":    "Of all kinds.",
		"waste_share":    "Of the AI cost; null: there was none.",
		"forecast":       "Where the present month is heading; null: the period is not the latest one.",
		"alerts":         "Raised in the period, without reports.",
		"open":           "What of these figures may still move.",
	},
	reflect.TypeFor[accounting.ReportSpend](): {
		"fixed": "Fixed costs; of a week those of its days.", "ai": "OpenRouter's charge.", "total": "Both.", "emails_sent": "Messages.", "meetings_booked": "Meetings.",
		"cost_per_email": "total ÷ emails sent; null: none was sent.", "cost_per_meeting": "total ÷ meetings; null: none was booked.",
	},
	reflect.TypeFor[accounting.ReportCampaign](): {
		"id": "As in X-Campaign-ID.", "name": "For people; null: none was told.", "cost": "AI and its share of the fixed costs.", "cost_per_meeting": "null: no meeting.",
		"score": "0 to 100.", "decision": "invest_more, optimise_targeting, optimise_workflow, reduce_ai.", "advice": "What to do.",
	},
	reflect.TypeFor[accounting.ReportWaste](): {
		"kind": "failed, cancelled, truncated, redrafted, bounced, unsubscribed, unsent.", "count": "Calls; of the last three kinds leads.", "cost": "EUR.", "advice": "What to do about it.",
	},
	reflect.TypeFor[accounting.ReportForecast](): {
		"month": "The present one.", "settled": "Fixed costs and AI so far.", "expected": "At its end; null: too few days.", "interval_80": "That holds it with 80 %.",
		"expected_ai": "Without fixed costs.", "ai_budget": "Limit of the budget monthly-ai; null: there is none.", "budget_use": "expected_ai ÷ ai_budget.",
		"threshold": "COST_ALERT_THRESHOLD; null: there is none.",
	},
	reflect.TypeFor[accounting.ReportAlerts](): {
		"critical": "How many.", "warning": "How many.", "info": "How many.", "latest": "Warnings and worse, the newest first, five at most.",
	},
	reflect.TypeFor[accounting.ReportAlert](): {"at": "When it was raised.", "severity": "warning or critical.", "title": "Of the alert."},
	reflect.TypeFor[accounting.ReportOpen](): {
		"open_calls":       "Calls whose cost is not known, and which are in no figure here.",
		"unverified_calls": "Calls whose cost OpenRouter's own record has not confirmed; null: they could not be counted in time.",
	},
}
