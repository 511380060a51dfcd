package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestABudgetThatAPlanMakesCountsWhatItsCampaignHasSpentInTheMonth(t *testing.T) {
	s, _ := planStore(t)
	call := func(campaign string, at time.Time, generation, cost string) accounting.RequestID {
		e := closed(at, generation, cost)
		e.Tags.CampaignID = campaign
		ship(t, s, e)
		return e.ID
	}
	call("a", noon, "gen-1", "0.5")
	call("a", noon.AddDate(0, 0, -20), "gen-2", "1.25")
	old := call("a", noon, "gen-3", "0.25")
	call("a", noon.AddDate(0, -1, 0), "gen-4", "8") // of another month
	call("a", noon.AddDate(0, 1, 0), "gen-5", "2")  // of a clock that is ahead
	open := call("a", noon, "gen-6", "")
	call("b", noon, "gen-7", "4")
	call("other", noon, "gen-8", "16")
	for id, set := range map[accounting.RequestID]string{old: "usd_to_eur = NULL", open: "estimated_cost_usd = 3"} {
		_, err := s.pool.Exec(t.Context(), `UPDATE openrouter_usage SET `+set+` WHERE id = $1`, requestID(id))
		require.NoError(t, err)
	}

	apply(t, s, planOf(t, map[string]string{"a": "1", "b": "1", "c": "1"}), planner)
	a := periodState(t, s, novemberOf("plan-a", ""))
	require.Equal(t, []string{"1.84", "2.76"}, []string{a.Settled.String(), a.Estimated.String()}, "2 USD, and an estimate of 3")
	require.Equal(t, "3.68", periodState(t, s, novemberOf("plan-b", "")).Settled.String())
	requireExactBudgets(t, s)

	call("a", noon, "gen-9", "0.5")
	require.Equal(t, "2.3", periodState(t, s, novemberOf("plan-a", "")).Settled.String())
	_, err := s.RollBackBudgetPlan(t.Context(), 0, "tester", "", s.now())
	require.NoError(t, err)
	call("a", s.now().Add(time.Minute), "gen-10", "0.5")
	require.Equal(t, "2.3", periodState(t, s, novemberOf("plan-a", "")).Settled.String(), "it is deleted")
	requireExactBudgets(t, s)
}

func TestALimitThatAPlanMovesBelowWhatIsSpentAlerts(t *testing.T) {
	s, nextDay := planStore(t)
	e := closed(noon, "gen-1", "50")
	e.Tags.CampaignID = "a"
	ship(t, s, e)
	apply(t, s, planOf(t, map[string]string{"a": "1", "b": "1"}), planner)
	require.Empty(t, alertsOf(t, s, accounting.AlertFilter{Kind: "budget_threshold"}), "46 of 50 EUR")
	nextDay()
	apply(t, s, planOf(t, map[string]string{"a": "1", "b": "9"}), planner)
	alerts := alertsOf(t, s, accounting.AlertFilter{Kind: "budget_threshold"})
	require.Len(t, alerts, 1, "46 of 40 EUR")
	require.Equal(t, "budget/plan-a", alerts[0].Subject)
	requireExactBudgets(t, s)
}

// While a plan holds the budgets nothing is recorded that they count, so it must
// not speak to the database about each of them.
func TestAPlanOfManyCampaignsTakesNoMoreQueriesThanOneOfFew(t *testing.T) {
	s, _ := planStore(t)
	registry := prometheus.NewRegistry()
	opts := testOptions(shared.url)
	opts.Registerer = registry
	counted, err := Open(t.Context(), opts)
	require.NoError(t, err)
	defer counted.Close()
	queries := func() (n uint64) {
		families, err := registry.Gather()
		require.NoError(t, err)
		for _, family := range families {
			for _, m := range family.Metric {
				n += m.GetHistogram().GetSampleCount()
			}
		}
		return n
	}
	now := s.now()
	counted.opts.Now = func() time.Time { return now }
	round := func(campaigns int) (taken []uint64) {
		for _, act := range []func() error{
			func() error {
				spent := map[string]string{}
				for i := range campaigns {
					spent[fmt.Sprint("c", i)] = "1"
				}
				_, _, err := counted.ApplyBudgetPlan(t.Context(), planOf(t, spent), planner, now)
				return err
			},
			func() error {
				spent := map[string]string{"gone": "5"}
				for i := range campaigns {
					spent[fmt.Sprint("c", i)] = fmt.Sprint(1 + i)
				}
				_, _, err := counted.ApplyBudgetPlan(t.Context(), planOf(t, spent), planner, now)
				return err
			},
			func() error { _, err := counted.StepBudgetPlan(t.Context(), now); return err },
			func() error {
				_, err := counted.RollBackBudgetPlan(t.Context(), 0, "tester", "", now)
				return err
			},
			func() error {
				_, err := counted.RollBackBudgetPlan(t.Context(), 0, "tester", "", now)
				return err
			},
		} {
			now = now.AddDate(0, 0, 1)
			before := queries()
			require.NoError(t, act())
			taken = append(taken, queries()-before)
		}
		return taken
	}
	few := round(2)
	require.Equal(t, few, round(50))
	for _, n := range few {
		require.LessOrEqual(t, n, uint64(25))
	}
	requireExactBudgets(t, counted)
}
