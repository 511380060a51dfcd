package admin

import (
	"context"
	"errors"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// rollbackPlanInput is the request of POST /api/budget-plan/rollback.
type rollbackPlanInput struct {
	Body *struct {
		Plan   int64  `json:"plan,omitempty" minimum:"1" doc:"The plan that is meant; default: the one in force." example:"7"`
		Reason string `json:"reason,omitempty" maxLength:"500" doc:"Why, for the audit log." example:"meetings fell"`
	}
}

// rollbackPlan answers POST /api/budget-plan/rollback.
func (e *economics) rollbackPlan(ctx context.Context, in *rollbackPlanInput) (*answer[accounting.PlanUndo], error) {
	var id int64
	var reason string
	if in.Body != nil {
		id, reason = in.Body.Plan, in.Body.Reason
	}
	if err := problemIf(checkReason(reason, false)); err != nil {
		return nil, err
	}
	writing, cancel := context.WithTimeout(ctx, budgetWriteTimeout)
	defer cancel()
	undo, err := e.Plans.Plans.RollBackBudgetPlan(writing, id, actorOf(ctx), reason, e.Now().UTC())
	switch {
	case errors.Is(err, accounting.ErrNoBudgetPlan) && id != 0:
		return nil, newProblem(http.StatusNotFound, "There is no budget plan %d. GET /api/budget-plans lists those there are.", id)
	case errors.Is(err, accounting.ErrNoBudgetPlan):
		return nil, newProblem(http.StatusConflict, "No budget plan is in force, so there is nothing to roll back.")
	case errors.Is(err, accounting.ErrPlanNotInForce):
		return nil, newProblem(http.StatusConflict, "Budget plan %d was replaced by another one. Roll that back first; GET /api/budget-plans shows which is in force.", id)
	case err != nil:
		return nil, uncounted(ctx, writing, err)
	}
	return answered(undo), nil
}

// plansInput is the query of GET /api/budget-plans.
type plansInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"10" doc:"Plans of one page." example:"10"`
	Cursor string `query:"cursor" maxLength:"500" doc:"next_cursor of the page before, as it stands." example:"AAAAAAAAAAk"`
}

// Resolve checks what no single parameter's schema can say.
func (in *plansInput) Resolve(ctx huma.Context) []error { return checkQueryOf(ctx) }

// planList is the data of GET /api/budget-plans.
type planList struct {
	Plans      []accounting.AppliedPlan `json:"plans" nullable:"false" doc:"Newest first."`
	NextCursor *string                  `json:"next_cursor" doc:"The cursor of the next, older page; null on the last one." example:"AAAAAAAAAAk"`
}

// listPlans answers GET /api/budget-plans.
func (e *economics) listPlans(ctx context.Context, in *plansInput) (*answer[planList], error) {
	reading, cancel := limited(ctx)
	defer cancel()
	page, err := e.Plans.Plans.ListBudgetPlans(reading, in.Limit, in.Cursor)
	if errors.Is(err, accounting.ErrBadCursor) {
		return nil, invalid(fieldError{Field: "cursor", Value: shown(in.Cursor), Message: "expected the next_cursor of a page before", Allowed: "leave it out for the first page"})
	}
	if err != nil {
		return nil, err
	}
	return answered(planList{Plans: orEmpty(page.Plans), NextCursor: orAll(page.NextCursor)}), nil
}

// describePlans describes the domain's types of plans.
func describePlans(api huma.API) {
	for t, descriptions := range planColumns {
		schema := describeType(api, t, descriptions)
		for name, example := range map[string]any{"month": "2026-11", "split": "50/35/15", "class": string(accounting.PlanHighROI)} {
			if property := schema.Properties[name]; property != nil {
				property.Examples = []any{example}
			}
		}
	}
	schemas := api.OpenAPI().Components.Schemas.Map()
	for schema, name := range map[string]string{"PlanRow": "budget", "PlanOutcome": "applied"} {
		if property := schemas[schema].Properties[name]; property.Ref != "" {
			property.AnyOf, property.Ref = []*huma.Schema{{Ref: property.Ref}, {Type: "null"}}, ""
		}
	}
}

// planColumns describes what the answers hold.
var planColumns = map[reflect.Type]map[string]string{
	reflect.TypeFor[accounting.BudgetPlan](): {
		"month": "UTC month that it is for.", "from": "First day of the figures, UTC.", "to": "Last day of the figures, included.",
		"amount": "EUR to split.", "split": "Percent for high_roi, standard and testing.", "step_percent": "By which a limit may move in a day.",
		"classes": "What each class gets.", "campaigns": "The largest limit of each class first.",
		"removed":   "Planned budgets that are deleted: their campaigns are not in the plan, or a person has made a budget for them.",
		"allocated": "Sum of the suggested limits, EUR.", "reserve": "What of the amount nobody gets, EUR.",
		"untagged_cost":      "What calls without a campaign cost in these days, EUR; a budget cannot hold them, so it comes on top.",
		"campaigns_left_out": "That took part and are not among the 200 dearest.",
		"note":               "What of the whole one should know; empty: nothing.",
	},
	reflect.TypeFor[accounting.PlanClassRow](): {
		"class": "high_roi, standard, testing.", "percent": "Of the amount.", "share": "EUR by percent, with what was due to empty classes.",
		"campaigns": "In the class.", "allocated": "Sum of their limits, EUR.",
	},
	reflect.TypeFor[accounting.PlanRow](): {
		"campaign_id": "As in X-Campaign-ID.", "name": "Name for people.", "class": "high_roi, standard, testing.",
		"decision": "invest_more, optimise_targeting, optimise_workflow, reduce_ai, not_enough_data.",
		"tier":     "premium, standard, efficiency, optimization, not_enough_data.", "why": "In words.",
		"processed_leads": "Leads with a call in these days.", "emails_sent": "In these days.", "meetings": "In these days.",
		"send_rate": "Sent ÷ processed leads.", "conversion_rate": "Meetings ÷ emails sent.", "ai_cost": "EUR in these days.",
		"ai_cost_per_meeting": "EUR.", "ai_roi_percent": "100 × value ÷ AI cost; null: no value is known.",
		"suggested_limit": "EUR a month.", "suggested_model_class": "premium, standard, efficiency, none (fix the workflow first).",
		"suggested_model": "Of BURSAR_ECONOMICS_MODEL_…; null: none.", "budget": "Present budget of the campaign; null: none.",
		"change_percent": "From the present limit to the suggested one; null: there is none, or it is not in EUR a month.",
		"action":         "make, raise, lower, keep; conflict: a person has made a budget, and nothing is done; declined: a person has deleted the planned one, and none is made.",
		"first_step":     "Limit on the day on which the plan is applied; null: nothing is done.", "days": "From then on until the suggested limit is reached.",
	},
	reflect.TypeFor[accounting.PlanBudget](): {
		"id": "The budget.", "campaign_id": "Its campaign.", "limit": "In currency.", "currency": "USD or EUR.", "period": "day, week, month or total.",
		"mode": "alert, soft or hard.", "planned": "A plan has made it, and nobody has changed it since.",
		"moved_today": "A plan has moved it on the present UTC day: no plan moves it again before the next.",
	},
	reflect.TypeFor[accounting.AppliedPlan](): {
		"id": "Number of the plan; later ones are higher.", "request_id": "Sender's own id; auto/ and the month of an automatic one.", "month": "UTC month that it was made for.",
		"from": "First day of the figures, UTC.", "to": "Last day of the figures, included.", "amount": "EUR that were split.", "reserve": "What of it nobody gets, EUR.",
		"split": "Percent for high_roi, standard and testing.", "step_percent": "By which a limit may move in a day.", "mode": "Of its budgets.",
		"automatic": "Nobody asked for it.", "actor": "Who applied it.", "reason": "Why, in their words.", "created_at": "When it was applied.",
		"moved_on": "UTC day of its latest step.", "replaces": "The plan before it; null: none was in force.", "ended_at": "null: it is in force.",
		"ended_by": "Who ended it.", "ending": "replaced or rolled_back; null: it is in force.", "items": "By campaign, the largest target first.",
	},
	reflect.TypeFor[accounting.PlanItem](): {
		"campaign_id": "As in X-Campaign-ID.", "class": "null: the campaign is not in the plan.", "decision": "About the campaign, when the plan was made.", "why": "In words.",
		"suggested_model_class": "premium, standard, efficiency, none.", "suggested_model": "null: none.", "budget_id": "That it moves; of a conflict, the person's.",
		"before": "Limit of the planned budget before, EUR; null: there was none.", "target": "EUR; null: the campaign is not in the plan.",
		"limit": "As the plan has last set it, EUR; null: it has set none.",
		"state": "moving (a step each day), reached, removed, conflict (a person had made a budget), stopped (a person has changed or deleted the planned one); of a plan that has ended also replaced (it was moving then) and rolled_back.",
	},
	reflect.TypeFor[accounting.PlanUndo](): {
		"plan": "That was rolled back.", "in_force": "The plan before it; null: none is in force.", "restored": "What became of each budget; empty: it was rolled back before.",
	},
	reflect.TypeFor[accounting.PlanRestored](): {
		"campaign_id": "As in X-Campaign-ID.", "budget_id": "null: there is none any more.", "limit": "EUR; null: it was not touched, or there is none any more.",
		"action": "restored, removed (the plan had made it), left (a person has changed or deleted it).",
	},
}
