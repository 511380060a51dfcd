package notify

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
)

// mailServer is an SMTP server on loopback. Its fields are set before it starts.
type mailServer struct {
	mechanisms []string
	refuse     map[string]*smtp.SMTPError // by the verb and address: "RCPT a@x", "MAIL a@x", "DATA", "AUTH"
	hang       chan struct{}              // not nil: DATA is answered when it is closed

	server *smtp.Server
	addr   string

	mu    sync.Mutex
	mails []received
	auths []string
}

// received is one mail that the server has accepted.
type received struct {
	from string
	to   []string
	data string
	tls  bool
}

// start serves on loopback; a nil config is a server without TLS.
func (s *mailServer) start(t *testing.T, config *tls.Config, implicit bool) *mailServer {
	t.Helper()
	s.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		_, secured := c.TLSConnectionState()
		return &mailSession{server: s, tls: secured}, nil
	}))
	s.server.Domain = "mail.acme.example"
	s.server.AllowInsecureAuth = true
	s.server.ErrorLog = quiet{}
	if !implicit {
		s.server.TLSConfig = config
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = l.Addr().String()
	if implicit {
		l = tls.NewListener(l, config)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.server.Serve(l) }()
	t.Cleanup(func() {
		_ = s.server.Close()
		<-ended
	})
	return s
}

// quiet drops what the server says about clients that leave.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func (s *mailServer) refusal(of string) error {
	if e := s.refuse[of]; e != nil {
		return e
	}
	return nil
}

func (s *mailServer) got() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.mails...)
}

type mailSession struct {
	server *mailServer
	tls    bool
	mail   received
}

func (s *mailSession) AuthMechanisms() []string { return s.server.mechanisms }

func (s *mailSession) Auth(mechanism string) (sasl.Server, error) {
	check := func(user, password string) error {
		s.server.mu.Lock()
		s.server.auths = append(s.server.auths, fmt.Sprintf("%s %s %s %t", mechanism, user, password, s.tls))
		s.server.mu.Unlock()
		return s.server.refusal("AUTH")
	}
	if mechanism == "LOGIN" {
		return &loginServer{check: check}, nil
	}
	return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
}

func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	s.mail = received{from: from, tls: s.tls}
	return s.server.refusal("MAIL " + from)
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := s.server.refusal("RCPT " + to); err != nil {
		return err
	}
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.server.hang != nil {
		<-s.server.hang
	}
	if err := s.server.refusal("DATA"); err != nil {
		return err
	}
	s.mail.data = string(data)
	s.server.mu.Lock()
	s.server.mails = append(s.server.mails, s.mail)
	s.server.mu.Unlock()
	return nil
}

func (s *mailSession) Reset()        { s.mail = received{} }
func (s *mailSession) Logout() error { return nil }

// loginServer asks as Exchange does.
type loginServer struct {
	check func(user, password string) error
	asked int
	user  string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.asked++
	switch l.asked {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	case 3:
		return nil, true, l.check(l.user, string(response))
	default:
		return nil, true, errors.New("asked once too often")
	}
}

// script is a server that says its lines, each after one of the client's, and
// then hangs or leaves.
func script(t *testing.T, stay bool, lines ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	over := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 64<<10)
		for i, said := range lines {
			if i > 0 {
				if _, err := conn.Read(buf); err != nil {
					return
				}
			}
			if _, err := io.WriteString(conn, strings.ReplaceAll(said, "\n", "\r\n")); err != nil {
				return
			}
		}
		if stay {
			<-over
		}
	}()
	t.Cleanup(func() {
		close(over)
		_ = l.Close()
		<-ended
	})
	return l.Addr().String()
}
