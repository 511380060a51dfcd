package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// LeadReports reads what leads and emails have cost, and what was spent in vain.
// It is called concurrently and must return when ctx ends.
type LeadReports interface {
	// ListLeads returns leads by their first call, the last first. A cursor it
	// never handed out is [accounting.ErrBadCursor].
	ListLeads(ctx context.Context, f accounting.LeadFilter) (accounting.LeadPage, error)
	// FindLead returns a lead once for each of its campaigns; one that is not
	// there is [accounting.ErrUnknownLead].
	FindLead(ctx context.Context, id string) ([]accounting.LeadRow, error)
	// FindEmail returns an email once for each of its purposes; one without
	// calls is [accounting.ErrUnknownEmail].
	FindEmail(ctx context.Context, id string) ([]accounting.EmailRow, error)
	// ListActivities are those of a lead or an email; the other one is empty.
	ListActivities(ctx context.Context, lead, email string, limit int) ([]accounting.ActivityRow, error)
	// Waste sums what was spent in vain, by kind, of a campaign or (nil) all.
	Waste(ctx context.Context, from, to, wasteBefore accounting.Day, campaign *string) ([]accounting.WasteSum, error)
}

// maxListed bounds the activities of one page.
const maxListed = 200

var (
	notFoundErrors = append([]int{http.StatusNotFound}, economicsErrors...)
	writeErrors    = append([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge}, economicsErrors...)
)

var listLeadsOperation = huma.Operation{
	OperationID: "list-leads", Method: http.MethodGet, Path: "/api/leads",
	Summary:     "Leads and what they cost",
	Description: "Leads for which there was at least one call, those whose first call was last first. To read on, repeat the request with the cursor of the page before.",
	Tags:        []string{"leads"}, Security: needsToken, Errors: economicsErrors, RejectUnknownQueryParameters: true,
}

var findLeadOperation = huma.Operation{
	OperationID: "find-lead", Method: http.MethodGet, Path: "/api/leads/{id}",
	Summary: "One lead", Description: "What the lead has cost in each of its campaigns, and what happened to it.",
	Tags: []string{"leads"}, Security: needsToken, Errors: notFoundErrors, RejectUnknownQueryParameters: true,
}

var recommendOperation = huma.Operation{
	OperationID: "recommend", Method: http.MethodGet, Path: "/api/leads/{id}/recommendation",
	Summary: "How much AI a lead deserves",
	Description: "premium in a campaign whose decision is invest_more; else standard for a lead of high value (X-Lead-Value: high); else basic, or none where the campaign's AI is to be reduced. " +
		"The campaign is the lead's latest, or campaignId; its figures are those of this and the two months before. Where an experiment has the lead in an arm without AI, none, whatever the figures say.",
	Tags: []string{"leads"}, Security: needsToken, Errors: economicsErrors, RejectUnknownQueryParameters: true,
}

var leadSentOperation = huma.Operation{
	OperationID: "lead-sent", Method: http.MethodPost, Path: "/api/leads/{id}/sent",
	Summary:     "Record that an email was sent to a lead",
	Description: "The same as record-activity with email_sent: recorded once by its id, counted once.",
	Tags:        []string{"leads"}, Security: needsToken, MaxBodyBytes: maxReconcileBody * 8, Errors: writeErrors,
}

var leadConvertedOperation = huma.Operation{
	OperationID: "lead-converted", Method: http.MethodPost, Path: "/api/leads/{id}/converted",
	Summary:     "Record that a lead booked a meeting",
	Description: "The same as record-activity with meeting_booked: recorded once by its id, counted once.",
	Tags:        []string{"leads"}, Security: needsToken, MaxBodyBytes: maxReconcileBody * 8, Errors: writeErrors,
}

var leadBatchOperation = huma.Operation{
	OperationID: "leads-batch", Method: http.MethodPost, Path: "/api/leads/activities",
	Summary:     "Record sent and converted leads, many at once",
	Description: "Up to 10,000 entries, all or none; each is an activity as record-activity takes them, with its lead.",
	Tags:        []string{"leads"}, Security: needsToken, MaxBodyBytes: maxActivityBytes, Errors: writeErrors,
}

var findEmailOperation = huma.Operation{
	OperationID: "find-email", Method: http.MethodGet, Path: "/api/emails/{id}",
	Summary:     "One email",
	Description: "What the email has cost, by purpose, and what happened to it. A draft is a call that brought a whole answer; all but the last were in vain.",
	Tags:        []string{"leads"}, Security: needsToken, Errors: notFoundErrors, RejectUnknownQueryParameters: true,
}

