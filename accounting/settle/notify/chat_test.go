package notify

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hostile is a message whose texts try what the services give a meaning to.
func hostile() Message {
	m := alert()
	m.Title = "<!channel> @everyone **bold**\r\nBcc: x@y.z"
	m.Text = "[click](https://evil.example) <https://evil.example|bank> & `code`\x00\x1b[31m \xff"
	m.Fields = []Field{{Name: "a\nb *c*", Value: "<@123> _x_ ||spoiler||"}, {Name: "empty"}}
	return m
}

// huge is a message above every service's bounds.
func huge() Message {
	m := alert()
	m.Title, m.Text = strings.Repeat("🂡*", 3000), strings.Repeat("日*", 50_000)
	m.Link = "https://bursar.example/" + strings.Repeat("x", maxLink-len("https://bursar.example/"))
	m.Fields = nil
	for range 100 {
		m.Fields = append(m.Fields, Field{Name: strings.Repeat("🂡", 900), Value: strings.Repeat("_", 9000)})
	}
	return m
}

func TestSlackGetsOneAttachmentWithAllOfTheMessage(t *testing.T) {
	s := newService(t, answers(200, "ok", "Content-Type", "text/html"), "hooks.slack.com")
	require.NoError(t, parse(t, slackPasted, s.options...).Send(t.Context(), alert()))

	got := s.only(t)
	assert.Equal(t, []string{"hooks.slack.com:443"}, s.dialed)
	assert.Equal(t, "POST", got.Method)
	assert.Equal(t, "hooks.slack.com", got.Host)
	assert.Equal(t, "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", got.Path)
	assert.Equal(t, "application/json", got.Header.Get("Content-Type"))
	assert.JSONEq(t, `{"attachments":[{"fallback":"Critical: Budget monthly-ai at 90 %","color":"#c62828",
		"title":"Critical: Budget monthly-ai at 90 %","title_link":"https://bursar.example/budgets/monthly-ai?from=alert&x=1",
		"text":"69.30 of 77.00 EUR are spent.\nIt resets on 1 December.","footer":"Bursar","ts":1795327201,
		"fields":[{"title":"Campaign","value":"q4-launch","short":true},{"title":"Spent","value":"69.30 EUR","short":true}]}]}`, string(got.Body))
}

func TestTheShortFormOfASlackURLReachesTheSameWebhook(t *testing.T) {
	s := newService(t, answers(200, "ok"), "hooks.slack.com")
	require.NoError(t, parse(t, "slack://T00/B00/XyZ", s.options...).Send(t.Context(), alert()))
	assert.Equal(t, "/services/T00/B00/XyZ", s.only(t).Path)
}

func TestSlackCannotBeMadeToMentionAChannelOrHideALink(t *testing.T) {
	s := newService(t, answers(200, "ok"), "hooks.slack.com")
	require.NoError(t, parse(t, slackPasted, s.options...).Send(t.Context(), hostile()))

	a := s.only(t).decode(t)["attachments"].([]any)[0].(map[string]any)
	assert.Equal(t, "Critical: &lt;!channel&gt; @everyone **bold** Bcc: x@y.z", a["title"])
	assert.Equal(t, "[click](https://evil.example) &lt;https://evil.example|bank&gt; &amp; `code`[31m \uFFFD", a["text"])
	assert.NotContains(t, a, "mrkdwn_in")
	assert.Equal(t, "a b *c*", a["fields"].([]any)[0].(map[string]any)["title"])
}

func TestDiscordGetsAnEmbedAndIsAskedToConfirmIt(t *testing.T) {
	s := newService(t, answers(200, `{"id":"1"}`), "discord.com")
	require.NoError(t, parse(t, "discord://tok-EN_1@42?thread_id=7", s.options...).Send(t.Context(), alert()))

	got := s.only(t)
	assert.Equal(t, "discord.com", got.Host)
	assert.Equal(t, "/api/webhooks/42/tok-EN_1", got.Path)
	assert.Equal(t, "thread_id=7&wait=true", got.Query)
	assert.JSONEq(t, `{"username":"Bursar","allowed_mentions":{"parse":[]},"embeds":[{"title":"Critical: Budget monthly-ai at 90 %",
		"description":"69.30 of 77.00 EUR are spent.\nIt resets on 1 December.","url":"https://bursar.example/budgets/monthly-ai?from=alert&x=1",
		"color":12986408,"timestamp":"2026-11-22T06:00:01Z",
		"fields":[{"name":"Campaign","value":"q4-launch","inline":true},{"name":"Spent","value":"69.30 EUR","inline":true}]}]}`, string(got.Body))
}

