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

// Whatever a client sends in one piece, no call may take part of another's for
// its own, or wait for bytes that it believes to be there.
func TestRequestsThatComeInAnyPiecesAreToldApart(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Generation-Id", "gen-1")
		fmt.Fprintf(w, "%s %s", r.Method, body)
	})
	post := func(body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", chat, len(body), body)
	}
	const get = "GET /api/v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
	bodies := []string{"one", "\r\n\r\n", "a\r\n\r\nb\r\n\r\n", strings.Repeat("long ", 1500)}
	sent, want := get, []string{"GET "}
	for _, body := range bodies {
		sent += post(body) + get + post(body) + post(body)
		want = append(want, "POST "+body, "GET ", "POST "+body, "POST "+body)
	}
	for _, size := range []int{1 << 20, 1000, 97} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			conn, err := net.Dial("tcp", g.addr)
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
			go func() {
				for rest := sent; rest != ""; {
					n := min(size, len(rest))
					if _, err := io.WriteString(conn, rest[:n]); err != nil {
						return
					}
					rest = rest[n:]
				}
			}()
			answers := bufio.NewReader(conn)
			for i := range want {
				response, err := http.ReadResponse(answers, nil)
				require.NoError(t, err, "answer %d", i)
				body, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				assert.Equal(t, want[i], string(body), "answer %d", i)
			}
		})
	}
}

// The piece that ends the first request's body has an empty line in it, and the
// headers of the second. What stands between is not the second's body, for which
// nobody would wait with a deadline if it were taken for that.
func TestAClientThatStallsABodyBehindAnotherIsCut(t *testing.T) {
	g := newRig(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) },
		func(o *Options) { o.ClientStallTimeout = 300 * time.Millisecond })
	conn, err := net.Dial("tcp", g.addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	body := "\r\n\r\n" + strings.Repeat("a", 100)
	head := "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
	fmt.Fprintf(conn, head, chat, len(body))
	time.Sleep(50 * time.Millisecond) // the headers come by themselves
	fmt.Fprintf(conn, body+head+"{", chat, 30)
	all, err := io.ReadAll(conn)
	require.NoError(t, err, "the connection is closed")
	assert.Contains(t, string(all), "200 OK")
	assert.Contains(t, string(all), "408 Request Timeout")
}

func TestAConnectionTellsWhatCameBehindTheHeaders(t *testing.T) {
	for sent, want := range map[string]int64{
		"POST / HTTP/1.1\r\n\r\n{}":         2,
		"POST / HTTP/1.1\r\n\r\na\r\n\r\nb": 1, // nobody knows whether "a" belongs to the headers of a further request
		"POST / HTTP/1.1\r\nHost: x\r\n":    0,
		"POST / HTTP/1.1\r\n\r\n":           0,
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		client, err := net.Dial("tcp", listener.Addr().String())
		require.NoError(t, err)
		_, err = io.WriteString(client, sent)
		require.NoError(t, err)
		server, err := Listen(listener).Accept()
		require.NoError(t, err)
		buf := make([]byte, 100)
		n, err := server.Read(buf)
		require.NoError(t, err)
		require.Equal(t, sent, string(buf[:n]))
		request := (&http.Request{}).WithContext(withClientConn(t.Context(), server))
		assert.Equal(t, want, takeBeyond(request), "%q", sent)
		assert.Zero(t, takeBeyond(request), "it is told once")
		require.NoError(t, client.Close())
		require.NoError(t, server.Close())
		require.NoError(t, listener.Close())
	}
}