var wasteOperation = huma.Operation{
	OperationID: "waste", Method: http.MethodGet, Path: "/api/waste",
	Summary: "What was spent in vain",
	Description: "Sums by kind, each call in one kind only, the first that fits: failed, cancelled, truncated (cut by a limit of tokens), redrafted (a later draft of the same email took its place), " +
		"then what is left of leads that bounced, unsubscribed, or to which nothing was sent in time. Calls count on their day, leads on the day of their first call. Each kind has its advice, and where to find its rows.",
	Tags: []string{"leads"}, Security: needsToken, Errors: append([]int{http.StatusNotFound}, economicsErrors...), RejectUnknownQueryParameters: true,
}

func (e *economics) leadRoutes(api huma.API) {
	huma.Register(api, listLeadsOperation, operation(e.listLeads))
	huma.Register(api, findLeadOperation, operation(e.findLead))
	huma.Register(api, recommendOperation, operation(e.recommend))
	huma.Register(api, leadSentOperation, operation(e.leadHappened(accounting.EmailSent)))
	huma.Register(api, leadConvertedOperation, operation(e.leadHappened(accounting.MeetingBooked)))
	huma.Register(api, leadBatchOperation, operation(e.leadBatch))
	huma.Register(api, findEmailOperation, operation(e.findEmail))
	huma.Register(api, wasteOperation, operation(e.waste))
}

// leadsInput is the query of GET /api/leads.
type leadsInput struct {
	Campaign string    `query:"campaign_id" maxLength:"200" doc:"Leads of this campaign." example:"q4-outreach"`
	State    string    `query:"state" enum:"unsent,sent,replied,converted,lost" doc:"What has become of them." example:"unsent"`
	Since    time.Time `query:"since" doc:"Leads whose first call was then or later." example:"2026-11-01T00:00:00Z"`
	Until    time.Time `query:"until" doc:"Leads whose first call was before." example:"2026-12-01T00:00:00Z"`
	Limit    int       `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Rows of one page." example:"50"`
	Cursor   string    `query:"cursor" maxLength:"1000" doc:"next_cursor of the page before, as it stands." example:"MjAyNi0xMS0yMg"`
}

// Resolve checks what no single parameter's schema can say.
func (in *leadsInput) Resolve(ctx huma.Context) []error {
	address := ctx.URL()
	errs := checkQuery(address.RawQuery)
	if !in.Since.IsZero() && !in.Until.IsZero() && !in.Since.Before(in.Until) {
		errs = append(errs, &huma.ErrorDetail{Location: "query.until", Value: in.Until.Format(time.RFC3339Nano), Message: "expected a time after since"})
	}
	return errs
}

type leadList struct {
	Rows       []accounting.LeadRow `json:"rows" nullable:"false"`
	NextCursor *string              `json:"next_cursor" doc:"Of the next page; null: this is the last one."`
}

// listLeads answers GET /api/leads.
func (e *economics) listLeads(ctx context.Context, in *leadsInput) (*answer[leadList], error) {
	reading, cancel := limited(ctx)
	defer cancel()
	page, err := e.Store.ListLeads(reading, accounting.LeadFilter{
		CampaignID: orAll(in.Campaign), State: accounting.LeadState(in.State), Since: in.Since, Until: in.Until, Limit: in.Limit, Cursor: in.Cursor,
	})
	if errors.Is(err, accounting.ErrBadCursor) {
		return nil, invalid(fieldError{Field: "cursor", Value: shown(in.Cursor), Message: "expected next_cursor of an earlier page"})
	}
	if err != nil {
		return nil, err
	}
	list := leadList{Rows: page.Rows}
	if list.Rows == nil {
		list.Rows = []accounting.LeadRow{}
	}
	if page.NextCursor != "" {
		list.NextCursor = &page.NextCursor
	}
	return answered(list), nil
}

// leadInput names a lead in the path.
type leadInput struct {
	ID string `path:"id" maxLength:"200" doc:"The lead, as in X-Lead-ID." example:"lead-42"`
}

type leadPage struct {
	Campaigns  []accounting.LeadRow     `json:"campaigns" nullable:"false" doc:"The lead in each of its campaigns."`
	Activities []accounting.ActivityRow `json:"activities" nullable:"false" doc:"The latest first, reversed ones included."`
}

