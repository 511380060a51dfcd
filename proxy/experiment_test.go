package proxy

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"bursar/accounting"
)

// inArm is the decision about a call whose lead is in an arm with a model.
func inArm(model string) *accounting.BudgetDecision {
	return &accounting.BudgetDecision{Verdict: accounting.VerdictAllowed, Experiment: "less-ai", Arm: "cheap", ArmModel: model}
}

func TestTheModelOfAnArmIsPutIntoTheCallAndNamedInTheAnswer(t *testing.T) {
	g, _ := guardedRig(t, deciding(inArm("cheap/model")))
	response, body := g.post(chat, `{"model":"dear/model","stream":false}`)
	assert.JSONEq(t, `{"model":"cheap/model","stream":false}`, body)
	assert.Equal(t, "allowed", response.Header.Get("X-Bursar-Verdict"), "nobody refused or downgraded it")
	assert.Equal(t, "cheap/model", response.Header.Get("X-Bursar-Model"))
	assert.Equal(t, "less-ai/cheap", response.Header.Get("X-Bursar-Experiment"))
	e := g.recorder.last(t)
	assert.Equal(t, "cheap/model", e.RequestedModel)
	assert.Equal(t, "cheap", e.Decision.Arm)
}

func TestACallOfTheControlGoesOnByteForByte(t *testing.T) {
	g, _ := guardedRig(t, deciding(inArm("")))
	const sent = `{ "model" : "dear/model","n":1 }`
	response, body := g.post(chat, sent)
	assert.Equal(t, sent, body) //nolint:testifylint // to the byte
	assert.Equal(t, "less-ai/cheap", response.Header.Get("X-Bursar-Experiment"))
	assert.Empty(t, response.Header.Get("X-Bursar-Model"))
}

func TestADowngradeOverridesTheModelOfAnArm(t *testing.T) {
	d := inArm("cheap/model")
	d.Verdict, d.DowngradedTo = accounting.VerdictDowngraded, "cheapest/model"
	g, _ := guardedRig(t, deciding(d))
	response, body := g.post(chat, `{"model":"dear/model"}`)
	assert.JSONEq(t, `{"model":"cheapest/model"}`, body)
	assert.Equal(t, "cheapest/model", response.Header.Get("X-Bursar-Model"))
}

func TestACallWithoutAIIsRefusedByACodeOfItsOwn(t *testing.T) {
	g, sent := guardedRig(t, deciding(&accounting.BudgetDecision{
		Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonWithoutAI, Detail: "Write without AI.", Experiment: "less-ai", Arm: "none"}))
	const about = `"error_type":"permission_denied","limit_source":"bursar_experiment","reason":"experiment_no_ai","experiment":"less-ai","arm":"none"`
	for path, want := range map[string]string{
		chat:               `{"error":{"code":403,"message":"Write without AI.","metadata":{` + about + `}}}`,
		"/api/v1/messages": `{"type":"error","request_id":null,"error":{"type":"permission_denied","message":"Write without AI.",` + about + `}}`,
	} {
		response, body := g.post(path, `{"model":"m"}`)
		assert.Equal(t, http.StatusForbidden, response.StatusCode)
		assert.Equal(t, "false", response.Header.Get("X-Should-Retry"))
		assert.Equal(t, "blocked", response.Header.Get("X-Bursar-Verdict"))
		assert.Equal(t, "less-ai/none", response.Header.Get("X-Bursar-Experiment"))
		assert.JSONEq(t, want, body)
	}
	assert.Zero(t, sent.Load(), "nothing went upstream")
}

func TestACallWhoseBodyCannotBeChangedIsSentWithoutTheArm(t *testing.T) {
	held := inArm("cheap/model")
	held.Budgets = []accounting.BudgetShare{share("b", "0.01")}
	guard := &fakeGuard{decide: func(_ context.Context, ask *accounting.Ask) *accounting.BudgetDecision {
		if ask.Steerable {
			return held
		}
		return nil
	}}
	g, _ := guardedRig(t, guard)
	response, body := g.post(chat, `{"model":"fixed/model"}`)
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Equal(t, `{"model":"fixed/model"}`, body) //nolint:testifylint // to the byte
	assert.Empty(t, response.Header.Get("X-Bursar-Experiment"))
	settled, released := guard.counts()
	assert.Equal(t, []int{0, 1}, []int{settled, released}, "what was reserved for the other model is given back")
}

func TestArmsApplyToCallsThatWriteTextOnly(t *testing.T) {
	guard := &fakeGuard{decide: func(_ context.Context, ask *accounting.Ask) *accounting.BudgetDecision {
		if ask.Steerable {
			return inArm("cheap/model")
		}
		return nil
	}}
	g, _ := guardedRig(t, guard)
	for path, steered := range map[string]bool{
		chat: true, "/api/v1/completions": true, "/api/v1/messages": true, "/api/v1/responses": true,
		"/api/v1/embeddings": false, "/api/v1/rerank": false, "/api/v1/audio/speech": false,
	} {
		response, body := g.post(path, `{"model":"m"}`)
		assert.Equal(t, steered, response.Header.Get("X-Bursar-Experiment") != "", path)
		assert.Equal(t, !steered, body == `{"model":"m"}`, path)
	}
}
