package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// fakeExperiments keeps experiments in memory.
type fakeExperiments struct {
	mu    sync.Mutex
	list  []accounting.Experiment
	sums  []accounting.ArmSums
	done  []string // what was written, by whom and why
	other string   // that runs for the same calls
}

func (f *fakeExperiments) find(id string) (*accounting.Experiment, error) {
	for i := range f.list {
		if f.list[i].ID == id {
			return &f.list[i], nil
		}
	}
	return nil, accounting.ErrUnknownExperiment
}

func (f *fakeExperiments) ListExperiments(_ context.Context, state accounting.ExperimentState) ([]accounting.Experiment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []accounting.Experiment
	for _, e := range f.list {
		if state == "" || e.State == state {
			list = append(list, e)
		}
	}
	return list, nil
}

func (f *fakeExperiments) FindExperiment(_ context.Context, id string) (accounting.Experiment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, err := f.find(id)
	if err != nil {
		return accounting.Experiment{}, err
	}
	return *e, nil
}

func (f *fakeExperiments) CreateExperiment(_ context.Context, e accounting.Experiment, actor string) (accounting.Experiment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.find(e.ID); err == nil {
		return e, accounting.ErrExperimentExists
	}
	f.list, f.done = append(f.list, e), append(f.done, "create "+e.ID+" by "+actor)
	return e, nil
}

func (f *fakeExperiments) ReplaceExperiment(_ context.Context, e accounting.Experiment, actor string) (accounting.Experiment, error) {
	return f.change(e.ID, func(was *accounting.Experiment) error {
		if was.State != accounting.ExperimentDraft {
			return &accounting.ExperimentConflictError{State: was.State}
		}
		*was = e
		f.done = append(f.done, "replace "+e.ID+" by "+actor)
		return nil
	})
}

func (f *fakeExperiments) StartExperiment(_ context.Context, id, actor, reason string) (accounting.Experiment, error) {
	return f.change(id, func(e *accounting.Experiment) error {
		if e.State != accounting.ExperimentDraft || f.other != "" {
			return &accounting.ExperimentConflictError{State: e.State, Other: f.other}
		}
		e.State, e.StartedAt = accounting.ExperimentRunning, new(economicsNow)
		f.done = append(f.done, "start "+id+" by "+actor+": "+reason)
		return nil
	})
}

func (f *fakeExperiments) EndExperiment(_ context.Context, id string, to accounting.ExperimentState, actor, reason string) (accounting.Experiment, error) {
	return f.change(id, func(e *accounting.Experiment) error {
		if e.State == accounting.ExperimentDraft {
			return &accounting.ExperimentConflictError{State: e.State}
		}
		e.State = to
		f.done = append(f.done, string(to)+" "+id+" by "+actor+": "+reason)
		return nil
	})
}

func (f *fakeExperiments) DeleteExperiment(_ context.Context, id, actor, reason string) error {
	_, err := f.change(id, func(e *accounting.Experiment) error {
		if e.State != accounting.ExperimentDraft {
			return &accounting.ExperimentConflictError{State: e.State}
		}
		f.done = append(f.done, "delete "+id+" by "+actor+": "+reason)
		return nil
	})
	return err
}

func (f *fakeExperiments) change(id string, do func(*accounting.Experiment) error) (accounting.Experiment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, err := f.find(id)
	if err == nil {
		err = do(e)
	}
	if err != nil {
		return accounting.Experiment{}, fmt.Errorf("change experiment %s: %w", id, err)
	}
	return *e, nil
}

func (f *fakeExperiments) ExperimentSums(context.Context, *accounting.Experiment) ([]accounting.ArmSums, error) {
	return f.sums, nil
}

func (f *fakeExperiments) EnrolLead(_ context.Context, id, lead, campaign string) (accounting.Assignment, error) {
	e, err := f.change(id, func(e *accounting.Experiment) error {
		if e.State != accounting.ExperimentRunning {
			return &accounting.ExperimentConflictError{State: e.State}
		}
		f.done = append(f.done, "enrol "+lead+" of "+campaign)
		return nil
	})
	if err != nil {
		return accounting.Assignment{}, err
	}
	return e.AssignmentOf(lead), nil
}

func experimentHandler(t *testing.T, f *fakeExperiments) *Handler {
	t.Helper()
	return newEconomicsHandler(t, &fakeEconomics{}, func(o *EconomicsOptions) { o.Experiments, o.Purposes = f, accounting.DefaultPurposes() })
}

