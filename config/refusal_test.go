package config

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		place place
		want  []string // parts of the message
	}{
		"a misspelt variable": {
			place{environ: []string{"BURSAR_PROXY_ADR=1"}}, []string{"BURSAR_PROXY_ADR", "environment", "did you mean BURSAR_PROXY_ADDR?"},
		},
		"two swapped letters": {
			place{environ: []string{"BURSAR_LGO_LEVEL=info"}}, []string{"BURSAR_LGO_LEVEL", "did you mean BURSAR_LOG_LEVEL?"},
		},
		"an alias with the prefix": {
			place{environ: []string{"BURSAR_OPENROUTER_API_KEY=k"}}, []string{"did you mean OPENROUTER_API_KEY?"},
		},
		"a variable like no other": {
			place{environ: []string{"BURSAR_XYZZY=1"}}, []string{"BURSAR_XYZZY", "bursar.example.yaml"},
		},
		"an empty unknown variable": {
			place{environ: []string{"BURSAR_PROXY_ADR="}}, []string{"BURSAR_PROXY_ADR"},
		},
		"a misspelt variable in .env": {
			place{dotenv: "BURSAR_DATA_DIRR=x"}, []string{"BURSAR_DATA_DIRR", ".env", "BURSAR_DATA_DIR?"},
		},
		"a line of .env that is no assignment": {
			place{dotenv: "A=1\n\nnot an assignment hunter2\nB=2"}, []string{".env:3 ", "NAME=value"},
		},
		"an open quote in .env": {
			place{dotenv: "A=1\nBURSAR_ADMIN_TOKEN=\"hunter2\nB=2"}, []string{".env:2 ", "NAME=value"},
		},
		"an unknown YAML section": {
			place{yaml: "log:\n  level: info\nproxi:\n  addr: x\n"}, []string{"bursar.yaml:3", "proxi", "did you mean proxy?"},
		},
		"a YAML section that is like none": {
			place{yaml: "foo: 1\n"}, []string{"bursar.yaml:1", "foo is not a section; deploy/bursar.example.yaml and deploy/.env.example list all there are"},
		},
		"an unknown YAML key": {
			place{yaml: "proxy:\n  adr: x\n"}, []string{"bursar.yaml:2", "proxy.adr", "did you mean proxy.addr?"},
		},
		"a YAML key in other case": {
			place{yaml: "proxy:\n  Addr: x\n"}, []string{"proxy.Addr"},
		},
		"a YAML key there twice": {
			place{yaml: "proxy:\n  addr: 127.0.0.1:1\n  addr: 127.0.0.1:2\n"}, []string{"bursar.yaml:3", "addr is there twice"},
		},
		"a YAML section that is a value": {
			place{yaml: "proxy: 127.0.0.1:1\n"}, []string{"bursar.yaml:1", "proxy has to hold names"},
		},
		"a YAML file that is a list": {place{yaml: "- proxy\n"}, []string{"the file has to hold names"}},
		"a YAML mapping as a value": {
			place{yaml: "proxy:\n  addr:\n    host: x\n"}, []string{"bursar.yaml:3", "proxy.addr takes a single value"},
		},
		"a YAML list of lists": {
			place{yaml: "tags:\n  purposes: [[a]]\n"}, []string{"tags.purposes takes a list of plain values"},
		},
		"two YAML documents": {place{yaml: "log:\n---\nlog:\n"}, []string{"more than one YAML document"}},
		"a file that is not YAML": {
			place{yaml: "admin:\n  token: *hunter2\n"}, []string{"bursar.yaml is not YAML"},
		},
		"a bad duration": {
			place{args: []string{"--proxy-drain-timeout", "10"}}, []string{`--proxy-drain-timeout="10" (flag)`, "10s, 5m"},
		},
		"a bad size":   {place{environ: []string{"BURSAR_JOURNAL_MAX_BYTES=4G"}}, []string{`="4G"`, "4GiB"}},
		"a bad int":    {place{yaml: "settle:\n  workers: 1e3\n"}, []string{`settle.workers="1e3" (bursar.yaml:2)`, "whole number"}},
		"a bad number": {place{environ: []string{"BURSAR_SETTLE_VERIFY_RATE=NaN"}}, []string{`"NaN"`, "a number"}},
		"a bad bool":   {place{environ: []string{"DEBUG_COST_TRACKING=maybe"}}, []string{"DEBUG_COST_TRACKING", `"maybe"`, "true or false"}},
		"a bad amount": {place{environ: []string{"USD_TO_EUR_RATE=0,92"}}, []string{"USD_TO_EUR_RATE", `"0,92"`, "0.92"}},
		"an absurd amount": {
			place{environ: []string{"COST_ALERT_THRESHOLD=1e999999999"}}, []string{"COST_ALERT_THRESHOLD", "amount"},
		},
		"a negative amount":   {place{environ: []string{"MONTHLY_INSTANTLY_COST=-1"}}, []string{`"-1"`, "negative"}},
		"a rate of zero":      {place{environ: []string{"USD_TO_EUR_RATE=0.00"}}, []string{"more than 0"}},
		"a negative duration": {place{environ: []string{"BURSAR_SETTLE_VERIFY_DELAY=-1s"}}, []string{"negative"}},
		"zero workers":        {place{environ: []string{"BURSAR_SETTLE_WORKERS=0"}}, []string{"more than 0"}},
		"a choice that is none": {
			place{environ: []string{"BURSAR_PROXY_DISCONNECT=wait"}}, []string{`"wait"`, "one of grace, drain"},
		},
		"an address without a port": {place{environ: []string{"BURSAR_PROXY_ADDR=localhost"}}, []string{`"localhost"`, "127.0.0.1:8080"}},
		"a port that is too large":  {place{environ: []string{"BURSAR_ADMIN_ADDR=127.0.0.1:65536"}}, []string{"127.0.0.1:65536"}},
		"an upstream that is not HTTP": {
			place{environ: []string{"BURSAR_UPSTREAM_URL=ftp://openrouter.ai"}}, []string{"ftp://openrouter.ai", "https://openrouter.ai"},
		},
		"an upstream without a scheme": {place{environ: []string{"BURSAR_UPSTREAM_URL=openrouter.ai"}}, []string{`"openrouter.ai"`}},
		"an upstream with a query":     {place{environ: []string{"BURSAR_UPSTREAM_URL=https://x.example/?a=b"}}, []string{"without a user, query or fragment"}},
		"an upstream with a password":  {place{environ: []string{"BURSAR_UPSTREAM_URL=https://u:hunter2@x.example"}}, []string{"[redacted]@x.example"}},
		"an upstream with the API path": {
			place{environ: []string{"BURSAR_UPSTREAM_URL=https://openrouter.ai/api/v1"}}, []string{"leave it out"},
		},
		"an application URL that is not HTTP": {place{environ: []string{"APP_URL=app.example.com"}}, []string{"APP_URL", "https://app.example.com"}},
		"another database":                    {place{environ: []string{"DATABASE_URL=mysql://root:hunter2@db/x"}}, []string{"DATABASE_URL", "postgres://"}},
		"a sealing key that is short": {
			place{environ: []string{"BURSAR_SECRETS_KEY=aHVudGVyMg=="}}, []string{"BURSAR_SECRETS_KEY", "openssl rand -base64 32"},
		},
		"an interval that misses midnight": {place{environ: []string{"BURSAR_RECONCILE_SAMPLE_INTERVAL=7m"}}, []string{`"7m"`, "5m, 10m or 15m"}},
		"an interval beyond reach":         {place{environ: []string{"BURSAR_RECONCILE_SAMPLE_INTERVAL=1h"}}, []string{"1m to 30m"}},
		"a day that February lacks":        {place{environ: []string{"BURSAR_RECONCILE_CLOSE_DAY=29"}}, []string{`"29"`, "1 to 28"}},
		"a purpose with a space":           {place{environ: []string{"BURSAR_TAGS_PURPOSES=cold_call,warm call"}}, []string{`"warm call"`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tt.place.load(t)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Len(t, e.Problems, 1, "%v", err)
			for _, part := range tt.want {
				require.ErrorContains(t, err, part)
			}
			assert.NotContains(t, err.Error(), "hunter2")
			assert.NotContains(t, err.Error(), "aHVudGVyMg")
		})
	}
}

func TestSettingsThatDoNotGoTogetherAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		environ []string
		want    string
	}{
		"an open admin port without a token":         {[]string{"BURSAR_ADMIN_ADDR=0.0.0.0:8081"}, "set BURSAR_ADMIN_TOKEN"},
		"an open admin port on every interface":      {[]string{"BURSAR_ADMIN_ADDR=:8081"}, "set BURSAR_ADMIN_TOKEN"},
		"an admin port on a named host":              {[]string{"BURSAR_ADMIN_ADDR=bursar.local:8081"}, "set BURSAR_ADMIN_TOKEN"},
		"an open proxy with our key and no tokens":   {[]string{"BURSAR_PROXY_ADDR=[::]:8080", "OPENROUTER_API_KEY=hunter2"}, "set BURSAR_PROXY_CLIENT_TOKENS"},
		"client tokens that are only commas":         {[]string{"BURSAR_PROXY_ADDR=:8080", "OPENROUTER_API_KEY=hunter2", "BURSAR_PROXY_CLIENT_TOKENS=, ,"}, "set BURSAR_PROXY_CLIENT_TOKENS"},
		"a certificate without its key":              {[]string{"BURSAR_PROXY_TLS_CERT_FILE=c.pem"}, "BURSAR_PROXY_TLS_KEY_FILE"},
		"a key without its certificate":              {[]string{"BURSAR_PROXY_TLS_KEY_FILE=k.pem"}, "BURSAR_PROXY_TLS_CERT_FILE"},
		"both ports on one address":                  {[]string{"BURSAR_ADMIN_ADDR=127.0.0.1:8080"}, "both"},
		"a segment that is larger than the journal ": {[]string{"BURSAR_JOURNAL_MAX_BYTES=1MiB"}, "BURSAR_JOURNAL_SEGMENT_BYTES"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := place{environ: tt.environ}.load(t)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Len(t, e.Problems, 1, "%v", err)
			require.ErrorContains(t, err, tt.want)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestSettingsThatGoTogetherAreAccepted(t *testing.T) {
	for name, environ := range map[string][]string{
		"an open admin port with a token":             {"BURSAR_ADMIN_ADDR=0.0.0.0:8081", "BURSAR_ADMIN_TOKEN=t"},
		"an open proxy that passes clients' keys":     {"BURSAR_PROXY_ADDR=:8080"},
		"an open proxy with our key and tokens":       {"BURSAR_PROXY_ADDR=:8080", "OPENROUTER_API_KEY=k", "BURSAR_PROXY_CLIENT_TOKENS=t"},
		"our key on localhost":                        {"BURSAR_PROXY_ADDR=localhost:8080", "OPENROUTER_API_KEY=k"},
		"our key on the IPv6 loopback":                {"BURSAR_PROXY_ADDR=[::1]:8080", "OPENROUTER_API_KEY=k"},
		"our key elsewhere in 127.0.0.0/8":            {"BURSAR_PROXY_ADDR=127.1.2.3:8080", "OPENROUTER_API_KEY=k"},
		"two ports that the system chooses":           {"BURSAR_PROXY_ADDR=127.0.0.1:0", "BURSAR_ADMIN_ADDR=127.0.0.1:0"},
		"an upstream with a path prefix":              {"BURSAR_UPSTREAM_URL=https://gateway.example/openrouter"},
		"a database given as a connection string":     {"DATABASE_URL=host=/run/pg dbname=bursar"},
		"a sealing key in URL base64 without padding": {"BURSAR_SECRETS_KEY=" + base64.RawURLEncoding.EncodeToString(make([]byte, 32))},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := place{environ: environ}.load(t)
			require.NoError(t, err)
		})
	}
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	_, err := place{
		args:    []string{"--log-level=loud"},
		environ: []string{"BURSAR_PROXY_ADR=x", "BURSAR_ADMIN_ADDR=:8081"},
		dotenv:  "BURSAR_DATA_DIRR=x\n",
		yaml:    "settle:\n  workers: many\nnope: 1\n",
	}.load(t)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Len(t, e.Problems, 6, "%v", err)
	assert.Contains(t, err.Error(), "configuration has 6 problems:\n  - ")
}

