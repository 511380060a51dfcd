package proxy

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
)

// target is where calls go.
type target struct {
	scheme, host string
	prefix       string // path of the upstream URL, without a slash at its end
}

func newTarget(upstream *url.URL) target {
	return target{scheme: upstream.Scheme, host: upstream.Host, prefix: strings.TrimRight(upstream.EscapedPath(), "/")}
}

// url makes the upstream URL for a raw request target, byte for byte: no
// path is cleaned, no query parsed, no escape rewritten.
func (t target) url(requestURI string, in *url.URL) *url.URL {
	path, query, hasQuery := strings.Cut(requestURI, "?")
	u := &url.URL{Scheme: t.scheme, Host: t.host, RawQuery: query, ForceQuery: hasQuery && query == ""}
	path = t.prefix + path
	if strings.HasPrefix(path, "//") || !strings.HasPrefix(path, "/") && path != "*" {
		// url.URL reads an opaque part that starts with two slashes as an
		// authority, and the target of a CONNECT is no path at all.
		u.Path, u.RawPath = in.Path, in.RawPath
		if t.prefix != "" {
			u.Path, u.RawPath = t.prefix+in.Path, ""
		}
		if strings.HasPrefix(path, "//") {
			u.RawPath = path
			u.Path, _ = url.PathUnescape(path)
		}
		return u
	}
	u.Opaque = path
	return u
}

// originForm takes scheme and authority off a raw request target in absolute
// form, which a client sends that was told of a forward proxy, and which every
// server has to understand (RFC 9112, 3.2.2): "http://host/api/v1/x?y" is
// "/api/v1/x?y". Every other target stays as it is.
func originForm(requestURI string) string {
	if strings.HasPrefix(requestURI, "/") {
		return requestURI
	}
	_, after, ok := strings.Cut(requestURI, "://")
	if !ok {
		return requestURI
	}
	path := strings.IndexAny(after, "/?")
	if path < 0 {
		return "/"
	}
	if after[path] == '?' {
		return "/" + after[path:]
	}
	return after[path:]
}

// pathOf is the path of a raw request target, unescaped where it can be.
func pathOf(requestURI string) string {
	path, _, _ := strings.Cut(requestURI, "?")
	if unescaped, err := url.PathUnescape(path); err == nil {
		return unescaped
	}
	return path
}

// forwardedHeaders are taken away by ReverseProxy when it has a Rewrite. What
// the client sent goes on; we add none of our own.
var forwardedHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

// rewrite makes the request that asks the upstream for a WebSocket.
func (h *Handler) rewrite(pr *httputil.ProxyRequest) {
	c := callOf(pr.In)
	out := pr.Out
	out.URL = h.target.url(c.requestURI, pr.In.URL)
	out.Host = h.target.host
	setBody(c, out, pr.In.Header)
	delete(out.Header, "Http2-Settings")
	out.Trailer = pr.In.Trailer // filled while the body is read, so the same map
	for _, name := range forwardedHeaders {
		if values, ok := pr.In.Header[name]; ok {
			out.Header[name] = values
		}
	}
	removeTags(out.Header)
	h.setCredentials(out.Header)
	addVia(out.Header, pr.In)
	c.sent = false
}

// addVia adds us to those whom the request has passed.
func addVia(header http.Header, in *http.Request) {
	before, ok := header["Via"]
	if !ok && in.ProtoMajor == 1 && in.ProtoMinor == 1 {
		header["Via"] = viaHTTP11
		return
	}
	header["Via"] = append(before[:len(before):len(before)], strconv.Itoa(in.ProtoMajor)+"."+strconv.Itoa(in.ProtoMinor)+" "+pseudonym)
}

// viaHTTP11 is shared by all requests: nobody adds to it.
var viaHTTP11 = []string{"1.1 " + pseudonym}

// isIdempotent reports whether the client says that its request may be sent
// again. OpenRouter does not promise so.
func isIdempotent(header http.Header) bool {
	return header["Idempotency-Key"] != nil || header["X-Idempotency-Key"] != nil
}

// pseudonym names us in Via. It is the same for every Bursar, so that a loop
// over several replicas is noticed at its second step.
const pseudonym = "bursar"

// isLoop reports whether a Bursar has forwarded the request before.
func isLoop(via []string) bool {
	for _, value := range via {
		for element := range strings.SplitSeq(value, ",") {
			if fields := strings.Fields(element); len(fields) > 1 && strings.EqualFold(fields[1], pseudonym) {
				return true
			}
		}
	}
	return false
}

var _ http.Handler = (*Handler)(nil)
