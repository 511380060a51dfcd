package chart

import (
	"strings"
	"unicode"
)

// U+2068 and U+2069 keep a name's writing direction to itself where <bdi>
// cannot stand.
const (
	isolate = "\u2068"
	release = "\u2069"
)

// clean is a name as it is shown: whatever is neither text nor a plain space
// becomes one, and marks that would steer the direction of the text after the
// name are dropped. Bytes that are no UTF-8 become U+FFFD.
func clean(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
			return -1
		case unicode.IsControl(r), unicode.IsSpace(r), r == 0xFFFE, r == 0xFFFF:
			return ' '
		}
		return r
	}, name))
}

// isolated is a name for an attribute or an SVG text.
func isolated(name string) string { return isolate + clean(name) + release }

// cut is a cleaned name of at most n characters, the last of them an ellipsis
// if it was longer.
func cut(name string, n int) string {
	runes := []rune(clean(name))
	if len(runes) <= n {
		return string(runes)
	}
	return strings.TrimSpace(string(runes[:n-1])) + "…"
}

// identifier is a text as an id of HTML.
func identifier(s string) string {
	id := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, s)
	if id == "" || id[0] < 'a' || id[0] > 'z' {
		return "chart-" + id
	}
	return id
}
