package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bursar/accounting"
)

// AlertRules watches figures. It is called concurrently and must return when ctx
// ends. Who changes a rule is named in by, for the audit log, which is written
// in the transaction of the change. A rule that is not there is
// [accounting.ErrUnknownAlertRule].
type AlertRules interface {
	// List are all rules, the built-in ones first.
	List(ctx context.Context) ([]accounting.AlertRule, error)
	Find(ctx context.Context, id string) (accounting.AlertRule, error)
	// Normalize fills in what a rule leaves open.
	Normalize(rule accounting.AlertRule) accounting.AlertRule
	// Create makes a rule. Errors: [accounting.ErrAlertRuleExists],
	// [accounting.ErrTooManyAlertRules].
	Create(ctx context.Context, rule accounting.AlertRule, by string) (accounting.AlertRule, error)
	// Change puts a rule in the place of the one with its id. Errors:
	// [accounting.ErrAlertRuleBuiltIn], [accounting.ErrAlertRuleAtOnce].
	Change(ctx context.Context, rule accounting.AlertRule, by string) (accounting.AlertRule, error)
	// Delete takes one away. Errors: [accounting.ErrAlertRuleBuiltIn].
	Delete(ctx context.Context, id, by string) error
	// Preview is what the rule would see at now, and how it stands by value.
	Preview(ctx context.Context, id string, now time.Time) (accounting.AlertRule, []accounting.RuleReading, map[string]accounting.RuleState, error)
}

const alertRulesPath = "/api/alert-rules"

const ruleMeaning = "A rule fires while its figure is above, or below, its threshold (equal is neither). Every five minutes one replica looks at all rules; what begins to fire is an alert of kind rule, " +
	"which goes the way of all alerts, is repeated at most once in quiet_hours until it clears, and then followed by one of kind rule_resolved. " +
	"Figures of a month are of the present UTC month, those of a day of the present UTC day; amounts are EUR. A figure that is not known never fires, nor does a rate of fewer processed leads than min_leads. " +
	"A rule with each looks at the 1,000 campaigns that cost most; more than three that begin at once share an alert. "

const figureMeaning = "month_total (fixed costs and AI), month_ai_cost, cost_per_email and cost_per_meeting (with fixed costs), ai_cost_per_meeting, cost_per_lead (AI cost ÷ processed leads), " +
	"waste_percent (100 × AI cost of leads unsent in time ÷ AI cost), campaign_score (0 to 100), send_rate and conversion_rate (shares: 0.85 is 85 %), ai_roi_percent (100 × value ÷ AI cost), " +
	"forecast_month_total, calls_today, spend_today, error_rate_today (a share, from 30 calls on)."

var listAlertRulesOperation = huma.Operation{
	OperationID: "list-alert-rules", Method: http.MethodGet, Path: alertRulesPath,
	Summary: "Rules that alert",
	Description: "The built-in rules of the strategy (a campaign's score below 50, waste above 30 %, a meeting above 50 EUR, the month's total above COST_ALERT_THRESHOLD), and those that people made. " + ruleMeaning +
		"A built-in rule has its threshold from setting; month-total is checked with every call and not every five minutes.",
	Tags: []string{"rules"}, Security: needsToken, Errors: economicsErrors, RejectUnknownQueryParameters: true,
}

var findAlertRuleOperation = huma.Operation{
	OperationID: "find-alert-rule", Method: http.MethodGet, Path: alertRulesPath + "/{id}",
	Summary: "One rule", Description: "A rule as it is kept. " + ruleMeaning,
	Tags: []string{"rules"}, Security: needsToken, Errors: append([]int{http.StatusNotFound}, economicsErrors...), RejectUnknownQueryParameters: true,
}

