package chart

import (
	"cmp"
	"html/template"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// Intervals is a dot with its confidence interval for each row, above one axis,
// and a mark for the target: rates that are known from few cases.
type Intervals struct {
	Frame
	Of         string // what the rows are, the head of their column: "Campaign"
	Rows       []Interval
	Level      string // how sure the intervals are: "95 %"
	Target     Value  // unknown: none
	TargetName string // empty: "Target"
}

// Interval is a rate and what it is likely to be.
type Interval struct {
	Name      string
	Value     Value
	Low, High Value // without both there is only the dot
}

// The measures of a row, pixels.
const (
	intervalRow  = 44
	intervalText = 14 // the base line of the name
	intervalLine = 28 // the height of the dot
	intervalName = 24 // characters of a name beside its value
)

// HTML is the chart as a <figure>.
func (c Intervals) HTML() template.HTML {
	var values []decimal.Decimal
	for _, r := range c.Rows {
		values = append(values, known(r.Value, r.Low, r.High)...)
	}
	if len(values) == 0 {
		return c.empty("intervals")
	}
	s := newScale(append(values, known(c.Target)...))
	m := &markup{}
	c.begin(m, "intervals", c.summary())
	c.legend(m, c.keys())
	height := len(c.Rows) * intervalRow
	m.start("div", "class", "plot")
	m.start("svg", "width", "100%", "height", strconv.Itoa(height+26), "role", "group",
		"aria-labelledby", c.id()+"-title", "aria-describedby", c.id()+"-summary")
	c.axes(m, s, height)
	for i, r := range c.Rows {
		c.row(m, s, i, r)
	}
	m.ends(2)
	c.valuesTable(m)
	m.end()
	return m.html()
}

func (c Intervals) axes(m *markup, s scale, height int) {
	m.start("g", "class", "axes", "aria-hidden", "true")
	ticks := s.ticks()
	for i, v := range ticks {
		x, anchor := across(s.at(v, whole)), "middle"
		if i == 0 {
			anchor = "start"
		}
		text := cut(c.tick(v), mostTick)
		if i == len(ticks)-1 {
			anchor, text = "end", cut(c.tick(v), mostTick)+unitSuffix(c.Unit)
		}
		m.shape("line", "class", "grid", "x1", x, "x2", x, "y1", "0", "y2", strconv.Itoa(height))
		m.element("text", text, "class", "tick", "x", x, "y", strconv.Itoa(height+18), "text-anchor", anchor)
	}
	if c.Target.Known {
		x := across(s.at(c.Target.Value, whole))
		m.shape("line", "class", "target", "x1", x, "x2", x, "y1", "0", "y2", strconv.Itoa(height))
	}
	m.end()
}

func unitSuffix(unit string) string {
	if unit == "" {
		return ""
	}
	return " " + isolated(cut(unit, mostTick))
}

func (c Intervals) level() string {
	if c.Level == "" {
		return "interval"
	}
	return clean(c.Level) + " interval"
}

// row draws one dot with its interval.
func (c Intervals) row(m *markup, s scale, i int, r Interval) {
	value := c.full(amountOf(r.Value))
	label, rows := isolated(r.Name)+": "+value, []row{{"", r.Name, value}}
	if r.Low.Known && r.High.Known {
		label += ", " + c.level() + " " + c.between(r.Low, r.High)
		rows = append(rows, row{"c1", c.level(), c.between(r.Low, r.High)})
	}
	if c.Target.Known {
		rows = append(rows, row{"", c.targetName(), c.fullValue(c.Target.Value)})
	}
	m.pointAt(i, label, rows)
	defer m.end()
	top := i * intervalRow
	m.shape("rect", "class", "hit", "width", "100%", "y", strconv.Itoa(top), "height", strconv.Itoa(intervalRow))
	baseline := strconv.Itoa(top + intervalText)
	m.element("text", isolated(cut(r.Name, intervalName)), "class", "name", "x", "0", "y", baseline)
	m.element("text", value, "class", "value", "x", "100%", "y", baseline, "text-anchor", "end")
	y := strconv.Itoa(top + intervalLine)
	if r.Low.Known && r.High.Known {
		m.shape("line", "class", "interval c1", "y1", y, "y2", y,
			"x1", across(s.at(r.Low.Value, whole)), "x2", across(s.at(r.High.Value, whole)))
	}
	if r.Value.Known {
		m.shape("circle", "class", "dot c1", "cx", across(s.at(r.Value.Value, whole)), "cy", y, "r", "5")
	}
}

func (c Intervals) targetName() string { return clean(cmp.Or(c.TargetName, "Target")) }

func (c Intervals) summary() string {
	var lowest, highest Interval
	n := 0
	for _, r := range c.Rows {
		if !r.Value.Known {
			continue
		}
		if n == 0 || r.Value.Value.LessThan(lowest.Value.Value) {
			lowest = r
		}
		if n == 0 || r.Value.Value.GreaterThan(highest.Value.Value) {
			highest = r
		}
		n++
	}
	text := "No value is known"
	switch {
	case n == 1:
		text = c.single(highest)
	case n > 1:
		text = "From " + c.fullValue(lowest.Value.Value) + " (" + isolated(lowest.Name) + ") to " +
			c.fullValue(highest.Value.Value) + " (" + isolated(highest.Name) + ")"
	}
	if c.Target.Known {
		text += "; " + strings.ToLower(c.targetName()) + " " + c.fullValue(c.Target.Value)
	}
	return text
}

// single tells the only row that has a value.
func (c Intervals) single(r Interval) string {
	text := isolated(r.Name) + ": " + c.fullValue(r.Value.Value)
	if r.Low.Known && r.High.Known {
		text += ", " + c.level() + " " + c.between(r.Low, r.High)
	}
	return text
}

func (c Intervals) keys() []key {
	keys := []key{{line: true, class: "interval c1", name: "Value with its " + c.level()}}
	if c.Target.Known {
		keys = append(keys, key{line: true, class: "target", name: c.targetName(), value: c.fullValue(c.Target.Value)})
	}
	return keys
}

func (c Intervals) valuesTable(m *markup) {
	rows := make([][]string, len(c.Rows))
	for i, r := range c.Rows {
		rows[i] = []string{r.Name}
		for _, v := range []Value{r.Value, r.Low, r.High} {
			rows[i] = append(rows[i], c.bare(amountOf(v)))
		}
	}
	c.table(m, []string{cmp.Or(c.Of, "Name"), "Value", "From", "To"}, rows)
}
