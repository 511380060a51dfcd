package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func refusedCall(at time.Time, others ...accounting.RequestID) accounting.Event {
	e := closed(at, "", "")
	e.Kind, e.Model, e.HTTPStatus, e.Duration = accounting.Refused, "", 0, 0
	e.Tags.LeadID, e.Tags.EmailID, e.Tags.Platform = "l1", "e1", "instantly"
	e.Decision = &accounting.BudgetDecision{
		Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonNoRoom, Field: "max_tokens", Detail: "Budget \"q4\" has no room.", Model: "openai/gpt-4o",
		Bound: accounting.Some(dec("0.123456789012345")), BoundBy: accounting.BoundComputed, Replica: "r1", Rate: dec("0.92"),
		Budgets: []accounting.BudgetShare{
			{BudgetID: "q4", PeriodStart: novemberStart, Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonNoRoom,
				Limit: dec("10"), Settled: dec("9.5"), Reserved: dec("0.4"), Charge: dec("0.25")},
			{BudgetID: "each", EachValue: `a "b" <é>`, PeriodStart: accounting.TotalStart, Verdict: accounting.VerdictAllowed},
		},
		Count: 1 + len(others), Calls: others,
	}
	return e
}

func TestARefusedCallIsADecisionAndNothingElse(t *testing.T) {
	s := budgetStore(t)
	e := refusedCall(noon, callAt(noon), callAt(noon))
	for range 2 {
		require.Equal(t, accounting.Shipment{}, ship(t, s, e, e))
	}
	require.Zero(t, count1(t, s, `SELECT count(*) FROM openrouter_usage`))
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM budget_decisions`))
	row, err := s.FindDecision(t.Context(), e.ID)
	require.NoError(t, err)
	require.Equal(t, "0.123456789012345", row.BoundUSD.String())
	require.Equal(t, "0.92", row.USDToEUR.String())
	row.BoundUSD, row.USDToEUR = nil, nil
	require.Len(t, row.Budgets, 2)
	require.Equal(t, []string{"10", "9.5", "0.4", "0.25"}, []string{
		row.Budgets[0].Limit.String(), row.Budgets[0].Settled.String(), row.Budgets[0].Reserved.String(), row.Budgets[0].Charge.String(),
	})
	require.Equal(t, novemberStart, row.Budgets[0].PeriodStart)
	require.Equal(t, accounting.ReasonNoRoom, row.Budgets[0].Reason)
	require.Equal(t, `a "b" <é>`, row.Budgets[1].EachValue)
	row.Budgets = nil
	require.Equal(t, accounting.DecisionRow{
		ID: e.ID, CreatedAt: noon, Verdict: accounting.VerdictBlocked, Reason: new("budget_no_room"), Field: new("max_tokens"),
		Detail: new("Budget \"q4\" has no room."), CampaignID: new("q4"), EmailID: new("e1"), LeadID: new("l1"), Purpose: new("follow_up"),
		Platform: new("instantly"), KeyFingerprint: new(key), Endpoint: new("/api/v1/chat/completions"), Model: new("openai/gpt-4o"),
		BoundBy: new("computed"), Replica: new("r1"), Count: 3, Calls: e.Decision.Calls,
	}, row)

	merged, err := s.FindDecision(t.Context(), e.Decision.Calls[1])
	require.NoError(t, err)
	require.Equal(t, e.ID, merged.ID, "it stands for that call too")
	_, err = s.FindDecision(t.Context(), callAt(noon))
	require.ErrorIs(t, err, accounting.ErrUnknownCall)
}

func TestASearchForDecisionsEndsAfterSomeAndGoesOnWithItsCursor(t *testing.T) {
	s := budgetStore(t)
	_, err := s.pool.Exec(t.Context(), `INSERT INTO budget_decisions (id, created_at, verdict, campaign_id, purpose, model, budgets)
		SELECT gen_random_uuid(), $1::timestamptz - i * interval '1 second', 'allowed', 'q4', 'follow_up', 'openai/gpt-4o', '[{"budget_id": "monthly-ai"}]'
		FROM generate_series(1, 25000) i`, noon)
	require.NoError(t, err)
	old := refusedCall(noon.Add(-22_000 * time.Second))
	old.Tags.Purpose, old.Decision.Model = "research", "openai/gpt-5"
	ship(t, s, old)
	for _, f := range []accounting.DecisionFilter{{Purpose: "research"}, {Model: "openai/gpt-5"}, {BudgetID: "q4"}, {CampaignID: "q4", Purpose: "research"}, {CampaignID: "q4", Verdict: accounting.VerdictBlocked}} {
		f.Limit = 10
		page, err := s.ListDecisions(t.Context(), f)
		require.NoError(t, err)
		require.Empty(t, page.Rows, "%+v", f)
		require.Equal(t, noon.Add(-20_000*time.Second), *page.SearchedTo, "%+v", f)
		f.Cursor = page.NextCursor
		page, err = s.ListDecisions(t.Context(), f)
		require.NoError(t, err)
		require.Len(t, page.Rows, 1, "%+v", f)
		require.Nil(t, page.SearchedTo, "to the end")
		require.Empty(t, page.NextCursor)
	}
	for _, f := range []accounting.DecisionFilter{{}, {CampaignID: "q4"}, {Verdict: accounting.VerdictBlocked}, {LeadID: "l1"}, {Purpose: "follow_up"}, {BudgetID: "monthly-ai"},
		{Purpose: "research", Until: noon.Add(-21_000 * time.Second)}, {Purpose: "research", LeadID: "l1"}} {
		f.Limit = 1
		page, err := s.ListDecisions(t.Context(), f)
		require.NoError(t, err)
		require.Len(t, page.Rows, 1, "%+v", f)
		require.Nil(t, page.SearchedTo, "%+v", f)
	}
	between, err := s.ListDecisions(t.Context(), accounting.DecisionFilter{Purpose: "follow_up", Limit: 1000, Since: noon.Add(-1500 * time.Second)})
	require.NoError(t, err)
	require.Len(t, between.Rows, 1000)
	rest, err := s.ListDecisions(t.Context(), accounting.DecisionFilter{Purpose: "follow_up", Limit: 1000, Since: noon.Add(-1500 * time.Second), Cursor: between.NextCursor})
	require.NoError(t, err)
	require.Len(t, rest.Rows, 500)
	require.Empty(t, rest.NextCursor)
}

func TestTheDecisionOfASentCallIsItsFirst(t *testing.T) {
	s := hardBudget(t)
	e := charged("r1", "1.5", "gen-1", "0.5")
	e.Decision.DowngradedTo, e.Decision.Stop = "openai/gpt-5-mini", "stop-1"
	ship(t, s, cut(e))
	ship(t, s, e)
	ship(t, s, closed(noon, "gen-2", "1")) // no budget applied
	page, err := s.ListDecisions(t.Context(), accounting.DecisionFilter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Rows, 1)
	require.Equal(t, e.ID, page.Rows[0].ID)
	require.Equal(t, "openai/gpt-5-mini", *page.Rows[0].DowngradedTo)
	require.Equal(t, "stop-1", *page.Rows[0].StopID)
	require.Equal(t, 1, page.Rows[0].Count)
	require.Nil(t, page.Rows[0].Reason)
	require.Empty(t, page.Rows[0].Calls)
}

func TestTheFirstRefusalOfAPeriodIsAlerted(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeHard, "10"))
	for range 3 {
		ship(t, s, refusedCall(noon))
	}
	alerts := alertsOf(t, s, accounting.AlertFilter{})
	require.Len(t, alerts, 1)
	require.Equal(t, "budget_blocked", alerts[0].Kind)
	require.Equal(t, "Budget q4 refuses calls", alerts[0].Title)
	require.Contains(t, alerts[0].Text, "9.50 USD of 10.00 USD is spent and 0.40 USD reserved")
	require.Contains(t, alerts[0].Text, "budget_no_room")
	stopped := refusedCall(noon)
	stopped.Decision = &accounting.BudgetDecision{Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonEmergencyStop}
	ship(t, s, stopped)
	require.Len(t, alertKinds(t, s), 1, "no budget refused it")
}

func TestDecisionsAreFoundByWhatTheySay(t *testing.T) {
	s := budgetStore(t)
	refused, allowed := refusedCall(noon), charged("r1", "1", "gen-1", "1")
	allowed.ID = callAt(noon.Add(time.Minute))
	allowed.Tags = accounting.Tags{CampaignID: "q5", Purpose: "research"}
	ship(t, s, refused, allowed)
	for want, filters := range map[accounting.RequestID][]accounting.DecisionFilter{
		refused.ID: {
			{Verdict: accounting.VerdictBlocked}, {Reason: accounting.ReasonNoRoom}, {BudgetID: "each"}, {CampaignID: "q4"}, {LeadID: "l1"},
			{EmailID: "e1"}, {Purpose: "follow_up"}, {Until: noon.Add(time.Second)},
		},
		allowed.ID: {{Verdict: accounting.VerdictAllowed}, {CampaignID: "q5"}, {Purpose: "research", Model: "openai/gpt-4o"}, {Since: noon.Add(time.Second), BudgetID: "q4"}},
	} {
		for _, f := range filters {
			f.Limit = 10
			page, err := s.ListDecisions(t.Context(), f)
			require.NoError(t, err)
			require.Len(t, page.Rows, 1, "%+v", f)
			require.Equal(t, want, page.Rows[0].ID, "%+v", f)
		}
	}
	first, err := s.ListDecisions(t.Context(), accounting.DecisionFilter{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, allowed.ID, first.Rows[0].ID, "the newest first")
	second, err := s.ListDecisions(t.Context(), accounting.DecisionFilter{Limit: 1, Cursor: first.NextCursor})
	require.NoError(t, err)
	require.Equal(t, refused.ID, second.Rows[0].ID)
	require.Empty(t, second.NextCursor)
	_, err = s.ListDecisions(t.Context(), accounting.DecisionFilter{Limit: 1, Cursor: "x"})
	require.ErrorIs(t, err, accounting.ErrBadCursor)
	_, err = s.ListDecisions(t.Context(), accounting.DecisionFilter{})
	require.ErrorContains(t, err, "limit 0")
}

func TestDecisionsLieInTheirMonth(t *testing.T) {
	s := budgetStore(t)
	ship(t, s, refusedCall(noon), refusedCall(noon.AddDate(1, 0, 0)))
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM budget_decisions_2026_11`))
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM budget_decisions_default`))
}
