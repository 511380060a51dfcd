package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakeEconomics answers with what it was given and remembers what it was asked.
type fakeEconomics struct {
	months    []accounting.MonthReport
	daily     []accounting.DailySeries
	report    accounting.UsageReport
	campaigns []accounting.CampaignSums
	emails    accounting.EmailsByCampaign
	models    []accounting.ModelSums
	platforms []accounting.PlatformSums // nil: one
	leads     []accounting.LeadRow
	waste     []accounting.WasteSum

	mu       sync.Mutex
	recorded []accounting.CampaignActivity
	known    map[string]bool
	asked    []string
	put      accounting.CampaignSettings
}

func (f *fakeEconomics) ask(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
}

func (f *fakeEconomics) Months(_ context.Context, from, to accounting.Month) ([]accounting.MonthReport, error) {
	f.ask("months %s %s", from, to)
	var list []accounting.MonthReport
	for m := from; !to.Before(m); m = m.Next() {
		r := accounting.MonthReport{MonthFigures: accounting.MonthFigures{Month: m, USDToEUR: decimal.RequireFromString("0.92"), Fixed: []accounting.FixedCost{
			{Name: accounting.FixedInstantly, EUR: decimal.NewFromInt(75), Platform: accounting.PlatformInstantly}, {Name: accounting.FixedWorkspace, EUR: decimal.NewFromInt(48)}}}}
		for _, known := range f.months {
			if known.Month == m {
				r = known
			}
		}
		list = append(list, r)
	}
	return list, nil
}

func (f *fakeEconomics) UsageReport(_ context.Context, from, to accounting.Day) (accounting.UsageReport, error) {
	f.ask("usage %s %s", from, to)
	r := f.report
	r.From, r.To = from, to
	return r, nil
}

func (f *fakeEconomics) DailyCosts(_ context.Context, from, to accounting.Day, by accounting.DailyDimension, names []string, limit int) ([]accounting.DailySeries, error) {
	f.ask("daily %s %s by %s of %v limit %d", from, to, by, names, limit)
	return f.daily, nil
}

func (f *fakeEconomics) Campaigns(_ context.Context, from, to, wasteBefore accounting.Day, id *string, limit int) ([]accounting.CampaignSums, error) {
	f.ask("campaigns %s %s waste %s limit %d", from, to, wasteBefore, limit)
	var list []accounting.CampaignSums
	for _, c := range f.campaigns {
		if id == nil || c.ID == *id {
			list = append(list, c)
		}
	}
	return list, nil
}

func (f *fakeEconomics) ListCampaigns(ctx context.Context, from, to, wasteBefore accounting.Day, limit int, cursor string) (accounting.CampaignPage, error) {
	list, err := f.Campaigns(ctx, from, to, wasteBefore, nil, limit)
	if err != nil {
		return accounting.CampaignPage{}, err
	}
	page := accounting.CampaignPage{All: accounting.CampaignTotals{Campaigns: int64(len(list))}}
	for i := range list {
		page.All.AICost = accounting.Amount{Decimal: page.All.AICost.Add(list[i].AICostEUR.Decimal)}
		page.All.Emails, page.All.Meetings = page.All.Emails+list[i].Emails, page.All.Meetings+list[i].Meetings
	}
	start := 0
	if cursor != "" {
		if start, err = strconv.Atoi(cursor); err != nil {
			return accounting.CampaignPage{}, accounting.ErrBadCursor
		}
	}
	if page.Rows = list[start:]; len(page.Rows) > limit {
		page.Rows, page.NextCursor = page.Rows[:limit], strconv.Itoa(start+limit)
	}
	return page, nil
}

func (f *fakeEconomics) EmailsByCampaign(context.Context, accounting.Day, accounting.Day) (accounting.EmailsByCampaign, error) {
	return f.emails, nil
}

func (f *fakeEconomics) CampaignUsage(context.Context, string, accounting.Day, accounting.Day) (purposes, models []accounting.UsageGroup, err error) {
	return []accounting.UsageGroup{}, []accounting.UsageGroup{}, nil
}

