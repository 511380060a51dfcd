package admin

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// noContentPolicy is the Content-Security-Policy of answers that load nothing;
// a page brings its own.
const noContentPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// secure sets the headers that every answer has.
func (h *Handler) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Cache-Control", "no-store")
		head.Set("Content-Security-Policy", noContentPolicy)
		head.Set("Cross-Origin-Opener-Policy", "same-origin")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("X-Frame-Options", "DENY")
		next.ServeHTTP(w, r)
	})
}

// cors lets the application's origin, and no other, read the API's answers.
func (h *Handler) cors(next http.Handler) http.Handler {
	if h.origin == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/") && r.URL.Path != "/openapi.json" {
			next.ServeHTTP(w, r)
			return
		}
		head := w.Header()
		head.Add("Vary", "Origin")
		if r.Header.Get("Origin") != h.origin {
			next.ServeHTTP(w, r)
			return
		}
		head.Set("Access-Control-Allow-Origin", h.origin)
		head.Set("Access-Control-Allow-Credentials", "true") // of someone signed in
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			next.ServeHTTP(w, r)
			return
		}
		// A preflight carries no credentials, so it is answered before they
		// are asked for.
		head.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
		head.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		head.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
	})
}

// crossOriginProtection refuses what other sites' pages try to change in the
// name of somebody who is signed in here.
func (h *Handler) crossOriginProtection() (func(http.Handler) http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	if h.origin != "" {
		if err := protection.AddTrustedOrigin(h.origin); err != nil {
			return nil, fmt.Errorf("trust APP_URL: %w", err)
		}
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.fail(w, r, newProblem(http.StatusForbidden, "A page of another origin may change nothing here. Set APP_URL to the origin that may."))
	}))
	return protection.Handler, nil
}

// originOf is the origin of an address as a browser sends it: scheme, host, and
// the port unless it is the scheme's own. The origin of "" is "".
func originOf(appURL string) (string, error) {
	if appURL == "" {
		return "", nil
	}
	u, err := url.Parse(appURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return "", fmt.Errorf("APP_URL %q: want an address like https://app.example.com", shown(appURL))
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "" || u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		host = strings.ToLower(u.Hostname())
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
	}
	return u.Scheme + "://" + host, nil
}

// addressedToLoopback reports whether the request's Host is a name of this
// machine's own. A web page can make its own name resolve to 127.0.0.1 and
// then read what is served there, but it cannot send another Host.
func addressedToLoopback(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
