package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// BudgetDecisions reads what was decided about calls. It is called concurrently
// and must return when ctx ends.
type BudgetDecisions interface {
	// ListDecisions returns the newest decisions that match, at most
	// f.Limit of them. A cursor it never handed out is
	// [accounting.ErrBadCursor].
	ListDecisions(ctx context.Context, f accounting.DecisionFilter) (accounting.DecisionPage, error)
	// FindDecision returns the decision about a call, which may be one that
	// stands for several. Where there is none it is
	// [accounting.ErrUnknownCall].
	FindDecision(ctx context.Context, id accounting.RequestID) (accounting.DecisionRow, error)
}

var listDecisionsOperation = huma.Operation{
	OperationID: "list-decisions",
	Method:      http.MethodGet,
	Path:        "/api/guard/decisions",
	Summary:     "What budgets and stops decided",
	Description: "Decisions about calls, newest first, one row a call, as the table budget_decisions holds them: the verdict, why, and every budget that applied as it stood. " +
		"Refusals like each other within one second are one row with a count. A call to which no budget and no stop applied has no row. " +
		"Filters narrow the list together; one that is empty or absent matches everything. To read on, repeat the request with the cursor of the page before. " +
		"Where no index finds what is asked for (budget, purpose, model, several filters at once), one request looks at 20,000 decisions at most: then a page may hold fewer rows than limit, or none, searched_to says how far it went, and next_cursor goes on; since and until make it short.",
	Tags:                         []string{"guard"},
	Security:                     needsToken,
	Errors:                       []int{http.StatusUnauthorized, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable},
	RejectUnknownQueryParameters: true, // a misspelt filter must not list everything
}

var findDecisionOperation = huma.Operation{
	OperationID: "find-decision",
	Method:      http.MethodGet,
	Path:        "/api/guard/decisions/{id}",
	Summary:     "What was decided about one call",
	Description: "One row of budget_decisions, by the id that X-Bursar-Request-ID carried. Where refusals were merged it is the row that stands for the call; up to 101 ids of each are kept. " +
		"In words: GET /api/guard/explain/{id}.",
	Tags:     []string{"guard"},
	Security: needsToken,
	Errors:   budgetErrors,
}

func (h *Handler) decisionRoutes(api huma.API) {
	huma.Register(api, listDecisionsOperation, operation(h.listDecisions))
	huma.Register(api, findDecisionOperation, operation(h.findDecision))
	huma.Register(api, explainOperation, operation(h.explainCall))
}

// decisionsInput is the query of GET /api/guard/decisions.
type decisionsInput struct {
	Verdict    string    `query:"verdict" enum:"allowed,warned,downgraded,blocked" doc:"Calls of which this became." example:"blocked"`
	Reason     string    `query:"reason" enum:"budget_exceeded,budget_no_room,no_bound,no_lease,budget_not_loaded,essential,tag_required,emergency_stop,campaign_held,experiment_no_ai" doc:"Calls decided for this reason." example:"budget_no_room"`
	Budget     string    `query:"budget" maxLength:"100" doc:"Calls to which this budget applied." example:"q4-outreach"`
	CampaignID string    `query:"campaign_id" maxLength:"200" doc:"Calls for this campaign, as sent in X-Campaign-ID." example:"q4-outreach"`
	LeadID     string    `query:"lead_id" maxLength:"200" doc:"Calls for this lead, as sent in X-Lead-ID." example:"lead-42"`
	EmailID    string    `query:"email_id" maxLength:"200" doc:"Calls for this email, as sent in X-Email-ID." example:"email-8812"`
	Purpose    string    `query:"purpose" maxLength:"200" doc:"Calls for this purpose." example:"follow_up"`
	Model      string    `query:"model" maxLength:"200" doc:"Calls that asked for this model." example:"anthropic/claude-sonnet-4.5"`
	Since      time.Time `query:"since" doc:"Calls that started at this time or later." example:"2026-11-01T00:00:00Z"`
	Until      time.Time `query:"until" doc:"Calls that started before this time." example:"2026-12-01T00:00:00Z"`
	Limit      int       `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Rows of one page." example:"50"`
	Cursor     string    `query:"cursor" maxLength:"500" doc:"next_cursor of the page before, as it stands." example:"MjAyNi0xMS0yMg"`
}

