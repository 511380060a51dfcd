package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// PlanOptions are what the routes of budget plans stand on.
type PlanOptions struct {
	Planner BudgetPlanner   // required
	Plans   BudgetPlans     // required
	Mode    accounting.Mode // of budgets where nobody asks for another; empty: soft
}

// BudgetPlanner makes plans. It is called concurrently and must return when ctx
// ends.
type BudgetPlanner interface {
	// MakePlan makes the plan that is asked for. Without an amount, and without
	// the budget monthly-ai that says it, [accounting.ErrUnknownBudget].
	MakePlan(ctx context.Context, r accounting.PlanRequest, now time.Time) (accounting.BudgetPlan, error)
}

// BudgetPlans turns plans into budgets. Each method that writes does so in one
// transaction with its entries of the audit log, is called concurrently, and
// returns when ctx ends.
type BudgetPlans interface {
	// ApplyBudgetPlan applies a plan as the budgets are then; made is false
	// where it was applied before. A plan without campaigns is
	// [accounting.ErrNothingToPlan].
	ApplyBudgetPlan(ctx context.Context, plan accounting.BudgetPlan, a accounting.PlanApplication, now time.Time) (applied accounting.AppliedPlan, made bool, err error)
	// RollBackBudgetPlan takes the plan in force back; id 0: whichever it is.
	// Errors: [accounting.ErrNoBudgetPlan], [accounting.ErrPlanNotInForce].
	RollBackBudgetPlan(ctx context.Context, id int64, actor, reason string, now time.Time) (accounting.PlanUndo, error)
	// ListBudgetPlans lists plans, the newest first. Errors:
	// [accounting.ErrBadCursor].
	ListBudgetPlans(ctx context.Context, limit int, cursor string) (accounting.PlanPage, error)
}

func (o *PlanOptions) check() error {
	if o != nil && (o.Planner == nil || o.Plans == nil) {
		return errors.New("admin: EconomicsOptions.Plans needs a planner and plans")
	}
	return nil
}

const planRules = "The amount is split by class: high_roi for campaigns whose decision is invest_more, testing for those that are flagged as a test or have too few leads for a verdict (not_enough_data), standard for all others. " +
	"The share of an empty class goes to standard; without a standard campaign it stays in reserve. Within a class nine tenths go by what each campaign's calls cost in 30 days, and one tenth evenly; " +
	"a campaign whose decision is reduce_ai gets half of that, and the others of its class the rest. Limits are whole cents, EUR, and add up with reserve to the amount (largest remainder). " +
	"A limit moves by at most step_percent of itself a day (a cent at least); a campaign without a budget starts at its limit, or a step below what it spent in 30 days if that was more. " +
	"A campaign for which a person has made a budget, or changed the planned one, is left to that: conflict. One whose planned budget a person has deleted gets none: declined. "

var budgetPlanOperation = huma.Operation{
	OperationID: "budget-plan", Method: http.MethodGet, Path: "/api/budget-plan",
	Summary: "The AI budget, split over campaigns",
	Description: "What each campaign should be allowed to spend on AI in a month, with which class of models, why, and what would become of its budget. Nothing is changed. " + planRules +
		"Figures are of the 30 whole days before now; of a past month, of those before its first day. Campaigns take part that made a call in them, or were told about; at most the 200 dearest.",
	Tags: []string{"budget plan"}, Security: needsToken, Errors: economicsErrors, RejectUnknownQueryParameters: true,
}

var applyPlanOperation = huma.Operation{
	OperationID: "apply-budget-plan", Method: http.MethodPost, Path: "/api/budget-plan/apply",
	Summary: "Turn the plan into budgets, step by step",
	Description: "Makes a monthly budget plan:<campaign> for each campaign, or moves the one of the plan before, by one step now and one each UTC day until the suggested limit is reached. Audited, each budget too. " + planRules +
		"Budgets of the plan before whose campaigns are not in this one are deleted. A person who changes or deletes a planned budget stops this plan, and those after it, for its campaign; again names campaigns that get a budget though theirs was deleted. " +
		"With the id of an application before, or if the plan in force says the same, nothing changes and made is false. dry_run shows what would be done. 409 if no campaign is in the plan.",
	Tags: []string{"budget plan"}, Security: needsToken, MaxBodyBytes: maxBudgetBytes, RejectUnknownQueryParameters: true,
	Errors: append([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusConflict, http.StatusRequestEntityTooLarge}, economicsErrors...),
}

