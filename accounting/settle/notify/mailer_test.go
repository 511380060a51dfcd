package notify

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mailTo is a URL for a server: scheme://user@addr, then from, to and more.
func mailTo(scheme, userinfo, addr, more string) string {
	if userinfo != "" {
		userinfo += "@"
	}
	return scheme + "://" + userinfo + addr + "/?from=Bursar+%3Cbursar@acme.example%3E&to=ops@acme.example,Finance+%3Cfinance@acme.example%3E" + more
}

func TestMailGoesToAllRecipientsOverSTARTTLSAfterLoggingIn(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		ca := newAuthority(t)
		s := (&mailServer{mechanisms: []string{"XOAUTH2", mechanism}}).start(t, ca.serverConfig(t, "localhost"), false)
		c := parse(t, mailTo("smtp", "bursar%40acme.example:p%40ss%2Fword", s.addr, ""), WithRootCAs(ca.roots), WithTimeout(patience))
		require.NoError(t, c.Send(t.Context(), alert()))

		require.Len(t, s.got(), 1)
		got := s.got()[0]
		assert.Equal(t, "bursar@acme.example", got.from)
		assert.Equal(t, []string{"ops@acme.example", "finance@acme.example"}, got.to)
		assert.True(t, got.tls)
		assert.Equal(t, []string{mechanism + " bursar@acme.example p@ss/word true"}, s.auths)
		assert.Contains(t, got.data, "Subject: [Bursar] Critical: Budget monthly-ai at 90 %\r\n")
	}
}

func TestMailGoesOverTLSFromTheFirstByte(t *testing.T) {
	ca := newAuthority(t)
	s := (&mailServer{mechanisms: []string{"PLAIN"}}).start(t, ca.serverConfig(t, "localhost"), true)
	require.NoError(t, parse(t, mailTo("smtps", "u:p", s.addr, ""), WithRootCAs(ca.roots), WithTimeout(patience)).Send(t.Context(), alert()))
	require.Len(t, s.got(), 1)
	assert.True(t, s.got()[0].tls)
}

func TestMailGoesToTheUsualPortsOfItsHost(t *testing.T) {
	for raw, port := range map[string]string{
		"smtp://mail.acme.example?from=a@x.e&to=b@x.e":  "mail.acme.example:587",
		"smtps://mail.acme.example?from=a@x.e&to=b@x.e": "mail.acme.example:465",
		"smtp://[::1]:25?from=a@x.e&to=b@x.e":           "[::1]:25",
	} {
		s := newService(t, nil)
		s.Close()
		_ = sendError(t, parse(t, raw, s.options...), alert())
		assert.Equal(t, []string{port}, s.dialed)
	}
}

func TestMailGoesUnencryptedOnlyWhereTheURLSaysSo(t *testing.T) {
	s := (&mailServer{mechanisms: []string{"PLAIN"}}).start(t, nil, false)
	err := sendError(t, parse(t, mailTo("smtp", "u:secret", s.addr, ""), WithTimeout(patience)), alert())
	assert.Contains(t, err.Error(), "offers no STARTTLS")
	assert.True(t, err.Permanent())
	assert.Empty(t, s.auths, "no password went out in clear")
	assert.Empty(t, s.got())

	require.NoError(t, parse(t, mailTo("smtp", "", s.addr, "&tls=none"), WithTimeout(patience)).Send(t.Context(), alert()))
	require.NoError(t, parse(t, mailTo("smtp", "u:secret", s.addr, "&tls=none"), WithTimeout(patience)).Send(t.Context(), alert()))
	assert.Len(t, s.got(), 2)
	assert.Equal(t, []string{"PLAIN u secret false"}, s.auths, "on loopback, as the URL says")
}

