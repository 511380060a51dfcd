package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

var explainOperation = huma.Operation{
	OperationID: "explain-call",
	Method:      http.MethodGet,
	Path:        "/api/guard/explain/{id}",
	Summary:     "Why a call passed or was refused",
	Description: "In words, by the id that X-Bursar-Request-ID carried: what became of the call, and for every budget that applied what was left, what was reserved, why the call passed or not, when the budget resets, and what can be done. " +
		"A call to which no budget and no stop applied is told so. 404 if no such call is recorded: recording takes about a second.",
	Tags:     []string{"guard"},
	Security: needsToken,
	Errors:   budgetErrors,
}

type explainOutput struct {
	Body envelope[explanation]
}

// explanation is the data of GET /api/guard/explain/{id}.
type explanation struct {
	ID       accounting.RequestID     `json:"id" doc:"The call." example:"01a2b3c4-d5e6-7f80-9a1b-2c3d4e5f6071"`
	Verdict  accounting.BudgetVerdict `json:"verdict" enum:"allowed,warned,downgraded,blocked" doc:"What became of the call." example:"blocked"`
	Summary  string                   `json:"summary" doc:"Why, in a sentence or two."`
	WhatToDo string                   `json:"what_to_do" doc:"What helps; empty where nothing is amiss."`
	Budgets  []explainedBudget        `json:"budgets" nullable:"false" doc:"Every budget that applied, the one that decided first."`
	Decision *accounting.DecisionRow  `json:"decision" doc:"What was recorded; null: no budget and no stop applied."`
}

// explainedBudget is one budget's part, in words.
type explainedBudget struct {
	BudgetID    string                   `json:"budget_id" doc:"The budget." example:"q4-outreach"`
	Name        *string                  `json:"name" doc:"Name for people; null: the budget was deleted since." example:"Q4 outreach"`
	EachValue   string                   `json:"each_value" doc:"Value of the budget's tag; empty: it is not divided." example:"lead-42"`
	Verdict     accounting.BudgetVerdict `json:"verdict" enum:"allowed,warned,downgraded,blocked" doc:"What this budget alone would have done." example:"blocked"`
	PeriodStart *time.Time               `json:"period_start" doc:"Start of the period that the call counts in; null: it was refused before it came to that."`
	ResetsAt    *time.Time               `json:"resets_at" doc:"When that period ends; null: never, or the budget was deleted since."`
	Words       string                   `json:"words" doc:"What was left, what was reserved, and why the call passed or not."`
}

// explainCall answers GET /api/guard/explain/{id}.
func (h *Handler) explainCall(ctx context.Context, in *callInput) (*explainOutput, error) {
	id, err := callID(in.ID)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	row, err := h.budgets.Store.FindDecision(limited, id)
	if errors.Is(err, accounting.ErrUnknownCall) {
		return h.explainUndecided(ctx, id)
	}
	if err != nil {
		return nil, lateOr(ctx, limited, err)
	}
	budgets := map[string]accounting.Budget{}
	for _, share := range row.Budgets {
		budget, err := h.budgets.Store.FindBudget(limited, share.BudgetID)
		if errors.Is(err, accounting.ErrUnknownBudget) {
			continue // deleted since
		}
		if err != nil {
			return nil, lateOr(ctx, limited, err)
		}
		budgets[budget.ID] = budget
	}
	return &explainOutput{envelope[explanation]{Success: true, Data: explain(id, tidyDecision(row), budgets)}}, nil
}

// explainUndecided explains a call of which there is no decision.
func (h *Handler) explainUndecided(ctx context.Context, id accounting.RequestID) (*explainOutput, error) {
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	_, err := h.usage.FindUsage(limited, id)
	if errors.Is(err, accounting.ErrUnknownCall) {
		return nil, newProblem(http.StatusNotFound, "No call and no decision %s is recorded. Recording takes about a second, and longer while the database is away; "+
			"requests that cost nothing are not recorded; and of refusals that were merged the first %d ids are kept.", id, accounting.MaxMergedCalls+1)
	}
	if err != nil {
		return nil, lateOr(ctx, limited, err)
	}
	return &explainOutput{envelope[explanation]{Success: true, Data: explanation{
		ID: id, Verdict: accounting.VerdictAllowed, Budgets: []explainedBudget{},
		Summary: "No budget and no stop applied to this call, so that nothing was decided: it was sent as it came.",
	}}}, nil
}

// explain puts a decision into words. budgets are those of its budgets that
// there still are.
func explain(id accounting.RequestID, row accounting.DecisionRow, budgets map[string]accounting.Budget) explanation {
	e := explanation{ID: id, Verdict: row.Verdict, Decision: &row, Budgets: []explainedBudget{}}
	for i := range row.Budgets {
		share := &row.Budgets[i]
		budget, known := budgets[share.BudgetID]
		words := shareWords{row: &row, share: share, budget: budget, known: known}
		part := explainedBudget{
			BudgetID: share.BudgetID, EachValue: share.EachValue, Verdict: share.Verdict, Words: words.all(),
		}
		if !share.PeriodStart.IsZero() {
			part.PeriodStart = &share.PeriodStart
		}
		if known {
			part.Name, part.ResetsAt = &budget.Name, words.resetsAt()
		}
		e.Budgets = append(e.Budgets, part)
		if i == 0 {
			e.WhatToDo = words.advice()
		}
	}
	e.Summary = summaryOf(&row, id)
	if len(row.Budgets) == 0 {
		e.WhatToDo = adviceWithoutBudget(&row)
	}
	return e
}
