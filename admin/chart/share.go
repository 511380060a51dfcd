package chart

import (
	"cmp"
	"html/template"

	"github.com/shopspring/decimal"
)

// Share is one horizontal bar that is the whole, divided into parts: fixed
// against variable costs. Each part is labelled with its value and its share.
// It is drawn only if all parts are known, and none is negative: of what is not
// known there is no share.
type Share struct {
	Frame
	Of    string // what the parts are, the head of their column. Empty: "Part"
	Parts []Part // more than eight repeat the colours
}

// Part is a part of a whole.
type Part struct {
	Name  string
	Value Value
}

// shareHeight is the height of the bar, pixels.
const shareHeight = "28"

// HTML is the chart as a <figure>.
func (c Share) HTML() template.HTML {
	var sum amount
	drawable := true
	for _, p := range c.Parts {
		sum = sum.plus(amountOf(p.Value))
		drawable = drawable && p.Value.Known && !p.Value.Value.IsNegative()
	}
	if !sum.known {
		return c.empty("share")
	}
	drawable = drawable && sum.value.IsPositive()
	m := &markup{}
	c.begin(m, "share", c.full(sum)+" in all")
	shares := make([]string, len(c.Parts))
	if drawable {
		c.bar(m, sum.value)
		for i, p := range c.Parts {
			shares[i] = p.Value.Value.Shift(2).DivRound(sum.value, 1).String() + " %"
		}
	}
	keys := make([]key, len(c.Parts))
	rows := make([][]string, len(c.Parts))
	for i, p := range c.Parts {
		text := c.full(amountOf(p.Value))
		if shares[i] != "" {
			text += ", " + shares[i]
		}
		keys[i] = key{class: colour(i), pattern: i%len(textures) + 1, name: p.Name, value: text}
		if !drawable {
			keys[i].pattern, keys[i].class = 0, "solid "+colour(i)
		}
		rows[i] = []string{p.Name, c.bare(amountOf(p.Value)), cmp.Or(shares[i], "unknown")}
	}
	c.legend(m, keys)
	c.table(m, []string{cmp.Or(c.Of, "Part"), cmp.Or(c.Unit, "Value"), "Share"}, rows)
	m.end()
	return m.html()
}

// bar draws the parts. They add up to the whole width: each ends where its sum
// with those before it does.
func (c Share) bar(m *markup, sum decimal.Decimal) {
	s := scale{high: sum}
	m.start("div", "class", "plot")
	m.start("svg", "width", "100%", "height", shareHeight, "role", "img",
		"aria-labelledby", c.id()+"-title", "aria-describedby", c.id()+"-summary")
	c.patterns(m, len(c.Parts))
	var until decimal.Decimal
	for i, p := range c.Parts {
		from := s.at(until, whole)
		until = until.Add(p.Value.Value)
		if to := s.at(until, whole); to > from {
			m.shape("rect", "class", "field", "fill", c.fill(i%len(textures)+1),
				"x", across(from), "width", across(to-from), "height", shareHeight)
		}
	}
	m.ends(2)
}
