package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// mailer delivers by SMTP, one connection for each message.
type mailer struct {
	host, addr  string
	implicitTLS bool
	plaintext   bool // no TLS at all
	user        string
	password    string
	helo        string
	from        *mail.Address
	to          []*mail.Address
	tls         *tls.Config
	dial        DialFunc
}

func (s *mailer) send(ctx context.Context, m *Message) error {
	document, err := s.compose(m, time.Now())
	if err != nil {
		return fmt.Errorf("compose the mail: %w", err)
	}
	conn, err := s.dial(ctx, "tcp", s.addr)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	// net/smtp knows no context: an old deadline ends whatever it waits for.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	err = s.converse(ctx, &boundedConn{Conn: conn, left: maxConversation}, document)
	if err == nil || ctx.Err() == nil {
		return err
	}
	if failed, ok := errors.AsType[*SendError](err); ok {
		if failed.permanent { // the server had spoken before
			return failed
		}
		err = failed.cause
	}
	return fmt.Errorf("%w: %w", err, context.Cause(ctx))
}

// converse ends with the server's acceptance of the mail: what happens to the
// connection afterwards does not matter.
func (s *mailer) converse(ctx context.Context, conn net.Conn, document []byte) error {
	if s.implicitTLS {
		secured := tls.Client(conn, s.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("TLS handshake: %w", err)
		}
		conn = secured
	}
	c, err := smtp.NewClient(conn, s.host)
	if err != nil {
		return replied("greeting", err)
	}
	if err := s.introduce(c); err != nil {
		return err
	}
	if err := c.Mail(s.from.Address); err != nil {
		return replied("MAIL FROM", err)
	}
	refused, err := s.address(c)
	if err != nil {
		return err
	}
	if err := transmit(c, document); err != nil {
		return err
	}
	_ = c.Quit()
	if len(refused) == 0 {
		return nil
	}
	return &SendError{
		cause:     fmt.Errorf("%d of %d recipients have it, the others were refused: %w", len(s.to)-len(refused), len(s.to), errors.Join(refused...)),
		permanent: true,
	}
}

// introduce greets, starts TLS and logs in.
func (s *mailer) introduce(c *smtp.Client) error {
	if err := c.Hello(s.helo); err != nil {
		return replied("EHLO", err)
	}
	if !s.implicitTLS && !s.plaintext {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return &SendError{cause: errors.New("the server offers no STARTTLS; for a relay without it write tls=none, without a password"), permanent: true}
		}
		if err := c.StartTLS(s.tls); err != nil {
			return replied("STARTTLS", err)
		}
	}
	if s.user == "" {
		return nil
	}
	_, offered := c.Extension("AUTH")
	var auth smtp.Auth
	switch mechanisms := strings.Fields(strings.ToUpper(offered)); {
	case slices.Contains(mechanisms, "PLAIN"):
		auth = smtp.PlainAuth("", s.user, s.password, s.host)
	case slices.Contains(mechanisms, "LOGIN"):
		auth = &loginAuth{answers: []string{s.user, s.password}}
	default:
		return &SendError{cause: errors.New("the server offers neither AUTH PLAIN nor AUTH LOGIN"), permanent: true}
	}
	if err := c.Auth(auth); err != nil {
		return replied("AUTH", err)
	}
	return nil
}

// address names the recipients. Those whom the server refuses must not keep the
// message from the others, so they are only an error if there are no others.
func (s *mailer) address(c *smtp.Client) (refused []error, err error) {
	permanent := true
	for _, to := range s.to {
		err := c.Rcpt(to.Address)
		if err == nil {
			continue
		}
		code := codeOf(err)
		if code == 0 || code == 421 { // the connection is gone
			return nil, replied("RCPT TO", err)
		}
		permanent = permanent && code >= 500
		refused = append(refused, fmt.Errorf("RCPT TO %s: %w", to.Address, shown(err)))
	}
	if len(refused) == len(s.to) {
		return nil, &SendError{cause: errors.Join(refused...), permanent: permanent}
	}
	return refused, nil
}

func transmit(c *smtp.Client, document []byte) error {
	w, err := c.Data()
	if err != nil {
		return replied("DATA", err)
	}
	if _, err := w.Write(document); err != nil {
		return fmt.Errorf("write the mail: %w", err)
	}
	if err := w.Close(); err != nil {
		return replied("end of the mail", err)
	}
	return nil
}

// replied says where a conversation ended. 5yz is the server's last word, 4yz
// and a broken connection are not (RFC 5321, 4.2.1).
func replied(to string, err error) error {
	return &SendError{cause: fmt.Errorf("%s: %w", to, shown(err)), permanent: codeOf(err) >= 500}
}

// codeOf is the server's reply code; 0: there was none.
func codeOf(err error) int {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return reply.Code
	}
	return 0
}

// shown is err with what the server wrote on one line of a bounded length.
func shown(err error) error {
	reply, ok := errors.AsType[*textproto.Error](err)
	if !ok {
		return err
	}
	return fmt.Errorf("%d %s", reply.Code, clip(line(reply.Msg), maxTitle))
}

// loginAuth is AUTH LOGIN, which has no standard and which some servers offer
// alone: the server asks twice, in words of its own, for user and password.
type loginAuth struct{ answers []string }

// Start sends no initial response, which not all servers take.
func (a *loginAuth) Start(*smtp.ServerInfo) (string, []byte, error) { return "LOGIN", nil, nil }

// Next answers a question.
func (a *loginAuth) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	if len(a.answers) == 0 {
		return nil, errors.New("the server asked for more than user and password")
	}
	answer := a.answers[0]
	a.answers = a.answers[1:]
	return []byte(answer), nil
}

// maxConversation bounds what a server may say in one delivery; net/smtp itself
// reads a line of any length.
const maxConversation = 1 << 20

// boundedConn ends in an error after a number of bytes.
type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("the server said more than %d bytes: %w", maxConversation, io.ErrShortBuffer)
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
