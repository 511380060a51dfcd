package accounting

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
)

func TestARateIsInvertedToTenDecimalsHalfUp(t *testing.T) {
	for quoted, want := range map[string]string{
		"1.0562": "0.9467903806", // 0.94679038060…
		"1.6":    "0.625",
		"3":      "0.3333333333",
		"0.6":    "1.6666666667",
		"1":      "1",
	} {
		rate, err := InvertRate(decimal.RequireFromString(quoted))
		require.NoError(t, err)
		require.Equal(t, want, rate.String(), quoted)
	}
	for _, bad := range []string{"0", "-1"} {
		_, err := InvertRate(decimal.RequireFromString(bad))
		require.ErrorIs(t, err, ErrRateNotPositive)
	}
}

func TestARateThatCannotBeIsRefusedWithTheReason(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	today := DayOf(now)
	for name, tt := range map[string]struct {
		day    Day
		rate   string
		reason string // empty: it can be
	}{
		"today":           {today, "0.9", ""},
		"the first day":   {EarliestRate, "0.84", ""},
		"tomorrow":        {today.Add(1), "0.9", "has not begun"},
		"before the euro": {EarliestRate.Add(-1), "0.9", "before the euro"},
		"of the yen":      {today, "0.0062", "EUR for one USD"},
		"none":            {today, "0", "EUR for one USD"},
		"less than none":  {today, "-0.9", "EUR for one USD"},
		"of another kind": {today, "92", "EUR for one USD"},
		"too exact":       {today, "0.900000000000000000001", "at most 20 decimals"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckRate(ExchangeRate{Day: tt.day, USDToEUR: Amount{decimal.RequireFromString(tt.rate)}}, now)
			if tt.reason == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.reason)
		})
	}
}

func TestAMonthsVariableCostIsThatOfItsDaysWhereKnown(t *testing.T) {
	m := MonthFigures{OpenRouterUSD: decimal.NewFromInt(3), USDToEUR: decimal.RequireFromString("0.3333333333")}
	require.Equal(t, "0.9999999999", m.VariableEUR().String())
	m.OpenRouterEUR = Some(decimal.NewFromInt(1))
	require.Equal(t, "1", m.VariableEUR().String())
}
