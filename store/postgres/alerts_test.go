package postgres

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func alertsOf(t testing.TB, s *Store, f accounting.AlertFilter) []accounting.Alert {
	t.Helper()
	f.Limit = 100
	page, err := s.ListAlerts(t.Context(), f)
	require.NoError(t, err)
	require.Empty(t, page.NextCursor)
	return page.Alerts
}

// alertKinds are the kinds of all alerts, sorted.
func alertKinds(t testing.TB, s *Store) (kinds []string) {
	t.Helper()
	for _, a := range alertsOf(t, s, accounting.AlertFilter{}) {
		kinds = append(kinds, a.Kind)
	}
	slices.Sort(kinds)
	return kinds
}

func TestAThresholdIsAlertedOncePerPeriodAndLimit(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeSoft, "10"))
	spend := func(generation, cost string) { ship(t, s, closed(noon, generation, cost)) }
	titles := func() (titles []string) {
		for _, a := range alertsOf(t, s, accounting.AlertFilter{Kind: "budget_threshold"}) {
			titles = append(titles, a.Title)
		}
		return titles
	}
	spend("gen-1", "4.999")
	require.Empty(t, titles())
	spend("gen-2", "0.001")
	require.Equal(t, []string{"Budget q4: 50 % of 10.00 USD is spent"}, titles())
	spend("gen-3", "4.2") // past two at once
	require.Equal(t, []string{"Budget q4: 90 % of 10.00 USD is spent", "Budget q4: 75 % of 10.00 USD is spent", "Budget q4: 50 % of 10.00 USD is spent"}, titles())
	a := alertsOf(t, s, accounting.AlertFilter{})[0]
	require.Equal(t, accounting.SeverityCritical, a.Severity)
	require.Equal(t, "budget/q4", a.Subject)
	require.Equal(t, "9.20 USD of 10.00 USD is spent (92 %). It resets at 2026-12-01 00:00 UTC.", a.Text)
	require.Equal(t, "budget_threshold/q4//2026-11-01T00:00:00Z/90/10", a.Key)
	require.JSONEq(t, `{"budget_id":"q4","each_value":"","period_start":"2026-11-01T00:00:00Z","currency":"USD",
		"limit":10,"settled":9.2,"reserved":0,"estimated":0,"overshoot":0}`, string(a.Data))
	require.Len(t, a.Deliveries, 2)
	require.Equal(t, "pending", a.Deliveries[0].State)

	// Down and up again is nothing new; another limit is.
	changeBudget(t, s, "q4", accounting.BudgetChange{Limit: ref(dec("20"))})
	require.Len(t, titles(), 3)
	spend("gen-4", "1")
	require.Equal(t, "Budget q4: 50 % of 20.00 USD is spent", titles()[0])
	changeBudget(t, s, "q4", accounting.BudgetChange{Limit: ref(dec("10"))})
	require.Len(t, titles(), 5)
	require.Equal(t, "Budget q4: 100 % of 10.00 USD is spent", titles()[0], "reached by the change itself")
	require.Contains(t, alertsOf(t, s, accounting.AlertFilter{})[0].Text, "Calls that are not essential are refused from now on.")
}

func TestEachValueOfADividedBudgetAlertsForItself(t *testing.T) {
	s := budgetStore(t)
	b := budgetOf(accounting.ModeAlert, "1")
	b.Each, b.Thresholds = accounting.EachLead, []int{100}
	createBudget(t, s, b)
	for _, lead := range []string{"a", "b", "b"} {
		e := closed(noon, "gen-"+callAt(noon).String(), "1")
		e.Tags.LeadID = lead
		ship(t, s, e)
	}
	alerts := alertsOf(t, s, accounting.AlertFilter{})
	require.Len(t, alerts, 2)
	require.Equal(t, "Budget q4 (lead_id b): 100 % of 1.00 USD is spent", alerts[0].Title)
	require.Contains(t, alerts[0].Text, "It only alerts")
}

