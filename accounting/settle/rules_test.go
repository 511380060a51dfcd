package settle

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func newRules(t *testing.T, book *fakeRuleBook, figures *fakeFigures) *Rules {
	t.Helper()
	r, err := NewRules(RulesOptions{Book: book, Figures: figures, BuiltIn: accounting.BuiltInRules(accounting.DefaultRuleThresholds(), 30),
		Economics: Economics{Targets: accounting.DefaultTargets(), UnsentAfter: 14}})
	require.NoError(t, err)
	return r
}

func watch(name string, figure accounting.AlertFigure, scope accounting.RuleScope) accounting.AlertRule {
	return accounting.NormalizeAlertRule(accounting.AlertRule{Name: name, Figure: figure, Scope: scope, Comparison: accounting.Above, Enabled: true}, 30)
}

var ruleNow = time.Date(2026, 11, 16, 8, 0, 0, 0, time.UTC)

func TestTheBuiltInRulesAreJudgedByTheMonth(t *testing.T) {
	book, figures := &fakeRuleBook{}, &fakeFigures{spend: usd("300")}
	looked, err := newRules(t, book, figures).Check(t.Context(), ruleNow)
	require.NoError(t, err)
	require.True(t, looked)
	require.Len(t, book.recorded, 3, "the month's total is judged with each call")
	score := book.recorded[accounting.RuleCampaignScore]
	require.Len(t, score, 2)
	assert.True(t, score[0].Fires, "%s", score[0].Figure)
	assert.False(t, score[1].Fires)
	assert.Contains(t, score[1].Reason, "2 processed leads")
	assert.True(t, book.recorded[accounting.RuleCostPerMeeting][0].Fires, "331 ÷ 4")
	assert.Equal(t, "82.75", book.recorded[accounting.RuleCostPerMeeting][0].Figure.String())
	assert.False(t, book.recorded[accounting.RuleWaste][0].Fires)
	assert.Equal(t, []string{"months 2026-11 2026-11", "sums 2026-11-01 2026-11-16 waste 2026-11-02", "emails 2026-11-01 2026-11-16", "campaigns 2026-11-01 2026-11-16 all limit 1000"}, figures.questions())
}

func TestOnlyWhatSomeRuleAsksForIsRead(t *testing.T) {
	book, figures := &fakeRuleBook{switched: map[string]bool{accounting.RuleCampaignScore: false, accounting.RuleWaste: false, accounting.RuleCostPerMeeting: false}}, &fakeFigures{}
	r := newRules(t, book, figures)
	at := ruleNow
	for _, tt := range []struct {
		rules []accounting.AlertRule
		want  []string
	}{
		{nil, nil},
		{[]accounting.AlertRule{watch("a", accounting.FigureSpendToday, accounting.RuleScope{})}, []string{"usage 2026-11-16 2026-11-16"}},
		{[]accounting.AlertRule{watch("a", accounting.FigureForecastTotal, accounting.RuleScope{})}, []string{"months 2026-11 2026-11", "history 2026-07-19 2026-11-16"}},
		{[]accounting.AlertRule{watch("a", accounting.FigureCostPerLead, accounting.RuleScope{Model: "m"})}, []string{"models 2026-11-01 2026-11-16"}},
		{[]accounting.AlertRule{watch("a", accounting.FigureSendRate, accounting.RuleScope{Platform: "instantly"})}, []string{"months 2026-11 2026-11", "emails 2026-11-01 2026-11-16", "platforms 2026-11-01 2026-11-16"}},
		{[]accounting.AlertRule{watch("a", accounting.FigureSendRate, accounting.RuleScope{CampaignID: "q4"}), watch("b", accounting.FigureConversion, accounting.RuleScope{CampaignID: "q4"})},
			[]string{"months 2026-11 2026-11", "emails 2026-11-01 2026-11-16", "campaigns 2026-11-01 2026-11-16 q4 limit 1000"}},
	} {
		book.rules = tt.rules
		at = at.Add(5 * time.Minute)
		looked, err := r.Check(t.Context(), at)
		require.NoError(t, err)
		require.True(t, looked)
		assert.Equal(t, tt.want, figures.questions())
		for _, rule := range tt.rules {
			require.Len(t, book.recorded[rule.ID], 1)
			assert.Empty(t, book.recorded[rule.ID][0].Reason, "%s is known", rule.Figure)
		}
	}
}

