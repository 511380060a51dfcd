package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestACallOverHTTP2IsOnePacket(t *testing.T) {
	var conn atomic.Pointer[upstreamConn]
	g := startHTTP2(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answerJSON(w, "gen-1", "0.5")
	}, func(o *Options) {
		transport := o.Transport.(*http.Transport)
		dialer := dialer{holdFor: time.Hour}
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err == nil {
				conn.Store(c.(*upstreamConn))
			}
			return c, err
		}
	})
	call := func() {
		g.post(chat, `{"model":"m","messages":[{"role":"user","content":"hello"}]}`)
		g.recorder.last(t)
	}
	call()
	before := packetsOf(t, conn.Load())
	const calls = 40
	for range calls {
		call()
	}
	// Some more are for the window of the answers.
	require.Less(t, packetsOf(t, conn.Load())-before, uint32(calls*3/2))
}

// packetsOf is how many packets with data the connection has sent.
func packetsOf(t *testing.T, c *upstreamConn) (n uint32) {
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		require.NoError(t, err)
		n = info.Data_segs_out
	}))
	return n
}