func TestADisabledBudgetIsSilent(t *testing.T) {
	s := budgetStore(t)
	b := budgetOf(accounting.ModeSoft, "1")
	b.Enabled = false
	createBudget(t, s, b)
	ship(t, s, closed(noon, "gen-1", "5"))
	require.Empty(t, alertKinds(t, s))
	require.Equal(t, "5", periodState(t, s, novemberOf("q4", "")).Settled.String(), "it counts all the same")
	changeBudget(t, s, "q4", accounting.BudgetChange{Enabled: ref(true)})
	require.Len(t, alertKinds(t, s), 4)
}

func TestAMonthOverTheThresholdIsAlertedOnce(t *testing.T) {
	s := budgetStore(t)
	s.opts.CostAlertThreshold = dec("128.06") // 123 of it are fixed costs
	ship(t, s, closed(noon, "gen-1", "5.5"))
	require.Empty(t, alertKinds(t, s), "reached is not over")
	for range 3 {
		ship(t, s, closed(noon, "gen-"+callAt(noon).String(), "0.01"))
	}
	alerts := alertsOf(t, s, accounting.AlertFilter{})
	require.Len(t, alerts, 1)
	require.Equal(t, "2026-11 has cost 128.07 EUR, over the threshold of 128.06 EUR", alerts[0].Title)
	require.Equal(t, "months/2026-11", alerts[0].Subject)
	s.opts.CostAlertThreshold = dec("100")
	ship(t, s, closed(noon, "gen-2", "0.01"))
	require.Len(t, alertKinds(t, s), 2, "another threshold")
}

func TestAnAlertIsRaisedOnceForItsKey(t *testing.T) {
	s := budgetStore(t)
	a := accounting.Alert{Key: "spike/q4", Kind: "spike", Severity: accounting.SeverityWarning, Subject: "campaign/q4", Title: "Spike", Text: "It costs."}
	first, made, err := s.RaiseAlert(t.Context(), a)
	require.NoError(t, err)
	require.True(t, made)
	require.Equal(t, "Spike", first.Title)
	require.JSONEq(t, `{}`, string(first.Data))
	require.Len(t, first.Deliveries, 2)
	a.Title = "Another"
	again, made, err := s.RaiseAlert(t.Context(), a)
	require.NoError(t, err)
	require.False(t, made)
	require.Equal(t, first, again)
}

func TestAlertsAreListedByTheirTimeWhateverOrderTheyWereStoredIn(t *testing.T) {
	s := budgetStore(t)
	for i, key := range []string{"second", "oldest", "newest", "third"} {
		_, _, err := s.RaiseAlert(t.Context(), accounting.Alert{Key: key, Kind: "k", Severity: accounting.SeverityInfo, Subject: "s", Title: key, Text: key})
		require.NoError(t, err)
		_, err = s.pool.Exec(t.Context(), `UPDATE alerts SET created_at = $2 WHERE key = $1`, key, noon.Add(-time.Duration([]int{1, 3, 0, 2}[i])*time.Hour))
		require.NoError(t, err)
	}
	var keys []string
	for cursor := ""; len(keys) == 0 || cursor != ""; {
		page, err := s.ListAlerts(t.Context(), accounting.AlertFilter{Limit: 1, Cursor: cursor})
		require.NoError(t, err)
		require.Len(t, page.Alerts, 1)
		keys, cursor = append(keys, page.Alerts[0].Key), page.NextCursor
	}
	require.Equal(t, []string{"newest", "second", "third", "oldest"}, keys)
}

