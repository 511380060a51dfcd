package admin

import (
	"net/http"
	"strings"

	"github.com/rs/zerolog"
)

// maxLoginBytes bounds the body of a login.
const maxLoginBytes = 8 << 10

// loginForm shows the page that asks for the token.
func (h *Handler) loginForm(w http.ResponseWriter, r *http.Request) error {
	if h.open {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	return h.renderPage(w, r, http.StatusOK, "login", "Sign in", "")
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
	if !h.isToken(strings.TrimSpace(r.PostForm.Get("token"))) {
		zerolog.Ctx(r.Context()).Warn().Str("remote", r.RemoteAddr).Msg("admin login refused")
		const wrong = "That is not the token. It is the value of BURSAR_ADMIN_TOKEN."
		if !wantsPage(r) {
			return newProblem(http.StatusUnauthorized, wrong)
		}
		return h.renderPage(w, r, http.StatusUnauthorized, "login", "Sign in", wrong)
	}
	http.SetCookie(w, sessionCookie(r, h.sessions.start(), int(sessionLife.Seconds())))
	http.Redirect(w, r, "/", http.StatusSeeOther)
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
		SameSite: http.SameSiteStrictMode,
		// Behind a proxy that ends TLS only this header tells. Who forges it
		// merely loses a cookie of their own.
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	}
}
