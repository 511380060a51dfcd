package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestCallsWithoutACostAreListedForAnEstimate(t *testing.T) {
	s := budgetStore(t)
	known := closed(noon, "gen-1", "0.1")
	tokens := closed(noon, "gen-2", "")
	tokens.Provider = "Azure"
	tokens.Usage = accounting.Usage{
		PromptTokens: accounting.Some[int64](100), CompletionTokens: accounting.Some[int64](20), CachedTokens: accounting.Some[int64](40),
	}
	reserved := cut(charged("r1", "1.50000000000000001", "", ""))
	recent := cut(closed(noon.Add(2*time.Hour), "", ""))
	failed := closed(noon, "", "")
	failed.HTTPStatus, failed.Error = 500, "upstream"
	ship(t, s, known, tokens, reserved, recent, failed)

	calls, err := s.Unestimated(t.Context(), noon.Add(time.Hour), accounting.RequestID{}, 10)
	require.NoError(t, err)
	require.Len(t, calls, 2)
	byID := map[accounting.RequestID]accounting.OpenCall{calls[0].ID: calls[0], calls[1].ID: calls[1]}
	got := byID[tokens.ID]
	require.Equal(t, "openai/gpt-4o", got.Model)
	require.Equal(t, "Azure", got.Provider)
	require.Equal(t, tokens.Usage, got.Usage)
	require.False(t, got.Bound.Known)
	require.Equal(t, "1.50000000000000001", byID[reserved.ID].Bound.Value.String())

	first, err := s.Unestimated(t.Context(), noon.Add(time.Hour), accounting.RequestID{}, 1)
	require.NoError(t, err)
	require.Equal(t, calls[:1], first)
	second, err := s.Unestimated(t.Context(), noon.Add(time.Hour), first[0].ID, 10)
	require.NoError(t, err)
	require.Equal(t, calls[1:], second)
}

func TestEstimatesMoveBudgetsAndNeverTheCost(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeSoft, "10"))
	a, b := closed(noon, "gen-1", ""), closed(noon, "gen-2", "")
	ship(t, s, a, b)
	estimates := []accounting.CallEstimate{{ID: a.ID, Amount: dec("2.5")}, {ID: b.ID, Amount: dec("3.00000000000000001")}, {ID: callAt(noon), Amount: dec("9")}}
	set, err := s.SetEstimates(t.Context(), estimates)
	require.NoError(t, err)
	require.Equal(t, 2, set)
	require.Equal(t, "5.50000000000000001", periodState(t, s, novemberOf("q4", "")).Estimated.String())
	require.Equal(t, []string{"budget_threshold"}, alertKinds(t, s), "budgets alert by it")
	requireAmount(t, "2.5", stored(t, s, a.ID).estimatedCost)
	require.Nil(t, stored(t, s, a.ID).cost)
	requireExactBudgets(t, s)

	estimates[0].Amount = dec("7")
	set, err = s.SetEstimates(t.Context(), estimates)
	require.NoError(t, err)
	require.Zero(t, set, "they have one")
	left, err := s.Unestimated(t.Context(), noon.Add(time.Hour), accounting.RequestID{}, 10)
	require.NoError(t, err)
	require.Empty(t, left)

	ship(t, s, a)
	settleFor(t, s, a, "1")
	require.Equal(t, "3.00000000000000001", periodState(t, s, novemberOf("q4", "")).Estimated.String())
	requirePeriod(t, s, novemberOf("q4", ""), "10", "1", "1", "0", "0")
	requireExactBudgets(t, s)
	requireExactRollups(t, s)
}

func TestACallThatIsSettledMeanwhileGetsNoEstimate(t *testing.T) {
	s := budgetStore(t)
	e := closed(noon, "gen-1", "")
	ship(t, s, e)
	settleFor(t, s, e, "1")
	set, err := s.SetEstimates(t.Context(), []accounting.CallEstimate{{ID: e.ID, Amount: dec("2")}})
	require.NoError(t, err)
	require.Zero(t, set)
	require.Nil(t, stored(t, s, e.ID).estimatedCost)
}

func TestTheMeanCostOfAModelIsThatOfItsSettledCalls(t *testing.T) {
	s := budgetStore(t)
	failed := closed(noon, "", "")
	failed.HTTPStatus, failed.Error = 500, "upstream"
	other := closed(noon, "gen-4", "9")
	other.Model, other.RequestedModel = "a/b", "a/b"
	open := closed(noon, "gen-5", "")
	open.Model, open.RequestedModel = "c/d", "c/d"
	ship(t, s, closed(noon, "gen-1", "0.1"), closed(noon.Add(-time.Hour), "gen-2", "0.2"), closed(noon, "gen-3", ""), failed, other, open,
		closed(noon.Add(-8*24*time.Hour), "gen-6", "100"))
	means, err := s.MeanCosts(t.Context(), noon.Add(-7*24*time.Hour), []string{"openai/gpt-4o", "c/d", "e/f"})
	require.NoError(t, err)
	require.Len(t, means, 1)
	require.Equal(t, "0.15", means["openai/gpt-4o"].String())
}
