package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hostileTags are names that an application might send by mistake or by malice.
var hostileTags = []string{
	`<script>window.__pwned=1</script>`,
	`"><img src=x onerror=window.__pwned=1>`,
	"invoice\u202egpj.exe", // its mark is dropped on the way in
	"קמפיין rtl",
	strings.Repeat("🚀", 50),
	`javascript:window.__pwned=1`,
	`a/b\c?d=e&f#g%2e'"` + "`",
	`{{constructor.constructor('window.__pwned=1')()}}`,
}

// cleanTag is a tag as it is kept: without what cannot be printed.
func cleanTag(t testing.TB, tag string) string {
	t.Helper()
	clean := strings.ReplaceAll(tag, "\u202e", "")
	require.LessOrEqual(t, len(clean), 200)
	return clean
}

func TestHostileTagsDoNoHarmOnAnyPage(t *testing.T) {
	r := startProgram(t, startFake(t))
	for i, tag := range hostileTags {
		model, err := json.Marshal("fake/ok/" + tag)
		require.NoError(t, err)
		r.call(chatPath, `{"model":`+string(model)+`,"messages":[]}`, "X-Campaign-ID", tag, "X-Lead-ID", tag, "X-Email-ID", tag, "X-Purpose", tag, "X-Platform", tag, "X-Sequence-ID", tag)
		status, _, _ := r.posted("X-Campaign-ID", tag, "X-Lead-ID", tag, "X-Email-ID", tag, "X-Purpose", tag, "X-Platform", tag, "X-Sequence-ID", tag)
		require.Equal(t, 200, status)
		clean := cleanTag(t, tag)
		if clean != tag {
			body, err := json.Marshal(map[string]string{"type": "email_sent", "campaignId": tag})
			require.NoError(t, err)
			status, answer := r.ask("POST", "/api/costs/record-activity", string(body))
			require.Equal(t, 422, status, answer)
		}
		tag = clean
		body, err := json.Marshal(map[string]string{"type": "meeting_booked", "campaignId": tag, "leadId": tag, "emailId": tag, "platform": tag, "id": tag})
		require.NoError(t, err)
		status, answer := r.ask("POST", "/api/costs/record-activity", string(body))
		require.Equal(t, 200, status, answer)
		body, err = json.Marshal(map[string]any{"name": tag, "scope": map[string]string{"campaign_id": tag}, "period": "month", "limit": i + 1, "currency": "EUR", "mode": "alert"})
		require.NoError(t, err)
		status, answer = r.ask("POST", "/api/budgets", string(body))
		require.Less(t, status, 300, answer)
	}
	conn := r.connect()
	require.Eventually(t, func() bool {
		var leads, emails int
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM lead_processing_costs), (SELECT count(DISTINCT email_id) FROM email_costs)`).Scan(&leads, &emails))
		return leads >= len(hostileTags) && emails >= len(hostileTags)
	}, time.Minute, 50*time.Millisecond)

	tab := startBrowser(t)
	console := watchConsole(t, tab)
	harmless := func(address string) {
		t.Helper()
		visit(t, tab, address)
		awaitLive(t, tab)
		assert.Equal(t, "undefined", evaluate[string](t, tab, `typeof window.__pwned`), address)
		assert.Zero(t, evaluate[int](t, tab, `document.querySelectorAll("main script, main img, a[href^='javascript:']").length`), address)
		assert.Empty(t, console.problems(t), address)
	}
	look(t, tab, "light", 360)
	for _, page := range dashboardPages {
		if page.links == nil {
			harmless(r.adminURL() + page.path)
			assert.Empty(t, evaluate[string](t, tab, overflowJS), page.name)
		}
	}
	for _, tag := range hostileTags {
		tag = cleanTag(t, tag)
		quoted, err := json.Marshal(tag)
		require.NoError(t, err)
		for _, list := range []string{"/campaigns", "/leads"} {
			visit(t, tab, r.adminURL()+list)
			link := evaluate[string](t, tab, `[...document.querySelectorAll("main tbody th a")].find(a => a.textContent.trim() === `+string(quoted)+`)?.href ?? ""`)
			require.NotEmpty(t, link, "%s of %s", tag, list)
			harmless(link)
			assert.Contains(t, evaluate[string](t, tab, `document.querySelector("h1").textContent`), tag)
			assert.Empty(t, evaluate[string](t, tab, overflowJS), link)
		}
		harmless(r.adminURL() + "/emails/" + url.PathEscape(tag))
		assert.Contains(t, evaluate[string](t, tab, `document.querySelector("h1").textContent`), tag)
		visit(t, tab, r.adminURL()+"/calls?campaign_id="+url.QueryEscape(tag))
		harmless(evaluate[string](t, tab, `document.querySelector("main td a[href^='/calls/']").href`))
		assert.Contains(t, evaluate[string](t, tab, `document.querySelector("main").textContent`), tag)
	}
	require.NoError(t, chromedp.Do(tab, chromedp.Navigate("about:blank")))
}
