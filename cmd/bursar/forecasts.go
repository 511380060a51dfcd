package main

import "bursar/accounting/settle"

// startForecasts keeps the daily forecast and shows what the month costs.
func (p *program) startForecasts() error {
	forecasts, err := settle.NewForecasts(settle.ForecastsOptions{Book: p.store, Months: p.store, Registerer: p.registry, Logger: p.log})
	if err != nil {
		return err
	}
	p.loop("forecasts", forecasts.Run)
	return nil
}
