package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBoundsOfEconomicsHaveToGoTogether(t *testing.T) {
	for environ, want := range map[string]string{
		"BURSAR_ECONOMICS_SCORE_WEIGHT_COST=30":        "add up to 105: set BURSAR_ECONOMICS_SCORE_WEIGHT_… so that they add up to 100",
		"BURSAR_ECONOMICS_SCORE_WEIGHT_SEND_RATE=-40":  "negative",
		"BURSAR_ECONOMICS_TARGET_BUDGET_USE_LOW=0.96":  "economics.target_budget_use_low=0.96 is more than target_budget_use_high, 0.95",
		"BURSAR_ECONOMICS_TARGET_FORECAST_ACCURACY=95": "is not a share from 0 to 1, such as 0.9 for 90 %",
		"BURSAR_ECONOMICS_BAND_FAIR=80":                "economics.band_fair=80 is more than band_good, 70",
		"BURSAR_ECONOMICS_BAND_EXCELLENT=101":          "economics.band_excellent=101 is more than the highest score, 100",
		"BURSAR_ECONOMICS_TIER_PREMIUM=0.6":            "economics.tier_standard=0.7 is more than tier_premium, 0.6",
		"BURSAR_ECONOMICS_INVEST_SEND_RATE=0.4":        "economics.reduce_send_rate=0.5 is more than invest_send_rate, 0.4",
		"BURSAR_ECONOMICS_TARGET_SEND_RATE=85":         "is not a share from 0 to 1",
	} {
		_, err := place{environ: []string{environ}}.load(t)
		require.ErrorContains(t, err, want, environ)
	}
	_, err := place{environ: []string{"BURSAR_ECONOMICS_SCORE_WEIGHT_COST=0", "BURSAR_ECONOMICS_SCORE_WEIGHT_SEND_RATE=65", "BURSAR_ECONOMICS_BAND_GOOD=90"}}.load(t)
	require.NoError(t, err)
}