func (f *fakeEconomics) PutCampaign(_ context.Context, c accounting.CampaignSettings, by string) (accounting.CampaignSettings, error) {
	f.ask("put %s by %s", c.ID, by)
	f.put = c
	return c, nil
}

func (f *fakeEconomics) Platforms(context.Context, accounting.Day, accounting.Day, accounting.Day) ([]accounting.PlatformSums, error) {
	if f.platforms != nil {
		return f.platforms, nil
	}
	return []accounting.PlatformSums{{Platform: "instantly", Emails: 10, Unsubscribes: 2, Deals: 3}}, nil
}

func (f *fakeEconomics) Models(context.Context, accounting.Day, accounting.Day) ([]accounting.ModelSums, error) {
	return f.models, nil
}

func (f *fakeEconomics) ListSequences(context.Context, string, int) ([]accounting.SequenceRow, error) {
	return nil, nil
}

func (f *fakeEconomics) ListLeads(_ context.Context, filter accounting.LeadFilter) (accounting.LeadPage, error) {
	campaign := "any"
	if filter.CampaignID != nil {
		campaign = fmt.Sprintf("%q", *filter.CampaignID)
	}
	f.ask("leads of %s state %q limit %d", campaign, filter.State, filter.Limit)
	if filter.Cursor == "bad" {
		return accounting.LeadPage{}, accounting.ErrBadCursor
	}
	return accounting.LeadPage{Rows: f.leads, NextCursor: "next"}, nil
}

func (f *fakeEconomics) FindLead(_ context.Context, id string) ([]accounting.LeadRow, error) {
	var list []accounting.LeadRow
	for _, l := range f.leads {
		if l.LeadID == id {
			list = append(list, l)
		}
	}
	if list == nil {
		return nil, accounting.ErrUnknownLead
	}
	return list, nil
}

func (f *fakeEconomics) FindEmail(context.Context, string) ([]accounting.EmailRow, error) {
	return nil, accounting.ErrUnknownEmail
}

func (f *fakeEconomics) ListActivities(_ context.Context, _, email string, _ int) ([]accounting.ActivityRow, error) {
	if email == "sent-only" {
		return []accounting.ActivityRow{{ID: "a", Type: accounting.EmailSent}}, nil
	}
	return nil, nil
}

func (f *fakeEconomics) Waste(context.Context, accounting.Day, accounting.Day, accounting.Day, *string) ([]accounting.WasteSum, error) {
	return f.waste, nil
}

func (f *fakeEconomics) RecordActivities(_ context.Context, list []accounting.CampaignActivity) ([]accounting.RecordedActivity, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []accounting.RecordedActivity
	for _, a := range list {
		if f.known == nil {
			f.known = map[string]bool{}
		}
		out = append(out, accounting.RecordedActivity{ID: a.ID, New: a.ID == "" || !f.known[a.ID], Booked: accounting.MonthOf(a.OccurredAt)})
		f.known[a.ID] = true
		f.recorded = append(f.recorded, a)
	}
	return out, nil
}

func (f *fakeEconomics) ReverseActivity(_ context.Context, id, by string) (accounting.CampaignActivity, error) {
	if !f.known[id] {
		return accounting.CampaignActivity{}, accounting.ErrUnknownActivity
	}
	f.ask("reverse %s by %s", id, by)
	return accounting.CampaignActivity{ID: id, Type: accounting.EmailSent}, nil
}

var economicsNow = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func newEconomicsHandler(t *testing.T, f *fakeEconomics, change func(*EconomicsOptions)) *Handler {
	t.Helper()
	o := EconomicsOptions{Store: f, Targets: accounting.DefaultTargets(), UnsentAfter: 14, Rate: decimal.RequireFromString("0.92"), Now: func() time.Time { return economicsNow }}
	if change != nil {
		change(&o)
	}
	h, err := New(Options{Usage: &fakeUsage{}, Decisions: &fakeDecisions{}, Audit: &fakeAudit{}, Gatherer: prometheus.NewRegistry(), Economics: &o})
	require.NoError(t, err)
	return h
}

// ask sends a request and decodes the answer's data.
func ask(t *testing.T, h http.Handler, method, path, body string, status int) map[string]any {
	t.Helper()
	r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, status, w.Code, w.Body)
	var out map[string]any
	decoder := json.NewDecoder(w.Body)
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&out))
	require.Equal(t, status < 300, out["success"])
	if data, ok := out["data"].(map[string]any); ok {
		return data
	}
	return out
}

