package notify

import (
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

var (
	slackPath     = regexp.MustCompile(`^/services/[A-Za-z0-9]+/[A-Za-z0-9]+/[A-Za-z0-9]+$`)
	discordPath   = regexp.MustCompile(`^/api/(v[0-9]+/)?webhooks/[0-9]+/[A-Za-z0-9_-]+$`)
	discordToken  = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	snowflake     = regexp.MustCompile(`^[0-9]{1,20}$`)
	telegramToken = regexp.MustCompile(`^[0-9]+:[A-Za-z0-9_-]+$`)
	telegramChat  = regexp.MustCompile(`^(-?[0-9]{1,20}|@[A-Za-z0-9_]{1,64})$`)
)

func slackHook(target *url.URL, o *options) (sender, error) {
	return &hook{url: target.String(), transport: newTransport(o), render: renderSlack, judge: judgeSlack}, nil
}

// discordHook asks Discord to answer after it has stored the message, not
// before.
func discordHook(target *url.URL, o *options) (sender, error) {
	q, err := query(target, "wait", "thread_id")
	if err != nil {
		return nil, err
	}
	values := url.Values{"wait": {"true"}}
	if thread, ok := q["thread_id"]; ok {
		if !snowflake.MatchString(thread) {
			return nil, errors.New("thread_id is not a number")
		}
		values.Set("thread_id", thread)
	}
	target.RawQuery = values.Encode()
	token := target.Path[strings.LastIndexByte(target.Path, '/')+1:]
	if token == "" {
		return nil, errors.New("no token at the end of the path")
	}
	return &hook{url: target.String(), transport: newTransport(o), render: renderDiscord, judge: judgeDiscord(token)}, nil
}

func teamsHook(target *url.URL, o *options) (sender, error) {
	return &hook{url: target.String(), transport: newTransport(o), render: renderTeams, judge: judgeTeams}, nil
}

// readForeign reads <kind>+https://… and <kind>+http://….
func readForeign(make func(*url.URL, *options) (sender, error)) func(*url.URL, *options) (sender, error) {
	return func(u *url.URL, o *options) (sender, error) {
		if u.User != nil {
			return nil, errors.New("a user, which is not sent")
		}
		t, err := target(u)
		if err != nil {
			return nil, err
		}
		return make(t, o)
	}
}

func readSlack(u *url.URL, o *options) (sender, error) {
	path := "/services/" + u.Host + u.Path
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || !slackPath.MatchString(path) {
		return nil, errors.New("not the three parts of a webhook")
	}
	return slackHook(&url.URL{Scheme: "https", Host: "hooks.slack.com", Path: path}, o)
}

func readSlackPasted(u *url.URL, o *options) (sender, error) {
	if !slackPath.MatchString(u.Path) || u.RawQuery != "" {
		return nil, errors.New("not an incoming webhook")
	}
	return readForeign(slackHook)(u, o)
}

func readDiscord(u *url.URL, o *options) (sender, error) {
	token := u.User.Username()
	_, password := u.User.Password()
	if password || !discordToken.MatchString(token) || !snowflake.MatchString(u.Host) || strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		return nil, errors.New("not a token and an id")
	}
	return discordHook(&url.URL{Scheme: "https", Host: "discord.com", Path: "/api/webhooks/" + u.Host + "/" + token, RawQuery: u.RawQuery}, o)
}

func readDiscordPasted(u *url.URL, o *options) (sender, error) {
	if !discordPath.MatchString(u.Path) {
		return nil, errors.New("not a webhook")
	}
	return readForeign(discordHook)(u, o)
}

func readTeams(u *url.URL, o *options) (sender, error) {
	if strings.Trim(u.Path, "/") == "" {
		return nil, errors.New("no path")
	}
	return readForeign(teamsHook)(u, o)
}

// readTelegram takes "telegram" for the host of Telegram's own API; another
// host runs the Bot API server oneself.
func readTelegram(u *url.URL, o *options) (sender, error) {
	password, _ := u.User.Password()
	token := u.User.Username() + ":" + password
	if !telegramToken.MatchString(token) {
		return nil, errors.New("not a bot's token, 123456:ABC…, in front of the @")
	}
	t, err := target(u)
	if err != nil {
		return nil, err
	}
	if u.Host == "telegram" {
		t.Scheme, t.Host = "https", "api.telegram.org"
	}
	q, err := query(u, "chat", "thread")
	if err != nil {
		return nil, err
	}
	if !telegramChat.MatchString(q["chat"]) {
		return nil, errors.New("chat is neither a number nor a @name")
	}
	var thread int64
	if v, ok := q["thread"]; ok {
		if thread, err = strconv.ParseInt(v, 10, 64); err != nil || thread <= 0 {
			return nil, errors.New("thread is not a number")
		}
	}
	t.Path = strings.TrimSuffix(u.Path, "/") + "/bot" + token + "/sendMessage"
	t.RawPath, t.RawQuery = "", ""
	return &hook{url: t.String(), transport: newTransport(o), render: renderTelegram(q["chat"], thread), judge: judgeTelegram(token)}, nil
}

// minSecret keeps a signature from being worth nothing.
const minSecret = 16

// readWebhook takes the secret from the place of the user, which is never sent,
// so that path and query are the receiver's alone.
func readWebhook(u *url.URL, o *options) (sender, error) {
	var secret string
	if u.User != nil {
		secret = u.User.Username()
		if password, ok := u.User.Password(); ok {
			if secret != "" {
				return nil, errors.New("both a user and a password, where only a secret may stand")
			}
			secret = password
		}
		if len(secret) < minSecret {
			return nil, errors.New("a secret that is too short")
		}
	}
	t, err := target(u)
	if err != nil {
		return nil, err
	}
	return &hook{url: t.String(), transport: newTransport(o), render: renderWebhook, header: signWebhook(secret)}, nil
}
