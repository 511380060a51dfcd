package admin

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// BudgetOptions are what the routes of budgets, decisions, stops and alerts
// stand on.
type BudgetOptions struct {
	Store BudgetStore // required

	// Guard obeys an emergency stop before the database knows of it. nil: a
	// stop holds once it is written, and cannot be given without the database.
	Guard LocalStops

	// Tester sends test alerts. nil: POST /api/alerts/test does not exist.
	Tester AlertTester

	// Purposes are those that a call can have: the standard ones and those of
	// the configuration.
	Purposes []string

	// KeyLabels are the fingerprints of keys that have a label, by label.
	KeyLabels map[string]string
}

// BudgetStore is everything that the routes ask of the database.
type BudgetStore interface {
	Budgets
	BudgetFigures
	BudgetDecisions
	Stops
	Leases
	Alerts
}

// Budgets makes and changes budgets. Each method writes its entry of the audit
// log in the transaction of the change, is called concurrently, and returns
// when ctx ends. A budget that is not there is [accounting.ErrUnknownBudget].
type Budgets interface {
	// CreateBudget makes a budget, and its id from the name where b has none.
	CreateBudget(ctx context.Context, b accounting.Budget, actor string) (accounting.Budget, error)
	// ChangeBudget changes one and returns it as it is afterwards.
	ChangeBudget(ctx context.Context, id string, c accounting.BudgetChange, actor string, now time.Time) (accounting.Budget, error)
	// DeleteBudget ends one. What was decided by it stays.
	DeleteBudget(ctx context.Context, id, actor, reason string) error
}

// BudgetFigures reads budgets and how they stand. It is called concurrently and
// must return when ctx ends.
type BudgetFigures interface {
	ListBudgets(ctx context.Context) ([]accounting.Budget, error)
	// FindBudget returns one; if it is not there, [accounting.ErrUnknownBudget].
	FindBudget(ctx context.Context, id string) (accounting.Budget, error)
	// BudgetStatuses says how budgets stand at now: the one with that id, or
	// all. Of a divided budget these are the values with the highest share, at
	// most limit.
	BudgetStatuses(ctx context.Context, id string, now time.Time, limit int) ([]accounting.BudgetStatus, error)
}

var budgetErrors = []int{
	http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity,
	http.StatusInternalServerError, http.StatusServiceUnavailable,
}

var listBudgetsOperation = huma.Operation{
	OperationID:                  "list-budgets",
	Method:                       http.MethodGet,
	Path:                         "/api/budgets",
	Summary:                      "All budgets",
	Description:                  "Every budget that is not deleted, disabled ones included. How they stand: GET /api/budgets/status.",
	Tags:                         []string{"budgets"},
	Security:                     needsToken,
	Errors:                       withoutNotFound(budgetErrors),
	RejectUnknownQueryParameters: true,
}

var budgetStatusOperation = huma.Operation{
	OperationID: "budget-status",
	Method:      http.MethodGet,
	Path:        "/api/budgets/status",
	Summary:     "How budgets stand",
	Description: "Limit, settled, reserved, estimated, leased and remaining money of each budget in its present period, in the budget's currency, " +
		"how fast it is spent, when it will be used up at that rate, and when it resets. " +
		"A budget that is divided (each) has a row for each value of its tag that has spent or reserved something, the highest share first, at most limit of them.",
	Tags:                         []string{"budgets"},
	Security:                     needsToken,
	Errors:                       budgetErrors,
	RejectUnknownQueryParameters: true, // a misspelt filter must not list everything
}

var findBudgetOperation = huma.Operation{
	OperationID: "find-budget",
	Method:      http.MethodGet,
	Path:        "/api/budgets/{id}",
	Summary:     "One budget and how it stands",
	Description: "The budget, and how it stands in its present period. " +
		"Of a budget that is divided (each) these are the values with the highest share of the limit.",
	Tags:                         []string{"budgets"},
	Security:                     needsToken,
	Errors:                       budgetErrors,
	RejectUnknownQueryParameters: true,
}

