package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// budgetsPath is where budgets are.
const budgetsPath = "/api/budgets"

const (
	// maxBudgetBytes bounds the body of a budget.
	maxBudgetBytes = 32 << 10
	// budgetWriteTimeout bounds a change, which may have to count the calls of
	// a month, below the server's WriteTimeout so that it can be answered.
	budgetWriteTimeout = 50 * time.Second
)

var createBudgetOperation = huma.Operation{
	OperationID: "create-budget",
	Method:      http.MethodPost,
	Path:        budgetsPath,
	Summary:     "Make a budget",
	Description: "Limits what calls of a scope may cost in a period. It holds on every replica within about a second, " +
		"and counts the calls of the present period that are recorded already. Audited. " +
		"409 if there is or was a budget with that id.",
	Tags:          []string{"budgets"},
	Security:      needsToken,
	DefaultStatus: http.StatusCreated,
	MaxBodyBytes:  maxBudgetBytes,
	Errors:        append([]int{http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge}, withoutNotFound(budgetErrors)...),
}

// createBudgetInput is the request of POST /api/budgets.
type createBudgetInput struct {
	Body budgetBody
}

// budgetBody is a budget as it is sent.
type budgetBody struct {
	ID                   *string           `json:"id,omitempty" maxLength:"80" nullable:"true" doc:"Lower-case letters, digits and dashes. Absent: made from name." example:"q4-outreach"`
	Name                 string            `json:"name" minLength:"1" maxLength:"200" doc:"Name for people." example:"Q4 outreach"`
	Scope                *scopeBody        `json:"scope,omitempty" doc:"Calls that have all of these count. Absent or empty: every call."`
	Each                 *string           `json:"each,omitempty" nullable:"true" doc:"lead_id, email_id or campaign_id: every value of this tag has the limit to itself. Absent, null or empty: all calls share it." example:"lead_id"`
	Period               string            `json:"period" enum:"day,week,month,total" doc:"How long the limit lasts." example:"month"`
	Timezone             string            `json:"timezone,omitempty" maxLength:"100" default:"UTC" doc:"IANA name of the time zone in which days, weeks and months begin." example:"Europe/Berlin"`
	StartsAt             *time.Time        `json:"starts_at,omitempty" nullable:"true" doc:"Calls that start earlier are outside." example:"2026-11-01T00:00:00Z"`
	EndsAt               *time.Time        `json:"ends_at,omitempty" nullable:"true" doc:"Calls that start then or later are outside." example:"2027-01-01T00:00:00Z"`
	Limit                accounting.Amount `json:"limit" doc:"What calls may cost in a period, in currency." example:"12.5"`
	Currency             string            `json:"currency,omitempty" enum:"USD,EUR" default:"USD" doc:"Of every amount of the budget." example:"USD"`
	Mode                 string            `json:"mode" enum:"alert,soft,hard" doc:"How firmly it holds." example:"hard"`
	Thresholds           []int             `json:"thresholds,omitempty" maxItems:"20" doc:"Percent of the limit at which an alert is made. Absent: 50, 75, 90, 100." example:"[50,75,90,100]"`
	OnExceed             string            `json:"on_exceed,omitempty" enum:"block,downgrade,warn" default:"block" doc:"What a soft or hard budget does with a call that does not fit." example:"block"`
	DowngradeTo          *string           `json:"downgrade_to,omitempty" maxLength:"200" nullable:"true" doc:"The model of on_exceed downgrade." example:"openai/gpt-5-mini"`
	EssentialPurposes    []string          `json:"essential_purposes,omitempty" maxItems:"100" doc:"Purposes that a soft budget never refuses and for which a hard one keeps essential_share." example:"reply_handling"`
	NonessentialPurposes []string          `json:"nonessential_purposes,omitempty" maxItems:"100" doc:"The same from the other side; only where essential_purposes is empty." example:"testing,research"`
	EssentialShare       accounting.Amount `json:"essential_share,omitempty" doc:"Of the limit of a hard budget, 0 to 1: what only essential calls may use." example:"0.2"`
	Bound                string            `json:"bound,omitempty" enum:"computed,provider" default:"computed" doc:"Of a hard budget: who sees to it that a call costs no more than was reserved." example:"computed"`
	Enabled              *bool             `json:"enabled,omitempty" doc:"Absent: true." example:"true"`
}

