package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/config"
)

// The React package as its users have it, built by make react.
const (
	reactDir   = "../../deploy/react"
	reactToken = "the token of the React tests"
)

// needReact makes sure that the package and its example are built.
func needReact(t testing.TB) {
	t.Helper()
	for _, file := range []string{"dist/server.js", "example/dist/main.js"} {
		if _, err := os.Stat(filepath.Join(reactDir, file)); err != nil {
			t.Fatal("the React package is not built: run make react")
		}
	}
}

// startReact serves the example of the React package from an origin of its
// own, and a Bursar with a token whose APP_URL that is.
func startReact(t testing.TB) (r *running, app string) {
	t.Helper()
	needReact(t)
	app = serveExample(t)
	r = startProgram(t, startFake(t), func(c *config.Config) {
		c.App.URL = app
		c.Admin.Token = config.NewSecret(reactToken)
	})
	return r, app
}

// serveExample serves the example and returns its origin.
func serveExample(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(reactDir, "example"))))
	t.Cleanup(server.Close)
	return server.URL
}

// adminAPI sends to the admin port with the token, and returns the data of the
// answer with its numbers as they were written.
func (r *running) adminAPI(method, path, body string) map[string]any {
	r.t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, r.adminURL()+path, strings.NewReader(body))
	require.NoError(r.t, err)
	request.Header.Set("Authorization", "Bearer "+reactToken)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	require.Less(r.t, response.StatusCode, 300, "%s", text)
	var answer struct {
		Data map[string]any `json:"data"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	require.NoError(r.t, decoder.Decode(&answer))
	return answer.Data
}

// apiFigures are what the API says, under the names that the example gives
// them; unknown is empty.
func (r *running) apiFigures() map[string]string {
	r.t.Helper()
	data := r.adminAPI(http.MethodGet, "/api/costs/dashboard-metrics", "")
	literal := func(path ...string) string {
		var v any = data
		for _, name := range path {
			v = v.(map[string]any)[name]
		}
		if v == nil {
			return ""
		}
		return string(v.(json.Number))
	}
	return map[string]string{
		"Cost per email": literal("costPerEmail"), "Cost per meeting": literal("costPerMeeting"), "This month": literal("totalMonthlySpend"),
		"Fixed": literal("costBreakdown", "fixed", "total"), "AI": literal("costBreakdown", "variable", "total"),
		"Credits": literal("remainingCredits"), "Emails": literal("emailsSent"), "Meetings": literal("meetingsBooked"),
	}
}

// shownFigures are what the example shows: text is that for people, otherwise
// their values with all digits.
func shownFigures(t require.TestingT, tab context.Context, text bool) map[string]string {
	what := "value"
	if text {
		what = "textContent"
	}
	shown, err := chromedp.Run(tab, chromedp.Evaluate[map[string]string](
		`Object.fromEntries([...document.querySelectorAll("dl > div")].map(div => [div.querySelector("dt").textContent, div.querySelector("data").`+what+`]))`))
	require.NoError(t, err)
	return shown
}

// awaitText waits until an element says something.
func awaitText(t testing.TB, tab context.Context, selector, text string) {
	t.Helper()
	_, err := chromedp.Run(tab, chromedp.PollFunction[bool](
		`(selector, text) => document.querySelector(selector)?.textContent.includes(text)`,
		chromedp.WithPollingArgs(selector, text), chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(time.Minute)))
	require.NoError(t, err, "%s says %q", selector, text)
}

func TestTheReactHookShowsInABrowserWhatTheAPISays(t *testing.T) {
	r, app := startReact(t)
	for range 3 {
		status, body := r.call("/api/v1/chat/completions", `{"model":"fake/cost-17-digits","messages":[]}`, "X-Campaign-ID", "q4-launch")
		require.Equal(t, http.StatusOK, status, body)
	}
	r.requireLedgersAgree(time.Minute)

	tab := startBrowser(t, chromedp.Flag("lang", "en-IE"))
	console := watchConsole(t, tab)
	require.NoError(t, chromedp.Do(tab, chromedp.Navigate(app+"/?admin="+r.adminURL())))
	awaitText(t, tab, "[role=alert]", "BURSAR_ADMIN_TOKEN")
	for _, problem := range console.problems(t) {
		require.Contains(t, problem, "401", "the app may read why it was refused")
	}
	require.NoError(t, chromedp.Do(tab,
		chromedp.SendKeys(chromedp.CSS("#where [name=token]"), reactToken),
		chromedp.Click(chromedp.CSS("#where button"))))

	agree := func(emails, meetings string) map[string]string {
		t.Helper()
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			shown := shownFigures(c, tab, false)
			require.Equal(c, []string{emails, meetings}, []string{shown["Emails"], shown["Meetings"]})
		}, time.Minute, 20*time.Millisecond)
		want := r.apiFigures()
		require.Equal(t, want, shownFigures(t, tab, false))
		return want
	}
	before := agree("0", "0")
	assert.Greater(t, len(before["AI"]), 17, "%s has more digits than a float", before["AI"])
	assert.Empty(t, before["Cost per email"])
	assert.Equal(t, "–", shownFigures(t, tab, true)["Cost per email"], "unknown is not zero")

	require.NoError(t, chromedp.Do(tab, chromedp.Click(chromedp.CSS("#email-sent"))))
	agree("1", "0")
	require.NoError(t, chromedp.Do(tab, chromedp.Click(chromedp.CSS("#email-sent")), chromedp.Click(chromedp.CSS("#meeting-booked"))))
	after := agree("2", "1")
	awaitText(t, tab, "output", "1 recorded")

	total := decimal.RequireFromString(after["This month"])
	assert.Equal(t, total.Round(10).String(), after["Cost per meeting"], "one meeting costs the whole month")
	text := shownFigures(t, tab, true)
	assert.Equal(t, "€"+total.StringFixed(2), text["This month"])
	assert.Equal(t, "€"+total.Div(decimal.NewFromInt(2)).StringFixed(2), text["Cost per email"])
	assert.Empty(t, console.problems(t))
}

func TestABrowserLetsOnlyTheAppsOriginUseTheAPI(t *testing.T) {
	r, app := startReact(t)
	other := serveExample(t)
	tab := startBrowser(t)
	console := watchConsole(t, tab)
	ask := func(path, init string) string {
		t.Helper()
		answer, err := chromedp.Run(tab, chromedp.Evaluate[string](
			`fetch("`+r.adminURL()+path+`", `+init+`).then(r => String(r.status), () => "refused")`, chromedp.EvalAwaitPromise))
		require.NoError(t, err)
		return answer
	}
	const get, post = "/api/costs/dashboard-metrics", "/api/costs/record-activity"
	const authorized = `"Authorization": "Bearer ` + reactToken + `"`

	require.NoError(t, chromedp.Do(tab, chromedp.Navigate(app+"/main.css")))
	for _, c := range []struct{ path, init, want, why string }{
		{get, `{headers: {` + authorized + `}}`, "200", "the hook's reading"},
		{get, `{credentials: "include"}`, "401", "a session could be sent"},
		{post, `{method: "POST", headers: {` + authorized + `, "Content-Type": "application/json"}, body: '{"type":"email_sent","id":"by-the-app"}'}`, "200", "the hook's writing"},
		{get, `{headers: {` + authorized + `, "X-Other": "1"}}`, "refused", "no header but these two"},
		{get, `{method: "PROPFIND", headers: {` + authorized + `}}`, "refused", "no method of others"},
		{"/metrics", `{headers: {` + authorized + `}}`, "refused", "the API, nothing else"},
		{"/", `{credentials: "include"}`, "refused", "no pages"},
	} {
		assert.Equal(t, c.want, ask(c.path, c.init), c.why)
	}
	console.problems(t)

	require.NoError(t, chromedp.Do(tab, chromedp.Navigate(other+"/?admin="+r.adminURL())))
	awaitText(t, tab, "[role=alert]", "this origin is not its APP_URL")
	assert.Contains(t, strings.Join(console.problems(t), "\n"), "CORS policy")
	assert.Equal(t, "refused", ask(get, `{headers: {`+authorized+`}}`))
	assert.Equal(t, "refused", ask(post, `{method: "POST", headers: {`+authorized+`, "Content-Type": "application/json"}, body: '{"type":"email_sent"}'}`))
	assert.Equal(t, "refused", ask(post, `{method: "POST", body: '{"type":"email_sent"}'}`), "a request that is sent without asking first")
	assert.Equal(t, "1", r.apiFigures()["Emails"], "only the app has recorded one")
}

func TestTheReactPackagesServerSideTagsCallsAndRecordsLeads(t *testing.T) {
	node, err := exec.LookPath("node")
	require.NoError(t, err)
	r, _ := startReact(t)
	r.adminAPI(http.MethodPost, "/api/budgets", `{"id":"frozen","name":"Frozen","scope":{"campaign_id":"frozen"},"period":"total","limit":0,"currency":"EUR","mode":"hard"}`)
	require.Eventually(t, func() bool {
		status, _ := r.call("/api/v1/chat/completions", `{"model":"fake/ok","messages":[]}`, "X-Campaign-ID", "frozen")
		return status == http.StatusPaymentRequired
	}, time.Minute, 20*time.Millisecond, "the guard knows the budget")

	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "test/live.mjs")
	cmd.Dir = reactDir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "OPENROUTER_API_KEY=sk-or-v1-server", "OPENROUTER_BASE_URL=" + r.proxyURL() + "/api/v1",
		"BURSAR_ADMIN_URL=" + r.adminURL(), "BURSAR_ADMIN_TOKEN=" + reactToken,
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Run(), "%s", &errs)
	type call struct {
		RequestID, Verdict, CostUSD string
	}
	var said struct {
		Written, Personalised call
		Streamed              struct {
			RequestID string
			Whole     bool
		}
		Recorded []int
		Refusal  map[string]any
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &said), "%s", &out)
	r.requireLedgersAgree(time.Minute)

	row := func(id string) accounting.UsageRow {
		t.Helper()
		parsed, err := accounting.ParseRequestID(id)
		require.NoError(t, err)
		row, err := r.store.FindUsage(ctx, parsed)
		require.NoError(t, err)
		return row
	}
	written := row(said.Written.RequestID)
	assert.Equal(t, written.CostUSD.String(), said.Written.CostUSD, "every digit")
	assert.Greater(t, len(said.Written.CostUSD), 17)
	tags := accounting.Tags{CampaignID: orNull(written.CampaignID), EmailID: orNull(written.EmailID), SequenceID: orNull(written.SequenceID),
		Platform: orNull(written.Platform), LeadValue: orNull(written.LeadValue), Purpose: orNull(written.Purpose), Metadata: written.Metadata}
	assert.Equal(t, accounting.Tags{CampaignID: "Kampagne Köln 🚀", EmailID: "email-456", SequenceID: "sequence-1", Platform: "instantly",
		LeadValue: "high", Purpose: "email_generation", Metadata: map[string]string{"emailtype": "follow-up"}}, tags)
	assert.Equal(t, accounting.Fingerprint("sk-or-v1-server"), orNull(written.KeyFingerprint))

	personalised := row(said.Personalised.RequestID)
	assert.Equal(t, []string{"lead/7", "lead_personalization", "q4"}, []string{orNull(personalised.LeadID), orNull(personalised.Purpose), orNull(personalised.CampaignID)})
	assert.Equal(t, "stream", orNull(row(said.Streamed.RequestID).CampaignID))
	assert.True(t, said.Streamed.Whole)

	assert.Equal(t, []int{1, 1, 1}, said.Recorded, "one sent, once, and one converted")
	activities, err := r.store.ListActivities(ctx, "lead/7", "", 10)
	require.NoError(t, err)
	require.Len(t, activities, 2)
	for _, a := range activities {
		if a.Type == accounting.MeetingBooked {
			assert.Equal(t, "1999.900000000000000001", a.Value.String())
		}
	}
	for _, name := range []string{"message", "requestId", "settled"} { // calls before the guard knew the budget are settled
		assert.NotEmpty(t, said.Refusal[name], name)
		delete(said.Refusal, name)
	}
	assert.Equal(t, map[string]any{"status": 402.0, "limitSource": "bursar_budget", "reason": "no_bound", "budget": "frozen",
		"limit": "0", "currency": "EUR"}, said.Refusal, "a model without a price has no bound")
}
