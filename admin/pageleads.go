package admin

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"slices"

	"golang.org/x/sync/errgroup"

	"bursar/accounting"
	"bursar/admin/chart"
)

// leadStates are what a list of leads can be cut down to.
var leadStates = []accounting.LeadState{
	accounting.LeadUnsent, accounting.LeadSent, accounting.LeadReplied, accounting.LeadConverted, accounting.LeadLost,
}

// leadsPage is the content of /leads.
type leadsPage struct {
	Waste    *wasteReport
	Chart    template.HTML
	Leads    *leadList
	States   []accounting.LeadState
	Campaign string
	State    accounting.LeadState
	Months   MonthsInput
	Older    string // address of the next page; empty: this is the last
	First    bool   // the first page
}

// leadsPage answers GET /leads: what was spent in vain and what to do about it,
// and the leads.
func (h *Handler) leadsPage(w http.ResponseWriter, r *http.Request) error {
	if h.economics == nil {
		return nothingBehind("leads")
	}
	if errs := checkQuery(r.URL.RawQuery); len(errs) > 0 {
		return newProblem(http.StatusUnprocessableEntity, "The address is not one of this page's own. Start again at /leads.")
	}
	query := r.URL.Query()
	page := &leadsPage{
		States: leadStates, Campaign: query.Get("campaign_id"), State: accounting.LeadState(query.Get("state")),
		Months: MonthsInput{From: query.Get("from"), To: query.Get("to")}, First: query.Get("cursor") == "",
	}
	if page.State != "" && !slices.Contains(leadStates, page.State) {
		return invalid(fieldError{Field: "state", Value: shown(string(page.State)), Message: "expected a state of leads", Allowed: "unsent, sent, replied, converted or lost"})
	}
	group, ctx := errgroup.WithContext(r.Context())
	readInto(group, func() (*answer[wasteReport], error) {
		return h.economics.waste(ctx, &wasteInput{MonthsInput: page.Months, Campaign: page.Campaign})
	}, func(a *answer[wasteReport]) { page.Waste = &a.Body.Data })
	readInto(group, func() (*answer[leadList], error) {
		return h.economics.listLeads(ctx, &leadsInput{Campaign: page.Campaign, State: string(page.State), Limit: pageRows, Cursor: query.Get("cursor")})
	}, func(a *answer[leadList]) { page.Leads = &a.Body.Data })
	if err := group.Wait(); err != nil {
		return err
	}
	page.Older = nextPage("/leads", query, page.Leads.NextCursor)
	page.Chart = wasteChart(page.Waste, h.moneyOf(r))
	return h.renderPage(w, r, http.StatusOK, "leads", "Leads and waste", page)
}

// nextPage is the address of the page after this one, empty if there is none.
func nextPage(path string, query url.Values, cursor *string) string {
	if cursor == nil {
		return ""
	}
	next := url.Values{"cursor": {*cursor}}
	for name, values := range query {
		if name != "cursor" && values[0] != "" {
			next.Set(name, values[0])
		}
	}
	return path + "?" + next.Encode()
}

// wasteChart divides the waste by kind.
func wasteChart(w *wasteReport, m moneyFormat) template.HTML {
	c := chart.Share{Frame: m.chartFrame("waste", "What was spent in vain, by kind", "Nothing was spent in vain in these months."), Of: "Kind"}
	for i := range w.Kinds {
		if !w.Kinds[i].CostEUR.IsZero() {
			c.Parts = append(c.Parts, chart.Part{Name: words(w.Kinds[i].Kind), Value: accounting.Some(m.in(w.Kinds[i].CostEUR.Decimal))})
		}
	}
	return c.HTML()
}

// onePage is the content of /leads/{id} and /emails/{id}.
type onePage struct {
	ID             string
	Lead           *leadPage
	Email          *emailPage
	Recommendation *recommendation
	Activities     []accounting.ActivityRow
	Calls          []accounting.UsageRow
	More           string // where all calls are listed
}

// leadPage answers GET /leads/{id}: what one lead has cost in each of its
// campaigns, and what came of it.
func (h *Handler) leadPage(w http.ResponseWriter, r *http.Request) error {
	if h.economics == nil {
		return nothingBehind("leads")
	}
	page := &onePage{ID: linkedID(r)}
	group, ctx := errgroup.WithContext(r.Context())
	readInto(group, func() (*answer[leadPage], error) { return h.economics.findLead(ctx, &leadInput{ID: page.ID}) },
		func(a *answer[leadPage]) { page.Lead, page.Activities = &a.Body.Data, a.Body.Data.Activities })
	readInto(group, func() (*answer[recommendation], error) {
		return h.economics.recommend(ctx, &recommendInput{ID: page.ID})
	}, func(a *answer[recommendation]) { page.Recommendation = &a.Body.Data })
	h.readCalls(ctx, group, page, accounting.UsageFilter{LeadID: page.ID, Limit: pageRows})
	if err := group.Wait(); err != nil {
		return err
	}
	page.More = "/calls" + query("lead_id", page.ID)
	return h.renderPage(w, r, http.StatusOK, "lead", "Lead", page)
}

// emailPage answers GET /emails/{id}: what one email has cost.
func (h *Handler) emailPage(w http.ResponseWriter, r *http.Request) error {
	if h.economics == nil {
		return nothingBehind("emails")
	}
	page := &onePage{ID: linkedID(r)}
	group, ctx := errgroup.WithContext(r.Context())
	readInto(group, func() (*answer[emailPage], error) { return h.economics.findEmail(ctx, &emailInput{ID: page.ID}) },
		func(a *answer[emailPage]) { page.Email, page.Activities = &a.Body.Data, a.Body.Data.Activities })
	h.readCalls(ctx, group, page, accounting.UsageFilter{EmailID: page.ID, Limit: pageRows})
	if err := group.Wait(); err != nil {
		return err
	}
	page.More = "/calls" + query("email_id", page.ID)
	return h.renderPage(w, r, http.StatusOK, "email", "Email", page)
}

func (h *Handler) readCalls(ctx context.Context, group *errgroup.Group, page *onePage, f accounting.UsageFilter) {
	readInto(group, func() (accounting.UsagePage, error) { return h.readUsage(ctx, f) },
		func(found accounting.UsagePage) { page.Calls = found.Rows })
}