func goldenMonth() accounting.MonthReport {
	f := &fakeEconomics{}
	months, _ := f.Months(context.Background(), accounting.MonthOf(economicsNow), accounting.MonthOf(economicsNow))
	m := months[0]
	m.OpenRouterUSD, m.EmailsSent, m.MeetingsBooked = decimal.RequireFromString("5.50"), 100, 5
	return m
}

func TestTheDashboardShowsTheGoldenMonth(t *testing.T) {
	f := &fakeEconomics{months: []accounting.MonthReport{goldenMonth()}}
	h := newEconomicsHandler(t, f, func(o *EconomicsOptions) {
		o.RemainingCredits = func(context.Context) accounting.Optional[decimal.Decimal] {
			return accounting.Some(decimal.RequireFromString("94.5"))
		}
	})
	data := ask(t, h, "GET", "/api/costs/dashboard-metrics", "", 200)
	require.Equal(t, json.Number("1.2806"), data["costPerEmail"])
	require.Equal(t, json.Number("25.612"), data["costPerMeeting"])
	require.Equal(t, json.Number("128.06"), data["totalMonthlySpend"])
	breakdown := data["costBreakdown"].(map[string]any)
	require.Equal(t, map[string]any{"instantly": json.Number("75"), "googleWorkspace": json.Number("48"), "total": json.Number("123")}, breakdown["fixed"])
	require.Equal(t, map[string]any{"openRouter": json.Number("5.06"), "total": json.Number("5.06")}, breakdown["variable"])
	require.Equal(t, json.Number("94.5"), data["remainingCredits"])
	require.Equal(t, json.Number("0.92"), data["exchangeRate"])
	require.Equal(t, "2026-11-22T10:00:00Z", data["lastUpdated"])
}

func TestTheDashboardIsKeptForAMinuteAndDroppedByAnActivity(t *testing.T) {
	now := economicsNow
	f := &fakeEconomics{}
	h := newEconomicsHandler(t, f, func(o *EconomicsOptions) { o.Now = func() time.Time { return now } })
	require.Nil(t, ask(t, h, "GET", "/api/costs/dashboard-metrics", "", 200)["costPerEmail"], "nothing was sent")
	f.months = []accounting.MonthReport{goldenMonth()}
	require.Nil(t, ask(t, h, "GET", "/api/costs/dashboard-metrics", "", 200)["costPerEmail"], "kept")
	ask(t, h, "POST", "/api/costs/record-activity", `{"type":"email_sent","campaignId":"c"}`, 200)
	require.Equal(t, json.Number("1.2806"), ask(t, h, "GET", "/api/costs/dashboard-metrics", "", 200)["costPerEmail"])
	f.months = nil
	now = now.Add(61 * time.Second)
	require.Nil(t, ask(t, h, "GET", "/api/costs/dashboard-metrics", "", 200)["costPerEmail"], "a minute is over")
	f.months = []accounting.MonthReport{goldenMonth()}
	h.CostsChanged()
	require.NotNil(t, ask(t, h, "GET", "/api/costs/dashboard-metrics", "", 200)["costPerEmail"], "somebody else has recorded something")
}