var rollbackPlanOperation = huma.Operation{
	OperationID: "roll-back-budget-plan", Method: http.MethodPost, Path: "/api/budget-plan/rollback",
	Summary: "Put the plan before back",
	Description: "Takes the plan in force back, at once: budgets that it moved have the limit and mode of before, those that it made are deleted, those that it deleted are made again (under another id). " +
		"The plan before is in force again and goes on the next day; where there was none, none is. What a person has changed since is left alone. Audited. " +
		"With plan, a retry changes nothing: 409 if that plan was replaced. 409 without a plan in force.",
	Tags: []string{"budget plan"}, Security: needsToken, MaxBodyBytes: maxBudgetBytes, RejectUnknownQueryParameters: true,
	Errors: append([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge}, economicsErrors...),
}

var listPlansOperation = huma.Operation{
	OperationID: "list-budget-plans", Method: http.MethodGet, Path: "/api/budget-plans",
	Summary:     "Plans that were applied",
	Description: "What was planned for each campaign, how far it is, who asked for it, and how it ended; the newest first. The one without ended_at is in force.",
	Tags:        []string{"budget plan"}, Security: needsToken, Errors: economicsErrors, RejectUnknownQueryParameters: true,
}

// planRoutes registers the routes, where there is something behind them.
func (e *economics) planRoutes(api huma.API) {
	if e.Plans == nil {
		return
	}
	doc := api.OpenAPI()
	doc.Tags = append(doc.Tags, &huma.Tag{Name: "budget plan", Description: "The AI budget, split over campaigns by what they return."})
	huma.Register(api, budgetPlanOperation, operation(e.budgetPlan))
	huma.Register(api, applyPlanOperation, operation(e.applyPlan))
	huma.Register(api, rollbackPlanOperation, operation(e.rollbackPlan))
	huma.Register(api, listPlansOperation, operation(e.listPlans))
	describePlans(api)
}

// budgetPlanInput is the query of GET /api/budget-plan.
type budgetPlanInput struct {
	Month       string `query:"month" maxLength:"7" doc:"UTC month, up to the next one; default: the present one." example:"2026-11"`
	Amount      string `query:"amount" maxLength:"20" doc:"EUR to split; default: the limit of the budget monthly-ai." example:"77"`
	Split       string `query:"split" maxLength:"60" doc:"Percent for high_roi, standard and testing, which add up to 100; default: BURSAR_BUDGETS_PLAN_SPLIT, 50/35/15." example:"50/35/15"`
	StepPercent string `query:"step_percent" maxLength:"10" doc:"By which a limit may move in a day, 1 to 1000; default: BURSAR_BUDGETS_PLAN_STEP, 20." example:"20"`
}

// Resolve checks what no single parameter's schema can say.
func (in *budgetPlanInput) Resolve(ctx huma.Context) []error { return checkQueryOf(ctx) }

// budgetPlan answers GET /api/budget-plan.
func (e *economics) budgetPlan(ctx context.Context, in *budgetPlanInput) (*answer[accounting.BudgetPlan], error) {
	now := e.Now().UTC()
	r := accounting.PlanRequest{Month: accounting.MonthOf(now)}
	var wrong []fieldError
	if in.Month != "" {
		month, err := accounting.ParseMonth(in.Month)
		first, next := accounting.MonthOf(accounting.EarliestRate.Start()), r.Month.Next()
		if err != nil || next.Before(month) || month.Before(first) {
			wrong = append(wrong, fieldError{Field: "month", Value: shown(in.Month), Message: "expected a month up to the next one", Allowed: "a month from " + first.String() + " to " + next.String()})
		}
		r.Month = month
	}
	number := func(field, text string) *accounting.Amount {
		if text == "" {
			return nil
		}
		d := accounting.ParseCost(text)
		if !d.Known {
			wrong = append(wrong, fieldError{Field: field, Value: shown(text), Message: "expected a number of 0 or more", Allowed: "a number such as 20 or 12.5"})
		}
		return accounting.AmountOf(d)
	}
	amount, step := number("amount", in.Amount), number("step_percent", in.StepPercent)
	wrong = append(wrong, readPlanTerms(&r, amount, in.Split, step)...)
	if err := problemIf(wrong); err != nil {
		return nil, err
	}
	reading, cancel := limited(ctx)
	defer cancel()
	plan, err := e.plan(reading, r, now)
	if err != nil {
		return nil, err
	}
	return answered(plan), nil
}