var createAlertRuleOperation = huma.Operation{
	OperationID: "create-alert-rule", Method: http.MethodPost, Path: alertRulesPath,
	Summary: "Make a rule", Description: "Its id is made from its name, unless it is given. " + ruleMeaning + "Audited.",
	Tags: []string{"rules"}, Security: needsToken, DefaultStatus: http.StatusCreated, MaxBodyBytes: 16 << 10,
	Errors: append([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusConflict, http.StatusRequestEntityTooLarge}, economicsErrors...),
}

var changeAlertRuleOperation = huma.Operation{
	OperationID: "change-alert-rule", Method: http.MethodPut, Path: alertRulesPath + "/{id}",
	Summary: "Change a rule",
	Description: "Puts this rule in the place of the one with the id. It begins anew: what was told of it is forgotten, so that it alerts again if it fires. " +
		"Of a built-in rule only enabled can differ from what GET shows: 409 otherwise. Audited.",
	Tags: []string{"rules"}, Security: needsToken, MaxBodyBytes: 16 << 10,
	Errors: append([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge}, economicsErrors...),
}

var deleteAlertRuleOperation = huma.Operation{
	OperationID: "delete-alert-rule", Method: http.MethodDelete, Path: alertRulesPath + "/{id}",
	Summary: "Delete a rule", Description: "Takes the rule away; the alerts that it has raised stay. A built-in rule cannot be deleted, but switched off. Audited.",
	Tags: []string{"rules"}, Security: needsToken, RejectUnknownQueryParameters: true,
	Errors: append([]int{http.StatusForbidden, http.StatusNotFound, http.StatusConflict}, economicsErrors...),
}

var previewAlertRuleOperation = huma.Operation{
	OperationID: "preview-alert-rule", Method: http.MethodGet, Path: alertRulesPath + "/{id}/preview",
	Summary: "Whether a rule would fire now",
	Description: "Reads the rule's figure as a look would, of every campaign if it is about each, and says whether that fires, or why it cannot. Nothing comes of it. " +
		"A rule that is disabled can be previewed too.",
	Tags: []string{"rules"}, Security: needsToken, Errors: append([]int{http.StatusNotFound}, economicsErrors...), RejectUnknownQueryParameters: true,
}

func (e *economics) alertRuleRoutes(api huma.API) {
	if e.AlertRules == nil {
		return
	}
	doc := api.OpenAPI()
	doc.Tags = append(doc.Tags, &huma.Tag{Name: "rules", Description: "What figures raise alerts."})
	huma.Register(api, listAlertRulesOperation, operation(e.listAlertRules))
	huma.Register(api, createAlertRuleOperation, operation(e.createAlertRule))
	huma.Register(api, findAlertRuleOperation, operation(e.findAlertRule))
	huma.Register(api, changeAlertRuleOperation, operation(e.changeAlertRule))
	huma.Register(api, deleteAlertRuleOperation, operation(e.deleteAlertRule))
	huma.Register(api, previewAlertRuleOperation, operation(e.previewAlertRule))
	describeAlertRules(api)
}

type alertRuleList struct {
	Rules []accounting.AlertRule `json:"rules" nullable:"false" doc:"The built-in ones first."`
}

// listAlertRules answers GET /api/alert-rules.
func (e *economics) listAlertRules(ctx context.Context, _ *noInput) (*answer[alertRuleList], error) {
	reading, cancel := limited(ctx)
	defer cancel()
	rules, err := e.AlertRules.List(reading)
	if err != nil {
		return nil, err
	}
	return answered(alertRuleList{Rules: orEmpty(rules)}), nil
}

// alertRuleInput names a rule in the path.
type alertRuleInput struct {
	ID string `path:"id" maxLength:"80" doc:"The rule." example:"waste"`
}

// findAlertRule answers GET /api/alert-rules/{id}.
func (e *economics) findAlertRule(ctx context.Context, in *alertRuleInput) (*answer[accounting.AlertRule], error) {
	reading, cancel := limited(ctx)
	defer cancel()
	rule, err := e.AlertRules.Find(reading, in.ID)
	if err != nil {
		return nil, ruleProblem(err, in.ID)
	}
	return answered(rule), nil
}

