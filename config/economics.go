package config

import (
	"errors"
	"fmt"

	"github.com/shopspring/decimal"
)

// problems are bounds that are fine by themselves but not beside each other.
func (e *Economics) problems() []error {
	var problems []error
	if sum := e.ScoreWeightSendRate + e.ScoreWeightConversion + e.ScoreWeightCost; sum != 100 {
		problems = append(problems, fmt.Errorf(
			"economics.score_weight_send_rate=%d, score_weight_conversion=%d and score_weight_cost=%d add up to %d: set BURSAR_ECONOMICS_SCORE_WEIGHT_… so that they add up to 100",
			e.ScoreWeightSendRate, e.ScoreWeightConversion, e.ScoreWeightCost, sum))
	}
	for _, pair := range []struct {
		low, high           string
		lowValue, highValue decimal.Decimal
	}{
		{"target_budget_use_low", "target_budget_use_high", e.TargetBudgetUseLow, e.TargetBudgetUseHigh},
		{"band_fair", "band_good", e.BandFair, e.BandGood},
		{"band_good", "band_excellent", e.BandGood, e.BandExcellent},
		{"band_excellent", "the highest score", e.BandExcellent, decimal.NewFromInt(100)},
		{"tier_efficiency", "tier_standard", e.TierEfficiency, e.TierStandard},
		{"tier_standard", "tier_premium", e.TierStandard, e.TierPremium},
		{"reduce_send_rate", "invest_send_rate", e.ReduceSendRate, e.InvestSendRate},
	} {
		if pair.lowValue.GreaterThan(pair.highValue) {
			problems = append(problems, fmt.Errorf("economics.%s=%s is more than %s, %s: lower the one or raise the other",
				pair.low, pair.lowValue, pair.high, pair.highValue))
		}
	}
	return problems
}

func checkShare(share decimal.Decimal) error {
	if share.IsNegative() || share.GreaterThan(decimal.NewFromInt(1)) {
		return errors.New("is not a share from 0 to 1, such as 0.9 for 90 %")
	}
	return nil
}

func checkPercent(percent int) error {
	if percent < 0 || percent > 100 {
		return errors.New("is not a percentage from 0 to 100")
	}
	return nil
}
