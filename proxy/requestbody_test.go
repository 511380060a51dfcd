package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A read deadline that passes ends the contexts of a connection's requests, as
// if the client had left: the answer would be cut, and so would all later ones
// on that connection.
func TestASmallBodyThatComesLateIsServedLikeAnyOther(t *testing.T) {
	var told atomic.Value
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Generation-Id", "gen-1")
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(200 * time.Millisecond): // longer than a client that left is waited for
			fmt.Fprint(w, "whole")
		}
	}, func(o *Options) {
		o.Guard, o.Bodies = asking(&told), fakeBodies{}
		o.DisconnectGrace, o.IdentifyTimeout = 20*time.Millisecond, 20*time.Millisecond
	})
	conn, err := net.Dial("tcp", g.addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	answers := bufio.NewReader(conn)
	for i, late := range []time.Duration{50 * time.Millisecond, 0} {
		body := bodyOfSize(1000)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", chat, len(body), body[:500])
		time.Sleep(late)
		_, err = io.WriteString(conn, body[500:])
		require.NoError(t, err)
		response, err := http.ReadResponse(answers, nil)
		require.NoError(t, err)
		answer, err := io.ReadAll(response.Body)
		require.NoError(t, err, "call %d on the connection", i)
		assert.Equal(t, "whole", string(answer))
		assert.Equal(t, "0.001 [m] false", told.Load(), "the guard has read the body")
		closed := g.recorder.last(t)
		assert.False(t, closed.Cancelled || closed.Truncated, "nobody left")
	}
}
