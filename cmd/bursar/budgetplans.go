package main

import (
	"fmt"

	"bursar/accounting"
	"bursar/accounting/settle"
	"bursar/admin"
)

// planner makes budget plans by the configuration.
func (p *program) planner() (*settle.Planner, error) {
	split, err := accounting.ParsePlanSplit(p.cfg.Budgets.PlanSplit)
	if err != nil {
		return nil, fmt.Errorf("read BURSAR_BUDGETS_PLAN_SPLIT: %w", err)
	}
	e := &p.cfg.Economics
	return &settle.Planner{
		Figures: p.store, Targets: targets(e), Split: split, Step: p.cfg.Budgets.PlanStep,
		Value:  accounting.MeetingValue{Default: accounting.FromPointer(e.MeetingValueEUR())},
		Models: accounting.PlanModels{Premium: e.ModelPremium, Standard: e.ModelStandard, Efficiency: e.ModelEfficiency},
	}, nil
}

// planOptions are what the routes of budget plans stand on.
func (p *program) planOptions() (*admin.PlanOptions, error) {
	planner, err := p.planner()
	if err != nil {
		return nil, err
	}
	return &admin.PlanOptions{Planner: planner, Plans: p.store, Mode: accounting.Mode(p.cfg.Budgets.PlanMode)}, nil
}

// startBudgetPlans starts what moves budgets towards their plan.
func (p *program) startBudgetPlans() error {
	planner, err := p.planner()
	if err != nil {
		return err
	}
	plans, err := settle.NewBudgetPlans(settle.BudgetPlansOptions{
		Book: p.store, Planner: planner, Automatic: p.cfg.Budgets.PlanAuto, Mode: accounting.Mode(p.cfg.Budgets.PlanMode), Logger: p.log})
	if err != nil {
		return err
	}
	p.loop("budget plans", plans.Run)
	return nil
}
