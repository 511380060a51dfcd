package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

const chatPath, chatBody = "/api/v1/chat/completions", `{"model":"openai/gpt-5-mini","max_tokens":50,"messages":[{"role":"user","content":"Hi"}]}`

// data asks the admin port and reads the data of its answer.
func data[T any](r *running, status int, method, path, body string) T {
	r.t.Helper()
	got, answer := r.ask(method, path, body)
	require.Equal(r.t, status, got, answer)
	var envelope struct{ Data T }
	require.NoError(r.t, json.Unmarshal([]byte(answer), &envelope), answer)
	return envelope.Data
}

// posted posts a call and returns its status, verdict and id.
func (r *running) posted(header ...string) (status int, verdict string, id string) {
	r.t.Helper()
	request, err := http.NewRequest(http.MethodPost, r.proxyURL()+chatPath, strings.NewReader(chatBody))
	require.NoError(r.t, err)
	request.Header.Set("Authorization", "Bearer sk-or-test")
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(r.t, err)
	return response.StatusCode, response.Header.Get("X-Bursar-Verdict"), response.Header.Get("X-Bursar-Request-ID")
}

// becomes calls until the verdict is the one that is wanted, and returns that
// call's id: a rule holds within a second of its making.
func (r *running) becomes(verdict accounting.BudgetVerdict, header ...string) (id string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		var got string
		_, got, id = r.posted(header...)
		return got == string(verdict)
	}, time.Minute, 20*time.Millisecond, "no call was %s", verdict)
	return id
}

// explained waits until the decision about a call is recorded.
func (r *running) explained(id string) (words string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		var status int
		status, words = r.ask("GET", "/api/guard/explain/"+id, "")
		return status == http.StatusOK
	}, time.Minute, 20*time.Millisecond, "not recorded")
	return words
}

type budgetShown struct {
	accounting.Budget
	Status []accounting.BudgetStatus
}

func TestABudgetIsMadeHoldsIsExplainedChangedAndDeleted(t *testing.T) {
	r := startProgram(t, startFake(t))
	monthly := data[budgetShown](r, 200, "GET", "/api/budgets/"+accounting.BudgetMonthlyAI, "")
	require.Equal(t, "77", monthly.Limit.String(), "it exists from the first start")
	require.Len(t, monthly.Status, 1)

	made := data[accounting.Budget](r, 201, "POST", "/api/budgets",
		`{"name":"Q4 launch","scope":{"campaign_id":"q4"},"period":"total","limit":0.000000000001,"mode":"hard"}`)
	require.Equal(t, "q4-launch", made.ID)
	refused := r.becomes(accounting.VerdictBlocked, "X-Campaign-ID", "q4")
	_, verdict, passed := r.posted("X-Campaign-ID", "another")
	require.Equal(t, string(accounting.VerdictAllowed), verdict)

	words := r.explained(refused)
	require.Contains(t, words, "Budget Q4 launch (q4-launch), hard: 0.000000000001 USD in total.")
	require.Contains(t, words, `"resets_at":null`)
	words = r.explained(passed)
	require.Contains(t, words, "The call was sent", "the budget of the month applied, and had room")
	require.Contains(t, words, accounting.BudgetMonthlyAI)
	list := data[struct{ Rows []accounting.DecisionRow }](r, 200, "GET", "/api/guard/decisions?verdict=blocked&budget=q4-launch&campaign_id=q4", "")
	require.NotEmpty(t, list.Rows)
	require.Empty(t, data[struct{ Rows []accounting.DecisionRow }](r, 200, "GET", "/api/guard/decisions?verdict=blocked&campaign_id=another", "").Rows)
	alerts := data[struct{ Alerts []accounting.Alert }](r, 200, "GET", "/api/alerts?kind=budget_blocked", "")
	require.NotEmpty(t, alerts.Alerts)
	require.Equal(t, "budget/q4-launch", alerts.Alerts[0].Subject)
	seen := data[accounting.Alert](r, 200, "POST", fmt.Sprintf("/api/alerts/%d/acknowledge", alerts.Alerts[0].ID), "")
	require.Equal(t, "loopback", *seen.AcknowledgedBy)

	data[accounting.Budget](r, 200, "PATCH", "/api/budgets/q4-launch", `{"limit":5}`)
	r.becomes(accounting.VerdictAllowed, "X-Campaign-ID", "q4")
	status, answer := r.ask("PATCH", "/api/budgets/q4-launch", `{"currency":"EUR"}`)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, answer, "make another budget")
	status, _ = r.ask("POST", "/api/budgets", `{"id":"q4-launch","name":"n","period":"day","limit":1,"mode":"soft"}`)
	require.Equal(t, http.StatusConflict, status)
	leases := data[struct{ Leases []accounting.LeaseRow }](r, 200, "GET", "/api/budgets/leases?budget=q4-launch", "")
	if len(leases.Leases) > 0 { // it may have been given back already
		status, _ = r.ask("POST", "/api/budgets/leases/"+leases.Leases[0].Replica+"/release", `{"reason":"x"}`)
		require.Equal(t, http.StatusConflict, status, "it lives")
	}
	standing := data[struct{ Status []accounting.BudgetStatus }](r, 200, "GET", "/api/budgets/status?id=q4-launch", "")
	require.Equal(t, "5", standing.Status[0].Limit.String())

	data[any](r, 200, "DELETE", "/api/budgets/q4-launch?reason=over", "")
	status, _ = r.ask("GET", "/api/budgets/q4-launch", "")
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, r.explained(refused), "Budget q4-launch, which was deleted since")
	log := data[struct{ Entries []accounting.AuditEntry }](r, 200, "GET", "/api/audit?subject=budget/q4-launch", "")
	require.Len(t, log.Entries, 3)
	require.Equal(t, accounting.ActionBudgetDelete, log.Entries[0].Action)
}