// alertRuleBody is a rule as it is sent.
type alertRuleBody struct {
	ID         *string           `json:"id,omitempty" maxLength:"80" nullable:"true" doc:"Lower-case letters, digits and hyphens. Absent: made from name. With PUT it is that of the address." example:"send-rate-heyreach"`
	Name       string            `json:"name" minLength:"1" maxLength:"200" doc:"Name for people." example:"Send rate on HeyReach"`
	Figure     string            `json:"figure" maxLength:"50" enum:"month_total,month_ai_cost,cost_per_email,cost_per_meeting,ai_cost_per_meeting,cost_per_lead,waste_percent,campaign_score,send_rate,conversion_rate,ai_roi_percent,forecast_month_total,calls_today,spend_today,error_rate_today" doc:"What is watched." example:"send_rate"`
	Scope      *alertRuleScope   `json:"scope,omitempty" doc:"What the figure is of: at most one. Absent or empty: everything."`
	Each       *string           `json:"each,omitempty" maxLength:"20" nullable:"true" doc:"campaign_id: every campaign by itself. Absent, null or empty: the scope as a whole."`
	Comparison string            `json:"comparison" enum:"above,below" doc:"On which side of the threshold the figure is an alert." example:"below"`
	Threshold  accounting.Amount `json:"threshold" doc:"In the figure's unit, 0 to 9000000." example:"0.7"`
	Severity   string            `json:"severity,omitempty" enum:"info,warning,critical" default:"warning" doc:"Of its alerts." example:"warning"`
	MinLeads   int64             `json:"min_leads,omitempty" minimum:"0" maximum:"1000000" doc:"Of rates: processed leads below which the figure says nothing. Absent or 0: BURSAR_ECONOMICS_MIN_LEADS." example:"30"`
	QuietHours int               `json:"quiet_hours,omitempty" minimum:"0" maximum:"720" doc:"At most one alert in so many hours, for each campaign. Absent or 0: 24." example:"24"`
	Enabled    *bool             `json:"enabled,omitempty" doc:"Absent: true." example:"true"`

	// What GET shows besides, so that it can be sent back as it is.
	BuiltIn   bool       `json:"built_in,omitempty" doc:"Passed over." example:"false"`
	Setting   string     `json:"setting,omitempty" maxLength:"100" doc:"Passed over."`
	CreatedAt *time.Time `json:"created_at,omitempty" nullable:"true" doc:"Passed over."`
	UpdatedAt *time.Time `json:"updated_at,omitempty" nullable:"true" doc:"Passed over."`
}

// alertRuleScope is the scope of a rule as it is sent.
type alertRuleScope struct {
	CampaignID string `json:"campaign_id,omitempty" maxLength:"200" doc:"A campaign, as in X-Campaign-ID."`
	Platform   string `json:"platform,omitempty" maxLength:"200" doc:"A platform, as in X-Platform." example:"heyreach"`
	Model      string `json:"model,omitempty" maxLength:"200" doc:"A model, as it served."`
}

// rule is the body as the domain knows it; id, if not empty, is that of the
// address.
func (e *economics) rule(b *alertRuleBody, id string) (accounting.AlertRule, error) {
	r := accounting.AlertRule{
		ID: deref(b.ID), Name: b.Name, Figure: accounting.AlertFigure(b.Figure), Each: accounting.Each(deref(b.Each)),
		Comparison: accounting.Comparison(b.Comparison), Threshold: b.Threshold, Severity: accounting.Severity(b.Severity),
		MinLeads: b.MinLeads, QuietHours: b.QuietHours, Enabled: b.Enabled == nil || *b.Enabled,
	}
	if s := b.Scope; s != nil {
		r.Scope = accounting.RuleScope{CampaignID: s.CampaignID, Platform: s.Platform, Model: s.Model}
	}
	if id != "" {
		if r.ID != "" && r.ID != id {
			return r, invalid(fieldError{Field: "id", Value: shown(r.ID), Message: "is not the rule of the address", Allowed: id + ", or leave it out"})
		}
		r.ID = id
	}
	r = e.AlertRules.Normalize(r)
	return r, problemIf(wrongFields(r.Validate()))
}

