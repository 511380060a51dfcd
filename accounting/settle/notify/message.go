package notify

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
)

// Severity is how much a message matters. It decides colours and the first word
// of a headline, never whether a message is sent.
type Severity string

// The severities.
const (
	SeverityInfo     Severity = "info"
	SeverityWarning  Severity = "warning"
	SeverityCritical Severity = "critical"
)

// Message is what is delivered. All texts are plain; what a service would read
// as markup is escaped for it.
type Message struct {
	// ID names the message in every attempt to deliver it, so that a receiver
	// can drop what it has seen: 1 to 200 visible ASCII characters.
	ID       string
	Kind     string // what it is about, for programs: budget_threshold, spend_spike
	Severity Severity
	Title    string // one line
	Text     string // lines end in \n
	HTML     string // a whole document for email, which then has Text as its alternative; empty: Text alone
	Link     string // absolute http or https URL of at most 500 bytes; may be empty
	At       time.Time
	Fields   []Field
	Test     bool // sent to try the channel; the headline says so
}

// Field is one named value of a message. Chats show the first ten, cut to what
// they can hold; email and webhooks carry all.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Bounds of what is shown in a chat, in UTF-16 units. Together, with a headline's
// prefix and a link, they stay below the 4096 of a Telegram message. Fields that
// a message does not have leave their room to its text.
const (
	maxTitle      = 200
	maxChatText   = 1300
	maxChatFields = 10
	maxFieldName  = 50
	maxFieldValue = 150
	roomOfField   = 190
	maxLink       = 500
	maxID         = 200
)

// Validate returns all that keeps the message from being sent, joined.
func (m *Message) Validate() error {
	var errs []error
	if n := len(m.ID); n == 0 || n > maxID || strings.ContainsFunc(m.ID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		errs = append(errs, fmt.Errorf("id: expected 1 to %d visible ASCII characters", maxID))
	}
	switch m.Severity {
	case SeverityInfo, SeverityWarning, SeverityCritical:
	default:
		errs = append(errs, fmt.Errorf("severity %q: expected info, warning or critical", m.Severity))
	}
	if strings.TrimSpace(m.Title) == "" {
		errs = append(errs, errors.New("title: expected a line of text"))
	}
	if m.At.IsZero() {
		errs = append(errs, errors.New("at: expected a time"))
	}
	if u, err := url.Parse(m.Link); m.Link != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(m.Link) > maxLink) {
		errs = append(errs, fmt.Errorf("link: expected an absolute http or https URL of at most %d bytes", maxLink))
	}
	return errors.Join(errs...)
}

// cleaned is the message with nothing in it that is not text: valid UTF-8, no
// control characters, titles and names on one line.
func (m *Message) cleaned() *Message {
	c := *m
	c.Kind, c.Title, c.Text = line(m.Kind), line(m.Title), text(m.Text)
	c.HTML = strings.ToValidUTF8(m.HTML, "\uFFFD")
	if u, err := url.Parse(m.Link); err == nil {
		c.Link = u.String() // percent-encodes what could end a link early
	}
	c.Fields = make([]Field, len(m.Fields))
	for i, f := range m.Fields {
		c.Fields[i] = Field{Name: line(f.Name), Value: text(f.Value)}
	}
	return &c
}

// brief is the message as far as a chat can show it.
func (m *Message) brief() *Message {
	b := *m
	b.Fields = make([]Field, min(len(m.Fields), maxChatFields))
	b.Title, b.Text = clip(m.Title, maxTitle), clip(m.Text, maxChatText+b.spare()*roomOfField)
	for i := range b.Fields {
		b.Fields[i] = Field{Name: clip(m.Fields[i].Name, maxFieldName), Value: clip(m.Fields[i].Value, maxFieldValue)}
	}
	return &b
}

// spare is how many fields the message could have in a chat and does not.
func (m *Message) spare() int { return maxChatFields - min(len(m.Fields), maxChatFields) }

// headline is the title with the words in front of it that a colour would say.
func (m *Message) headline() string {
	var prefix string
	switch m.Severity {
	case SeverityWarning:
		prefix = "Warning: "
	case SeverityCritical:
		prefix = "Critical: "
	case SeverityInfo:
	}
	if m.Test {
		prefix = "Test: " + prefix
	}
	return prefix + m.Title
}

// plain is all of the message below its headline as text.
func (m *Message) plain() string {
	var b strings.Builder
	paragraph := func(s string) {
		if s == "" {
			return
		}
		if b.Len() > 0 {
			b.WriteString("\n\n")
		}
		b.WriteString(s)
	}
	paragraph(m.Text)
	lines := make([]string, len(m.Fields))
	for i, f := range m.Fields {
		lines[i] = f.Name + ": " + f.Value
	}
	paragraph(strings.Join(lines, "\n"))
	paragraph(m.Link)
	return b.String()
}

// line is s on one line.
func line(s string) string { return strings.Join(strings.Fields(text(s)), " ") }

// text is s without what is not text.
func text(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r):
			return -1
		default:
			return r
		}
	}, s))
}

// clip is s in at most limit UTF-16 units, which is how the chats count; what
// was cut ends in an ellipsis.
func clip(s string, limit int) string {
	units, cut := 0, 0
	for i, r := range s {
		units += utf16.RuneLen(r)
		if units <= limit-1 {
			cut = i + len(string(r))
		}
		if units > limit {
			return s[:cut] + "…"
		}
	}
	return s
}
