package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakeRules has the built-in rules and keeps others as it is promised.
type fakeRules struct {
	own []accounting.AlertRule
	by  []string
}

func (f *fakeRules) List(context.Context) ([]accounting.AlertRule, error) {
	return append(accounting.BuiltInRules(accounting.DefaultRuleThresholds(), 30), f.own...), nil
}

func (f *fakeRules) Find(ctx context.Context, id string) (accounting.AlertRule, error) {
	all, _ := f.List(ctx)
	for _, r := range all {
		if r.ID == id {
			return r, nil
		}
	}
	return accounting.AlertRule{}, accounting.ErrUnknownAlertRule
}

func (f *fakeRules) Normalize(r accounting.AlertRule) accounting.AlertRule {
	return accounting.NormalizeAlertRule(r, 30)
}

func (f *fakeRules) Create(ctx context.Context, r accounting.AlertRule, by string) (accounting.AlertRule, error) {
	if _, err := f.Find(ctx, r.ID); err == nil {
		return r, accounting.ErrAlertRuleExists
	}
	if len(f.own) >= 2 {
		return r, accounting.ErrTooManyAlertRules
	}
	f.own, f.by = append(f.own, r), append(f.by, by)
	return r, nil
}

func (f *fakeRules) Change(ctx context.Context, r accounting.AlertRule, by string) (accounting.AlertRule, error) {
	before, err := f.Find(ctx, r.ID)
	switch {
	case err != nil:
		return r, err
	case before.AtOnce():
		return r, accounting.ErrAlertRuleAtOnce
	case before.BuiltIn && !r.Threshold.Equal(before.Threshold.Decimal):
		return r, accounting.ErrAlertRuleBuiltIn
	}
	f.by = append(f.by, by)
	return r, nil
}

func (f *fakeRules) Delete(ctx context.Context, id, by string) error {
	r, err := f.Find(ctx, id)
	if err == nil && r.BuiltIn {
		err = accounting.ErrAlertRuleBuiltIn
	}
	f.by = append(f.by, by)
	return err
}

func (f *fakeRules) Preview(ctx context.Context, id string, _ time.Time) (accounting.AlertRule, []accounting.RuleReading, map[string]accounting.RuleState, error) {
	r, err := f.Find(ctx, id)
	figure := accounting.Amount{Decimal: decimal.RequireFromString("42.5")}
	since := economicsNow.Add(-time.Hour)
	readings := []accounting.RuleReading{{Value: "too-small", Reason: "It is of 3 processed leads, and the rule needs 30."}, {Value: "fine"}, {Value: "q4", Figure: &figure, Fires: true}}
	for range 200 {
		readings = append(readings, accounting.RuleReading{Value: "more"})
	}
	return r, readings, map[string]accounting.RuleState{"q4": {Firing: true, Since: since, NotifiedAt: &since}, "fine": {Since: since, NotifiedAt: &since}}, err
}

func rulesHandler(t *testing.T, f *fakeRules) *Handler {
	return newEconomicsHandler(t, &fakeEconomics{}, func(o *EconomicsOptions) { o.AlertRules = f })
}

func TestRulesAreListedMadeChangedAndDeleted(t *testing.T) {
	f := &fakeRules{}
	h := rulesHandler(t, f)
	rules := ask(t, h, "GET", "/api/alert-rules", "", 200)["rules"].([]any)
	require.Len(t, rules, 4)
	require.Equal(t, true, rules[0].(map[string]any)["built_in"])
	require.Equal(t, "BURSAR_ALERTS_WASTE_PERCENT", rules[1].(map[string]any)["setting"])

	made := ask(t, h, "POST", "/api/alert-rules", `{"name":"Send rate on HeyReach","figure":"send_rate","scope":{"platform":"heyreach"},"comparison":"below","threshold":0.7}`, 201)
	require.Equal(t, "send-rate-on-heyreach", made["id"])
	require.Equal(t, "warning", made["severity"])
	require.Equal(t, json.Number("24"), made["quiet_hours"])
	require.Equal(t, json.Number("30"), made["min_leads"])
	require.Equal(t, json.Number("0.7"), made["threshold"])
	require.Equal(t, true, made["enabled"])
	require.Equal(t, map[string]any{"platform": "heyreach"}, made["scope"])
	require.Equal(t, accounting.EachNone, f.own[0].Each)
	ask(t, h, "GET", "/api/alert-rules/send-rate-on-heyreach", "", 200)

	// What GET shows can be sent back.
	sent, err := json.Marshal(made)
	require.NoError(t, err)
	ask(t, h, "PUT", "/api/alert-rules/send-rate-on-heyreach", string(sent), 200)
	waste := rules[1].(map[string]any)
	waste["enabled"] = false
	sent, err = json.Marshal(waste)
	require.NoError(t, err)
	require.Equal(t, false, ask(t, h, "PUT", "/api/alert-rules/waste", string(sent), 200)["enabled"])
	require.Equal(t, "send-rate-on-heyreach", ask(t, h, "DELETE", "/api/alert-rules/send-rate-on-heyreach", "", 200)["id"])
	require.Equal(t, []string{"loopback", "loopback", "loopback", "loopback"}, f.by)
}

