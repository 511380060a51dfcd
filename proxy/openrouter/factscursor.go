package openrouter

import (
	"bytes"
	"fmt"
)

// maxNesting bounds how deep the containers of a request may stand in each
// other, and so the stack that reading it takes.
const maxNesting = 200

// cursor walks over a whole JSON document without copying it:
//
//	for more := c.enterObject(); more; more = c.nextMember() {
//		switch string(c.key) { … } // takes the value: skip, text, literal, or another loop
//	}
//
// The [scanner] beside it takes a document in pieces and reports scalars of a
// few fixed places; a cursor needs the whole document and goes anywhere. Both
// leave commas and colons inside of what nobody looks at to the recipient, who
// refuses such a document. After an error every loop ends.
type cursor struct {
	body    []byte
	pos     int
	key     []byte // of the member at pos, without escapes
	space   int    // bytes of white space between tokens so far
	nesting int
	err     error
}

func (c *cursor) fail(problem string) {
	if c.err == nil {
		c.err = fmt.Errorf("read request body at byte %d: %s", c.pos, problem)
	}
	c.pos = len(c.body)
}

// peek is the next byte that is not white space, 0 at the end.
func (c *cursor) peek() byte {
	for i, b := range c.body[c.pos:] {
		if b != ' ' && b != '\n' && b != '\r' && b != '\t' {
			c.pos += i
			c.space += i
			return b
		}
	}
	c.space += len(c.body) - c.pos
	c.pos = len(c.body)
	return 0
}

// enterObject takes the opening brace and the first key. It reports false if
// there is no member.
func (c *cursor) enterObject() bool {
	if !c.enter('{') {
		return false
	}
	if c.peek() == '}' {
		c.leave()
		return false
	}
	return c.member()
}

// nextMember takes what follows a value: the next key, or the closing brace.
func (c *cursor) nextMember() bool {
	switch c.peek() {
	case ',':
		c.pos++
		return c.member()
	case '}':
		c.leave()
	default:
		c.fail("want a comma or the end of the object")
	}
	return false
}

func (c *cursor) member() bool {
	if c.peek() != '"' {
		c.fail("want the key of a member")
		return false
	}
	key := c.raw()
	if bytes.IndexByte(key, '\\') >= 0 {
		key = unquote(key)
	}
	c.key = key
	if c.peek() != ':' {
		c.fail("want a colon")
		return false
	}
	c.pos++
	if c.peek() == 0 {
		c.fail("want a value")
	}
	return c.err == nil
}

// enterArray takes the opening bracket. It reports false if there is no
// element.
func (c *cursor) enterArray() bool {
	if !c.enter('[') {
		return false
	}
	switch c.peek() {
	case ']':
		c.leave()
		return false
	case 0:
		c.fail("want a value")
		return false
	}
	return true
}

// nextElement takes what follows an element.
func (c *cursor) nextElement() bool {
	switch c.peek() {
	case ',':
		c.pos++
		if c.peek() == 0 {
			c.fail("want a value")
		}
		return c.err == nil
	case ']':
		c.leave()
	default:
		c.fail("want a comma or the end of the array")
	}
	return false
}

func (c *cursor) enter(bracket byte) bool {
	if c.peek() != bracket {
		c.fail("want " + string(bracket))
		return false
	}
	if c.nesting++; c.nesting > maxNesting {
		c.fail(fmt.Sprintf("more than %d levels", maxNesting))
		return false
	}
	c.pos++
	return true
}

func (c *cursor) leave() {
	c.pos++
	c.nesting--
}

// raw takes a string and returns what stands between its quotes. Each byte is
// looked at a bounded number of times, also in a megabyte of backslashes.
func (c *cursor) raw() []byte {
	c.pos++
	start, i, quote := c.pos, c.pos, -1
	for {
		if quote < i {
			n := bytes.IndexByte(c.body[i:], '"')
			if n < 0 {
				break
			}
			quote = i + n
		}
		slash := bytes.IndexByte(c.body[i:quote], '\\')
		if slash < 0 {
			c.pos = quote + 1
			return c.body[start:quote]
		}
		if i += slash + 2; i > len(c.body) {
			break
		}
	}
	c.fail("a string without an end")
	return nil
}

// text takes a string and returns its value, which may share memory with the
// body. It reports false, and takes the value all the same, if it is another
// kind of value, or a string with escapes that mean nothing.
func (c *cursor) text() ([]byte, bool) {
	if c.peek() != '"' {
		c.skip()
		return nil, false
	}
	value := c.raw()
	if bytes.IndexByte(value, '\\') >= 0 {
		value = unquote(value)
	}
	return value, value != nil && c.err == nil
}

// null takes the value if it is null.
func (c *cursor) null() bool {
	if c.peek() == 'n' && string(c.literal()) == "null" {
		return true
	}
	return false
}

// literal takes a number, true, false or null.
func (c *cursor) literal() []byte {
	start := c.pos
	for i, b := range c.body[start:] {
		switch b {
		case ',', '}', ']', ' ', '\n', '\r', '\t', '{', '[', '"', ':':
			if i == 0 {
				c.fail("want a value")
				return nil
			}
			c.pos = start + i
			return c.body[start:c.pos]
		}
	}
	c.pos = len(c.body)
	if start == c.pos {
		c.fail("want a value")
	}
	return c.body[start:c.pos]
}

// number takes a value and returns it if it is a plain whole number.
func (c *cursor) number() (n int64, ok bool) {
	switch c.peek() {
	case '"', '{', '[':
		c.skip()
		return 0, false
	}
	digits := c.literal()
	if len(digits) == 0 || len(digits) > 15 {
		return 0, false
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = 10*n + int64(d-'0')
	}
	return n, true
}

// skip takes a value without a look at it.
func (c *cursor) skip() {
	switch c.peek() {
	case '"':
		c.raw()
	case '{', '[':
		c.skipContainer()
	default:
		c.literal()
	}
}

// skipContainer takes brackets and what is between them: only strings and
// brackets matter, and white space, which is counted.
func (c *cursor) skipContainer() {
	outside := c.nesting
	for c.pos < len(c.body) {
		switch c.body[c.pos] {
		case '"':
			c.raw()
			continue
		case '{', '[':
			if c.nesting++; c.nesting > maxNesting {
				c.fail(fmt.Sprintf("more than %d levels", maxNesting))
				return
			}
		case '}', ']':
			if c.nesting--; c.nesting == outside {
				c.pos++
				return
			}
		case ' ', '\n', '\r', '\t':
			c.space++
		}
		c.pos++
	}
	c.fail("a container without an end")
}
