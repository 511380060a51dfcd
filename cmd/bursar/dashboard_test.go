package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dashboardPages are the pages there are. A page of one thing is reached by
// following links from the page that lists such things.
var dashboardPages = []struct {
	name, path string
	links      []string // selectors, clicked one after the other
}{
	{name: "overview", path: "/"},
	{name: "campaigns", path: "/campaigns"},
	{name: "campaign", path: "/campaigns", links: []string{`main th a[href^="/campaigns/"]`}},
	{name: "leads", path: "/leads"},
	{name: "lead", path: "/leads", links: []string{`main a[href^="/leads/"]`}},
	{name: "models", path: "/models"},
	{name: "platforms", path: "/platforms"},
	{name: "budgets", path: "/budgets"},
	{name: "plan", path: "/budgets/plan"},
	{name: "decision", path: "/budgets", links: []string{`main a[href^="/decisions/"]`}},
	{name: "experiments", path: "/experiments"},
	{name: "experiment", path: "/experiments", links: []string{`main a[href^="/experiments/"]`}},
	{name: "rules", path: "/rules"},
	{name: "calls", path: "/calls"},
	{name: "call", path: "/calls?purpose=email_generation", links: []string{`main td a[href^="/calls/"]`}},
	{name: "email", path: "/calls?purpose=email_generation", links: []string{`main td a[href^="/calls/"]`, `main a[href^="/emails/"]`}},
	{name: "reconciliation", path: "/reconciliation"},
	{name: "settings", path: "/settings"},
	{name: "health", path: "/health"},
}

const (
	maxPageBytes   = 150_000 // of a first visit, as they come over the network
	maxLayoutShift = 0.1     // what browsers' makers call good
	screenshotsEnv = "SCREENSHOTS"
)

// evaluate runs an expression in the page; a promise is awaited.
func evaluate[T any](t require.TestingT, tab context.Context, expression string) T {
	got, err := chromedp.Run(tab, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(t, err, expression[:min(len(expression), 300)])
	return got
}

// visit opens a page, which must be there.
func visit(t testing.TB, tab context.Context, address string) {
	t.Helper()
	response, err := chromedp.Run(tab, chromedp.NavigateResponse(address))
	require.NoError(t, err, address)
	require.EqualValues(t, 200, response.Status, address)
}

// awaitLive waits for the first event of a page, which it moves by.
func awaitLive(t testing.TB, tab context.Context) {
	t.Helper()
	awaitState(t, tab, "live")
}

func awaitState(t testing.TB, tab context.Context, state string) {
	t.Helper()
	await(t, tab, `document.getElementById("live")?.dataset.state === "`+state+`"`)
}

// await waits until an expression is true. While a page goes or comes nothing
// can be asked.
func await(t testing.TB, tab context.Context, expression string) {
	t.Helper()
	require.Eventually(t, func() bool {
		holds, err := chromedp.Run(tab, chromedp.Evaluate[bool]("("+expression+") === true"))
		return err == nil && holds
	}, time.Minute, 20*time.Millisecond, expression)
}

// findPage is the address of a page of the table.
func findPage(t testing.TB, tab context.Context, address string, links []string) string {
	t.Helper()
	for _, link := range links {
		visit(t, tab, address)
		address = evaluate[string](t, tab, `document.querySelector(`+"`"+link+"`"+`)?.href ?? ""`)
		require.NotEmpty(t, address, "a link %s", link)
	}
	return address
}

// pageLoad is what a browser has seen while a page was loaded.
type pageLoad struct {
	Headings []string
	Bytes    int
	Other    []string // addresses that were asked for of other hosts
	Shift    float64
}

// loadedJS is asked of a page that is live.
const loadedJS = `(async () => {
	await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
	let shift = 0;
	const add = list => { for (const entry of list) if (!entry.hadRecentInput) shift += entry.value; };
	const observer = new PerformanceObserver(list => add(list.getEntries()));
	observer.observe({type: "layout-shift", buffered: true});
	await new Promise(done => setTimeout(done, 50)); // the buffered ones are told by a task of their own
	add(observer.takeRecords());
	const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
	return {
		Headings: [...document.querySelectorAll("h1")].map(h => h.textContent.trim()),
		Bytes: entries.reduce((sum, entry) => sum + entry.encodedBodySize, 0),
		Other: entries.map(entry => entry.name).filter(name => new URL(name).origin !== location.origin),
		Shift: shift,
	};
})()`

// overflowJS names what makes the document wider than the window.
const overflowJS = `(() => {
	const root = document.documentElement;
	if (root.scrollWidth <= root.clientWidth) return "";
	const wide = [...document.body.querySelectorAll("*")].filter(e => !e.closest(".scroll, svg") && e.getBoundingClientRect().right > root.clientWidth + 0.5);
	return root.scrollWidth + " > " + root.clientWidth + ": " + wide.map(e => e.outerHTML.slice(0, 120)).slice(-3).join(" … ");
})()`

// standing matches the tables of budgets among those that sidewaysJS names.
var standing = regexp.MustCompile(`^How .* stands: `)

// sidewaysJS names the tables that have to be scrolled sideways.
const sidewaysJS = `[...document.querySelectorAll(".scroll")].filter(e => e.checkVisibility() && e.clientWidth > 0 && e.scrollWidth > e.clientWidth)
	.map(e => e.getAttribute("aria-label") + ": " + e.scrollWidth + " > " + e.clientWidth)`

// printJS names what is on paper and of no use there, and the heads of tables
// (they are buttons, by which tables are sorted) that are not.
const printJS = `(() => {
	const shown = e => e.checkVisibility() && e.getClientRects().length > 0;
	const list = (selector, wrong) => [...document.querySelectorAll(selector)].filter(wrong).map(e => e.outerHTML.slice(0, 120));
	return [...list("nav, button:not(th button), input:not([type=hidden]), select, #live", shown), ...list("main th button", e => !shown(e))];
})()`

// pageOnPaper is as wide as A4 between its margins.
const pageOnPaper = 700

// axe is the accessibility checker, of the clients that make clients installs.
func axe(t testing.TB) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("clienttest", "node_modules", "axe-core", "axe.min.js"))
	require.NoError(t, err, "axe-core is not installed: run make clients")
	return string(source)
}

