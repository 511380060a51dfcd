package main

import (
	"context"
	"fmt"

	"bursar/accounting"
	"bursar/accounting/settle"
)

// reporting is what people are told without asking: that a figure has passed a
// threshold, and what a week and a month have cost.
type reporting struct {
	rules   *settle.Rules
	reports *settle.Reports
}

func (p *program) openReporting(context.Context) (err error) {
	e, alerts := &p.cfg.Economics, &p.cfg.Alerts
	economics := settle.Economics{Targets: targets(e), UnsentAfter: e.UnsentAfterDays, MeetingValue: accounting.FromPointer(e.MeetingValueEUR())}
	builtIn := accounting.BuiltInRules(accounting.BuiltInThresholds{
		CampaignScore: alerts.CampaignScore, WastePercent: alerts.WastePercent, CostPerMeeting: alerts.CostPerMeeting, MonthTotal: e.CostAlertThreshold,
	}, economics.Targets.MinLeads)
	if p.reporting.rules, err = settle.NewRules(settle.RulesOptions{
		Book: p.store, Figures: p.store, BuiltIn: builtIn, Economics: economics, Interval: alerts.RulesInterval, Logger: p.log}); err != nil {
		return err
	}
	opts := settle.ReportsOptions{
		Book: p.store, Figures: p.store, Economics: economics, Hour: p.cfg.Reports.Hour, Channels: len(p.alerting.channels), Logger: p.log}
	if e.CostAlertThreshold.IsPositive() {
		opts.Threshold = accounting.Some(accounting.Amount{Decimal: e.CostAlertThreshold})
	}
	if p.cfg.Reports.Weekly {
		opts.Periods = append(opts.Periods, accounting.ReportWeekly)
	}
	if p.cfg.Reports.Monthly {
		opts.Periods = append(opts.Periods, accounting.ReportMonthly)
	}
	if opts.Zone, err = p.cfg.Reports.Zone(); err != nil {
		return fmt.Errorf("read reports.timezone (BURSAR_REPORTS_TIMEZONE): %w", err)
	}
	p.reporting.reports, err = settle.NewReports(opts)
	return err
}

// startReporting starts what looks at rules and sends reports. Both raise alerts
// and so end before their deliveries do.
func (p *program) startReporting() {
	p.loop("alert rules", p.reporting.rules.Run)
	p.loop("reports", p.reporting.reports.Run)
}
