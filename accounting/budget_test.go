package accounting

import (
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
)

func TestTheLimitOfTheMonthsAIBudgetIsInEUR(t *testing.T) {
	rate := decimal.RequireFromString("0.92")
	other := BudgetStatus{Budget: Budget{ID: "q4", Currency: EUR}, Limit: Amount{decimal.NewFromInt(5)}}
	monthly := BudgetStatus{Budget: Budget{ID: BudgetMonthlyAI, Currency: EUR}, Limit: Amount{decimal.NewFromInt(77)}}
	require.False(t, MonthlyAILimit([]BudgetStatus{other}, rate).Known)
	require.Equal(t, "77", MonthlyAILimit([]BudgetStatus{other, monthly}, rate).Value.String())
	monthly.Budget.Currency = USD
	require.Equal(t, "70.84", MonthlyAILimit([]BudgetStatus{monthly}, rate).Value.String())
}
