package main

import (
	"net/url"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestTheDashboardMovesByItselfAndSaysThatTheConnectionIsLost(t *testing.T) {
	fake := startFake(t)
	cfg := testConfig(t, fake)
	r := startConfigured(t, fake, cfg)
	overview := startBrowser(t)
	calls := newTab(t, overview)
	visit(t, overview, r.adminURL()+"/")
	visit(t, calls, r.adminURL()+"/calls")
	awaitLive(t, overview)
	awaitLive(t, calls)
	require.Contains(t, evaluate[string](t, calls, `document.querySelector(".start").innerText`), "No calls yet", "what to do first")
	evaluate[chromedp.Void](t, overview, `void (window.stayed = true)`)
	evaluate[chromedp.Void](t, calls, `void (window.stayed = true)`)

	status, _, id := r.posted("X-Campaign-ID", "q4-launch", "X-Email-ID", "email-1")
	require.Equal(t, 200, status)
	await(t, calls, `document.querySelector('[data-calls]:not([hidden]) tr[data-id="`+id+`"]')?.dataset.campaign === "q4-launch"`)
	assert.Zero(t, evaluate[int](t, calls, `document.querySelectorAll(".start").length`), "the advice has done its work")
	require.Equal(t, "–", liveFigures(t, overview)["cost-per-email"])
	r.requireLedgersAgree(time.Minute)
	await(t, calls, `document.querySelector('tr[data-id="`+id+`"]').dataset.status === "`+string(accounting.StatusSettled)+`"`)
	status, answer := r.ask("POST", "/api/costs/record-activity", `{"type":"email_sent","id":"sent-1","campaignId":"q4-launch","emailId":"email-1"}`)
	require.Equal(t, 200, status, answer)
	await(t, overview, `document.querySelector('[data-live="emails-sent"]').textContent === "1"`)
	requireShown(t, r.metricsOfAPI().TotalMonthlySpend, liveFigures(t, overview)["cost-per-email"])
	assert.True(t, evaluate[bool](t, overview, `window.stayed === true`), "no reload")
	assert.True(t, evaluate[bool](t, calls, `window.stayed === true`), "no reload")

	at, err := url.Parse(r.adminURL())
	require.NoError(t, err)
	require.NoError(t, r.stop())
	awaitState(t, overview, "lost")
	awaitState(t, calls, "lost")
	assert.Contains(t, evaluate[string](t, overview, `document.getElementById("live").innerText`), "connection lost")
	cfg.Admin.Addr = at.Host
	startConfigured(t, fake, cfg)
	awaitLive(t, overview)
	awaitLive(t, calls)
	assert.True(t, evaluate[bool](t, overview, `window.stayed === true`), "no reload")
}