// axeJS lists violations that keep people from using a page, by the rules of
// WCAG 2.2 AA or the one of contrast alone.
func axeJS(contrastOnly bool) string {
	only := `{type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}`
	if contrastOnly {
		only = `{type: "rule", values: ["color-contrast"]}`
	}
	return `axe.run(document, {preload: false, resultTypes: ["violations"], runOnly: ` + only + `}).then(result => (result.passes.length ? result.violations : [{impact: "critical", id: "nothing was checked", nodes: []}])
		.filter(v => v.impact === "serious" || v.impact === "critical")
		.map(v => v.id + ": " + v.nodes.slice(0, 4).map(n => n.html.slice(0, 200) + " " + n.failureSummary.slice(0, 300)).join(" | ")))`
}

// look sets the width of the window and the colour scheme. Nothing moves, so
// that colours are what they become.
func look(t testing.TB, tab context.Context, scheme string, width int64) {
	t.Helper()
	require.NoError(t, chromedp.Do(tab, chromedp.EmulateViewport(width, 900)))
	_, err := chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	require.NoError(t, err)
}

// paper makes the tab show what would be printed.
func paper(t testing.TB, tab context.Context, scheme string) {
	t.Helper()
	require.NoError(t, chromedp.Do(tab, chromedp.EmulateViewport(pageOnPaper, 1040)))
	_, err := chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print", Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme},
	}})
	require.NoError(t, err)
}

// keepScreenshot writes the whole page into the folder that SCREENSHOTS names.
func keepScreenshot(t testing.TB, tab context.Context, name string) {
	t.Helper()
	folder := os.Getenv(screenshotsEnv)
	if folder == "" {
		return
	}
	png, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(folder, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644))
}

func TestEveryPageOfTheDashboardIsLightAndCanBeUsedByEverybody(t *testing.T) {
	r := startDemoProgram(t)
	checker := axe(t)
	status, answer := r.ask("POST", "/api/experiments", `{"name":"Cheaper model","metric":"conversion","margin":0.2,"arms":[
		{"name":"control","weight":50},{"name":"cheap","weight":50,"model":"openai/gpt-5-mini"}]}`)
	require.Less(t, status, 300, answer)
	browser := startBrowser(t)
	for _, page := range dashboardPages {
		t.Run(page.name, func(t *testing.T) {
			tab := newTab(t, browser)
			look(t, tab, "light", 1280)
			address := findPage(t, tab, r.adminURL()+page.path, page.links)
			console := watchConsole(t, tab)
			visit(t, tab, address)
			awaitLive(t, tab)
			load := evaluate[pageLoad](t, tab, loadedJS)
			require.Len(t, load.Headings, 1, "h1")
			assert.NotEmpty(t, load.Headings[0])
			assert.Less(t, load.Bytes, maxPageBytes)
			assert.Empty(t, load.Other)
			assert.Less(t, load.Shift, maxLayoutShift)
			t.Logf("%s: %d bytes, shift %.4f", page.name, load.Bytes, load.Shift)
			for _, scheme := range []string{"light", "dark"} {
				for width, size := range map[int64]string{1280: "wide", 360: "narrow"} {
					look(t, tab, scheme, width)
					assert.Empty(t, evaluate[string](t, tab, overflowJS), "%s %s", scheme, size)
					if width == 1280 {
						assert.Empty(t, evaluate[[]string](t, tab, sidewaysJS), scheme)
					}
					assert.Empty(t, slices.DeleteFunc(evaluate[[]string](t, tab, sidewaysJS), func(table string) bool { return !standing.MatchString(table) }), "%s %s: how budgets stand is read without scrolling", scheme, size)
					keepScreenshot(t, tab, strings.Join([]string{page.name, scheme, size}, "-"))
				}
				paper(t, tab, scheme)
				assert.Empty(t, evaluate[string](t, tab, overflowJS), "%s on paper", scheme)
				assert.Empty(t, evaluate[[]string](t, tab, sidewaysJS), "%s on paper", scheme)
				assert.Empty(t, evaluate[[]string](t, tab, printJS), "%s on paper", scheme)
				keepScreenshot(t, tab, strings.Join([]string{page.name, scheme, "paper"}, "-"))
			}
			assert.Empty(t, console.problems(t))

			look(t, tab, "light", 360)
			visit(t, tab, address)
			awaitLive(t, tab)
			assert.Less(t, evaluate[pageLoad](t, tab, loadedJS).Shift, maxLayoutShift, "narrow")

			// What is folded away is read as well.
			evaluate[chromedp.Void](t, tab, `document.querySelectorAll("details:not(.explain)").forEach(d => { d.open = true; })`)
			look(t, tab, "light", 360)
			assert.Empty(t, evaluate[string](t, tab, overflowJS), "unfolded")
			look(t, tab, "light", 1280)
			evaluate[chromedp.Void](t, tab, checker+";undefined")
			assert.Empty(t, evaluate[[]string](t, tab, axeJS(false)), "light")
			look(t, tab, "dark", 1280)
			assert.Empty(t, evaluate[[]string](t, tab, axeJS(true)), "dark")
			paper(t, tab, "dark")
			assert.Empty(t, evaluate[[]string](t, tab, axeJS(true)), "on paper")
		})
	}
}