func TestAWrongRuleIsRefusedWithTheFieldAndTheWayOut(t *testing.T) {
	h := rulesHandler(t, &fakeRules{})
	for body, want := range map[string]struct{ field, message string }{
		`{"name":"x","figure":"luck","comparison":"above","threshold":1}`:                                                                  {"body.figure", "expected one of"},
		`{"name":"x","figure":"month_total","comparison":"beside","threshold":1}`:                                                          {"body.comparison", "expected one of"},
		`{"name":"x","figure":"month_total","comparison":"above","threshold":-1}`:                                                          {"threshold", "want 0 to 9000000"},
		`{"name":"x","figure":"month_total","comparison":"above","threshold":1,"each":"campaign_id"}`:                                      {"scope", "want it of everything"},
		`{"name":"x","figure":"send_rate","comparison":"above","threshold":1,"each":"lead_id"}`:                                            {"each", "want campaign_id"},
		`{"name":"x","figure":"calls_today","comparison":"above","threshold":1,"scope":{"model":"m","platform":"p"}}`:                      {"scope", "at most one"},
		`{"name":"x","id":"No Slug","figure":"calls_today","comparison":"above","threshold":1}`:                                            {"id", "want lower-case letters"},
		`{"name":"x","figure":"calls_today","comparison":"above","threshold":1,"scope":{"campaign_id":" x"},"extra":1}`:                    {"body.extra", "there is no such field"},
		`{"name":"x","figure":"calls_today","comparison":"above","threshold":1,"scope":{"campaign_id":"sk-or-v1-0123456789abcdef\u0007"}}`: {"scope.campaign_id", "want at most 200 bytes"},
	} {
		problem := ask(t, h, "POST", "/api/alert-rules", body, http.StatusUnprocessableEntity)
		first := problem["errors"].([]any)[0].(map[string]any)
		require.Contains(t, want.field, first["field"], body)
		require.Contains(t, first["message"], want.message, body)
		require.NotContains(t, fmt.Sprint(problem), "sk-or", body)
	}
	problem := ask(t, h, "PUT", "/api/alert-rules/a", `{"id":"b","name":"x","figure":"calls_today","comparison":"above","threshold":1}`, 422)
	require.Equal(t, "id", problem["errors"].([]any)[0].(map[string]any)["field"])
}

func TestWhatCannotBeDoneToARuleIsSaidWithTheWayOut(t *testing.T) {
	h := rulesHandler(t, &fakeRules{own: make([]accounting.AlertRule, 2)})
	body := func(threshold string) string {
		return `{"name":"Waste","figure":"waste_percent","comparison":"above","threshold":` + threshold + `}`
	}
	for _, tt := range []struct {
		method, path, body string
		status             int
		detail             string
	}{
		{"GET", "/api/alert-rules/gone", "", 404, "GET /api/alert-rules lists"},
		{"GET", "/api/alert-rules/gone/preview", "", 404, "no alert rule gone"},
		{"PUT", "/api/alert-rules/gone", body("1"), 404, "no alert rule gone"},
		{"DELETE", "/api/alert-rules/gone", "", 404, "no alert rule gone"},
		{"POST", "/api/alert-rules", body("1"), 409, "There is an alert rule waste"},
		{"POST", "/api/alert-rules", `{"name":"One more","figure":"calls_today","comparison":"above","threshold":1}`, 409, "delete one"},
		{"PUT", "/api/alert-rules/waste", body("31"), 409, "is built in"},
		{"PUT", "/api/alert-rules/month-total", body("1"), 409, "COST_ALERT_THRESHOLD"},
		{"DELETE", "/api/alert-rules/waste", "", 409, "is built in"},
	} {
		require.Contains(t, ask(t, h, tt.method, tt.path, tt.body, tt.status)["detail"], tt.detail, "%s %s", tt.method, tt.path)
	}
}

func TestAPreviewShowsWhatFiresFirstAndSinceWhen(t *testing.T) {
	preview := ask(t, rulesHandler(t, &fakeRules{}), "GET", "/api/alert-rules/campaign-score/preview", "", 200)
	require.Equal(t, true, preview["fires"])
	require.Equal(t, "points", preview["unit"])
	require.NotEmpty(t, preview["formula"])
	require.Equal(t, json.Number("203"), preview["read"])
	readings := preview["readings"].([]any)
	require.Len(t, readings, 100)
	first := readings[0].(map[string]any)
	require.Equal(t, "q4", first["value"])
	require.Equal(t, json.Number("42.5"), first["figure"])
	require.Equal(t, "2026-11-22T09:00:00Z", first["since"])
	second := readings[1].(map[string]any)
	require.Nil(t, second["since"])
	require.NotNil(t, second["notified_at"])
}

func TestTheFiguresThatCanBeAskedForAreThoseThereAre(t *testing.T) {
	for _, figure := range accounting.AlertFigures() {
		h := rulesHandler(t, &fakeRules{})
		scope := ""
		if figure == accounting.FigureCampaignScore || figure == accounting.FigureAICostPerMeeting {
			scope = `,"each":"campaign_id"`
		}
		ask(t, h, "POST", "/api/alert-rules", `{"name":"x","figure":"`+string(figure)+`","comparison":"above","threshold":1`+scope+`}`, 201)
		require.Contains(t, figureMeaning, string(figure))
	}
}
