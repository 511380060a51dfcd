package openrouter

import (
	"bytes"
	"errors"
	"fmt"

	"bursar/accounting"
)

// Limits of what is kept of a request: more names or more problems than that
// are no better than these.
const (
	maxNames    = 64
	maxProblems = 8
	maxName     = 200 // bytes
)

// ReadFacts reads what bounds the price of a call from its whole JSON body, in
// one pass and without a copy of any text. What it cannot bound stands in
// Unbounded with its place in the body: URLs and files, presets, plugins,
// tools without a listed cap, members that matter and are there twice.
//
// An error means that the body is no JSON object, or is nested too deep: then
// nothing is known about the price. Its text quotes nothing of the body.
func ReadFacts(class Class, body []byte) (accounting.RequestFacts, error) {
	r := factsReader{cursor: cursor{body: body}, class: class.Name}
	if r.peek() != '{' {
		return r.facts, errors.New("read request body: it is not a JSON object")
	}
	r.request()
	if r.err == nil && r.peek() != 0 {
		r.fail("something follows the object")
	}
	if r.err != nil {
		return accounting.RequestFacts{}, r.err
	}
	r.finish()
	return r.facts, nil
}

// factsReader fills in the facts of one request.
type factsReader struct {
	cursor
	class string // the name of a [Class]
	facts accounting.RequestFacts

	seen      uint64 // top-level members, by their place in requestMembers
	badLimit  bool   // a limit of completion tokens is there, and cannot be read
	documents int64  // of a rerank
	media     int    // bytes of images and audio

	path  [12]step // to the value at hand
	depth int      // steps of path, also those that do not fit
}

// step is one part of a path: a member and, of an array in it, an element.
type step struct {
	name  string
	index int // -1: the member itself
}

func (r *factsReader) push(name string) {
	if r.depth < len(r.path) {
		r.path[r.depth] = step{name, -1}
	}
	r.depth++
}

func (r *factsReader) pop() { r.depth-- }

// at says that element i of the array at hand comes next.
func (r *factsReader) at(i int) {
	if r.depth <= len(r.path) {
		r.path[r.depth-1].index = i
	}
}

// unbounded notes something without a bound at a member of the value at hand,
// or with an empty name at that value itself.
func (r *factsReader) unbounded(member, reason, remedy string) {
	if len(r.facts.Unbounded) >= maxProblems {
		return
	}
	var field []byte
	for i := range min(r.depth, len(r.path)) {
		if i > 0 {
			field = append(field, '.')
		}
		field = append(field, r.path[i].name...)
		if r.path[i].index >= 0 {
			field = fmt.Appendf(field, "[%d]", r.path[i].index)
		}
	}
	if r.depth > len(r.path) {
		field = append(field, "…"...)
	}
	if member != "" {
		if len(field) > 0 {
			field = append(field, '.')
		}
		field = append(field, member...)
	}
	r.facts.Unbounded = append(r.facts.Unbounded, accounting.Unbounded{Field: string(field), Reason: reason, Remedy: remedy})
}

func (r *factsReader) twice(member string) {
	r.unbounded(member, "is there twice, and which one holds is not known", "send it once")
}

// request reads the top level.
func (r *factsReader) request() {
	for more := r.enterObject(); more; more = r.nextMember() {
		i, known := requestMembers[string(r.key)]
		if !known {
			r.skip()
			continue
		}
		m := &requestReaders[i]
		if r.seen&(1<<i) != 0 {
			r.facts.AnyModel = r.facts.AnyModel || m.name == "model" || m.name == "models" || m.name == "fallbacks"
			r.twice(m.name)
		}
		r.seen |= 1 << i
		if r.null() { // as if it were left out
			continue
		}
		m.read(r, m.name)
	}
}

// finish derives what only the whole body tells.
func (r *factsReader) finish() {
	f := &r.facts
	f.TextBytes = int64(len(r.body) - r.space - r.media)
	f.HourCache = mayCacheForAnHour(r.body)
	if r.badLimit {
		f.MaxTokens = accounting.Optional[int64]{}
	}
	switch r.class {
	case "chat/completions", "completions", "responses", "messages":
	case "embeddings":
		f.NoCompletion = true
	case "rerank":
		// A search unit is up to 100 documents, and a long document counts as
		// several: no more than it has bytes.
		f.Units = true
		f.N = (r.documents+f.TextBytes)/100 + 1
	case "images", "audio/speech", "audio/transcriptions", "videos":
		f.Units = true
	default:
		r.depth = 0
		r.unbounded("the endpoint", "is one whose prices are not known here", "call another one")
	}
}

// mayCacheForAnHour looks for the members that ask for a long-lived cache,
// wherever they stand. Nobody spells letters as \u00xx without a reason.
func mayCacheForAnHour(body []byte) bool {
	if bytes.Contains(body, []byte(`"ttl"`)) || bytes.Contains(body, []byte("prompt_cache_retention")) {
		return true
	}
	if !bytes.Contains(body, []byte(`\u00`)) {
		return false
	}
	return bytes.Contains(body, []byte(`\u005`)) || bytes.Contains(body, []byte(`\u006`)) || bytes.Contains(body, []byte(`\u007`))
}
