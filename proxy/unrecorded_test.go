package proxy

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fullRecorder takes no Opened.
type fullRecorder struct{ *recorder }

func (r fullRecorder) Record(e *accounting.Event) error {
	if e.Kind == accounting.Opened {
		return errors.New("journal is full")
	}
	return r.recorder.Record(e)
}

func fullRig(t *testing.T, refuse bool) (g *rig, sent *atomic.Int32) {
	sent = new(atomic.Int32)
	g = newRig(t, func(w http.ResponseWriter, r *http.Request) {
		sent.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"id":"gen-1","usage":{"cost":0.1}}`)
	}, func(o *Options) {
		o.Recorder = fullRecorder{o.Recorder.(*recorder)}
		o.RefuseUnrecorded = refuse
	})
	return g, sent
}

func TestACallThatCannotBeRecordedIsRefusedInTheEndpointsEnvelopeWhereThatIsWanted(t *testing.T) {
	g, sent := fullRig(t, true)
	for path, where := range map[string][]string{
		"/api/v1/chat/completions": {"error", "metadata"},
		"/api/v1/messages":         {"error"},
	} {
		response, body := g.post(path, `{"model":"m"}`)
		assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
		var envelope map[string]any
		require.NoError(t, json.Unmarshal([]byte(body), &envelope), body)
		for _, name := range where {
			envelope = envelope[name].(map[string]any)
		}
		assert.Equal(t, "provider_overloaded", envelope["error_type"])
		assert.Contains(t, body, "BURSAR_JOURNAL_WHEN_FULL=refuse")
		assert.NotEmpty(t, response.Header.Get("X-Bursar-Request-Id"))
	}
	assert.Zero(t, sent.Load(), "nothing went upstream")
	assert.Empty(t, g.recorder.closed, "a call that was not sent has no end")
}

func TestAFreeCallPassesWhateverCannotBeRecorded(t *testing.T) {
	g, sent := fullRig(t, true)
	response, err := g.client.Get(g.base + "/api/v1/models")
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.EqualValues(t, 1, sent.Load())
}

func TestACallThatCannotBeRecordedIsSentUnlessItIsToBeRefused(t *testing.T) {
	g, sent := fullRig(t, false)
	response, _ := g.post("/api/v1/chat/completions", `{"model":"m"}`)
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.EqualValues(t, 1, sent.Load())
	assert.Equal(t, "gen-1", g.recorder.last(t).GenerationID, "its end is recorded")
}
