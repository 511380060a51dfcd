package notify

import (
	"bytes"
	"encoding/json"
	"errors"
)

// A message for Teams is an Adaptive Card, which both the webhooks of Workflows
// and the older connectors take. Its RichTextBlock shows text as it is, where a
// TextBlock or a FactSet would read markdown.
// https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
type (
	teamsPayload struct {
		Type        string            `json:"type"`
		Attachments []teamsAttachment `json:"attachments"`
	}
	teamsAttachment struct {
		ContentType string    `json:"contentType"`
		Content     teamsCard `json:"content"`
	}
	teamsCard struct {
		Schema  string        `json:"$schema"`
		Type    string        `json:"type"`
		Version string        `json:"version"`
		Body    []teamsBlock  `json:"body"`
		Actions []teamsAction `json:"actions,omitempty"`
	}
	teamsBlock struct {
		Type    string     `json:"type"`
		Inlines []teamsRun `json:"inlines"`
	}
	teamsRun struct {
		Type   string `json:"type"`
		Text   string `json:"text"`
		Size   string `json:"size,omitempty"`
		Weight string `json:"weight,omitempty"`
		Color  string `json:"color,omitempty"`
	}
	teamsAction struct {
		Type  string `json:"type"`
		Title string `json:"title"`
		URL   string `json:"url"`
	}
)

func renderTeams(m *Message) ([]byte, error) {
	m = m.brief()
	block := func(runs ...teamsRun) teamsBlock {
		for i := range runs {
			runs[i].Type = "TextRun"
		}
		return teamsBlock{Type: "RichTextBlock", Inlines: runs}
	}
	card := teamsCard{
		Schema:  "http://adaptivecards.io/schemas/adaptive-card.json",
		Type:    "AdaptiveCard",
		Version: "1.4",
		Body:    []teamsBlock{block(teamsRun{Text: m.headline(), Size: "large", Weight: "bolder", Color: teamsColour(m.Severity)})},
	}
	if m.Text != "" {
		card.Body = append(card.Body, block(teamsRun{Text: m.Text}))
	}
	for _, f := range m.Fields {
		card.Body = append(card.Body, block(teamsRun{Text: f.Name + ": ", Weight: "bolder"}, teamsRun{Text: visible(f.Value)}))
	}
	if m.Link != "" {
		card.Actions = []teamsAction{{Type: "Action.OpenUrl", Title: "Open in Bursar", URL: m.Link}}
	}
	return json.Marshal(teamsPayload{
		Type:        "message",
		Attachments: []teamsAttachment{{ContentType: "application/vnd.microsoft.card.adaptive", Content: card}},
	})
}

func teamsColour(s Severity) string {
	switch s {
	case SeverityCritical:
		return "attention"
	case SeverityWarning:
		return "warning"
	default:
		return "accent"
	}
}

// judgeTeams knows that the older connectors answer 200 when Teams itself has
// refused, throttling mostly, and say so in the text.
func judgeTeams(a *answer) error {
	if a.delivered() && bytes.Contains(a.body, []byte("Webhook message delivery failed")) {
		return errors.New("answered 200, but Teams did not take the message, as it does when it is sent too many")
	}
	return a.verdict("")
}
