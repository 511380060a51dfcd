package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// FixedCosts keeps what a month costs whatever is sent. It is called
// concurrently and must return when ctx ends.
type FixedCosts interface {
	FixedCosts(ctx context.Context) (accounting.FixedCostBook, error)
	// PutFixedCost stores an entry in the name of by, in place of the one with
	// its name and month, and writes its entry of the audit log. Open months
	// follow. One too many is [accounting.ErrTooManyFixedCosts].
	PutFixedCost(ctx context.Context, c accounting.DatedFixedCost, by string) error
	// DeleteFixedCost takes an entry away, likewise. One that is not there is
	// [accounting.ErrUnknownFixedCost].
	DeleteFixedCost(ctx context.Context, name string, from accounting.Month, by string) error
}

const fixedCostsRule = "An entry holds from its month on, until the next entry of its name; before the first one the configuration holds (MONTHLY_INSTANTLY_COST, MONTHLY_WORKSPACE_COST). " +
	"An amount of 0 ends a cost. With a platform it is split over that platform's emails only. Open months follow at once, closed ones keep their figures. "

var listFixedCostsOperation = huma.Operation{
	OperationID: "list-fixed-costs", Method: http.MethodGet, Path: "/api/fixed-costs",
	Summary:     "What a month costs whatever is sent",
	Description: "Every entry, what the configuration says, and what holds in the present month. " + fixedCostsRule,
	Tags:        []string{"costs"}, Security: needsToken, Errors: economicsErrors, RejectUnknownQueryParameters: true,
}

var putFixedCostOperation = huma.Operation{
	OperationID: "put-fixed-cost", Method: http.MethodPut, Path: "/api/fixed-costs/{name}",
	Summary:     "Set what something costs a month",
	Description: "Stores an entry, in place of the one with its name and month. " + fixedCostsRule + "Audited.",
	Tags:        []string{"costs"}, Security: needsToken, MaxBodyBytes: 64 << 10,
	Errors: append([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusConflict, http.StatusRequestEntityTooLarge}, economicsErrors...),
}

var deleteFixedCostOperation = huma.Operation{
	OperationID: "delete-fixed-cost", Method: http.MethodDelete, Path: "/api/fixed-costs/{name}/{from}",
	Summary:     "Take an entry of a fixed cost away",
	Description: "What was dated before it holds again, as if it had never been; to end a cost, set 0 from a month on. Open months follow, closed ones keep their figures. Audited.",
	Tags:        []string{"costs"}, Security: needsToken, RejectUnknownQueryParameters: true,
	Errors: append([]int{http.StatusForbidden, http.StatusNotFound}, economicsErrors...),
}

// fixedCostColumns describes an [accounting.DatedFixedCost], and namedCostColumns
// an [accounting.NamedCost].
var (
	fixedCostColumns = map[string]string{
		"name": "What it is for.", "from": "From this month on, UTC.", "eur": "EUR a month; 0: it has ended.",
		"platform": "Whose subscription it is; null: everybody's.", "recorded_at": "When it was stored.",
	}
	namedCostColumns = map[string]string{
		"name": "What it is for.", "eur": "EUR a month.", "platform": "Whose subscription it is; null: everybody's.",
	}
)

// listFixedCosts answers GET /api/fixed-costs.
func (e *economics) listFixedCosts(ctx context.Context, _ *noInput) (*answer[accounting.FixedCostBook], error) {
	reading, cancel := limited(ctx)
	defer cancel()
	book, err := e.FixedCosts.FixedCosts(reading)
	if err != nil {
		return nil, err
	}
	return answered(book), nil
}

// putFixedCostInput is the request of PUT /api/fixed-costs/{name}.
type putFixedCostInput struct {
	Name string `path:"name" maxLength:"100" minLength:"1" doc:"What it is for." example:"heyreach"`
	Body struct {
		From     string            `json:"from,omitempty" maxLength:"7" doc:"From this month on, UTC; default: the present one." example:"2026-11"`
		EUR      accounting.Amount `json:"eur" doc:"EUR a month; 0 ends it." example:"79"`
		Platform string            `json:"platform,omitempty" maxLength:"200" doc:"Whose subscription it is, as in X-Platform; default: everybody's, but of instantly that platform's." example:"heyreach"`
	}
}

// maxMonthsAhead is how far ahead a fixed cost may be dated.
const maxMonthsAhead = 24

