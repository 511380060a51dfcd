package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRawTargetsPassByteForByte(t *testing.T) {
	targets := []string{
		"/", "/api/v1/models", "/api/v1/models?", "/a//b///c", "//api/v1/models", "/a%2Fb/%2f", "/a;b=c/d;e",
		"/x?a=1;b=2", "/x?a&a&a=&=b&&", "/x?q=%zz&%", "/x?a=b?c=d", "/a%20b+c", "/a|b^c`d{e}", "/ü", "/%C3%BC", "/.././a/../b", "/a/./b/.",
		"/x?url=http://e.com/%2F//", "/a:b@c!$&'()*,=~", "/trailing/", "/x?" + strings.Repeat("k=v&", 500), "/\"quoted\"", "/tags", "/tagsx/a",
	}
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RequestURI) })
	for _, target := range targets {
		for _, method := range []string{"GET", "POST", "PATCH", "PROPFIND", "X-ODD"} {
			response := g.raw(method + " " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			assert.Equal(t, target, string(body), method)
		}
	}
	response := g.raw("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	body, _ := io.ReadAll(response.Body)
	assert.Equal(t, "*", string(body))
}

func TestATargetInAbsoluteFormIsTheOneInIt(t *testing.T) {
	const head = " HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RequestURI) })
	for target, want := range map[string]string{
		"HTTPS://user@h" + chat:                 chat,
		"http://h/a%2Fb//c/./d?u=http://e.com/": "/a%2Fb//c/./d?u=http://e.com/",
		"http://h//two":                         "//two",
		"http://h":                              "/",
		"http://h?x":                            "/?x",
	} {
		body, err := io.ReadAll(g.raw("POST " + target + head).Body)
		require.NoError(t, err)
		assert.Equal(t, want, string(body))
	}

	tagged := newRig(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RequestURI) })
	free := tagged.raw("POST http://h/api/v1/keys" + head)
	assert.Equal(t, http.StatusOK, free.StatusCode)
	assert.Empty(t, tagged.recorder.kinds(), "a call that costs nothing is known as one")
	body, err := io.ReadAll(tagged.raw("POST http://h:1/tags/campaign=q4" + chat + "?a;b=%2F&&" + head).Body)
	require.NoError(t, err)
	assert.Equal(t, chat+"?a;b=%2F&&", string(body))
	e := tagged.recorder.last(t)
	assert.Equal(t, "q4", e.Tags.CampaignID)
	assert.Equal(t, chat, e.Endpoint)
}

func TestHeadersPassWithTheirValuesAndTheirNumber(t *testing.T) {
	var seen http.Header
	var host string
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		seen, host = r.Header.Clone(), r.Host
		w.Header()["X-Multi"] = []string{"a", "b", ""}
		w.Header()["Set-Cookie"] = []string{"__cf_bm=1", "b=2"}
		w.Header()["Content-Type"] = nil
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "<html>")
	})
	response := g.raw("POST " + chat + " HTTP/1.1\r\nHost: proxy.example\r\nX-Multi: 1\r\nX-Multi: 2\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n" +
		"X-Forwarded-Host: h\r\nX-Forwarded-Proto: https\r\nAccept: */*\r\nX-Empty:\r\nVia: 1.0 cache\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
	assert.Equal(t, http.StatusTeapot, response.StatusCode)
	assert.Equal(t, []string{"a", "b", ""}, response.Header["X-Multi"])
	assert.Equal(t, []string{"__cf_bm=1", "b=2"}, response.Header["Set-Cookie"])
	assert.NotContains(t, response.Header, "Content-Type", "no type is guessed")
	assert.NotContains(t, response.Header, "Via")
	assert.Len(t, response.Header[requestIDHeader], 1)

	assert.Equal(t, g.upstream.Listener.Addr().String(), host)
	want := http.Header{
		"X-Multi": {"1", "2"}, "X-Forwarded-For": {"1.2.3.4"}, "Forwarded": {"for=1.2.3.4"}, "X-Forwarded-Host": {"h"}, "X-Forwarded-Proto": {"https"},
		"Accept": {"*/*"}, "X-Empty": {""}, "Via": {"1.0 cache", "1.1 bursar"}, "Content-Length": {"2"},
	}
	assert.Equal(t, want, seen, "nothing added (no Accept-Encoding, no User-Agent), nothing lost")
}

