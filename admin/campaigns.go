package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// CampaignReports sums what campaigns, platforms and models have cost and
// brought. It is called concurrently and must return when ctx ends. Days are
// included at both ends; leads of days before wasteBefore to which nothing was
// sent count as waste.
type CampaignReports interface {
	// Campaigns are the dearest first, at most limit; id is the only one that
	// is wanted, nil for all.
	Campaigns(ctx context.Context, from, to, wasteBefore accounting.Day, id *string, limit int) ([]accounting.CampaignSums, error)
	// ListCampaigns is one page of them. A cursor it never handed out is
	// [accounting.ErrBadCursor].
	ListCampaigns(ctx context.Context, from, to, wasteBefore accounting.Day, limit int, cursor string) (accounting.CampaignPage, error)
	EmailsByCampaign(ctx context.Context, from, to accounting.Day) (accounting.EmailsByCampaign, error)
	CampaignUsage(ctx context.Context, id string, from, to accounting.Day) (purposes, models []accounting.UsageGroup, err error)
	// PutCampaign stores settings in the name of by, and writes its entry of
	// the audit log.
	PutCampaign(ctx context.Context, c accounting.CampaignSettings, by string) (accounting.CampaignSettings, error)
	Platforms(ctx context.Context, from, to, wasteBefore accounting.Day) ([]accounting.PlatformSums, error)
	Models(ctx context.Context, from, to accounting.Day) ([]accounting.ModelSums, error)
	ListSequences(ctx context.Context, campaign string, limit int) ([]accounting.SequenceRow, error)
}

const campaignFormulas = "Costs are EUR: AI cost at the rate of each call's day, and the campaign's share of the months' fixed costs by emails sent (a platform's subscription only over that platform's emails). " +
	"Cost per email and per meeting are both together ÷ emails sent, ÷ meetings. ai_roi_percent = 100 × value ÷ AI cost. send_rate = sent ÷ processed leads, conversion_rate = meetings ÷ emails sent. " +
	"waste_factor = AI cost of leads that nothing was sent to in time ÷ AI cost. score = 40 % send rate + 35 % conversion (its target is 100) + 25 % target ÷ cost per meeting, each at most 100; weights and bounds are settings, and these the default ones. " +
	"Below 30 processed leads there is a score but no verdict: not_enough_data. Intervals hold the true figure with 95 %."

var listCampaignsOperation = huma.Operation{
	OperationID: "list-campaigns", Method: http.MethodGet, Path: "/api/campaigns",
	Summary: "Campaigns: cost, results, score and what to do",
	Description: "What campaigns have cost and brought in whole months, the dearest first. " + campaignFormulas +
		" Calls and activities without a campaign are the row with the empty id, so the rows add up; fixed costs that no email can carry are unallocated_fixed_cost. " +
		"all is what every page comes to. To read on, repeat the request with the cursor of the page before; while costs move, a campaign may meanwhile move from one page to another.",
	Tags: []string{"campaigns"}, Security: needsToken, Errors: economicsErrors, RejectUnknownQueryParameters: true,
}

var findCampaignOperation = huma.Operation{
	OperationID: "find-campaign", Method: http.MethodGet, Path: "/api/campaigns/{id}",
	Summary:     "One campaign",
	Description: "The campaign's row, its calls by purpose and by model, its sequences and its waste. " + campaignFormulas,
	Tags:        []string{"campaigns"}, Security: needsToken, Errors: append([]int{http.StatusNotFound}, economicsErrors...), RejectUnknownQueryParameters: true,
}

var putCampaignOperation = huma.Operation{
	OperationID: "put-campaign", Method: http.MethodPut, Path: "/api/campaigns/{id}",
	Summary:     "Tell about a campaign",
	Description: "Stores name, platform, value of a meeting, targets and testing flag, in place of what was told before. A campaign needs not be told about to be counted. Audited.",
	Tags:        []string{"campaigns"}, Security: needsToken, MaxBodyBytes: maxReconcileBody * 8,
	Errors: append([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge}, economicsErrors...),
}