// Resolve checks what no single parameter's schema can say.
func (in *decisionsInput) Resolve(ctx huma.Context) []error {
	return append(checkQueryOf(ctx), checkSpan(in.Since, in.Until)...)
}

// checkSpan finds a span of time that cannot hold anything.
func checkSpan(since, until time.Time) []error {
	if since.IsZero() || until.IsZero() || since.Before(until) {
		return nil
	}
	return []error{&huma.ErrorDetail{Location: "query.until", Value: until.Format(time.RFC3339Nano), Message: "expected a time after since"}}
}

// filter is the query as the store understands it.
func (in *decisionsInput) filter() accounting.DecisionFilter {
	return accounting.DecisionFilter{
		Verdict: accounting.BudgetVerdict(in.Verdict), Reason: accounting.BudgetReason(in.Reason), BudgetID: in.Budget,
		CampaignID: in.CampaignID, LeadID: in.LeadID, EmailID: in.EmailID, Purpose: in.Purpose, Model: in.Model,
		Since: in.Since, Until: in.Until, Limit: in.Limit, Cursor: in.Cursor,
	}
}

type decisionsOutput struct {
	Body envelope[decisionList]
}

// decisionList is the data of GET /api/guard/decisions.
type decisionList struct {
	Rows       []accounting.DecisionRow `json:"rows" nullable:"false" doc:"Newest first."`
	NextCursor *string                  `json:"next_cursor" doc:"The cursor of the next, older page; null on the last one." example:"MjAyNi0xMS0yMg"`
	SearchedTo *time.Time               `json:"searched_to" doc:"How far back was searched, if that ended before the page was full: then older decisions may match, and next_cursor goes on. null: the page is full, or there are no others." example:"2026-11-21T10:00:00Z"`
}

// listDecisions answers GET /api/guard/decisions.
func (h *Handler) listDecisions(ctx context.Context, in *decisionsInput) (*decisionsOutput, error) {
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	page, err := h.budgets.Store.ListDecisions(limited, in.filter())
	if errors.Is(err, accounting.ErrBadCursor) {
		return nil, badCursor(in.Cursor)
	}
	if err != nil {
		return nil, lateOr(ctx, limited, err)
	}
	list := decisionList{Rows: orEmpty(page.Rows), SearchedTo: page.SearchedTo}
	for i := range list.Rows {
		list.Rows[i] = tidyDecision(list.Rows[i])
	}
	if page.NextCursor != "" {
		list.NextCursor = &page.NextCursor
	}
	return &decisionsOutput{envelope[decisionList]{Success: true, Data: list}}, nil
}

// tidyDecision is a row with lists in place of null.
func tidyDecision(row accounting.DecisionRow) accounting.DecisionRow {
	row.Budgets, row.Calls = orEmpty(row.Budgets), orEmpty(row.Calls)
	return row
}

type decisionOutput struct {
	Body envelope[accounting.DecisionRow]
}

// findDecision answers GET /api/guard/decisions/{id}.
func (h *Handler) findDecision(ctx context.Context, in *callInput) (*decisionOutput, error) {
	id, err := callID(in.ID)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	row, err := h.budgets.Store.FindDecision(limited, id)
	if errors.Is(err, accounting.ErrUnknownCall) {
		return nil, newProblem(http.StatusNotFound, "There is no decision about a call %s: no budget and no stop applied to it, or it is not recorded yet. GET /api/guard/explain/%s says which.", id, id)
	}
	if err != nil {
		return nil, lateOr(ctx, limited, err)
	}
	return &decisionOutput{envelope[accounting.DecisionRow]{Success: true, Data: tidyDecision(row)}}, nil
}
