package main

import (
	"context"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
	"bursar/admin"
	"bursar/config"
	"bursar/proxy/openrouter"
)

// creditsTimeout bounds the question what OpenRouter's account has left, which
// somebody waits for in a browser.
const creditsTimeout = 3 * time.Second

// economicsOptions are what the routes of costs, campaigns and leads stand on.
func (p *program) economicsOptions() (*admin.EconomicsOptions, error) {
	client, err := newOpenRouterClient(p.cfg, p.transport)
	if err != nil {
		return nil, err
	}
	plans, err := p.planOptions()
	if err != nil {
		return nil, err
	}
	e := &p.cfg.Economics
	return &admin.EconomicsOptions{
		Plans: plans,
		Store: p.store, Rates: p.store, FixedCosts: p.store, AlertRules: p.reporting.rules, Reports: p.reporting.reports, Targets: targets(e), UnsentAfter: e.UnsentAfterDays,
		MeetingValue: accounting.FromPointer(e.MeetingValueEUR()), Rate: e.USDToEURRate,
		RemainingCredits: func(ctx context.Context) accounting.Optional[decimal.Decimal] {
			return remainingCredits(ctx, client, p.cfg.Upstream)
		},
	}, nil
}

// targets are the configured ones.
func targets(e *config.Economics) accounting.Targets {
	t := accounting.DefaultTargets()
	t.DashboardCostPerEmail, t.DashboardCostPerMeeting = e.DashboardCostPerEmail, e.DashboardCostPerMeeting
	t.CostPerEmail, t.CostPerMeeting = e.TargetCostPerEmail, e.TargetCostPerMeeting
	t.ROI, t.Waste, t.SendRate, t.Conversion = e.TargetROI, e.TargetWaste, e.TargetSendRate, e.TargetConversion
	t.BudgetUseLow, t.BudgetUseHigh, t.ForecastAccuracy = e.TargetBudgetUseLow, e.TargetBudgetUseHigh, e.TargetForecastAccuracy
	t.InvestSendRate, t.ReduceSendRate = e.InvestSendRate, e.ReduceSendRate
	t.Weights = accounting.ScoreWeights{SendRate: int64(e.ScoreWeightSendRate), Conversion: int64(e.ScoreWeightConversion), Cost: int64(e.ScoreWeightCost)}
	t.Bands = accounting.BandBounds{Excellent: e.BandExcellent, Good: e.BandGood, Fair: e.BandFair}
	t.Tiers = accounting.TierBounds{Premium: e.TierPremium, Standard: e.TierStandard, Efficiency: e.TierEfficiency}
	t.MinLeads = int64(e.MinLeads)
	return t
}

// remainingCredits asks OpenRouter what the account has left: with the
// management key, or else with the injected one, which is reported to work as
// well. Without either, or where the key may not, it is unknown.
func remainingCredits(ctx context.Context, client *openrouter.Client, upstream config.Upstream) accounting.Optional[decimal.Decimal] {
	key := upstream.ManagementKey
	if !key.IsSet() {
		key = upstream.APIKey
	}
	if !key.IsSet() {
		return accounting.Optional[decimal.Decimal]{}
	}
	ctx, cancel := context.WithTimeout(ctx, creditsTimeout)
	defer cancel()
	sample, err := client.Credits(ctx, key.Reveal())
	if err != nil || !sample.TotalCredits.Known {
		return accounting.Optional[decimal.Decimal]{}
	}
	return accounting.Some(sample.TotalCredits.Value.Sub(sample.Usage))
}
