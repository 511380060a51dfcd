package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// leadsByArm is one lead for each arm of an experiment.
func leadsByArm(e *accounting.Experiment) map[string]string {
	leads := make(map[string]string)
	for i := 0; len(leads) < len(e.Arms); i++ {
		lead := fmt.Sprint("lead-", i)
		leads[e.Arms[e.Assign(lead)].Name] = lead
	}
	return leads
}

func TestAnExperimentIsAppliedCountedAndRolledBack(t *testing.T) {
	fake := startFake(t)
	r := startProgram(t, fake)
	const cheaper = "google/gemini-2.5-flash"
	made := data[accounting.Experiment](r, http.StatusCreated, "POST", "/api/experiments",
		`{"name":"Less AI","campaign_id":"q4","enforce":true,"metric":"send_rate","arms":[{"name":"control"},{"name":"cheap","model":"`+cheaper+`"},{"name":"none","ai":false}]}`)
	leads := leadsByArm(&made)
	call := func(arm, campaign string) clientAnswer {
		return r.send(chatPath, shortChat(cheapModel), "X-Campaign-ID", campaign, "X-Lead-ID", leads[arm])
	}
	plain := call("none", "q4")
	require.Equal(t, http.StatusOK, plain.status, "a draft does nothing")

	data[accounting.Experiment](r, http.StatusOK, "POST", "/api/experiments/less-ai/start", "")
	refused := r.until(func(a *clientAnswer) bool { return a.status == http.StatusForbidden },
		chatPath, shortChat(cheapModel), "X-Campaign-ID", "q4", "X-Lead-ID", leads["none"])
	require.Contains(t, refused.body, `"limit_source":"bursar_experiment"`)
	require.Contains(t, refused.body, `"reason":"experiment_no_ai"`)
	require.Equal(t, "less-ai/none", refused.header.Get("X-Bursar-Experiment"))
	require.Contains(t, r.explained(refused.header.Get("X-Bursar-Request-ID")), "which uses no AI")

	cheap := call("cheap", "q4")
	require.Equal(t, http.StatusOK, cheap.status, cheap.body)
	require.Equal(t, []string{"less-ai/cheap", cheaper, "allowed"},
		[]string{cheap.header.Get("X-Bursar-Experiment"), cheap.header.Get("X-Bursar-Model"), cheap.verdict()})
	bills := fake.Ledger()
	require.Equal(t, cheaper, bills[len(bills)-1].Model, "the arm's model arrived upstream")
	control := call("control", "q4")
	require.Equal(t, []string{"less-ai/control", ""}, []string{control.header.Get("X-Bursar-Experiment"), control.header.Get("X-Bursar-Model")})
	bills = fake.Ledger()
	require.Equal(t, cheapModel, bills[len(bills)-1].Model)
	require.Empty(t, call("none", "q3").header.Get("X-Bursar-Experiment"), "another campaign")

	for _, arm := range []string{"control", "none"} {
		data[any](r, http.StatusOK, "POST", "/api/leads/"+leads[arm]+"/sent", `{"campaignId":"q4"}`)
	}
	var report accounting.ExperimentReport
	require.Eventually(t, func() bool {
		report = data[accounting.ExperimentReport](r, http.StatusOK, "GET", "/api/experiments/less-ai", "")
		return report.Arms[0].Calls > 0 && report.Arms[1].Calls > 0 && report.Arms[2].Leads > 0
	}, time.Minute, 20*time.Millisecond, "what was called is counted")
	for i, sent := range []int64{1, 0, 1} {
		require.EqualValues(t, 1, report.Arms[i].Leads, report.Arms[i].Name)
		require.Equal(t, sent, report.Arms[i].Sent, report.Arms[i].Name)
	}
	require.Zero(t, report.Arms[2].Calls, "a refusal costs nothing")
	require.Equal(t, accounting.ArmUndecided, report.Comparisons[0].Verdict)
	recommended := data[struct{ Personalisation string }](r, http.StatusOK, "GET", "/api/leads/"+leads["none"]+"/recommendation?campaignId=q4", "")
	require.Equal(t, "none", recommended.Personalisation)

	data[accounting.Experiment](r, http.StatusOK, "POST", "/api/experiments/less-ai/rollback?reason=enough", "")
	back := r.until(func(a *clientAnswer) bool { return a.status == http.StatusOK },
		chatPath, shortChat(cheapModel), "X-Campaign-ID", "q4", "X-Lead-ID", leads["none"])
	require.Empty(t, back.header.Get("X-Bursar-Experiment"))
	again := call("cheap", "q4")
	require.Empty(t, again.header.Get("X-Bursar-Model"), "it is as the application asked")
	bills = fake.Ledger()
	require.Equal(t, cheapModel, bills[len(bills)-1].Model)
	log := data[struct{ Entries []accounting.AuditEntry }](r, http.StatusOK, "GET", "/api/audit?subject=experiment/less-ai", "")
	require.Len(t, log.Entries, 3)
	require.Equal(t, accounting.ActionExperimentRollback, log.Entries[0].Action)
	require.Equal(t, "enough", *log.Entries[0].Reason)
	r.requireLedgersAgree(time.Minute)
	differences, err := r.store.CheckRollups(t.Context())
	require.NoError(t, err)
	require.Empty(t, differences)
}
