package admin

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const formType = "application/x-www-form-urlencoded"

// signIn returns the session cookie of a login.
func signIn(t *testing.T, h *Handler) *http.Cookie {
	t.Helper()
	res := request(h, "POST", "/login", form("token", token), "Content-Type", formType)
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	require.Equal(t, "/", res.Header.Get("Location"))
	require.Len(t, res.Cookies(), 1)
	return res.Cookies()[0]
}

func TestWhatNeedsTheTokenAndWhatDoesNot(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	cookie := cookieName + "=" + signIn(t, h).Value
	closed := []string{"/", "/api/usage", "/metrics", "/nothing", "/api/", "/api/usage/"}
	open := []string{"/healthz", "/readyz", "/openapi.json", "/login"}
	refused := map[string][]string{
		"nothing":                             nil,
		"a wrong token":                       {"Authorization", "Bearer not-the-token"},
		"an empty token":                      {"Authorization", "Bearer "},
		"a part of the token":                 {"Authorization", "Bearer " + token[:5]},
		"another scheme":                      {"Authorization", "Basic " + token},
		"no scheme":                           {"Authorization", token},
		"two tokens":                          {"Authorization", "Bearer " + token, "Authorization", "Bearer " + token},
		"an unknown session":                  {"Cookie", cookieName + "=AAAAAAAAAAAAAAAAAAAAAAAAAA"},
		"an empty session":                    {"Cookie", cookieName + "="},
		"the token as session":                {"Cookie", cookieName + "=" + token},
		"a wrong token beside a live session": {"Authorization", "Bearer no", "Cookie", cookie},
	}
	for _, target := range closed {
		for name, headers := range refused {
			res := request(h, "GET", target, "", headers...)
			require.Equal(t, `Bearer realm="bursar"`, res.Header.Get("WWW-Authenticate"), "%s with %s", target, name)
			problemIn(t, res, http.StatusUnauthorized)
		}
		for _, headers := range [][]string{{"Authorization", "Bearer " + token}, {"Authorization", "bearer " + token}, {"Cookie", cookie}} {
			res := request(h, "GET", target, "", headers...)
			require.NotEqual(t, http.StatusUnauthorized, res.StatusCode, "%s with %v", target, headers)
		}
	}
	for _, target := range open {
		require.Equal(t, http.StatusOK, request(h, "GET", target, "").StatusCode, target)
	}
}

func TestTheTokenIsNotTakenFromTheAddress(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	res := request(h, "POST", "/login?"+form("token", token), "", "Content-Type", formType)
	require.Empty(t, res.Cookies())
	problemIn(t, res, http.StatusUnauthorized)
}

func TestABrowserWithoutASessionIsSentToTheLogin(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	res := request(h, "GET", "/", "", "Accept", "text/html,*/*;q=0.8")
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	require.Equal(t, "/login", res.Header.Get("Location"))

	problemIn(t, request(h, "GET", "/api/usage", "", "Accept", "text/html"), http.StatusUnauthorized)
}

func TestTheLoginLeadsBackToOurOwnPagesOnly(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	const page, encoded = "/calls?campaign_id=q4&model=a%2Fb", "/login?back=%2Fcalls%3Fcampaign_id%3Dq4%26model%3Da%252Fb"
	res := request(h, "GET", page, "", "Accept", "text/html")
	require.Equal(t, encoded, res.Header.Get("Location"))
	body := bodyOf(t, request(h, "GET", encoded, "", "Accept", "text/html"))
	require.Contains(t, body, `name="back" value="/calls?campaign_id=q4&amp;model=a%2Fb"`)
	body = bodyOf(t, request(h, "POST", "/login", form("token", "no")+"&"+form("back", page), "Content-Type", formType, "Accept", "text/html"))
	require.Contains(t, body, `name="back" value="/calls?campaign_id=q4&amp;model=a%2Fb"`, "a wrong token does not lose the way")

	cookie := cookieName + "=" + signIn(t, h).Value
	for back, want := range map[string]string{
		page: page, "/budgets#stops": "/budgets#stops", "": "/", "//evil.example": "/", `/\evil.example`: "/",
		"https://evil.example": "/", "/\t/evil.example": "/", "evil.example": "/",
	} {
		res := request(h, "POST", "/login", form("token", token)+"&"+form("back", back), "Content-Type", formType)
		require.Equal(t, want, res.Header.Get("Location"), back)
		res = request(h, "GET", "/login?"+form("back", back), "", "Cookie", cookie)
		require.Equal(t, want, res.Header.Get("Location"), "somebody who is signed in is not asked again: %q", back)
	}
}