const lessAIBody = `{"name":"Less AI","campaign_id":"q4","arms":[{"name":"control"},{"name":"cheap","model":"openai/gpt-5-mini"},{"name":"none","ai":false}],"enforce":true}`

func TestAnExperimentIsDraftedFromWhatWasSentAndTheDefaults(t *testing.T) {
	f := &fakeExperiments{}
	h := experimentHandler(t, f)
	data := ask(t, h, "POST", "/api/experiments", lessAIBody, 201)
	require.Equal(t, "less-ai", data["id"])
	require.Equal(t, "draft", data["state"])
	require.Equal(t, json.Number("0.2"), data["margin"])
	require.Equal(t, "conversion", data["metric"])
	require.Equal(t, accounting.Experiment{
		ID: "less-ai", Name: "Less AI", CampaignID: "q4", Metric: accounting.MetricConversion, Margin: accounting.DefaultExperimentMargin(), Enforce: true, State: accounting.ExperimentDraft,
		Arms: []accounting.ExperimentArm{{Name: "control", Weight: 1, AI: true}, {Name: "cheap", Weight: 1, Model: "openai/gpt-5-mini", AI: true}, {Name: "none", Weight: 1}},
	}, f.list[0])
	require.Contains(t, ask(t, h, "POST", "/api/experiments", lessAIBody, 409)["detail"], "There is an experiment less-ai")

	data = ask(t, h, "PUT", "/api/experiments/less-ai", `{"name":"Less","arms":[{"name":"a","weight":3},{"name":"b"}],"metric":"send_rate","margin":0.05,"stop_on_verdict":true,"max_days":60,"max_leads":20000,"purpose":"follow_up"}`, 200)
	require.Equal(t, json.Number("0.05"), data["margin"])
	require.Equal(t, json.Number("60"), data["max_days"])
	require.Equal(t, false, data["enforce"], "what is left out takes its default")
	ask(t, h, "PUT", "/api/experiments/nobody", lessAIBody, 404)
	require.Equal(t, []string{"create less-ai by loopback", "replace less-ai by loopback"}, f.done)
}

func TestAnExperimentGoesFromStateToStateAndIsHeldToThat(t *testing.T) {
	f := &fakeExperiments{}
	h := experimentHandler(t, f)
	ask(t, h, "POST", "/api/experiments", lessAIBody, 201)
	require.Contains(t, ask(t, h, "POST", "/api/experiments/less-ai/rollback", "", 409)["detail"], "Experiment less-ai is draft. It can be changed (PUT), started and deleted.")
	f.other = "another"
	require.Contains(t, ask(t, h, "POST", "/api/experiments/less-ai/start", "", 409)["detail"], "Experiment another is enforced and runs for some of the same calls")
	f.other = ""
	require.Equal(t, "running", ask(t, h, "POST", "/api/experiments/less-ai/start?reason=let+us+see", "", 200)["state"])
	require.Contains(t, ask(t, h, "PUT", "/api/experiments/less-ai", lessAIBody, 409)["detail"], "is running. It can be stopped or rolled back")
	require.Len(t, ask(t, h, "GET", "/api/experiments?state=running", "", 200)["experiments"], 1)
	require.Empty(t, ask(t, h, "GET", "/api/experiments?state=draft", "", 200)["experiments"])
	require.Equal(t, "stopped", ask(t, h, "POST", "/api/experiments/less-ai/stop", "", 200)["state"])
	require.Equal(t, "rolled_back", ask(t, h, "POST", "/api/experiments/less-ai/rollback?reason=wrong+model", "", 200)["state"])
	require.Equal(t, []string{"create less-ai by loopback", "start less-ai by loopback: let us see", "stopped less-ai by loopback: ", "rolled_back less-ai by loopback: wrong model"}, f.done)
	for _, path := range []string{"/start", "/stop", "/rollback"} {
		ask(t, h, "POST", "/api/experiments/nobody"+path, "", 404)
		ask(t, h, "POST", "/api/experiments/less-ai"+path+"?why=x", "", 422)
		ask(t, h, "POST", "/api/experiments/less-ai"+path+"?reason=sk-or-v1-0123456789abcdef", "", 422)
	}
}