// findLead answers GET /api/leads/{id}.
func (e *economics) findLead(ctx context.Context, in *leadInput) (*answer[leadPage], error) {
	reading, cancel := limited(ctx)
	defer cancel()
	rows, err := e.Store.FindLead(reading, in.ID)
	if errors.Is(err, accounting.ErrUnknownLead) {
		return nil, newProblem(http.StatusNotFound, "There is no lead %s: no call and no activity names it.", shown(in.ID))
	}
	if err != nil {
		return nil, err
	}
	activities, err := e.Store.ListActivities(reading, in.ID, "", maxListed)
	if err != nil {
		return nil, err
	}
	if activities == nil {
		activities = []accounting.ActivityRow{}
	}
	return answered(leadPage{rows, activities}), nil
}

// recommendInput is the request of GET /api/leads/{id}/recommendation.
type recommendInput struct {
	ID       string `path:"id" maxLength:"200" doc:"The lead, as in X-Lead-ID; it need not be known." example:"lead-42"`
	Campaign string `query:"campaignId" maxLength:"200" doc:"The campaign; default: the lead's latest." example:"q4-outreach"`
	Value    string `query:"leadValue" maxLength:"200" doc:"As in X-Lead-Value; default: as its calls said." example:"high"`
}

// Resolve checks what no single parameter's schema can say.
func (in *recommendInput) Resolve(ctx huma.Context) []error {
	address := ctx.URL()
	return checkQuery(address.RawQuery)
}

type recommendation struct {
	LeadID          string                      `json:"lead_id" example:"lead-42"`
	CampaignID      string                      `json:"campaign_id" example:"q4-outreach"`
	Personalisation accounting.Personalisation  `json:"personalisation" doc:"premium, standard, basic or none." example:"standard"`
	Decision        accounting.CampaignDecision `json:"campaign_decision" example:"optimise_workflow"`
	Why             string                      `json:"why" doc:"In words."`
	Experiments     []accounting.Assignment     `json:"experiments" nullable:"false" doc:"The lead's arms in experiments that run; one without AI recommends none."`
}

// recommendMonths is how far back the figures of a recommendation go.
const recommendMonths = 3

// recommend answers GET /api/leads/{id}/recommendation.
func (e *economics) recommend(ctx context.Context, in *recommendInput) (*answer[recommendation], error) {
	reading, cancel := limited(ctx)
	defer cancel()
	rows, err := e.Store.FindLead(reading, in.ID)
	if err != nil && !errors.Is(err, accounting.ErrUnknownLead) {
		return nil, err
	}
	r := recommendation{LeadID: in.ID, CampaignID: in.Campaign, Decision: accounting.NotEnoughData}
	value := in.Value
	for _, l := range rows {
		if r.CampaignID == "" {
			r.CampaignID = l.CampaignID
		}
		if value == "" && l.CampaignID == r.CampaignID && l.LeadValue != nil {
			value = *l.LeadValue
		}
	}
	if r.CampaignID != "" {
		present := accounting.MonthOf(e.Now())
		first := accounting.MonthOf(present.Start().AddDate(0, 1-recommendMonths, 0))
		from, to := monthWindow{first, present}.days()
		sums, err := e.Store.Campaigns(reading, from, to, e.wasteBefore(), &r.CampaignID, 1)
		if err != nil {
			return nil, err
		}
		if len(sums) > 0 {
			row := e.Targets.ReportCampaign(&sums[0], decimal.Decimal{}, e.meetingValue())
			r.Decision = row.Decision
		}
	}
	r.Personalisation = accounting.Recommend(r.Decision, value)
	r.Why = why(r.Personalisation, r.Decision)
	if r.Experiments, err = e.assignments(reading, in.ID, r.CampaignID); err != nil {
		return nil, err
	}
	if none, words, ok := withoutAI(r.Experiments); ok {
		r.Personalisation, r.Why = none, words
	}
	return answered(r), nil
}

func why(p accounting.Personalisation, d accounting.CampaignDecision) string {
	switch p {
	case accounting.PersonalisePremium:
		return "The campaign sends nearly all that is written and brings meetings: it earns the better model."
	case accounting.PersonaliseStandard:
		return "The lead is of high value, in a campaign that is not one to invest in."
	case accounting.PersonaliseNone:
		return "Too little of what the campaign writes is ever sent: writing for this lead would probably be in vain."
	}
	if d == accounting.NotEnoughData {
		return "Too little is known about the campaign to spend more on a lead of no special value."
	}
	return fmt.Sprintf("The campaign's decision is %s, and the lead is of no special value.", words(d))
}

