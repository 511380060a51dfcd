package postgres

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func ownRule(name string, change ...func(*accounting.AlertRule)) accounting.AlertRule {
	r := accounting.AlertRule{Name: name, Figure: accounting.FigureSpendToday, Comparison: accounting.Above, Threshold: accounting.Amount{Decimal: dec("12.345")}, Enabled: true}
	for _, f := range change {
		f(&r)
	}
	return accounting.NormalizeAlertRule(r, 30)
}

func builtInRules() []accounting.AlertRule {
	return accounting.BuiltInRules(accounting.DefaultRuleThresholds(), 30)
}

func TestARuleIsKeptAsItWasMadeChangedAndDeletedAndEachIsAudited(t *testing.T) {
	s := newStore(t)
	scoped := ownRule("HeyReach's send rate", func(r *accounting.AlertRule) {
		r.Figure, r.Scope.Platform, r.Severity, r.QuietHours, r.MinLeads = accounting.FigureSendRate, "heyreach", accounting.SeverityCritical, 6, 50
	})
	made, err := s.CreateAlertRule(t.Context(), scoped, "ada")
	require.NoError(t, err)
	require.NotNil(t, made.CreatedAt)
	each := ownRule("Each campaign", func(r *accounting.AlertRule) { r.Each = accounting.EachCampaign })
	_, err = s.CreateAlertRule(t.Context(), each, "ada")
	require.NoError(t, err)
	_, err = s.CreateAlertRule(t.Context(), each, "ada")
	require.ErrorIs(t, err, accounting.ErrAlertRuleExists)

	rules, err := s.AlertRules(t.Context(), builtInRules())
	require.NoError(t, err)
	require.Len(t, rules, 6)
	require.True(t, rules[0].BuiltIn)
	require.Equal(t, "each-campaign", rules[4].ID)
	require.Equal(t, accounting.EachCampaign, rules[4].Each)
	got := rules[5]
	require.Equal(t, made, got)
	got.CreatedAt, got.UpdatedAt = nil, nil
	require.Equal(t, scoped, got)

	scoped.Threshold, scoped.Enabled = accounting.Amount{Decimal: dec("0.7")}, false
	changed, err := s.ChangeAlertRule(t.Context(), scoped, "bob")
	require.NoError(t, err)
	require.Equal(t, "0.7", changed.Threshold.String())
	require.False(t, changed.Enabled)
	scoped.ID = "gone"
	_, err = s.ChangeAlertRule(t.Context(), scoped, "bob")
	require.ErrorIs(t, err, accounting.ErrUnknownAlertRule)

	require.NoError(t, s.DeleteAlertRule(t.Context(), "each-campaign", "bob"))
	require.ErrorIs(t, s.DeleteAlertRule(t.Context(), "each-campaign", "bob"), accounting.ErrUnknownAlertRule)

	page, err := s.ListAudit(t.Context(), accounting.AuditFilter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Entries, 4)
	require.Equal(t, accounting.ActionAlertRuleDelete, page.Entries[0].Action)
	require.Equal(t, "alert-rules/each-campaign", page.Entries[0].Subject)
	require.Contains(t, string(page.Entries[1].Before), `"threshold": 12.345`)
	require.Contains(t, string(page.Entries[1].After), `"threshold": 0.7`)
}

func TestABuiltInRuleCanBeSwitchedOffAndOnAgain(t *testing.T) {
	s := newStore(t)
	given := builtInRules()
	given[2].Threshold, given[2].Enabled = accounting.Amount{}, false // configured to be off
	require.NoError(t, s.SwitchAlertRule(t.Context(), accounting.RuleWaste, false, "ada"))
	require.NoError(t, s.SwitchAlertRule(t.Context(), accounting.RuleCostPerMeeting, true, "ada"))
	rules, err := s.AlertRules(t.Context(), given)
	require.NoError(t, err)
	require.Equal(t, []bool{true, false, false, true}, []bool{rules[0].Enabled, rules[1].Enabled, rules[2].Enabled, rules[3].Enabled})
	require.NotNil(t, rules[1].UpdatedAt)
	require.True(t, given[1].Enabled, "what was given is not changed")
	require.NoError(t, s.SwitchAlertRule(t.Context(), accounting.RuleWaste, true, "ada"))
	newest := auditLog(t, s, "alert-rules/"+accounting.RuleWaste)[0]
	require.JSONEq(t, `{"enabled":false}`, string(newest.Before))
	require.JSONEq(t, `{"enabled":true}`, string(newest.After))
	rules, err = s.AlertRules(t.Context(), given)
	require.NoError(t, err)
	require.True(t, rules[1].Enabled)
}

func TestThereAreAtMostSoManyRules(t *testing.T) {
	s := newStore(t)
	_, err := s.pool.Exec(t.Context(), `INSERT INTO alert_rules (id, name, figure, comparison, threshold, severity)
		SELECT 'r' || n, 'r', 'calls_today', 'above', 1, 'info' FROM generate_series(1, $1::integer) AS n`, accounting.MaxAlertRules)
	require.NoError(t, err)
	_, err = s.CreateAlertRule(t.Context(), ownRule("One more"), "ada")
	require.ErrorIs(t, err, accounting.ErrTooManyAlertRules)
}

func TestRulesAreLookedAtByOneReplicaAtATime(t *testing.T) {
	s := newStore(t)
	var wg sync.WaitGroup
	claims := make(chan bool, 8)
	for range 8 {
		wg.Go(func() {
			claimed, err := s.ClaimAlertRules(t.Context(), noon, noon.Add(5*time.Minute))
			if err != nil {
				t.Error(err)
			}
			claims <- claimed
		})
	}
	wg.Wait()
	close(claims)
	n := 0
	for claimed := range claims {
		if claimed {
			n++
		}
	}
	require.Equal(t, 1, n)
	claimed, err := s.ClaimAlertRules(t.Context(), noon.Add(5*time.Minute), noon.Add(10*time.Minute))
	require.NoError(t, err)
	require.True(t, claimed)
}

