package openrouter

import "bytes"

// events reads a text/event-stream that arrives in pieces and feeds the data
// of each event to a scanner. Nothing is buffered: an event of 10 MB passes
// through like any other. Lines end in LF, CR or CRLF, a byte order mark may
// stand first, and an event's data may come in several lines, as the HTML
// standard defines (§9.2.6).
type events struct {
	json scanner

	started bool // past the place of a byte order mark
	bom     int  // bytes of it seen
	wasCR   bool // the last byte was CR: an LF after it ends the same line
	line    lineState
	field   [5]byte // start of the line: "data:" or something else
	fieldN  int
	data    bool    // the event has a data line already
	word    [6]byte // start of the event's data, to tell [DONE]
	wordN   int
	content bool // an event with data was seen
}

type lineState uint8

const (
	lineStart lineState = iota
	lineField           // within the field's name
	lineSpace           // after "data:", where one space may stand
	lineData
	lineOther // a comment or a field that does not matter
)

var byteOrderMark = []byte("\xef\xbb\xbf")

// Write takes the next piece of the stream. It cannot fail.
func (e *events) Write(p []byte) {
	if !e.started {
		p = e.skipMark(p)
	}
	for len(p) > 0 {
		if e.wasCR {
			e.wasCR = false
			if p[0] == '\n' {
				p = p[1:]
				continue
			}
		}
		end := lineEnd(p)
		if end < 0 {
			e.part(p)
			return
		}
		e.part(p[:end])
		e.endLine()
		e.wasCR = p[end] == '\r'
		p = p[end+1:]
	}
}

func lineEnd(p []byte) int {
	lf := bytes.IndexByte(p, '\n')
	if lf >= 0 {
		p = p[:lf]
	}
	if cr := bytes.IndexByte(p, '\r'); cr >= 0 {
		return cr
	}
	return lf
}

func (e *events) skipMark(p []byte) []byte {
	for len(p) > 0 && e.bom < len(byteOrderMark) {
		if p[0] != byteOrderMark[e.bom] {
			e.started = true
			return p
		}
		e.bom++
		p = p[1:]
	}
	e.started = e.bom == len(byteOrderMark)
	return p
}

// part takes bytes of one line.
func (e *events) part(p []byte) {
	for len(p) > 0 {
		switch e.line {
		case lineStart, lineField:
			n := copy(e.field[e.fieldN:], p)
			e.fieldN += n
			p = p[n:]
			e.line = lineField
			if e.fieldN == len(e.field) {
				e.line = lineOther
				if string(e.field[:]) == "data:" {
					e.line = lineSpace
				}
			}
		case lineSpace:
			e.line = lineData
			if e.data {
				e.json.Write([]byte{'\n'})
			}
			e.data = true
			if p[0] == ' ' {
				p = p[1:]
			}
		case lineData:
			e.wordN += copy(e.word[min(e.wordN, len(e.word)):], p)
			e.content = true
			e.json.Write(p)
			return
		case lineOther:
			return
		}
	}
}

// endLine ends the line and, if it was empty, the event.
func (e *events) endLine() {
	if e.line == lineStart {
		e.json.reset()
		e.data, e.wordN = false, 0
	} else if e.wordN == len(e.word) && string(e.word[:]) == "[DONE]" {
		e.json.out.Done = true
	}
	e.line, e.fieldN = lineStart, 0
}
