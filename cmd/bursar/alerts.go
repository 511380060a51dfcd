package main

import (
	"context"
	"fmt"

	"bursar/accounting"
	"bursar/accounting/settle"
	"bursar/accounting/settle/notify"
	"bursar/config"
	"bursar/store/postgres"
)

// alerting is what makes alerts, and what takes them to people.
type alerting struct {
	channels   []settle.Channel
	deliveries *settle.Deliveries
	undecided  *settle.Undecided
	spikes     *settle.SpikeBrake // nil: nobody looks for them
	estimates  *settle.Estimates
}

// openChannels reads the URLs of the channels. Nothing is sent or looked up.
func (p *program) openChannels(context.Context) error {
	var problems config.Error
	taken := map[string]int{}
	for i, url := range p.cfg.Alerts.Channels() {
		c, err := notify.Parse(url.Reveal(), notify.WithTimeout(p.cfg.Alerts.Timeout))
		if err != nil { // which shows nothing of the URL
			problems.Problems = append(problems.Problems, fmt.Errorf("alerts.urls (BURSAR_ALERTS_URLS): URL %d: %w", i+1, err))
			continue
		}
		if first := taken[c.Name()]; first > 0 {
			problems.Problems = append(problems.Problems, fmt.Errorf("alerts.urls (BURSAR_ALERTS_URLS): URL %d is the same as URL %d", i+1, first))
			continue
		}
		taken[c.Name()] = i + 1
		p.alerting.channels = append(p.alerting.channels, &alertChannel{channel: c, appURL: p.cfg.App.URL})
	}
	if len(problems.Problems) > 0 {
		return &problems
	}
	return nil
}

// storeAlerts tells the store where alerts go, and whom to tell of them.
func (p *program) storeAlerts(o *postgres.Options) {
	for _, c := range p.alerting.channels {
		o.Channels = append(o.Channels, c.Name())
	}
	o.MinSeverity = accounting.Severity(p.cfg.Alerts.MinSeverity)
	o.CostTolerance = p.cfg.Reconcile.Tolerance
	o.Raised = func(alerts []accounting.Alert) { p.alerting.deliveries.Raised(alerts) }
}

// openDeliveries comes before the first alert can be raised.
func (p *program) openDeliveries() (err error) {
	p.alerting.deliveries, err = settle.NewDeliveries(settle.DeliveriesOptions{
		Outbox: p.store, Channels: p.alerting.channels,
		Timeout: p.cfg.Alerts.Timeout, GiveUpAfter: p.cfg.Alerts.GiveUpAfter,
		Registerer: p.registry, Logger: p.log})
	return err
}

func (p *program) openAlerting(context.Context) (err error) {
	a := &p.alerting
	if a.undecided, err = settle.NewUndecided(settle.UndecidedOptions{Book: p.store, Logger: p.log}); err != nil {
		return err
	}
	if a.estimates, err = settle.NewEstimates(settle.EstimatesOptions{
		Book: p.store, Prices: p.budgeting.prices, After: p.cfg.Settle.EstimateAfter,
		Registerer: p.registry, Logger: p.log}); err != nil {
		return err
	}
	if p.cfg.Spike.Action == "off" {
		return nil
	}
	a.spikes, err = settle.NewSpikeBrake(settle.SpikeBrakeOptions{
		Book: p.store, Interval: p.cfg.Spike.Interval,
		Rule:   accounting.SpikeRule{MinUSD: p.cfg.Spike.MinUSD, MinHours: p.cfg.Spike.MinHours, Hold: p.cfg.Spike.Action == "hold"},
		Logger: p.log})
	return err
}

// startAlerting starts what ends after the shipper: its last flush may raise
// alerts.
func (p *program) startAlerting() {
	p.loop("deliveries of alerts", p.alerting.deliveries.Run)
	p.loop("undecided calls", p.alerting.undecided.Run)
	p.loop("estimates", p.alerting.estimates.Run)
	if p.alerting.spikes != nil {
		p.loop("spike brake", p.alerting.spikes.Run)
	}
}