// alertTitles are those of all alerts, the oldest first.
func alertTitles(t *testing.T, s *Store) (titles []string) {
	t.Helper()
	page, err := s.ListAlerts(t.Context(), accounting.AlertFilter{Limit: 100})
	require.NoError(t, err)
	for i := len(page.Alerts) - 1; i >= 0; i-- {
		titles = append(titles, page.Alerts[i].Title)
	}
	return titles
}

func reading(value, figure string, fires bool) accounting.RuleReading {
	return accounting.RuleReading{Value: value, Figure: &accounting.Amount{Decimal: dec(figure)}, Fires: fires}
}

func TestARuleThatFiresIsToldOnceByHoweverManyReplicasAndAgainWhenItIsOver(t *testing.T) {
	s := newStore(t)
	rule := ownRule("Spend", func(r *accounting.AlertRule) { r.Each = accounting.EachCampaign })
	record := func(after time.Duration, readings ...accounting.RuleReading) {
		t.Helper()
		require.NoError(t, s.RecordReadings(t.Context(), []accounting.AlertRule{rule}, [][]accounting.RuleReading{readings}, noon.Add(after)))
	}
	var wg sync.WaitGroup
	for range 6 { // should a look take longer than the claim lasts
		wg.Go(func() {
			if err := s.RecordReadings(t.Context(), []accounting.AlertRule{rule}, [][]accounting.RuleReading{{reading("q4", "13", true), reading("calm", "1", false)}}, noon); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	told := []string{"Campaign q4: the AI cost of today is 13.00 EUR, above 12.35 EUR"}
	require.Equal(t, told, alertTitles(t, s))
	states, err := s.RuleStates(t.Context(), rule.ID)
	require.NoError(t, err)
	require.Len(t, states, 1, "of what is calm nothing is kept")
	require.True(t, states["q4"].Firing)
	require.Equal(t, noon, states["q4"].Since)

	record(time.Hour, reading("q4", "14", true))
	require.Len(t, alertTitles(t, s), 1)
	record(24*time.Hour, reading("q4", "15", true))
	require.Len(t, alertTitles(t, s), 2, "a day later it is repeated")
	record(25 * time.Hour)
	require.Equal(t, "Ended: Campaign q4: the AI cost of today can no longer be held against 12.35 EUR", alertTitles(t, s)[2], "the campaign has no figure any more")
	record(49 * time.Hour)
	require.EqualValues(t, 0, count1(t, s, `SELECT count(*) FROM alert_rule_states`), "a state that says nothing goes")

	record(50*time.Hour, reading("q4", "16", true))
	require.Len(t, alertTitles(t, s), 4)
	require.NoError(t, s.RecordReadings(t.Context(), nil, nil, noon.Add(51*time.Hour)))
	require.Len(t, alertTitles(t, s), 4, "of a rule that is gone no end is told")
	require.EqualValues(t, 0, count1(t, s, `SELECT count(*) FROM alert_rule_states`))
}

func TestAChangeOfARuleForgetsHowItStood(t *testing.T) {
	s := newStore(t)
	rule, err := s.CreateAlertRule(t.Context(), ownRule("Spend"), "ada")
	require.NoError(t, err)
	fire := func(after time.Duration) {
		require.NoError(t, s.RecordReadings(t.Context(), []accounting.AlertRule{rule}, [][]accounting.RuleReading{{reading("", "13", true)}}, noon.Add(after)))
	}
	fire(0)
	_, err = s.ChangeAlertRule(t.Context(), rule, "ada")
	require.NoError(t, err)
	require.EqualValues(t, 0, count1(t, s, `SELECT count(*) FROM alert_rule_states`))
	fire(time.Minute)
	require.Len(t, alertTitles(t, s), 2)
}

func TestAThousandCampaignsThatFireAtOnceAreOneAlert(t *testing.T) {
	s := newStore(t)
	rule := ownRule("Spend", func(r *accounting.AlertRule) { r.Each = accounting.EachCampaign })
	var readings []accounting.RuleReading
	for i := range 1000 {
		readings = append(readings, reading(fmt.Sprintf("c%04d", i), "13", true))
	}
	require.NoError(t, s.RecordReadings(t.Context(), []accounting.AlertRule{rule}, [][]accounting.RuleReading{readings}, noon))
	require.Equal(t, []string{"The AI cost of today of 1000 campaigns is above 12.35 EUR"}, alertTitles(t, s))
	require.EqualValues(t, 1000, count1(t, s, `SELECT count(*) FROM alert_rule_states`))
}

func TestTheEndOfAnAlertGoesWhereTheAlertWent(t *testing.T) {
	s := newStore(t)
	s.opts.Channels, s.opts.MinSeverity = []string{"slack-1"}, accounting.SeverityWarning
	warning, info := ownRule("Warning"), ownRule("Info", func(r *accounting.AlertRule) { r.Severity = accounting.SeverityInfo })
	rules := []accounting.AlertRule{warning, info}
	for i, fires := range []bool{true, false} {
		one := []accounting.RuleReading{reading("", "13", fires)}
		require.NoError(t, s.RecordReadings(t.Context(), rules, [][]accounting.RuleReading{one, one}, noon.Add(time.Duration(i)*time.Minute)))
	}
	page, err := s.ListAlerts(t.Context(), accounting.AlertFilter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Alerts, 4)
	for _, a := range page.Alerts {
		want := 0
		if a.Subject == "alert-rules/warning" {
			want = 1
		}
		require.Len(t, a.Deliveries, want, a.Title)
	}
}