func TestMailIsNotSentToAServerWithAnotherCertificate(t *testing.T) {
	ca := newAuthority(t)
	for _, implicit := range []bool{false, true} {
		s := (&mailServer{mechanisms: []string{"PLAIN"}}).start(t, ca.serverConfig(t, "localhost"), implicit)
		scheme := "smtp"
		if implicit {
			scheme = "smtps"
		}
		err := sendError(t, parse(t, mailTo(scheme, "u:p", s.addr, ""), WithTimeout(patience)), alert())
		assert.Contains(t, err.Error(), "unknown authority")
		assert.False(t, err.Permanent())
		assert.Empty(t, s.auths)
	}
}

func TestAServerThatKnowsNoPlainLoginIsNamedAsTheCause(t *testing.T) {
	s := (&mailServer{mechanisms: []string{"XOAUTH2"}}).start(t, nil, false)
	err := sendError(t, parse(t, mailTo("smtp", "u:p", s.addr, "&tls=none"), WithTimeout(patience)), alert())
	assert.Contains(t, err.Error(), "neither AUTH PLAIN nor AUTH LOGIN")
	assert.True(t, err.Permanent())
}

func refusal(code int, message string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCodeNotSet, Message: message}
}

func TestAServersRefusalSaysWhetherToTryAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		refuse    map[string]*smtp.SMTPError
		says      string
		permanent bool
	}{
		"wrong password":        {map[string]*smtp.SMTPError{"AUTH": refusal(535, "Authentication failed")}, "AUTH: 535", true},
		"login not possible":    {map[string]*smtp.SMTPError{"AUTH": refusal(454, "Temporary authentication failure")}, "AUTH: 454", false},
		"sender not allowed":    {map[string]*smtp.SMTPError{"MAIL bursar@acme.example": refusal(553, "not yours")}, "MAIL FROM: 553 5.0.0 not yours", true},
		"sender throttled":      {map[string]*smtp.SMTPError{"MAIL bursar@acme.example": refusal(451, "slow down")}, "MAIL FROM: 451 4.0.0 slow down", false},
		"content refused":       {map[string]*smtp.SMTPError{"DATA": refusal(554, "spam")}, "end of the mail: 554 5.0.0 spam", true},
		"no room at the moment": {map[string]*smtp.SMTPError{"DATA": refusal(452, "disk full")}, "end of the mail: 452 4.0.0 disk full", false},
		"nobody exists": {map[string]*smtp.SMTPError{
			"RCPT ops@acme.example": refusal(550, "no such user"), "RCPT finance@acme.example": refusal(550, "no such user")},
			"RCPT TO ops@acme.example: 550 5.0.0 no such user", true},
		"greylisted": {map[string]*smtp.SMTPError{
			"RCPT ops@acme.example": refusal(550, "no such user"), "RCPT finance@acme.example": refusal(450, "greylisted")},
			"RCPT TO finance@acme.example: 450 4.0.0 greylisted", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := (&mailServer{mechanisms: []string{"PLAIN"}, refuse: tt.refuse}).start(t, nil, false)
			err := sendError(t, parse(t, mailTo("smtp", "user:s3cret-word", s.addr, "&tls=none"), WithTimeout(patience)), alert())
			assert.Contains(t, err.Error(), tt.says)
			assert.Equal(t, tt.permanent, err.Permanent())
			assert.NotContains(t, err.Error(), "s3cret-word")
			assert.Empty(t, s.got())
		})
	}
}

func TestOneRefusedRecipientDoesNotKeepTheMailFromTheOthers(t *testing.T) {
	s := (&mailServer{refuse: map[string]*smtp.SMTPError{"RCPT ops@acme.example": refusal(450, "mailbox full")}}).start(t, nil, false)
	err := sendError(t, parse(t, mailTo("smtp", "", s.addr, "&tls=none"), WithTimeout(patience)), alert())
	require.Len(t, s.got(), 1)
	assert.Equal(t, []string{"finance@acme.example"}, s.got()[0].to)
	assert.Contains(t, err.Error(), "1 of 2 recipients have it, the others were refused: RCPT TO ops@acme.example: 450 4.0.0 mailbox full")
	assert.True(t, err.Permanent(), "trying again would repeat it to those who have it")
}