func TestDiscordIsGivenNoMarkdownThatAMessageBrought(t *testing.T) {
	s := newService(t, answers(204, ""), "discord.com")
	require.NoError(t, parse(t, discordPasted, s.options...).Send(t.Context(), hostile()))

	e := s.only(t).decode(t)["embeds"].([]any)[0].(map[string]any)
	assert.Equal(t, `Critical: \<!channel\> @everyone \*\*bold\*\* Bcc: x@y.z`, e["title"])
	assert.Contains(t, e["description"], `\[click\]\(https://evil.example\) \<https://evil.example\|bank\>`)
	assert.Equal(t, map[string]any{"name": "empty", "value": "–", "inline": true}, e["fields"].([]any)[1], "Discord refuses an empty value")
}

func TestABackslashCannotUndoAnEscape(t *testing.T) {
	assert.Equal(t, `\\\[x\]\(y\)`, discordEscape.Replace(`\[x](y)`))
}

func TestTeamsGetsAnAdaptiveCardOfTextWithoutMarkdown(t *testing.T) {
	for raw, host := range map[string]string{
		teamsPasted: "prod-12.westeurope.logic.azure.com:443",
		connector:   "acme.webhook.office.com",
		strings.Replace(teamsPasted, "https://", "teams://", 1): "prod-12.westeurope.logic.azure.com:443",
	} {
		s := newService(t, answers(202, ""), "prod-12.westeurope.logic.azure.com", "acme.webhook.office.com")
		require.NoError(t, parse(t, raw, s.options...).Send(t.Context(), alert()))
		got := s.only(t)
		assert.Equal(t, host, got.Host)
		assert.Equal(t, raw[strings.Index(raw, "/w"):], got.URI, "signed, so byte for byte")

		var sent struct {
			Type        string
			Attachments []struct {
				ContentType string
				Content     struct {
					Type, Version string
					Body          []struct {
						Type    string
						Inlines []struct{ Type, Text string }
					}
					Actions []struct{ Type, URL string }
				}
			}
		}
		require.NoError(t, json.Unmarshal(got.Body, &sent))
		assert.Equal(t, "message", sent.Type)
		require.Len(t, sent.Attachments, 1)
		assert.Equal(t, "application/vnd.microsoft.card.adaptive", sent.Attachments[0].ContentType)
		card := sent.Attachments[0].Content
		assert.Equal(t, "AdaptiveCard", card.Type)
		var texts []string
		for _, block := range card.Body {
			assert.Equal(t, "RichTextBlock", block.Type, "a TextBlock would read markdown")
			for _, run := range block.Inlines {
				assert.Equal(t, "TextRun", run.Type)
				texts = append(texts, run.Text)
			}
		}
		assert.Equal(t, []string{"Critical: Budget monthly-ai at 90 %", "69.30 of 77.00 EUR are spent.\nIt resets on 1 December.",
			"Campaign: ", "q4-launch", "Spent: ", "69.30 EUR"}, texts)
		require.Len(t, card.Actions, 1)
		assert.Equal(t, alert().Link, card.Actions[0].URL)
	}
}

func TestTelegramGetsPlainTextForTheChatAndItsThread(t *testing.T) {
	s := newService(t, answers(200, `{"ok":true,"result":{"message_id":1}}`), "api.telegram.org")
	require.NoError(t, parse(t, "telegram://123456:ABC-d_e@telegram?chat=-100123&thread=7", s.options...).Send(t.Context(), alert()))

	got := s.only(t)
	assert.Equal(t, "api.telegram.org", got.Host)
	assert.Equal(t, "/bot123456:ABC-d_e/sendMessage", got.Path)
	assert.Empty(t, got.Query)
	assert.JSONEq(t, `{"chat_id":"-100123","message_thread_id":7,"link_preview_options":{"is_disabled":true},
		"text":"Critical: Budget monthly-ai at 90 %\n\n69.30 of 77.00 EUR are spent.\nIt resets on 1 December.\n\nCampaign: q4-launch\nSpent: 69.30 EUR\n\nhttps://bursar.example/budgets/monthly-ai?from=alert&x=1"}`, string(got.Body))
}

func TestAServerOfOnesOwnIsReachedUnderItsOwnURL(t *testing.T) {
	ok := answers(200, `{"ok":true}`)
	for raw, path := range map[string]string{
		"slack+https://HOST/hooks/x%2Fy?a=b":      "/hooks/x%2Fy?a=b",
		"discord+https://HOST/compat/webhook/tok": "/compat/webhook/tok?wait=true",
		"teams+https://HOST/flow?sig=a%2Bb":       "/flow?sig=a%2Bb",
		"telegram://1:t@HOST/base?chat=2":         "/base/bot1:t/sendMessage",
		"telegram+https://1:t@HOST?chat=2":        "/bot1:t/sendMessage",
	} {
		s := newService(t, ok)
		c := parse(t, strings.Replace(raw, "HOST", hostOf(t, s.URL), 1), s.options...)
		require.NoError(t, c.Send(t.Context(), alert()))
		got := s.only(t)
		assert.Equal(t, path, got.URI)
		assert.Equal(t, hostOf(t, s.URL), got.Host)
	}
}