func TestValidateJudgesAConfigMadeByCode(t *testing.T) {
	valid := func() Config {
		cfg, err := Load(nil, nil, t.TempDir())
		require.NoError(t, err)
		return cfg
	}
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"a choice":      {func(c *Config) { c.Log.Level = "loud" }, `log.level="loud" is not one of`},
		"a number":      {func(c *Config) { c.Settle.Workers = 0 }, `settle.workers="0" has to be more than 0`},
		"an amount":     {func(c *Config) { c.Economics.InstantlyCost = decimal.NewFromInt(-1) }, "economics.instantly_cost"},
		"an empty path": {func(c *Config) { c.Data.Dir = "" }, "data.dir"},
		"a key label":   {func(c *Config) { c.Budgets.KeyLabels = []string{"production=sk-or-v1-secret"} }, "budgets.key_labels"},
		"a secret":      {func(c *Config) { c.Secrets.Key = NewSecret("hunter2") }, "secrets.key is not 32 bytes"},
		"a combination": {func(c *Config) { c.Admin.Addr = ":1" }, "BURSAR_ADMIN_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := valid()
			tt.change(&cfg)
			err := cfg.Validate()
			require.ErrorContains(t, err, tt.want)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
	var zero Config
	var e *Error
	require.ErrorAs(t, zero.Validate(), &e)
	require.ErrorIs(t, e, e.Problems[0])
}

func TestDistanceCountsEditsAndSwaps(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"abc", "abc", 0}, {"", "abc", 3}, {"abc", "", 3},
		{"adr", "addr", 1}, {"lgo", "log", 1}, {"kitten", "sitting", 3},
	} {
		assert.Equal(t, tt.want, distance(tt.a, tt.b), fmt.Sprint(tt))
		assert.Equal(t, tt.want, distance(tt.b, tt.a), strings.ToUpper(fmt.Sprint(tt)))
	}
}