// entry checks what somebody wrote.
func (in *putFixedCostInput) entry(present accounting.Month) (accounting.DatedFixedCost, error) {
	c := accounting.DatedFixedCost{Name: in.Name, From: present, EUR: in.Body.EUR}
	var wrong []fieldError
	for _, text := range []struct{ name, value string }{{"name", in.Name}, {"platform", in.Body.Platform}} {
		if clean, changed := accounting.CleanTag(text.value); changed || clean != text.value {
			wrong = append(wrong, fieldError{Field: text.name, Value: shown(text.value), Message: "expected printable text without white space around it"})
		}
	}
	if in.Body.From != "" {
		month, bad := fixedCostMonth(in.Body.From)
		c.From, wrong = month, append(wrong, bad...)
		if ahead := (month.Year-present.Year)*12 + int(month.Month-present.Month); len(bad) == 0 && ahead > maxMonthsAhead {
			wrong = append(wrong, fieldError{Field: "from", Value: in.Body.From, Message: fmt.Sprintf("expected a month at most %d months ahead", maxMonthsAhead)})
		}
	}
	if in.Body.EUR.IsNegative() || in.Body.EUR.GreaterThan(decimal.NewFromInt(accounting.MaxFixedCostEUR)) || in.Body.EUR.Exponent() < -10 {
		wrong = append(wrong, fieldError{Field: "eur", Value: shownAmount(&in.Body.EUR), Message: "expected an amount of EUR a month",
			Allowed: fmt.Sprintf("0 to %d, with at most 10 decimals", accounting.MaxFixedCostEUR)})
	}
	if len(wrong) > 0 {
		return c, invalid(wrong...)
	}
	switch {
	case in.Body.Platform != "":
		c.Platform = &in.Body.Platform
	case c.Name == accounting.FixedInstantly:
		platform := accounting.PlatformInstantly
		c.Platform = &platform
	}
	return c, nil
}

// fixedCostMonth reads a month since the euro.
func fixedCostMonth(value string) (accounting.Month, []fieldError) {
	month, err := accounting.ParseMonth(value)
	if err != nil || month.Before(accounting.MonthOf(accounting.EarliestRate.Start())) {
		return month, []fieldError{{Field: "from", Value: shown(value), Message: "expected a month", Allowed: "a month such as 2026-11, since 1999-01"}}
	}
	return month, nil
}

// putFixedCost answers PUT /api/fixed-costs/{name}.
func (e *economics) putFixedCost(ctx context.Context, in *putFixedCostInput) (*answer[accounting.FixedCostBook], error) {
	c, err := in.entry(accounting.MonthOf(e.Now()))
	if err != nil {
		return nil, err
	}
	writing, cancel := limited(ctx)
	defer cancel()
	err = e.FixedCosts.PutFixedCost(writing, c, actorOf(ctx))
	e.dashboard.drop() // an error does not say that nothing was written
	if errors.Is(err, accounting.ErrTooManyFixedCosts) {
		return nil, newProblem(http.StatusConflict, "There are %d entries of fixed costs, which is the most there can be: delete one that is of no use.", accounting.MaxFixedCosts)
	}
	if err != nil {
		return nil, err
	}
	return e.listFixedCosts(ctx, nil)
}

// deleteFixedCostInput names an entry in the path.
type deleteFixedCostInput struct {
	Name string `path:"name" maxLength:"100" minLength:"1" doc:"What it is for." example:"heyreach"`
	From string `path:"from" maxLength:"7" doc:"The entry's month." example:"2026-11"`
}

// deleteFixedCost answers DELETE /api/fixed-costs/{name}/{from}.
func (e *economics) deleteFixedCost(ctx context.Context, in *deleteFixedCostInput) (*answer[accounting.FixedCostBook], error) {
	from, wrong := fixedCostMonth(in.From)
	if len(wrong) > 0 {
		return nil, invalid(wrong...)
	}
	writing, cancel := limited(ctx)
	defer cancel()
	err := e.FixedCosts.DeleteFixedCost(writing, in.Name, from, actorOf(ctx))
	e.dashboard.drop()
	if errors.Is(err, accounting.ErrUnknownFixedCost) {
		return nil, newProblem(http.StatusNotFound, "There is no entry of %s from %s on.", shown(in.Name), from)
	}
	if err != nil {
		return nil, err
	}
	return e.listFixedCosts(ctx, nil)
}
