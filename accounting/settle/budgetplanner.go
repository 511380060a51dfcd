package settle

import (
	"context"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// PlanFigures is what plans are made of. It is called concurrently and must
// return when ctx ends.
type PlanFigures interface {
	// Campaigns sums what campaigns have cost and brought on the days from from
	// to to, both included, the dearest first.
	Campaigns(ctx context.Context, from, to, wasteBefore accounting.Day, id *string, limit int) ([]accounting.CampaignSums, error)
	// FindBudget returns a budget; if it is not there,
	// [accounting.ErrUnknownBudget].
	FindBudget(ctx context.Context, id string) (accounting.Budget, error)
	// Months are the figures of the months from from to to, both included, also
	// of those that have not begun.
	Months(ctx context.Context, from, to accounting.Month) ([]accounting.MonthReport, error)
	// PlanBudgets are the budgets of one campaign alone.
	PlanBudgets(ctx context.Context, now time.Time) ([]accounting.PlanBudget, error)
}

// Planner makes budget plans from what campaigns have cost and brought.
type Planner struct {
	Figures PlanFigures
	Targets accounting.Targets
	Value   accounting.MeetingValue
	Models  accounting.PlanModels
	Split   accounting.PlanSplit // where nobody asks for another
	Step    decimal.Decimal      // percent a day, where nobody asks for another
}

// maxPlanCandidates are the campaigns that are looked at: those that take part
// may come after dearer ones that are over.
const maxPlanCandidates = 1000

// MakePlan makes the plan that is asked for, as it would be applied to the
// budgets of now. Without an amount in the request it is the limit of the budget
// monthly-ai; if that is deleted, [accounting.ErrUnknownBudget].
func (p *Planner) MakePlan(ctx context.Context, r accounting.PlanRequest, now time.Time) (accounting.BudgetPlan, error) {
	plan, err := p.plan(ctx, r, now)
	if err != nil {
		return plan, fmt.Errorf("plan budgets of %s: %w", r.Month, err)
	}
	return plan, nil
}

func (p *Planner) plan(ctx context.Context, r accounting.PlanRequest, now time.Time) (accounting.BudgetPlan, error) {
	terms := accounting.PlanTerms{Month: r.Month, Targets: p.Targets, Value: p.Value, Models: p.Models, Split: p.Split, Step: p.Step, Again: r.Again}
	terms.From, terms.To = accounting.PlanWindow(r.Month, now)
	if r.Split.Known {
		terms.Split = r.Split.Value
	}
	if r.Step.Known {
		terms.Step = r.Step.Value
	}
	terms.Amount = r.Amount.Value
	if !r.Amount.Known {
		var err error
		if terms.Amount, err = p.monthlyLimit(ctx, r.Month); err != nil {
			return accounting.BudgetPlan{}, err
		}
	}
	campaigns, err := p.Figures.Campaigns(ctx, terms.From, terms.To, terms.From, nil, maxPlanCandidates)
	if err != nil {
		return accounting.BudgetPlan{}, err
	}
	budgets, err := p.Figures.PlanBudgets(ctx, now)
	if err != nil {
		return accounting.BudgetPlan{}, err
	}
	plan := accounting.MakeBudgetPlan(&terms, campaigns)
	plan.Meet(budgets)
	return plan, nil
}

// monthlyLimit is the limit of the budget monthly-ai, EUR: of one in USD what
// that is at the month's rate, in whole cents and never more.
func (p *Planner) monthlyLimit(ctx context.Context, month accounting.Month) (decimal.Decimal, error) {
	b, err := p.Figures.FindBudget(ctx, accounting.BudgetMonthlyAI)
	if err != nil || b.Currency != accounting.USD {
		return b.Limit.Decimal, err
	}
	months, err := p.Figures.Months(ctx, month, month)
	if err != nil {
		return decimal.Decimal{}, err
	}
	return b.Limit.Mul(months[0].USDToEUR).Truncate(2), nil
}
