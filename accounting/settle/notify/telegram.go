package notify

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// telegramPayload is what sendMessage takes. Without a parse_mode the text is
// shown as it is. https://core.telegram.org/bots/api#sendmessage
type telegramPayload struct {
	ChatID      string              `json:"chat_id"`
	Thread      int64               `json:"message_thread_id,omitempty"`
	Text        string              `json:"text"`
	LinkPreview telegramLinkPreview `json:"link_preview_options"`
}

type telegramLinkPreview struct {
	Disabled bool `json:"is_disabled"`
}

func renderTelegram(chat string, thread int64) func(*Message) ([]byte, error) {
	return func(m *Message) ([]byte, error) {
		m = m.brief()
		return json.Marshal(telegramPayload{
			ChatID:      chat,
			Thread:      thread,
			Text:        strings.TrimSpace(m.headline() + "\n\n" + m.plain()),
			LinkPreview: telegramLinkPreview{Disabled: true},
		})
	}
}

// judgeTelegram believes the document, and takes the bot's token out of what it
// shows of it.
func judgeTelegram(token string) func(*answer) error {
	return func(a *answer) error {
		var said struct {
			OK          *bool  `json:"ok"`
			Description string `json:"description"`
			Parameters  struct {
				RetryAfter float64 `json:"retry_after"`
			} `json:"parameters"`
		}
		broken := json.Unmarshal(a.body, &said) != nil
		if a.delivered() {
			if broken || said.OK == nil || !*said.OK {
				return errors.New("answered " + http.StatusText(a.status) + ", but not that the message was sent")
			}
			return nil
		}
		if broken {
			said.Description = ""
		}
		err := a.verdict(strings.ReplaceAll(said.Description, token, "…"))
		if f, ok := errors.AsType[*SendError](err); ok && f.retryAfter == 0 {
			f.retryAfter = seconds(said.Parameters.RetryAfter)
		}
		return err
	}
}
