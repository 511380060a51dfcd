package notify

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// discordPayload is what Execute Webhook takes.
// https://discord.com/developers/docs/resources/webhook#execute-webhook
type discordPayload struct {
	Username        string          `json:"username"`
	Embeds          []discordEmbed  `json:"embeds"`
	AllowedMentions discordMentions `json:"allowed_mentions"`
}

type discordEmbed struct {
	Title       string         `json:"title"`
	Description string         `json:"description,omitempty"`
	URL         string         `json:"url,omitempty"`
	Color       int64          `json:"color"`
	Timestamp   string         `json:"timestamp"`
	Fields      []discordField `json:"fields,omitempty"`
}

type discordField struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Inline bool   `json:"inline"`
}

// discordMentions with an empty list lets nobody be mentioned.
type discordMentions struct {
	Parse []string `json:"parse"`
}

// Discord's bounds count after escaping: an embed has 6000 in all, its text 4096.
const (
	maxEmbedTitle = 250
	maxEmbedText  = 1700
	maxEmbedName  = 100
	maxEmbedValue = 300
)

// discordEscape takes markdown back to text.
var discordEscape = strings.NewReplacer(
	`\`, `\\`, "*", `\*`, "_", `\_`, "~", `\~`, "`", "\\`", "|", `\|`,
	">", `\>`, "<", `\<`, "#", `\#`, "[", `\[`, "]", `\]`, "(", `\(`, ")", `\)`,
)

func renderDiscord(m *Message) ([]byte, error) {
	m = m.brief()
	colour, err := strconv.ParseInt(strings.TrimPrefix(m.Severity.colour(), "#"), 16, 32)
	if err != nil {
		return nil, err
	}
	e := discordEmbed{
		Title:       clip(discordEscape.Replace(m.headline()), maxEmbedTitle),
		Description: clip(discordEscape.Replace(m.Text), maxEmbedText+m.spare()*roomOfField),
		URL:         m.Link,
		Color:       colour,
		Timestamp:   m.At.UTC().Format(time.RFC3339),
	}
	for _, f := range m.Fields {
		e.Fields = append(e.Fields, discordField{
			Name:   clip(discordEscape.Replace(visible(f.Name)), maxEmbedName),
			Value:  clip(discordEscape.Replace(visible(f.Value)), maxEmbedValue),
			Inline: true,
		})
	}
	return json.Marshal(discordPayload{
		Username:        "Bursar",
		Embeds:          []discordEmbed{e},
		AllowedMentions: discordMentions{Parse: []string{}},
	})
}

// visible is s, or a dash where an empty value would be refused.
func visible(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// judgeDiscord knows that Discord puts the exact delay into the body. The
// message there does not repeat the URL, but the token is taken out all the same.
func judgeDiscord(token string) func(*answer) error {
	return func(a *answer) error {
		var said struct {
			Message    string  `json:"message"`
			RetryAfter float64 `json:"retry_after"`
		}
		if json.Unmarshal(a.body, &said) != nil {
			said.Message = ""
		}
		err := a.verdict(strings.ReplaceAll(said.Message, token, "…"))
		if f, ok := errors.AsType[*SendError](err); ok && f.retryAfter == 0 {
			f.retryAfter = seconds(said.RetryAfter)
		}
		return err
	}
}
