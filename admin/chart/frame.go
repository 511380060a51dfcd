package chart

import (
	"cmp"
	"html/template"
	"strconv"

	"github.com/shopspring/decimal"
)

// Frame is what all charts have.
type Frame struct {
	// ID is unique on the page, of letters, digits and hyphens. Empty: made of
	// the title.
	ID string
	// Title says what is shown: "Spend per day".
	Title string
	// Unit follows each number: "EUR", "%". Empty: numbers stand alone.
	Unit string
	// Sign of the unit, such as "€", stands before each number in its place. The
	// axis and the table, whose numbers stand alone, are headed by Unit. Empty:
	// there is none.
	Sign string
	// Format shows a value, without the unit. Nil: with all its digits.
	Format func(decimal.Decimal) string
	// Tick shows a value at the axis, where there is less room. Nil: Format.
	Tick func(decimal.Decimal) string
	// Empty is the sentence shown instead of a drawing while no value is known:
	// what to do to get one. Empty: "No figures yet."
	Empty string
}

// Category is one step of the horizontal axis, usually a day or a month.
type Category struct {
	Label string // at the axis, short: "14"
	Name  string // everywhere else: "14 November". Empty: the label
}

func (c Category) name() string { return clean(cmp.Or(c.Name, c.Label)) }

// Series is a named value for each category. Values that are missing at the
// end are unknown.
type Series struct {
	Name   string
	Values []Value
}

func (f *Frame) id() string { return identifier(cmp.Or(f.ID, f.Title)) }

// number shows a value without its unit.
func (f *Frame) number(v decimal.Decimal) string {
	if f.Format == nil {
		return v.String()
	}
	return clean(f.Format(v))
}

// tick shows a value at the axis.
func (f *Frame) tick(v decimal.Decimal) string {
	if f.Tick == nil {
		return f.number(v)
	}
	return clean(f.Tick(v))
}

// bare shows an amount without its unit.
func (f *Frame) bare(a amount) string {
	switch {
	case !a.known:
		return "unknown"
	case a.more:
		return "at least " + f.number(a.value)
	}
	return f.number(a.value)
}

// full shows an amount with its sign or unit.
func (f *Frame) full(a amount) string {
	if a.known && f.Sign != "" {
		return f.signed(a)
	}
	if !a.known || f.Unit == "" {
		return f.bare(a)
	}
	return f.bare(a) + " " + clean(f.Unit)
}

// signed shows an amount that is known behind its sign: "€1.20", "−€1.20".
func (f *Frame) signed(a amount) string {
	text := clean(f.Sign) + f.number(a.value.Abs())
	if a.value.IsNegative() {
		text = "−" + text
	}
	if a.more {
		text = "at least " + text
	}
	return text
}

func (f *Frame) fullValue(v decimal.Decimal) string { return f.full(amount{value: v, known: true}) }

// begin opens the figure and writes its caption. The summary is what somebody
// who sees no picture has to know.
func (f *Frame) begin(m *markup, kind, summary string) {
	m.start("figure", "class", "chart "+kind, "id", f.id())
	m.start("figcaption")
	m.element("bdi", clean(f.Title), "class", "title", "id", f.id()+"-title")
	m.text(" ")
	m.element("span", summary, "class", "summary", "id", f.id()+"-summary")
	m.end()
}

// empty is the whole figure while there is nothing to draw.
func (f *Frame) empty(kind string) template.HTML {
	m := &markup{}
	m.start("figure", "class", "chart empty "+kind, "id", f.id())
	m.start("figcaption")
	m.element("bdi", clean(f.Title), "class", "title")
	m.end()
	m.element("p", cmp.Or(f.Empty, "No figures yet."))
	m.end()
	return m.html()
}

// key is one entry of a legend.
type key struct {
	class   string // of the mark
	pattern int    // of the fill; 0: the class says all
	line    bool   // the mark is a line, not a field
	name    string
	value   string // stands behind the name; may be empty
}

func (f *Frame) legend(m *markup, keys []key) {
	m.start("ul", "class", "legend")
	for _, k := range keys {
		m.start("li")
		m.start("svg", "class", "key", "width", "18", "height", "12", "aria-hidden", "true")
		if k.line {
			m.shape("line", "class", k.class, "x1", "1", "x2", "17", "y1", "6", "y2", "6")
		} else {
			m.shape("rect", "class", k.class, "width", "18", "height", "12", "rx", "2", "fill", f.fill(k.pattern))
		}
		m.end()
		m.element("bdi", clean(k.name), "class", "name")
		if k.value != "" {
			m.text(" ")
			m.element("span", k.value, "class", "value")
		}
		m.end()
	}
	m.end()
}

// fill names the n-th pattern of the figure.
func (f *Frame) fill(n int) string {
	if n == 0 {
		return ""
	}
	return "url(#" + f.id() + "-" + strconv.Itoa(n) + ")"
}

// colour is the class of the i-th series, from 0.
func colour(i int) string { return "c" + strconv.Itoa(i%len(textures)+1) }
