package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestYAMLAnchorsAndNullsAreUnderstood(t *testing.T) {
	cfg, err := place{yaml: `
shipper:
  batch_size: &n 17
settle:
  workers: *n
tags:
  purposes:
    - cold_call
    - ~
    - 'warm_call'
admin:
  token: ~
log:
`}.load(t)
	require.NoError(t, err)
	assert.Equal(t, 17, cfg.Settle.Workers)
	assert.Equal(t, []string{"cold_call", "warm_call"}, cfg.Tags.Purposes)
	assert.False(t, cfg.Admin.Token.IsSet())
	assert.Equal(t, "info", cfg.Log.Level)
}

func TestAListItemKeepsItsComma(t *testing.T) {
	cfg, err := place{yaml: "proxy:\n  client_tokens: ['a,b', c]\n"}.load(t)
	require.NoError(t, err)
	require.Len(t, cfg.Proxy.ClientTokens, 2)
	assert.Equal(t, "a,b", cfg.Proxy.ClientTokens[0].Reveal())
}

// FuzzReadYAML: whatever the file holds, each setting read from it has a value
// of the form that merging relies on.
func FuzzReadYAML(f *testing.F) {
	f.Add(string(ExampleYAML()))
	for _, s := range []string{"", "---\n", "a: &a [*a]", "proxy: {addr: x}", "tags: {purposes: [a, *b]}", "? [x]\n: y", "<<: {a: b}", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := &yamlReader{file: "f"}
		r.read(text)
		for _, s := range r.settings {
			switch raw := s.raw.(type) {
			case string:
				if raw == "" || s.key.isList() {
					t.Fatalf("%s is %q", s.name, raw)
				}
			case []string:
				if len(raw) == 0 || !s.key.isList() {
					t.Fatalf("%s is %q", s.name, raw)
				}
			default:
				t.Fatalf("%s is a %T", s.name, s.raw)
			}
			_ = s.check()
		}
	})
}
