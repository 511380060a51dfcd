package postgres

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// budgetStore is a newStore whose present is an hour after noon.
func budgetStore(t testing.TB) *Store {
	t.Helper()
	s := newStore(t)
	s.opts.Now = func() time.Time { return noon.Add(time.Hour) }
	s.opts.Channels = []string{"slack-1", "mail-1"}
	return s
}

func budgetOf(mode accounting.Mode, limit string) accounting.Budget {
	return accounting.Budget{
		Name: "Q4", Period: accounting.PeriodMonth, Currency: accounting.USD, Mode: mode, Enabled: true,
		Limit: accounting.Amount{Decimal: dec(limit)},
	}
}

func createBudget(t testing.TB, s *Store, b accounting.Budget) accounting.Budget {
	t.Helper()
	made, err := s.CreateBudget(t.Context(), b, "tester")
	require.NoError(t, err)
	return made
}

func changeBudget(t testing.TB, s *Store, id string, c accounting.BudgetChange) accounting.Budget {
	t.Helper()
	changed, err := s.ChangeBudget(t.Context(), id, c, "tester", s.now())
	require.NoError(t, err)
	return changed
}

// novemberStart is the window of a monthly budget in which the tests' calls are.
var novemberStart = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func novemberOf(id, each string) accounting.LeaseKey {
	return accounting.LeaseKey{BudgetID: id, EachValue: each, PeriodStart: novemberStart}
}

// periodState is a period as Periods tells it; zero if it has no row.
func periodState(t testing.TB, s *Store, key accounting.LeaseKey) accounting.PeriodState {
	t.Helper()
	states, err := s.Periods(t.Context(), time.Time{}, []accounting.LeaseKey{key})
	require.NoError(t, err)
	if len(states) == 0 {
		return accounting.PeriodState{}
	}
	require.Equal(t, key, states[0].LeaseKey)
	return states[0]
}

// requirePeriod compares ceiling, granted, settled, reserved and overshoot.
func requirePeriod(t testing.TB, s *Store, key accounting.LeaseKey, want ...string) {
	t.Helper()
	p := periodState(t, s, key)
	got := []string{p.Ceiling.String(), p.Total.String(), p.Settled.String(), p.Reserved.String(), p.Overshoot.String()}
	require.Equal(t, want, got, "ceiling, granted, settled, reserved, overshoot")
	requireExactBudgets(t, s)
}

func requireExactBudgets(t testing.TB, s *Store) {
	t.Helper()
	differences, err := s.CheckBudgets(t.Context())
	require.NoError(t, err)
	require.Empty(t, differences)
}

func ref[T any](v T) *T { return &v }

func TestABudgetComesBackAsItWasMade(t *testing.T) {
	s := budgetStore(t)
	start, end := noon.Add(-time.Hour), noon.Add(24*time.Hour)
	b := accounting.Budget{
		ID: "mine", Name: "My budget", Each: accounting.EachLead,
		Scope:  accounting.Scope{CampaignID: "q4", Purpose: "research", Platform: "instantly", Model: "openai/gpt-4o", Key: accounting.Fingerprint("k")},
		Period: accounting.PeriodWeek, Timezone: "Europe/Berlin", StartsAt: &start, EndsAt: &end,
		Limit: accounting.Amount{Decimal: dec("12.500000000001")}, Currency: accounting.EUR, Mode: accounting.ModeHard, Thresholds: []int{10, 200}, Enabled: true,
		OnExceed: accounting.ExceedDowngrade, DowngradeTo: "openai/gpt-5-mini", EssentialPurposes: []string{"follow_up"},
		EssentialShare: accounting.Amount{Decimal: dec("0.2")}, Bound: accounting.BoundProvider,
	}
	made := createBudget(t, s, b)
	require.Equal(t, time.Date(2026, 11, 15, 23, 0, 0, 0, time.UTC), made.CountsFrom, "Monday in Berlin")
	require.Equal(t, s.now(), made.CreatedAt)
	found, err := s.FindBudget(t.Context(), "mine")
	require.NoError(t, err)
	require.Equal(t, made.Limit.String(), found.Limit.String())
	made.Limit, made.EssentialShare, made.NonessentialPurposes = found.Limit, found.EssentialShare, []string{}
	require.Equal(t, made, found)
	all, err := s.ListBudgets(t.Context())
	require.NoError(t, err)
	require.Equal(t, []accounting.Budget{found}, all)

	log := auditLog(t, s, "budget/mine")
	require.Len(t, log, 1)
	require.Equal(t, accounting.ActionBudgetCreate, log[0].Action)
	require.Contains(t, string(log[0].After), `12.500000000001`)

	_, err = s.CreateBudget(t.Context(), b, "tester")
	require.ErrorIs(t, err, accounting.ErrBudgetExists)
	b.Currency = "GBP"
	_, err = s.CreateBudget(t.Context(), b, "tester")
	require.ErrorContains(t, err, "currency")
}

