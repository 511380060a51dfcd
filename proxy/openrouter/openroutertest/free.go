package openroutertest

import (
	"net/http"
	"strings"
)

// get answers everything that is read. Nothing here makes a generation.
func (s *Server) get(w http.ResponseWriter, r *http.Request, p string) {
	key, query := keyOf(r), r.URL.Query()
	rest, _ := strings.CutPrefix(p, "/api/v1/")
	switch rest {
	case "generation":
		s.getGeneration(w, r)
	case "models", "models/user", "embeddings/models", "images/models", "videos/models":
		w.Header().Set("Cache-Control", "public, max-age=300")
		writeJSON(w, http.StatusOK, s.modelList(outputOf(rest, query.Get("output_modalities"))))
	case "models/count":
		writeJSON(w, http.StatusOK, object{{"data", object{{"count", len(s.prices.models)}}}})
	case "providers":
		writeJSON(w, http.StatusOK, object{{"data", list{object{{"name", "Anthropic"}, {"slug", "anthropic"}}}}})
	case "key", "auth/key":
		guarded(w, s.known(key), func() object { return s.keyInfo(key) })
	case "credits":
		guarded(w, s.mayManage(key), s.credits)
	case "keys":
		guarded(w, s.mayManage(key), s.keys)
	case "activity":
		guarded(w, s.mayManage(key), func() object { return s.activity(query) })
	case "credits/coinbase":
		writeJSON(w, http.StatusGone, newError(http.StatusGone, "The Coinbase API is gone").envelope())
	default:
		s.getOne(w, r, p)
	}
}

// outputOf is what kind of models a list holds.
func outputOf(rest, asked string) string {
	switch rest {
	case "embeddings/models":
		return "embeddings"
	case "images/models":
		return "image"
	case "videos/models":
		return "video"
	default:
		return asked
	}
}

// getOne answers the paths that name something.
func (s *Server) getOne(w http.ResponseWriter, r *http.Request, p string) {
	switch {
	case matches("/api/v1/models/*/*/endpoints", p):
		id := strings.TrimSuffix(strings.TrimPrefix(p, "/api/v1/models/"), "/endpoints")
		s.getModel(w, id, (*Model).endpoints)
	case matches("/api/v1/model/*/*", p):
		s.getModel(w, strings.TrimPrefix(p, "/api/v1/model/"), func(m *Model) object { return object{{"data", m.listed()}} })
	case matches("/api/v1/videos/*", p), matches("/api/v1/videos/*/content", p):
		s.getVideo(w, r, p)
	case matches("/api/beta/batches/*", p), matches("/api/v1/batches/*", p):
		s.getBatch(w, r, p[strings.LastIndexByte(p, '/')+1:])
	default:
		notFound(w)
	}
}

func (s *Server) getModel(w http.ResponseWriter, id string, doc func(*Model) object) {
	m, ok := s.prices.byID[id]
	if !ok {
		notFound(w)
		return
	}
	writeJSON(w, http.StatusOK, doc(m))
}

// postFree answers the POSTs that make no generation, look-alikes among them.
func (s *Server) postFree(w http.ResponseWriter, r *http.Request, p string) {
	body, err := readBody(r)
	if err != nil {
		s.aborted.Add(1)
		panic(http.ErrAbortHandler) // the client left: nobody reads an answer
	}
	if !s.behaves(w, r, body) {
		return
	}
	key := keyOf(r)
	switch {
	case p == "/api/v1/messages/count_tokens":
		guarded(w, s.known(key), func() object { return object{{"input_tokens", (len(body) + 3) / 4}} })
	case p == "/api/v1/generation/feedback":
		guarded(w, s.known(key), func() object { return object{{"data", object{{"success", true}}}} })
	case p == "/api/v1/analytics/query":
		doc, e := s.analytics(body)
		if denied := s.mayManage(key); denied != nil {
			e = denied
		}
		guarded(w, e, func() object { return doc })
	case matches("/api/v1/presets/*/chat/completions", p), matches("/api/v1/presets/*/messages", p), matches("/api/v1/presets/*/responses", p):
		guarded(w, s.known(key), func() object {
			return object{{"data", object{{"id", "preset-1"}, {"slug", strings.Split(p, "/")[4]}, {"version", 1}}}}
		})
	default:
		notFound(w)
	}
}