// leadActivityInput is the request of POST /api/leads/{id}/sent and /converted.
// All that has to be said is in the path, so the body may be absent.
type leadActivityInput struct {
	ID   string `path:"id" maxLength:"200" minLength:"1" doc:"The lead, as in X-Lead-ID." example:"lead-42"`
	Body *struct {
		ID         string             `json:"id,omitempty" maxLength:"200" doc:"Your own name for the activity, which makes it idempotent." example:"msg-8812"`
		CampaignID string             `json:"campaignId,omitempty" maxLength:"200" doc:"As in X-Campaign-ID." example:"q4-outreach"`
		EmailID    string             `json:"emailId,omitempty" maxLength:"200" doc:"As in X-Email-ID." example:"email-8812"`
		Platform   string             `json:"platform,omitempty" maxLength:"200" doc:"As in X-Platform." example:"instantly"`
		Value      *accounting.Amount `json:"value,omitempty" doc:"Of a meeting." example:"2000"`
		Currency   string             `json:"currency,omitempty" enum:"EUR,USD" doc:"Of value; default EUR." example:"EUR"`
		OccurredAt *time.Time         `json:"occurredAt,omitempty" doc:"Default: now." example:"2026-11-22T10:00:00Z"`
	}
}

// leadHappened answers POST /api/leads/{id}/sent and /converted.
func (e *economics) leadHappened(kind accounting.ActivityType) func(context.Context, *leadActivityInput) (*answer[recordedList], error) {
	return func(ctx context.Context, in *leadActivityInput) (*answer[recordedList], error) {
		body := ActivityBody{Type: string(kind), LeadID: in.ID}
		if b := in.Body; b != nil {
			body = ActivityBody{ID: b.ID, Type: string(kind), CampaignID: b.CampaignID, LeadID: in.ID, EmailID: b.EmailID,
				Platform: b.Platform, Value: b.Value, Currency: b.Currency, OccurredAt: b.OccurredAt}
		}
		a, wrong := body.activity("", e.Now().UTC())
		if len(wrong) > 0 {
			return nil, invalid(wrong...)
		}
		a.Source = "lead"
		return e.record(ctx, []accounting.CampaignActivity{a})
	}
}

// leadBatchInput is the request of POST /api/leads/activities.
type leadBatchInput struct {
	Body struct {
		Activities []ActivityBody `json:"activities" minItems:"1" maxItems:"10000" doc:"Each with its leadId."`
	}
}

// leadBatch answers POST /api/leads/activities.
func (e *economics) leadBatch(ctx context.Context, in *leadBatchInput) (*answer[recordedList], error) {
	list := make([]accounting.CampaignActivity, 0, len(in.Body.Activities))
	var wrong []fieldError
	now := e.Now().UTC()
	for i := range in.Body.Activities {
		place := fmt.Sprintf("activities[%d].", i)
		a, bad := in.Body.Activities[i].activity(place, now)
		if a.LeadID == "" {
			bad = append(bad, fieldError{Field: place + "leadId", Message: "expected the lead", Allowed: "its id, as in X-Lead-ID"})
		}
		a.Source = "lead"
		list, wrong = append(list, a), append(wrong, bad...)
	}
	if len(wrong) > 0 {
		return nil, invalid(wrong[:min(len(wrong), maxWrong)]...)
	}
	return e.record(ctx, list)
}

// emailInput names an email in the path.
type emailInput struct {
	ID string `path:"id" maxLength:"200" doc:"The email, as in X-Email-ID." example:"email-8812"`
}

type emailPage struct {
	Purposes   []accounting.EmailRow    `json:"purposes" nullable:"false" doc:"What it has cost, by purpose."`
	CostUSD    accounting.Amount        `json:"cost_usd" doc:"Of all of them."`
	RedraftUSD accounting.Amount        `json:"redraft_usd" doc:"Of all drafts but the last of each."`
	Activities []accounting.ActivityRow `json:"activities" nullable:"false"`
}