func TestALoopIsAnswered508(t *testing.T) {
	g := newRig(t, func(http.ResponseWriter, *http.Request) { t.Error("a loop went upstream") })
	response, body := g.post(chat, "{}", "Via", "1.1 cdn, 2.0 Bursar (comment)")
	assert.Equal(t, http.StatusLoopDetected, response.StatusCode)
	assert.Contains(t, body, "BURSAR_UPSTREAM_URL")
	assert.NotEmpty(t, response.Header.Get(requestIDHeader))
}

func TestEveryReadIsFlushed(t *testing.T) {
	for name, header := range map[string]string{"event stream": "text/event-stream", "trickling JSON": "application/json"} {
		t.Run(name, func(t *testing.T) {
			next := make(chan struct{})
			g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", header)
				w.Header().Set("Content-Length", "12")
				for i := range 6 {
					fmt.Fprintf(w, " %d", i)
					w.(http.Flusher).Flush()
					<-next
				}
			})
			response, err := g.client.Post(g.base+chat, "application/json", strings.NewReader("{}"))
			require.NoError(t, err)
			defer response.Body.Close()
			for i := range 6 {
				buf := make([]byte, 2)
				_, err := io.ReadFull(response.Body, buf) // hangs if the bytes are held back
				require.NoError(t, err)
				assert.Equal(t, fmt.Sprintf(" %d", i), string(buf))
				next <- struct{}{}
			}
		})
	}
}

func TestABrokenAnswerStaysBroken(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Generation-Id", "gen-cut")
		fmt.Fprint(w, "data: {\"id\":\"gen-cut\"}\n\n")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	response, err := g.client.Post(g.base+chat, "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = io.ReadAll(response.Body)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "a cut stream must not look complete")
	e := g.recorder.last(t)
	assert.True(t, e.Truncated)
	assert.False(t, e.Cancelled)
	assert.Equal(t, "gen-cut", e.GenerationID)
}

func TestWhatHadComeBeforeAnAnswerBrokeOffReachesTheClient(t *testing.T) {
	for _, n := range []int{0, 3, 100, 5000} {
		g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nX-Generation-Id: gen-cut\r\n\r\n%s", strings.Repeat("x", n))
			conn.Close()
		})
		response := g.raw("POST " + chat + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
		assert.Equal(t, "gen-cut", response.Header.Get("X-Generation-Id"))
		body, err := io.ReadAll(response.Body)
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Len(t, body, n)
	}
}

func TestAnOfferOfH2CIsNotPassedOn(t *testing.T) {
	var seen http.Header
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header
		answerJSON(w, "gen-1", "1")
	}))
	upstream.EnableHTTP2 = true
	upstream.StartTLS()
	g := newRigOn(t, upstream)
	response := g.raw("POST " + chat + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 2\r\n\r\n{}")
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.NotContains(t, seen, "Upgrade")
	assert.NotContains(t, seen, "Http2-Settings")
}

func TestExpectContinueIsAnsweredByTheUpstream(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Reject") != "" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Header.Get("Expect"), body)
	})
	conn, err := net.Dial("tcp", g.addr)
	require.NoError(t, err)
	defer conn.Close()
	reader := bufio.NewReader(conn)
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", chat)
	line, err := reader.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
	_, _ = reader.ReadString('\n')
	fmt.Fprint(conn, "hello")
	response, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	body, _ := io.ReadAll(response.Body)
	assert.Equal(t, "100-continue hello", string(body))

	rejected := g.raw("POST " + chat + " HTTP/1.1\r\nHost: x\r\nX-Reject: 1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	assert.Equal(t, http.StatusExpectationFailed, rejected.StatusCode, "no 100 comes before the upstream has agreed")
}

func TestInformationalAnswersPass(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		answerJSON(w, "gen-1", "1")
	})
	var hints []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, header.Get("Link")))
		return nil
	}}
	request, _ := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), http.MethodPost, g.base+chat, strings.NewReader("{}"))
	response, _ := g.do(request)
	assert.Equal(t, []string{"103</a.css>; rel=preload"}, hints)
	assert.NotEmpty(t, response.Header.Get(requestIDHeader), "our headers survive a 1xx")
	assert.Empty(t, response.Header.Get("Link"))
}

