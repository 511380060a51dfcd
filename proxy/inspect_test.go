package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// asking is a guard that has the body read, and keeps what it was told of it.
func asking(told *atomic.Value) *fakeGuard {
	return &fakeGuard{decide: func(_ context.Context, ask *accounting.Ask) *accounting.BudgetDecision {
		usd, err := ask.Request.Bound("")
		models, anyModel := ask.Request.Models()
		told.Store(strings.TrimSpace(fmt.Sprintf("%s %s %t %s", usd, models, anyModel, fieldOf(err))))
		return nil
	}}
}

func bodyOfSize(n int) string {
	const head, tail = `{"model":"m","messages":"`, `"}`
	return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
}

func TestABodyThatTheGuardReadsIsSentAsItWas(t *testing.T) {
	var told atomic.Value
	g, _ := guardedRig(t, asking(&told), func(o *Options) { o.InspectBytes = 1 << 20 })
	for name, size := range map[string]int{"gathered": 1000, "held": 200_000, "as large as may be": 1 << 20} {
		body := bodyOfSize(size)
		response, seen := g.post(chat, body)
		assert.Equal(t, body, seen, name)
		assert.Equal(t, fmt.Sprint(size), response.Header.Get("X-Seen-Length"), name)
		assert.Equal(t, decimal.New(int64(size), -6).String()+" [m] false", told.Load(), name)
		g.recorder.last(t)
	}
}

func TestAnUploadWithoutALengthThatTheGuardReadsStaysOne(t *testing.T) {
	var told atomic.Value
	g, _ := guardedRig(t, asking(&told))
	body := bodyOfSize(100_000)
	request, err := http.NewRequest(http.MethodPost, g.base+chat, io.MultiReader(strings.NewReader(body[:5]), strings.NewReader(body[5:])))
	require.NoError(t, err)
	request.Trailer = http.Header{"Checksum": {"abc"}}
	response, seen := g.do(request)
	assert.Equal(t, body, seen)
	assert.Equal(t, "chunked", response.Header.Get("X-Seen-Length"))
	assert.Equal(t, "abc", response.Header.Get("X-Seen-Checksum"))
	assert.Equal(t, "0.1 [m] false", told.Load())
}

func TestAClientThatWaitsForItsCueGetsItFromTheReading(t *testing.T) {
	var told atomic.Value
	g, _ := guardedRig(t, asking(&told))
	conn, err := net.Dial("tcp", g.addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	body := bodyOfSize(100)
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", chat, len(body))
	answers := bufio.NewReader(conn)
	line, err := answers.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "100 Continue")
	_, err = answers.ReadString('\n')
	require.NoError(t, err)
	_, err = io.WriteString(conn, body)
	require.NoError(t, err)
	var response *http.Response
	for response == nil || response.StatusCode == http.StatusContinue { // the upstream's own may follow
		response, err = http.ReadResponse(answers, nil)
		require.NoError(t, err)
	}
	defer response.Body.Close()
	seen, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, body, string(seen))
	assert.Equal(t, "0.0001 [m] false", told.Load())
}

func TestABodyThatTheGuardDoesNotAskForIsStreamed(t *testing.T) {
	arrived := make(chan struct{})
	g := newRig(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 10))
		close(arrived)
		_, _ = io.Copy(io.Discard, r.Body)
	}, func(o *Options) { o.Guard, o.Bodies = deciding(charged()), fakeBodies{} })
	reader, writer := io.Pipe()
	go func() {
		_, _ = io.WriteString(writer, strings.Repeat("x", maxGathered+1))
		<-arrived // before the rest was sent
		writer.Close()
	}()
	request, err := http.NewRequest(http.MethodPost, g.base+chat, reader)
	require.NoError(t, err)
	response, _ := g.do(request)
	assert.Equal(t, http.StatusOK, response.StatusCode)
}

func TestABodyThatTellsNothingIsSentAsItWasAndNamesWhy(t *testing.T) {
	large := bodyOfSize(50_000)
	for name, c := range map[string]struct {
		body   io.Reader
		header []string
		field  string
	}{
		"too large, and says so": {strings.NewReader(large), nil, "body"},
		"too large":              {io.MultiReader(strings.NewReader(large)), nil, "body"},
		"encoded":                {strings.NewReader(large[:100]), []string{"Content-Encoding", "gzip"}, "Content-Encoding"},
	} {
		var told atomic.Value
		g, _ := guardedRig(t, asking(&told), func(o *Options) { o.InspectBytes = 20_000 })
		request, err := http.NewRequest(http.MethodPost, g.base+chat, c.body)
		require.NoError(t, err)
		if c.header != nil {
			request.Header.Set(c.header[0], c.header[1])
		}
		_, seen := g.do(request)
		assert.Equal(t, large[:len(seen)], seen, name)
		assert.GreaterOrEqual(t, len(seen), 100, name)
		assert.Equal(t, "0 [] true "+c.field, told.Load(), name)
	}
}

func TestBodiesInMemoryAreBoundedOverAllCallsAndRoomComesBack(t *testing.T) {
	answered, finish := make(chan struct{}), make(chan struct{})
	var told atomic.Value
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Slow") != "" {
			<-finish
			close(answered)
		}
		_, _ = io.Copy(io.Discard, r.Body)
	}, func(o *Options) {
		o.Guard, o.Bodies, o.InspectWait = asking(&told), fakeBodies{}, time.Millisecond
		o.InspectBytes, o.InspectMemory = 50_000, 60_000
	})
	body := bodyOfSize(40_000)
	slow := make(chan struct{})
	go func() {
		defer close(slow)
		g.post(chat, body, "X-Slow", "1")
	}()
	require.Eventually(t, func() bool { return told.Load() == "0.04 [m] false" }, 30*time.Second, time.Millisecond)
	g.post(chat, body)
	assert.Equal(t, "0 [] true body", told.Load(), "the other call still holds its own")
	close(finish)
	<-answered
	<-slow
	require.Eventually(t, func() bool {
		g.post(chat, body)
		return told.Load() == "0.04 [m] false"
	}, 30*time.Second, time.Millisecond, "it was let go with the answer")
}

func TestAClientThatStallsWhileItsBodyIsReadIsCut(t *testing.T) {
	var told atomic.Value
	g, sent := guardedRig(t, asking(&told), func(o *Options) { o.ClientStallTimeout = 50 * time.Millisecond })
	conn, err := net.Dial("tcp", g.addr)
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n{", chat)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	_, err = io.Copy(io.Discard, conn)
	require.NoError(t, err, "the server closes the connection")
	g.recorder.last(t)
	assert.Equal(t, "0 [] true body", told.Load())
	assert.LessOrEqual(t, sent.Load(), int32(1))
}
