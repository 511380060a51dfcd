package chart

import (
	"html/template"
	"strings"

	"github.com/shopspring/decimal"
)

// The sparkline's measures, tenths of a pixel.
const (
	sparkWidth  = 120_0
	sparkHeight = 28_0
	sparkMargin = 3_0
)

// Sparkline is a line in a word's room, 120 by 28 pixels, for a table. It is a
// single <svg>, and the words beside it have to tell what it is about.
//
// It reaches from zero, or from the lowest value if that is below, to the
// highest, so that a small change looks small.
type Sparkline struct {
	Name   string // the start of the text alternative: "Cost per email"
	Unit   string
	Sign   string // as in Frame
	Format func(decimal.Decimal) string
	Values []Value
}

// HTML is the chart as an <svg>; as a sentence if no value is known.
func (c Sparkline) HTML() template.HTML {
	f := Frame{Unit: c.Unit, Sign: c.Sign, Format: c.Format}
	values := known(c.Values...)
	m := &markup{}
	if len(values) == 0 {
		m.element("span", "no figures yet", "class", "spark-empty")
		return m.html()
	}
	text := isolated(c.Name) + ": latest " + f.fullValue(values[len(values)-1])
	if len(values) > 1 {
		text += ", lowest " + f.fullValue(decimal.Min(values[0], values[1:]...)) +
			", highest " + f.fullValue(decimal.Max(values[0], values[1:]...))
	}
	m.start("svg", "class", "spark", "width", "120", "height", "28", "viewBox", "0 0 1200 280", "role", "img", "aria-label", text)
	m.element("title", text)
	m.shape("path", "class", "line c1", "d", c.path(), "vector-effect", "non-scaling-stroke")
	x, y := c.place(lastKnown(c.Values, len(c.Values)))
	m.shape("circle", "class", "dot c1", "cx", fixed(x, 1), "cy", fixed(y, 1), "r", "25")
	m.end()
	return m.html()
}

// path is the line, interrupted where values are unknown.
func (c Sparkline) path() string {
	var path strings.Builder
	begun := false
	for i, v := range c.Values {
		if v.Known {
			x, y := c.place(i)
			path.WriteString(step(begun, x, y))
			if !begun && !valueAt(c.Values, i+1).Known {
				path.WriteString("h0")
			}
		}
		begun = v.Known
	}
	return path.String()
}

// place is where the i-th value stands, which is known.
func (c Sparkline) place(i int) (x, y int64) {
	var s scale
	for _, v := range known(c.Values...) {
		s.low, s.high = decimal.Min(s.low, v), decimal.Max(s.high, v)
	}
	x = sparkMargin + (sparkWidth-2*sparkMargin)*int64(i)/int64(max(len(c.Values)-1, 1))
	return x, sparkHeight - sparkMargin - s.at(c.Values[i].Value, sparkHeight-2*sparkMargin)
}
