package admin

import (
	"context"
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
		actor := "loopback"
		if !h.open {
			actor = h.actor(r)
		}
		switch {
		case openPaths[r.URL.Path] || strings.HasPrefix(r.URL.Path, "/assets/"):
			next.ServeHTTP(w, r)
		case h.open && !addressedToLoopback(r):
			h.fail(w, r, newProblem(http.StatusMisdirectedRequest,
				"Without BURSAR_ADMIN_TOKEN the admin port answers only to localhost and loopback addresses, not to the name %s.", shown(r.Host)))
		case actor != "":
			next.ServeHTTP(w, withActor(r, actor))
		case wantsPage(r) && r.Method == http.MethodGet:
			http.Redirect(w, r, loginPath(r), http.StatusSeeOther)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="bursar"`)
			h.fail(w, r, newProblem(http.StatusUnauthorized,
				`Send the token of BURSAR_ADMIN_TOKEN as "Authorization: Bearer …", or sign in at /login.`))
		}
	})
}

// actor names who shows the token or a live session, for the audit log; "" is
// nobody. An Authorization header decides alone: a wrong one is not saved by a
// cookie.
func (h *Handler) actor(r *http.Request) string {
	if values := r.Header.Values("Authorization"); len(values) > 0 {
		scheme, token, _ := strings.Cut(values[0], " ")
		if len(values) == 1 && strings.EqualFold(scheme, "Bearer") && h.isToken(strings.TrimSpace(token)) {
			return "admin token"
		}
		return ""
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil || !h.sessions.live(cookie.Value) {
		return ""
	}
	return "session " + sessionName(cookie.Value)
}

// actorKey is the context's key for who made a request.
type actorKey struct{}

func withActor(r *http.Request, actor string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), actorKey{}, actor))
}

// actorOf names who made the request of ctx.
func actorOf(ctx context.Context) string {
	actor, _ := ctx.Value(actorKey{}).(string)
	return actor
}

// isToken compares in a time that tells neither the token nor its length.
func (h *Handler) isToken(candidate string) bool {
	sum := sha256.Sum256([]byte(candidate))
	return !h.open && subtle.ConstantTimeCompare(sum[:], h.token[:]) == 1
}
