package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestACallBecomesOneClosedEventWithAllThatIsKnown(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, "gen-1", "0.0004970133333333333") })
	response, _ := g.post(chat, `{"model":"asked/model","messages":[{"content":"secret words"}]}`, "Authorization", "Bearer sk-or-1",
		"X-Campaign-ID", "q4", "X-Email-ID", "e-1", "X-Lead-ID", "l-1", "X-Sequence-ID", "s-1", "X-Purpose", "follow_up", "X-Platform", "instantly", "X-Lead-Value", "high", "X-Meta-Team", "red")
	e := g.recorder.last(t)
	assert.Equal(t, []accounting.Kind{accounting.Opened, accounting.Identified, accounting.Closed}, g.recorder.kinds())
	assert.Equal(t, response.Header.Get(requestIDHeader), e.ID.String())
	assert.Equal(t, "allowed", response.Header.Get(verdictHeader))
	assert.Equal(t, "0.0004970133333333333", e.Usage.Cost.Value.String())
	assert.Equal(t, accounting.Tags{CampaignID: "q4", EmailID: "e-1", LeadID: "l-1", SequenceID: "s-1", Purpose: "follow_up", Platform: "instantly", LeadValue: "high",
		Metadata: map[string]string{"team": "red"}}, e.Tags)
	assert.Equal(t, accounting.Fingerprint("sk-or-1"), e.KeyFingerprint)
	assert.Equal(t, "sk-or-1", g.keys.held[e.KeyFingerprint])
	assert.Equal(t, "asked/model", e.RequestedModel)
	assert.Equal(t, "served/model", e.Model)
	assert.Equal(t, "P", e.Provider)
	assert.Equal(t, "stop", e.FinishReason)
	assert.Equal(t, chat, e.Endpoint)
	assert.Equal(t, http.StatusOK, e.HTTPStatus)
	assert.True(t, e.TimeToFirstToken.Known)
	assert.Positive(t, e.Duration)
	assert.False(t, e.Streamed || e.Cancelled || e.Truncated)
	assert.Equal(t, "asked/model", g.recorder.events[0].RequestedModel, "known before the call goes upstream")
	assert.NotContains(t, fmt.Sprintf("%+v%s", g.recorder.events, g.logs), "secret words")
	assert.NotContains(t, fmt.Sprintf("%+v%s", g.recorder.events, g.logs), "sk-or-1")
}

func TestAKeyThatOpenRouterRefusesIsNotKept(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	g.post(chat, "{}", "Authorization", "Bearer wrong")
	assert.Equal(t, accounting.Fingerprint("wrong"), g.recorder.last(t).KeyFingerprint)
	assert.Empty(t, g.keys.held)
}

func TestTheIDIsRecordedBeforeTheClientSeesIt(t *testing.T) {
	for name, inHeader := range map[string]bool{"header": true, "body only": false} {
		t.Run(name, func(t *testing.T) {
			hold := make(chan struct{})
			g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				if inHeader {
					w.Header().Set("X-Generation-Id", "gen-7")
				}
				fmt.Fprint(w, "data: {\"id\":\"gen-7\"}\n\n")
				w.(http.Flusher).Flush()
				<-hold
			})
			response, err := g.client.Post(g.base+chat, "application/json", strings.NewReader("{}"))
			require.NoError(t, err)
			defer response.Body.Close()
			_, err = io.ReadFull(response.Body, make([]byte, 10))
			require.NoError(t, err)
			assert.Equal(t, []accounting.Kind{accounting.Opened, accounting.Identified}, g.recorder.kinds())
			close(hold)
			assert.Equal(t, "gen-7", g.recorder.last(t).GenerationID)
		})
	}
}