func TestBudgetsOfOneNameGetDifferentIDs(t *testing.T) {
	s := budgetStore(t)
	for _, want := range []string{"q4", "q4-2", "q4-3"} {
		require.Equal(t, want, createBudget(t, s, budgetOf(accounting.ModeSoft, "1")).ID)
	}
	require.NoError(t, s.DeleteBudget(t.Context(), "q4-2", "tester", "no longer needed"))
	require.Equal(t, "q4-4", createBudget(t, s, budgetOf(accounting.ModeSoft, "1")).ID, "an id is never used again")
}

func TestADeletedBudgetIsGoneAndSaysWhoDeletedIt(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeSoft, "1"))
	require.NoError(t, s.DeleteBudget(t.Context(), "q4", "tester", "no longer needed"))
	_, err := s.FindBudget(t.Context(), "q4")
	require.ErrorIs(t, err, accounting.ErrUnknownBudget)
	require.ErrorIs(t, s.DeleteBudget(t.Context(), "q4", "tester", ""), accounting.ErrUnknownBudget)
	_, err = s.ChangeBudget(t.Context(), "q4", accounting.BudgetChange{}, "tester", noon)
	require.ErrorIs(t, err, accounting.ErrUnknownBudget)
	_, err = s.BudgetStatuses(t.Context(), "q4", noon, 1)
	require.ErrorIs(t, err, accounting.ErrUnknownBudget)
	log := auditLog(t, s, "budget/q4")
	require.Equal(t, accounting.ActionBudgetDelete, log[0].Action)
	require.Equal(t, "no longer needed", *log[0].Reason)
	require.Contains(t, string(log[0].Before), `"name": "Q4"`)
}

func TestTheLimitOfTheConfigurationHoldsUntilSomebodyChangesIt(t *testing.T) {
	s := budgetStore(t)
	b := budgetOf(accounting.ModeSoft, "77")
	b.ID, b.Currency = accounting.BudgetMonthlyAI, accounting.EUR
	limit := func() string {
		found, err := s.FindBudget(t.Context(), b.ID)
		require.NoError(t, err)
		require.Equal(t, "config", found.Origin)
		return found.Limit.String()
	}
	ensure := func(amount string) {
		b.Limit = accounting.Amount{Decimal: dec(amount)}
		require.NoError(t, s.EnsureBudget(t.Context(), b))
	}
	ensure("77")
	ensure("77")
	require.Equal(t, "77", limit())
	require.Len(t, auditLog(t, s, "budget/monthly-ai"), 1)
	ensure("80")
	require.Equal(t, "80", limit(), "nobody has changed it by hand")
	changeBudget(t, s, b.ID, accounting.BudgetChange{Limit: ref(dec("50"))})
	ensure("90")
	require.Equal(t, "50", limit())

	require.NoError(t, s.DeleteBudget(t.Context(), b.ID, "tester", ""))
	ensure("90")
	_, err := s.FindBudget(t.Context(), b.ID)
	require.ErrorIs(t, err, accounting.ErrUnknownBudget, "it does not come back")
}

func TestAChangeIsValidatedAndAuditedByField(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeSoft, "10"))
	_, err := s.ChangeBudget(t.Context(), "q4", accounting.BudgetChange{Mode: ref(accounting.Mode("strict"))}, "tester", noon)
	require.ErrorContains(t, err, `mode "strict"`)
	changed := changeBudget(t, s, "q4", accounting.BudgetChange{
		OnExceed: ref(accounting.ExceedDowngrade), DowngradeTo: ref("m"), Enabled: ref(false), Limit: ref(dec("10.00")),
	})
	require.Equal(t, "m", changed.DowngradeTo)
	log := auditLog(t, s, "budget/q4")
	require.Len(t, log, 2)
	require.JSONEq(t, `{"on_exceed":"block","downgrade_to":"","enabled":true}`, string(log[0].Before))
	require.JSONEq(t, `{"on_exceed":"downgrade","downgrade_to":"m","enabled":false}`, string(log[0].After))

	require.Empty(t, changeBudget(t, s, "q4", accounting.BudgetChange{OnExceed: ref(accounting.ExceedBlock)}).DowngradeTo)
	changeBudget(t, s, "q4", accounting.BudgetChange{OnExceed: ref(accounting.ExceedBlock)})
	require.Len(t, auditLog(t, s, "budget/q4"), 3, "what changes nothing is no change")
}