func TestAHugeMessageFitsEveryChat(t *testing.T) {
	units := func(v any) int { return len(utf16.Encode([]rune(v.(string)))) }
	m := huge()
	clean := m.cleaned()

	body, err := renderDiscord(clean)
	require.NoError(t, err)
	var sent map[string]any
	require.NoError(t, json.Unmarshal(body, &sent))
	e := sent["embeds"].([]any)[0].(map[string]any)
	total := units(e["title"]) + units(e["description"])
	assert.LessOrEqual(t, units(e["title"]), 256)
	assert.LessOrEqual(t, len(e["fields"].([]any)), 25)
	for _, f := range e["fields"].([]any) {
		f := f.(map[string]any)
		assert.LessOrEqual(t, units(f["name"]), 256)
		assert.LessOrEqual(t, units(f["value"]), 1024)
		total += units(f["name"]) + units(f["value"])
	}
	assert.LessOrEqual(t, total, 6000)
	assert.Greater(t, total, 4000, "most of the room is used")

	body, err = renderTelegram("1", 0)(clean)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(body, &sent))
	assert.LessOrEqual(t, units(sent["text"]), 4096)
	assert.True(t, strings.HasSuffix(sent["text"].(string), m.Link), "the link is whole")

	body, err = renderTeams(clean)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(body), 28<<10)

	body, err = renderSlack(clean)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(body), 28<<10)
}

func TestALongTextWithoutFieldsHasTheirRoomInAChat(t *testing.T) {
	units := func(v any) int { return len(utf16.Encode([]rune(v.(string)))) }
	m := huge()
	m.Fields = nil
	clean := m.cleaned()
	var sent map[string]any

	body, err := renderTelegram("1", 0)(clean)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(body, &sent))
	assert.LessOrEqual(t, units(sent["text"]), 4096)
	assert.Greater(t, units(sent["text"]), 3500)

	body, err = renderDiscord(clean)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(body, &sent))
	e := sent["embeds"].([]any)[0].(map[string]any)
	assert.LessOrEqual(t, units(e["description"]), 4096)
	assert.Greater(t, units(e["description"]), 3500)

	for _, render := range []func(*Message) ([]byte, error){renderSlack, renderTeams} {
		body, err := render(clean)
		require.NoError(t, err)
		assert.LessOrEqual(t, len(body), 28<<10)
		assert.Greater(t, len(body), 5000)
	}
}

