// Package config is everything about Bursar that can be set: one struct tree,
// the places its values come from, and the checks that run before anything
// listens.
//
// The struct tags of [Config] are the only list of settings. Flags, environment
// variables, YAML keys, defaults, help and the two example files under deploy/
// are all made from them:
//
//	field            YAML            environment          flag
//	Proxy.Addr       proxy.addr      BURSAR_PROXY_ADDR    --proxy-addr
//
// # Where a value comes from
//
// The first of these that has it:
//
//	flags ► environment ► .env ► bursar.yaml ► defaults
//
// Some settings have a second variable without the prefix, such as
// DATABASE_URL, which existing applications and hosts already set. Within one
// place the prefixed name wins. OPENROUTER_BASE_URL is never read: applications
// set it to Bursar, so obeying it would forward Bursar to itself.
//
// # Strictness
//
// A misspelt setting is a setting that silently does not hold, so every BURSAR_
// variable, YAML key and value that is not understood is an error, and all of
// them are reported at once. The values of secrets are never part of a message.
package config
