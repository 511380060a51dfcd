package notify

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// The kinds of channels, as [Channel.Kind] says them.
const (
	KindSlack    = "slack"
	KindDiscord  = "discord"
	KindTeams    = "teams"
	KindTelegram = "telegram"
	KindEmail    = "email"
	KindWebhook  = "webhook"
)

// DefaultTimeout bounds one [Channel.Send] as a whole.
const DefaultTimeout = 30 * time.Second

// Channel is where messages go. It is made by [Parse], holds no connection, and
// is safe for concurrent use.
type Channel struct {
	kind, name string
	timeout    time.Duration
	to         sender
}

// sender knows one protocol. Its error is a *SendError where it has an opinion
// on trying again; any other error is taken for trouble that may pass.
type sender interface {
	send(ctx context.Context, m *Message) error
}

// An Option changes how a channel connects.
type Option func(*options)

// DialFunc opens a connection, as [net.Dialer.DialContext] does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

type options struct {
	timeout time.Duration
	dial    DialFunc
	roots   *x509.CertPool
}

// WithTimeout bounds each Send in place of [DefaultTimeout]; the context given
// to Send may end it earlier.
func WithTimeout(d time.Duration) Option { return func(o *options) { o.timeout = d } }

// WithDial opens connections, of HTTP and SMTP, by another function. It replaces
// the proxies of HTTP_PROXY and HTTPS_PROXY too, which are used otherwise.
func WithDial(dial DialFunc) Option { return func(o *options) { o.dial = dial } }

// WithRootCAs verifies certificates against these roots, not the system's.
func WithRootCAs(roots *x509.CertPool) Option { return func(o *options) { o.roots = roots } }

// Kind is one of the Kind constants.
func (c *Channel) Kind() string { return c.kind }

// Name is the kind and 8 hexadecimal digits of the SHA-256 of the URL, such as
// slack-1a2b3c4d: the same for the same URL in every process, and no secret.
func (c *Channel) Name() string { return c.name }

// Format writes the name for every verb, so that no log shows the URL.
func (c *Channel) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.name) }

func nameOf(kind, rawURL string) string {
	sum := sha256.Sum256([]byte(rawURL))
	return kind + "-" + hex.EncodeToString(sum[:4])
}

// Send tries once to deliver the message, within the channel's timeout. Nil
// means that the receiver has accepted it. The error is a *[SendError]; a
// message that [Message.Validate] refuses is a permanent one.
func (c *Channel) Send(ctx context.Context, m Message) error {
	if err := m.Validate(); err != nil {
		return &SendError{Channel: c.name, cause: fmt.Errorf("message %q: %w", clip(line(m.ID), maxID), err), permanent: true}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err := c.to.send(ctx, m.cleaned())
	if err == nil {
		return nil
	}
	failed, ok := errors.AsType[*SendError](err)
	if !ok {
		failed = &SendError{cause: err}
	}
	failed.Channel = c.name
	return failed
}
