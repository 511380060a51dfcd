package notify

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ParseError is a URL that names no channel. It shows nothing of the URL but
// its scheme.
type ParseError struct {
	Scheme   string // empty: there is none that can be shown
	Problem  string
	Expected string // what a right URL looks like
}

func (e *ParseError) Error() string {
	s := "notification URL"
	if e.Scheme != "" {
		s += " " + e.Scheme + "://…"
	}
	return s + ": " + e.Problem + "; expected " + e.Expected
}

// form is how the URLs of one scheme are read.
type form struct {
	kind     string
	expected string
	read     func(u *url.URL, o *options) (sender, error)
}

const (
	expectSlack    = "slack://T…/B…/…, or the webhook URL as Slack shows it (https://hooks.slack.com/services/T…/B…/…)"
	expectDiscord  = "discord://TOKEN@ID, or the webhook URL as Discord shows it (https://discord.com/api/webhooks/ID/TOKEN)"
	expectTeams    = "the webhook URL as Teams shows it, or the same with teams:// in place of https://"
	expectTelegram = "telegram://BOT-TOKEN@telegram?chat=CHAT-ID, one URL for each chat"
	expectEmail    = "smtp://USER:PASSWORD@HOST:587/?from=ADDRESS&to=ADDRESS,ADDRESS (smtps:// for TLS from the first byte); a special character of user or password in its percent form"
	expectWebhook  = "webhook+https://SECRET@HOST/PATH; SECRET signs, has at least 16 characters, and may be left out"
	expectAny      = "slack://, discord://, teams://, telegram://, smtp://, smtps://, webhook+https://, or the https:// webhook URL of Slack, Discord or Teams"
	expectForeign  = "a complete http or https URL behind the plus sign, without user or fragment"
)

// forms are the schemes. Those with a plus sign name the URL to post to as a
// whole: a service with the same protocol on another host.
var forms = map[string]form{
	"https":          {read: nil}, // see pasted
	"slack":          {KindSlack, expectSlack, readSlack},
	"slack+https":    {KindSlack, expectForeign, readForeign(slackHook)},
	"slack+http":     {KindSlack, expectForeign, readForeign(slackHook)},
	"discord":        {KindDiscord, expectDiscord, readDiscord},
	"discord+https":  {KindDiscord, expectForeign, readForeign(discordHook)},
	"discord+http":   {KindDiscord, expectForeign, readForeign(discordHook)},
	"teams":          {KindTeams, expectTeams, readTeams},
	"teams+https":    {KindTeams, expectForeign, readForeign(teamsHook)},
	"teams+http":     {KindTeams, expectForeign, readForeign(teamsHook)},
	"telegram":       {KindTelegram, expectTelegram, readTelegram},
	"telegram+https": {KindTelegram, expectTelegram, readTelegram},
	"telegram+http":  {KindTelegram, expectTelegram, readTelegram},
	"smtp":           {KindEmail, expectEmail, readMail},
	"smtps":          {KindEmail, expectEmail, readMail},
	"webhook+https":  {KindWebhook, expectWebhook, readWebhook},
	"webhook+http":   {KindWebhook, expectWebhook, readWebhook},
}

// schemeShown is what of a URL may be repeated in an error although it is none
// of ours.
var schemeShown = regexp.MustCompile(`^[a-z][a-z0-9+]{0,15}$`)

// Parse reads a channel's URL; docs/notifications.md has all forms. The error
// is a *[ParseError]. Nothing is sent or looked up.
func Parse(rawURL string, opts ...Option) (*Channel, error) {
	o := &options{timeout: DefaultTimeout}
	for _, opt := range opts {
		opt(o)
	}
	rawURL = strings.TrimSpace(rawURL)
	scheme, _, ok := strings.Cut(rawURL, "://")
	if !ok {
		return nil, &ParseError{Problem: "no scheme", Expected: expectAny}
	}
	known, ok := forms[scheme]
	if !ok {
		if !schemeShown.MatchString(scheme) {
			scheme = ""
		}
		return nil, &ParseError{Scheme: scheme, Problem: "unknown scheme", Expected: expectAny}
	}
	u, err := url.Parse(rawURL)
	if err != nil { // which would show the URL
		if known.expected == "" {
			known.expected = expectAny
		}
		return nil, &ParseError{Scheme: scheme, Problem: "not a URL", Expected: known.expected}
	}
	if scheme == "https" {
		if known, ok = pasted(u); !ok {
			return nil, &ParseError{Scheme: scheme, Problem: "not a webhook of Slack, Discord or Teams", Expected: "webhook+https:// for a receiver of your own, else " + expectAny}
		}
	}
	to, err := known.read(u, o)
	if err != nil {
		return nil, &ParseError{Scheme: scheme, Problem: err.Error(), Expected: known.expected}
	}
	return &Channel{kind: known.kind, name: nameOf(known.kind, rawURL), timeout: o.timeout, to: to}, nil
}

// pasted finds the service of a URL that was copied from its pages.
func pasted(u *url.URL) (form, bool) {
	host := strings.ToLower(u.Hostname())
	switch {
	case slices.Contains([]string{"hooks.slack.com", "hooks.slack-gov.com"}, host):
		return form{KindSlack, expectSlack, readSlackPasted}, true
	case slices.Contains([]string{"discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com"}, host):
		return form{KindDiscord, expectDiscord, readDiscordPasted}, true
	case strings.HasSuffix(host, ".webhook.office.com"), strings.HasSuffix(host, ".logic.azure.com"), strings.HasSuffix(host, ".api.powerplatform.com"):
		return form{KindTeams, expectTeams, readTeams}, true
	default:
		return form{}, false
	}
}

// target is the URL to post to, https or what stands behind a plus sign, with
// path and query as they were written. It takes no user: net/http would not send
// it, and nobody would notice.
func target(u *url.URL) (*url.URL, error) {
	t := *u
	t.Scheme = "https"
	if _, after, ok := strings.Cut(u.Scheme, "+"); ok {
		t.Scheme = after
	}
	t.User = nil
	if err := checkHost(u); err != nil {
		return nil, err
	}
	if u.Fragment != "" || u.Opaque != "" {
		return nil, errors.New("a fragment, or no host")
	}
	return &t, nil
}

// hostShown is a name or an address, so that what is dialled, verified and
// sent as Host is what the operator has written.
var hostShown = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?$`)

func checkHost(u *url.URL) error {
	host := u.Hostname()
	if !hostShown.MatchString(host) && net.ParseIP(host) == nil {
		return errors.New("no host, or one that is neither a name nor an address")
	}
	if strings.HasSuffix(u.Host, ":") {
		return errors.New("an empty port")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return errors.New("a port that is not between 1 and 65535")
		}
	}
	return nil
}

// query reads the parameters; only the allowed ones may be there, each once.
func query(u *url.URL, allowed ...string) (map[string]string, error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("a query that cannot be read")
	}
	got := map[string]string{}
	for name, v := range values {
		if !slices.Contains(allowed, name) {
			// The name is not shown: behind a password with a question mark it is
			// the rest of that.
			return nil, fmt.Errorf("an unknown parameter, where %s may stand", strings.Join(allowed, ", "))
		}
		if len(v) > 1 {
			return nil, fmt.Errorf("the parameter %s twice", name)
		}
		got[name] = v[0]
	}
	return got, nil
}
