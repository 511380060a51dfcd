package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// leftServer serves handler as the data port of a program that may be left.
func leftServer(t *testing.T, handler http.HandlerFunc) (*program, *httptest.Server) {
	p := new(program)
	server := httptest.NewUnstartedServer(p.lastAnswers(&p.handover.proxyConns, handler))
	server.Config.ConnState = p.handover.proxyConns.track
	server.Start()
	t.Cleanup(server.Close)
	return p, server
}

func TestTheLastAnswerSaysSoAlsoAfterEarlyHints(t *testing.T) {
	p, server := leftServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hints" {
			w.WriteHeader(http.StatusEarlyHints)
			clear(w.Header()) // as httputil.ReverseProxy does
		}
		_, _ = w.Write([]byte("answer"))
	})
	get := func(path string) bool {
		response, err := server.Client().Get(server.URL + path)
		require.NoError(t, err)
		defer response.Body.Close()
		assert.Equal(t, http.StatusOK, response.StatusCode)
		return response.Close
	}
	assert.False(t, get("/"))
	p.handover.leaving.Store(true)
	assert.True(t, get("/"))
	assert.True(t, get("/hints"))
	assert.Eventually(t, func() bool { return p.handover.proxyConns.open.Load() == 0 }, 5*time.Second, time.Millisecond)
}

func TestAHijackedConnectionCountsUntilItsHandlerEnds(t *testing.T) {
	hijacked, end := make(chan struct{}), make(chan struct{})
	p, server := leftServer(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if assert.NoError(t, err) {
			defer conn.Close()
		}
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		close(hijacked)
		<-end
	})
	p.handover.leaving.Store(true)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	response.Body.Close()
	assert.Equal(t, []string{"Upgrade"}, response.Header["Connection"])
	<-hijacked
	assert.EqualValues(t, 1, p.handover.proxyConns.open.Load())
	close(end)
	assert.Eventually(t, func() bool { return p.handover.proxyConns.open.Load() == 0 }, 5*time.Second, time.Millisecond)
}

func TestPassingASocketOnDoesNotMakeItBlock(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	socket, err := duplicate(listener)
	require.NoError(t, err)
	defer socket.Close()
	socket.Fd() // what starting a process with it does
	accepting := make(chan error)
	go func() {
		_, err := listener.Accept()
		accepting <- err
	}()
	time.Sleep(20 * time.Millisecond)
	go listener.Close() // which waits for an Accept in the kernel
	select {
	case err := <-accepting:
		assert.ErrorIs(t, err, net.ErrClosed)
	case <-time.After(time.Minute):
		t.Fatal("Accept is not woken by Close")
	}
	_, err = net.Dial("tcp", listener.Addr().String())
	assert.NoError(t, err, "and the duplicate keeps its queue")
}

func TestAPortIsTakenOverOnlyIfItsAddressIsTheSame(t *testing.T) {
	old, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer old.Close()
	socket, err := duplicate(old)
	require.NoError(t, err)
	l := &legacy{legacyFacts{ProxyAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0"}, map[int]*os.File{proxySocketFD: socket}}
	same, err := l.listen(context.Background(), proxySocketFD, "127.0.0.1:0")
	require.NoError(t, err)
	defer same.Close()
	assert.Equal(t, old.Addr().String(), same.Addr().String())
	other, err := l.listen(context.Background(), proxySocketFD, "localhost:0")
	require.NoError(t, err)
	defer other.Close()
	assert.NotEqual(t, old.Addr().String(), other.Addr().String())
}

func TestAHandoverOfAnotherVersionIsRefused(t *testing.T) {
	facts := legacyFacts{DatabaseUp: true, ProxyAddr: ":8080", AdminAddr: "[::1]:8081"}
	parsed, err := parseLegacyFacts(facts.String())
	require.NoError(t, err)
	assert.Equal(t, facts, parsed)
	for _, value := range []string{"", "v2 true :1 :2", "v1 yes :1 :2", "v1 true :1", "v1 true :1 :2 :3"} {
		_, err := inherit([]string{"A=b", handoverVariable + "=" + value})
		assert.ErrorContains(t, err, handoverVariable)
	}
	none, err := inherit([]string{"A=b"})
	require.NoError(t, err)
	assert.Nil(t, none)
}