var compareOperation = huma.Operation{
	OperationID: "compare", Method: http.MethodGet, Path: "/api/compare",
	Summary: "Which of two campaigns or models is cheaper per meeting",
	Description: "Both sides' cost, meetings and cost per meeting with its 95 % interval, and the probability that the first pays less for a meeting than the second: " +
		"meetings are taken to come by themselves over what is spent, so the meetings per EUR of each side are Gamma(meetings + ½, cost). Campaigns are compared by their whole cost, models by AI cost and their share of meetings.",
	Tags: []string{"campaigns"}, Security: needsToken, Errors: append([]int{http.StatusNotFound}, economicsErrors...), RejectUnknownQueryParameters: true,
}

var listPlatformsOperation = huma.Operation{
	OperationID: "list-platforms", Method: http.MethodGet, Path: "/api/platforms",
	Summary:     "Sending platforms beside each other",
	Description: "As /api/campaigns, by X-Platform and the platform of activities. " + campaignFormulas,
	Tags:        []string{"campaigns"}, Security: needsToken, Errors: economicsErrors, RejectUnknownQueryParameters: true,
}

var listModelsOperation = huma.Operation{
	OperationID: "list-models", Method: http.MethodGet, Path: "/api/models",
	Summary: "Models beside each other",
	Description: "What each model was used for: calls, tokens, cost of a call, of a lead and of a meeting (EUR), finish reasons, mean duration and time to the first token. " +
		"leads are those for which the model first worked in this time; a meeting is shared over the models that worked for its lead by what each of them cost.",
	Tags: []string{"campaigns"}, Security: needsToken, Errors: economicsErrors, RejectUnknownQueryParameters: true,
}

func (e *economics) campaignRoutes(api huma.API) {
	huma.Register(api, listCampaignsOperation, operation(e.listCampaigns))
	huma.Register(api, findCampaignOperation, operation(e.findCampaign))
	huma.Register(api, putCampaignOperation, operation(e.putCampaign))
	huma.Register(api, listPlatformsOperation, operation(e.listPlatforms))
	huma.Register(api, listModelsOperation, operation(e.listModels))
	huma.Register(api, compareOperation, operation(e.compare))
}

// campaignsInput is the query of GET /api/campaigns.
type campaignsInput struct {
	MonthsInput
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Rows of one page." example:"100"`
	Cursor string `query:"cursor" maxLength:"1000" doc:"next_cursor of the page before, as it stands." example:"MTIuNQBxNA"`
}

type campaignList struct {
	From            accounting.Month         `json:"from" doc:"First month." example:"2026-11"`
	To              accounting.Month         `json:"to" doc:"Last month, included." example:"2026-11"`
	Rows            []accounting.CampaignRow `json:"rows" nullable:"false"`
	FixedCost       accounting.Amount        `json:"fixed_cost" doc:"Of these months, EUR."`
	UnallocatedCost accounting.Amount        `json:"unallocated_fixed_cost" doc:"Of these, what no email can carry, EUR."`
	All             campaignTotals           `json:"all" doc:"What the rows of all pages come to."`
	NextCursor      *string                  `json:"next_cursor" doc:"Of the next page; null: this is the last one." example:"MTIuNQBxNA"`
}

// campaignTotals are what all campaigns come to.
type campaignTotals struct {
	Campaigns int64             `json:"campaigns" doc:"Rows of all pages." example:"1234"`
	AICost    accounting.Amount `json:"ai_cost" doc:"EUR."`
	Emails    int64             `json:"emails_sent" example:"90000"`
	Meetings  int64             `json:"meetings" example:"450"`
}

