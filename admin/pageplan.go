package admin

import (
	"net/http"

	"golang.org/x/sync/errgroup"

	"bursar/accounting"
)

// planHistory is how many earlier plans the page shows.
const planHistory = 12

// planPage is the content of /budgets/plan.
type planPage struct {
	Plan    *accounting.BudgetPlan
	Applied []accounting.AppliedPlan // the newest first
	InForce *accounting.AppliedPlan  // nil: none is
	Amount  string                   // as it was asked for; empty: the monthly AI budget
}

// planPage answers GET /budgets/plan: the AI budget split over campaigns by what
// they return, and the plans that were applied.
func (h *Handler) planPage(w http.ResponseWriter, r *http.Request) error {
	if h.economics == nil || h.economics.Plans == nil {
		return nothingBehind("budget plans")
	}
	if errs := checkQuery(r.URL.RawQuery); len(errs) > 0 {
		return newProblem(http.StatusUnprocessableEntity, "The address is not one of this page's own. Start again at /budgets/plan.")
	}
	page := &planPage{Amount: r.URL.Query().Get("amount")}
	group, ctx := errgroup.WithContext(r.Context())
	readInto(group, func() (*answer[accounting.BudgetPlan], error) {
		return h.economics.budgetPlan(ctx, &budgetPlanInput{Amount: page.Amount})
	}, func(found *answer[accounting.BudgetPlan]) { page.Plan = &found.Body.Data })
	readInto(group, func() (*answer[planList], error) { return h.economics.listPlans(ctx, &plansInput{Limit: planHistory}) },
		func(found *answer[planList]) { page.Applied = found.Body.Data.Plans })
	if err := group.Wait(); err != nil {
		return err
	}
	for i := range page.Applied {
		if page.Applied[i].EndedAt == nil {
			page.InForce = &page.Applied[i]
			break
		}
	}
	return h.renderPage(w, r, http.StatusOK, "plan", "Budget plan", page)
}