func TestAnActivityIsRecordedAsTheFoundingDocumentSendsIt(t *testing.T) {
	f := &fakeEconomics{}
	h := newEconomicsHandler(t, f, nil)
	data := ask(t, h, "POST", "/api/costs/record-activity", `{"type":"email_sent","campaignId":"campaign-123","metadata":{"emailType":"follow-up","step":2}}`, 200)
	require.Equal(t, json.Number("1"), data["recorded"])
	require.Equal(t, accounting.CampaignActivity{Type: accounting.EmailSent, CampaignID: "campaign-123", Source: "api", OccurredAt: economicsNow,
		Metadata: map[string]string{"emailType": "follow-up", "step": "2"}}, f.recorded[0])

	body := `{"activities":[{"id":"a","type":"meeting_booked","leadId":"l","value":2000.10,"currency":"USD","occurredAt":"2026-11-20T09:00:00+02:00"},{"id":"a","type":"meeting_booked"}]}`
	data = ask(t, h, "POST", "/api/costs/record-activity", body, 200)
	require.Equal(t, json.Number("1"), data["known"])
	require.Equal(t, "2000.1", f.recorded[1].Value.Value.String())
	require.Equal(t, accounting.USD, f.recorded[1].Currency)
	require.Equal(t, "2026-11-20T07:00:00Z", f.recorded[1].OccurredAt.Format(time.RFC3339))

	ask(t, h, "POST", "/api/leads/ada/converted", `{"campaignId":"q4"}`, 200)
	last := f.recorded[len(f.recorded)-1]
	require.Equal(t, []string{"meeting_booked", "ada", "q4", "lead"}, []string{string(last.Type), last.LeadID, last.CampaignID, last.Source})
	ask(t, h, "POST", "/api/leads/ada/sent", "", 200)
	last = f.recorded[len(f.recorded)-1]
	require.Equal(t, []string{"email_sent", "ada", ""}, []string{string(last.Type), last.LeadID, last.CampaignID}, "the path says it all")
	ask(t, h, "POST", "/api/leads/activities", `{"activities":[{"type":"email_sent","leadId":"bob"}]}`, 200)
	ask(t, h, "DELETE", "/api/activities/a", "", 200)
	require.Contains(t, f.asked, "reverse a by loopback")
	ask(t, h, "DELETE", "/api/activities/nothing", "", 404)
}

func TestBadActivitiesAreNamedAndNoneIsRecorded(t *testing.T) {
	f := &fakeEconomics{}
	h := newEconomicsHandler(t, f, nil)
	for body, field := range map[string]string{
		`{}`:                                   "type",
		`{"type":"email_sent","value":1}`:      "value",
		`{"type":"meeting_booked","value":-1}`: "value",
		`{"type":"meeting_booked","currency":"EUR"}`:                                  "currency",
		`{"type":"email_sent","occurredAt":"2026-12-01T00:00:00Z"}`:                   "occurredAt",
		`{"type":"email_sent","occurredAt":"1999-12-01T00:00:00Z"}`:                   "occurredAt",
		`{"type":"email_sent","leadId":" ada"}`:                                       "leadId",
		`{"type":"email_sent","metadata":{"x":"` + strings.Repeat("y", 300) + `"}}`:   "metadata",
		`{"activities":[{"type":"email_sent"},{"type":"meeting_booked","value":-3}]}`: "activities[1].value",
		`{"type":"email_sent","activities":[{"type":"email_sent"}]}`:                  "activities",
		`{"type":"email_snet"}`:                                                       "type",
		`{"type":"email_sent","campaign":"q4"}`:                                       "campaign",
	} {
		out := ask(t, h, "POST", "/api/costs/record-activity", body, 422)
		errs, _ := json.Marshal(out["errors"])
		require.Contains(t, string(errs), field, body)
	}
	ask(t, h, "POST", "/api/costs/record-activity", `{"type":"email_sent","campaignId":"`+strings.Repeat("x", 10<<20)+`"}`, 413)
	require.Empty(t, f.recorded)
}

func TestReportsAskForTheDaysThatWereMeant(t *testing.T) {
	for query, want := range map[string]string{
		"":        "usage 2026-10-24 2026-11-22",
		"?days=1": "usage 2026-11-22 2026-11-22",
		"?start_date=2026-11-01&end_date=2026-11-30": "usage 2026-11-01 2026-11-30",
		"?start_date=2026-11-01T10:00:00Z":           "usage 2026-11-01 2026-11-22",
		"?end_date=2026-11-10&days=3":                "usage 2026-11-08 2026-11-10",
		"?start_date=2026-02-28&end_date=2026-02-28": "usage 2026-02-28 2026-02-28",
	} {
		f := &fakeEconomics{}
		ask(t, newEconomicsHandler(t, f, nil), "GET", "/api/costs/usage-report"+query, "", 200)
		require.Equal(t, []string{want}, f.asked, query)
	}
	h := newEconomicsHandler(t, &fakeEconomics{}, nil)
	for _, query := range []string{
		"?days=0", "?days=401", "?start_date=2026-11-02&end_date=2026-11-01", "?start_date=yesterday", "?start_date=2026-02-30",
		"?days=3&start_date=2026-11-01", "?start_date=2020-01-01", "?day=3", "?days=3&days=4",
	} {
		ask(t, h, "GET", "/api/costs/usage-report"+query, "", 422)
	}
	for _, query := range []string{"?months=0", "?months=25", "?months=x"} {
		ask(t, h, "GET", "/api/costs/trends"+query, "", 422)
	}
	for _, query := range []string{"?from=2027-01", "?from=2026-11&to=2026-10", "?from=2020-01&to=2026-11", "?from=november"} {
		ask(t, h, "GET", "/api/campaigns"+query, "", 422)
	}
}