// fixedShares splits the fixed costs of a window over campaigns.
func (e *economics) fixedShares(ctx context.Context, w monthWindow) (shares map[string]decimal.Decimal, total, unallocated decimal.Decimal, err error) {
	months, err := e.Store.Months(ctx, w.from, w.to)
	if err != nil {
		return nil, total, unallocated, err
	}
	shares = make(map[string]decimal.Decimal)
	for i := range months {
		// Each month's costs over that month's emails: what was sent in one
		// month does not carry another's subscription.
		m := &months[i]
		emails, err := e.Store.EmailsByCampaign(ctx, accounting.DayOf(m.Month.Start()), accounting.DayOf(m.Month.End()).Add(-1))
		if err != nil {
			return nil, total, unallocated, err
		}
		parts, rest := accounting.AllocateFixed(m.Fixed, emails)
		for campaign, part := range parts {
			shares[campaign] = shares[campaign].Add(part)
		}
		total, unallocated = total.Add(m.FixedEUR()), unallocated.Add(rest)
	}
	return shares, total, unallocated, nil
}

func (e *economics) wasteBefore() accounting.Day {
	return accounting.DayOf(e.Now()).Add(-e.UnsentAfter)
}

func (e *economics) meetingValue() *accounting.MeetingValue {
	return &accounting.MeetingValue{Default: e.MeetingValue}
}

// listCampaigns answers GET /api/campaigns.
func (e *economics) listCampaigns(ctx context.Context, in *campaignsInput) (*answer[campaignList], error) {
	w, err := in.window(e.Now())
	if err != nil {
		return nil, err
	}
	reading, cancel := limited(ctx)
	defer cancel()
	shares, total, rest, err := e.fixedShares(reading, w)
	if err != nil {
		return nil, err
	}
	from, to := w.days()
	page, err := e.Store.ListCampaigns(reading, from, to, e.wasteBefore(), in.Limit, in.Cursor)
	if errors.Is(err, accounting.ErrBadCursor) {
		return nil, invalid(fieldError{Field: "cursor", Value: shown(in.Cursor), Message: "expected next_cursor of an earlier page"})
	}
	if err != nil {
		return nil, err
	}
	list := campaignList{From: w.from, To: w.to, FixedCost: accounting.Amount{Decimal: total}, UnallocatedCost: accounting.Amount{Decimal: rest}, Rows: []accounting.CampaignRow{},
		All: campaignTotals(page.All), NextCursor: orAll(page.NextCursor)}
	for i := range page.Rows {
		list.Rows = append(list.Rows, e.Targets.ReportCampaign(&page.Rows[i], shares[page.Rows[i].ID], e.meetingValue()))
	}
	return answered(list), nil
}

// campaignInput names a campaign in the path.
type campaignInput struct {
	MonthsInput
	ID string `path:"id" maxLength:"200" doc:"The campaign, as in X-Campaign-ID." example:"q4-outreach"`
}

type campaignPage struct {
	Campaign  accounting.CampaignRow   `json:"campaign"`
	Purposes  []accounting.UsageGroup  `json:"by_purpose" nullable:"false"`
	Models    []accounting.UsageGroup  `json:"by_model" nullable:"false"`
	Sequences []accounting.SequenceRow `json:"sequences" nullable:"false" doc:"The dearest, whenever they ran."`
	Waste     []accounting.WasteSum    `json:"waste" nullable:"false"`
}

// maxSequences bounds the sequences of a campaign's page.
const maxSequences = 50

// findCampaign answers GET /api/campaigns/{id}.
func (e *economics) findCampaign(ctx context.Context, in *campaignInput) (*answer[campaignPage], error) {
	w, err := in.window(e.Now())
	if err != nil {
		return nil, err
	}
	reading, cancel := limited(ctx)
	defer cancel()
	row, err := e.campaign(reading, in.ID, w)
	if err != nil {
		return nil, err
	}
	from, to := w.days()
	page := campaignPage{Campaign: row}
	if page.Purposes, page.Models, err = e.Store.CampaignUsage(reading, in.ID, from, to); err != nil {
		return nil, err
	}
	if page.Waste, err = e.Store.Waste(reading, from, to, e.wasteBefore(), &in.ID); err != nil {
		return nil, err
	}
	if page.Sequences, err = e.Store.ListSequences(reading, in.ID, maxSequences); err != nil {
		return nil, err
	}
	if page.Sequences == nil {
		page.Sequences = []accounting.SequenceRow{}
	}
	return answered(page), nil
}

