package openroutertest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"
)

// The documents that the fake sends are built from these types rather than
// from structs with tags: key order matters here (decoys, reversed keys), and a
// number must reach the wire as the literal it was given, never by way of a
// float64.
type (
	// literal is the text of a JSON number.
	literal string
	// member is one key of an object.
	member struct {
		key   string
		value any
	}
	// object is a JSON object whose keys keep their order.
	object []member
	// list is a JSON array.
	list []any
)

// with returns o with more members after its own.
func (o object) with(more ...member) object {
	return append(slices.Clip(o), more...)
}

// bytes is the document as compact JSON.
func (o object) bytes() []byte { return appendValue(make([]byte, 0, 1024), o) }

// appendValue appends v as compact JSON.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case literal:
		return append(b, v...)
	case string:
		return appendString(b, v)
	case bool:
		return strconv.AppendBool(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case object:
		return appendObject(b, v)
	case list:
		return appendList(b, v)
	case json.RawMessage:
		return append(b, v...)
	default:
		return appendOther(b, v)
	}
}

func appendObject(b []byte, o object) []byte {
	b = append(b, '{')
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, m.key)
		b = append(b, ':')
		b = appendValue(b, m.value)
	}
	return append(b, '}')
}

func appendList[T any](b []byte, l []T) []byte {
	b = append(b, '[')
	for i, v := range l {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendValue(b, v)
	}
	return append(b, ']')
}

// appendOther takes the types that only a few documents hold (maps of headers,
// slices of strings).
func appendOther(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("openroutertest: a document holds what JSON cannot: " + err.Error())
	}
	return append(b, text...)
}

// appendString quotes s as JavaScript's JSON.stringify does: nothing is
// escaped that need not be, and in particular not <, > and &.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}

// keyEscapes spells keys that a careless scanner looks for with unicode
// escapes. In a JSON string a quote is always preceded by a backslash, so that
// these patterns can only ever be keys.
var keyEscapes = []struct{ plain, escaped []byte }{
	{[]byte(`"usage":`), []byte(`"\u0075s\u0061ge":`)},
	{[]byte(`"cost":`), []byte(`"c\u006fst":`)},
	{[]byte(`"is_byok":`), []byte(`"is\u005fbyok":`)},
	{[]byte(`"id":`), []byte(`"\u0069d":`)},
	{[]byte(`"response":`), []byte(`"respons\u0065":`)},
}

// escapeKeys rewrites well-known keys of a document with unicode escapes.
func escapeKeys(doc []byte) []byte {
	for _, e := range keyEscapes {
		doc = bytes.ReplaceAll(doc, e.plain, e.escaped)
	}
	return doc
}

// indented is the document over several lines.
func indented(doc []byte) []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, doc, "", " "); err != nil {
		panic("openroutertest: a document is not JSON: " + err.Error())
	}
	return out.Bytes()
}
