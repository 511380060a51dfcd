package openroutertest

import (
	"net/http"
	"path"
)

// inference are the paths whose POST makes a generation at once.
var inference = map[string]*skin{
	"/api/v1/chat/completions":     chatSkin,
	"/api/v1/systemone":            chatSkin,
	"/api/v1/completions":          textSkin,
	"/api/v1/responses":            responsesSkin,
	"/api/v1/messages":             messagesSkin,
	"/api/v1/embeddings":           embeddingsSkin,
	"/api/v1/rerank":               rerankSkin,
	"/api/v1/images":               imagesSkin,
	"/api/v1/audio/speech":         speechSkin,
	"/api/v1/audio/transcriptions": transcriptionSkin,
	"/api/alpha/decisions":         decisionsSkin,
	"/api/v1/holograms":            hologramSkin,
}

// route answers every path but /echo.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	p := r.URL.Path
	switch r.Method {
	case http.MethodOptions:
		w.Header().Set("Access-Control-Allow-Methods", "GET,POST,PUT,PATCH,DELETE,OPTIONS")
		w.Header().Set("Access-Control-Allow-Headers", "*")
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPost:
		s.post(w, r, p)
	case http.MethodGet, http.MethodHead:
		if s.behaves(w, r, nil) {
			s.get(w, r, p)
		}
	default:
		notFound(w)
	}
}

func (s *Server) post(w http.ResponseWriter, r *http.Request, p string) {
	sk := inference[p]
	if matches("/api/v1/interns/*/chat/completions", p) {
		sk = internSkin
	}
	switch {
	case sk != nil:
		if c, ok := s.newCall(w, r, sk); ok {
			c.generate()
		}
	case p == "/api/v1/videos":
		s.makeVideo(w, r)
	case p == "/api/beta/batches" || p == "/api/v1/batches":
		s.makeBatch(w, r)
	default:
		s.postFree(w, r, p)
	}
}

// behaves does on a free endpoint what a Behavior can say about one: Status,
// HTML, Delay, and the faults before the headers. It reports whether the
// request is still to be answered.
func (s *Server) behaves(w http.ResponseWriter, r *http.Request, body []byte) bool {
	c := &call{s: s, w: w, r: r, skin: chatSkin, started: s.opts.Now()}
	if c.b, c.bad = s.behavior(r, body); c.bad != nil {
		c.fail(newError(http.StatusBadRequest, c.bad.Error()))
		return false
	}
	if c.wait(c.b.Delay) != nil {
		s.aborted.Add(1)
		return false
	}
	switch {
	case c.b.Status != 0 || c.b.HTML:
		c.refuse()
		return false
	case c.b.Fault == CutBeforeHeaders || c.b.Fault == LoseAnswer:
		panic(http.ErrAbortHandler)
	case c.b.Fault == HangBeforeHeaders:
		<-r.Context().Done()
		s.aborted.Add(1)
		return false
	}
	return true
}

// matches reports whether p has the form of a pattern of package path.
func matches(pattern, p string) bool {
	ok, _ := path.Match(pattern, p) // the patterns are constants and well-formed
	return ok
}

func notFound(w http.ResponseWriter) {
	writeJSON(w, http.StatusNotFound, newError(http.StatusNotFound, "Not Found").envelope())
}