func TestTrailersPassBothWays(t *testing.T) {
	var seen http.Header
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Announced")
		_, _ = io.Copy(io.Discard, r.Body)
		seen = r.Trailer
		fmt.Fprint(w, "body")
		w.Header().Set("X-Announced", "1")
		w.Header().Set(http.TrailerPrefix+"X-Surprise", "2")
	})
	request, _ := http.NewRequest(http.MethodPost, g.base+chat, io.NopCloser(strings.NewReader("{}")))
	request.Trailer = http.Header{"X-Request-Trailer": {"3"}}
	response, _ := g.do(request)
	assert.Equal(t, "1", response.Trailer.Get("X-Announced"))
	assert.Equal(t, "2", response.Trailer.Get("X-Surprise"))
	assert.Equal(t, http.Header{"X-Request-Trailer": {"3"}}, seen)

	g.raw("POST " + chat + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Unannounced: 4\r\n\r\n")
	assert.Equal(t, http.Header{"X-Unannounced": {"4"}}, seen)
}

func TestRequestAndAnswerFlowAtTheSameTime(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		lines := bufio.NewReader(r.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprint(w, "echo ", line)
			w.(http.Flusher).Flush()
		}
	})
	for name, length := range map[string]int64{"chunked": -1, "of known length": 12} {
		t.Run(name, func(t *testing.T) {
			reader, writer := io.Pipe()
			request, _ := http.NewRequest(http.MethodPost, g.base+chat, reader)
			request.ContentLength = length
			response, err := g.client.Do(request)
			require.NoError(t, err)
			defer response.Body.Close()
			lines := bufio.NewReader(response.Body)
			for _, line := range []string{"one\n", "two\n", "6th\n"} {
				_, err := io.WriteString(writer, line)
				require.NoError(t, err)
				got, err := lines.ReadString('\n')
				require.NoError(t, err)
				assert.Equal(t, "echo "+line, got)
			}
			writer.Close()
			_, err = io.ReadAll(response.Body)
			require.NoError(t, err)
		})
	}
}

func TestHTTP2InAndOut(t *testing.T) {
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Proto", r.Proto)
		w.Header().Set("X-Target", r.RequestURI)
		w.Header().Set("X-Via", r.Header.Get("Via"))
		_, _ = io.Copy(io.Discard, r.Body) // or the answer may overtake it, and its model
		answerJSON(w, "gen-h2", "0.5")
	}))
	upstream.EnableHTTP2 = true
	upstream.StartTLS()
	g := newRigOn(t, upstream)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true}
	defer transport.CloseIdleConnections()
	g.client = &http.Client{Transport: transport}
	response, body := g.post("//api/v1//chat/completions?a;b&c=%2F", `{"model":"m"}`)
	assert.Equal(t, "HTTP/2.0", response.Proto, "in")
	assert.Equal(t, "HTTP/2.0", response.Header.Get("X-Proto"), "out")
	assert.Equal(t, "//api/v1//chat/completions?a;b&c=%2F", response.Header.Get("X-Target"))
	assert.Equal(t, "2.0 bursar", response.Header.Get("X-Via"))
	assert.Contains(t, body, "0.5")
	e := g.recorder.last(t)
	assert.Equal(t, "gen-h2", e.GenerationID)
	assert.Equal(t, "m", e.RequestedModel)
}

func TestAnAnswerWithoutABodyMayTellALengthOverHTTP2(t *testing.T) {
	g := startHTTP2(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "12")
		if r.Method != http.MethodHead {
			w.WriteHeader(http.StatusNotModified)
		}
	})
	for method, status := range map[string]int{http.MethodGet: http.StatusNotModified, http.MethodHead: http.StatusOK} {
		request, err := http.NewRequest(method, g.base+"/api/v1/models", nil)
		require.NoError(t, err)
		response, err := g.client.Do(request)
		require.NoError(t, err, method)
		response.Body.Close()
		assert.Equal(t, status, response.StatusCode)
	}
	response, _ := g.post(chat, "{}")
	assert.Equal(t, http.StatusNotModified, response.StatusCode)
	assert.False(t, g.recorder.last(t).Truncated)
}

