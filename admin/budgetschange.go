package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

var changeBudgetOperation = huma.Operation{
	OperationID: "change-budget",
	Method:      http.MethodPatch,
	Path:        budgetsPath + "/{id}",
	Summary:     "Change a budget",
	Description: "Changes what is sent and leaves the rest. It holds on every replica within about a second; a new limit counts for the present period, and arms its thresholds again. " +
		"A limit below what is spent or reserved already stops new calls and takes nothing back. " +
		"What decides which calls count, and when (scope, each, period, timezone, currency, starts_at), cannot be changed: make another budget and delete this one. Audited.",
	Tags:         []string{"budgets"},
	Security:     needsToken,
	MaxBodyBytes: maxBudgetBytes,
	Errors:       append([]int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, budgetErrors...),
}

var deleteBudgetOperation = huma.Operation{
	OperationID: "delete-budget",
	Method:      http.MethodDelete,
	Path:        budgetsPath + "/{id}",
	Summary:     "Delete a budget",
	Description: "Ends a budget: no new call is charged to it. Calls in flight are settled as ever, and what was decided by it can still be explained. " +
		"Its id is not used again. One that a budget plan has made is not planned again until again of POST /api/budget-plan/apply names its campaign. Audited.",
	Tags:                         []string{"budgets"},
	Security:                     needsToken,
	Errors:                       budgetErrors,
	RejectUnknownQueryParameters: true,
}

// changeBudgetInput is the request of PATCH /api/budgets/{id}.
type changeBudgetInput struct {
	ID   string `path:"id" maxLength:"100" doc:"The budget." example:"q4-outreach"`
	Body struct {
		Name                 *string            `json:"name,omitempty" minLength:"1" maxLength:"200" doc:"Name for people." example:"Q4 outreach"`
		Limit                *accounting.Amount `json:"limit,omitempty" doc:"What calls may cost in a period, in the budget's currency." example:"20"`
		Mode                 *string            `json:"mode,omitempty" enum:"alert,soft,hard" doc:"How firmly it holds." example:"soft"`
		Thresholds           *[]int             `json:"thresholds,omitempty" maxItems:"20" doc:"Percent of the limit at which an alert is made." example:"[80,100]"`
		OnExceed             *string            `json:"on_exceed,omitempty" enum:"block,downgrade,warn" doc:"What a soft or hard budget does with a call that does not fit." example:"downgrade"`
		DowngradeTo          *string            `json:"downgrade_to,omitempty" maxLength:"200" doc:"The model of on_exceed downgrade; empty: none." example:"openai/gpt-5-mini"`
		EssentialPurposes    *[]string          `json:"essential_purposes,omitempty" maxItems:"100" doc:"Purposes that are protected." example:"reply_handling"`
		NonessentialPurposes *[]string          `json:"nonessential_purposes,omitempty" maxItems:"100" doc:"Purposes that are not protected." example:"testing,research"`
		EssentialShare       *accounting.Amount `json:"essential_share,omitempty" doc:"Of the limit of a hard budget, 0 to 1." example:"0.2"`
		Bound                *string            `json:"bound,omitempty" enum:"computed,provider" doc:"Who sees to it that a call costs no more than was reserved." example:"provider"`
		EndsAt               json.RawMessage    `json:"ends_at,omitempty" doc:"Calls that start then or later are outside; null: no end."`
		Enabled              *bool              `json:"enabled,omitempty" doc:"false: the budget counts, but neither acts nor alerts." example:"true"`

		// What cannot be changed, so that the answer can say so.
		ID       json.RawMessage `json:"id,omitempty" hidden:"true"`
		Scope    json.RawMessage `json:"scope,omitempty" hidden:"true"`
		Each     json.RawMessage `json:"each,omitempty" hidden:"true"`
		Period   json.RawMessage `json:"period,omitempty" hidden:"true"`
		Timezone json.RawMessage `json:"timezone,omitempty" hidden:"true"`
		Currency json.RawMessage `json:"currency,omitempty" hidden:"true"`
		StartsAt json.RawMessage `json:"starts_at,omitempty" hidden:"true"`
	}
}

type budgetOutput struct {
	Body envelope[accounting.Budget]
}