func TestADraftCanBeDeletedAndWhatWasStartedCannot(t *testing.T) {
	f := &fakeExperiments{}
	h := experimentHandler(t, f)
	ask(t, h, "POST", "/api/experiments", lessAIBody, 201)
	page := pageOf(t, h, "/experiments/less-ai")
	require.Contains(t, page, `data-api="DELETE /api/experiments/less-ai"`)
	require.Equal(t, "less-ai", ask(t, h, "DELETE", "/api/experiments/less-ai?reason=of+no+use", "", 200)["id"])
	require.Equal(t, "delete less-ai by loopback: of no use", f.done[len(f.done)-1])
	ask(t, h, "DELETE", "/api/experiments/nobody", "", 404)
	ask(t, h, "DELETE", "/api/experiments/less-ai?why=x", "", 422)
	ask(t, h, "DELETE", "/api/experiments/less-ai?reason=sk-or-v1-0123456789abcdef", "", 422)
	ask(t, h, "POST", "/api/experiments/less-ai/start", "", 200)
	require.Contains(t, ask(t, h, "DELETE", "/api/experiments/less-ai", "", 409)["detail"], "is running. It can be stopped or rolled back")
	require.NotContains(t, pageOf(t, h, "/experiments/less-ai"), "DELETE /api/experiments")
}

func TestWhatAnExperimentFoundIsShown(t *testing.T) {
	f := &fakeExperiments{sums: []accounting.ArmSums{
		{Arm: 0, Leads: 4000, Sent: 3600, Converted: 400, Meetings: 410, Calls: 8000, CostUSD: money("100").Decimal, CostEUR: money("92").Decimal},
		{Arm: 1, Leads: 4000, Sent: 3600, Converted: 100, Meetings: 100, Calls: 8000, CostUSD: money("10").Decimal, CostEUR: money("9.2").Decimal},
		{Arm: 2, Leads: 4000, Sent: 3600, Converted: 410, Meetings: 410},
	}}
	h := experimentHandler(t, f)
	ask(t, h, "POST", "/api/experiments", lessAIBody, 201)
	require.Equal(t, "It has not been started.", ask(t, h, "GET", "/api/experiments/less-ai", "", 200)["headline"])
	ask(t, h, "POST", "/api/experiments/less-ai/start", "", 200)
	data := ask(t, h, "GET", "/api/experiments/less-ai", "", 200)
	arms := data["arms"].([]any)
	require.Equal(t, json.Number("0.023"), arms[0].(map[string]any)["cost_per_lead"])
	require.Equal(t, json.Number("0.1"), arms[0].(map[string]any)["conversion_rate"])
	require.NotNil(t, arms[0].(map[string]any)["conversion_interval"])
	require.Equal(t, json.Number("0"), arms[2].(map[string]any)["ai_cost"])
	comparisons := data["comparisons"].([]any)
	cheap, none := comparisons[0].(map[string]any), comparisons[1].(map[string]any)
	require.Equal(t, []any{"cheap", "worse", json.Number("0.9")}, []any{cheap["arm"], cheap["verdict"], cheap["saving"]})
	require.Equal(t, []any{"none", "not_worse", json.Number("1")}, []any{none["arm"], none["verdict"], none["saving"]})
	require.Contains(t, data["headline"], "cheap does harm")
	require.Equal(t, true, data["sample_ratio_ok"])
	ask(t, h, "GET", "/api/experiments/nobody", "", 404)
}

func TestTheArmOfALeadIsToldAndALeadIsHadIn(t *testing.T) {
	f := &fakeExperiments{}
	h := experimentHandler(t, f)
	ask(t, h, "POST", "/api/experiments", lessAIBody, 201)
	want := f.list[0].AssignmentOf("lead-42")
	data := ask(t, h, "GET", "/api/experiments/less-ai/assignment?lead_id=lead-42", "", 200)
	require.Equal(t, want.Arm.Name, data["arm"].(map[string]any)["name"])
	require.Equal(t, false, data["enforced"], "it is a draft")
	ask(t, h, "POST", "/api/experiments/less-ai/assignment", `{"lead_id":"lead-42"}`, 409)
	ask(t, h, "POST", "/api/experiments/less-ai/start", "", 200)
	require.Equal(t, true, ask(t, h, "POST", "/api/experiments/less-ai/assignment", `{"lead_id":"lead-42"}`, 200)["enforced"])
	require.Equal(t, "enrol lead-42 of q4", f.done[len(f.done)-1])
	require.Contains(t, fmt.Sprint(ask(t, h, "POST", "/api/experiments/less-ai/assignment", `{"lead_id":"l","campaign_id":"q3"}`, 422)["errors"]), "campaign_id")
	ask(t, h, "GET", "/api/experiments/less-ai/assignment", "", 422)
	ask(t, h, "GET", "/api/experiments/less-ai/assignment?lead_id=+x", "", 422)
	ask(t, h, "GET", "/api/experiments/nobody/assignment?lead_id=x", "", 404)
	ask(t, h, "POST", "/api/experiments/nobody/assignment", `{"lead_id":"x"}`, 404)
}

