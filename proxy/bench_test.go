package proxy

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/proxy/openrouter/openroutertest"
)

// These benchmarks run the handler behind real sockets, in front of a fake
// OpenRouter, in one process: for profiles, and to compare two versions of the
// handler. The journal is another room and stands aside here; what Bursar costs
// as a whole, beside other proxies, is for proxybench to say.
//
//	go test ./proxy -run '^$' -bench . -cpuprofile cpu.out

// nowhere takes events and keeps none.
type nowhere struct{}

func (nowhere) Record(*accounting.Event) error { return nil }
func (nowhere) Hold(string) string             { return "fingerprint" }

func benchmarkHandler(b *testing.B, protocol openroutertest.Protocol) (addr string) {
	fake, err := openroutertest.Start(openroutertest.Options{Lean: true, LeanChunks: 64}, protocol)
	require.NoError(b, err)
	base, err := url.Parse(fake.URL)
	require.NoError(b, err)
	transport := NewTransport(TransportOptions{DialTimeout: 5 * time.Second, RootCAs: fake.Roots})
	handler, err := New(Options{Upstream: base, Transport: transport, Recorder: nowhere{}, Keyring: nowhere{},
		Registerer: prometheus.NewRegistry(), Logger: zerolog.Nop()})
	require.NoError(b, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	server := NewServer(handler, ServerOptions{Logger: zerolog.Nop()})
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(Listen(listener)) }()
	b.Cleanup(func() {
		require.NoError(b, server.Close())
		<-served
		transport.CloseIdleConnections()
		require.NoError(b, fake.Close())
	})
	return listener.Addr().String()
}

func benchmarkCalls(b *testing.B, protocol openroutertest.Protocol, body string) {
	addr := benchmarkHandler(b, protocol)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true}}
	defer client.CloseIdleConnections()
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			request, err := http.NewRequest(http.MethodPost, "http://"+addr+chat, strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			setBenchmarkHeaders(request.Header)
			response, err := client.Do(request)
			if err != nil {
				b.Error(err)
				return
			}
			answer, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil || response.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(`"cost"`)) {
				b.Errorf("answered %s, %d bytes, %v", response.Status, len(answer), err)
				return
			}
		}
	})
}

// setBenchmarkHeaders sets what the OpenAI client for Python sends, and tags.
func setBenchmarkHeaders(h http.Header) {
	for name, value := range map[string]string{
		"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "Content-Type": "application/json",
		"User-Agent": "OpenAI/Python 1.99.1", "X-Stainless-Lang": "python", "X-Stainless-Os": "Linux",
		"Authorization": "Bearer sk-or-v1-0123456789abcdef0123456789abcdef",
		"X-Campaign-Id": "q4-launch", "X-Email-Id": "email-20417", "X-Lead-Id": "lead-99312",
		"X-Purpose": "email_generation", "X-Platform": "instantly",
	} {
		h.Set(name, value)
	}
}

func chatBody(promptBytes int, more string) string {
	return `{"model":"anthropic/claude-sonnet-4.6","messages":[{"role":"user","content":"` +
		strings.Repeat("Write to Ada about our offer. ", promptBytes/30) + `"}]` + more + `}`
}

func BenchmarkJSONCall(b *testing.B) {
	benchmarkCalls(b, openroutertest.HTTP1, chatBody(400, ""))
}

func BenchmarkJSONCallOverHTTP2(b *testing.B) {
	benchmarkCalls(b, openroutertest.TLS, chatBody(400, ""))
}

func BenchmarkCallWithAPromptOf100kB(b *testing.B) {
	benchmarkCalls(b, openroutertest.HTTP1, chatBody(100_000, ""))
}

func BenchmarkStreamOf64Chunks(b *testing.B) {
	benchmarkCalls(b, openroutertest.HTTP1, chatBody(400, `,"stream":true`))
}