func TestAlertsAreFoundAndAcknowledged(t *testing.T) {
	s := budgetStore(t)
	for _, key := range []string{"a", "b", "c"} {
		_, _, err := s.RaiseAlert(t.Context(), accounting.Alert{Key: key, Kind: "kind-" + key, Severity: accounting.SeverityInfo, Subject: "s/" + key, Title: key, Text: key})
		require.NoError(t, err)
	}
	page, err := s.ListAlerts(t.Context(), accounting.AlertFilter{Limit: 2})
	require.NoError(t, err)
	require.Equal(t, "c", page.Alerts[0].Key)
	rest, err := s.ListAlerts(t.Context(), accounting.AlertFilter{Limit: 2, Cursor: page.NextCursor})
	require.NoError(t, err)
	require.Len(t, rest.Alerts, 1)
	require.Empty(t, rest.NextCursor)
	_, err = s.ListAlerts(t.Context(), accounting.AlertFilter{Limit: 2, Cursor: "x"})
	require.ErrorIs(t, err, accounting.ErrBadCursor)

	id := page.Alerts[0].ID
	seen, err := s.AcknowledgeAlert(t.Context(), id, "tester", noon)
	require.NoError(t, err)
	require.Equal(t, noon, *seen.AcknowledgedAt)
	seen, err = s.AcknowledgeAlert(t.Context(), id, "somebody else", noon.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, "tester", *seen.AcknowledgedBy)
	_, err = s.AcknowledgeAlert(t.Context(), id+1, "tester", noon)
	require.ErrorIs(t, err, accounting.ErrUnknownAlert)

	require.Len(t, alertsOf(t, s, accounting.AlertFilter{Unacknowledged: true}), 2)
	require.Len(t, alertsOf(t, s, accounting.AlertFilter{Kind: "kind-a"}), 1)
	require.Len(t, alertsOf(t, s, accounting.AlertFilter{Subject: "s/b"}), 1)
	require.Empty(t, alertsOf(t, s, accounting.AlertFilter{Severity: accounting.SeverityCritical}))
	require.Empty(t, alertsOf(t, s, accounting.AlertFilter{To: ref(noon.AddDate(-1, 0, 0))}))
}

func TestADeliveryIsClaimedByOneAndTriedUntilItEnds(t *testing.T) {
	s := budgetStore(t)
	_, _, err := s.RaiseAlert(t.Context(), accounting.Alert{Key: "a", Kind: "k", Severity: accounting.SeverityInfo, Title: "t", Text: "t"})
	require.NoError(t, err)
	now := time.Now().Add(time.Minute)
	claim := func(at time.Time, channels ...string) []accounting.Alert {
		claimed, err := s.ClaimDeliveries(t.Context(), channels, at, time.Minute, 10)
		require.NoError(t, err)
		return claimed
	}
	require.Empty(t, claim(now))
	require.Empty(t, claim(now, "other"))
	claimed := claim(now, "slack-1", "mail-1")
	require.Len(t, claimed, 2)
	require.Equal(t, "mail-1", claimed[0].Deliveries[0].Channel)
	require.Equal(t, 1, claimed[0].Deliveries[0].Attempts)
	require.Empty(t, claim(now, "slack-1", "mail-1"), "they are somebody's")
	require.Len(t, claim(now.Add(time.Hour), "slack-1", "mail-1"), 2, "whose claim has ended")

	id := claimed[0].ID
	next := now.Add(2 * time.Hour)
	require.NoError(t, s.FinishDelivery(t.Context(), id, "slack-1", now, "HTTP 503", &next))
	require.NoError(t, s.FinishDelivery(t.Context(), id, "mail-1", now, "", nil))
	require.NoError(t, s.FinishDelivery(t.Context(), id, "mail-1", now, "too late", nil))
	d := alertsOf(t, s, accounting.AlertFilter{})[0].Deliveries
	require.Equal(t, []string{"delivered", "pending"}, []string{d[0].State, d[1].State})
	require.Nil(t, d[0].Error)
	require.WithinDuration(t, now, *d[0].DeliveredAt, time.Millisecond)
	require.Equal(t, "HTTP 503", *d[1].Error)
	require.Empty(t, claim(now.Add(time.Hour), "slack-1", "mail-1"))
	require.Len(t, claim(next, "slack-1", "mail-1"), 1)
	require.NoError(t, s.FinishDelivery(t.Context(), id, "slack-1", now, "HTTP 503", nil))
	require.Equal(t, "failed", alertsOf(t, s, accounting.AlertFilter{})[0].Deliveries[1].State)
	require.Empty(t, claim(next.Add(time.Hour), "slack-1", "mail-1"))
}
