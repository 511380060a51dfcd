package config

// Webhooks is the listener on which sending platforms report what happened.
type Webhooks struct {
	Addr        string   `mapstructure:"addr" check:"optional_address" help:"address of the webhooks' listener, host:port; empty: there is none"`
	Secret      Secret   `mapstructure:"secret" help:"what platforms show as Bearer or X-Webhook-Secret, or sign with; needed when there is an address"`
	MappingFile string   `mapstructure:"mapping_file" help:"JSON file of mappings that replace the default ones or add platforms; docs/webhooks.md has its form"`
	MaxBytes    ByteSize `mapstructure:"max_bytes" default:"256KiB" range:"positive" help:"the largest event that is read"`
}

// checkOptionalAddress is checkAddress where an address is given.
func checkOptionalAddress(addr string) error {
	if addr == "" {
		return nil
	}
	return checkAddress(addr)
}
