package main

import (
	"net/http"

	"bursar/accounting/settle"
)

// startRates starts what reads the feed of exchange rates, if one is
// configured.
func (p *program) startRates() error {
	opts := settle.RatesOptions{Store: toldRates{p.store, p.costsChanged}, Registerer: p.registry, Logger: p.log}
	if p.cfg.Rates.ECBURL != "" {
		opts.Feed = settle.NewECB(p.cfg.Rates.ECBURL, &http.Client{})
	}
	rates, err := settle.NewRates(opts)
	if err != nil {
		return err
	}
	p.loop("exchange rates", rates.Run)
	return nil
}
