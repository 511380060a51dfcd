package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Validate checks every value and how they go together. [Load] has done so
// already; it is for a Config that was made or changed by code. The error is an
// [*Error].
func (c *Config) Validate() error {
	var problems Error
	root := reflect.ValueOf(c).Elem()
	for _, k := range Keys() {
		value := root.FieldByIndex(k.index).Interface()
		err := k.checkValue(value)
		switch {
		case err == nil:
		case k.Secret:
			problems.add(fmt.Errorf("%s %w", k.Name, err))
		default:
			problems.add(fmt.Errorf("%s=%q %w", k.Name, fmt.Sprint(value), err))
		}
	}
	problems.add(c.crossChecks()...)
	return problems.orNil()
}

// crossChecks finds settings that are fine by themselves but not together. Each
// message says what to set.
func (c *Config) crossChecks() []error {
	var problems []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	refuse(!isLoopback(c.Admin.Addr) && !c.Admin.Token.IsSet(),
		"admin.addr=%q can be reached from other machines, and there is no admin.token: set BURSAR_ADMIN_TOKEN, or BURSAR_ADMIN_ADDR to a loopback address such as 127.0.0.1:8081",
		c.Admin.Addr)
	refuse(!isLoopback(c.Proxy.Addr) && c.Upstream.APIKey.IsSet() && len(c.Proxy.ClientTokens) == 0,
		"proxy.addr=%q can be reached from other machines, which could all spend from upstream.api_key: set BURSAR_PROXY_CLIENT_TOKENS, or BURSAR_PROXY_ADDR to a loopback address such as 127.0.0.1:8080, or leave OPENROUTER_API_KEY unset so that clients bring their own key",
		c.Proxy.Addr)
	refuse(c.Proxy.TLSCertFile != "" && c.Proxy.TLSKeyFile == "",
		"proxy.tls_cert_file=%q needs its key: set BURSAR_PROXY_TLS_KEY_FILE too, or neither for plain HTTP", c.Proxy.TLSCertFile)
	refuse(c.Proxy.TLSCertFile == "" && c.Proxy.TLSKeyFile != "",
		"proxy.tls_key_file=%q needs its certificate: set BURSAR_PROXY_TLS_CERT_FILE too, or neither for plain HTTP", c.Proxy.TLSKeyFile)
	for name, secret := range map[string]Secret{
		"upstream.api_key": c.Upstream.APIKey, "upstream.management_key": c.Upstream.ManagementKey, "admin.token": c.Admin.Token,
	} {
		refuse(strings.ContainsFunc(secret.Reveal(), notInHeader),
			"%s holds a space, a line break or another character that no HTTP header may: look for what was copied along with it", name)
	}
	refuse(c.Proxy.Addr == c.Admin.Addr && !strings.HasSuffix(c.Proxy.Addr, ":0"),
		"proxy.addr and admin.addr are both %q: set BURSAR_PROXY_ADDR or BURSAR_ADMIN_ADDR to another port", c.Proxy.Addr)
	refuse(c.Webhooks.Addr != "" && !c.Webhooks.Secret.IsSet(),
		"webhooks.addr=%q has no webhooks.secret, so anybody could write activities: set BURSAR_WEBHOOKS_SECRET, or leave BURSAR_WEBHOOKS_ADDR empty", c.Webhooks.Addr)
	refuse(c.Journal.SegmentBytes > c.Journal.MaxBytes,
		"journal.segment_bytes=%s is more than the whole journal may hold: set BURSAR_JOURNAL_SEGMENT_BYTES to at most journal.max_bytes=%s",
		c.Journal.SegmentBytes, c.Journal.MaxBytes)
	return append(problems, c.Economics.problems()...)
}

