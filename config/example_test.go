package config

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the generated example files in deploy/")

func TestTheExampleFilesAreUpToDate(t *testing.T) {
	for file, want := range map[string][]byte{
		"bursar.example.yaml": ExampleYAML(),
		".env.example":        ExampleEnv(),
	} {
		path := filepath.Join("..", "deploy", file)
		if *update {
			require.NoError(t, os.WriteFile(path, want, 0o644))
		}
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), "run go test ./config -update")
	}
}

// commentedOut is a setting in an example: unlike a remark, without a space
// after the #.
var commentedOut = regexp.MustCompile(`(?m)^(\s*)#(\w)`)

func TestTheExamplesLoadAndHoldEverySettingAtItsDefault(t *testing.T) {
	defaults, err := place{}.load(t)
	require.NoError(t, err)
	for name, p := range map[string]place{
		"yaml as it is":     {yaml: string(ExampleYAML())},
		"env as it is":      {dotenv: string(ExampleEnv())},
		"yaml with all set": {yaml: commentedOut.ReplaceAllString(string(ExampleYAML()), "$1$2")},
		"env with all set":  {dotenv: commentedOut.ReplaceAllString(string(ExampleEnv()), "$1$2")},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := p.load(t)
			require.NoError(t, err)
			assert.Equal(t, defaults, cfg)
		})
	}
	for _, k := range Keys() {
		assert.Regexp(t, `(?m)^  #`+k.name+`: `, string(ExampleYAML()))
		name := k.Env
		if k.Alias != "" {
			name = k.Alias
		}
		assert.Regexp(t, `(?m)^#`+name+`=`, string(ExampleEnv()))
	}
}

func TestASettingInTheExampleHoldsOnceUncommented(t *testing.T) {
	yaml := regexp.MustCompile(`(?m)^  #batch_size: 1000$`).ReplaceAllString(string(ExampleYAML()), "  batch_size: 17")
	cfg, err := place{yaml: yaml}.load(t)
	require.NoError(t, err)
	assert.Equal(t, 17, cfg.Shipper.BatchSize)

	env := regexp.MustCompile(`(?m)^#USD_TO_EUR_RATE=.*$`).ReplaceAllString(string(ExampleEnv()), "USD_TO_EUR_RATE=0.5")
	cfg, err = place{dotenv: env}.load(t)
	require.NoError(t, err)
	assert.Equal(t, "0.5", cfg.Economics.USDToEURRate.String())
}
