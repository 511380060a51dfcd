package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"bursar/accounting/settle/notify"
	"bursar/config"
)

const webhookSecret = "0123456789abcdef0123456789abcdef"

// hook is a webhook's receiver on loopback, which takes what is signed.
type hook struct {
	*httptest.Server

	mu       sync.Mutex
	down     int // so many attempts are answered 503
	attempts int
	taken    []delivered
}

// delivered is a message as a receiver gets it.
type delivered struct {
	ID, Kind, Severity, Title, Text, Link string

	Fields []struct{ Name, Value string }
	Test   bool
}

// field is the value with that name; empty: there is none.
func (d *delivered) field(name string) string {
	for _, f := range d.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

func startHook(t testing.TB) *hook {
	h := new(hook)
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	signature := r.Header.Get(notify.SignatureHeader)
	seconds, _ := strconv.ParseInt(strings.TrimPrefix(strings.Split(signature, ",")[0], "t="), 10, 64)
	var d delivered
	if err != nil || notify.Signature([]byte(webhookSecret), time.Unix(seconds, 0), body) != signature || json.Unmarshal(body, &d) != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.attempts++
	if h.attempts <= h.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	h.taken = append(h.taken, d)
}

// url is what an operator configures.
func (h *hook) url() string {
	return "webhook+http://" + webhookSecret + "@" + strings.TrimPrefix(h.URL, "http://") + "/alerts"
}

// of are the messages of a kind that were taken so far.
func (h *hook) of(kind string) (list []delivered) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.taken {
		if d.Kind == kind {
			list = append(list, d)
		}
	}
	return list
}

// await waits for n messages of a kind.
func (h *hook) await(t testing.TB, kind string, n int) []delivered {
	t.Helper()
	require.Eventually(t, func() bool { return len(h.of(kind)) >= n }, time.Minute, 20*time.Millisecond, "%d of kind %s have not come", n, kind)
	return h.of(kind)
}

// mailbox is an SMTP server on loopback.
type mailbox struct {
	addr string

	mu    sync.Mutex
	mails []string
}

func startMailbox(t testing.TB) *mailbox {
	m := new(mailbox)
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return mailSession{m}, nil }))
	server.Domain = "mail.acme.example"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	m.addr = l.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return m
}

func (m *mailbox) url() string {
	return "smtp://" + m.addr + "/?from=bursar@acme.example&to=ops@acme.example,finance@acme.example&tls=none"
}

func (m *mailbox) got() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.mails...)
}

type mailSession struct{ *mailbox }

func (s mailSession) Mail(string, *smtp.MailOptions) error { return nil }
func (s mailSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s mailSession) Reset()                               {}
func (s mailSession) Logout() error                        { return nil }

func (s mailSession) Data(r io.Reader) error {
	mail, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, string(mail))
	return nil
}

// alertingTo has alerts sent to these channels.
func alertingTo(urls ...string) func(*config.Config) {
	return func(c *config.Config) {
		// As an operator would write it: with the commas of a mail's URL.
		for _, item := range strings.Split(strings.Join(urls, ","), ",") {
			c.Alerts.URLs = append(c.Alerts.URLs, config.NewSecret(item))
		}
		c.App.URL = "https://bursar.example"
	}
}
