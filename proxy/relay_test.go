package proxy

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// randomStream is the body of a stream with comments, events up to some buffers
// long, decoys, and the usage somewhere near the end.
func randomStream(random *rand.Rand) (body, cost string) {
	var b strings.Builder
	cost = fmt.Sprintf("0.%09d", 1+random.IntN(999_999_999))
	event := func(format string, args ...any) { fmt.Fprintf(&b, "data: "+format+"\n\n", args...) }
	for range 1 + random.IntN(60) {
		switch random.IntN(8) {
		case 0:
			b.WriteString(": OPENROUTER PROCESSING\n\n")
		case 1:
			event(`{"id":"gen-r","choices":[{"delta":{"content":"\"usage\":{\"cost\":9}}\n\ndata: {"}}],"usage":null}`)
		case 2:
			event(`{"id":"gen-r","choices":[{"delta":{"content":%q}}]}`, strings.Repeat("long ", random.IntN(3000)))
		default:
			event(`{"id":"gen-r","model":"m","choices":[{"delta":{"content":%q}}]}`, strings.Repeat("x", random.IntN(300)))
		}
	}
	event(`{"id":"gen-r","choices":[{"finish_reason":"stop"}],"usage":{"cost":%s,"total_tokens":3}}`, cost)
	for range random.IntN(20) {
		b.WriteString(": still here\n\n")
	}
	b.WriteString("data: [DONE]\n\n")
	return b.String(), cost
}

func TestAStreamIsMeteredWholeHoweverItComes(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's
	var body, cost string
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		if random.IntN(2) == 0 {
			w.Header().Set("X-Generation-Id", "gen-r")
		}
		for rest := body; rest != ""; {
			n := min(len(rest), 1+random.IntN(1<<random.IntN(14)))
			_, _ = io.WriteString(w, rest[:n])
			w.(http.Flusher).Flush()
			if rest = rest[n:]; random.IntN(10) == 0 {
				time.Sleep(time.Millisecond) // or pieces come together
			}
		}
	})
	for range 60 {
		body, cost = randomStream(random)
		_, got := g.post(chat, `{"stream":true}`)
		require.Equal(t, body, got)
		e := g.recorder.last(t)
		require.True(t, e.Usage.Cost.Known)
		require.Equal(t, cost, e.Usage.Cost.Value.StringFixed(9))
		require.Equal(t, "gen-r", e.GenerationID)
		require.Equal(t, "stop", e.FinishReason)
		require.True(t, e.Streamed)
		require.False(t, e.Truncated || e.Cancelled)
	}
}

// The client has bytes that the meter has yet to see when it leaves, and they
// end in the middle of the usage.
func TestAClientThatLeavesInTheMiddleOfTheUsageIsStillBilled(t *testing.T) {
	const usage = `data: {"id":"gen-s","choices":[],"usage":{"cost":0.0712,"total_tokens":3}}` + "\n\n"
	for _, cut := range []int{1, len(`data: {"id":"gen`), strings.Index(usage, "0712"), len(usage) - 3} {
		t.Run(usage[:cut], func(t *testing.T) {
			left := make(chan struct{})
			g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "text/event-stream")
				w.Header().Set("X-Generation-Id", "gen-s")
				for range 3 {
					fmt.Fprint(w, "data: {\"id\":\"gen-s\",\"choices\":[{\"delta\":{\"content\":\"word\"}}]}\n\n")
					w.(http.Flusher).Flush()
				}
				fmt.Fprint(w, "data: {\"id\":\"gen-s\",\"choices\":[{\"delta\":{\"content\":\"END\"}}]}\n\n"+usage[:cut])
				w.(http.Flusher).Flush()
				<-left
				fmt.Fprint(w, usage[cut:]+"data: [DONE]\n\n")
			}, func(o *Options) { o.DisconnectGrace = time.Minute })
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.base+chat, strings.NewReader("{}"))
			require.NoError(t, err)
			response, err := g.client.Do(request)
			require.NoError(t, err)
			var got strings.Builder
			for buf := make([]byte, 1<<10); !strings.HasSuffix(got.String(), usage[:cut]) || !strings.Contains(got.String(), "END"); {
				n, err := response.Body.Read(buf)
				require.NoError(t, err)
				got.Write(buf[:n])
			}
			cancel()
			response.Body.Close()
			close(left)
			e := g.recorder.last(t)
			assert.Equal(t, "0.0712", e.Usage.Cost.Value.String())
			assert.False(t, e.Truncated)
		})
	}
}

// slowRecorder takes its time over the end of a call.
type slowRecorder struct {
	Recorder
	closing chan struct{}
}

func (r slowRecorder) Record(e *accounting.Event) error {
	if e.Kind == accounting.Closed {
		<-r.closing
	}
	return r.Recorder.Record(e)
}

// Whoever kills Bursar then must find the id in the journal, or nobody could ask
// what the call cost.
func TestTheGenerationOfACompressedAnswerIsRecordedBeforeItsClientHasIt(t *testing.T) {
	closing := make(chan struct{})
	var body bytes.Buffer
	zipped := gzip.NewWriter(&body)
	_, _ = io.WriteString(zipped, `{"usage":{"cost":0.5},"id":"gen-1"}`)
	require.NoError(t, zipped.Close())
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
		_, _ = w.Write(body.Bytes())
	}, func(o *Options) { o.Recorder = slowRecorder{o.Recorder, closing} })
	_, got := g.post(chat, "{}", "Accept-Encoding", "gzip")
	assert.Equal(t, body.String(), got)
	assert.Contains(t, g.recorder.kinds(), accounting.Identified)
	close(closing)
	assert.Equal(t, "gen-1", g.recorder.last(t).GenerationID)
}

func TestAnAnswerOfKnownLengthDoesNotWaitForItsAccounting(t *testing.T) {
	closing := make(chan struct{})
	const body = `{"id":"gen-1","usage":{"cost":0.5}}`
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = io.WriteString(w, body)
	}, func(o *Options) { o.Recorder = slowRecorder{o.Recorder, closing} })
	_, got := g.post(chat, "{}")
	assert.JSONEq(t, body, got, "there before the call is recorded")
	close(closing)
	e := g.recorder.last(t)
	assert.Equal(t, "0.5", e.Usage.Cost.Value.String())
	assert.False(t, e.Cancelled || e.Truncated)
}

func TestAnEmptyAnswerOfUnknownLengthStaysOne(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() })
	for name, client := range map[string]*http.Client{"HTTP/1": g.client, "HTTP/2": http2Client(t)} {
		t.Run(name, func(t *testing.T) {
			g.client = client
			for range 300 { // which of two goroutines is first is up to chance
				response, _ := g.post(chat, "{}")
				require.Equal(t, int64(-1), response.ContentLength)
			}
		})
	}
}

func TestAnIDOfWhichNothingCanBeKeptIsNotRecordedWithEachEvent(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 20 {
			fmt.Fprint(w, `data: {"id":"\u0007 ","choices":[]}`+"\n\n")
			w.(http.Flusher).Flush()
			time.Sleep(time.Millisecond)
		}
	})
	g.post(chat, "{}")
	assert.Empty(t, g.recorder.last(t).GenerationID)
	assert.Equal(t, []accounting.Kind{accounting.Opened, accounting.Closed}, g.recorder.kinds())
}