// findEmail answers GET /api/emails/{id}.
func (e *economics) findEmail(ctx context.Context, in *emailInput) (*answer[emailPage], error) {
	reading, cancel := limited(ctx)
	defer cancel()
	rows, err := e.Store.FindEmail(reading, in.ID)
	if err != nil && !errors.Is(err, accounting.ErrUnknownEmail) {
		return nil, err
	}
	activities, err := e.Store.ListActivities(reading, "", in.ID, maxListed)
	switch {
	case err != nil:
		return nil, err
	case len(rows) == 0 && len(activities) == 0:
		return nil, newProblem(http.StatusNotFound, "There is no email %s: no call and no activity names it.", shown(in.ID))
	}
	page := emailPage{Purposes: []accounting.EmailRow{}, Activities: []accounting.ActivityRow{}}
	page.Purposes, page.Activities = append(page.Purposes, rows...), append(page.Activities, activities...)
	for _, r := range rows {
		page.CostUSD.Decimal = page.CostUSD.Add(r.CostUSD.Decimal)
		page.RedraftUSD.Decimal = page.RedraftUSD.Add(r.RedraftUSD.Decimal)
	}
	return answered(page), nil
}

// wasteInput is the query of GET /api/waste.
type wasteInput struct {
	MonthsInput
	Campaign string `query:"campaign_id" maxLength:"200" doc:"Of this campaign." example:"q4-outreach"`
}

type wasteRow struct {
	accounting.WasteSum
	Share  *accounting.Amount `json:"share" doc:"Of all AI cost of these months, EUR ÷ EUR; null: there was none."`
	Advice string             `json:"advice" doc:"What to do about it."`
	Rows   string             `json:"rows" doc:"Where the calls or leads are listed." example:"/api/leads?state=unsent"`
}

type wasteReport struct {
	From     accounting.Month  `json:"from" example:"2026-11"`
	To       accounting.Month  `json:"to" example:"2026-11"`
	Kinds    []wasteRow        `json:"kinds" nullable:"false"`
	TotalUSD accounting.Amount `json:"total_usd" doc:"Of all kinds."`
	TotalEUR accounting.Amount `json:"total_eur" doc:"Of all kinds."`
}

// wasteRows is where the calls or leads of each kind of waste are listed.
var wasteRows = map[accounting.WasteKind]string{
	accounting.WasteFailed:       "/api/usage?status=settled",
	accounting.WasteCancelled:    "/api/usage?status=settled",
	accounting.WasteTruncated:    "/api/usage?status=settled",
	accounting.WasteRedrafted:    "/api/emails/{id}",
	accounting.WasteBounced:      "/api/leads?state=lost",
	accounting.WasteUnsubscribed: "/api/leads?state=lost",
	accounting.WasteUnsent:       "/api/leads?state=unsent",
}

// waste answers GET /api/waste.
func (e *economics) waste(ctx context.Context, in *wasteInput) (*answer[wasteReport], error) {
	w, err := in.window(e.Now())
	if err != nil {
		return nil, err
	}
	reading, cancel := limited(ctx)
	defer cancel()
	from, to := w.days()
	campaign := orAll(in.Campaign)
	sums, err := e.Store.Waste(reading, from, to, e.wasteBefore(), campaign)
	if err != nil {
		return nil, err
	}
	spent, err := e.spent(reading, w, campaign)
	if err != nil {
		return nil, err
	}
	report := wasteReport{From: w.from, To: w.to, Kinds: []wasteRow{}}
	for _, s := range sums {
		report.Kinds = append(report.Kinds, wasteRow{WasteSum: s, Share: accounting.AmountOf(accounting.Quotient(s.CostEUR.Decimal, spent.Decimal)), Advice: s.Kind.Advice(), Rows: wasteRows[s.Kind]})
		report.TotalUSD.Decimal = report.TotalUSD.Add(s.CostUSD.Decimal)
		report.TotalEUR.Decimal = report.TotalEUR.Add(s.CostEUR.Decimal)
	}
	return answered(report), nil
}

// spent is the AI cost of some months, EUR, of a campaign or (nil) all.
func (e *economics) spent(ctx context.Context, w monthWindow, campaign *string) (accounting.Amount, error) {
	from, to := w.days()
	if campaign == nil {
		report, err := e.Store.UsageReport(ctx, from, to)
		return report.Totals.CostEUR, err
	}
	sums, err := e.Store.Campaigns(ctx, from, to, e.wasteBefore(), campaign, 1)
	switch {
	case err != nil:
		return accounting.Amount{}, err
	case len(sums) == 0:
		return accounting.Amount{}, noCampaign(*campaign, w) // which is not one that wastes nothing
	}
	return sums[0].AICostEUR, nil
}