func TestTrendsAreTheMonthsUpToNow(t *testing.T) {
	f := &fakeEconomics{months: []accounting.MonthReport{goldenMonth()}}
	months := ask(t, newEconomicsHandler(t, f, nil), "GET", "/api/costs/trends", "", 200)["months"].([]any)
	require.Len(t, months, 6)
	first, last := months[0].(map[string]any), months[5].(map[string]any)
	require.Equal(t, "2026-06", first["month"])
	require.Equal(t, json.Number("123"), first["totalCost"])
	require.Nil(t, first["costPerEmail"])
	require.Equal(t, json.Number("128.06"), last["totalCost"])
}

func TestCampaignsAddUpAndAreJudged(t *testing.T) {
	eur := func(s string) accounting.Amount { return accounting.Amount{Decimal: decimal.RequireFromString(s)} }
	value := eur("1000")
	f := &fakeEconomics{
		campaigns: []accounting.CampaignSums{
			{ID: "q4", AICostEUR: eur("10"), ProcessedLeads: 100, SentLeads: 95, Emails: 100, Meetings: 10, UntoldRates: eur("9.2"), ValueEUR: eur("0"), UnsentCostEUR: eur("1"),
				Settings: &accounting.CampaignSettings{ID: "q4", MeetingValue: &value, Currency: accounting.USD}},
			{ID: "", AICostEUR: eur("3")},
		},
		emails: accounting.EmailsByCampaign{"q4": {"": 100}},
	}
	h := newEconomicsHandler(t, f, nil)
	data := ask(t, h, "GET", "/api/campaigns?from=2026-11", "", 200)
	require.Contains(t, f.asked, "campaigns 2026-11-01 2026-11-30 waste 2026-11-08 limit 100")
	require.Equal(t, json.Number("75"), data["unallocated_fixed_cost"], "no email was sent by the platform whose subscription it is")
	rows := data["rows"].([]any)
	q4 := rows[0].(map[string]any)
	require.Equal(t, json.Number("58"), q4["cost"])
	require.Equal(t, json.Number("0.58"), q4["cost_per_email"])
	require.Equal(t, json.Number("5.8"), q4["cost_per_meeting"])
	require.Equal(t, json.Number("92000"), q4["ai_roi_percent"], "1000 USD × the rates of 10 meetings ÷ 10 EUR")
	require.Equal(t, "invest_more", q4["decision"])
	require.Equal(t, json.Number("0.1"), q4["waste_factor"])
	untagged := rows[1].(map[string]any)
	require.Equal(t, "not_enough_data", untagged["band"])
	require.Nil(t, untagged["cost_per_email"])
	require.Nil(t, untagged["value"])

	page := ask(t, h, "GET", "/api/campaigns/q4", "", 200)
	require.Equal(t, "q4", page["campaign"].(map[string]any)["id"])
	ask(t, h, "GET", "/api/campaigns/nobody", "", 404)
	ask(t, h, "PUT", "/api/campaigns/q4", `{"name":"Fourth","meeting_value":2000,"testing":true}`, 200)
	require.Equal(t, "Fourth", *f.put.Name)
	require.Equal(t, accounting.EUR, f.put.Currency)
	ask(t, h, "PUT", "/api/campaigns/q4", `{"meeting_value":-1}`, 422)
	platforms := ask(t, h, "GET", "/api/platforms", "", 200)["rows"].([]any)
	require.Len(t, platforms, 1)
	require.Equal(t, []any{json.Number("2"), json.Number("3")}, []any{platforms[0].(map[string]any)["unsubscribes"], platforms[0].(map[string]any)["deals"]})
}