func TestTLSWithHTTP2In(t *testing.T) {
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer certified.Close()
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, "gen-tls", "0.5") })
	server := NewServer(g.front.Handler, ServerOptions{Certificate: &certified.TLS.Certificates[0], Logger: zerolog.Nop()})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	transport := certified.Client().Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = true
	for _, h2 := range []bool{true, false} {
		if !h2 {
			transport = certified.Client().Transport.(*http.Transport).Clone()
			transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
		}
		client := &http.Client{Transport: transport}
		response, err := client.Post("https://"+listener.Addr().String()+chat, "application/json", strings.NewReader(`{"model":"m"}`))
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		response.Body.Close()
		assert.Equal(t, h2, response.ProtoMajor == 2)
		assert.Contains(t, string(body), "gen-tls")
		assert.Equal(t, "m", g.recorder.last(t).RequestedModel)
		transport.CloseIdleConnections()
	}
	require.NoError(t, server.Close())
	<-served
}

func TestAnUploadReachesTheUpstreamWhileItIsSent(t *testing.T) {
	arrived := make(chan byte, 1)
	g := newRig(t, func(_ http.ResponseWriter, r *http.Request) {
		first := make([]byte, 1)
		_, _ = io.ReadFull(r.Body, first)
		arrived <- first[0]
		_, _ = io.Copy(io.Discard, r.Body)
	})
	reader, writer := io.Pipe()
	go func() {
		_, _ = writer.Write([]byte("x"))
		<-arrived // the rest is sent only once the first byte has got through
		_, _ = writer.Write([]byte(strings.Repeat("y", 99)))
		writer.Close()
	}()
	request, _ := http.NewRequest(http.MethodPost, g.base+chat, reader)
	request.ContentLength = 100
	response, _ := g.do(request)
	assert.Equal(t, http.StatusOK, response.StatusCode)
}

func TestTheClientsCancelReachesTheUpstream(t *testing.T) {
	for name, path := range map[string]string{"a billable call": chat, "a free one": "/api/v1/keys"} {
		t.Run(name, func(t *testing.T) {
			began, gone := make(chan struct{}), make(chan struct{})
			g := newRig(t, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				close(began)
				<-r.Context().Done()
				close(gone)
			}, func(o *Options) { o.IdentifyTimeout = 20 * time.Millisecond })
			ctx, cancel := context.WithCancel(context.Background())
			request, _ := http.NewRequestWithContext(ctx, http.MethodPost, g.base+path, strings.NewReader("{}"))
			go func() { <-began; cancel() }()
			_, err := g.client.Do(request)
			require.ErrorIs(t, err, context.Canceled)
			select {
			case <-gone:
			case <-time.After(time.Minute):
				t.Fatal("the upstream was not told")
			}
		})
	}
}

func TestAClientThatStopsReadingIsCut(t *testing.T) {
	g, requireCut := endlessRig(t)
	conn, err := net.Dial("tcp", g.addr)
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", chat)
	requireCut()
}

// endlessRig answers for as long as somebody takes it, and a client that takes
// nothing is soon to be cut, which requireCut waits for.
func endlessRig(t *testing.T) (g *rig, requireCut func()) {
	gone := make(chan struct{})
	g = newRig(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}, func(o *Options) {
		o.ClientStallTimeout, o.DisconnectGrace = 100*time.Millisecond, 10*time.Millisecond
	})
	return g, func() {
		t.Helper()
		select {
		case <-gone:
		case <-time.After(time.Minute):
			t.Fatal("the call still waits for its client")
		}
	}
}

func TestALongStreamOutlivesTheStallTimeout(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 6 {
			fmt.Fprint(w, ": OPENROUTER PROCESSING\n\n")
			w.(http.Flusher).Flush()
			time.Sleep(60 * time.Millisecond) // longer in all than the timeout, and silent for longer than half of it
		}
	}, func(o *Options) { o.ClientStallTimeout = 100 * time.Millisecond })
	_, body := g.post(chat, `{"stream":true}`)
	assert.Equal(t, 6, strings.Count(body, "PROCESSING"))
}
