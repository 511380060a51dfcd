package openroutertest_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"bursar/proxy/openrouter/openroutertest"
)

var decoders = map[string]func(io.Reader) (io.Reader, error){
	"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	"br":   func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
	"zstd": func(r io.Reader) (io.Reader, error) {
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	},
	"deflate":     func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) },
	"deflate-raw": func(r io.Reader) (io.Reader, error) { return flate.NewReader(r), nil },
}

func TestABodyIsCodedAsTheClientAccepts(t *testing.T) {
	f := start(t, openroutertest.Options{})
	for coding, decoder := range decoders {
		header := strings.TrimSuffix(coding, "-raw")
		for _, name := range []string{"chat", "chat stream", "mess. stream", "embeddings"} {
			response, body := f.behave(coding+",trickle", calls[name].path, calls[name].body, "Accept-Encoding: identity;q=0.5, "+header+";q=0.9")
			if got := response.Header.Get("Content-Encoding"); got != header {
				t.Errorf("%s %s: Content-Encoding %q", name, coding, got)
				continue
			}
			reader, err := decoder(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(reader)
			if err != nil {
				t.Errorf("%s %s: %v", name, coding, err)
			}
			if _, usage := told(t, response, text); usage == nil || usage.Cost == nil {
				t.Errorf("%s %s: no cost in %s", name, coding, text)
			}
		}
		for _, accept := range []string{"", "identity", header + ";q=0", header + "x"} {
			response, body := f.behave(coding, calls["chat"].path, calls["chat"].body, "Accept-Encoding: "+accept)
			if response.Header.Get("Content-Encoding") != "" || !json.Valid(body) {
				t.Errorf("%s with Accept-Encoding %q: %v", coding, accept, response.Header)
			}
		}
	}
}

func TestByDefaultOnlyJSONIsCompressed(t *testing.T) {
	f := start(t, openroutertest.Options{})
	for name, want := range map[string]string{"chat": "gzip", "chat stream": "", "images": "gzip"} {
		response, _ := f.do(calls[name].path, calls[name].body, "Accept-Encoding: gzip, deflate, br, zstd")
		if got := response.Header.Get("Content-Encoding"); got != want {
			t.Errorf("%s: Content-Encoding %q, want %q", name, got, want)
		}
	}
}

func TestACompressedStreamCanBeReadAsItComes(t *testing.T) {
	f := start(t, openroutertest.Options{})
	for coding, decoder := range decoders {
		ctx, cancel := context.WithCancel(t.Context())
		request := f.request(ctx, calls["chat stream"].path, calls["chat stream"].body,
			"Accept-Encoding: "+strings.TrimSuffix(coding, "-raw"), "X-Fake-Behavior: hang,"+coding)
		response, err := f.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		reader, err := decoder(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		var text []byte
		for part := make([]byte, 512); !bytes.Contains(text, []byte(`"delta"`)); {
			n, err := reader.Read(part)
			if text = append(text, part[:n]...); err != nil {
				t.Fatalf("%s: %v after %q", coding, err, text)
			}
		}
		cancel()
		response.Body.Close()
	}
}

func TestAHugeAnswerNeedsLittleMemory(t *testing.T) {
	f := start(t, openroutertest.Options{})
	const size = 100 << 20
	for _, name := range []string{"images", "resp. stream"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		response, err := f.client.Do(f.request(t.Context(), calls[name].path, calls[name].body, "X-Fake-Behavior: size=100mb"))
		if err != nil {
			t.Fatal(err)
		}
		tail := make([]byte, 0, 4096)
		var total int
		for part := make([]byte, 64<<10); ; {
			n, err := response.Body.Read(part)
			total += n
			if tail = append(tail, part[:n]...); len(tail) > 2048 {
				tail = append(tail[:0], tail[len(tail)-2048:]...)
			}
			if err != nil {
				break
			}
		}
		response.Body.Close()
		runtime.ReadMemStats(&after)
		if total < size || total > size+64<<10 {
			t.Errorf("%s: %d bytes", name, total)
		}
		if !bytes.Contains(tail, []byte(`"cost":`)) {
			t.Errorf("%s: the end has no cost: %s", name, tail)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > size/4 {
			t.Errorf("%s: %d bytes were allocated for %d", name, allocated, size)
		}
	}
}

func TestADeclaredLengthIsTheBodys(t *testing.T) {
	f := start(t, openroutertest.Options{})
	for _, behavior := range []string{"declare", "declare,size=1001"} {
		response, body := f.behave(behavior, calls["images"].path, calls["images"].body)
		if response.ContentLength != int64(len(body)) || !json.Valid(body) {
			t.Errorf("%s: Content-Length %d, %d bytes", behavior, response.ContentLength, len(body))
		}
	}
	response, _ := f.behave("size=10kb", calls["images"].path, calls["images"].body)
	if response.ContentLength != -1 {
		t.Errorf("undeclared: Content-Length %d", response.ContentLength)
	}
}

func TestEarlyHintsAndTrailersSurroundTheAnswer(t *testing.T) {
	for name, protocol := range protocols {
		f := startWith(t, openroutertest.Options{}, protocol)
		hints := 0
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			hints += code
			return nil
		}})
		response, err := f.client.Do(f.request(ctx, calls["chat"].path, calls["chat"].body, "X-Fake-Behavior: early-hints,trailers"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || hints != http.StatusEarlyHints || response.Trailer.Get("X-Fake-Trailer") != "complete" || response.Header.Get("Link") != "" {
			t.Errorf("%s: hints %d, trailers %v, headers %v: %v", name, hints, response.Trailer, response.Header, err)
		}
	}
}

func TestEchoTellsWhatArrived(t *testing.T) {
	for name, protocol := range protocols {
		f := startWith(t, openroutertest.Options{}, protocol)
		body := "some bytes \x00\xff"
		request, err := http.NewRequestWithContext(t.Context(), "REPORT", f.URL, io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		request.URL.Opaque = strings.TrimPrefix(strings.TrimPrefix(f.URL, "https:"), "http:") + "/echo/a%2Fb//c;x?q=1&q=%20&header=X-A:1&header=X-A:2&trailer=X-T:3&status=418"
		request.Header["X-Many"] = []string{"one", "", "two"}
		request.Trailer = http.Header{"X-Sent": {"last"}}
		response, err := f.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(body))
		for path, want := range map[string]any{
			"method": "REPORT", "body_length": float64(len(body)), "body_sha256": hex.EncodeToString(sum[:]),
			"host": strings.TrimPrefix(strings.TrimPrefix(f.URL, "https://"), "http://"),
		} {
			if got := dig(t, answer, path); got != want {
				t.Errorf("%s: %s is %v, want %v", name, path, got, want)
			}
		}
		for _, part := range []string{"/echo/a%2Fb//c;x?q=1&q=%20&", `["X-Many","one"],["X-Many",""],["X-Many","two"]`, `"trailers":[["X-Sent","last"]]`} {
			if !strings.Contains(string(answer), part) {
				t.Errorf("%s: no %s in %s", name, part, answer)
			}
		}
		if response.StatusCode != http.StatusTeapot || len(response.Header["X-A"]) != 2 || response.Trailer.Get("X-T") != "3" {
			t.Errorf("%s: %d %v %v", name, response.StatusCode, response.Header, response.Trailer)
		}
	}
}

func TestEchoMirrorsABody(t *testing.T) {
	f := start(t, openroutertest.Options{})
	if response, body := f.do("/echo?mirror=1", "a\r\nb", "Content-Type: text/x"); string(body) != "a\r\nb" || response.Header.Get("Content-Type") != "text/x" {
		t.Errorf("%v %q", response.Header, body)
	}
	if response, body := f.do("/echo?body=", "a"); len(body) != 0 || response.StatusCode != http.StatusOK {
		t.Errorf("%d %q", response.StatusCode, body)
	}
}

func TestALedgerOutlivesItsListener(t *testing.T) {
	server := openroutertest.New(openroutertest.Options{})
	for range 2 {
		instance, err := openroutertest.Serve(server, "127.0.0.1:0", openroutertest.HTTP1)
		if err != nil {
			t.Fatal(err)
		}
		f := &fake{Instance: instance, t: t, client: instance.Client()}
		f.do(calls["chat"].path, calls["chat"].body)
		f.client.CloseIdleConnections()
		if err := instance.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := len(server.Ledger()); n != 2 {
		t.Errorf("%d bills", n)
	}
	f := start(t, openroutertest.Options{})
	taken := strings.TrimPrefix(f.URL, "http://")
	if _, err := openroutertest.Serve(server, taken, openroutertest.HTTP1); err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("a taken address: %v", err)
	}
}

func TestTheSameSeedAndBodyCostTheSame(t *testing.T) {
	costs := map[string]int{}
	for _, seed := range []uint64{1, 1, 2, 3, 4, 5} {
		f := start(t, openroutertest.Options{Seed: seed})
		f.do(calls["chat"].path, calls["chat"].body)
		costs[f.only().CostLiteral]++
	}
	if len(costs) == 1 || len(costs) == 6 {
		t.Errorf("costs %v", costs)
	}
}

func TestLeanAnswersAreWholeAndHaveTheirOwnIDs(t *testing.T) {
	f := start(t, openroutertest.Options{Lean: true, LeanChunks: 5})
	ids := map[string]bool{}
	for _, name := range []string{"chat", "chat stream", "text", "text stream", "responses", "resp. stream", "messages", "mess. stream", "chat"} {
		response, body := f.do(calls[name].path, calls[name].body)
		id, usage := told(t, response, body)
		if id == "" || id != response.Header.Get("X-Generation-Id") || usage == nil || usage.Cost == nil {
			t.Errorf("%s: id %q, usage %v: %s", name, id, usage, body)
		}
		ids[id] = true
	}
	if len(ids) != 9 || len(f.Ledger()) != 0 {
		t.Errorf("%d ids, %d bills", len(ids), len(f.Ledger()))
	}
}

func BenchmarkLean(b *testing.B) {
	for name, body := range map[string]string{"JSON": calls["chat"].body, "SSE": calls["chat stream"].body} {
		b.Run(name, func(b *testing.B) {
			server := openroutertest.New(openroutertest.Options{Lean: true})
			b.ReportAllocs()
			for b.Loop() {
				request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "/api/v1/chat/completions", strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				server.ServeHTTP(discard{}, request)
			}
		})
	}
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
func (discard) FlushError() error           { return nil }
