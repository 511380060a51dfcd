package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// place is everything Load reads, as a test writes it.
type place struct {
	args    []string
	environ []string
	dotenv  string
	yaml    string
}

// load runs Load on a directory of its own.
func (p place) load(t *testing.T) (Config, error) {
	t.Helper()
	dir := t.TempDir()
	if p.dotenv != "" {
		require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte(p.dotenv), 0o600))
	}
	if p.yaml != "" {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "bursar.yaml"), []byte(p.yaml), 0o600))
	}
	flags := pflag.NewFlagSet("bursar", pflag.ContinueOnError)
	Flags(flags)
	require.NoError(t, flags.Parse(p.args))
	return Load(flags, p.environ, dir)
}

// written gives a value of a leaf as a user would write it, secrets included.
func written(v any) string {
	switch v := v.(type) {
	case Secret:
		return v.Reveal()
	case []Secret:
		var list []string
		for _, s := range v {
			list = append(list, s.Reveal())
		}
		return strings.Join(list, ",")
	case []string:
		return strings.Join(v, ",")
	case time.Duration:
		return v.String()
	}
	return strings.TrimSpace(reflect.ValueOf(v).String())
}

// leaf is the text of one setting in cfg.
func leaf(cfg Config, k Key) string {
	switch v := reflect.ValueOf(cfg).FieldByIndex(k.index).Interface().(type) {
	case bool:
		return map[bool]string{true: "true", false: "false"}[v]
	case int:
		return decimal.NewFromInt(int64(v)).String()
	case float64:
		return decimal.NewFromFloat(v).String()
	case ByteSize:
		return v.String()
	case decimal.Decimal:
		return v.String()
	default:
		return written(v)
	}
}

const base64Key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// sample is a valid value of k other than its default.
func sample(k Key) string {
	if s, ok := map[string]string{
		"proxy.addr":              "[::1]:9001",
		"admin.addr":              "localhost:9002",
		"upstream.url":            "http://127.0.0.1:9003",
		"database.url":            "postgres://u:p@db/bursar",
		"secrets.key":             base64Key,
		"app.url":                 "https://app.example.com",
		"webhooks.addr":           "127.0.0.1:9004",
		"rates.ecb_url":           "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml",
		"proxy.disconnect":        "drain",
		"journal.sync":            "wait",
		"journal.when_full":       "refuse",
		"alerts.min_severity":     "warning",
		"spike.action":            "hold",
		"log.level":               "debug",
		"log.format":              "json",
		"settle.enabled":          "false",
		"settle.verify":           "false",
		"reconcile.enabled":       "false",
		"journal.segment_bytes":   "3MiB",
		"budgets.monthly_ai":      "12.5",
		"budgets.key_labels":      "production=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		"budgets.plan_split":      "60/30/10",
		"budgets.plan_mode":       "hard",
		"economics.meeting_value": "2000",
		// Shares, and bounds that have to go together with the other defaults.
		"economics.target_waste": "0.12", "economics.target_send_rate": "0.8", "economics.target_conversion": "0.06",
		"economics.target_budget_use_low": "0.91", "economics.target_budget_use_high": "0.96", "economics.target_forecast_accuracy": "0.9",
		"economics.score_weight_send_rate": "45", "economics.score_weight_conversion": "40", "economics.score_weight_cost": "30",
		"economics.band_excellent": "91", "economics.band_good": "71", "economics.band_fair": "51",
		"economics.tier_premium": "0.91", "economics.tier_standard": "0.71", "economics.tier_efficiency": "0.51",
		"economics.invest_send_rate": "0.81", "economics.reduce_send_rate": "0.51",
		"tags.required":  "lead_id,email_id",
		"reports.weekly": "false", "reports.monthly": "false", "reports.timezone": "Europe/Berlin",
	}[k.Name]; ok {
		return s
	}
	return map[string]string{
		"string": "some/thing", "secret": "s3cret#1", "bool": "true", "int": "17", "number": "2.5",
		"duration": "1m30s", "bytes": "5GiB", "amount": "12.3456789", "list": "one,two",
	}[k.Type]
}