func TestTagsAreTakenOutOfHeadersAndPath(t *testing.T) {
	var seen *http.Request
	g := newRig(t, func(_ http.ResponseWriter, r *http.Request) { seen = r })
	g.post("/tags/campaign=from%20path;purpose=follow_up;email_id=e9;tone=warm"+chat+"?a;b", "{}", "x-campaign-id", "from header", "X-META-Extra", "1")
	e := g.recorder.last(t)
	assert.Equal(t, "from header", e.Tags.CampaignID, "a header stands above the path")
	assert.Equal(t, "follow_up", e.Tags.Purpose)
	assert.Equal(t, "e9", e.Tags.EmailID)
	assert.Equal(t, map[string]string{"tone": "warm", "extra": "1"}, e.Tags.Metadata)
	assert.Equal(t, chat+"?a;b", seen.RequestURI)
	assert.Equal(t, chat, e.Endpoint)
	for name := range seen.Header {
		assert.NotRegexp(t, "^X-(Campaign|Meta)", name)
	}
}

func TestABadTagIsMarkedOrRefused(t *testing.T) {
	upstream := func(http.ResponseWriter, *http.Request) {}
	g := newRig(t, upstream)
	response, _ := g.post(chat, "{}", "X-Purpose", "Spamming", "X-Campaign-ID", strings.Repeat("x", 300))
	assert.Equal(t, http.StatusOK, response.StatusCode)
	e := g.recorder.last(t)
	assert.Equal(t, "other", e.Tags.Purpose)
	assert.Equal(t, "Spamming", e.Tags.Metadata["purpose"])
	assert.Equal(t, "cut", e.Tags.Metadata["campaign_changed"])
	assert.Len(t, e.Tags.CampaignID, accounting.MaxTagBytes)

	g.post(chat, "{}", "X-Meta-Note", strings.Repeat("x", 300), "X-Meta-Tone", "warm", "X-Meta-Tone", "cold")
	e = g.recorder.last(t)
	assert.Len(t, e.Tags.Metadata["note"], accounting.MaxTagBytes)
	assert.Equal(t, "cut", e.Tags.Metadata["note_changed"])
	assert.Equal(t, []string{"warm", "repeated"}, []string{e.Tags.Metadata["tone"], e.Tags.Metadata["tone_changed"]})

	strict := newRig(t, upstream, func(o *Options) { o.StrictTags = true })
	response, body := strict.post(chat, "{}", "X-Purpose", "Spamming")
	assert.Equal(t, http.StatusBadRequest, response.StatusCode)
	assert.Contains(t, body, "Spamming")
	assert.Empty(t, strict.recorder.kinds())
}

func TestTheFirstOfATagThatIsTwiceInThePathCounts(t *testing.T) {
	upstream := func(http.ResponseWriter, *http.Request) {}
	const twice = "/tags/campaign=first;campaign_id=second;tone=warm;tone=cold"
	g := newRig(t, upstream)
	g.post(twice+chat, "{}")
	e := g.recorder.last(t)
	assert.Equal(t, "first", e.Tags.CampaignID)
	assert.Equal(t, map[string]string{"campaign_changed": "repeated", "tone": "warm", "tone_changed": "repeated"}, e.Tags.Metadata)

	strict := newRig(t, upstream, func(o *Options) { o.StrictTags = true })
	response, body := strict.post(twice+chat, "{}")
	assert.Equal(t, http.StatusBadRequest, response.StatusCode)
	assert.Contains(t, body, "campaign was sent more than once")
}

func TestCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		apiKey string
		tokens []string
		sent   []string
		status int
		want   http.Header // Authorization and X-Api-Key upstream
		key    string
	}{
		"the client's own key":             {sent: []string{"Authorization", "Bearer k1"}, want: http.Header{"Authorization": {"Bearer k1"}}, key: "k1"},
		"in x-api-key":                     {sent: []string{"X-Api-Key", "k2"}, want: http.Header{"X-Api-Key": {"k2"}}, key: "k2"},
		"an injected key replaces both":    {apiKey: "inj", sent: []string{"Authorization", "Bearer k1", "x-api-key", "k2"}, want: http.Header{"Authorization": {"Bearer inj"}}, key: "inj"},
		"an injected key, none sent":       {apiKey: "inj", want: http.Header{"Authorization": {"Bearer inj"}}, key: "inj"},
		"token as bearer, injected key":    {apiKey: "inj", tokens: []string{"t1", "t2"}, sent: []string{"Authorization", "bearer t2"}, want: http.Header{"Authorization": {"Bearer inj"}}, key: "inj"},
		"token as x-api-key, injected key": {apiKey: "inj", tokens: []string{"t1"}, sent: []string{"x-api-key", "t1"}, want: http.Header{"Authorization": {"Bearer inj"}}, key: "inj"},
		"token beside the client's key":    {tokens: []string{"t1"}, sent: []string{"x-api-key", "t1", "Authorization", "Bearer k1"}, want: http.Header{"Authorization": {"Bearer k1"}}, key: "k1"},
		"no token":                         {apiKey: "inj", tokens: []string{"t1"}, status: 401},
		"a wrong token":                    {apiKey: "inj", tokens: []string{"t1"}, sent: []string{"Authorization", "Bearer t"}, status: 401},
		"an empty token":                   {apiKey: "inj", tokens: []string{"t1"}, sent: []string{"Authorization", "Bearer "}, status: 401},
	} {
		t.Run(name, func(t *testing.T) {
			got := http.Header{}
			g := newRig(t, func(_ http.ResponseWriter, r *http.Request) {
				for _, h := range []string{"Authorization", "X-Api-Key"} {
					if v := r.Header[h]; v != nil {
						got[h] = v
					}
				}
			}, func(o *Options) { o.APIKey, o.ClientTokens = c.apiKey, c.tokens })
			response, body := g.post(chat, "{}", c.sent...)
			if c.status != 0 {
				assert.Equal(t, c.status, response.StatusCode)
				assert.Contains(t, body, "BURSAR_PROXY_CLIENT_TOKENS")
				assert.Empty(t, got)
				assert.Empty(t, response.Header.Get(verdictHeader))
				return
			}
			assert.Equal(t, c.want, got)
			assert.Equal(t, accounting.Fingerprint(c.key), g.recorder.last(t).KeyFingerprint)
		})
	}
}

func TestAnAnswerWithAnIDIsAGenerationWhateverItsPath(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Generation-Id", "gen-"+strings.ReplaceAll(r.URL.Path[1:], "/", "-"))
		fmt.Fprint(w, "\x00binary")
	})
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
		request, _ := http.NewRequest(method, g.base+"/api/v9/dreams", strings.NewReader(""))
		request.Header.Set("Authorization", "Bearer k")
		g.do(request)
		e := g.recorder.last(t)
		assert.Equal(t, "gen-api-v9-dreams", e.GenerationID)
		assert.Equal(t, accounting.StatusPending, e.Status())
		assert.NotEmpty(t, e.KeyFingerprint)
	}
	request, _ := http.NewRequest(http.MethodGet, g.base+"/api/v1/generation?id=gen-x", nil)
	g.do(request)
	assert.Empty(t, g.recorder.closed, "a look-up is no generation")
}

