package notify

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	slackPasted   = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
	discordPasted = "https://discord.com/api/webhooks/1234567890/abc-DEF_ghi"
	teamsPasted   = "https://prod-12.westeurope.logic.azure.com:443/workflows/0a1b/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=s1gn-ature"
	connector     = "https://acme.webhook.office.com/webhookb2/0a1b@2c3d/IncomingWebhook/4e5f/6a7b"
	telegramURL   = "telegram://123456:ABC-def_ghi@telegram?chat=-100123"
	mailURL       = "smtp://bursar%40acme.example:p%40ss@mail.acme.example:587/?from=Bursar+%3Cbursar@acme.example%3E&to=ops@acme.example,finance@acme.example"
	webhookURL    = "webhook+https://0123456789abcdef@receiver.example/hooks/bursar?tenant=7"
)

func TestEveryDocumentedFormIsReadAsItsKind(t *testing.T) {
	for raw, kind := range map[string]string{
		slackPasted: KindSlack,
		"https://hooks.slack-gov.com/services/T0/B0/X0":       KindSlack,
		"slack://T00000000/B00000000/XXXXXXXX":                KindSlack,
		"slack+https://chat.acme.example/hooks/x1y2":          KindSlack,
		"slack+http://127.0.0.1:8065/hooks/x1y2":              KindSlack,
		discordPasted:                                         KindDiscord,
		"https://discordapp.com/api/webhooks/12/ab":           KindDiscord,
		"https://canary.discord.com/api/v10/webhooks/12/ab":   KindDiscord,
		"https://discord.com/api/webhooks/12/ab?thread_id=99": KindDiscord,
		"discord://abc-DEF_ghi@1234567890":                    KindDiscord,
		"discord://abc-DEF_ghi@1234567890?thread_id=5":        KindDiscord,
		"discord+http://127.0.0.1:9000/api/webhooks/1/tok":    KindDiscord,
		teamsPasted: KindTeams,
		connector:   KindTeams,
		"https://default0a.1b.environment.api.powerplatform.com/powerautomate/automations/direct/workflows/x/triggers/manual/paths/invoke?sig=y": KindTeams,
		"teams://prod-1.westus.logic.azure.us/workflows/x?sig=y":                                                                                 KindTeams,
		"teams+http://127.0.0.1:9000/workflows/x?sig=y":                                                                                          KindTeams,
		telegramURL: KindTelegram,
		"telegram://123456:ABC@telegram?chat=@bursar_alerts&thread=7": KindTelegram,
		"telegram+http://123456:ABC@127.0.0.1:8081?chat=5":            KindTelegram,
		"telegram://123456:ABC@bots.acme.example?chat=5":              KindTelegram,
		mailURL: KindEmail,
		"smtps://u:p@mail.acme.example?from=a@acme.example&to=b@acme.example":      KindEmail,
		"smtp://relay:25?from=a@acme.example&to=b@acme.example&tls=none&helo=me.x": KindEmail,
		"smtp://u:p@127.0.0.1:1025?from=a@x.example&to=b@x.example&tls=none":       KindEmail,
		"smtp://[::1]:1025?from=a@x.example&to=b@x.example&tls=none":               KindEmail,
		webhookURL: KindWebhook,
		"webhook+https://:0123456789abcdef@receiver.example/": KindWebhook,
		"webhook+http://127.0.0.1:9000/hooks?a=%2F":           KindWebhook,
		"  webhook+http://[::1]:9000\n":                       KindWebhook,
	} {
		c, err := Parse(raw)
		if !assert.NoError(t, err, raw) {
			continue
		}
		assert.Equal(t, kind, c.Kind(), raw)
		assert.Regexp(t, "^"+kind+"-[0-9a-f]{8}$", c.Name())
	}
}

func TestEveryExampleOfTheDocumentationIsRead(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/notifications.md")
	require.NoError(t, err)
	kinds := map[string]int{}
	for _, raw := range regexp.MustCompile(`(?m)^[a-z+]+://\S+$`).FindAllString(string(doc), -1) {
		kinds[parse(t, raw).Kind()]++
	}
	assert.Len(t, kinds, 6, "%v", kinds)
}

