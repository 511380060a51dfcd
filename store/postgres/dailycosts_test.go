package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestDailyCostsListTheDearestAndTheirRestAndAddUp(t *testing.T) {
	s := newStore(t)
	first, second, third := closed(noon, "gen-1", "0.10"), closed(noon.AddDate(0, 0, 2), "gen-2", "0.03"), closed(noon, "gen-3", "0.01")
	first.Model, second.Model, third.Model = "a/dear", "a/dear", "b/cheap"
	cheapest := closed(noon.AddDate(0, 0, 1), "gen-4", "0.001")
	cheapest.Model = "c/cheapest"
	ship(t, s, first, second, third, cheapest, closed(noon.AddDate(0, 0, 3), "gen-5", "7"))
	from, to := onDay(t, "2026-11-22"), onDay(t, "2026-11-24")

	list, err := s.DailyCosts(t.Context(), from, to, accounting.ByModel, nil, 1)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "a/dear", list[0].Name)
	require.Equal(t, "0.1196", list[0].Total.String())
	require.Len(t, list[0].Days, 3, "every day, those without calls too")
	require.Equal(t, "0.1", list[0].Days[0].CostUSD.String())
	require.True(t, list[0].Days[1].CostEUR.IsZero())
	require.Equal(t, to, list[0].Days[2].Day)
	require.EqualValues(t, 1, list[0].Days[2].Calls)
	require.True(t, list[1].Rest)
	require.Empty(t, list[1].Name)
	require.Equal(t, "0.01012", list[1].Total.String())

	list, err = s.DailyCosts(t.Context(), from, to, accounting.ByModel, []string{"b/cheap", "nobody"}, 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "b/cheap", list[0].Name)

	list, err = s.DailyCosts(t.Context(), onDay(t, "2026-01-01"), onDay(t, "2026-01-02"), accounting.ByPurpose, nil, 10)
	require.NoError(t, err)
	require.Empty(t, list)
	require.NotNil(t, list)
}
