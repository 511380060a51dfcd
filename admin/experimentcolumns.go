package admin

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

var experimentColumns = map[string]string{
	"id": "The experiment; leads are assigned by it.", "name": "Name for people.", "campaign_id": "Whose leads take part; empty: those of every campaign.",
	"purpose": "Only calls for it count and are changed; empty: all.", "arms": "The ways in which leads are treated; the first is the control.",
	"metric": "What decides: conversion (leads that booked a meeting), reply_rate or send_rate, as shares of the leads that were seen.",
	"margin": "Of the control's rate, which an arm may lose and still be good enough; a share.", "enforce": "Bursar applies the arms; false: the application asks for them.",
	"stop_on_verdict": "It ends when every arm is told from the control, or found good enough.", "max_days": "After which it ends; null: no limit.",
	"max_leads": "With which it ends; null: no limit.", "state": "draft, running, stopped or rolled_back.", "started_at": "From which calls count.",
	"ended_at": "From which they do no longer; what comes of its leads still does.", "ended_by": "Who ended it; bursar: it ended by its own rules.",
	"end_reason": "Why; of one that ended by itself harm, verdict, max_days or max_leads.", "created_at": "When it was made.", "updated_at": "When it was last changed.",
}

var armColumns = map[string]string{
	"name": "The arm.", "weight": "Its share of the leads is this ÷ the sum over all arms.", "model": "In place of the one that calls ask for; empty: as they ask.",
	"ai": "false: no call is made.",
}

var armRowColumns = map[string]string{
	"name": armColumns["name"], "weight": armColumns["weight"], "model": armColumns["model"], "ai": armColumns["ai"], "control": "What the others are compared with.",
	"leads": "That were assigned to it and seen, by campaign.", "calls": "That belong to the experiment.", "sent_leads": "To which something was sent since the start.",
	"replied_leads": "That replied.", "converted_leads": "That booked at least one meeting.", "meetings": "That they booked.",
	"ai_cost_usd": "Of its calls, in USD.", "ai_cost": "The same in EUR, at the rate of each call's day.", "cost_per_lead": "ai_cost ÷ leads, EUR.", "cost_per_meeting": "ai_cost ÷ meetings, EUR.",
	"send_rate": "sent_leads ÷ leads.", "reply_rate": "replied_leads ÷ leads.", "conversion_rate": "converted_leads ÷ leads.",
	"send_rate_interval": "95 % (Wilson), for a single look.", "reply_rate_interval": "95 % (Wilson), for a single look.", "conversion_interval": "95 % (Wilson), for a single look.",
}

var comparisonColumns = map[string]string{
	"arm": "The arm that is compared with the control.", "ratio": "Its rate of the metric ÷ the control's, by counts and weights; null: nothing came of the control's leads yet.",
	"interval": "Of the ratio: holds the true one on all days and for all arms together with 95 %.",
	"p_value":  "Of no difference; valid on any day, for this arm alone.",
	"verdict":  "better; not_worse: good enough, it keeps the control's rate but for the margin; worse: harm; undecided.",
	"saving":   "Of the control's AI cost of a lead, as a share; negative: it costs more.", "headline": "All of it in words.",
}

var experimentReportColumns = map[string]string{
	"experiment": "What was set.", "arms": "What the leads of each arm have cost and brought.", "comparisons": "Every arm but the control, beside it.",
	"headline": "What was found, in words.", "sample_ratio_ok": "The leads are spread as the weights say; where they are not, no other figure can be trusted.",
}

var assignmentColumns = map[string]string{
	"experiment_id": "The experiment.", "lead_id": "The lead.", "arm": "The arm that it is in.", "control": "Whether that is the control.",
	"enforced": "Bursar applies the arm at present; false: it is for the application to do.",
}

// describeExperiments describes the domain's types of experiments.
func describeExperiments(api huma.API) {
	experiment := describeType(api, reflect.TypeFor[accounting.Experiment](), experimentColumns)
	describeType(api, reflect.TypeFor[accounting.ExperimentArm](), armColumns)
	describeType(api, reflect.TypeFor[accounting.ExperimentReport](), experimentReportColumns)
	describeType(api, reflect.TypeFor[accounting.Assignment](), assignmentColumns)
	row := describeType(api, reflect.TypeFor[accounting.ArmRow](), armRowColumns)
	comparison := describeType(api, reflect.TypeFor[accounting.ArmComparison](), comparisonColumns)
	for _, interval := range []*huma.Schema{
		row.Properties["send_rate_interval"], row.Properties["reply_rate_interval"], row.Properties["conversion_interval"], comparison.Properties["interval"],
	} {
		interval.AnyOf, interval.Ref = []*huma.Schema{{Ref: interval.Ref}, {Type: "null"}}, ""
	}
	comparison.Properties["verdict"].Enum = []any{"better", "not_worse", "worse", "undecided"}
	experiment.Properties["state"].Enum = []any{"draft", "running", "stopped", "rolled_back"}
	experiment.Properties["metric"].Enum = []any{"conversion", "reply_rate", "send_rate"}
}
