package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheMonthlyBudgetIsWhatIsConfiguredOrWhatTheFixedCostsLeave(t *testing.T) {
	for _, c := range []struct {
		want string
		env  []string
	}{
		{"77", nil},
		{"12.50", []string{"BURSAR_BUDGETS_MONTHLY_AI=12.50"}},
		{"0", []string{"BURSAR_BUDGETS_MONTHLY_AI=0"}},
		{"100.5", []string{"COST_ALERT_THRESHOLD=150.5", "MONTHLY_INSTANTLY_COST=20", "MONTHLY_WORKSPACE_COST=30"}},
		{"0", []string{"COST_ALERT_THRESHOLD=100"}},
	} {
		cfg, err := Load(nil, c.env, t.TempDir())
		require.NoError(t, err)
		assert.Equal(t, c.want, cfg.MonthlyAI().StringFixed(max(0, -cfg.MonthlyAI().Exponent())), c.env)
	}
}

func TestAMonthlyBudgetThatIsNoAmountAndATagThatDividesNothingAreRefused(t *testing.T) {
	for env, want := range map[string]string{
		"BURSAR_BUDGETS_MONTHLY_AI=lots":       `BURSAR_BUDGETS_MONTHLY_AI="lots" (environment) is not an amount`,
		"BURSAR_BUDGETS_MONTHLY_AI=-1":         `BURSAR_BUDGETS_MONTHLY_AI="-1" (environment) is not an amount`,
		"BURSAR_BUDGETS_MONTHLY_AI=1e3":        `BURSAR_BUDGETS_MONTHLY_AI="1e3" (environment) is not an amount`,
		"BURSAR_TAGS_REQUIRED=lead_id,purpose": `the item "purpose"; a budget can be divided by lead_id, email_id, campaign_id`,
	} {
		_, err := Load(nil, []string{env}, t.TempDir())
		assert.ErrorContains(t, err, want)
	}
}
