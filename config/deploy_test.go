package config

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// composeService is what of a compose file's service concerns settings.
type composeService struct {
	Environment map[string]*string
}

func TestTheComposeFileStartsAValidConfiguration(t *testing.T) {
	text, err := os.ReadFile("../deploy/compose.yaml")
	require.NoError(t, err)
	var file struct {
		Services map[string]composeService
		Volumes  map[string]any
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	require.Contains(t, file.Services, "bursar")

	// ${NAME:?message} and a name without a value come from the caller.
	fromCaller := regexp.MustCompile(`\$\{\w+:\?[^}]*\}`)
	var environ []string
	for name, value := range file.Services["bursar"].Environment {
		if value == nil {
			environ = append(environ, name+"="+map[bool]string{true: base64Key, false: "from-caller"}[name == "BURSAR_SECRETS_KEY"])
			continue
		}
		environ = append(environ, name+"="+fromCaller.ReplaceAllString(*value, "from-caller"))
	}
	cfg, err := Load(nil, environ, t.TempDir())
	require.NoError(t, err)
	assert.Equal(t, "postgres://bursar@postgres:5432/bursar?sslmode=disable", cfg.Database.URL.Reveal())
	for _, secret := range []Secret{cfg.Admin.Token, cfg.Upstream.APIKey, cfg.Upstream.ManagementKey, cfg.Secrets.Key} {
		assert.True(t, secret.IsSet(), "every variable of the file reaches a setting")
	}
	assert.Len(t, cfg.Proxy.ClientTokens, 1)
}

func TestTheImageRefusesToStartOpenAndAcceptsATokenThen(t *testing.T) {
	text, err := os.ReadFile("../deploy/Dockerfile")
	require.NoError(t, err)
	environ := regexp.MustCompile(`BURSAR_[A-Z_]+=\S+`).FindAllString(string(text), -1)
	require.Len(t, environ, 4)
	_, err = Load(nil, environ, t.TempDir())
	require.ErrorContains(t, err, "set BURSAR_ADMIN_TOKEN")
	cfg, err := Load(nil, append(environ, "BURSAR_ADMIN_TOKEN=t"), t.TempDir())
	require.NoError(t, err)
	assert.Equal(t, "/data", cfg.Data.Dir)
}