// readPlanTerms adds to a request what somebody wrote, and returns what is wrong
// with it.
func readPlanTerms(r *accounting.PlanRequest, amount *accounting.Amount, split string, step *accounting.Amount) (wrong []fieldError) {
	if amount != nil {
		if !between(amount, decimal.New(1, -2), decimal.NewFromInt(accounting.MaxBudgetLimit)) {
			wrong = append(wrong, fieldError{Field: "amount", Value: shownAmount(amount), Message: "expected an amount of more than 0", Allowed: fmt.Sprintf("0.01 to %d EUR, with at most 12 decimals", accounting.MaxBudgetLimit)})
		}
		r.Amount = accounting.Some(amount.Decimal)
	}
	if split != "" {
		s, err := accounting.ParsePlanSplit(split)
		if err != nil {
			wrong = append(wrong, fieldError{Field: "split", Value: shown(split), Message: "expected three percentages that add up to 100", Allowed: "percent for high_roi, standard and testing such as 50/35/15"})
		}
		r.Split = accounting.Some(s)
	}
	if step != nil {
		if !between(step, decimal.NewFromInt(accounting.MinPlanStep), decimal.NewFromInt(accounting.MaxPlanStep)) {
			wrong = append(wrong, fieldError{Field: "step_percent", Value: shownAmount(step), Message: "expected a percentage by which limits can move", Allowed: fmt.Sprintf("%d to %d", accounting.MinPlanStep, accounting.MaxPlanStep)})
		}
		r.Step = accounting.Some(step.Decimal)
	}
	return wrong
}

// between reports whether an amount that somebody wrote is from low to high. Its
// exponent is looked at first: comparing 1e300 takes long.
func between(a *accounting.Amount, low, high decimal.Decimal) bool {
	return a.Exponent() >= -12 && a.Exponent() <= 12 && !a.LessThan(low) && !a.GreaterThan(high)
}

// plan makes the plan that is asked for, and says what is missing where it
// cannot.
func (e *economics) plan(ctx context.Context, r accounting.PlanRequest, now time.Time) (accounting.BudgetPlan, error) {
	plan, err := e.Plans.Planner.MakePlan(ctx, r, now)
	switch {
	case errors.Is(err, accounting.ErrUnknownBudget):
		return plan, invalid(fieldError{Field: "amount", Message: "is needed, since the budget monthly-ai, whose limit it would be, was deleted", Allowed: "EUR to split, such as 77"})
	case err == nil && !plan.Amount.IsPositive():
		return plan, invalid(fieldError{Field: "amount", Message: "is needed, since the limit of the budget monthly-ai, which it would be, is 0", Allowed: "EUR to split, such as 77"})
	}
	return plan, err
}

// applyPlanInput is the request of POST /api/budget-plan/apply.
type applyPlanInput struct {
	DryRun bool `query:"dry_run" doc:"Show what would be done, and do nothing. In the body it says the same." example:"true"`
	Body   *struct {
		ID          string             `json:"id,omitempty" maxLength:"100" doc:"Your own; a plan is applied once for each id." example:"november"`
		Amount      *accounting.Amount `json:"amount,omitempty" doc:"EUR to split; default: the limit of the budget monthly-ai." example:"77"`
		Split       string             `json:"split,omitempty" maxLength:"60" doc:"Percent for high_roi, standard and testing, which add up to 100; default: BURSAR_BUDGETS_PLAN_SPLIT." example:"50/35/15"`
		StepPercent *accounting.Amount `json:"step_percent,omitempty" doc:"By which a limit may move in a day, 1 to 1000; default: BURSAR_BUDGETS_PLAN_STEP." example:"20"`
		Again       []string           `json:"again,omitempty" maxItems:"200" nullable:"false" doc:"Campaigns that get a budget again though a person has deleted their planned one; others among them mean nothing." example:"[\"q4-outreach\"]"`
		Mode        string             `json:"mode,omitempty" enum:"alert,soft,hard" doc:"How firmly the budgets hold; default: BURSAR_BUDGETS_PLAN_MODE, soft." example:"soft"`
		Reason      string             `json:"reason,omitempty" maxLength:"500" doc:"Why, for the audit log." example:"plan of November"`
		DryRun      bool               `json:"dry_run,omitempty" doc:"Show what would be done, and do nothing." example:"false"`
	}
}

