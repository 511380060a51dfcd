package admin

import (
	"net/http"
	"strings"
	"unicode"

	"github.com/rs/zerolog"
)

// maxLoginBytes bounds the body of a login.
const maxLoginBytes = 8 << 10

// loginContent is what the page that asks for the token shows.
type loginContent struct {
	Wrong string // what was wrong with the last try
	Back  string // where to go afterwards
}

// loginPath is the address of the login that leads back to what was asked for.
func loginPath(r *http.Request) string {
	if r.URL.Path == "/" {
		return "/login"
	}
	return "/login" + query("back", r.URL.RequestURI())
}

// ownPath is an address of ours to go to, "/" if back is none.
func ownPath(back string) string {
	// "//host" and "/\host" are other hosts to a browser, which passes over tabs
	// and ends of lines.
	if !strings.HasPrefix(back, "/") || strings.HasPrefix(back, "//") || strings.HasPrefix(back, `/\`) || strings.ContainsFunc(back, unicode.IsControl) {
		return "/"
	}
	return back
}

// loginForm shows the page that asks for the token, or goes on for somebody who
// has signed in.
func (h *Handler) loginForm(w http.ResponseWriter, r *http.Request) error {
	back := ownPath(r.URL.Query().Get("back"))
	if h.open || h.actor(r) != "" {
		http.Redirect(w, r, back, http.StatusSeeOther)
		return nil
	}
	return h.renderPage(w, r, http.StatusOK, "login", "Sign in", loginContent{Back: back})
}

// login exchanges the token for a cookie.
func (h *Handler) login(w http.ResponseWriter, r *http.Request) error {
	if h.open {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxLoginBytes)
	if err := r.ParseForm(); err != nil {
		return newProblem(http.StatusBadRequest, "The login form could not be read: send token=… as a form of at most %d bytes.", maxLoginBytes)
	}
	// PostForm, not Form: a token in the address would end up in histories
	// and logs.
	back := ownPath(r.PostForm.Get("back"))
	if !h.isToken(strings.TrimSpace(r.PostForm.Get("token"))) {
		zerolog.Ctx(r.Context()).Warn().Str("remote", r.RemoteAddr).Msg("admin login refused")
		const wrong = "That is not the token. It is the value of BURSAR_ADMIN_TOKEN."
		if !wantsPage(r) {
			return newProblem(http.StatusUnauthorized, wrong)
		}
		return h.renderPage(w, r, http.StatusUnauthorized, "login", "Sign in", loginContent{Wrong: wrong, Back: back})
	}
	http.SetCookie(w, sessionCookie(r, h.sessions.start(), int(sessionLife.Seconds())))
	http.Redirect(w, r, back, http.StatusSeeOther)
	return nil
}

// logout ends the session of the cookie, here and in the browser.
func (h *Handler) logout(w http.ResponseWriter, r *http.Request) error {
	if cookie, err := r.Cookie(cookieName); err == nil {
		h.sessions.end(cookie.Value)
	}
	http.SetCookie(w, sessionCookie(r, "", -1))
	http.Redirect(w, r, "/login", http.StatusSeeOther)
	return nil
}

// sessionCookie is the login cookie, for maxAge seconds.
func sessionCookie(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name:     cookieName,
		Value:    value,
		Path:     "/",
		MaxAge:   maxAge,
		HttpOnly: true,
		// Strict would ask somebody who is signed in for the token again after
		// each link in a mail. What changes something is refused to other sites
		// by where it comes from.
		SameSite: http.SameSiteLaxMode,
		// Behind a proxy that ends TLS only this header tells. Who forges it
		// merely loses a cookie of their own.
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	}
}
