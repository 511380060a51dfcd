package accounting

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
)

func TestAnEmailAtTheMonthsEndCostsWhatTheMonthWillOverWhatWillBeSent(t *testing.T) {
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC) // ten whole days are left
	require.Equal(t, "300", EmailsAtMonthEnd(200, 70, now).String())
	require.Equal(t, "295", EmailsAtMonthEnd(200, 70, now.Add(12*time.Hour)).String(), "of today only what is left of it")

	m := MonthForecast{Expected: Some(decimal.NewFromInt(150))}
	require.Equal(t, "0.5", m.CostPerEmailAtMonthEnd(200, 70, now).Value.String())
	require.False(t, m.CostPerEmailAtMonthEnd(0, 0, now).Known, "nothing is sent")
	require.False(t, (&MonthForecast{}).CostPerEmailAtMonthEnd(200, 70, now).Known, "there is no forecast")
}
