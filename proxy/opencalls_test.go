package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// handlerOf is the proxy behind the rig's server.
func (g *rig) handler() *Handler { return g.front.Handler.(*Handler) }

// ofCampaign matches the calls of one campaign.
func ofCampaign(id string) func(*accounting.Tags, string, []string) bool {
	return func(t *accounting.Tags, _ string, _ []string) bool { return t.CampaignID == id }
}

// streaming sends an event, tells began, and goes on until the call is gone.
func streaming(began chan<- string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Generation-Id", "gen-"+r.Header.Get("X-Name"))
		fmt.Fprint(w, "data: {}\n\n")
		w.(http.Flusher).Flush()
		began <- r.Header.Get("X-Name")
		<-r.Context().Done()
	}
}

func TestAStreamThatAnOperatorCutsBreaksOffAndIsSettledByItsID(t *testing.T) {
	began := make(chan string, 2)
	guard := deciding(charged())
	g := newRig(t, streaming(began), func(o *Options) { o.Guard, o.Bodies = guard, fakeBodies{} })
	ends := map[string]chan error{"q4": make(chan error, 1), "q5": make(chan error, 1)}
	ctx, leave := context.WithCancel(t.Context())
	for _, campaign := range []string{"q4", "q5"} {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.base+chat, strings.NewReader(`{"model":"m","stream":true}`))
		require.NoError(t, err)
		request.Header.Set("X-Campaign-ID", campaign)
		request.Header.Set("X-Name", campaign)
		response, err := g.client.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		go func() {
			_, err := io.ReadAll(response.Body)
			ends[campaign] <- err
		}()
		<-began
	}
	assert.Equal(t, 1, g.handler().Cut(ofCampaign("q4")))
	e := g.recorder.last(t)
	assert.Equal(t, "gen-q4", e.GenerationID)
	assert.Equal(t, "cut_by_operator", e.Error)
	assert.Equal(t, http.StatusOK, e.HTTPStatus)
	assert.True(t, e.Truncated)
	assert.False(t, e.Cancelled, "the client had not left")
	assert.Equal(t, accounting.StatusPending, e.Status(), "its cost is asked for")
	require.Eventually(t, func() bool { settled, _ := guard.counts(); return settled == 1 }, 30*time.Second, time.Millisecond)
	assert.Zero(t, g.handler().Cut(ofCampaign("q4")), "it is gone")

	assert.ErrorIs(t, <-ends["q4"], io.ErrUnexpectedEOF, "the answer does not look complete")
	leave()
	assert.ErrorIs(t, <-ends["q5"], context.Canceled, "the other went on until its client left")
	g.recorder.last(t)
}

func TestACallThatIsCutBeforeItsAnswerWaitsForTheIDAndNoLonger(t *testing.T) {
	for name, answers := range map[string]bool{"an id comes": true, "none comes": false} {
		t.Run(name, func(t *testing.T) {
			arrived, answer := make(chan struct{}), make(chan struct{})
			g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				close(arrived)
				select {
				case <-answer:
				case <-r.Context().Done():
				}
				w.Header().Set("X-Generation-Id", "gen-1")
				w.WriteHeader(http.StatusOK)
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}, func(o *Options) {
				o.IdentifyTimeout = time.Millisecond
				if answers {
					o.IdentifyTimeout = time.Hour
				}
			})
			type outcome struct {
				status int
				body   string
			}
			done := make(chan outcome, 1)
			go func() {
				response, body := g.post(chat, `{"model":"m"}`)
				done <- outcome{response.StatusCode, body}
			}()
			<-arrived
			assert.Equal(t, 1, g.handler().Cut(func(_ *accounting.Tags, _ string, models []string) bool { return models[0] == "m" }))
			if answers {
				close(answer)
			}
			e := g.recorder.last(t)
			assert.Equal(t, "cut_by_operator", e.Error)
			client := <-done
			if answers {
				assert.Equal(t, accounting.StatusPending, e.Status())
				assert.Equal(t, outcome{http.StatusOK, ""}, client)
				return
			}
			assert.Equal(t, accounting.StatusInterrupted, e.Status(), "it may have been billed")
			assert.Equal(t, http.StatusPaymentRequired, client.status)
			assert.Contains(t, client.body, "bursar_emergency_stop")
		})
	}
}

func TestACallThatIsCutWhileTheGuardIsAskedIsPutBeforeItAgain(t *testing.T) {
	var g *rig
	asked := 0
	first := charged()
	guard := &fakeGuard{}
	guard.decide = func(context.Context, *accounting.Ask) *accounting.BudgetDecision {
		if asked++; asked == 1 {
			assert.Equal(t, 1, g.handler().Cut(ofCampaign("q4")))
			return first
		}
		return &accounting.BudgetDecision{Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonEmergencyStop}
	}
	rig, sent := guardedRig(t, guard)
	g = rig
	response, _ := g.post(chat, `{"model":"m"}`, "X-Campaign-ID", "q4")
	assert.Equal(t, http.StatusPaymentRequired, response.StatusCode)
	assert.Equal(t, 2, asked)
	assert.Zero(t, sent.Load())
	require.Len(t, guard.released, 1)
	assert.Same(t, first, guard.released[0])
}

func TestCallsThatEndWhileOthersAreCutAreLeftAlone(t *testing.T) {
	g, _ := guardedRig(t, deciding(charged()))
	var clients sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		clients.Go(func() {
			for range 30 {
				g.post(chat, `{"model":"m"}`, "X-Campaign-ID", "kept")
			}
		})
	}
	cutting := make(chan struct{})
	go func() {
		defer close(cutting)
		for {
			select {
			case <-stop:
				return
			default:
				assert.Zero(t, g.handler().Cut(ofCampaign("q4")))
			}
		}
	}()
	clients.Wait()
	close(stop)
	<-cutting
	for range 8 * 30 {
		assert.Empty(t, g.recorder.last(t).Error)
	}
}
