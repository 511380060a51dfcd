package proxy

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// held returns both ends of a connection over which HTTP/2 is spoken, and that
// holds what it is told to for so long.
func held(t *testing.T, holdFor time.Duration) (c *upstreamConn, peer net.Conn) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	d := dialer{holdFor: holdFor}
	dialled, err := d.DialContext(t.Context(), "tcp", listener.Addr().String())
	require.NoError(t, err)
	peer, err = listener.Accept()
	require.NoError(t, err)
	require.NoError(t, peer.SetDeadline(time.Now().Add(time.Minute)))
	c = dialled.(*upstreamConn)
	c.multiplexed.Store(true)
	t.Cleanup(func() { c.Close(); peer.Close() })
	return c, peer
}

func TestWhatIsHeldGoesOutBeforeTheNextWrite(t *testing.T) {
	c, peer := held(t, time.Hour)
	for range 3 {
		c.holding.Store(true)
		for _, p := range []string{"headers", " and body", ", and more"} {
			n, err := c.Write([]byte(p))
			require.NoError(t, err)
			require.Equal(t, len(p), n)
		}
		got := make([]byte, len("headers and body, and more"))
		_, err := io.ReadFull(peer, got)
		require.NoError(t, err)
		assert.Equal(t, "headers and body, and more", string(got))
	}
}

func TestWhatIsHeldGoesOutWithoutANextWrite(t *testing.T) {
	c, peer := held(t, time.Millisecond)
	for range 3 {
		c.holding.Store(true)
		_, err := c.Write([]byte("headers"))
		require.NoError(t, err)
		got := make([]byte, len("headers"))
		_, err = io.ReadFull(peer, got)
		require.NoError(t, err)
	}
}

func TestWhatIsHeldGoesOutBeforeTheEnd(t *testing.T) {
	c, peer := held(t, time.Hour)
	c.holding.Store(true)
	_, err := c.Write([]byte("last words"))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	got, err := io.ReadAll(peer)
	require.NoError(t, err)
	assert.Equal(t, "last words", string(got))
}

func TestALargeWriteIsNotHeld(t *testing.T) {
	c, peer := held(t, time.Hour)
	c.holding.Store(true)
	go func() { _, _ = c.Write(make([]byte, maxHeld+1)) }()
	_, err := io.ReadFull(peer, make([]byte, maxHeld+1))
	require.NoError(t, err)
}

func TestATroubleInSendingWhatWasHeldIsTold(t *testing.T) {
	c, _ := held(t, time.Millisecond)
	c.holding.Store(true)
	require.NoError(t, c.CloseWrite())
	_, err := c.Write([]byte("headers"))
	require.NoError(t, err, "nobody knows yet")
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.err != nil
	}, time.Minute, time.Millisecond)
	_, err = c.Write([]byte("body"))
	require.Error(t, err)
}

func TestWritesOfManyStayWholeAndInOrder(t *testing.T) {
	c, peer := held(t, 10*time.Microsecond)
	var wg sync.WaitGroup
	for i := range 8 {
		word := strings.Repeat(string(rune('a'+i)), 10)
		wg.Go(func() {
			for range 500 {
				c.holding.Store(true)
				_, err := c.Write([]byte(word))
				assert.NoError(t, err)
			}
		})
	}
	go func() { wg.Wait(); c.Close() }()
	got, err := io.ReadAll(peer)
	require.NoError(t, err)
	require.Len(t, got, 8*500*10)
	counts := map[string]int{}
	for i := 0; i < len(got); i += 10 {
		counts[string(got[i:i+10])]++
	}
	require.Len(t, counts, 8, "no word is torn")
	for word, n := range counts {
		require.Equal(t, 500, n, word)
	}
}