func TestWhatAServiceAnswersSaysWhetherToTryAgainAndWhen(t *testing.T) {
	for name, tt := range map[string]struct {
		url        string
		answer     http.HandlerFunc
		says       string
		permanent  bool
		retryAfter time.Duration
	}{
		"Slack, revoked":                {slackPasted, answers(403, "invalid_token"), "answered 403 Forbidden: invalid_token", true, 0},
		"Slack, gone":                   {slackPasted, answers(404, "no_service"), "404 Not Found: no_service", true, 0},
		"Slack, archived":               {slackPasted, answers(410, "channel_is_archived"), "channel_is_archived", true, 0},
		"Slack, malformed":              {slackPasted, answers(400, "invalid_payload"), "invalid_payload", true, 0},
		"Slack, too many":               {slackPasted, answers(429, "", "Retry-After", "30"), "429 Too Many Requests", false, 30 * time.Second},
		"Slack, in trouble":             {slackPasted, answers(500, "rollup_error"), "500 Internal Server Error: rollup_error", false, 0},
		"Slack, another page":           {slackPasted, answers(503, "<html>"+slackPasted), "503 Service Unavailable", false, 0},
		"Slack, moved":                  {slackPasted, answers(302, "", "Location", slackPasted), "302 Found; redirects are not followed", true, 0},
		"Discord, revoked":              {discordPasted, answers(404, `{"message":"Unknown Webhook","code":10015}`), "404 Not Found: Unknown Webhook", true, 0},
		"Discord, token":                {discordPasted, answers(401, `{"message":"Invalid Webhook Token abc-DEF_ghi"}`), "Invalid Webhook Token …", true, 0},
		"Discord, too many, body":       {discordPasted, answers(429, `{"message":"You are being rate limited.","retry_after":1.5,"global":false}`), "rate limited", false, 1500 * time.Millisecond},
		"Discord, too many, header":     {discordPasted, answers(429, `{"retry_after":1.5}`, "Retry-After", "2"), "429", false, 2 * time.Second},
		"Discord, Cloudflare in front":  {discordPasted, answers(429, "error code: 1015", "Retry-After", "3600"), "429", false, time.Hour},
		"Discord, in trouble":           {discordPasted, answers(502, "Bad Gateway"), "502", false, 0},
		"Teams, expired":                {teamsPasted, answers(401, `{"error":{"code":"DirectApiAuthorizationRequired"}}`), "401 Unauthorized", true, 0},
		"Teams, deleted":                {teamsPasted, answers(404, ""), "404 Not Found", true, 0},
		"Teams, too many":               {teamsPasted, answers(429, "", "Retry-After", "17"), "429", false, 17 * time.Second},
		"Teams, refused behind a 200":   {connector, answers(200, "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429"), "answered 200, but", false, 0},
		"Telegram, wrong token":         {telegramURL, answers(401, `{"ok":false,"error_code":401,"description":"Unauthorized"}`), "401 Unauthorized: Unauthorized", true, 0},
		"Telegram, no such chat":        {telegramURL, answers(400, `{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}`), "chat not found", true, 0},
		"Telegram, echo of the token":   {telegramURL, answers(404, `{"ok":false,"description":"no bot 123456:ABC-def_ghi"}`), "no bot …", true, 0},
		"Telegram, too many":            {telegramURL, answers(429, `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35","parameters":{"retry_after":35}}`), "Too Many Requests", false, 35 * time.Second},
		"Telegram, too many, not JSON":  {telegramURL, answers(429, "slow down", "Retry-After", "3"), "429", false, 3 * time.Second},
		"Telegram, not ok behind a 200": {telegramURL, answers(200, `{"ok":false}`), "not that the message was sent", false, 0},
		"Telegram, a captive portal":    {telegramURL, answers(200, `<html>log in</html>`), "not that the message was sent", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, tt.answer, "hooks.slack.com", "discord.com", "api.telegram.org", "prod-12.westeurope.logic.azure.com", "acme.webhook.office.com")
			err := sendError(t, parse(t, tt.url, s.options...), alert())
			s.only(t)
			assert.Contains(t, err.Error(), tt.says)
			assert.Equal(t, tt.permanent, err.Permanent())
			assert.Equal(t, tt.retryAfter, err.RetryAfter())
			for _, secret := range []string{"XXXX", "abc-DEF_ghi", "s1gn", "ABC-def_ghi", "6a7b"} {
				assert.NotContains(t, err.Error(), secret)
			}
		})
	}
}

func TestTroubleOnTheWayMayPassAndShowsNoURL(t *testing.T) {
	names := []string{"hooks.slack.com", "discord.com", "api.telegram.org", "prod-12.westeurope.logic.azure.com", "receiver.example"}
	for kind, raw := range map[string]string{"slack": slackPasted, "discord": discordPasted, "telegram": telegramURL, "teams": teamsPasted, "webhook": webhookURL} {
		for trouble, handle := range map[string]http.HandlerFunc{
			"closed at once":         cuts(t, ""),
			"cut in the status line": cuts(t, "HTTP/1.1 2"),
			"cut in the headers":     cuts(t, "HTTP/1.1 200 OK\r\nContent-Type: app"),
			"no HTTP":                cuts(t, "SSH-2.0-OpenSSH_9.2\r\n"),
			"an echo":                echoes(t),
			"an echo in a header":    cuts(t, "HTTP/1.1 200 OK\r\nno colon XXXX abc-DEF_ghi s1gn ABC-def_ghi\r\n\r\n"),
		} {
			t.Run(kind+" "+trouble, func(t *testing.T) {
				s := newService(t, handle, names...)
				err := sendError(t, parse(t, raw, s.options...), alert())
				assert.False(t, err.Permanent())
				for _, secret := range []string{"XXXX", "abc-DEF_ghi", "s1gn", "ABC-def_ghi", "0123456789abcdef", "/services", "/api", "/bot", "/workflows", "/hooks"} {
					assert.NotContains(t, err.Error(), secret)
				}
			})
		}
	}
}

func TestAnAnswerThatIsCutAfterItsStatusCounts(t *testing.T) {
	s := newService(t, cuts(t, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nok"), "hooks.slack.com", "api.telegram.org")
	require.NoError(t, parse(t, slackPasted, s.options...).Send(t.Context(), alert()))
	err := sendError(t, parse(t, telegramURL, s.options...), alert())
	assert.False(t, err.Permanent(), "Telegram says in the document whether it sent")
}