func TestTheLoginCookieIsKeptFromScriptsAndOtherSites(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	cookie := signIn(t, h)
	require.True(t, cookie.HttpOnly)
	require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
	require.Equal(t, "/", cookie.Path)
	require.Equal(t, int(sessionLife.Seconds()), cookie.MaxAge)
	require.False(t, cookie.Secure, "plain HTTP on loopback could not send it back")
	require.NotContains(t, cookie.Value, token)
	require.NotEqual(t, cookie.Value, signIn(t, h).Value)

	res := request(h, "POST", "/login", form("token", token), "Content-Type", formType, "X-Forwarded-Proto", "https")
	require.True(t, res.Cookies()[0].Secure)
}

func TestAWrongTokenIsToldAndOpensNothing(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	res := request(h, "POST", "/login", form("token", "<script>"), "Content-Type", formType, "Accept", "text/html")
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	require.Empty(t, res.Cookies())
	body := bodyOf(t, res)
	require.Contains(t, body, "That is not the token")
	require.NotContains(t, body, "<script>", "what was typed is not repeated")
}

func TestALoginBodyIsBounded(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	res := request(h, "POST", "/login", form("token", strings.Repeat("x", 2*maxLoginBytes)), "Content-Type", formType)
	problemIn(t, res, http.StatusBadRequest)
}

func TestLogoutEndsTheSessionHereAndInTheBrowser(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, nil)
	cookie := cookieName + "=" + signIn(t, h).Value
	require.Equal(t, http.StatusOK, request(h, "GET", "/api/usage", "", "Cookie", cookie).StatusCode)

	problemIn(t, request(h, "GET", "/logout", "", "Cookie", cookie), http.StatusMethodNotAllowed)
	require.Equal(t, http.StatusOK, request(h, "GET", "/api/usage", "", "Cookie", cookie).StatusCode, "a link cannot sign anybody out")

	res := request(h, "POST", "/logout", "", "Cookie", cookie)
	require.Equal(t, "/login", res.Header.Get("Location"))
	require.Negative(t, res.Cookies()[0].MaxAge)
	require.Equal(t, http.StatusUnauthorized, request(h, "GET", "/api/usage", "", "Cookie", cookie).StatusCode)
}

func TestASessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(time.Hour, 10)
		secret := s.start()
		time.Sleep(time.Hour - time.Second)
		require.True(t, s.live(secret))
		time.Sleep(time.Second)
		require.False(t, s.live(secret))
		require.Empty(t, s.ends, "and is forgotten")
	})
}

func TestSessionsAreBoundedAndTheOldestGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(time.Hour, 3)
		var secrets []string
		for range 4 {
			secrets = append(secrets, s.start())
			time.Sleep(time.Minute)
		}
		require.Len(t, s.ends, 3)
		require.False(t, s.live(secrets[0]))
		for _, secret := range secrets[1:] {
			require.True(t, s.live(secret))
		}

		time.Sleep(2 * time.Hour)
		last := s.start()
		require.Len(t, s.ends, 1, "those that have ended go first")
		require.True(t, s.live(last))
	})
}

func TestWithoutATokenAllIsOpenToLoopbackOnly(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, func(o *Options) { o.Token = "" })
	for _, host := range []string{"127.0.0.1:8081", "localhost:8081", "LOCALHOST", "bursar.localhost:8081", "[::1]:8081", "[::1]", "127.9.9.9", "localhost."} {
		for _, target := range []string{"/calls", "/api/usage", "/metrics"} {
			require.Equal(t, http.StatusOK, request(h, "GET", target, "", "Host", host).StatusCode, "%s of %s", target, host)
		}
	}
	for _, host := range []string{"evil.example", "evil.example:8081", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil.example", ""} {
		p := problemIn(t, request(h, "GET", "/api/usage", "", "Host", host), http.StatusMisdirectedRequest)
		require.Contains(t, p.Detail, "BURSAR_ADMIN_TOKEN")
	}
	require.Equal(t, http.StatusOK, request(h, "GET", "/healthz", "", "Host", "10.0.0.1").StatusCode)
}

func TestWithoutATokenThereIsNothingToSignInTo(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, func(o *Options) { o.Token = "" })
	for _, method := range []string{"GET", "POST"} {
		res := request(h, method, "/login", form("token", ""), "Content-Type", formType)
		require.Equal(t, http.StatusSeeOther, res.StatusCode)
		require.Empty(t, res.Cookies())
	}
	require.NotContains(t, bodyOf(t, request(h, "GET", "/calls", "")), "Sign out")
	require.False(t, h.isToken(""))
}