func TestFreeCallsAndLookAlikesLeaveNoEvents(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"data":{"id":"p"},"usage":{"cost":5}}`)
	})
	g.post("/api/v1/presets/x/chat/completions", "{}")
	g.post("/api/v1/messages/count_tokens?beta=true", "{}")
	request, _ := http.NewRequest(http.MethodGet, g.base+"/api/v1/models", nil)
	response, _ := g.do(request)
	assert.Empty(t, g.recorder.kinds())
	assert.NotEmpty(t, response.Header.Get(requestIDHeader))
}

func TestAJobIsRecordedAndItsPollCompletesIt(t *testing.T) {
	status := "pending"
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprint(w, `{"id":"job-1","generation_id":"gen-v","status":"pending"}`)
			return
		}
		usage := ""
		if status == "completed" {
			usage = `,"usage":{"cost":0.3,"is_byok":false}`
		}
		fmt.Fprintf(w, `{"id":"job-1","status":%q%s}`, status, usage)
	})
	g.post("/api/v1/videos", "{}")
	e := g.recorder.last(t)
	assert.Equal(t, "job-1", e.JobID)
	assert.Equal(t, "gen-v", e.GenerationID)
	assert.Equal(t, accounting.StatusPending, e.Status())

	poll := func() {
		request, _ := http.NewRequest(http.MethodGet, g.base+"/api/v1/videos/job-1", nil)
		g.do(request)
	}
	poll()
	assert.Empty(t, g.recorder.closed, "a job that still runs says nothing")
	status = "completed"
	poll()
	e = g.recorder.last(t)
	assert.Equal(t, accounting.Polled, e.Kind)
	assert.Equal(t, "job-1", e.JobID)
	assert.Equal(t, "0.3", e.Usage.Cost.Value.String())
	status = "failed"
	poll()
	assert.Equal(t, "failed", g.recorder.last(t).Error)
}

// stream answers with an id, waits for the client to leave and then sends its
// usage after a delay.
func stream(delay time.Duration, cancelled *atomic.Bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Generation-Id", "gen-s")
		fmt.Fprint(w, "data: {\"id\":\"gen-s\",\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n")
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			cancelled.Store(true)
		case <-time.After(delay):
			fmt.Fprint(w, "data: {\"usage\":{\"cost\":0.07}}\n\ndata: [DONE]\n\n")
		}
	}
}

func (g *rig) leaveAfterFirstEvent() {
	ctx, cancel := context.WithCancel(context.Background())
	request, _ := http.NewRequestWithContext(ctx, http.MethodPost, g.base+chat, strings.NewReader("{}"))
	response, err := g.client.Do(request)
	require.NoError(g.t, err)
	_, err = io.ReadFull(response.Body, make([]byte, 20))
	require.NoError(g.t, err)
	cancel()
	response.Body.Close()
}

func TestWhatComesWithinTheGraceIsStillRead(t *testing.T) {
	var cancelled atomic.Bool
	g := newRig(t, stream(100*time.Millisecond, &cancelled), func(o *Options) { o.DisconnectGrace = 10 * time.Second })
	g.leaveAfterFirstEvent()
	e := g.recorder.last(t)
	assert.Equal(t, "0.07", e.Usage.Cost.Value.String())
	assert.False(t, e.Truncated)
	assert.False(t, cancelled.Load())
}

func TestAfterTheGraceTheUpstreamIsCancelledAndTheIDRemains(t *testing.T) {
	var cancelled atomic.Bool
	g := newRig(t, stream(time.Hour, &cancelled), func(o *Options) { o.DisconnectGrace = 20 * time.Millisecond })
	g.leaveAfterFirstEvent()
	e := g.recorder.last(t)
	assert.True(t, e.Cancelled)
	assert.True(t, e.Truncated)
	assert.Equal(t, "gen-s", e.GenerationID)
	assert.Equal(t, accounting.StatusPending, e.Status())
	assert.Eventually(t, cancelled.Load, 5*time.Second, 5*time.Millisecond)
}

func TestAnIDThatIsOnItsWayIsWaitedForLonger(t *testing.T) {
	began := make(chan struct{})
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(began)
		time.Sleep(150 * time.Millisecond)
		w.Header().Set("X-Generation-Id", "gen-late")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}, func(o *Options) { o.DisconnectGrace, o.IdentifyTimeout = time.Millisecond, 10*time.Second })
	ctx, cancel := context.WithCancel(context.Background())
	request, _ := http.NewRequestWithContext(ctx, http.MethodPost, g.base+chat, strings.NewReader("{}"))
	go func() { <-began; cancel() }()
	_, err := g.client.Do(request)
	require.ErrorIs(t, err, context.Canceled)
	e := g.recorder.last(t)
	assert.Equal(t, "gen-late", e.GenerationID)
	assert.True(t, e.Cancelled)
}

func TestDrainReadsToTheEnd(t *testing.T) {
	var cancelled atomic.Bool
	g := newRig(t, stream(300*time.Millisecond, &cancelled), func(o *Options) {
		o.Disconnect, o.DisconnectGrace = DisconnectDrain, time.Nanosecond
	})
	g.leaveAfterFirstEvent()
	assert.Equal(t, "0.07", g.recorder.last(t).Usage.Cost.Value.String())
	assert.False(t, cancelled.Load())
}

func TestAnUnreachableUpstreamIsA502AndCostsNothing(t *testing.T) {
	g := newRig(t, func(http.ResponseWriter, *http.Request) {})
	g.upstream.Close()
	for path, want := range map[string]string{
		chat:               `{"error":{"code":502,"message":"Bursar could not reach OpenRouter: the connection failed before the request was sent","metadata":{"error_type":"provider_unavailable","limit_source":"bursar"}}}`,
		"/api/v1/messages": `{"error":{"error_type":"provider_unavailable","message":"Bursar could not reach OpenRouter: the connection failed before the request was sent","type":"provider_unavailable"},"request_id":null,"type":"error"}`,
	} {
		response, body := g.post(path, "{}")
		assert.Equal(t, http.StatusBadGateway, response.StatusCode)
		assert.JSONEq(t, want, body)
		assert.NotEmpty(t, response.Header.Get(requestIDHeader))
		assert.Equal(t, accounting.StatusFailed, func() accounting.Status { e := g.recorder.last(t); return e.Status() }())
	}
}

func TestAConnectionBrokenAfterSendingMayHaveBilled(t *testing.T) {
	g := newRig(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	})
	response, body := g.post(chat, "{}")
	assert.Equal(t, http.StatusBadGateway, response.StatusCode)
	assert.Contains(t, body, "may still run and bill")
	e := g.recorder.last(t)
	assert.Equal(t, "upstream_broken", e.Error)
	assert.Equal(t, accounting.StatusInterrupted, e.Status())
}

func TestASlowUpstreamIsA504(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	g := newRig(t, func(http.ResponseWriter, *http.Request) { <-release }, func(o *Options) {
		o.Transport.(*http.Transport).ResponseHeaderTimeout = 50 * time.Millisecond
	})
	response, _ := g.post(chat, "{}")
	assert.Equal(t, http.StatusGatewayTimeout, response.StatusCode)
	assert.Equal(t, "upstream_timeout", g.recorder.last(t).Error)
}

func TestAPostIsNeverSentTwice(t *testing.T) {
	var calls atomic.Int32
	g := newRig(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if calls.Add(1) > 1 {
			panic(http.ErrAbortHandler) // on a connection that served before: the case that Go retries
		}
	})
	g.post(chat, "{}", "Idempotency-Key", "x")
	g.post(chat, "{}", "Idempotency-Key", "x")
	assert.Equal(t, int32(2), calls.Load())

	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		calls.Store(0)
		g.post(chat, "{}")
		response := g.raw("POST " + chat + " HTTP/1.1\r\nHost: x\r\n" + name + ": 1\r\nContent-Length: 0\r\n\r\n")
		assert.Equal(t, http.StatusBadGateway, response.StatusCode)
		assert.Equal(t, int32(2), calls.Load(), "one more, without a body")
	}
}

func TestTroubleInTheAccountingDoesNotReachTheClient(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, "gen-1", "1") })
	g.recorder.err = errors.New("disk full")
	response, body := g.post(chat, "{}")
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Contains(t, body, "gen-1")
}

func TestALargeBodyIsScannedOnItsWay(t *testing.T) {
	var length int
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		length = len(body)
		answerJSON(w, "gen-1", "1")
	})
	body := `{"messages":[{"content":"` + string(bytes.Repeat([]byte("long prompt "), 50_000)) + `"}],"model":"last/key"}`
	g.post(chat, body)
	assert.Equal(t, len(body), length)
	assert.Equal(t, "last/key", g.recorder.last(t).RequestedModel)
}

func FuzzTagPath(f *testing.F) {
	f.Add("/tags/campaign=q4;purpose=follow_up/api/v1/x?y")
	f.Add("/tags/%zz;=;;a=%F0/?")
	h := &Handler{purposes: map[string]bool{"other": true}}
	f.Fuzz(func(t *testing.T, uri string) {
		raw, rest := cutTagPath(uri)
		if strings.HasPrefix(uri, "/") && !strings.HasPrefix(rest, "/") {
			t.Fatalf("%q leaves %q", uri, rest)
		}
		tags, _ := h.readTags(http.Header{}, raw)
		if len(tags.CampaignID) > accounting.MaxTagBytes || len(tags.Metadata) > 2*(accounting.MaxMetadata+len(tagHeaders))+1 {
			t.Fatalf("too much kept of %q", uri)
		}
	})
}
