package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// http2Client speaks HTTP/2 in clear text.
func http2Client(t *testing.T) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// answersAtOnce answers 413 before it reads anything.
func answersAtOnce(w http.ResponseWriter, _ *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex()
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusRequestEntityTooLarge)
	fmt.Fprint(w, "too much")
}

// startHTTP2 starts an upstream that speaks HTTP/2 over TLS.
func startHTTP2(t *testing.T, handler http.HandlerFunc, adjust ...func(*Options)) *rig {
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	return newRigOn(t, server, adjust...)
}

func TestAnHTTP2ClientMayStillBeSendingWhenItsAnswerIsThere(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *rig{
		"HTTP/1 upstream": func(t *testing.T) *rig { return newRig(t, answersAtOnce) },
		"HTTP/2 upstream": func(t *testing.T) *rig { return startHTTP2(t, answersAtOnce) },
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t)
			client := http2Client(t)
			for range 20 {
				body, upload := io.Pipe()
				request, err := http.NewRequest(http.MethodPost, g.base+chat, body)
				require.NoError(t, err)
				go func() { _, _ = io.WriteString(upload, "{") }()
				response, err := client.Do(request)
				require.NoError(t, err)
				answer, err := io.ReadAll(response.Body)
				require.NoError(t, err, "the answer is whole without the rest of the request")
				response.Body.Close()
				assert.Equal(t, "too much", string(answer))
				upload.Close()
			}
		})
	}
}

func TestTheEndOfAnAnswerDoesNotWaitForTheRestOfItsRequest(t *testing.T) {
	g := startHTTP2(t, answersAtOnce)
	conn, err := net.Dial("tcp", g.addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second))) // half of the stall timeout
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", chat)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, "too much", string(body))
	assert.True(t, response.Close, "the rest of the body stands in the next request's way")
}

func TestAClientThatNeverSendsTheRestDoesNotKeepItsConnection(t *testing.T) {
	for name, head := range map[string]string{
		"small":   "Content-Length: 30\r\n\r\n{",
		"large":   "Content-Length: 30000\r\n\r\n{",
		"chunked": "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, answersAtOnce, func(o *Options) { o.ClientStallTimeout = 200 * time.Millisecond })
			conn, err := net.Dial("tcp", g.addr)
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\n%s", chat, head)
			all, err := io.ReadAll(conn)
			require.NoError(t, err, "the connection is closed")
			assert.Contains(t, string(all), "too much")
		})
	}
}

func TestASilentModelOutlivesTheStallTimeoutOverHTTP2(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, ": OPENROUTER PROCESSING\n\n")
		w.(http.Flusher).Flush()
		time.Sleep(2500 * time.Millisecond) // longer than the timeout
		fmt.Fprint(w, "data: [DONE]\n\n")
	}, func(o *Options) { o.ClientStallTimeout = time.Second })
	g.client = http2Client(t)
	_, body := g.post(chat, `{"stream":true}`)
	assert.Equal(t, ": OPENROUTER PROCESSING\n\ndata: [DONE]\n\n", body)
}

func TestAnUpstreamMayLetAnHTTP2UploadWaitForLongerThanTheStallTimeout(t *testing.T) {
	const size = 8 << 20
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(2500 * time.Millisecond)
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}, func(o *Options) { o.ClientStallTimeout = time.Second })
	g.client = http2Client(t)
	_, body := g.post(chat, strings.Repeat("x", size))
	assert.Equal(t, fmt.Sprint(size, nil), body)
}

