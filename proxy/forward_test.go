package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// switchProtocols answers 101 and then echoes what comes, line by line.
func switchProtocols(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	for {
		line, err := buffered.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Fprintf(conn, "echo %s", line)
	}
}

func TestAWebSocketPassesBothWays(t *testing.T) {
	g := newRig(t, switchProtocols)
	conn, err := net.Dial("tcp", g.addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	fmt.Fprint(conn, "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	for _, word := range []string{"one\n", "two\n"} {
		fmt.Fprint(conn, word)
		line, err := reader.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "echo "+word, line)
	}
}

func TestAnUpstreamThatSwitchesProtocolsUnaskedIsA502(t *testing.T) {
	g := newRig(t, switchProtocols)
	response, body := g.post(chat, `{"model":"m"}`)
	assert.Equal(t, http.StatusBadGateway, response.StatusCode)
	assert.Contains(t, body, "provider_unavailable")
	assert.Equal(t, "upstream_broken", g.recorder.last(t).Error)
}

func TestWhatBelongsToOneConnectionStaysOnIt(t *testing.T) {
	var seen http.Header
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header
		for name, value := range map[string]string{"Connection": "x-hop", "X-Hop": "1", "Keep-Alive": "timeout=5", "Proxy-Authenticate": "Basic", "X-Kept": "1"} {
			w.Header().Set(name, value)
		}
		answerJSON(w, "gen-1", "1")
	})
	response := g.raw("POST " + chat + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTE: Trailers, gzip\r\nProxy-Authorization: p\r\nKeep-Alive: 5\r\n" +
		"Connection: close, X-Hop\r\nConnection: x-other\r\nX-Hop: 1\r\nX-Other: 1\r\nX-Kept: 1\r\nVia: 1.0 other\r\n\r\n{}")
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Authorization", "X-Hop", "X-Other"} {
		assert.NotContains(t, seen, name)
	}
	assert.Equal(t, []string{"trailers"}, seen["Te"])
	assert.Equal(t, []string{"1"}, seen["X-Kept"])
	assert.Equal(t, []string{"1.0 other", "1.1 bursar"}, seen["Via"])
	assert.NotContains(t, seen, "User-Agent", "none was sent, so none is made up")
	for _, name := range []string{"X-Hop", "Keep-Alive", "Proxy-Authenticate"} {
		assert.NotContains(t, response.Header, name)
	}
	assert.Equal(t, []string{"1"}, response.Header["X-Kept"])
}

func TestABodyIsNotReadOnceItsCallIsOver(t *testing.T) {
	body := &clientBody{source: io.NopCloser(strings.NewReader("text"))}
	buf := make([]byte, 2)
	n, err := body.Read(buf)
	require.NoError(t, err)
	assert.Equal(t, "te", string(buf[:n]))
	require.NoError(t, body.Close())
	_, err = io.ReadAll(body)
	assert.ErrorIs(t, err, errCallOver)
}