// budgetRoutes registers the routes, where there is something behind them.
func (h *Handler) budgetRoutes(api huma.API) {
	if h.budgets == nil {
		return
	}
	doc := api.OpenAPI()
	doc.Tags = append(doc.Tags,
		&huma.Tag{Name: "budgets", Description: "What calls may cost, and what they have."},
		&huma.Tag{Name: "guard", Description: "What was decided about calls, and the emergency stop."},
		&huma.Tag{Name: "alerts", Description: "What a person should know."})
	huma.Register(api, listBudgetsOperation, operation(h.listBudgets))
	huma.Register(api, budgetStatusOperation, operation(h.budgetStatus))
	huma.Register(api, findBudgetOperation, operation(h.findBudget))
	huma.Register(api, createBudgetOperation, operation(h.createBudget))
	huma.Register(api, changeBudgetOperation, operation(h.changeBudget))
	huma.Register(api, deleteBudgetOperation, operation(h.deleteBudget))
	h.leaseRoutes(api)
	h.decisionRoutes(api)
	h.stopRoutes(api)
	h.alertRoutes(api)
	describeBudgets(api)
}

type noInput struct{}

type budgetsOutput struct {
	Body envelope[budgetList]
}

// budgetList is the data of GET /api/budgets.
type budgetList struct {
	Budgets []accounting.Budget `json:"budgets" nullable:"false" doc:"By id."`
}

// listBudgets answers GET /api/budgets.
func (h *Handler) listBudgets(ctx context.Context, _ *noInput) (*budgetsOutput, error) {
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	list, err := h.budgets.Store.ListBudgets(limited)
	if err != nil {
		return nil, lateOr(ctx, limited, err)
	}
	list = orEmpty(list)
	for i := range list {
		list[i] = tidy(list[i])
	}
	return &budgetsOutput{envelope[budgetList]{Success: true, Data: budgetList{Budgets: list}}}, nil
}

// budgetStatusInput is the query of GET /api/budgets/status.
type budgetStatusInput struct {
	ID    string `query:"id" maxLength:"100" doc:"This budget only." example:"monthly-ai"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"10" doc:"Values of each divided budget, the highest share first." example:"10"`
}

// Resolve checks what no single parameter's schema can say.
func (in *budgetStatusInput) Resolve(ctx huma.Context) []error { return checkQueryOf(ctx) }

type budgetStatusOutput struct {
	Body envelope[budgetStatusList]
}

// budgetStatusList is the data of GET /api/budgets/status.
type budgetStatusList struct {
	At     time.Time                 `json:"at" doc:"The moment of which this is true."`
	Status []accounting.BudgetStatus `json:"status" nullable:"false" doc:"By budget; the values of a divided one with the highest share first."`
}

// budgetStatus answers GET /api/budgets/status.
func (h *Handler) budgetStatus(ctx context.Context, in *budgetStatusInput) (*budgetStatusOutput, error) {
	now := time.Now().UTC()
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	list, err := h.budgets.Store.BudgetStatuses(limited, in.ID, now, in.Limit)
	if err == nil && in.ID != "" && len(list) == 0 {
		// Of a divided budget nobody may have spent anything yet.
		_, err = h.budgets.Store.FindBudget(limited, in.ID)
	}
	if err != nil {
		return nil, budgetProblem(in.ID, lateOr(ctx, limited, err))
	}
	list = orEmpty(list)
	for i := range list {
		list[i].Budget = tidy(list[i].Budget)
	}
	return &budgetStatusOutput{envelope[budgetStatusList]{Success: true, Data: budgetStatusList{At: now, Status: list}}}, nil
}

// budgetInput names a budget in the path.
type budgetInput struct {
	ID    string `path:"id" maxLength:"100" doc:"The budget." example:"monthly-ai"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"10" doc:"Values of a divided budget, the highest share first." example:"10"`
}

// Resolve checks what no single parameter's schema can say.
func (in *budgetInput) Resolve(ctx huma.Context) []error { return checkQueryOf(ctx) }

type budgetDetailOutput struct {
	Body envelope[budgetDetail]
}

// budgetDetail is the data of GET /api/budgets/{id}.
type budgetDetail struct {
	accounting.Budget
	Status []budgetStanding `json:"status" nullable:"false" doc:"How it stands in its present period; of a divided budget the values with the highest share."`
}

// budgetStanding is an [accounting.BudgetStatus] beside its budget, which it
// does not repeat.
type budgetStanding struct {
	Budget      accounting.Budget  `json:"-"`
	EachValue   string             `json:"each_value"`
	PeriodStart time.Time          `json:"period_start"`
	ResetsAt    *time.Time         `json:"resets_at"`
	Limit       accounting.Amount  `json:"limit"`
	Settled     accounting.Amount  `json:"settled"`
	Reserved    accounting.Amount  `json:"reserved"`
	Estimated   accounting.Amount  `json:"estimated"`
	Leased      accounting.Amount  `json:"leased"`
	Overshoot   accounting.Amount  `json:"overshoot"`
	Remaining   accounting.Amount  `json:"remaining"`
	Percent     *accounting.Amount `json:"percent"`
	BurnRate    *accounting.Amount `json:"burn_rate"`
	RunsOutAt   *time.Time         `json:"runs_out_at"`
	State       string             `json:"state"`
}

