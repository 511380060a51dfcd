package admin

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

const app = "https://app.example.com"

func withApp(o *Options) { o.AppURL = app + "/costs" }

func TestPagesOfOtherOriginsChangeNothing(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, withApp)
	login := func(headers ...string) *http.Response {
		return request(h, "POST", "/login", form("token", token), append([]string{"Content-Type", formType}, headers...)...)
	}
	for name, headers := range map[string][]string{
		"another site":          {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"a sister site":         {"Sec-Fetch-Site", "same-site", "Origin", "https://other.example.com"},
		"an old browser":        {"Origin", "https://evil.example"},
		"a page in a sandbox":   {"Origin", "null"},
		"the app without TLS":   {"Sec-Fetch-Site", "cross-site", "Origin", "http://app.example.com"},
		"the app, other port":   {"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example.com:444"},
		"a name like the app's": {"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example.com.evil.example"},
	} {
		res := login(headers...)
		require.Empty(t, res.Cookies(), name)
		problemIn(t, res, http.StatusForbidden)
	}
	for name, headers := range map[string][]string{
		"our own page":     {"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8081"},
		"our page in HTTP": {"Origin", "http://127.0.0.1:8081"}, // browsers send no Sec-Fetch-Site there
		"the app":          {"Sec-Fetch-Site", "cross-site", "Origin", app},
		"not a browser":    nil,
		"typed by a human": {"Sec-Fetch-Site", "none"},
	} {
		require.Equal(t, http.StatusSeeOther, login(headers...).StatusCode, name)
	}
}

func TestOnlyTheAppsOriginMayReadAnswers(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, withApp)
	res := get(h, "/api/usage", "Origin", app)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, app, res.Header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, res.Header.Values("Vary"), "Origin")

	res = request(h, "GET", "/api/usage", "", "Origin", app)
	require.Equal(t, app, res.Header.Get("Access-Control-Allow-Origin"), "the app can read why it was refused")
	problemIn(t, res, http.StatusUnauthorized)

	for _, origin := range []string{"https://evil.example", "null", "http://app.example.com", app + ".evil.example", "HTTPS://APP.EXAMPLE.COM"} {
		res = get(h, "/api/usage", "Origin", origin)
		require.Empty(t, res.Header.Get("Access-Control-Allow-Origin"), origin)
		require.Contains(t, res.Header.Values("Vary"), "Origin")
	}
	for _, target := range []string{"/", "/metrics", "/login"} {
		require.Empty(t, get(h, target, "Origin", app).Header.Get("Access-Control-Allow-Origin"), target)
	}
}

func TestAPreflightIsAnsweredToTheAppWithoutCredentials(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, withApp)
	ask := func(origin string) *http.Response {
		return request(h, "OPTIONS", "/api/usage", "", "Origin", origin,
			"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization", "Sec-Fetch-Site", "cross-site")
	}
	res := ask(app)
	require.Equal(t, http.StatusNoContent, res.StatusCode)
	require.Equal(t, app, res.Header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, res.Header.Get("Access-Control-Allow-Headers"), "Authorization")
	require.Contains(t, res.Header.Get("Access-Control-Allow-Methods"), "GET")

	res = ask("https://evil.example")
	require.Empty(t, res.Header.Get("Access-Control-Allow-Origin"))
	problemIn(t, res, http.StatusUnauthorized)
}

func TestWithoutAnAppNoOriginIsAllowed(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	require.Empty(t, get(h, "/api/usage", "Origin", app).Header.Get("Access-Control-Allow-Origin"))
	require.Empty(t, get(h, "/api/usage", "Origin", "").Header.Get("Access-Control-Allow-Origin"))
}

func TestAnOriginIsWhatABrowserWouldSend(t *testing.T) {
	for address, want := range map[string]string{
		"":                              "",
		"https://App.Example.com/a?b#c": "https://app.example.com",
		"https://app.example.com:443":   "https://app.example.com",
		"http://app.example.com:80/":    "http://app.example.com",
		"http://app.example.com:443":    "http://app.example.com:443",
		"http://localhost:3000":         "http://localhost:3000",
		"http://[::1]:3000/":            "http://[::1]:3000",
		"http://[::1]:80/":              "http://[::1]",
		"https://app.example.com:/":     "https://app.example.com",
	} {
		got, err := originOf(address)
		require.NoError(t, err, address)
		require.Equal(t, want, got, address)
	}
	for _, address := range []string{"app.example.com", "ftp://app.example.com", "https://", "https://user:pw@app.example.com", "/", "*", "http://%zz"} {
		_, err := originOf(address)
		require.ErrorContains(t, err, "APP_URL", address)
	}
}
