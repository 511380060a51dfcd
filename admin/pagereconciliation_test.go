package admin

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMonthsBeforeAnythingWasRecordedAreNotOfferedToBeClosed(t *testing.T) {
	list := sinceTheFirst([]trendMonth{{MonthNumber: 7}, {MonthNumber: 8, OpenRouterCost: money("0.01")}, {MonthNumber: 9}, {MonthNumber: 10}})
	var numbers []int
	for _, m := range list {
		numbers = append(numbers, m.MonthNumber)
	}
	require.Equal(t, []int{10, 9, 8}, numbers, "a month without calls between others stays")
	require.Len(t, sinceTheFirst([]trendMonth{{MonthNumber: 7}, {MonthNumber: 8}}), 1, "only the present one")
	require.Equal(t, 8, sinceTheFirst([]trendMonth{{MonthNumber: 7}, {MonthNumber: 8}})[0].MonthNumber)
}
