package notify

import (
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAMessageThatCannotBeDeliveredIsRefusedBeforeAnythingIsSent(t *testing.T) {
	s := newService(t, answers(200, ""), "receiver.example")
	c := parse(t, webhookURL, s.options...)
	for says, break_ := range map[string]func(*Message){
		"id: expected":               func(m *Message) { m.ID = "" },
		"id: expected 1":             func(m *Message) { m.ID = "a b" },
		"id: expected 1 to":          func(m *Message) { m.ID = "a\r\nBcc: x@y.z" },
		"id: expected 1 to 200":      func(m *Message) { m.ID = strings.Repeat("x", 201) },
		`severity "loud": expected`:  func(m *Message) { m.Severity = "loud" },
		`severity "": expected info`: func(m *Message) { m.Severity = "" },
		"title: expected":            func(m *Message) { m.Title = " \n" },
		"at: expected a time":        func(m *Message) { m.At = time.Time{} },
		"link: expected":             func(m *Message) { m.Link = "javascript:alert(1)" },
		"link: expected an":          func(m *Message) { m.Link = "/budgets/1" },
		"link: expected an absolute": func(m *Message) { m.Link = "https://x.example/" + strings.Repeat("x", 500) },
	} {
		m := alert()
		break_(&m)
		err := sendError(t, c, m)
		assert.Contains(t, err.Error(), says)
		assert.True(t, err.Permanent())
	}
	err := sendError(t, c, Message{})
	for _, field := range []string{"id: ", "severity ", "title: ", "at: "} {
		assert.Contains(t, err.Error(), field, "all problems at once")
	}
	assert.Empty(t, s.got())
}

func TestAHeadlineSaysWhatAColourWouldSay(t *testing.T) {
	for want, m := range map[string]Message{
		"x":                 {Severity: SeverityInfo, Title: "x"},
		"Warning: x":        {Severity: SeverityWarning, Title: "x"},
		"Critical: x":       {Severity: SeverityCritical, Title: "x"},
		"Test: x":           {Severity: SeverityInfo, Title: "x", Test: true},
		"Test: Critical: x": {Severity: SeverityCritical, Title: "x", Test: true},
	} {
		assert.Equal(t, want, m.headline())
	}
	seen := map[string]bool{}
	for _, s := range []Severity{SeverityInfo, SeverityWarning, SeverityCritical} {
		assert.Regexp(t, "^#[0-9a-f]{6}$", s.colour())
		seen[s.colour()], seen[teamsColour(s)] = true, true
	}
	assert.Len(t, seen, 6, "each severity has its own colours")
}

func TestALinkCannotLeaveItsPlace(t *testing.T) {
	m := alert()
	m.Link = `https://bursar.example/a b"><x|y>`
	require.NoError(t, m.Validate())
	assert.NotContains(t, m.cleaned().Link, ">")
	assert.NotContains(t, m.cleaned().Link, " ")
	assert.NotContains(t, m.cleaned().Link, `"`)
}

func TestWhatIsCutIsABeginningOfTheTextAndFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, limit := text(rapid.String().Draw(t, "s")), rapid.IntRange(1, 40).Draw(t, "limit")
		got := clip(s, limit)
		require.True(t, utf8.ValidString(got))
		require.LessOrEqual(t, len(utf16.Encode([]rune(got))), limit)
		if len(utf16.Encode([]rune(s))) <= limit {
			require.Equal(t, s, got)
			return
		}
		head, ok := strings.CutSuffix(got, "…")
		require.True(t, ok)
		require.True(t, strings.HasPrefix(s, head))
		// One unit is the ellipsis's, one may be lost to half a rune.
		require.GreaterOrEqual(t, len(utf16.Encode([]rune(head))), limit-2)
	})
}
