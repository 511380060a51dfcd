package main

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// browserPatience bounds what a test does in one tab, so that a page that
// hangs ends the test and not the run.
const browserPatience = 5 * time.Minute

// browserFlags keep Chromium to the page under test: it may run as root and
// without a GPU, asks nobody for updates, and finds no host but this machine.
var browserFlags = []chromedp.ExecAllocatorOption{
	chromedp.NoSandbox,
	chromedp.DisableGPU,
	chromedp.Flag("disable-quic", true),
	chromedp.Flag("disable-component-update", true),
	chromedp.Flag("no-proxy-server", true),
	chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"),
	chromedp.WindowSize(1280, 900),
}

// startBrowser starts a headless Chromium with an empty profile, and returns
// the context of its tab for [chromedp.Do] and [chromedp.Run]. The browser ends
// with the test. Options come after browserFlags and may change them, as
// chromedp.WindowSize does.
func startBrowser(t testing.TB, options ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	all := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(needChromium(t)), chromedp.WSURLReadTimeout(time.Minute))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(append(all, browserFlags...), options...)...)
	t.Cleanup(cancel)
	return startTab(t, allocator)
}

// newTab opens a tab in the browser of another, without its cookies and storage.
func newTab(t testing.TB, browser context.Context) context.Context {
	t.Helper()
	return startTab(t, browser, chromedp.WithNewBrowserContext())
}

func startTab(t testing.TB, parent context.Context, options ...chromedp.ContextOption) context.Context {
	t.Helper()
	tab, cancel := chromedp.NewContext(parent, options...)
	t.Cleanup(func() {
		// Closed by a command, so that the profile can be removed; a browser
		// that does not follow is killed.
		closing, stop := context.WithTimeout(tab, 10*time.Second)
		defer stop()
		_ = chromedp.Cancel(closing)
		cancel()
	})
	// The first command starts the browser, which lives as long as its context.
	require.NoError(t, chromedp.Do(tab), "start Chromium")
	patient, stop := context.WithTimeout(tab, browserPatience)
	t.Cleanup(stop)
	return patient
}

// needChromium finds the browser.
func needChromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("the tests in a browser need Chromium on the PATH: run make setup")
	return ""
}

// tabConsole is what a page has said, in its own words and by the browser:
// errors nobody caught, refused requests, violations of the content policy.
type tabConsole struct {
	tab   context.Context
	next  func() (chromedp.ConsoleMessage, error, bool)
	marks int
}

// watchConsole begins to listen to a tab. What is said before is lost.
func watchConsole(t testing.TB, tab context.Context) *tabConsole {
	t.Helper()
	next, stop := iter.Pull2(chromedp.Console(tab))
	t.Cleanup(stop)
	return &tabConsole{tab: tab, next: next}
}

// problems are the warnings, errors and exceptions since it was last asked.
func (c *tabConsole) problems(t testing.TB) []string {
	t.Helper()
	c.marks++
	mark := fmt.Sprintf("mark %d of the test", c.marks)
	require.NoError(t, chromedp.Do(c.tab, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("console.debug(%q)", mark))))
	var found []string
	for {
		message, err, ok := c.next()
		require.True(t, ok, "the tab is gone")
		require.NoError(t, err)
		switch message.Type {
		case chromedp.ConsoleWarning, chromedp.ConsoleError, chromedp.ConsoleException:
			found = append(found, message.String())
		}
		if message.Text == mark {
			return found
		}
	}
}

func TestABrowserReachesThisMachineOnlyAndTellsWhatWentWrong(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src *")
		_, _ = fmt.Fprint(w, `<!doctype html><title>a page</title><script>alert(1)</script><p id="p">text</p>`)
	}))
	t.Cleanup(server.Close)
	tab := startBrowser(t)
	console := watchConsole(t, tab)

	require.NoError(t, chromedp.Do(tab, chromedp.Navigate(server.URL)))
	text, err := chromedp.Run(tab, chromedp.Text(chromedp.CSS("#p")))
	require.NoError(t, err)
	assert.Equal(t, "text", text)
	problems := console.problems(t)
	require.Len(t, problems, 1)
	assert.Contains(t, problems[0], "Content Security Policy")
	assert.Empty(t, console.problems(t), "each is told once")

	outside, err := chromedp.Run(tab, chromedp.Evaluate[string](
		`new Promise(done => { const i = new Image(); i.onload = () => done("loaded"); i.onerror = () => done("refused"); i.src = "http://bursar.example/"; })`,
		chromedp.EvalAwaitPromise))
	require.NoError(t, err)
	assert.Equal(t, "refused", outside)
	problems = console.problems(t)
	require.Len(t, problems, 1)
	assert.Contains(t, problems[0], "ERR_NAME_NOT_RESOLVED")
}

func TestATabOfItsOwnSharesNoCookies(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "visited", Value: "yes"})
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, "<!doctype html><title>%d</title>", len(r.Cookies()))
	}))
	t.Cleanup(server.Close)
	first := startBrowser(t)
	second := newTab(t, first)
	for visit, want := range []struct {
		tab     context.Context
		cookies string
	}{{first, "0"}, {first, "1"}, {second, "0"}} {
		require.NoError(t, chromedp.Do(want.tab, chromedp.Navigate(server.URL)))
		title, err := chromedp.Run(want.tab, chromedp.Title())
		require.NoError(t, err)
		assert.Equal(t, want.cookies, title, "visit %d", visit)
	}
}