func TestEveryChangeRaisesTheVersion(t *testing.T) {
	s := budgetStore(t)
	version := func() int64 {
		rules, err := s.GuardRules(t.Context())
		require.NoError(t, err)
		return rules.Version
	}
	last := version()
	for _, change := range []func(){
		func() { createBudget(t, s, budgetOf(accounting.ModeSoft, "10")) },
		func() { changeBudget(t, s, "q4", accounting.BudgetChange{Enabled: ref(false)}) },
		func() { require.NoError(t, s.DeleteBudget(t.Context(), "q4", "tester", "")) },
		func() {
			_, err := s.CreateStop(t.Context(), accounting.Stop{ID: "s", Actor: "tester"})
			require.NoError(t, err)
		},
		func() {
			_, err := s.LiftStop(t.Context(), "s", "tester", noon)
			require.NoError(t, err)
		},
	} {
		change()
		require.Greater(t, version(), last)
		last = version()
	}
}

func TestStatusTellsHowABudgetStands(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeHard, "10"))
	statusOf := func(id string) accounting.BudgetStatus {
		all, err := s.BudgetStatuses(t.Context(), id, s.now(), 5)
		require.NoError(t, err)
		require.Len(t, all, 1)
		return all[0]
	}
	empty := statusOf("q4")
	require.Equal(t, "ok", empty.State)
	require.Equal(t, "10", empty.Remaining.String())
	require.Equal(t, "0", empty.BurnRate.String())
	require.Nil(t, empty.RunsOutAt)

	ship(t, s, closed(noon, "gen-1", "6.25"))
	lease(t, s, "r1", accounting.LeaseRequest{LeaseKey: novemberOf("q4", ""), Need: dec("2")})
	status := statusOf("")
	require.Equal(t, []string{"10", "6.25", "0", "0", "2", "0", "3.75", "62.5"}, []string{
		status.Limit.String(), status.Settled.String(), status.Reserved.String(), status.Estimated.String(), status.Leased.String(),
		status.Overshoot.String(), status.Remaining.String(), status.Percent.String(),
	})
	require.Equal(t, "warning", status.State)
	require.Equal(t, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), *status.ResetsAt)
	require.Equal(t, "0.26", status.BurnRate.Round(2).String(), "6.25 in 24 hours")
	require.Equal(t, noon.Add(time.Hour).Add(14*time.Hour+24*time.Minute), *status.RunsOutAt, "3.75 at 6.25 in 24 hours")

	changeBudget(t, s, "q4", accounting.BudgetChange{Limit: ref(dec("6.25"))})
	require.Equal(t, "exceeded", statusOf("q4").State)
	changeBudget(t, s, "q4", accounting.BudgetChange{EndsAt: ref(ref(noon.Add(time.Minute)))})
	require.Equal(t, "ended", statusOf("q4").State)
	changeBudget(t, s, "q4", accounting.BudgetChange{Enabled: ref(false)})
	require.Equal(t, "disabled", statusOf("q4").State)
}

func TestOfADividedBudgetTheDearestValuesAreShown(t *testing.T) {
	s := budgetStore(t)
	b := budgetOf(accounting.ModeSoft, "1")
	b.Each, b.Period = accounting.EachLead, accounting.PeriodTotal
	createBudget(t, s, b)
	for lead, cost := range map[string]string{"a": "0.1", "b": "0.3", "c": "0.2"} {
		e := closed(noon, "gen-"+lead, cost)
		e.Tags.LeadID = lead
		ship(t, s, e)
	}
	ship(t, s, closed(noon, "gen-none", "5")) // without the tag it is outside
	all, err := s.BudgetStatuses(t.Context(), "", s.now(), 2)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "b", all[0].EachValue)
	require.Equal(t, "c", all[1].EachValue)
	require.Equal(t, "20", all[1].Percent.String())
	require.Nil(t, all[0].ResetsAt)
	require.True(t, all[0].BurnRate.Equal(dec("0.3").DivRound(decimal.NewFromInt(24), 10)))
	requireExactBudgets(t, s)
}