// changeBudget answers PATCH /api/budgets/{id}.
func (h *Handler) changeBudget(ctx context.Context, in *changeBudgetInput) (*budgetOutput, error) {
	change, wrong := in.change()
	if err := problemIf(wrong); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, budgetWriteTimeout)
	defer cancel()
	before, err := h.budgets.Store.FindBudget(limited, in.ID)
	if err != nil {
		return nil, budgetProblem(in.ID, uncounted(ctx, limited, err))
	}
	// The purposes that are configured may have changed since it was made:
	// only those that are sent now are checked against them.
	purposes := h.budgets.Purposes
	if change.EssentialPurposes == nil && change.NonessentialPurposes == nil {
		purposes = nil
	}
	if err := problemIf(checkBudget(accounting.NormalizeBudget(change.Apply(before)), purposes)); err != nil {
		return nil, err
	}
	after, err := h.budgets.Store.ChangeBudget(limited, in.ID, change, actorOf(ctx), time.Now().UTC())
	if err != nil {
		return nil, budgetProblem(in.ID, uncounted(ctx, limited, err))
	}
	return &budgetOutput{envelope[accounting.Budget]{Success: true, Data: tidy(after)}}, nil
}

// change is the body as the domain knows it, and what is wrong with it.
func (in *changeBudgetInput) change() (accounting.BudgetChange, []fieldError) {
	b := &in.Body
	change := accounting.BudgetChange{
		Name: b.Name, Limit: amountIn(b.Limit), Mode: as[accounting.Mode](b.Mode), Thresholds: b.Thresholds,
		OnExceed: as[accounting.OnExceed](b.OnExceed), DowngradeTo: b.DowngradeTo,
		EssentialPurposes: b.EssentialPurposes, NonessentialPurposes: b.NonessentialPurposes,
		EssentialShare: amountIn(b.EssentialShare), Bound: as[accounting.BoundBy](b.Bound), Enabled: b.Enabled,
	}
	if b.OnExceed != nil && change.DowngradeTo == nil && *b.OnExceed != string(accounting.ExceedDowngrade) {
		change.DowngradeTo = new(string) // it has no meaning then
	}
	var wrong []fieldError
	for _, fixed := range []struct {
		field string
		sent  json.RawMessage
	}{{"id", b.ID}, {"scope", b.Scope}, {"each", b.Each}, {"period", b.Period}, {"timezone", b.Timezone}, {"currency", b.Currency}, {"starts_at", b.StartsAt}} {
		if fixed.sent != nil {
			wrong = append(wrong, fieldError{Field: fixed.field, Message: "cannot be changed, since what is counted so far would no longer be what it says",
				Allowed: "leave it out; for another " + fixed.field + " make another budget (POST " + budgetsPath + ") and delete this one"})
		}
	}
	if b.EndsAt != nil {
		var end *time.Time
		if err := json.Unmarshal(b.EndsAt, &end); err != nil {
			wrong = append(wrong, fieldError{Field: "ends_at", Value: shown(string(b.EndsAt)), Message: "expected a time, or null",
				Allowed: "a time by RFC 3339 such as 2026-11-22T10:00:00Z, or null for no end"})
		}
		change.EndsAt = &end
	}
	if len(wrong) == 0 && change == (accounting.BudgetChange{}) {
		wrong = []fieldError{{Field: "body", Message: "expected something to change", Allowed: "a JSON object with at least one of name, limit, mode, thresholds, on_exceed, downgrade_to, essential_purposes, nonessential_purposes, essential_share, bound, ends_at, enabled"}}
	}
	return change, wrong
}

// amountIn is an amount as a change holds it.
func amountIn(a *accounting.Amount) *decimal.Decimal {
	if a == nil {
		return nil
	}
	return &a.Decimal
}

// as is a word that was sent, as the domain's type for it.
func as[T ~string](word *string) *T {
	if word == nil {
		return nil
	}
	t := T(*word)
	return &t
}

// deleteBudgetInput is the request of DELETE /api/budgets/{id}.
type deleteBudgetInput struct {
	ID     string `path:"id" maxLength:"100" doc:"The budget." example:"q4-outreach"`
	Reason string `query:"reason" maxLength:"500" doc:"Why, for the audit log." example:"the campaign is over"`
}

// Resolve checks what no single parameter's schema can say.
func (in *deleteBudgetInput) Resolve(ctx huma.Context) []error { return checkQueryOf(ctx) }

type deletedOutput struct {
	Body envelope[deletedBudget]
}

// deletedBudget is the data of DELETE /api/budgets/{id}.
type deletedBudget struct {
	ID string `json:"id" doc:"The budget that was deleted." example:"q4-outreach"`
}

// deleteBudget answers DELETE /api/budgets/{id}.
func (h *Handler) deleteBudget(ctx context.Context, in *deleteBudgetInput) (*deletedOutput, error) {
	if err := problemIf(checkReason(in.Reason, false)); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, budgetWriteTimeout)
	defer cancel()
	if err := h.budgets.Store.DeleteBudget(limited, in.ID, actorOf(ctx), in.Reason); err != nil {
		return nil, budgetProblem(in.ID, uncounted(ctx, limited, err))
	}
	return &deletedOutput{envelope[deletedBudget]{Success: true, Data: deletedBudget{ID: in.ID}}}, nil
}
