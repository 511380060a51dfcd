package accounting

import (
	"io"
	"strings"
	"unicode/utf8"
)

// NewCSVEncoder writes rows as CSV by RFC 4180 with a header: commas, CRLF,
// quotes where needed. Null is an empty field and the empty text a quoted one,
// as in PostgreSQL's COPY. Text goes through [EscapeFormula].
func NewCSVEncoder(w io.Writer, columns []ExportColumn) ExportEncoder {
	e := &lineEncoder{w: w}
	for i := range columns {
		e.buf = appendSeparator(e.buf, i)
		e.buf = appendCSV(e.buf, columns[i].Name)
	}
	e.buf = append(e.buf, "\r\n"...)
	e.line = func(dst []byte, row *ExportRow) []byte {
		for i := range columns {
			c := &columns[i]
			dst = appendSeparator(dst, i)
			v := c.Read(row)
			if !v.Known {
				continue
			}
			text := c.literal(v)
			if c.Kind == ExportText || c.Kind == ExportObject {
				text = EscapeFormula(text)
			}
			dst = appendCSV(dst, text)
		}
		return append(dst, "\r\n"...)
	}
	return e
}

func appendSeparator(dst []byte, i int) []byte {
	if i == 0 {
		return dst
	}
	return append(dst, ',')
}

// appendCSV appends one field that is not null.
func appendCSV(dst []byte, field string) []byte {
	if field != "" && !strings.ContainsAny(field, "\",;\t\r\n") && field[0] != ' ' && field[len(field)-1] != ' ' {
		return append(dst, field...)
	}
	dst = append(dst, '"')
	for i := range len(field) {
		if field[i] == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, field[i])
	}
	return append(dst, '"')
}

// EscapeFormula makes text harmless to spreadsheets, which run a cell that
// begins like a formula: it puts an apostrophe before such a beginning, at the
// start of the text and after each character at which some spreadsheet starts
// another cell, whatever the quotes say. It also does so before an apostrophe,
// so that [UnescapeFormula] gives back exactly what was there.
func EscapeFormula(s string) string {
	if !needsEscape(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 4)
	start := true
	for i, r := range s {
		if start && startsFormula(r) {
			b.WriteByte('\'')
		}
		// Bytes that are no UTF-8 are kept as they are.
		_, size := utf8.DecodeRuneInString(s[i:])
		b.WriteString(s[i : i+size])
		start = startsCell(r)
	}
	return b.String()
}

// UnescapeFormula is the inverse of [EscapeFormula].
func UnescapeFormula(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	start := true
	for i := 0; i < len(s); {
		if start && s[i] == '\'' {
			i++
			start = false
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		b.WriteString(s[i : i+size])
		start = startsCell(r)
		i += size
	}
	return b.String()
}

func needsEscape(s string) bool {
	start := true
	for _, r := range s {
		if start && startsFormula(r) {
			return true
		}
		start = startsCell(r)
	}
	return false
}

// startsFormula reports whether a cell that begins with r may be run: the list
// of OWASP ("CSV Injection"), with the full-width forms that Excel takes for
// the same where Japanese is set.
func startsFormula(r rune) bool {
	switch r {
	case '=', '+', '-', '@', '\t', '\r', '\n', '\'', '＝', '＋', '－', '＠':
		return true
	}
	return false
}

// startsCell reports whether what follows r may become a cell of its own: the
// separators that spreadsheets know or guess, and line ends.
func startsCell(r rune) bool {
	switch r {
	case ',', ';', '\t', '|', '\r', '\n', '"':
		return true
	}
	return false
}
