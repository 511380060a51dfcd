package main

import (
	"bursar/accounting"
	"bursar/accounting/settle"
	"bursar/admin"
)

// offerExperiments puts the routes of experiments beside those of campaigns.
func (p *program) offerExperiments(o *admin.EconomicsOptions) {
	o.Experiments, o.Purposes = p.store, append(accounting.DefaultPurposes(), p.cfg.Tags.Purposes...)
}

// startExperiments ends experiments by their own rules.
func (p *program) startExperiments() error {
	experiments, err := settle.NewExperiments(settle.ExperimentsOptions{Book: p.store, Registerer: p.registry, Logger: p.log})
	if err != nil {
		return err
	}
	p.loop("experiments", experiments.Run)
	return nil
}
