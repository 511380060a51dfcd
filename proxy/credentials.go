package proxy

import (
	"crypto/sha256"
	"net/http"
	"strings"
)

// tokenSet holds the tokens that clients may present, by their hash, so that
// the time a look-up takes says nothing about them.
type tokenSet map[[sha256.Size]byte]struct{}

func newTokenSet(tokens []string) tokenSet {
	set := tokenSet{}
	for _, token := range tokens {
		if token != "" {
			set[sha256.Sum256([]byte(token))] = struct{}{}
		}
	}
	return set
}

func (s tokenSet) has(token string) bool {
	if token == "" || len(s) == 0 {
		return false
	}
	_, ok := s[sha256.Sum256([]byte(token))]
	return ok
}

// authorize checks the client's token, if tokens are configured, and returns
// the key with which the call will reach OpenRouter.
func (h *Handler) authorize(r *http.Request, _ *call) (key string, ok bool) {
	bearer, apiKey := bearerOf(r.Header), r.Header.Get("X-Api-Key")
	if len(h.tokens) > 0 {
		bearerIsToken, apiKeyIsToken := h.tokens.has(bearer), h.tokens.has(apiKey)
		if !bearerIsToken && !apiKeyIsToken {
			return "", false
		}
		if bearerIsToken {
			bearer = ""
		}
		if apiKeyIsToken {
			apiKey = ""
		}
	}
	switch {
	case h.opts.APIKey != "":
		return h.opts.APIKey, true
	case bearer != "":
		return bearer, true
	}
	return apiKey, true
}

// setCredentials leaves upstream exactly one party's credentials: the
// injected key in place of whatever the client sent, or the client's own
// without our token.
func (h *Handler) setCredentials(header http.Header) {
	if h.authorization != nil {
		delete(header, "X-Api-Key")
		header["Authorization"] = h.authorization
		return
	}
	if h.tokens.has(bearerOf(header)) {
		delete(header, "Authorization")
	}
	if h.tokens.has(header.Get("X-Api-Key")) {
		delete(header, "X-Api-Key")
	}
}

func bearerOf(header http.Header) string {
	scheme, token, ok := strings.Cut(header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