// companions are variables without which a sample is refused.
var companions = map[string]string{
	"proxy.tls_cert_file": "BURSAR_PROXY_TLS_KEY_FILE=key.pem",
	"proxy.tls_key_file":  "BURSAR_PROXY_TLS_CERT_FILE=cert.pem",
	"webhooks.addr":       "BURSAR_WEBHOOKS_SECRET=secret",

	"economics.score_weight_send_rate":  "BURSAR_ECONOMICS_SCORE_WEIGHT_COST=20",
	"economics.score_weight_conversion": "BURSAR_ECONOMICS_SCORE_WEIGHT_COST=20",
	"economics.score_weight_cost":       "BURSAR_ECONOMICS_SCORE_WEIGHT_SEND_RATE=35",
}

func TestEverySettingCanBeSetInEveryPlace(t *testing.T) {
	require.Greater(t, len(Keys()), 40)
	for _, k := range Keys() {
		value := sample(k)
		require.NotEqual(t, k.Default, value, k.Name)
		yamlValue := "'" + value + "'"
		places := map[string]place{
			"flag":   {args: []string{"--" + k.Flag + "=" + value}},
			"env":    {environ: []string{k.Env + "=" + value}},
			"dotenv": {dotenv: k.Env + "='" + value + "'\n"},
			"yaml":   {yaml: k.section + ":\n  " + k.name + ": " + yamlValue + "\n"},
		}
		if k.Alias != "" {
			places["alias in env"] = place{environ: []string{k.Alias + "=" + value}}
			places["alias in dotenv"] = place{dotenv: k.Alias + "='" + value + "'\n"}
		}
		if k.isList() {
			places["yaml sequence"] = place{yaml: k.section + ":\n  " + k.name + ": [" + value + "]\n"}
		}
		for name, p := range places {
			t.Run(k.Name+"/"+name, func(t *testing.T) {
				p.environ = append(p.environ, companions[k.Name])
				cfg, err := p.load(t)
				require.NoError(t, err)
				assert.Equal(t, value, leaf(cfg, k))
			})
		}
	}
}

func TestStrongerPlacesWin(t *testing.T) {
	// Each step takes the strongest place of the one before away.
	for _, k := range Keys() {
		if k.Type != "int" && k.Type != "list" && k.Type != "secret" || k.check != nil {
			continue
		}
		t.Run(k.Name, func(t *testing.T) {
			p := place{
				args:    []string{"--" + k.Flag, "5"},
				environ: []string{k.Env + "=4"},
				dotenv:  k.Env + "=3",
				yaml:    k.section + ":\n  " + k.name + ": 2\n",
			}
			for _, step := range []struct {
				want string
				drop func()
			}{
				{"5", func() { p.args = nil }},
				{"4", func() { p.environ = nil }},
				{"3", func() { p.dotenv = "" }},
				{"2", func() { p.yaml = "" }},
				{k.Default, func() {}},
			} {
				cfg, err := p.load(t)
				require.NoError(t, err)
				assert.Equal(t, step.want, leaf(cfg, k))
				step.drop()
			}
		})
	}
}

func TestNothingSetGivesTheDefaults(t *testing.T) {
	cfg, err := Load(nil, nil, t.TempDir())
	require.NoError(t, err)
	for _, k := range Keys() {
		got := leaf(cfg, k)
		if k.Type == "duration" {
			want, err := time.ParseDuration(k.Default)
			require.NoError(t, err)
			assert.Equal(t, want.String(), got, k.Name)
			continue
		}
		assert.Equal(t, k.Default, got, k.Name)
	}
	require.NoError(t, cfg.Validate())
}

func TestThePrefixedNameWinsOverItsAlias(t *testing.T) {
	cfg, err := place{environ: []string{"OPENROUTER_API_KEY=shared", "BURSAR_UPSTREAM_API_KEY=ours"}}.load(t)
	require.NoError(t, err)
	assert.Equal(t, "ours", cfg.Upstream.APIKey.Reveal())
}

func TestAnEmptyVariableIsNotSet(t *testing.T) {
	cfg, err := place{
		environ: []string{"BURSAR_PROXY_ADDR=", "DATABASE_URL=  ", "BURSAR_UPSTREAM_API_KEY=", "OPENROUTER_API_KEY=k"},
		dotenv:  "DATABASE_URL=postgres://db/x\n",
	}.load(t)
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1:8080", cfg.Proxy.Addr)
	assert.Equal(t, "postgres://db/x", cfg.Database.URL.Reveal())
	assert.Equal(t, "k", cfg.Upstream.APIKey.Reveal(), "an empty prefixed name does not hide its alias")
}