func TestAWrongURLIsRefusedWithWhatIsExpectedAndNothingOfItself(t *testing.T) {
	for raw, says := range map[string]string{
		"":                            "no scheme",
		"S3cr3t":                      "no scheme",
		"slack:S":                     "no scheme",
		"gopher://S3cr3t/":            "gopher://…: unknown scheme; expected slack://",
		"S3cr3t://x":                  "notification URL: unknown scheme",
		"http://S3cr3t.example/":      "http://…: unknown scheme",
		"https://S3cr3t.example/hook": "https://…: not a webhook of Slack, Discord or Teams; expected webhook+https://",
		"https://hooks.slack.com/triggers/T0/1/S3cr3t":            "not an incoming webhook; expected slack://T…/B…/…",
		"https://hooks.slack.com/services/T0/B0":                  "not an incoming webhook",
		"slack://T0/S3cr3t":                                       "slack://…: not the three parts",
		"slack://u@T0/B0/S3cr3t":                                  "not the three parts",
		"slack+https://u:S3cr3t@chat.example/x":                   "slack+https://…: a user",
		"slack+https:///S3cr3t":                                   "no host",
		"discord://S3cr3t@name":                                   "discord://…: not a token and an id",
		"discord://a:S3cr3t@12":                                   "not a token and an id",
		"discord://S3cr3t@12?thread_id=x":                         "thread_id is not a number",
		"discord://S3cr3t@12?S3cr3t=1":                            "an unknown parameter, where wait, thread_id may stand",
		"https://discord.com/channels/12/S3cr3t":                  "https://…: not a webhook",
		"discord+https://host.example/":                           "no token",
		"teams://host.example/?sig=S3cr3t":                        "no path",
		"telegram://S3cr3t@telegram?chat=1":                       "telegram://…: not a bot's token",
		"telegram://12:S3cr3t@telegram":                           "chat is neither",
		"telegram://12:S3cr3t@telegram?chat=1&chat=2":             "the parameter chat twice",
		"telegram://12:S3cr3t@telegram?chats=1,2":                 "an unknown parameter",
		"telegram://12:S3cr3t@telegram?chat=1&thread=-1":          "thread is not a number",
		"smtp://u:S3cr3t@mail.example":                            "from is not an address",
		"smtp://u:S3cr3t@mail.example?from=a@x.example":           "to is not a list",
		"smtp://u:S3cr3t@mail.example?from=a@x.example&to=b":      "to is not a list",
		"smtp://u@mail.example?from=a@x.example&to=b@x.example":   "a user without a password",
		"smtp://u:S3cr3t@h.example?from=a@x.e&to=b@x.e&tls=none":  "a password, which tls=none would send in clear",
		"smtps://u:S3cr3t@h.example?from=a@x.e&to=b@x.e&tls=none": "tls is not none",
		"smtp://u:S3cr3t@h.example?from=a@x.e&to=b@x.e&tls=weak":  "tls is not none",
		"smtp://u:S3c?r3t@h.example?from=a@x.e&to=b@x.e":          "not a URL",
		"smtp://h.example?from=a@x.e&to=%22a%3E+S3cr3t%22@x.e":    "to holds an address",
		"smtp://h.example?from=%C3%BC@x.e&to=a@x.e":               "from is not an address",
		"smtp://h.example?from=a@x.e%0D%0ABcc:c@x.e&to=a@x.e":     "from is not an address",
		"smtp://h.example?from=a@x.e&to=a@x.e&helo=a+b":           "helo is not",
		"smtp://h.example:0?from=a@x.e&to=a@x.e":                  "a port that is not between",
		"smtp://h.example/S3cr3t?from=a@x.e&to=a@x.e":             "a path",
		"webhook+https://S3cr3t@host.example/":                    "a secret that is too short",
		"webhook+https://user:0123456789abcdef@host.example/":     "both a user and a password",
		"webhook+https://0123456789abcdef@host.example:99999/":    "a port that is not between",
		"webhook+https://0123456789abcdef@/S3cr3t":                "no host",
		"webhook+https://host.example/#S3cr3t":                    "a fragment",
		"webhook+https://host.example:/":                          "an empty port",
		"webhook+https://%zz@host.example/":                       "not a URL",
		"webhook://host.example/":                                 "webhook://…: unknown scheme",
	} {
		_, err := Parse(raw)
		if !assert.Error(t, err, raw) {
			continue
		}
		var wrong *ParseError
		assert.ErrorAs(t, err, &wrong)
		assert.Contains(t, err.Error(), says, raw)
		assert.Contains(t, err.Error(), "; expected ")
		assert.NotContains(t, err.Error(), "S3c", raw)
	}
}

func TestANameIsTheSameForTheSameURLAndAnotherForAnother(t *testing.T) {
	c := parse(t, slackPasted)
	assert.Equal(t, "slack-f5c38873", c.Name(), "a name that changes orphans the deliveries that wait for it")
	assert.Equal(t, c.Name(), parse(t, " "+slackPasted+"\n").Name())
	assert.NotEqual(t, c.Name(), parse(t, slackPasted+"X").Name())
}

func TestPrintingAChannelShowsItsNameOnly(t *testing.T) {
	for _, raw := range []string{webhookURL, mailURL, telegramURL, slackPasted} {
		c := parse(t, raw)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			assert.Equal(t, c.Name(), fmt.Sprintf(verb, c), verb)
		}
	}
}

var channelName = regexp.MustCompile(`^(slack|discord|teams|telegram|email|webhook)-[0-9a-f]{8}$`)

func FuzzParse(f *testing.F) {
	for _, raw := range []string{
		slackPasted, discordPasted, teamsPasted, connector, telegramURL, mailURL, webhookURL,
		"slack://T0/B0/X0", "discord://tok@12?thread_id=1", "smtps://u:p@[::1]:465?from=a@x.e&to=b@x.e", "x://", "://", "smtp://%",
	} {
		f.Add(raw, 12)
		f.Add(raw, len(raw)-3)
	}
	const marker = "S3cr3tM4rker"
	f.Fuzz(func(t *testing.T, raw string, at int) {
		c, err := Parse(raw)
		if err == nil {
			again, err := Parse(raw)
			require.NoError(t, err)
			require.Equal(t, c.Name(), again.Name())
			require.Regexp(t, channelName, c.Name())
			require.True(t, strings.HasPrefix(c.Name(), c.Kind()+"-"))
		}
		// Whatever part of a URL is secret, wherever a slip of the pen moves it.
		if at < 0 || at > len(raw) {
			return
		}
		if _, err := Parse(raw[:at] + marker + raw[at:]); err != nil {
			require.NotContains(t, err.Error(), marker)
		}
	})
}
