package openroutertest

import (
	"encoding/json"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
)

// vocabulary is what completions are made of: a word is a token, and a chunk of
// a stream. Some have runes of two, three and four bytes, and characters that
// JSON escapes.
var vocabulary = []string{
	"We", " noticed", " that", " your", " team", " sends", " a", " great", " many", " emails",
	" and", " would", " like", " to", " show", " you", " how", " others", " naïve", " café",
	" 東京", " 🚀", " \"quoted\"", " C:\\path", ".\n", " €5", " <b>", " &", " data: ", " Zürich",
}

// toolCall is a call of a function, its arguments in pieces of a token each.
type toolCall struct {
	id     string
	name   string
	pieces []string
}

func (t *toolCall) arguments() string { return strings.Join(t.pieces, "") }

// draw is the number from which everything about an answer follows.
func draw(seed uint64, model string, body []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(model)) // a hash takes everything
	_, _ = h.Write(body)
	return h.Sum64() ^ seed
}

// words is a completion of n pieces, each of at least size bytes.
func words(source uint64, n, size int) []string {
	random := rand.New(rand.NewPCG(source, uint64(n)))
	pieces := make([]string, n)
	for i := range pieces {
		piece := vocabulary[random.IntN(len(vocabulary))]
		if short := size - len(piece); short > 0 {
			piece += strings.Repeat("x", short)
		}
		pieces[i] = piece
	}
	return pieces
}

// inPieces cuts s where a tokenizer might: every six bytes, at a rune.
func inPieces(s string) []string {
	var pieces []string
	start := 0
	for i := range s {
		if i-start >= 6 {
			pieces = append(pieces, s[start:i])
			start = i
		}
	}
	return append(pieces, s[start:])
}

// schema is the part of JSON Schema that a sample is made from.
type schema struct {
	Type       any // a name or a list of names
	Enum       []json.RawMessage
	Const      json.RawMessage
	Properties map[string]json.RawMessage
	Items      json.RawMessage
	AnyOf      []json.RawMessage
}

// sampleOf is a JSON value that fits a schema, with all its properties.
func sampleOf(text json.RawMessage) string {
	var s schema
	if len(text) > 0 && json.Unmarshal(text, &s) != nil {
		return "{}"
	}
	switch {
	case len(s.Const) > 0:
		return string(s.Const)
	case len(s.Enum) > 0:
		return string(s.Enum[0])
	case len(s.AnyOf) > 0:
		return sampleOf(s.AnyOf[0])
	}
	switch s.kind() {
	case "string":
		return `"Zürich"`
	case "integer", "number":
		return "7"
	case "boolean":
		return "true"
	case "null":
		return "null"
	case "array":
		return "[" + sampleOf(s.Items) + "]"
	default:
		return s.object()
	}
}

func (s *schema) kind() string {
	switch t := s.Type.(type) {
	case string:
		return t
	case []any:
		if len(t) > 0 {
			name, _ := t[0].(string)
			return name
		}
	}
	return "object"
}

func (s *schema) object() string {
	var names []string
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	var b []byte
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, name)
		b = append(b, ':')
		b = append(b, sampleOf(s.Properties[name])...)
	}
	return "{" + string(b) + "}"
}
