package notify

import (
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// delivered sends the message through a real server and reads what arrived.
func delivered(t *testing.T, m Message) (raw string, parsed *mail.Message) {
	t.Helper()
	s := (&mailServer{}).start(t, nil, false)
	require.NoError(t, parse(t, mailTo("smtp", "", s.addr, "&tls=none"), WithTimeout(patience)).Send(t.Context(), m))
	require.Len(t, s.got(), 1)
	raw = s.got()[0].data
	parsed, err := mail.ReadMessage(strings.NewReader(raw))
	require.NoError(t, err)
	return raw, parsed
}

// decoded reads a quoted-printable body, with \n at the ends of lines.
func decoded(t require.TestingT, r io.Reader) string {
	b, err := io.ReadAll(quotedprintable.NewReader(r))
	require.NoError(t, err)
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

func TestAMailHasTheHeadersThatServersAndMailboxesExpect(t *testing.T) {
	_, got := delivered(t, alert())
	from, err := got.Header.AddressList("From")
	require.NoError(t, err)
	assert.Equal(t, []*mail.Address{{Name: "Bursar", Address: "bursar@acme.example"}}, from)
	to, err := got.Header.AddressList("To")
	require.NoError(t, err)
	assert.Equal(t, []*mail.Address{{Address: "ops@acme.example"}, {Name: "Finance", Address: "finance@acme.example"}}, to)
	_, err = got.Header.Date()
	assert.NoError(t, err)
	assert.Equal(t, "<f1a5a6f98ecbc00a2a0bc20e43109e06.bursar@acme.example>", got.Header.Get("Message-ID"), "the same in every attempt")
	assert.Equal(t, "auto-generated", got.Header.Get("Auto-Submitted"))
	assert.Equal(t, "alert-01J9-3", got.Header.Get("X-Bursar-Delivery"))
	assert.Equal(t, "high", got.Header.Get("Importance"))
	assert.Equal(t, "1.0", got.Header.Get("MIME-Version"))
	assert.Equal(t, "text/plain; charset=utf-8", got.Header.Get("Content-Type"))
	assert.Equal(t, "69.30 of 77.00 EUR are spent.\nIt resets on 1 December.\n\nCampaign: q4-launch\nSpent: 69.30 EUR\n\n"+
		"https://bursar.example/budgets/monthly-ai?from=alert&x=1\n\n-- \nBursar · 2026-11-22 06:00:01 UTC · alert-01J9-3", strings.TrimRight(decoded(t, got.Body), "\n"))
}

func TestAMailWithHTMLHasTheTextAsItsAlternative(t *testing.T) {
	m := alert()
	m.HTML = "<p>" + strings.Repeat("Bürsar = ", 300) + "</p>\n.\n..two dots\n"
	raw, got := delivered(t, m)
	media, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", media)
	r := multipart.NewReader(got.Body, params["boundary"])
	var kinds, texts []string
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		assert.Equal(t, "quoted-printable", p.Header.Get("Content-Transfer-Encoding"))
		kinds = append(kinds, p.Header.Get("Content-Type"))
		texts = append(texts, decoded(t, p))
	}
	assert.Equal(t, []string{"text/plain; charset=utf-8", "text/html; charset=utf-8"}, kinds, "the last is the one to prefer")
	assert.Contains(t, texts[0], "69.30 of 77.00 EUR are spent.\n")
	assert.Equal(t, m.HTML, texts[1])
	for _, l := range strings.Split(raw, "\r\n") {
		assert.LessOrEqual(t, len(l), 998)
		assert.NotContains(t, l, "\n", "lines end in CRLF")
	}
}

func TestLinesThatBeginWithADotArriveAsTheyAre(t *testing.T) {
	m := alert()
	m.Text = "first\n.\n..\n.hidden\nQUIT\nlast"
	_, got := delivered(t, m)
	assert.True(t, strings.HasPrefix(decoded(t, got.Body), m.Text+"\n"))
}

func TestASubjectInAnyScriptIsEncodedAndShort(t *testing.T) {
	m := alert()
	m.Title = "Бюджет «日本» übertrifft 90 %"
	raw, got := delivered(t, m)
	subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	require.NoError(t, err)
	assert.Equal(t, "[Bursar] Critical: "+m.Title, subject)
	head, _, _ := strings.Cut(raw, "\r\n\r\n")
	assert.NotRegexp(t, `[^\x00-\x7f]`, head)
}

func TestManyRecipientsAreFoldedIntoShortLines(t *testing.T) {
	s := (&mailServer{}).start(t, nil, false)
	to := strings.TrimSuffix(strings.Repeat("somebody.with.a.long.name@department.of.acme.example,", maxRecipients), ",")
	require.NoError(t, parse(t, "smtp://"+s.addr+"?tls=none&from=a@acme.example&to="+to, WithTimeout(patience)).Send(t.Context(), alert()))
	require.Len(t, s.got(), 1)
	assert.Len(t, s.got()[0].to, maxRecipients)
	for _, l := range strings.Split(s.got()[0].data, "\r\n") {
		assert.LessOrEqual(t, len(l), 998)
	}
	_, err := Parse("smtp://" + s.addr + "?tls=none&from=a@acme.example&to=b@x.e," + to)
	assert.ErrorContains(t, err, "more than 100 recipients")
}

var headerLine = regexp.MustCompile(`^(From|To|Subject|Date|Message-ID|Auto-Submitted|X-Auto-Response-Suppress|Importance|X-Bursar-Delivery|MIME-Version|Content-Type|Content-Transfer-Encoding): |^ `)

func TestNothingInAMessageCanAddAHeaderOrEndTheMail(t *testing.T) {
	s := &mailer{from: &mail.Address{Name: "Bürsar\r\nBcc: x@y.z", Address: "a@acme.example"}, to: []*mail.Address{{Address: "b@acme.example"}}}
	anyText := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\r\nBcc: x@y.z", "a\nb", "\r.\r\n", "\r\n.\r\n", "\u2028\u0085", "=?utf-8?q?=0D=0ABcc:?=", "--\r\n\r\n"}))
	rapid.Check(t, func(t *rapid.T) {
		m := Message{
			ID:       rapid.StringMatching(`[!-~]{1,200}`).Draw(t, "id"),
			Kind:     anyText.Draw(t, "kind"),
			Severity: SeverityWarning,
			Title:    "T" + anyText.Draw(t, "title") + anyText.Draw(t, "title"),
			Text:     anyText.Draw(t, "text"),
			HTML:     anyText.Draw(t, "html"),
			At:       time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "at"), 0),
			Fields:   []Field{{Name: anyText.Draw(t, "name"), Value: anyText.Draw(t, "value")}},
		}
		require.NoError(t, m.Validate())
		document, err := s.compose(m.cleaned(), time.Unix(0, 0))
		require.NoError(t, err)
		head, body, ok := strings.Cut(string(document), "\r\n\r\n")
		require.True(t, ok)
		for _, l := range strings.Split(head, "\r\n") {
			require.Regexp(t, headerLine, l)
			require.NotContains(t, l, "\n")
			require.NotContains(t, l, "\r")
		}
		require.NotContains(t, head, "\nBcc")
		if m.HTML == "" {
			require.True(t, strings.HasPrefix(decoded(t, strings.NewReader(body)), m.cleaned().Text))
		}
	})
}
