package openroutertest

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// lean is the mode for benchmarks: the answers are rendered once, and each
// request gets a copy with an id of its own in it.
type lean struct {
	answers map[string]leanAnswer // by path
	buffers sync.Pool             // of *bytes.Buffer, for request bodies
}

// leanAnswer is what a path answers.
type leanAnswer struct {
	whole  template
	events []template
}

// template is a text with gaps where the id goes.
type template struct {
	text []byte
	gaps []int
}

func newTemplate(text []byte, id string) template {
	t := template{text: text}
	for from := 0; ; {
		at := bytes.Index(text[from:], []byte(id))
		if at < 0 {
			return t
		}
		t.gaps = append(t.gaps, from+at)
		from += at + len(id)
	}
}

// with is a copy of the text with an id in the gaps.
func (t *template) with(id string) []byte {
	text := bytes.Clone(t.text)
	for _, at := range t.gaps {
		copy(text[at:], id)
	}
	return text
}

// newLean renders the answers of the endpoints that have streams of tokens.
func newLean(s *Server) *lean {
	l := &lean{answers: make(map[string]leanAnswer), buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }}}
	for _, path := range []string{"/api/v1/chat/completions", "/api/v1/completions", "/api/v1/responses", "/api/v1/messages"} {
		l.answers[path] = s.leanAnswer(path)
	}
	return l
}

func (s *Server) leanAnswer(path string) leanAnswer {
	c := &call{
		s: s, skin: inference[path], started: s.opts.Now(), r: &http.Request{Header: http.Header{}},
		body: []byte(strings.Repeat("x", 400)), req: request{Model: "anthropic/claude-sonnet-4.6"},
		b: Behavior{Chunks: cmp.Or(s.opts.LeanChunks, 32)},
	}
	a := c.newAnswer()
	frames := c.skin.head(a)
	for i := range a.units() {
		frames = append(frames, c.skin.piece(a, i))
	}
	frames = append(frames, c.skin.tail(a)...)
	made := leanAnswer{whole: newTemplate(c.render(c.skin.whole(a)), a.id)}
	o := &wire{c: c, a: a}
	for _, f := range frames {
		made.events = append(made.events, newTemplate(o.text(f), a.id))
	}
	return made
}

// serve answers a POST to one of the prepared paths, any others are left to
// the full server.
func (l *lean) serve(w http.ResponseWriter, r *http.Request) bool {
	answer, ok := l.answers[r.URL.Path]
	if !ok || r.Method != http.MethodPost {
		return false
	}
	stream := l.wantsStream(r)
	id := newID("gen-", time.Now())
	h := w.Header()
	h.Set("X-Generation-Id", id)
	if !stream {
		h.Set("Content-Type", "application/json")
		_, _ = w.Write(answer.whole.with(id)) // the client may have left
		return true
	}
	h.Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	for i := range answer.events {
		if _, err := w.Write(answer.events[i].with(id)); err != nil {
			return true
		}
		if err := rc.Flush(); err != nil {
			return true
		}
	}
	return true
}

// wantsStream reads the body and looks for "stream":true in it, as an encoder
// writes it: with or without a space.
func (l *lean) wantsStream(r *http.Request) bool {
	buffer := l.buffers.Get().(*bytes.Buffer)
	defer l.buffers.Put(buffer)
	buffer.Reset()
	if _, err := io.Copy(buffer, r.Body); err != nil {
		return false
	}
	body := buffer.Bytes()
	return bytes.Contains(body, []byte(`"stream":true`)) || bytes.Contains(body, []byte(`"stream": true`))
}
