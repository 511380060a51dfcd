package postgres

import (
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestADayThatDiffersRaisesOneAlertWithItsSuspects(t *testing.T) {
	s := budgetStore(t)
	r := look(accounting.SourceCredits, "1", "2.5")
	generation := "gen-7"
	r.Suspects = []accounting.Suspect{{ID: callAt(noon), GenerationID: &generation, Why: "open"}, {ID: callAt(noon), Why: "open"}}
	save(t, s, r)
	alerts := alertsOf(t, s, accounting.AlertFilter{})
	require.Len(t, alerts, 1)
	require.Equal(t, "reconciliation/2026-11-22/credits/", alerts[0].Key)
	require.Equal(t, "2026-11-22: OpenRouter charged the account 2.5 USD, we recorded 1 USD", alerts[0].Title)
	require.Contains(t, alerts[0].Text, "By OpenRouter's credits the difference is 1.5 USD")
	require.Contains(t, string(alerts[0].Data), `"suspect_generations": ["gen-7"]`)
	require.Contains(t, string(alerts[0].Data), `"difference_usd": 1.5`)

	save(t, s, look(accounting.SourceCredits, "2.5", "2.5"))
	save(t, s, look(accounting.SourceCredits, "1", "2.5"))
	require.Len(t, alertsOf(t, s, accounting.AlertFilter{}), 1, "it is the same day, source and key")
	save(t, s, look(accounting.SourceActivity, "1", "2.5"))
	require.Len(t, alertsOf(t, s, accounting.AlertFilter{}), 2)
}

func TestACostThatTheRecordContradictsIsAlertedOncePerModelAndDay(t *testing.T) {
	s := budgetStore(t)
	s.opts.CostTolerance = dec("0.1")
	settleAs := func(generation, inline, record string) accounting.RequestID {
		e := closed(noon, generation, inline)
		ship(t, s, e)
		settleFor(t, s, e, record)
		return e.ID
	}
	settleAs("gen-1", "0.9", "1")
	require.Empty(t, alertKinds(t, s), "a tenth of the record, and not more")
	settleAs("gen-2", "", "1")
	require.Empty(t, alertKinds(t, s), "the answer said nothing")
	id := settleAs("gen-3", "0.8999999999999999999", "1")
	alerts := alertsOf(t, s, accounting.AlertFilter{})
	require.Len(t, alerts, 1)
	require.Equal(t, "cost_variance", alerts[0].Kind)
	require.Equal(t, accounting.UsageSubject(id), alerts[0].Subject)
	require.Equal(t, "OpenRouter charged 1 USD for a call whose answer said 0.8999999999999999999 USD", alerts[0].Title)
	require.JSONEq(t, `{"request_id":"`+id.String()+`","generation_id":"gen-3","model":"openai/gpt-4o",
		"inline_usd":0.8999999999999999999,"generation_usd":1,"difference_usd":0.1000000000000000001}`, string(alerts[0].Data))
	settleAs("gen-4", "5", "1")
	require.Len(t, alertKinds(t, s), 1, "the same model on the same day")
}

func TestACallThatWasFreeAfterAllContradictsItsAnswer(t *testing.T) {
	s := budgetStore(t)
	s.opts.CostTolerance = dec("0.1")
	e := closed(noon, "gen-1", "0.5")
	ship(t, s, e)
	settleFor(t, s, e, "0")
	require.Equal(t, []string{"cost_variance"}, alertKinds(t, s))
}

func TestCallsThatWaitForSomebodyAreAlertedOnceADay(t *testing.T) {
	s := budgetStore(t)
	made, err := s.RaiseUndecided(t.Context(), noon)
	require.NoError(t, err)
	require.False(t, made)
	ship(t, s, cut(closed(noon, "", "")), cut(closed(noon, "", "")))
	for i, at := range []time.Time{noon, noon.Add(time.Hour), noon.Add(24 * time.Hour)} {
		made, err = s.RaiseUndecided(t.Context(), at)
		require.NoError(t, err)
		require.Equal(t, i != 1, made)
	}
	alerts := alertsOf(t, s, accounting.AlertFilter{Kind: "undecided_calls"})
	require.Len(t, alerts, 2)
	require.Equal(t, "2 calls wait for somebody to decide what they cost", alerts[0].Title)
	require.JSONEq(t, `{"interrupted":2,"unresolved":0}`, string(alerts[0].Data))
}

func TestAnAlertGoesToNoChannelThatItIsAboutNorBelowTheLeastSeverity(t *testing.T) {
	s := budgetStore(t)
	s.opts.MinSeverity = accounting.SeverityWarning
	channels := func(key string, severity accounting.Severity, subject string) (names []string) {
		a, _, err := s.RaiseAlert(t.Context(), accounting.Alert{Key: key, Kind: "x", Severity: severity, Subject: subject, Title: "t", Text: "t"})
		require.NoError(t, err)
		for _, d := range a.Deliveries {
			names = append(names, d.Channel)
		}
		return names
	}
	require.Equal(t, []string{"mail-1", "slack-1"}, channels("a", accounting.SeverityWarning, "x"))
	require.Equal(t, []string{"mail-1", "slack-1"}, channels("b", accounting.SeverityCritical, "x"))
	require.Empty(t, channels("c", accounting.SeverityInfo, "x"))
	require.Equal(t, []string{"mail-1"}, channels("d", accounting.SeverityWarning, accounting.ChannelSubject("slack-1")))
}

func TestNewAlertsAreToldAfterTheirCommitAndOnce(t *testing.T) {
	s := budgetStore(t)
	var mu sync.Mutex
	var told []string
	s.opts.Raised = func(alerts []accounting.Alert) {
		mu.Lock()
		defer mu.Unlock()
		for _, a := range alerts {
			// Whoever is told can find it.
			require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM alerts WHERE key = $1`, a.Key))
			told = append(told, a.Key)
		}
	}
	createBudget(t, s, budgetOf(accounting.ModeSoft, "10"))
	ship(t, s, closed(noon, "gen-1", "8"))
	ship(t, s, closed(noon, "gen-2", "0.5"))
	require.Equal(t, []string{"budget_threshold/q4//2026-11-01T00:00:00Z/50/10", "budget_threshold/q4//2026-11-01T00:00:00Z/75/10"}, told)

	boom := s.inTx(t.Context(), func(tx pgx.Tx) error {
		if err := s.raise(t.Context(), tx, []accounting.Alert{{Key: "never", Kind: "x", Severity: accounting.SeverityInfo}}); err != nil {
			return err
		}
		return errNoCost
	})
	require.ErrorIs(t, boom, errNoCost)
	require.Len(t, told, 2, "what was rolled back is not told")
}

func TestAnAmountIsShownRoundedButNeverAsNothing(t *testing.T) {
	for amount, want := range map[string]string{
		"0": "0.00", "12.3456": "12.35", "0.5": "0.50", "0.1234567": "0.123457", "0.00000004": "0.00000004", "-0.25": "-0.25",
	} {
		require.Equal(t, want, shown(dec(amount)), amount)
	}
}
