package chart

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// The plot's measures.
const (
	whole      = 100_00 // the width, hundredths of a percent
	plotTop    = 22_0   // tenths of a pixel, room for the unit
	plotHeight = 200_0
	plotBottom = plotTop + plotHeight
	axisHeight = 26_0

	mostTick     = 14  // characters of a label at the vertical axis
	mostLabel    = 12  // and at the horizontal one
	narrowWidth  = 250 // px that labels may count on
	wideWidth    = 560 // px from which more of them are shown: chart.css, .wide
	pxPerLetter  = 7
	labelSpacing = 10 // px between labels
)

// plot is a drawing with a vertical axis of values and columns for categories.
type plot struct {
	*markup
	frame      *Frame
	scale      scale
	categories []Category
}

// begin opens the drawing and writes the axes.
func (p *plot) begin() {
	ticks := p.scale.ticks()
	labels, longest := make([]string, len(ticks)), 1
	for i, v := range ticks {
		labels[i] = cut(p.frame.tick(v), mostTick)
		longest = max(longest, utf8.RuneCountInString(labels[i]))
	}
	p.start("div", "class", "plot m"+strconv.Itoa(longest))
	// Not role="img": that would hide the points, which can be focused.
	p.start("svg", "width", "100%", "height", down(plotBottom+axisHeight), "role", "group",
		"aria-labelledby", p.frame.id()+"-title", "aria-describedby", p.frame.id()+"-summary")
	p.start("g", "class", "axes", "aria-hidden", "true")
	if p.frame.Unit != "" {
		p.element("text", isolated(cut(p.frame.Unit, mostTick)), "class", "tick", "x", "-8", "y", "9", "text-anchor", "end")
	}
	for i, v := range ticks {
		class := "grid"
		if v.IsZero() {
			class = "axis"
		}
		y := down(p.y(v))
		p.shape("line", "class", class, "x1", "0", "x2", "100%", "y1", y, "y2", y)
		p.element("text", labels[i], "class", "tick", "x", "-8", "y", y, "dy", "4", "text-anchor", "end")
	}
	p.categoryLabels()
	p.end()
}

// finish closes what begin opened.
func (p *plot) finish() {
	p.end()
	p.end()
}

// categoryLabels writes as many labels as there is room for: some always, some
// more (class wide) where the figure is wide.
func (p *plot) categoryLabels() {
	longest := 1
	for _, c := range p.categories {
		longest = max(longest, min(utf8.RuneCountInString(clean(c.Label)), mostLabel))
	}
	one := longest*pxPerLetter + labelSpacing
	n := len(p.categories)
	wide := (n*one + wideWidth - 1) / wideWidth
	narrow := (n*one + narrowWidth - 1) / narrowWidth
	narrow = (narrow + wide - 1) / wide * wide
	for i, c := range p.categories {
		class := "tick"
		if i%wide != 0 {
			continue
		} else if i%narrow != 0 {
			class = "tick wide"
		}
		p.element("text", isolated(cut(c.Label, mostLabel)), "class", class,
			"x", across(p.middle(i)), "y", down(plotBottom+18_0), "text-anchor", "middle")
	}
}

// y is where a value stands.
func (p *plot) y(v decimal.Decimal) int64 { return plotBottom - p.scale.at(v, plotHeight) }

// edge is where the i-th column begins.
func (p *plot) edge(i int) int64 { return int64(i) * whole / int64(max(len(p.categories), 1)) }

// middle is the middle of the i-th column.
func (p *plot) middle(i int) int64 { return (p.edge(i) + p.edge(i+1)) / 2 }

// row is a line of a tooltip.
type row struct {
	class, name, value string
}

// point opens the group of the i-th column: what can be focused and pointed at.
// The label is all that a screen reader says; the rows are the tooltip's.
func (p *plot) point(i int, label string, rows []row) {
	p.pointAt(i, label, rows)
	p.shape("rect", "class", "hit", "x", across(p.edge(i)), "width", across(p.edge(i+1)-p.edge(i)),
		"y", down(plotTop), "height", down(plotHeight))
}

// pointAt opens a group as [plot.point] does; its caller draws what is hit.
// Only the first can be reached with the tabulator, chart.js moves on.
func (m *markup) pointAt(i int, label string, rows []row) {
	stop := "-1"
	if i == 0 {
		stop = "0"
	}
	lines := make([]string, len(rows))
	for j, r := range rows {
		lines[j] = r.class + "\t" + clean(r.name) + "\t" + r.value
	}
	m.start("g", "class", "point", "tabindex", stop, "role", "img", "aria-label", label, "data-tip", strings.Join(lines, "\n"))
}

// stretched opens the part whose coordinates are hundredths of a percent across
// and tenths of a pixel down. Only strokes that do not scale may stand there.
func (p *plot) stretched() {
	p.start("svg", "class", "stretched", "width", "100%", "height", down(plotBottom),
		"viewBox", "0 0 "+strconv.Itoa(whole)+" "+strconv.Itoa(plotBottom), "preserveAspectRatio", "none", "aria-hidden", "true")
}

// line draws a series; where values are unknown it is interrupted.
func (p *plot) line(class string, values []Value) {
	var path []string
	begun := false
	for i := range p.categories {
		v := valueAt(values, i)
		if !v.Known {
			begun = false
			continue
		}
		path = append(path, step(begun, p.middle(i), p.y(v.Value)))
		if alone := !begun && !valueAt(values, i+1).Known; alone {
			path = append(path, "h0") // of a round stroke that is a dot
		}
		begun = true
	}
	if len(path) > 0 {
		p.shape("path", "class", class, "d", strings.Join(path, ""), "vector-effect", "non-scaling-stroke")
	}
}

// step is a line of a path to a place, or a leap if nothing has begun.
func step(begun bool, x, y int64) string {
	letter := "M"
	if begun {
		letter = "L"
	}
	return letter + strconv.FormatInt(x, 10) + " " + strconv.FormatInt(y, 10)
}

// reference draws a horizontal line across the plot.
func (p *plot) reference(class string, v Value) {
	if !v.Known {
		return
	}
	y := down(p.y(v.Value))
	p.shape("line", "class", class, "x1", "0", "x2", "100%", "y1", y, "y2", y)
}