// Resolve checks what no single parameter's schema can say.
func (in *applyPlanInput) Resolve(ctx huma.Context) []error { return checkQueryOf(ctx) }

// planOutcome is the data of POST /api/budget-plan/apply.
type planOutcome struct {
	DryRun  bool                    `json:"dry_run" doc:"Nothing was done." example:"false"`
	Made    bool                    `json:"made" doc:"false: it was applied before, or this is a dry run." example:"true"`
	Plan    accounting.BudgetPlan   `json:"plan" doc:"The plan, and what it does to the budgets as they were."`
	Applied *accounting.AppliedPlan `json:"applied" doc:"The plan in force; null in a dry run."`
}

// application reads what somebody wrote.
func (in *applyPlanInput) application(ctx context.Context, now time.Time, mode accounting.Mode) (r accounting.PlanRequest, a accounting.PlanApplication, dry bool, err error) {
	r = accounting.PlanRequest{Month: accounting.MonthOf(now)}
	a = accounting.PlanApplication{Mode: cmp.Or(mode, accounting.ModeSoft), Actor: actorOf(ctx)}
	b := in.Body
	if b == nil {
		return r, a, in.DryRun, nil
	}
	wrong := readPlanTerms(&r, b.Amount, b.Split, b.StepPercent)
	if clean, changed := accounting.CleanTag(b.ID); changed || clean != b.ID || len(b.ID) > accounting.MaxPlanRequestID {
		wrong = append(wrong, fieldError{Field: "id", Value: shown(b.ID), Message: "expected printable text without white space around it", Allowed: fmt.Sprintf("at most %d bytes", accounting.MaxPlanRequestID)})
	}
	wrong = append(wrong, checkReason(b.Reason, false)...)
	for i, campaign := range b.Again {
		if clean, changed := accounting.CleanTag(campaign); changed || clean == "" {
			wrong = append(wrong, fieldError{Field: fmt.Sprintf("again[%d]", i), Value: shown(campaign), Message: "expected the id of a campaign", Allowed: fmt.Sprintf("1 to %d bytes of printable text", accounting.MaxTagBytes)})
		}
	}
	r.Again = b.Again
	a.ID, a.Reason, a.Mode = b.ID, b.Reason, cmp.Or(accounting.Mode(b.Mode), a.Mode)
	return r, a, in.DryRun || b.DryRun, problemIf(wrong)
}

// applyPlan answers POST /api/budget-plan/apply.
func (e *economics) applyPlan(ctx context.Context, in *applyPlanInput) (*answer[planOutcome], error) {
	now := e.Now().UTC()
	r, application, dry, err := in.application(ctx, now, e.Plans.Mode)
	if err != nil {
		return nil, err
	}
	writing, cancel := context.WithTimeout(ctx, budgetWriteTimeout)
	defer cancel()
	plan, err := e.plan(writing, r, now)
	if err != nil {
		return nil, uncounted(ctx, writing, err)
	}
	if len(plan.Rows) == 0 {
		return nil, newProblem(http.StatusConflict, "%s A rollback takes limits away.", plan.Note)
	}
	if dry {
		return answered(planOutcome{DryRun: true, Plan: plan}), nil
	}
	applied, made, err := e.Plans.Plans.ApplyBudgetPlan(writing, plan, application, now)
	if err != nil {
		return nil, uncounted(ctx, writing, err)
	}
	return answered(planOutcome{Made: made, Plan: plan, Applied: &applied}), nil
}
