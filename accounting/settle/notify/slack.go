package notify

import (
	"encoding/json"
	"regexp"
	"strings"
)

// slackPayload is an incoming webhook's document with one attachment, the form
// that Mattermost and Rocket.Chat understand as well. Attachments are plain text
// unless mrkdwn_in asks for more.
// https://docs.slack.dev/messaging/formatting-message-text
type slackPayload struct {
	Attachments []slackAttachment `json:"attachments"`
}

type slackAttachment struct {
	Fallback  string       `json:"fallback"`
	Color     string       `json:"color"`
	Title     string       `json:"title"`
	TitleLink string       `json:"title_link,omitempty"`
	Text      string       `json:"text,omitempty"`
	Fields    []slackField `json:"fields,omitempty"`
	Footer    string       `json:"footer"`
	Unix      int64        `json:"ts"`
}

type slackField struct {
	Title string `json:"title"`
	Value string `json:"value"`
	Short bool   `json:"short"`
}

// slackEscape takes the three characters that Slack gives a meaning, <!channel>
// and <url|text>, back to text.
var slackEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slackWord is what Slack answers with: invalid_token, channel_is_archived.
var slackWord = regexp.MustCompile(`^[a-z_]{2,60}$`)

func renderSlack(m *Message) ([]byte, error) {
	m = m.brief()
	a := slackAttachment{
		Fallback:  slackEscape.Replace(m.headline()),
		Color:     m.Severity.colour(),
		Title:     slackEscape.Replace(m.headline()),
		TitleLink: m.Link,
		Text:      slackEscape.Replace(m.Text),
		Footer:    "Bursar",
		Unix:      m.At.Unix(),
	}
	for _, f := range m.Fields {
		a.Fields = append(a.Fields, slackField{Title: slackEscape.Replace(f.Name), Value: slackEscape.Replace(f.Value), Short: true})
	}
	return json.Marshal(slackPayload{Attachments: []slackAttachment{a}})
}

func judgeSlack(a *answer) error {
	said := strings.TrimSpace(string(a.body))
	if !slackWord.MatchString(said) {
		said = ""
	}
	return a.verdict(said)
}

// colour is the severity's, as in the dashboard: #rrggbb.
func (s Severity) colour() string {
	switch s {
	case SeverityCritical:
		return "#c62828"
	case SeverityWarning:
		return "#ef6c00"
	default:
		return "#1565c0"
	}
}
