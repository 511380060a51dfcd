package chart

import (
	"cmp"
	"html/template"
	"strings"

	"github.com/shopspring/decimal"
)

// Lines is a line per series over the categories: trends. Unlike bars they may
// be negative. More than eight series repeat the colours.
type Lines struct {
	Frame
	Of         string // what the categories are, the head of their column: "Month"
	Categories []Category
	Series     []Series
	Target     Value  // drawn as a line across; unknown: none
	TargetName string // empty: "Target"
}

// HTML is the chart as a <figure>.
func (c Lines) HTML() template.HTML {
	var values []decimal.Decimal
	for _, s := range c.Series {
		values = append(values, known(s.Values[:min(len(s.Values), len(c.Categories))]...)...)
	}
	if len(values) == 0 {
		return c.empty("lines")
	}
	m := &markup{}
	c.begin(m, "lines", c.summary())
	c.legend(m, c.keys())
	p := &plot{markup: m, frame: &c.Frame, scale: newScale(append(values, known(c.Target)...)), categories: c.Categories}
	p.begin()
	p.reference("target", c.Target)
	p.stretched()
	for i, s := range c.Series {
		p.line("line "+colour(i), s.Values)
	}
	p.end()
	for i := range c.Categories {
		c.column(p, i)
	}
	p.finish()
	c.valuesTable(m)
	m.end()
	return m.html()
}

func (c Lines) summary() string {
	first, last := c.Categories[0], c.Categories[len(c.Categories)-1]
	text := isolated(first.name())
	if len(c.Categories) > 1 {
		text += " to " + isolated(last.name())
	}
	var latest []string
	for _, s := range c.Series {
		if i := lastKnown(s.Values, len(c.Categories)); i >= 0 {
			latest = append(latest, isolated(s.Name)+" "+c.fullValue(s.Values[i].Value))
		}
	}
	text += "; latest: " + strings.Join(latest, ", ")
	if c.Target.Known {
		text += "; " + strings.ToLower(c.targetName()) + " " + c.fullValue(c.Target.Value)
	}
	return text
}

// lastKnown is the index of the last known of the first n values, -1 if there
// is none.
func lastKnown(values []Value, n int) int {
	for i := min(len(values), n) - 1; i >= 0; i-- {
		if values[i].Known {
			return i
		}
	}
	return -1
}

func (c Lines) targetName() string { return clean(cmp.Or(c.TargetName, "Target")) }

func (c Lines) keys() []key {
	var keys []key
	for i, s := range c.Series {
		keys = append(keys, key{line: true, class: "line " + colour(i), name: s.Name})
	}
	if c.Target.Known {
		keys = append(keys, key{line: true, class: "target", name: c.targetName(), value: c.fullValue(c.Target.Value)})
	}
	return keys
}

// column marks the values of one category.
func (c Lines) column(p *plot, i int) {
	name := c.Categories[i].name()
	rows := []row{{name: name}}
	parts := make([]string, len(c.Series))
	for j, s := range c.Series {
		text := c.full(amountOf(valueAt(s.Values, i)))
		parts[j] = isolated(s.Name) + " " + text
		rows = append(rows, row{colour(j), s.Name, text})
	}
	p.point(i, isolated(name)+": "+strings.Join(parts, ", "), rows)
	for j, s := range c.Series {
		if v := valueAt(s.Values, i); v.Known {
			p.dot("dot "+colour(j), i, v.Value)
		}
	}
	p.end()
}

// dot marks a value in its column.
func (p *plot) dot(class string, i int, v decimal.Decimal) {
	p.shape("circle", "class", class, "cx", across(p.middle(i)), "cy", down(p.y(v)), "r", "3")
}

func (c Lines) valuesTable(m *markup) {
	heads := []string{cmp.Or(c.Of, "Month")}
	for _, s := range c.Series {
		heads = append(heads, s.Name)
	}
	rows := make([][]string, len(c.Categories))
	for i, category := range c.Categories {
		rows[i] = []string{category.name()}
		for _, s := range c.Series {
			rows[i] = append(rows[i], c.bare(amountOf(valueAt(s.Values, i))))
		}
	}
	c.table(m, heads, rows)
}
