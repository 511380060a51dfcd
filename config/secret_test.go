package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestASecretIsNeverShown(t *testing.T) {
	type holder struct {
		Token  Secret
		Tokens []Secret
	}
	s := NewSecret("hunter2")
	h := holder{Token: s, Tokens: []Secret{s}}
	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10v", "%T"} {
		for _, v := range []any{s, &s, h, &h, []Secret{s}, map[string]Secret{"k": s}} {
			fmt.Fprintf(&shown, verb+"\n", v)
		}
	}
	asJSON, err := json.Marshal(h)
	require.NoError(t, err)
	asYAML, err := yaml.Marshal(h)
	require.NoError(t, err)
	shown.Write(asJSON)
	shown.Write(asYAML)
	logger := zerolog.New(&shown)
	logger.Info().Stringer("a", s).Interface("b", s).Any("c", h).Send()
	fmt.Fprintln(&shown, s, fmt.Sprint(s), fmt.Errorf("with %v", s))

	assert.NotContains(t, shown.String(), "hunter2")
	assert.NotContains(t, shown.String(), fmt.Sprintf("%x", "hunter2"))
	assert.Contains(t, string(asJSON), `"Token":"[redacted]"`)
	assert.Equal(t, "hunter2", s.Reveal())
}

func TestAConfigPrintsWithoutItsSecrets(t *testing.T) {
	cfg, err := place{environ: []string{
		"BURSAR_ADMIN_TOKEN=hunter2-a", "BURSAR_PROXY_CLIENT_TOKENS=hunter2-b,hunter2-c", "OPENROUTER_API_KEY=hunter2-d",
		"OPENROUTER_MANAGEMENT_KEY=hunter2-e", "DATABASE_URL=postgres://u:hunter2@db/x", "BURSAR_SECRETS_KEY=" + base64Key,
	}}.load(t)
	require.NoError(t, err)
	asJSON, err := json.Marshal(cfg)
	require.NoError(t, err)
	for _, text := range []string{fmt.Sprint(cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg), string(asJSON)} {
		assert.NotContains(t, text, "hunter2")
		assert.NotContains(t, text, base64Key)
		assert.Contains(t, text, "[redacted]")
	}
}

func TestASecretThatIsNotSetShowsNothing(t *testing.T) {
	var s Secret
	assert.False(t, s.IsSet())
	assert.Empty(t, fmt.Sprint(s))
	key, err := Secrets{}.SealingKey()
	require.NoError(t, err)
	assert.Nil(t, key)
}

func TestTheSealingKeyIsDecoded(t *testing.T) {
	cfg, err := place{environ: []string{"BURSAR_SECRETS_KEY=" + base64Key}}.load(t)
	require.NoError(t, err)
	key, err := cfg.Secrets.SealingKey()
	require.NoError(t, err)
	want := make([]byte, 32)
	for i := range want {
		want[i] = byte(i)
	}
	assert.Equal(t, want, key)
}