func TestAClientThatStallsItsUploadIsToldSo(t *testing.T) {
	for name, stall := range map[string]func(*testing.T, *rig) *http.Response{
		"HTTP/1": func(_ *testing.T, g *rig) *http.Response {
			return g.raw("POST " + chat + " HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n{")
		},
		"HTTP/2": func(t *testing.T, g *rig) *http.Response {
			body, upload := io.Pipe()
			t.Cleanup(func() { upload.Close() })
			go func() { _, _ = io.WriteString(upload, "{") }()
			request, err := http.NewRequest(http.MethodPost, g.base+chat, body)
			require.NoError(t, err)
			response, err := http2Client(t).Do(request)
			require.NoError(t, err)
			t.Cleanup(func() { response.Body.Close() })
			return response
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) },
				func(o *Options) { o.ClientStallTimeout = 200 * time.Millisecond })
			response := stall(t, g)
			assert.Equal(t, http.StatusRequestTimeout, response.StatusCode)
			said, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			assert.Contains(t, string(said), "the client sent nothing of its request's body for 200ms")
			assert.Equal(t, "client_stalled", g.recorder.last(t).Error)
		})
	}
}

func TestAnHTTP2ClientThatStopsReadingIsCut(t *testing.T) {
	g, requireCut := endlessRig(t)
	request, err := http.NewRequest(http.MethodPost, g.base+chat, strings.NewReader("{}"))
	require.NoError(t, err)
	response, err := http2Client(t).Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	requireCut()
}

// An HTTP/1.0 client takes the end of the connection for the end of an answer
// that has no length.
func TestABrokenAnswerLooksBrokenToAnHTTP10Client(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		time.Sleep(50 * time.Millisecond)
		panic(http.ErrAbortHandler)
	})
	conn, err := net.Dial("tcp", g.addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	fmt.Fprintf(conn, "POST %s HTTP/1.0\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", chat)
	all, err := io.ReadAll(conn)
	assert.Contains(t, string(all), "data: 1\n\n")
	assert.Error(t, err, "the connection is reset")
}

func TestAnHTTP10ClientGetsNoEarlyAnswers(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprint(w, "proper")
	})
	response := g.raw("GET /x HTTP/1.0\r\nHost: x\r\n\r\n")
	assert.Equal(t, http.StatusOK, response.StatusCode)
}

func TestATrailerDoesNotRepeatAHeaderOfItsName(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Sum", "head")
		fmt.Fprint(w, "body")
		w.(http.Flusher).Flush()
		w.Header().Set("X-Sum", "tail")
	})
	response, body := g.post(chat, "{}")
	assert.Equal(t, "body", body)
	assert.Equal(t, []string{"head"}, response.Header["X-Sum"])
	assert.Equal(t, []string{"tail"}, response.Trailer["X-Sum"])
}

func TestAnAnnouncedTrailerMayFailToCome(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Sum", "head")
		fmt.Fprint(w, "body")
		w.(http.Flusher).Flush()
		w.Header().Del("X-Sum")
	})
	for name, client := range map[string]*http.Client{"HTTP/1": g.client, "HTTP/2": http2Client(t)} {
		t.Run(name, func(t *testing.T) {
			g.client = client
			response, body := g.post(chat, "{}")
			assert.Equal(t, "body", body)
			assert.Equal(t, []string{"head"}, response.Header["X-Sum"])
			assert.Empty(t, response.Trailer["X-Sum"])
		})
	}
}

func TestAStatusThatIsNoneOfHTTPIsA502(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 099 Low\r\nContent-Length: 2\r\n\r\n{}")
	})
	response, _ := g.post(chat, "{}")
	assert.Equal(t, http.StatusBadGateway, response.StatusCode)
	assert.Equal(t, "upstream_broken", g.recorder.last(t).Error)
}

// frames of HTTP/2: RFC 9113, section 4.1.
const (
	frameHeaders, frameReset, frameSettings, frameGoAway = 1, 3, 4, 7

	protocolError, refusedStream = 1, 7
)

// framesRig is a proxy before an upstream that speaks so much HTTP/2 that it can
// answer each request with a frame, made for its stream.
func framesRig(t *testing.T, frame func(stream []byte) []byte) (g *rig, requests chan string) {
	requests = make(chan string, 1000)
	server := httptest.NewUnstartedServer(nil)
	server.TLS = &tls.Config{NextProtos: []string{"h2"}}
	server.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, conn *tls.Conn, _ http.Handler) { answerFrames(conn, requests, frame) },
	}
	server.StartTLS()
	return newRigOn(t, server), requests
}