// findBudget answers GET /api/budgets/{id}.
func (h *Handler) findBudget(ctx context.Context, in *budgetInput) (*budgetDetailOutput, error) {
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	budget, err := h.budgets.Store.FindBudget(limited, in.ID)
	if err != nil {
		return nil, budgetProblem(in.ID, lateOr(ctx, limited, err))
	}
	list, err := h.budgets.Store.BudgetStatuses(limited, in.ID, time.Now().UTC(), in.Limit)
	if err != nil {
		return nil, budgetProblem(in.ID, lateOr(ctx, limited, err))
	}
	detail := budgetDetail{Budget: tidy(budget), Status: make([]budgetStanding, len(list))}
	for i := range list {
		detail.Status[i] = budgetStanding(list[i])
	}
	return &budgetDetailOutput{envelope[budgetDetail]{Success: true, Data: detail}}, nil
}

// budgetProblem is what is told of the store's answer about a budget.
func budgetProblem(id string, err error) error {
	if errors.Is(err, accounting.ErrUnknownBudget) {
		return newProblem(http.StatusNotFound, "There is no budget %s. GET /api/budgets lists those there are.", shown(id))
	}
	return err
}

// checkQueryOf is checkQuery of a request.
func checkQueryOf(ctx huma.Context) []error {
	address := ctx.URL()
	return checkQuery(address.RawQuery)
}

// orEmpty is list, which JSON must not show as null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// withoutNotFound is statuses but for 404.
func withoutNotFound(statuses []int) []int {
	var rest []int
	for _, s := range statuses {
		if s != http.StatusNotFound {
			rest = append(rest, s)
		}
	}
	return rest
}

// describeBudgets describes the domain's types of budgets.
func describeBudgets(api huma.API) {
	for t, descriptions := range map[reflect.Type]map[string]string{
		reflect.TypeFor[accounting.Budget]():        budgetColumns,
		reflect.TypeFor[accounting.Scope]():         scopeColumns,
		reflect.TypeFor[accounting.BudgetStatus]():  budgetStatusColumns,
		reflect.TypeFor[accounting.DecisionRow]():   decisionColumns,
		reflect.TypeFor[accounting.DecisionShare](): decisionShareColumns,
		reflect.TypeFor[accounting.LeaseRow]():      leaseColumns,
		reflect.TypeFor[accounting.StopReach]():     stopReachColumns,
		reflect.TypeFor[accounting.Alert]():         alertColumns,
		reflect.TypeFor[accounting.AlertDelivery](): deliveryColumns,
		reflect.TypeFor[budgetStanding]():           budgetStatusColumns,
	} {
		describeType(api, t, descriptions)
	}
	schemas := api.OpenAPI().Components.Schemas.Map()
	describeProperties(schemas["BudgetDetail"], reflect.TypeFor[accounting.Budget](), budgetColumns)
	describeProperties(schemas["StopView"], reflect.TypeFor[accounting.Stop](), stopColumns)
	for name, values := range map[string][]any{
		"each": {"", "lead_id", "email_id", "campaign_id"}, "period": {"day", "week", "month", "total"}, "currency": {"USD", "EUR"},
		"mode": {"alert", "soft", "hard"}, "on_exceed": {"block", "downgrade", "warn"}, "bound": {"computed", "provider"},
	} {
		for _, schema := range []string{"Budget", "BudgetDetail"} {
			schemas[schema].Properties[name].Enum = values
		}
	}
	end := schemas["ChangeBudgetInputBody"].Properties["ends_at"]
	end.Type, end.Format, end.Nullable = huma.TypeString, "date-time", true
	end.Examples = []any{"2027-01-01T00:00:00Z"}
	decision := schemas["Explanation"].Properties["decision"]
	decision.AnyOf, decision.Ref = []*huma.Schema{{Ref: decision.Ref}, {Type: "null"}}, ""
	schemas["Alert"].Properties["data"].Type = huma.TypeObject
	schemas["Alert"].Properties["data"].AdditionalProperties = true
}
