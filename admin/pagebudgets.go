package admin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"bursar/accounting"
)

const (
	budgetValues = 10 // of each divided budget
	refusedRows  = 25

	// pagePatience is how long the page waits for a database that does not
	// answer before it offers what can be done without.
	pagePatience = 3 * time.Second
)

// budgetsPage is the content of /budgets.
type budgetsPage struct {
	Budgets   []standingBudget
	Stops     stopList
	Refused   []accounting.DecisionRow
	Campaigns []accounting.CampaignRow // to choose from
	Purposes  []string
	Away      bool // the database does not answer: what is shown is not all
}

// standingBudget is a budget and how it stands; of a divided one the values with
// the highest share.
type standingBudget struct {
	accounting.Budget
	Status []accounting.BudgetStatus
}

// budgetsPage answers GET /budgets: what may be spent and what was, which calls
// were refused, and the emergency stop. It is there while the database is not,
// since that may be when calls have to be stopped.
func (h *Handler) budgetsPage(w http.ResponseWriter, r *http.Request) error {
	if h.budgets == nil {
		return nothingBehind("budgets")
	}
	page := &budgetsPage{Purposes: h.budgets.Purposes}
	var list *budgetsOutput
	var status *budgetStatusOutput
	patient, cancel := context.WithTimeout(r.Context(), pagePatience)
	defer cancel()
	var stops errgroup.Group // by itself: it has an answer while the others have none
	stops.Go(func() (err error) {
		page.Stops, err = h.stopsKnown(r.Context())
		return err
	})
	group, ctx := errgroup.WithContext(patient)
	readInto(group, func() (*budgetsOutput, error) { return h.listBudgets(ctx, &noInput{}) }, func(found *budgetsOutput) { list = found })
	readInto(group, func() (*budgetStatusOutput, error) {
		return h.budgetStatus(ctx, &budgetStatusInput{Limit: budgetValues})
	}, func(found *budgetStatusOutput) { status = found })
	readInto(group, func() (*decisionsOutput, error) {
		return h.listDecisions(ctx, &decisionsInput{Verdict: string(accounting.VerdictBlocked), Limit: refusedRows})
	}, func(found *decisionsOutput) { page.Refused = found.Body.Data.Rows })
	if h.economics != nil {
		readInto(group, func() (*answer[campaignList], error) {
			return h.economics.listCampaigns(ctx, &campaignsInput{Limit: 100})
		}, func(found *answer[campaignList]) { page.Campaigns = found.Body.Data.Rows })
	}
	if err := group.Wait(); err != nil {
		zerolog.Ctx(r.Context()).Warn().Err(err).Msg("read what the page of budgets shows")
		page.Away = true
	}
	if stops.Wait() != nil {
		page.Away = true
	}
	if list != nil && status != nil {
		page.Budgets = standings(list.Body.Data.Budgets, status.Body.Data.Status)
	}
	return h.renderPage(w, r, http.StatusOK, "budgets", "Budgets", page)
}

// decisionPage answers GET /decisions/{id}: why a call passed or was refused.
func (h *Handler) decisionPage(w http.ResponseWriter, r *http.Request) error {
	if h.budgets == nil {
		return nothingBehind("decisions")
	}
	found, err := h.explainCall(r.Context(), &callInput{ID: r.PathValue("id")})
	if err != nil {
		return err
	}
	return h.renderPage(w, r, http.StatusOK, "decision", "Decision", &found.Body.Data)
}

// stopsKnown are the stops, drills left out: those block nothing.
func (h *Handler) stopsKnown(ctx context.Context) (stopList, error) {
	list, err := h.activeStops(ctx)
	list.Stops = slices.DeleteFunc(list.Stops, func(s stopView) bool { return s.Drill })
	return list, err
}

// standings puts each budget beside how it stands.
func standings(budgets []accounting.Budget, statuses []accounting.BudgetStatus) []standingBudget {
	list := make([]standingBudget, len(budgets))
	for i := range budgets {
		list[i].Budget = budgets[i]
		for _, s := range statuses {
			if s.Budget.ID == budgets[i].ID {
				list[i].Status = append(list[i].Status, s)
			}
		}
	}
	return list
}