type createdBudgetOutput struct {
	Location string `header:"Location" doc:"Address of the budget."`
	Body     envelope[accounting.Budget]
}

// createBudget answers POST /api/budgets.
func (h *Handler) createBudget(ctx context.Context, in *createBudgetInput) (*createdBudgetOutput, error) {
	budget, wrong := in.Body.budget(h.budgets.Purposes, h.budgets.KeyLabels)
	wrong = append(wrong, reservedID(budget)...)
	wrong = append(wrong, checkBudget(budget, h.budgets.Purposes)...)
	if err := problemIf(wrong); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, budgetWriteTimeout)
	defer cancel()
	made, err := h.budgets.Store.CreateBudget(limited, budget, actorOf(ctx))
	if errors.Is(err, accounting.ErrBudgetExists) {
		return nil, newProblem(http.StatusConflict, "There is, or was, a budget %s. Choose another id, or leave it out: it is made from the name.", shown(budget.ID))
	}
	if err != nil {
		return nil, uncounted(ctx, limited, err)
	}
	return &createdBudgetOutput{
		Location: budgetsPath + "/" + made.ID,
		Body:     envelope[accounting.Budget]{Success: true, Data: tidy(made)},
	}, nil
}

// uncounted is err, or that the time limit was the reason.
func uncounted(ctx, limited context.Context, err error) error {
	if limited.Err() == nil || ctx.Err() != nil {
		return err
	}
	return newProblem(http.StatusServiceUnavailable, "The calls that count could not be summed up within %s, so that nothing was changed. "+
		"Try again when less is going on; a budget with a shorter period, or of a campaign, has fewer calls to count.", budgetWriteTimeout)
}

// budget is the body as the domain knows it, and what is wrong with its scope.
func (b *budgetBody) budget(purposes []string, labels map[string]string) (accounting.Budget, []fieldError) {
	scope, wrong := b.Scope.scope(purposes, labels)
	return accounting.NormalizeBudget(accounting.Budget{
		ID: deref(b.ID), Name: b.Name, Scope: scope, Each: accounting.Each(deref(b.Each)),
		Period: accounting.Period(b.Period), Timezone: b.Timezone, StartsAt: b.StartsAt, EndsAt: b.EndsAt,
		Limit: b.Limit, Currency: accounting.Currency(b.Currency), Mode: accounting.Mode(b.Mode),
		Thresholds: b.Thresholds, Enabled: b.Enabled == nil || *b.Enabled,
		OnExceed: accounting.OnExceed(b.OnExceed), DowngradeTo: deref(b.DowngradeTo),
		EssentialPurposes: b.EssentialPurposes, NonessentialPurposes: b.NonessentialPurposes,
		EssentialShare: b.EssentialShare, Bound: accounting.BoundBy(b.Bound), Origin: "api",
	}), wrong
}

// reservedID finds an id, or a name that would become one, at whose address
// something else is.
func reservedID(b accounting.Budget) []fieldError {
	id := cmp.Or(b.ID, accounting.BudgetSlug(b.Name))
	if id != "status" && id != "leases" {
		return nil
	}
	return []fieldError{{Field: "id", Value: id, Message: "is the address of something else, " + budgetsPath + "/" + id, Allowed: "another id, such as " + id + "-budget"}}
}

// checkBudget finds everything that is wrong with a budget but for its scope.
func checkBudget(b accounting.Budget, purposes []string) []fieldError {
	var wrong []fieldError
	for _, f := range wrongFields(b.Validate(purposes)) {
		if !strings.HasPrefix(f.Field, "scope.") { // told already, where it was read
			wrong = append(wrong, f)
		}
	}
	return wrong
}

// tidy is a budget with lists in place of null.
func tidy(b accounting.Budget) accounting.Budget {
	b.Thresholds = orEmpty(b.Thresholds)
	b.EssentialPurposes, b.NonessentialPurposes = orEmpty(b.EssentialPurposes), orEmpty(b.NonessentialPurposes)
	return b
}

// deref is what p points to, or nothing.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
