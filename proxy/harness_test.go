package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"bursar/accounting"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder keeps events in memory.
type recorder struct {
	mu     sync.Mutex
	events []accounting.Event
	err    error
	closed chan accounting.Event
}

func (r *recorder) Record(e *accounting.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	r.events = append(r.events, *e)
	if e.Kind == accounting.Closed || e.Kind == accounting.Polled {
		r.closed <- *e
	}
	return nil
}

func (r *recorder) kinds() []accounting.Kind {
	r.mu.Lock()
	defer r.mu.Unlock()
	var kinds []accounting.Kind
	for _, e := range r.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// last waits for the end of the next call.
func (r *recorder) last(t testing.TB) accounting.Event {
	t.Helper()
	select {
	case e := <-r.closed:
		return e
	case <-time.After(time.Minute):
		t.Fatal("no call was closed")
		return accounting.Event{}
	}
}

type keyring struct {
	mu   sync.Mutex
	held map[string]string
}

func (k *keyring) Hold(key string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	fingerprint := accounting.Fingerprint(key)
	k.held[fingerprint] = key
	return fingerprint
}

// rig is a proxy in front of an upstream, both on real sockets.
type rig struct {
	t        testing.TB
	upstream *httptest.Server
	front    *http.Server
	addr     string
	base     string
	recorder *recorder
	keys     *keyring
	client   *http.Client
	logs     *syncBuffer
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newRig(t testing.TB, upstream http.HandlerFunc, adjust ...func(*Options)) *rig {
	server := httptest.NewUnstartedServer(upstream)
	server.Config.ErrorLog = nil
	server.Config.DisableGeneralOptionsHandler = true
	server.Start()
	return newRigOn(t, server, adjust...)
}

func newRigOn(t testing.TB, server *httptest.Server, adjust ...func(*Options)) *rig {
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	g := &rig{t: t, upstream: server, logs: &syncBuffer{},
		recorder: &recorder{closed: make(chan accounting.Event, 1000)}, keys: &keyring{held: map[string]string{}}}
	transport := NewTransport(TransportOptions{DialTimeout: 5 * time.Second})
	if server.TLS != nil {
		transport.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	}
	opts := Options{Upstream: base, Transport: transport, Recorder: g.recorder, Keyring: g.keys, Logger: zerolog.New(g.logs)}
	for _, f := range adjust {
		f(&opts)
	}
	handler, err := New(opts)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g.addr = listener.Addr().String()
	g.base = "http://" + g.addr
	g.front = NewServer(handler, ServerOptions{ReadHeaderTimeout: 5 * time.Second, Logger: zerolog.Nop()})
	done := make(chan struct{})
	go func() { defer close(done); _ = g.front.Serve(Listen(listener)) }()
	clientTransport := &http.Transport{DisableCompression: true}
	g.client = &http.Client{Transport: clientTransport}
	t.Cleanup(func() {
		clientTransport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if g.front.Shutdown(ctx) != nil {
			_ = g.front.Close()
		}
		<-done
		transport.CloseIdleConnections()
		server.CloseClientConnections()
		server.Close()
	})
	return g
}

// post sends a chat call and returns the answer's body.
func (g *rig) post(path, body string, header ...string) (*http.Response, string) {
	g.t.Helper()
	request, err := http.NewRequest(http.MethodPost, g.base+path, strings.NewReader(body))
	require.NoError(g.t, err)
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	return g.do(request)
}

func (g *rig) do(request *http.Request) (*http.Response, string) {
	g.t.Helper()
	response, err := g.client.Do(request)
	require.NoError(g.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		require.NoError(g.t, err)
	}
	return response, string(body)
}

// raw sends bytes as they are and returns the answer.
func (g *rig) raw(request string) *http.Response {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	require.NoError(g.t, err)
	g.t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, request)
	require.NoError(g.t, err)
	require.NoError(g.t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(g.t, err)
	return response
}

const chat = "/api/v1/chat/completions"

func answerJSON(w http.ResponseWriter, id, cost string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Generation-Id", id)
	fmt.Fprintf(w, `{"id":%q,"model":"served/model","provider":"P","choices":[{"finish_reason":"stop"}],"usage":{"cost":%s,"total_tokens":14}}`, id, cost)
}
