package chart

import (
	"html/template"
	"strings"
)

// markup writes elements that are closed in order and whose texts and
// attributes are escaped: nothing else in the package writes angle brackets.
type markup struct {
	b    strings.Builder
	open []string
}

// start opens an element. Attributes are pairs of name and value; one whose
// value is empty is left out.
func (m *markup) start(tag string, attributes ...string) {
	m.tag(tag, attributes)
	m.b.WriteByte('>')
	m.open = append(m.open, tag)
}

// end closes the element opened last.
func (m *markup) end() {
	last := len(m.open) - 1
	m.b.WriteString("</" + m.open[last] + ">")
	m.open = m.open[:last]
}

// ends closes the n elements opened last.
func (m *markup) ends(n int) {
	for range n {
		m.end()
	}
}

// shape writes an element of SVG without content.
func (m *markup) shape(tag string, attributes ...string) {
	m.tag(tag, attributes)
	m.b.WriteString("/>")
}

// element writes an element that holds text alone.
func (m *markup) element(tag, text string, attributes ...string) {
	m.start(tag, attributes...)
	m.text(text)
	m.end()
}

func (m *markup) text(s string) { template.HTMLEscape(&m.b, []byte(s)) }

func (m *markup) tag(tag string, attributes []string) {
	m.b.WriteString("<" + tag)
	for i := 0; i+1 < len(attributes); i += 2 {
		if attributes[i+1] == "" {
			continue
		}
		m.b.WriteString(" " + attributes[i] + `="`)
		m.text(attributes[i+1])
		m.b.WriteByte('"')
	}
}

// html is what was written. The conversion is safe for what [markup] promises.
func (m *markup) html() template.HTML { return template.HTML(m.b.String()) }
