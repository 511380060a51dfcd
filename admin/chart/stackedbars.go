package chart

import (
	"cmp"
	"html/template"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// mostSeries is how many series have a colour of their own; the rest is one
// more, called [otherSeries].
const (
	mostSeries  = 7
	otherSeries = "other"
)

// StackedBars is a bar per category, of a field per series.
//
// Beyond seven series the seven largest are shown, in the order given, and the
// rest is "other", together with a series of that name. A series of zeros keeps its
// colour but is not named, so that charts that are given the same series agree
// in colours. A negative value is told but not drawn.
type StackedBars struct {
	Frame
	Of         string // what the categories are, the head of their column: "Day"
	Categories []Category
	Series     []Series
	Mean       Value  // drawn as a line across; unknown: none
	MeanName   string // empty: "Mean"
}

// HTML is the chart as a <figure>.
func (c StackedBars) HTML() template.HTML {
	totals, sum := c.totals()
	if !sum.known || !slices.ContainsFunc(totals, amount.is) { // nothing but zeros is no picture
		return c.empty("bars")
	}
	series, most := c.folded(), known(c.Mean)
	for i := range c.Categories {
		var height decimal.Decimal
		for _, s := range series {
			height = height.Add(positive(s.values[i].value))
		}
		most = append(most, height)
	}
	m := &markup{}
	c.begin(m, "bars", c.summary(totals, sum))
	c.legend(m, c.keys(series))
	p := &plot{markup: m, frame: &c.Frame, scale: newScale(most), categories: c.Categories}
	p.begin()
	c.patterns(m, series[len(series)-1].place+1)
	for i, total := range totals {
		c.column(p, i, total, series)
	}
	p.reference("mean", c.Mean)
	p.finish()
	c.valuesTable(m, series, totals)
	m.end()
	return m.html()
}

// totals are the sums of the categories and of them all.
func (c StackedBars) totals() (totals []amount, sum amount) {
	totals = make([]amount, len(c.Categories))
	for i := range totals {
		for _, s := range c.Series {
			totals[i] = totals[i].plus(amountOf(valueAt(s.Values, i)))
		}
		sum = sum.plus(totals[i])
	}
	return totals, sum
}

// stack is a series as it is drawn.
type stack struct {
	name   string
	place  int // in the order of colours, from 0
	values []amount
	sum    amount
}

// folded are the series to draw, without those of zeros unless there are no
// others.
func (c StackedBars) folded() []stack {
	all := make([]stack, len(c.Series))
	for i, s := range c.Series {
		all[i] = stack{name: clean(s.Name), place: i, values: make([]amount, len(c.Categories))}
		for j := range all[i].values {
			all[i].values[j] = amountOf(valueAt(s.Values, j))
			all[i].sum = all[i].sum.plus(all[i].values[j])
		}
	}
	all = foldRest(all)
	if shown := slices.DeleteFunc(slices.Clone(all), func(s stack) bool { return !s.sum.is() }); len(shown) > 0 {
		return shown
	}
	return all
}

// foldRest keeps the largest series and makes one of all others and of what is
// called "other". Places are given in the order that the series had, the last
// one is that of "other".
func foldRest(all []stack) []stack {
	named := slices.DeleteFunc(slices.Clone(all), func(s stack) bool { return s.name == otherSeries })
	slices.SortStableFunc(named, func(a, b stack) int { return b.sum.value.Cmp(a.sum.value) })
	named = named[:min(mostSeries, len(named))]
	slices.SortFunc(named, func(a, b stack) int { return a.place - b.place })
	kept := map[int]bool{}
	for i := range named {
		kept[named[i].place] = true
		named[i].place = i
	}
	if len(named) == len(all) {
		return named
	}
	rest := stack{name: otherSeries, place: mostSeries, values: make([]amount, len(all[0].values))}
	for _, s := range all {
		if kept[s.place] {
			continue
		}
		for i, v := range s.values {
			rest.values[i] = rest.values[i].plus(v)
		}
		rest.sum = rest.sum.plus(s.sum)
	}
	return append(named, rest)
}

func (c StackedBars) summary(totals []amount, sum amount) string {
	highest := -1
	for i, t := range totals {
		if t.known && (highest < 0 || t.value.GreaterThan(totals[highest].value)) {
			highest = i
		}
	}
	first, last := c.Categories[0], c.Categories[len(c.Categories)-1]
	text := isolated(first.name())
	if len(c.Categories) > 1 {
		text += " to " + isolated(last.name())
	}
	text += ": " + c.full(sum) + " in all"
	if len(c.Categories) > 1 && sum.value.IsPositive() {
		text += "; most: " + isolated(c.Categories[highest].name()) + ", " + c.full(totals[highest])
	}
	if c.Mean.Known {
		text += "; " + strings.ToLower(c.meanName()) + " " + c.fullValue(c.Mean.Value)
	}
	return text
}

func (c StackedBars) meanName() string { return clean(cmp.Or(c.MeanName, "Mean")) }

func (c StackedBars) keys(series []stack) []key {
	var keys []key
	for _, s := range series {
		keys = append(keys, key{pattern: s.place + 1, class: colour(s.place), name: s.name})
	}
	if c.Mean.Known {
		keys = append(keys, key{line: true, class: "mean", name: c.meanName(), value: c.fullValue(c.Mean.Value)})
	}
	return keys
}

// column draws the bar of one category.
func (c StackedBars) column(p *plot, i int, total amount, series []stack) {
	name := c.Categories[i].name()
	label, rows := isolated(name)+": "+c.full(total), []row{{"", name, c.full(total)}}
	var parts []string
	for _, s := range series {
		if v := s.values[i]; v.is() {
			parts = append(parts, isolated(s.name)+" "+c.bare(v))
			rows = append(rows, row{colour(s.place), s.name, c.bare(v)})
		}
	}
	if len(parts) > 0 && total.known {
		label += ": " + strings.Join(parts, ", ")
	}
	if !total.known {
		rows = rows[:1]
	}
	p.point(i, label, rows)
	defer p.end()
	if !total.known {
		p.element("text", "?", "class", "unknown", "x", across(p.middle(i)), "y", down(plotBottom-6_0), "text-anchor", "middle")
		return
	}
	x, width := p.bar(i)
	var below decimal.Decimal
	for _, s := range series {
		above := below.Add(positive(s.values[i].value))
		top, bottom := p.y(above), p.y(below)
		if bottom > top {
			p.shape("rect", "class", "field", "fill", c.fill(s.place+1), "x", across(x), "width", across(width),
				"y", down(top), "height", down(bottom-top))
		}
		below = above
	}
}

// bar is where the bar of the i-th column begins and how wide it is: three
// quarters of the column, less if there are few columns.
func (p *plot) bar(i int) (x, width int64) {
	width = min((p.edge(i+1)-p.edge(i))*3/4, whole/12)
	return p.middle(i) - width/2, width
}

func positive(v decimal.Decimal) decimal.Decimal { return decimal.Max(v, decimal.Decimal{}) }

func (c StackedBars) valuesTable(m *markup, series []stack, totals []amount) {
	heads := []string{cmp.Or(c.Of, "Day")}
	for _, s := range series {
		heads = append(heads, s.name)
	}
	heads = append(heads, "Total")
	rows := make([][]string, len(totals))
	for i, t := range totals {
		rows[i] = []string{c.Categories[i].name()}
		for _, s := range series {
			rows[i] = append(rows[i], c.bare(s.values[i]))
		}
		rows[i] = append(rows[i], c.bare(t))
	}
	c.table(m, heads, rows)
}
