package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// cookieName is the login cookie.
const cookieName = "bursar_session"

// authenticate lets a request pass that shows the token, or a session that was
// opened with it. Without a token it lets pass what is addressed to loopback.
func (h *Handler) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case openPaths[r.URL.Path]:
			next.ServeHTTP(w, r)
		case h.open && !addressedToLoopback(r):
			h.fail(w, r, newProblem(http.StatusMisdirectedRequest,
				"Without BURSAR_ADMIN_TOKEN the admin port answers only to localhost and loopback addresses, not to the name %s.", shown(r.Host)))
		case h.open || h.authenticated(r):
			next.ServeHTTP(w, r)
		case wantsPage(r) && r.Method == http.MethodGet:
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="bursar"`)
			h.fail(w, r, newProblem(http.StatusUnauthorized,
				`Send the token of BURSAR_ADMIN_TOKEN as "Authorization: Bearer …", or sign in at /login.`))
		}
	})
}

// authenticated reports whether the request shows the token or a live session.
// An Authorization header decides alone: a wrong one is not saved by a cookie.
func (h *Handler) authenticated(r *http.Request) bool {
	if values := r.Header.Values("Authorization"); len(values) > 0 {
		scheme, token, _ := strings.Cut(values[0], " ")
		return len(values) == 1 && strings.EqualFold(scheme, "Bearer") && h.isToken(strings.TrimSpace(token))
	}
	cookie, err := r.Cookie(cookieName)
	return err == nil && h.sessions.live(cookie.Value)
}

// isToken compares in a time that tells neither the token nor its length.
func (h *Handler) isToken(candidate string) bool {
	sum := sha256.Sum256([]byte(candidate))
	return !h.open && subtle.ConstantTimeCompare(sum[:], h.token[:]) == 1
}