func TestOpenRouterBaseURLIsNeverRead(t *testing.T) {
	with, err := place{environ: []string{"OPENROUTER_BASE_URL=http://127.0.0.1:8080"}, dotenv: "OPENROUTER_BASE_URL=http://x/\n"}.load(t)
	require.NoError(t, err)
	without, err := place{}.load(t)
	require.NoError(t, err)
	assert.Equal(t, without, with)
}

func TestWhatKubernetesInjectsAndWhatIsNotOursIsIgnored(t *testing.T) {
	_, err := place{
		environ: []string{"BURSAR_SERVICE_HOST=10.0.0.1", "BURSAR_SERVICE_PORT_HTTP=80", "BURSAR_PORT=tcp://10.0.0.1:80",
			"BURSAR_PORT_80_TCP_ADDR=10.0.0.1", "PATH=/bin", "BURSARX=1", "malformed"},
		dotenv: "STRIPE_KEY=1\nNODE_ENV=test\n",
	}.load(t)
	require.NoError(t, err)
}

func TestAmountsKeepTheDigitsTheUserWrote(t *testing.T) {
	cfg, err := place{yaml: "economics:\n  usd_to_eur_rate: 0.9200000000000000000001\n  workspace_cost: 48.10\n"}.load(t)
	require.NoError(t, err)
	assert.Equal(t, "0.9200000000000000000001", cfg.Economics.USDToEURRate.String())
	assert.Equal(t, "48.1", cfg.Economics.WorkspaceCost.String())
}

func TestDotenvStaysOutOfTheEnvironment(t *testing.T) {
	cfg, err := place{dotenv: "export BURSAR_ADMIN_TOKEN='a$b#c'\n"}.load(t)
	require.NoError(t, err)
	assert.Equal(t, "a$b#c", cfg.Admin.Token.Reveal())
	_, ok := os.LookupEnv("BURSAR_ADMIN_TOKEN")
	assert.False(t, ok)
}

func TestConfigFlagNamesTheYAMLFile(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bursar.yaml"), []byte("log: {level: warn}"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other.yml"), []byte("log: {level: error}"), 0o600))
	load := func(file string) (Config, error) {
		flags := pflag.NewFlagSet("bursar", pflag.ContinueOnError)
		Flags(flags)
		require.NoError(t, flags.Parse([]string{"--config", file}))
		return Load(flags, nil, dir)
	}
	for _, file := range []string{"other.yml", filepath.Join(dir, "other.yml")} {
		cfg, err := load(file)
		require.NoError(t, err)
		assert.Equal(t, "error", cfg.Log.Level)
	}
	_, err := load("missing.yaml")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestBoolFlagsNeedNoValue(t *testing.T) {
	cfg, err := place{args: []string{"--tags-strict"}}.load(t)
	require.NoError(t, err)
	assert.True(t, cfg.Tags.Strict)
}

func TestFlagHelpNamesEverySettingAndItsVariables(t *testing.T) {
	flags := pflag.NewFlagSet("bursar", pflag.ContinueOnError)
	Flags(flags)
	help := flags.FlagUsages()
	for _, k := range Keys() {
		for _, want := range []string{"--" + k.Flag, k.Env, k.Alias, k.Help} {
			assert.Contains(t, help, want)
		}
	}
}

func TestKeysAreUniqueAndExplained(t *testing.T) {
	seen := map[string]string{}
	for _, k := range Keys() {
		for _, name := range []string{k.Name, k.Env, k.Alias, k.Flag} {
			if name == "" {
				continue
			}
			assert.Empty(t, seen[name], "%s is also %s", k.Name, name)
			seen[name] = k.Name
		}
		assert.NotEmpty(t, k.Help, k.Name)
		assert.NotContains(t, k.Help, "\n", k.Name)
		assert.False(t, strings.HasSuffix(k.Help, "."), k.Name)
		if len(k.Allowed) > 0 {
			assert.True(t, slices.Contains(k.Allowed, k.Default), k.Name)
		}
	}
}