// createAlertRuleInput is the request of POST /api/alert-rules.
type createAlertRuleInput struct {
	Body alertRuleBody
}

type createdAlertRuleOutput struct {
	Location string `header:"Location" doc:"Address of the rule."`
	Body     envelope[accounting.AlertRule]
}

// createAlertRule answers POST /api/alert-rules.
func (e *economics) createAlertRule(ctx context.Context, in *createAlertRuleInput) (*createdAlertRuleOutput, error) {
	rule, err := e.rule(&in.Body, "")
	if err != nil {
		return nil, err
	}
	writing, cancel := limited(ctx)
	defer cancel()
	made, err := e.AlertRules.Create(writing, rule, actorOf(ctx))
	if err != nil {
		return nil, ruleProblem(err, rule.ID)
	}
	return &createdAlertRuleOutput{Location: alertRulesPath + "/" + made.ID, Body: envelope[accounting.AlertRule]{Success: true, Data: made}}, nil
}

// changeAlertRuleInput is the request of PUT /api/alert-rules/{id}.
type changeAlertRuleInput struct {
	ID   string `path:"id" maxLength:"80" minLength:"1" doc:"The rule." example:"send-rate-heyreach"`
	Body alertRuleBody
}

// changeAlertRule answers PUT /api/alert-rules/{id}.
func (e *economics) changeAlertRule(ctx context.Context, in *changeAlertRuleInput) (*answer[accounting.AlertRule], error) {
	rule, err := e.rule(&in.Body, in.ID)
	if err != nil {
		return nil, err
	}
	writing, cancel := limited(ctx)
	defer cancel()
	changed, err := e.AlertRules.Change(writing, rule, actorOf(ctx))
	if err != nil {
		return nil, ruleProblem(err, in.ID)
	}
	return answered(changed), nil
}

type deletedRule struct {
	ID string `json:"id" doc:"The rule that is gone." example:"send-rate-heyreach"`
}

// deleteAlertRule answers DELETE /api/alert-rules/{id}.
func (e *economics) deleteAlertRule(ctx context.Context, in *alertRuleInput) (*answer[deletedRule], error) {
	writing, cancel := limited(ctx)
	defer cancel()
	if err := e.AlertRules.Delete(writing, in.ID, actorOf(ctx)); err != nil {
		return nil, ruleProblem(err, in.ID)
	}
	return answered(deletedRule{ID: in.ID}), nil
}

// ruleProblem is what a client is told about an error of a rule.
func ruleProblem(err error, id string) error {
	switch {
	case errors.Is(err, accounting.ErrUnknownAlertRule):
		return newProblem(http.StatusNotFound, "There is no alert rule %s. GET %s lists those there are.", shown(id), alertRulesPath)
	case errors.Is(err, accounting.ErrAlertRuleExists):
		return newProblem(http.StatusConflict, "There is an alert rule %s. Change it with PUT, or choose another name or id.", shown(id))
	case errors.Is(err, accounting.ErrTooManyAlertRules):
		return newProblem(http.StatusConflict, "There are %d alert rules, which is the most there can be: delete one that is of no use.", accounting.MaxAlertRules)
	case errors.Is(err, accounting.ErrAlertRuleBuiltIn):
		return newProblem(http.StatusConflict, "The rule %s is built in: it can be switched off and on by enabled, and its threshold is set by the variable that its setting names. For another one make a rule of your own.", shown(id))
	case errors.Is(err, accounting.ErrAlertRuleAtOnce):
		return newProblem(http.StatusConflict, "The rule %s is checked with every call and follows COST_ALERT_THRESHOLD; 0 there switches it off.", shown(id))
	}
	return err
}
