package accounting

import (
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func amount(s string) *Amount { return &Amount{decimal.RequireFromString(s)} }

// rule is one that somebody made.
func rule(figure AlertFigure, c Comparison, threshold string) AlertRule {
	return NormalizeAlertRule(AlertRule{Name: "My rule", Figure: figure, Comparison: c, Threshold: *amount(threshold), Enabled: true}, 30)
}

func TestARuleIsFilledInAndItsMistakesAreNamed(t *testing.T) {
	r := rule(FigureWastePercent, Above, "30")
	require.NoError(t, r.Validate())
	assert.Equal(t, "my-rule", r.ID)
	assert.Equal(t, "rule", NormalizeAlertRule(AlertRule{Name: "営業"}, 30).ID)
	assert.Equal(t, SeverityWarning, r.Severity)
	assert.Equal(t, 24, r.QuietHours)
	assert.EqualValues(t, 30, r.MinLeads)
	spend := rule(FigureSpendToday, Above, "5")
	assert.Zero(t, spend.MinLeads, "an amount is an amount, of however many leads")

	for field, change := range map[string]func(*AlertRule){
		"id ":                                  func(r *AlertRule) { r.ID = "Not a slug" },
		"name ":                                func(r *AlertRule) { r.Name = "two\nlines" },
		"figure ":                              func(r *AlertRule) { r.Figure = "luck" },
		"scope: there is no ":                  func(r *AlertRule) { r.Scope.Model = "openai/gpt-5-mini" },
		"scope: want at most":                  func(r *AlertRule) { r.Scope.CampaignID, r.Each = "q4", EachCampaign },
		"scope.campaign_id ":                   func(r *AlertRule) { r.Scope.CampaignID = "q4\x00" },
		"scope.platform ":                      func(r *AlertRule) { r.Scope.Platform = " heyreach" }, // no call has such a tag
		"each ":                                func(r *AlertRule) { r.Each = EachLead },
		"comparison ":                          func(r *AlertRule) { r.Comparison = "beside" },
		"threshold -1: want 0 to":              func(r *AlertRule) { r.Threshold = *amount("-1") },
		"threshold 0.00000000001: want 0 to 9": func(r *AlertRule) { r.Threshold = *amount("0.00000000001") },
		"severity ":                            func(r *AlertRule) { r.Severity = "loud" },
		"quiet_hours ":                         func(r *AlertRule) { r.QuietHours = 721 },
		"min_leads ":                           func(r *AlertRule) { r.MinLeads = -1 },
	} {
		wrong := rule(FigureWastePercent, Above, "30")
		change(&wrong)
		err := wrong.Validate()
		require.Error(t, err, field)
		assert.True(t, strings.HasPrefix(err.Error(), field), "%s: %v", field, err)
	}
}

func TestTheBuiltInRulesAreThoseOfTheStrategyAndOneOfZeroIsOff(t *testing.T) {
	rules := BuiltInRules(DefaultRuleThresholds(), 30)
	require.Len(t, rules, 4)
	for i := range rules {
		require.NoError(t, rules[i].Validate(), rules[i].ID)
		assert.True(t, rules[i].Enabled)
		assert.Equal(t, rules[i].ID == RuleMonthTotal, rules[i].AtOnce())
	}
	assert.Equal(t, "50", rules[0].Threshold.String())
	assert.Equal(t, Below, rules[0].Comparison)
	off := BuiltInRules(BuiltInThresholds{WastePercent: decimal.NewFromInt(30)}, 30)
	assert.False(t, off[0].Enabled)
	assert.True(t, off[1].Enabled)
}

// facts are of a month in which everything is known.
func ruleFacts() *RuleFacts {
	share := *amount("0.1")
	return &RuleFacts{
		Month: MonthFigures{Fixed: []FixedCost{{EUR: decimal.NewFromInt(100)}}, OpenRouterUSD: decimal.NewFromInt(10), USDToEUR: decimal.RequireFromString("0.9"),
			EmailsSent: 100, MeetingsBooked: 2},
		Sums: KPISums{AICost: decimal.NewFromInt(9), UnsentCost: decimal.NewFromInt(3), ProcessedLeads: 60, SentLeads: 45, Value: Some(decimal.NewFromInt(90))},
		Campaigns: []CampaignRow{
			{ID: ""},
			{ID: "q4", ProcessedLeads: 40, AICost: *amount("8"), Score: amount("42.26"), WasteFactor: amount("0.5"), CostPerEmail: amount("1"), CostPerMeeting: amount("54.5"),
				AICostPerMeeting: amount("4"), SendRate: amount("0.4"), Conversion: amount("0.02"), ROIPercent: amount("1000")},
			{ID: "small", ProcessedLeads: 3, Score: amount("1")},
			{ID: "new", ProcessedLeads: 40},
			{ID: "q4", ProcessedLeads: 40}, // read again for a rule that names it
		},
		Platforms: []CampaignRow{{ID: "heyreach", ProcessedLeads: 31, SendRate: amount("0.9")}},
		Models:    []ModelSums{{UsageGroup: UsageGroup{Name: "m", UsageTotals: UsageTotals{CostEUR: *amount("7")}}, Leads: 50, CostPerLead: amount("0.14"), CostPerMeeting: amount("3.5")}},
		Forecast:  Some(decimal.NewFromInt(131)),
		Today: UsageReport{
			Totals:   UsageTotals{Calls: 50, CostEUR: *amount("2"), ErrorShare: &share},
			Campaign: []UsageGroup{{Name: "q4", UsageTotals: UsageTotals{Calls: 20, CostEUR: *amount("1.5"), ErrorShare: &share}}, {UsageTotals: UsageTotals{Calls: 30}}},
			Platform: []UsageGroup{{Name: "heyreach", UsageTotals: UsageTotals{Calls: 50}}, {Rest: true}},
		},
	}
}

func TestEveryFigureIsReadFromWhatItIsOf(t *testing.T) {
	f := ruleFacts()
	for _, tt := range []struct {
		figure AlertFigure
		scope  RuleScope
		want   string
	}{
		{FigureMonthTotal, RuleScope{}, "109"},
		{FigureMonthAICost, RuleScope{}, "9"},
		{FigureMonthAICost, RuleScope{CampaignID: "q4"}, "8"},
		{FigureMonthAICost, RuleScope{Model: "m"}, "7"},
		{FigureCostPerEmail, RuleScope{}, "1.09"},
		{FigureCostPerEmail, RuleScope{CampaignID: "q4"}, "1"},
		{FigureCostPerMeeting, RuleScope{}, "54.5"},
		{FigureCostPerMeeting, RuleScope{CampaignID: "q4"}, "54.5"},
		{FigureAICostPerMeeting, RuleScope{CampaignID: "q4"}, "4"},
		{FigureAICostPerMeeting, RuleScope{Model: "m"}, "3.5"},
		{FigureCostPerLead, RuleScope{}, "0.15"},
		{FigureCostPerLead, RuleScope{CampaignID: "q4"}, "0.2"},
		{FigureCostPerLead, RuleScope{Model: "m"}, "0.14"},
		{FigureWastePercent, RuleScope{}, "33.33333333"},
		{FigureWastePercent, RuleScope{CampaignID: "q4"}, "50"},
		{FigureCampaignScore, RuleScope{CampaignID: "q4"}, "42.26"},
		{FigureSendRate, RuleScope{}, "0.75"},
		{FigureSendRate, RuleScope{Platform: "heyreach"}, "0.9"},
		{FigureConversion, RuleScope{}, "0.02"},
		{FigureConversion, RuleScope{CampaignID: "q4"}, "0.02"},
		{FigureROIPercent, RuleScope{}, "1000"},
		{FigureROIPercent, RuleScope{CampaignID: "q4"}, "1000"},
		{FigureForecastTotal, RuleScope{}, "131"},
		{FigureCallsToday, RuleScope{}, "50"},
		{FigureCallsToday, RuleScope{CampaignID: "q4"}, "20"},
		{FigureCallsToday, RuleScope{CampaignID: "idle"}, "0"},
		{FigureCallsToday, RuleScope{Model: "m"}, "0"},
		{FigureSpendToday, RuleScope{}, "2"},
		{FigureErrorRateToday, RuleScope{}, "0.1"},
	} {
		r := rule(tt.figure, Above, "0")
		r.Scope = tt.scope
		require.NoError(t, r.Validate())
		got := r.Read(f)
		require.Len(t, got, 1)
		require.NotNil(t, got[0].Figure, "%s of %v: %s", tt.figure, tt.scope, got[0].Reason)
		want := decimal.RequireFromString(tt.want)
		assert.True(t, want.Equal(got[0].Figure.Decimal), "%s of %v: %s, want %s", tt.figure, tt.scope, got[0].Figure, tt.want)
		assert.Equal(t, want.IsPositive(), got[0].Fires)
		r.Threshold = Amount{want}
		assert.False(t, r.Read(f)[0].Fires, "equal is neither above …")
		r.Comparison = Below
		assert.False(t, r.Read(f)[0].Fires, "… nor below")
	}
}

func TestAFigureThatSaysNothingNeverFires(t *testing.T) {
	f := ruleFacts()
	for name, r := range map[string]AlertRule{
		"nothing to compute it from": rule(FigureForecastTotal, Below, "1000000"),
		"too few calls":              {Figure: FigureErrorRateToday, Scope: RuleScope{CampaignID: "q4"}, Comparison: Above},
		"no such campaign":           {Figure: FigureCampaignScore, Scope: RuleScope{CampaignID: "gone"}, Comparison: Below, Threshold: *amount("100")},
		"no such platform":           {Figure: FigureSendRate, Scope: RuleScope{Platform: "gone"}, Comparison: Below, Threshold: *amount("1")},
		"no such model":              {Figure: FigureCostPerLead, Scope: RuleScope{Model: "gone"}, Comparison: Above},
		"among the others":           {Figure: FigureCallsToday, Scope: RuleScope{Platform: "rare"}, Comparison: Below, Threshold: *amount("9")},
		"too few leads":              {Figure: FigureCampaignScore, Scope: RuleScope{CampaignID: "small"}, Comparison: Below, Threshold: *amount("50"), MinLeads: 30},
	} {
		if r.Figure == FigureForecastTotal {
			f.Forecast = Optional[decimal.Decimal]{}
		}
		got := r.Read(f)
		require.Len(t, got, 1, name)
		assert.False(t, got[0].Fires, name)
		assert.NotEmpty(t, got[0].Reason, name)
	}
}

func TestARuleForEachCampaignReadsEachOnceAndLeavesOutUntaggedCalls(t *testing.T) {
	r := rule(FigureCampaignScore, Below, "50")
	r.Each = EachCampaign
	require.NoError(t, r.Validate())
	got := r.Read(ruleFacts())
	require.Len(t, got, 3)
	assert.Equal(t, []string{"q4", "small", "new"}, []string{got[0].Value, got[1].Value, got[2].Value})
	assert.True(t, got[0].Fires)
	assert.Equal(t, "It is of 3 processed leads, and the rule needs 30.", got[1].Reason)
	assert.Equal(t, "The figure is not known: there is nothing yet to compute it from.", got[2].Reason)

	calls := rule(FigureCallsToday, Above, "1")
	calls.Each = EachCampaign
	got = calls.Read(ruleFacts())
	require.Len(t, got, 1)
	assert.Equal(t, "q4", got[0].Value)
}

func TestARuleTellsOnceRepeatsAfterItsQuietHoursAndSaysWhenItIsOver(t *testing.T) {
	r := rule(FigureSpendToday, Above, "5")
	at := time.Date(2026, 11, 16, 8, 0, 0, 0, time.UTC)
	high, low := RuleReading{Fires: true}, RuleReading{}
	var s RuleState
	for _, step := range []struct {
		after   time.Duration
		reading RuleReading
		want    RuleNotice
		why     string
	}{
		{0, low, NoticeNone, "all is well"},
		{time.Minute, high, NoticeFires, "it begins"},
		{time.Hour, high, NoticeNone, "it was told"},
		{24*time.Hour + time.Minute, high, NoticeFires, "a day later it still fires"},
		{25 * time.Hour, low, NoticeResolved, "it is over"},
		{26 * time.Hour, low, NoticeNone, "which was told"},
		{27 * time.Hour, high, NoticeNone, "it wavers, within the quiet hours"},
		{28 * time.Hour, low, NoticeNone, "of what was not told no end is told"},
		{29 * time.Hour, high, NoticeNone, "it wavers still"},
		{49 * time.Hour, high, NoticeFires, "the quiet hours are over"},
		{50 * time.Hour, low, NoticeResolved, ""},
	} {
		next, got := r.Step(s, step.reading, at.Add(step.after))
		require.Equal(t, step.want, got, "after %s: %s", step.after, step.why)
		s = next
	}
	assert.False(t, r.Forgettable(s, at.Add(72*time.Hour)))
	assert.True(t, r.Forgettable(s, at.Add(73*time.Hour)))
	s.Firing = true
	assert.False(t, r.Forgettable(s, at.Add(1000*time.Hour)))
}

func TestAnAlertOfARuleNamesTheFigureItsThresholdAndWhatToDo(t *testing.T) {
	at := time.Date(2026, 11, 16, 8, 0, 0, 0, time.UTC)
	score := BuiltInRules(DefaultRuleThresholds(), 30)[0]
	leads := int64(40)
	reading := RuleReading{Value: "q4", Name: "Q4 outreach", Figure: amount("42.26"), Leads: &leads, Fires: true}
	alerts := score.Alerts([]RuleReading{reading}, NoticeFires, at)
	require.Len(t, alerts, 1)
	a := alerts[0]
	assert.Equal(t, "Campaign Q4 outreach (q4): the score is 42.3, below 50", a.Title)
	assert.Equal(t, "Send rate, conversion and target ÷ cost per meeting, each at most 100, by their weights, of 40 processed leads. Optimise it: GET /api/campaigns/{id} says what to do. "+
		`Rule "campaign-score"; it repeats at most every 24 hours until it clears.`, a.Text)
	assert.Equal(t, "rule/campaign-score/q4/fires/2026-11-16T08:00:00Z", a.Key)
	assert.Equal(t, "rule", a.Kind)
	assert.Equal(t, "campaign/q4", a.Subject)
	assert.Equal(t, SeverityWarning, a.Severity)
	assert.JSONEq(t, `{"rule":"campaign-score","figure":"campaign_score","value":42.26,"threshold":50,"leads":40,"campaign_id":"q4","platform":"","model":""}`, string(a.Data))

	reading.Figure = amount("61")
	a = score.Alerts([]RuleReading{reading}, NoticeResolved, at)[0]
	assert.Equal(t, "Resolved: Campaign Q4 outreach (q4): the score is 61, no longer below 50", a.Title)
	assert.Equal(t, "rule_resolved", a.Kind)
	assert.Equal(t, SeverityInfo, a.Severity)
	assert.Equal(t, SeverityWarning, a.DeliverAs, "whoever got the warning gets its end")

	reading.Figure, reading.Reason = nil, "The figure is not known."
	a = score.Alerts([]RuleReading{reading}, NoticeResolved, at)[0]
	assert.Equal(t, "Ended: Campaign Q4 outreach (q4): the score can no longer be held against 50", a.Title)
	assert.Contains(t, a.Text, "The figure is not known.")
	assert.Empty(t, score.Alerts(nil, NoticeFires, at))
}

func TestManyCampaignsOfOneRuleShareAnAlert(t *testing.T) {
	at := time.Date(2026, 11, 16, 8, 0, 0, 0, time.UTC)
	score := BuiltInRules(DefaultRuleThresholds(), 30)[0]
	var readings []RuleReading
	for i := range 25 {
		readings = append(readings, RuleReading{Value: "c" + decimal.NewFromInt(int64(i)).String(), Figure: amount("1"), Fires: true})
	}
	alerts := score.Alerts(readings, NoticeFires, at)
	require.Len(t, alerts, 1)
	assert.Equal(t, "The score of 25 campaigns is below 50", alerts[0].Title)
	assert.Contains(t, alerts[0].Text, "c19: 1\nand 5 more\n")
	assert.NotContains(t, alerts[0].Text, "c20")
	assert.Equal(t, "alert-rules/campaign-score", alerts[0].Subject)
	assert.Equal(t, "Resolved: the score of 25 campaigns is no longer below 50", score.Alerts(readings, NoticeResolved, at)[0].Title)
	assert.Len(t, score.Alerts(readings[:3], NoticeFires, at), 3)
}

func TestFiguresAreShownWithTheirUnitAndNoAmountAsZeroThatIsNot(t *testing.T) {
	for want, of := range map[string]struct {
		figure AlertFigure
		value  string
	}{
		"50.01 EUR":  {FigureCostPerMeeting, "50.005"},
		"< 0.01 EUR": {FigureCostPerEmail, "0.0043"},
		"0.00 EUR":   {FigureCostPerEmail, "0"},
		"30.4 %":     {FigureWastePercent, "30.39"},
		"12.5 %":     {FigureErrorRateToday, "0.125"},
		"7":          {FigureCallsToday, "7"},
	} {
		r := rule(of.figure, Above, "1")
		assert.Equal(t, want, r.show(amount(of.value)))
	}
	assert.Equal(t, "> -0.01", ShowCents(decimal.RequireFromString("-0.001")))
}
