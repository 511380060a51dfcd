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

func TestAPlansSplitAddsUpAndItsStepMovesSomething(t *testing.T) {
	for env, want := range map[string]string{
		"BURSAR_BUDGETS_PLAN_SPLIT=50/35":      "is not three percentages that add up to 100",
		"BURSAR_BUDGETS_PLAN_SPLIT=50/35/16":   "is not three percentages that add up to 100",
		"BURSAR_BUDGETS_PLAN_SPLIT=110/-20/10": "is not three percentages that add up to 100",
		"BURSAR_BUDGETS_PLAN_STEP=0.5":         "is not a percentage from 1 to 1000",
		"BURSAR_BUDGETS_PLAN_STEP=1001":        "is not a percentage from 1 to 1000",
		"BURSAR_BUDGETS_PLAN_MODE=firm":        "is not one of alert, soft, hard",
	} {
		_, err := Load(nil, []string{env}, t.TempDir())
		assert.ErrorContains(t, err, want, env)
	}
	cfg, err := Load(nil, []string{"BURSAR_BUDGETS_PLAN_SPLIT=60 / 27.5 / 12.5", "BURSAR_BUDGETS_PLAN_AUTO=true"}, t.TempDir())
	require.NoError(t, err)
	assert.True(t, cfg.Budgets.PlanAuto)
}