func TestAMailThatWasAcceptedIsDeliveredWhateverComesAfterwards(t *testing.T) {
	addr := script(t, false, "220 hi\n", "250 mail\n", "250 ok\n", "250 ok\n", "250 ok\n", "354 go\n", "250 queued\n") // no reply to QUIT
	require.NoError(t, parse(t, mailTo("smtp", "", addr, "&tls=none"), WithTimeout(patience)).Send(t.Context(), alert()))
}

func TestABrokenConversationMayBeTriedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		lines     []string
		says      string
		permanent bool
	}{
		"silence":               {nil, "greeting: EOF", false},
		"not SMTP":              {[]string{"SSH-2.0-OpenSSH_9.2\n"}, "greeting", false},
		"busy":                  {[]string{"421 too many connections\n"}, "greeting: 421 too many connections", false},
		"no service":            {[]string{"554 no SMTP here\n"}, "greeting: 554 no SMTP here", true},
		"cut in the middle":     {[]string{"220 hi\n", "250-mail\n250"}, "EHLO", false},
		"recipient, going down": {[]string{"220 hi\n", "250 mail\n", "250 ok\n", "421 going down\n"}, "RCPT TO: 421 going down", false},
		"gone at the end":       {[]string{"220 hi\n", "250 mail\n", "250 ok\n", "250 ok\n", "250 ok\n", "354 go\n"}, "end of the mail", false},
		"a flood":               {[]string{"220 hi\n", strings.Repeat("250-x\n", 300_000)}, "EHLO: the server said more than 1048576 bytes", false},
		"a line without an end": {[]string{strings.Repeat("2", 2<<20)}, "more than 1048576 bytes", false},
		"a long speech":         {[]string{"554 " + strings.Repeat("é", 5000) + "\n"}, "é…", true},
	} {
		t.Run(name, func(t *testing.T) {
			addr := script(t, false, tt.lines...)
			err := sendError(t, parse(t, mailTo("smtp", "", addr, "&tls=none"), WithTimeout(patience)), alert())
			assert.Contains(t, err.Error(), tt.says)
			assert.Equal(t, tt.permanent, err.Permanent())
			assert.Less(t, len(err.Error()), 600)
		})
	}
}

func TestAMailServerThatHangsHoldsSendNoLongerThanItsTimeoutOrContext(t *testing.T) {
	for name, lines := range map[string][]string{
		"before the greeting":     nil,
		"after EHLO":              {"220 hi\n", ""},
		"in the TLS handshake":    {"220 hi\n", "250-mail\n250 STARTTLS\n", "220 go\n"},
		"after the mail was sent": {"220 hi\n", "250 mail\n", "250 ok\n", "250 ok\n", "250 ok\n", "354 go\n"},
	} {
		t.Run(name, func(t *testing.T) {
			more := "&tls=none"
			if strings.Contains(name, "TLS") {
				more = ""
			}
			err := sendError(t, parse(t, mailTo("smtp", "", script(t, true, lines...), more), WithTimeout(200*time.Millisecond)), alert())
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.False(t, err.Permanent())
		})
	}
	t.Run("smtps, and the context is cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		err := parse(t, mailTo("smtps", "", script(t, true), ""), WithTimeout(patience)).Send(ctx, alert())
		assert.ErrorIs(t, err, context.Canceled)
	})
}

func TestASlowMailServerIsWaitedFor(t *testing.T) {
	s := (&mailServer{hang: make(chan struct{})}).start(t, nil, false)
	time.AfterFunc(100*time.Millisecond, func() { close(s.hang) })
	require.NoError(t, parse(t, mailTo("smtp", "", s.addr, "&tls=none"), WithTimeout(patience)).Send(t.Context(), alert()))
	assert.Len(t, s.got(), 1)
}
