package config

// Rates is where exchange rates come from.
type Rates struct {
	ECBURL string `mapstructure:"ecb_url" check:"url" help:"feed of the European Central Bank's reference rates, read once a day, e.g. https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist-90d.xml; empty: rates are set by hand only"`
}
