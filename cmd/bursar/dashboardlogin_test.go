package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/config"
)

const adminToken = "a-token-of-the-tests"

// signInAt types the token into the form that a page led to.
func signInAt(t testing.TB, tab context.Context, typed string) {
	t.Helper()
	const form = `form[action="/login"]`
	await(t, tab, `document.querySelector('`+form+` [name="token"]') === document.activeElement`)
	fill(t, tab, form, "token", typed)
	andReload(t, tab, form+" button")
}

func pageAddress(t testing.TB, tab context.Context) string {
	t.Helper()
	return evaluate[string](t, tab, `location.href`)
}

func TestTheDashboardBehindATokenIsOpenToWhoSignsInAndToNobodyElse(t *testing.T) {
	fake := startFake(t)
	cfg := testConfig(t, fake)
	cfg.Admin.Token = config.NewSecret(adminToken)
	r := startConfigured(t, fake, cfg)
	tab := startBrowser(t)
	page := r.adminURL() + "/calls?campaign_id=q4-launch&status=settled#main" // a place that would take the focus

	whole := t
	then := func(name string, do func(*testing.T)) { require.True(t, t.Run(name, do)) }

	then("a link opened without a session comes back after the login", func(t *testing.T) {
		visit(t, tab, page)
		require.Equal(t, "Sign in", evaluate[string](t, tab, `document.querySelector("h1").textContent`))
		signInAt(t, tab, "not the token")
		alert := evaluate[string](t, tab, `document.querySelector("[role=alert]").textContent`)
		require.Contains(t, alert, "That is not the token")
		signInAt(t, tab, adminToken)
		require.Equal(t, page, pageAddress(t, tab))
		require.Empty(t, evaluate[string](t, tab, `document.cookie`), "no script reads the session")
	})
	then("figures move and forms act", func(t *testing.T) {
		visit(t, tab, r.adminURL()+"/calls")
		awaitLive(t, tab)
		status, _, id := r.posted("X-Campaign-ID", "q4-launch")
		require.Equal(t, http.StatusOK, status)
		await(t, tab, `document.querySelector('tr[data-id="`+id+`"]') !== null`)
		visit(t, tab, r.adminURL()+"/budgets")
		makeBudget(t, tab, "Made by somebody")
		require.Contains(t, evaluate[string](t, tab, `document.querySelector("main").innerText`), "Made by somebody")
	})
	then("a link on another site finds the session, and its form does nothing", func(t *testing.T) { otherSite(t, r, tab) })
	then("a page whose session is over says so and leads back", func(t *testing.T) {
		at, err := url.Parse(r.adminURL())
		require.NoError(t, err)
		visit(t, tab, r.adminURL()+"/budgets?x=y")
		awaitLive(t, tab)
		require.NoError(t, r.stop())
		cfg.Admin.Addr = at.Host
		r = startConfigured(whole, fake, cfg) // sessions live in memory
		awaitState(t, tab, "out")
		evaluate[chromedp.Void](t, tab, `void (window.stayed = true)`)
		fill(t, tab, budgetForm, "name", "Typed before")
		fill(t, tab, budgetForm, "limit", "1")
		click(t, tab, budgetForm+" > button")
		await(t, tab, "document.querySelector(`"+budgetForm+" output`)?.textContent.startsWith('You are signed out.')")
		require.True(t, evaluate[bool](t, tab, `window.stayed`), "what was typed stays")
		andReload(t, tab, "#live a")
		signInAt(t, tab, adminToken)
		require.Equal(t, r.adminURL()+"/budgets?x=y", pageAddress(t, tab))
		awaitLive(t, tab)
	})
	then("who signs out is asked for the token again", func(t *testing.T) {
		andReload(t, tab, `form[action="/logout"] button`)
		require.Equal(t, r.adminURL()+"/login", pageAddress(t, tab))
		visit(t, tab, r.adminURL()+"/budgets")
		require.Equal(t, "Sign in", evaluate[string](t, tab, `document.querySelector("h1").textContent`))
	})
	then("the page that asks for the token is as good as the others", func(t *testing.T) {
		for _, scheme := range []string{"light", "dark"} {
			for width, size := range map[int64]string{1280: "wide", 360: "narrow"} {
				look(t, tab, scheme, width)
				assert.Empty(t, evaluate[string](t, tab, overflowJS), "%s %s", scheme, size)
				keepScreenshot(t, tab, strings.Join([]string{"login", scheme, size}, "-"))
			}
			evaluate[chromedp.Void](t, tab, axe(t)+";undefined")
			assert.Empty(t, evaluate[[]string](t, tab, axeJS(false)), scheme)
		}
	})
}

// makeBudget makes a budget for nothing that the tests call.
func makeBudget(t testing.TB, tab context.Context, name string) {
	t.Helper()
	fill(t, tab, budgetForm, "name", name)
	fill(t, tab, budgetForm, "limit", "1")
	fill(t, tab, budgetForm, "scope.campaign_id", "of-nobody")
	andReload(t, tab, budgetForm+" > button")
}

// otherSite comes from a page of another site, as a mail in the browser is one,
// to somebody who is signed in.
func otherSite(t *testing.T, r *running, tab context.Context) {
	mail := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>mail</title><a href="%[1]s/health#alerts">alert</a><form method="post" action="%[1]s/logout"><button>win</button></form>`, r.adminURL())
	}))
	defer mail.Close()
	address := strings.Replace(mail.URL, "127.0.0.1", "localhost", 1)
	visit(t, tab, address)
	andReload(t, tab, "a")
	require.Equal(t, r.adminURL()+"/health#alerts", pageAddress(t, tab))

	visit(t, tab, address)
	andReload(t, tab, "button")
	require.Contains(t, evaluate[string](t, tab, `document.body.innerText`), "A page of another origin may change nothing here")
	visit(t, tab, r.adminURL()+"/health")
	require.Equal(t, "Health", evaluate[string](t, tab, `document.querySelector("h1").textContent`))
}
