package notify

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is the deadline of what must not happen too late to be tested.
const patience = 30 * time.Second

// authority signs the certificates of the services that the tests stand in for.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	roots *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the tests' authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	a := &authority{cert: cert, key: key, roots: x509.NewCertPool()}
	a.roots.AddCert(cert)
	return a
}

// serverConfig is that of a server with these names.
func (a *authority) serverConfig(t *testing.T, names ...string) *tls.Config {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: a.key}}, MinVersion: tls.VersionTLS12}
}

// call is one request that a service got.
type call struct {
	Method, Host, URI, Path, Query string
	Header                         http.Header
	Body                           []byte
}

// decode reads the call's JSON.
func (c call) decode(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal(c.Body, &v))
	return v
}

// service is an HTTPS server on loopback that answers to the real names.
type service struct {
	*httptest.Server
	options []Option // reach it whatever host a URL names

	mu     sync.Mutex
	calls  []call
	dialed []string
}

// newService starts a service whose answers come from handle; the body has been
// read by then.
func newService(t *testing.T, handle http.HandlerFunc, names ...string) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.calls = append(s.calls, call{r.Method, r.Host, r.RequestURI, r.URL.EscapedPath(), r.URL.RawQuery, r.Header, body})
		s.mu.Unlock()
		handle(w, r)
	}))
	ca := newAuthority(t)
	s.TLS = ca.serverConfig(t, append(names, "localhost")...)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients leave on purpose
	s.StartTLS()
	t.Cleanup(s.Close)
	s.options = []Option{WithRootCAs(ca.roots), WithTimeout(patience), WithDial(s.dial)}
	return s
}

func (s *service) dial(ctx context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	s.dialed = append(s.dialed, address)
	s.mu.Unlock()
	return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
}

func (s *service) got() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]call(nil), s.calls...)
}

// only is the one call that there was.
func (s *service) only(t *testing.T) call {
	t.Helper()
	calls := s.got()
	require.Len(t, calls, 1)
	return calls[0]
}

// answers is a handler that always says the same; headers are name, value, …
func answers(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hangs is a handler that says nothing until its client is gone, nor then: TLS
// says goodbye before the connection is closed, in time for a last answer.
func hangs(_ http.ResponseWriter, r *http.Request) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// cuts is a handler that breaks the connection in the middle of its answer.
func cuts(t *testing.T, head string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, head)
		_ = conn.Close()
	}
}

// echoes is a handler that says, not in HTTP, what it was asked for.
func echoes(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { cuts(t, "POST "+r.RequestURI+"\r\n")(w, r) }
}

func parse(t *testing.T, rawURL string, opts ...Option) *Channel {
	t.Helper()
	c, err := Parse(rawURL, opts...)
	require.NoError(t, err)
	return c
}

// alert is a message with something in every field.
func alert() Message {
	return Message{
		ID: "alert-01J9-3", Kind: "budget_threshold", Severity: SeverityCritical,
		Title: "Budget monthly-ai at 90 %", Text: "69.30 of 77.00 EUR are spent.\nIt resets on 1 December.",
		Link: "https://bursar.example/budgets/monthly-ai?from=alert&x=1",
		At:   time.Date(2026, 11, 22, 6, 0, 1, 0, time.UTC),
		Fields: []Field{
			{Name: "Campaign", Value: "q4-launch"},
			{Name: "Spent", Value: "69.30 EUR"},
		},
	}
}

// sendError is the error of sending, which has to be one.
func sendError(t *testing.T, c *Channel, m Message) *SendError {
	t.Helper()
	err := c.Send(t.Context(), m)
	require.Error(t, err)
	var failed *SendError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, c.Name(), failed.Channel)
	return failed
}

// hostOf is host:port of a server's URL.
func hostOf(t *testing.T, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	return u.Host
}