// checks are what a tag check may name. Their errors follow the key and its
// value in a sentence.
var checks = map[string]func(any) error{
	"address":          func(v any) error { return checkAddress(v.(string)) },
	"optional_address": func(v any) error { return checkOptionalAddress(v.(string)) },

	"upstream": func(v any) error { return checkUpstream(v.(string)) },
	"url":      func(v any) error { return checkAppURL(v.(string)) },
	"postgres": func(v any) error { return checkPostgres(v.(Secret).Reveal()) },
	"key32":    func(v any) error { return checkSealingKey(v.(Secret)) },
	"purposes": func(v any) error { return checkPurposes(v.([]string)) },
	"nonempty": func(v any) error { return checkNotEmpty(v.(string)) },
	"amount":   func(v any) error { return checkAmount(v.(string)) },
	"share":    func(v any) error { return checkShare(v.(decimal.Decimal)) },
	"percent":  func(v any) error { return checkPercent(v.(int)) },
	"divisors": func(v any) error { return checkDivisors(v.([]string)) },
	"key_labels": func(v any) error {
		_, err := readKeyLabels(v.([]string))
		return err
	},

	"plan_split": func(v any) error { return checkPlanSplit(v.(string)) },
	"plan_step":  func(v any) error { return checkPlanStep(v.(decimal.Decimal)) },

	"divides_day": func(v any) error { return checkDividesDay(v.(time.Duration)) },
	"close_day":   func(v any) error { return checkCloseDay(v.(int)) },
	"hour":        func(v any) error { return checkHour(v.(int)) },
	"timezone":    func(v any) error { return checkTimezone(v.(string)) },
}

func checkAddress(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("is not an address such as 127.0.0.1:8080, [::1]:8080 or :8080 (all interfaces)")
	}
	return nil
}

// isLoopback reports whether only this machine can reach addr. No name but
// localhost counts, whatever it resolves to at the moment.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func checkUpstream(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		return errors.New("is not an http:// or https:// URL such as https://openrouter.ai")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("has to be scheme, host and perhaps a path prefix, without a user, query or fragment")
	case strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/api/v1"):
		return errors.New("ends in /api/v1, which is part of every request's own path: leave it out")
	}
	return nil
}

func checkAppURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil {
		return errors.New("is not an http:// or https:// URL such as https://app.example.com")
	}
	return nil
}

// checkPostgres rejects other databases' URLs; the rest is for the driver to
// judge. The message never holds the value.
func checkPostgres(dsn string) error {
	scheme, _, isURL := strings.Cut(dsn, "://")
	switch {
	case dsn == "", isURL && (scheme == "postgres" || scheme == "postgresql"):
		return nil
	case !isURL && strings.Contains(dsn, "="):
		return nil
	}
	return errors.New("is not a postgres:// URL or a connection string such as host=… dbname=…")
}

func checkSealingKey(key Secret) error {
	if _, err := (Secrets{Key: key}).SealingKey(); err != nil {
		return errors.New("is not 32 bytes in base64: make one with openssl rand -base64 32")
	}
	return nil
}

var purposePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

func checkPurposes(purposes []string) error {
	for _, p := range purposes {
		if !purposePattern.MatchString(p) {
			return fmt.Errorf("has the item %q; a purpose is up to 64 lower-case letters, digits, _ and -", p)
		}
	}
	return nil
}

// maxSampleInterval leaves a sample within reach of each midnight even if one
// fails.
const maxSampleInterval = 30 * time.Minute

func checkDividesDay(d time.Duration) error {
	if d < time.Minute || d > maxSampleInterval || 24*time.Hour%d != 0 {
		return errors.New("is not an interval of 1m to 30m that divides a day, such as 5m, 10m or 15m")
	}
	return nil
}

func checkCloseDay(day int) error {
	if day > 28 {
		return errors.New("is not a day from 1 to 28, which every month has, or 0")
	}
	return nil
}

func checkNotEmpty(s string) error {
	if s == "" {
		return errors.New("has to be set")
	}
	return nil
}

// notInHeader reports whether a credential cannot hold r and still be sent.
func notInHeader(r rune) bool { return r <= ' ' || r > '~' }