func answerFrames(conn net.Conn, seen chan<- string, frame func([]byte) []byte) {
	defer conn.Close()
	preface := make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	if _, err := io.ReadFull(conn, preface); err != nil {
		return
	}
	_, _ = conn.Write([]byte{0, 0, 0, frameSettings, 0, 0, 0, 0, 0})
	head := make([]byte, 9)
	for {
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		size := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
		if _, err := io.CopyN(io.Discard, conn, size); err != nil {
			return
		}
		if head[3] == frameHeaders {
			seen <- "request"
			_, _ = conn.Write(frame(head[5:9]))
		}
	}
}

func resetFrame(stream []byte, code byte) []byte {
	return append(append([]byte{0, 0, 4, frameReset, 0}, stream...), 0, 0, 0, code)
}

// goAwayFrame says that no stream was looked at.
func goAwayFrame(code byte) []byte {
	return []byte{0, 0, 8, frameGoAway, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, code}
}

// OpenRouter may have run it, and would bill it once more.
func TestACallThatWasResetIsNotSentAgain(t *testing.T) {
	for name, request := range map[string]string{
		"with a body":    "Content-Length: 2\r\n\r\n{}",
		"without one":    "Content-Length: 0\r\n\r\n",
		"with a key too": "Idempotency-Key: k\r\nContent-Length: 2\r\n\r\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			g, requests := framesRig(t, func(stream []byte) []byte { return resetFrame(stream, protocolError) })
			response := g.raw("POST " + chat + " HTTP/1.1\r\nHost: x\r\n" + request)
			assert.Equal(t, http.StatusBadGateway, response.StatusCode)
			assert.Equal(t, "upstream_broken", g.recorder.last(t).Error)
			assert.Len(t, requests, 1)
		})
	}
}

// A stream that is refused was not looked at: HTTP/2 promises it.
func TestACallThatWasRefusedIsSentAgain(t *testing.T) {
	first := true
	g, requests := framesRig(t, func(stream []byte) []byte {
		if first {
			first = false
			return resetFrame(stream, refusedStream)
		}
		const status200 = 0x88 // among the static fields of HPACK
		return append(append([]byte{0, 0, 1, frameHeaders, 5}, stream...), status200)
	})
	response := g.raw("POST " + chat + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Len(t, requests, 2)
}

func TestAClientThatAwaitsItsCueGetsOne(t *testing.T) {
	const calls = 30 // which of two goroutines gives the cue is up to chance
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body) // of which the server gives its own
	})
	conn, err := net.Dial("tcp", g.addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	reader := bufio.NewReader(conn)
	for range calls {
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", chat)
		line, err := reader.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
		_, err = reader.ReadString('\n')
		require.NoError(t, err)
		fmt.Fprint(conn, "body")
		line, err = reader.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 200 OK\r\n", line)
		response, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(line), reader)), nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
	}
}

// Of a call that OpenRouter has not looked at nobody need find out whether it
// was billed. A body that passes as it comes cannot be sent again.
func TestACallThatWasNotLookedAtIsNotTakenForSent(t *testing.T) {
	for name, frame := range map[string]func(stream []byte) []byte{
		"refused":            func(stream []byte) []byte { return resetFrame(stream, refusedStream) },
		"goaway":             func([]byte) []byte { return goAwayFrame(0) },
		"goaway for a cause": func([]byte) []byte { return goAwayFrame(protocolError) },
	} {
		t.Run(name, func(t *testing.T) {
			g, requests := framesRig(t, frame)
			response := g.raw("POST " + chat + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
			assert.Equal(t, http.StatusBadGateway, response.StatusCode)
			said, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			assert.Contains(t, string(said), "declined the request before it looked at it")
			e := g.recorder.last(t)
			assert.Equal(t, "upstream_unreachable", e.Error)
			assert.Equal(t, accounting.StatusFailed, e.Status())
			assert.False(t, e.Truncated, "nothing may have been billed")
			assert.Len(t, requests, 1)
		})
	}
}