func TestBadExperimentsAreRefusedWithTheFieldTheValueAndTheWayOut(t *testing.T) {
	f := &fakeExperiments{}
	h := experimentHandler(t, f)
	arms := func(second string) string { return `"arms":[{"name":"control"},` + second + `]` }
	for body, want := range map[string][2]string{
		`{"name":"x",` + arms(`{"name":"control"}`) + `}`:                      {"arms[1].name", "another arm has it"},
		`{"name":"x",` + arms(`{"name":"Cheap One"}`) + `}`:                    {"arms[1].name", "lower-case letters"},
		`{"name":"x",` + arms(`{"name":"b","model":"gpt"}`) + `}`:              {"arms[1].model", "want the id of a model"},
		`{"name":"x",` + arms(`{"name":"b","model":"a/b","ai":false}`) + `}`:   {"arms[1].model", "an arm without AI has none"},
		`{"name":"x",` + arms(`{"name":"b","weight":1001}`) + `}`:              {"arms[1].weight", "1000"},
		`{"name":"x","arms":[{"name":"a"}]}`:                                   {"arms", "2"},
		`{"name":"x",` + arms(`{"name":"b"}`) + `,"margin":1}`:                 {"margin", "less than 1"},
		`{"name":"x",` + arms(`{"name":"b"}`) + `,"purpose":"dinner"}`:         {"purpose", "want one of email_generation"},
		`{"name":"x",` + arms(`{"name":"b"}`) + `,"metric":"clicks"}`:          {"metric", "conversion"},
		`{"name":"x",` + arms(`{"name":"b"}`) + `,"max_days":0}`:               {"max_days", "1"},
		`{"name":"x","id":"Not An Id",` + arms(`{"name":"b"}`) + `}`:           {"id", "lower-case letters"},
		`{"name":"x","campaign_id":" q4",` + arms(`{"name":"b"}`) + `}`:        {"campaign_id", "printable text"},
		`{"name":"x",` + arms(`{"name":"b"}`) + `,"enforced":true}`:            {"enforced", "no such field"},
		`{"name":"x",` + arms(`{"name":"b","model":"sk-or-v1-0123456"}`) + `}`: {"arms[1].model", "looks like a secret"},
	} {
		errs := fmt.Sprint(ask(t, h, "POST", "/api/experiments", body, 422)["errors"])
		require.Contains(t, errs, want[0], body)
		require.Contains(t, errs, want[1], body)
	}
	ask(t, h, "POST", "/api/experiments", `{"name":"`+strings.Repeat("x", 100_000)+`"}`, http.StatusRequestEntityTooLarge)
	require.Empty(t, f.list)
}

func TestARecommendationTellsTheArmsOfALead(t *testing.T) {
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	running := func(id, campaign string, second accounting.ExperimentArm) accounting.Experiment {
		return accounting.Experiment{ID: id, CampaignID: campaign, State: accounting.ExperimentRunning, StartedAt: &start, Enforce: true,
			Arms: []accounting.ExperimentArm{{Name: "control", Weight: 1, AI: true}, second}}
	}
	f := &fakeExperiments{list: []accounting.Experiment{
		running("less-ai", "q4", accounting.ExperimentArm{Name: "none", Weight: 1000}), running("elsewhere", "q3", accounting.ExperimentArm{Name: "none", Weight: 1}),
	}}
	h := experimentHandler(t, f)
	lead := "lead-1"
	for i := 1; f.list[0].Assign(lead) != 1; i++ {
		lead = fmt.Sprint("lead-", i)
	}
	data := ask(t, h, "GET", "/api/leads/"+lead+"/recommendation?campaignId=q4", "", 200)
	require.Len(t, data["experiments"], 1)
	require.Equal(t, "none", data["personalisation"])
	require.Equal(t, "Experiment less-ai has the lead in its arm none, which uses no AI.", data["why"])
	data = ask(t, h, "GET", "/api/leads/"+lead+"/recommendation", "", 200)
	require.Empty(t, data["experiments"], "of no campaign")
	require.NotContains(t, data["why"], "Experiment")
}