func TestRulesAreLookedAtEveryFiveMinutesOverAllReplicas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		book, log := &fakeRuleBook{}, new(logBook)
		r := newRules(t, book, &fakeFigures{})
		r.outage.log = log.logger()
		other := newRules(t, book, &fakeFigures{})
		during(t, 26*time.Minute, func(ctx context.Context) error {
			var replicas sync.WaitGroup
			replicas.Go(func() { _ = other.Run(ctx) })
			defer replicas.Wait()
			return r.Run(ctx)
		})
		assert.Len(t, book.claims, 6)
		for i := 1; i < len(book.claims); i++ {
			assert.GreaterOrEqual(t, book.claims[i].Sub(book.claims[i-1]), 5*time.Minute)
		}
		book.err = errors.New("connection refused")
		during(t, 6*time.Minute, r.Run)
		assert.Equal(t, 1, log.lines("trouble with looking at alert rules"))
	})
}

func TestABuiltInRuleCanOnlyBeSwitched(t *testing.T) {
	book := &fakeRuleBook{}
	r := newRules(t, book, &fakeFigures{})
	waste, err := r.Find(t.Context(), accounting.RuleWaste)
	require.NoError(t, err)
	waste.Enabled = false
	changed, err := r.Change(t.Context(), waste, "ada")
	require.NoError(t, err)
	assert.False(t, changed.Enabled)

	for _, change := range []func(*accounting.AlertRule){
		func(r *accounting.AlertRule) { r.Threshold = accounting.Amount{Decimal: usd("31")} },
		func(r *accounting.AlertRule) { r.Severity = accounting.SeverityCritical },
		func(r *accounting.AlertRule) { r.QuietHours = 1 },
		func(r *accounting.AlertRule) { r.Name = "Other" },
	} {
		other := waste
		change(&other)
		_, err = r.Change(t.Context(), other, "ada")
		require.ErrorIs(t, err, accounting.ErrAlertRuleBuiltIn)
	}
	month, err := r.Find(t.Context(), accounting.RuleMonthTotal)
	require.NoError(t, err)
	_, err = r.Change(t.Context(), month, "ada")
	require.ErrorIs(t, err, accounting.ErrAlertRuleAtOnce)
	require.ErrorIs(t, r.Delete(t.Context(), accounting.RuleWaste, "ada"), accounting.ErrAlertRuleBuiltIn)
	_, err = r.Create(t.Context(), waste, "ada")
	require.ErrorIs(t, err, accounting.ErrAlertRuleExists)

	own := r.Normalize(accounting.AlertRule{Name: "Own", Figure: accounting.FigureSendRate, Comparison: accounting.Below})
	assert.EqualValues(t, 30, own.MinLeads)
	_, err = r.Create(t.Context(), own, "ada")
	require.NoError(t, err)
	own.Enabled = true
	_, err = r.Change(t.Context(), own, "ada")
	require.NoError(t, err)
	require.NoError(t, r.Delete(t.Context(), own.ID, "ada"))
	_, err = r.Find(t.Context(), own.ID)
	require.ErrorIs(t, err, accounting.ErrUnknownAlertRule)
}

func TestAPreviewReadsTheFigureAndRecordsNothing(t *testing.T) {
	book := &fakeRuleBook{states: map[string]accounting.RuleState{"q4": {Firing: true}}}
	r := newRules(t, book, &fakeFigures{spend: usd("300")})
	rule, readings, states, err := r.Preview(t.Context(), accounting.RuleCampaignScore, ruleNow)
	require.NoError(t, err)
	assert.Equal(t, accounting.RuleCampaignScore, rule.ID)
	require.Len(t, readings, 2)
	assert.True(t, readings[0].Fires)
	assert.True(t, states["q4"].Firing)
	assert.Nil(t, book.recorded)
	assert.Empty(t, book.claims)
	_, _, _, err = r.Preview(t.Context(), "gone", ruleNow)
	require.ErrorIs(t, err, accounting.ErrUnknownAlertRule)
}

func TestALookThatCannotReadItsFiguresRecordsNothing(t *testing.T) {
	book, figures := &fakeRuleBook{}, &fakeFigures{err: errors.New("connection refused")}
	_, err := newRules(t, book, figures).Check(t.Context(), ruleNow)
	require.ErrorContains(t, err, "connection refused")
	assert.Nil(t, book.recorded)
}

func TestOptionsOfRulesAreChecked(t *testing.T) {
	for _, o := range []RulesOptions{{}, {Book: &fakeRuleBook{}}, {Figures: &fakeFigures{}}, {Book: &fakeRuleBook{}, Figures: &fakeFigures{}, Interval: -1}} {
		_, err := NewRules(o)
		assert.Error(t, err)
	}
}