func TestTwoModelsAreComparedByWhatAMeetingCosts(t *testing.T) {
	side := func(name, cost, meetings string) accounting.ModelSums {
		return accounting.ModelSums{UsageGroup: accounting.UsageGroup{Name: name, UsageTotals: accounting.UsageTotals{CostEUR: accounting.Amount{Decimal: decimal.RequireFromString(cost)}}},
			Meetings: accounting.Amount{Decimal: decimal.RequireFromString(meetings)}}
	}
	h := newEconomicsHandler(t, &fakeEconomics{models: []accounting.ModelSums{side("cheap", "10", "40"), side("dear", "100", "40.5"), side("new", "0.001", "0")}}, nil)
	data := ask(t, h, "GET", "/api/compare?kind=model&a=cheap&b=dear", "", 200)
	require.Equal(t, "cheap is cheaper per meeting.", data["verdict"])
	data = ask(t, h, "GET", "/api/compare?kind=model&a=cheap&b=new", "", 200)
	require.Contains(t, data["verdict"], "not enough to tell them apart")
	require.Nil(t, data["probability_a_cheaper"])
	ask(t, h, "GET", "/api/compare?kind=model&a=cheap&b=unknown", "", 404)
	ask(t, h, "GET", "/api/compare?kind=model&a=cheap&b=cheap", "", 422)
	ask(t, h, "GET", "/api/compare?a=cheap", "", 422)
}

func TestLeadsAreListedFoundAndAdvisedOn(t *testing.T) {
	high := "high"
	f := &fakeEconomics{leads: []accounting.LeadRow{{LeadID: "ada", CampaignID: "q4", LeadValue: &high}}}
	h := newEconomicsHandler(t, f, nil)
	require.Equal(t, "next", ask(t, h, "GET", "/api/leads?campaign_id=q4&state=unsent", "", 200)["next_cursor"])
	require.Contains(t, f.asked, `leads of "q4" state "unsent" limit 50`)
	ask(t, h, "GET", "/api/leads", "", 200)
	require.Contains(t, f.asked, `leads of any state "" limit 50`)
	ask(t, h, "GET", "/api/leads?cursor=bad", "", 422)
	ask(t, h, "GET", "/api/leads?state=lazy", "", 422)
	ask(t, h, "GET", "/api/leads/ada", "", 200)
	ask(t, h, "GET", "/api/leads/nobody", "", 404)
	require.Equal(t, "standard", ask(t, h, "GET", "/api/leads/ada/recommendation", "", 200)["personalisation"])
	require.Equal(t, "basic", ask(t, h, "GET", "/api/leads/new/recommendation?campaignId=q4", "", 200)["personalisation"])
	require.Len(t, ask(t, h, "GET", "/api/emails/sent-only", "", 200)["activities"], 1)
	ask(t, h, "GET", "/api/emails/nothing", "", 404)
}

func TestWasteHasItsShareAndAdvice(t *testing.T) {
	f := &fakeEconomics{waste: []accounting.WasteSum{{Kind: accounting.WasteUnsent, Count: 2, CostUSD: accounting.Amount{Decimal: decimal.NewFromInt(1)}, CostEUR: accounting.Amount{Decimal: decimal.NewFromInt(1)}}}}
	f.report.Totals.CostEUR = accounting.Amount{Decimal: decimal.NewFromInt(4)}
	data := ask(t, newEconomicsHandler(t, f, nil), "GET", "/api/waste", "", 200)
	kind := data["kinds"].([]any)[0].(map[string]any)
	require.Equal(t, json.Number("0.25"), kind["share"])
	require.NotEmpty(t, kind["advice"])
	for _, k := range accounting.WasteKinds() {
		require.NotEmpty(t, k.Advice(), k)
		require.NotEmpty(t, wasteRows[k], k)
	}
	ask(t, newEconomicsHandler(t, f, nil), "GET", "/api/waste?campaign_id=q5", "", 404)
}