// campaign is the row of one campaign; a problem if nobody knows it.
func (e *economics) campaign(ctx context.Context, id string, w monthWindow) (accounting.CampaignRow, error) {
	from, to := w.days()
	sums, err := e.Store.Campaigns(ctx, from, to, e.wasteBefore(), &id, 1)
	if err != nil {
		return accounting.CampaignRow{}, err
	}
	if len(sums) == 0 {
		return accounting.CampaignRow{}, noCampaign(id, w)
	}
	shares, _, _, err := e.fixedShares(ctx, w)
	if err != nil {
		return accounting.CampaignRow{}, err
	}
	return e.Targets.ReportCampaign(&sums[0], shares[id], e.meetingValue()), nil
}

// noCampaign is the answer to a campaign that nobody has named: most often its
// name is misspelt.
func noCampaign(id string, w monthWindow) error {
	return newProblem(http.StatusNotFound, "There is no campaign %s from %s to %s: no call or activity names it, and nothing was told about it.", shown(id), w.from, w.to)
}

// putCampaignInput is the request of PUT /api/campaigns/{id}.
type putCampaignInput struct {
	ID   string `path:"id" maxLength:"200" minLength:"1" doc:"The campaign, as in X-Campaign-ID." example:"q4-outreach"`
	Body struct {
		Name                 *string            `json:"name,omitempty" maxLength:"200" nullable:"true" doc:"Name for people." example:"Q4 outreach"`
		Platform             *string            `json:"platform,omitempty" maxLength:"200" nullable:"true" doc:"Where it is sent from." example:"instantly"`
		MeetingValue         *accounting.Amount `json:"meeting_value,omitempty" doc:"What a meeting is worth that does not tell itself, in currency." example:"2000"`
		Currency             string             `json:"currency,omitempty" enum:"EUR,USD" default:"EUR" doc:"Of meeting_value." example:"EUR"`
		TargetCostPerEmail   *accounting.Amount `json:"target_cost_per_email,omitempty" doc:"EUR." example:"0.15"`
		TargetCostPerMeeting *accounting.Amount `json:"target_cost_per_meeting,omitempty" doc:"EUR; replaces the general target in the score." example:"25"`
		Testing              bool               `json:"testing,omitempty" doc:"A test: it belongs to the testing share of the AI budget." example:"false"`
	}
}

