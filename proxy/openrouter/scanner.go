package openrouter

import (
	"bytes"
	"encoding/json"
)

// Sizes of what the scanner keeps of a document. Longer keys and values are
// not ours: the longest key that matters has 25 letters, or 150 bytes if every
// one is written as \u00xx.
const (
	maxPath   = 8
	maxScalar = 256
)

// scanner reads JSON that arrives in pieces of any size and reports the
// members that [node.member] names to a Reading. It holds one path and one
// scalar, whatever the size of the document.
//
// It is lenient where leniency costs nothing (a missing comma is not its
// business) and strict where money is: an object counts when it is closed.
type scanner struct {
	out  *Reading
	root node

	path  [maxPath]frame
	depth int  // frames of path in use
	skip  int  // containers open below the path, inside something not looked at
	began bool // a document has begun

	inString  bool
	escaped   bool // the last byte was a backslash inside a string that escapes the next
	inLiteral bool // a number, true, false or null
	capture   bool // the scalar is wanted
	overflow  bool // and is longer than maxScalar
	length    int
	scalar    [maxScalar]byte
}

// frame is one container on the path.
type frame struct {
	node   node
	array  bool
	hasKey bool  // the next value belongs to a key
	child  node  // where that value leads, if it is a container
	field  field // what it is, if it is a scalar
}

// reset forgets the document, not what was read from it.
func (s *scanner) reset() {
	s.depth, s.skip, s.length = 0, 0, 0
	s.inString, s.escaped, s.inLiteral, s.capture = false, false, false, false
}

// Write takes the next piece of the document. It cannot fail.
func (s *scanner) Write(p []byte) {
	for len(p) > 0 {
		switch {
		case s.inString:
			p = p[s.string(p):]
		case s.skip > 0:
			p = p[s.skipped(p):]
		case s.inLiteral:
			p = p[s.literal(p):]
		default:
			p = p[s.structure(p):]
		}
	}
}

// structure handles bytes between scalars on the path, up to the start of the
// next scalar or the end of p, and returns how many it took.
func (s *scanner) structure(p []byte) int {
	for i, c := range p {
		switch c {
		case ' ', '\n', '\r', '\t', ':':
		case ',':
			if s.depth > 0 {
				s.top().hasKey = false
			}
		case '{', '[':
			s.open(c == '[')
			if s.skip > 0 {
				return i + 1
			}
		case '}', ']':
			s.close()
		case '"':
			s.beginString()
			return i + 1
		default:
			s.inLiteral, s.length, s.overflow = true, 0, false
			s.capture = s.wantsScalar()
			return i
		}
	}
	return len(p)
}

func (s *scanner) top() *frame { return &s.path[s.depth-1] }

func (s *scanner) open(array bool) {
	s.began = true
	child := s.root
	if s.depth > 0 {
		child = s.top().valueNode()
	}
	// An array where an object is expected, or the reverse, is not what the
	// path means.
	if child == nodeSkip || array != (child == nodeChoices) || s.depth == maxPath {
		s.skip = 1
		return
	}
	s.path[s.depth] = frame{node: child, array: array}
	s.depth++
	s.out.enter(child)
}

func (s *scanner) close() {
	if s.depth == 0 {
		return
	}
	s.out.leave(s.top().node)
	s.depth--
}

func (f *frame) valueNode() node {
	if f.array {
		return nodeChoice
	}
	if f.hasKey {
		return f.child
	}
	return nodeSkip
}

func (s *scanner) wantsScalar() bool {
	return s.depth > 0 && !s.top().array && s.top().hasKey && s.top().field != noField
}

func (s *scanner) beginString() {
	s.inString, s.escaped, s.length, s.overflow = true, false, 0, false
	isKey := s.depth > 0 && !s.top().array && !s.top().hasKey
	s.capture = isKey || s.wantsScalar()
}

// string takes bytes of a string up to and with its closing quote.
func (s *scanner) string(p []byte) int {
	end := s.closingQuote(p)
	if end < 0 {
		s.keep(p)
		return len(p)
	}
	s.keep(p[:end])
	s.inString = false
	if s.capture && s.skip == 0 {
		s.endString()
	}
	return end + 1
}

// closingQuote returns the place of the quote that ends the string, -1 if it is
// not in p. A quote belongs to the string if an odd number of backslashes stands
// before it. Nothing else is looked for, so a prompt is gone through once, and a
// megabyte of backslashes counted once.
func (s *scanner) closingQuote(p []byte) int {
	for from := 0; ; {
		end := len(p)
		quote := bytes.IndexByte(p[from:], '"')
		if quote >= 0 {
			end = from + quote
		}
		first := end
		for first > from && p[first-1] == '\\' {
			first--
		}
		escaped := (end-first)%2 == 1
		if first == from {
			escaped = escaped != s.escaped // the backslashes before p count too
		}
		if quote < 0 {
			s.escaped = escaped
			return -1
		}
		s.escaped = false
		if !escaped {
			return end
		}
		from = end + 1
	}
}

func (s *scanner) keep(p []byte) {
	if !s.capture || s.overflow {
		return
	}
	if s.length+len(p) > maxScalar {
		s.overflow = true
		return
	}
	s.length += copy(s.scalar[s.length:], p)
}

func (s *scanner) endString() {
	text := s.scalar[:s.length]
	if s.overflow {
		text = nil
	} else if bytes.IndexByte(text, '\\') >= 0 {
		text = unquote(text)
	}
	top := s.top()
	if top.hasKey {
		if text != nil {
			s.out.set(top.field, text, true)
		}
		return
	}
	top.hasKey = true
	top.child, top.field = top.node.member(text)
}

// unquote resolves escapes, which no key or value of interest has in practice.
func unquote(raw []byte) []byte {
	quoted := make([]byte, 0, len(raw)+2)
	quoted = append(append(append(quoted, '"'), raw...), '"')
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return nil
	}
	return []byte(text)
}

// literal takes bytes of a number, true, false or null.
func (s *scanner) literal(p []byte) int {
	for i, c := range p {
		switch c {
		case ',', '}', ']', ' ', '\n', '\r', '\t', '{', '[', '"', ':':
			s.keep(p[:i])
			s.inLiteral = false
			if s.capture && !s.overflow {
				s.out.set(s.top().field, s.scalar[:s.length], false)
			}
			return i
		}
	}
	s.keep(p)
	return len(p)
}

// skipped takes bytes of containers that are not looked at: only strings and
// brackets matter.
func (s *scanner) skipped(p []byte) int {
	for i, c := range p {
		switch c {
		case '"':
			s.inString, s.escaped, s.capture = true, false, false
			return i + 1
		case '{', '[':
			s.skip++
		case '}', ']':
			if s.skip--; s.skip == 0 {
				return i + 1
			}
		}
	}
	return len(p)
}