func TestAStopOfTheCommandLineHoldsUntilItIsLifted(t *testing.T) {
	r := startProgram(t, startFake(t))
	command := func(args ...string) (int, string) {
		var out bytes.Buffer
		code := run(context.Background(), &env{&out, &out, []string{"BURSAR_ADMIN_ADDR=" + r.adminListener.Addr().String()}, t.TempDir()}, args)
		return code, out.String()
	}
	r.becomes(accounting.VerdictAllowed, "X-Campaign-ID", "q4")
	// A replica that takes longer than a command waits is a failure of the
	// command, and no wonder on a busy machine: then once more.
	untilItHolds := func(args ...string) (out string) {
		t.Helper()
		require.Eventually(t, func() bool {
			var code int
			code, out = command(args...)
			return code == exitOK
		}, time.Minute, 100*time.Millisecond, "it never held")
		return out
	}
	out := untilItHolds("stop", "--drill", "--reason", "drill of November")
	require.Contains(t, out, "Drill: nothing was stopped.")
	require.Regexp(t, `after \d+\.\d\d s`, out)
	_, verdict, _ := r.posted("X-Campaign-ID", "q4")
	require.Equal(t, string(accounting.VerdictAllowed), verdict)

	untilItHolds("stop", "--reason", "it runs in circles", "--scope", "campaign=q4")
	status, verdict, refused := r.posted("X-Campaign-ID", "q4")
	require.Equal(t, http.StatusPaymentRequired, status, "at once")
	require.Equal(t, string(accounting.VerdictBlocked), verdict)
	_, verdict, _ = r.posted("X-Campaign-ID", "another")
	require.Equal(t, string(accounting.VerdictAllowed), verdict)
	require.Contains(t, r.explained(refused), "an emergency stop (stop-")

	out = untilItHolds("resume")
	require.Contains(t, out, "Lifted: the stop of calls with campaign=q4")
	_, verdict, _ = r.posted("X-Campaign-ID", "q4")
	require.Equal(t, string(accounting.VerdictAllowed), verdict, "at once")
	code, out := command("resume", "stop-of-nobody")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "There is no active stop stop-of-nobody")

	actions := map[string]int{}
	for _, e := range data[struct{ Entries []accounting.AuditEntry }](r, 200, "GET", "/api/audit", "").Entries {
		actions[e.Action]++
		require.Contains(t, []string{"loopback", "configuration"}, e.Actor)
	}
	require.GreaterOrEqual(t, actions[accounting.ActionStop], 2, "the drill, and the stop")
	require.Equal(t, actions[accounting.ActionStop], actions[accounting.ActionResume])
}