// putCampaign answers PUT /api/campaigns/{id}.
func (e *economics) putCampaign(ctx context.Context, in *putCampaignInput) (*answer[accounting.CampaignSettings], error) {
	var wrong []fieldError
	for _, amount := range []struct {
		name  string
		value *accounting.Amount
	}{{"meeting_value", in.Body.MeetingValue}, {"target_cost_per_email", in.Body.TargetCostPerEmail}, {"target_cost_per_meeting", in.Body.TargetCostPerMeeting}} {
		if amount.value != nil && !accounting.IsTellable(amount.value.Decimal) {
			wrong = append(wrong, fieldError{Field: amount.name, Value: shownAmount(amount.value), Message: msgToldAmount, Allowed: "a number such as 25; leave it out where it is not known"})
		}
	}
	if clean, changed := accounting.CleanTag(in.ID); changed || clean != in.ID || strings.TrimSpace(in.ID) == "" {
		wrong = append(wrong, fieldError{Field: "id", Value: shown(in.ID), Message: "expected printable text of at most 200 bytes"})
	}
	if len(wrong) > 0 {
		return nil, invalid(wrong...)
	}
	writing, cancel := limited(ctx)
	defer cancel()
	stored, err := e.Store.PutCampaign(writing, accounting.CampaignSettings{
		ID: in.ID, Name: in.Body.Name, Platform: in.Body.Platform, MeetingValue: in.Body.MeetingValue, Currency: accounting.Currency(in.Body.Currency),
		TargetCostPerEmail: in.Body.TargetCostPerEmail, TargetCostPerMeeting: in.Body.TargetCostPerMeeting, Testing: in.Body.Testing,
	}, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	return answered(stored), nil
}

type platformList struct {
	From            accounting.Month         `json:"from" example:"2026-11"`
	To              accounting.Month         `json:"to" example:"2026-11"`
	Rows            []accounting.CampaignRow `json:"rows" nullable:"false" doc:"id is the platform; empty: none was named."`
	UnallocatedCost accounting.Amount        `json:"unallocated_fixed_cost" doc:"What no email can carry, EUR."`
}

// listPlatforms answers GET /api/platforms.
func (e *economics) listPlatforms(ctx context.Context, in *MonthsInput) (*answer[platformList], error) {
	w, err := in.window(e.Now())
	if err != nil {
		return nil, err
	}
	reading, cancel := limited(ctx)
	defer cancel()
	from, to := w.days()
	sums, err := e.Store.Platforms(reading, from, to, e.wasteBefore())
	if err != nil {
		return nil, err
	}
	shares, rest, err := e.platformShares(reading, w)
	if err != nil {
		return nil, err
	}
	list := platformList{From: w.from, To: w.to, Rows: []accounting.CampaignRow{}, UnallocatedCost: accounting.Amount{Decimal: rest}}
	for _, p := range sums {
		list.Rows = append(list.Rows, e.Targets.ReportCampaign(&accounting.CampaignSums{
			ID: p.Platform, AICostUSD: p.AICostUSD, AICostEUR: p.AICostEUR, Calls: p.Calls, ProcessedLeads: p.ProcessedLeads, SentLeads: p.SentLeads,
			UnsentCostEUR: p.UnsentCostEUR, Emails: p.Emails, Meetings: p.Meetings, Replies: p.Replies, Bounces: p.Bounces,
			Unsubscribes: p.Unsubscribes, Deals: p.Deals,
			ValueEUR: p.ValueEUR, MeetingsValued: p.MeetingsValued,
		}, shares[p.Platform], e.meetingValue()))
	}
	return answered(list), nil
}

// platformShares splits the fixed costs of a window over platforms: what is
// split over campaigns by their emails is so over platforms by theirs.
func (e *economics) platformShares(ctx context.Context, w monthWindow) (map[string]decimal.Decimal, decimal.Decimal, error) {
	months, err := e.Store.Months(ctx, w.from, w.to)
	if err != nil {
		return nil, decimal.Decimal{}, err
	}
	shares, rest := make(map[string]decimal.Decimal), decimal.Decimal{}
	for i := range months {
		m := &months[i]
		emails, err := e.Store.EmailsByCampaign(ctx, accounting.DayOf(m.Month.Start()), accounting.DayOf(m.Month.End()).Add(-1))
		if err != nil {
			return nil, decimal.Decimal{}, err
		}
		platforms := make(accounting.EmailsByCampaign)
		for _, sent := range emails {
			for platform, n := range sent {
				if platforms[platform] == nil {
					platforms[platform] = make(map[string]int64)
				}
				platforms[platform][platform] += n
			}
		}
		parts, unallocated := accounting.AllocateFixed(m.Fixed, platforms)
		for platform, part := range parts {
			shares[platform] = shares[platform].Add(part)
		}
		rest = rest.Add(unallocated)
	}
	return shares, rest, nil
}

type modelList struct {
	From accounting.Month       `json:"from" example:"2026-11"`
	To   accounting.Month       `json:"to" example:"2026-11"`
	Rows []accounting.ModelSums `json:"rows" nullable:"false"`
}

// listModels answers GET /api/models.
func (e *economics) listModels(ctx context.Context, in *MonthsInput) (*answer[modelList], error) {
	w, err := in.window(e.Now())
	if err != nil {
		return nil, err
	}
	reading, cancel := limited(ctx)
	defer cancel()
	from, to := w.days()
	rows, err := e.Store.Models(reading, from, to)
	if err != nil {
		return nil, err
	}
	if rows == nil {
		rows = []accounting.ModelSums{}
	}
	return answered(modelList{From: w.from, To: w.to, Rows: rows}), nil
}
