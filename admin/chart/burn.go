package chart

import (
	"html/template"
	"strings"

	"github.com/shopspring/decimal"
)

// Burn is what was spent since a month began, day by day, against its budget,
// with what the forecast expects until the month ends.
type Burn struct {
	Frame
	Days []Category // all days of the month
	// Spent is the sum from the first day to the end of each day, of the last
	// one until now. Behind the last known value the forecast begins.
	Spent  []Value
	Budget Value // unknown: none
	// Forecast is the expected sum at the end of each day; entries of days that
	// have a Spent are passed over. What is unknown between two days is bridged
	// by a straight line, so the last day's entry is enough.
	Forecast []Outlook
}

// Outlook is what the forecast says of a sum.
type Outlook struct {
	Expected      Value
	Low80, High80 Value // bounds that hold it with 80 %
	Low95, High95 Value
}

// band is one of the forecast's intervals.
type band struct {
	class, name string
	low, high   func(Outlook) Value
}

// bands are drawn in this order.
var bands = [...]band{
	{"band b95", "95 %", func(o Outlook) Value { return o.Low95 }, func(o Outlook) Value { return o.High95 }},
	{"band b80", "80 %", func(o Outlook) Value { return o.Low80 }, func(o Outlook) Value { return o.High80 }},
}

func expected(o Outlook) Value { return o.Expected }

// HTML is the chart as a <figure>.
func (c Burn) HTML() template.HTML {
	today := lastKnown(c.Spent, len(c.Days))
	if today < 0 {
		return c.empty("burn")
	}
	outlook := c.outlook(today)
	values := append(known(c.Spent[:today+1]...), known(c.Budget)...)
	for _, o := range outlook {
		values = append(values, known(o.Expected, o.High80, o.High95, o.Low95)...)
	}
	m := &markup{}
	c.begin(m, "burn", c.summary(today, outlook))
	c.legend(m, c.keys(outlook))
	p := &plot{markup: m, frame: &c.Frame, scale: newScale(values), categories: c.Days}
	p.begin()
	p.stretched()
	for _, b := range bands {
		p.band(b, outlook)
	}
	p.line("line expected c1", bridged(outlook, expected))
	p.line("line c1", c.Spent[:today+1])
	p.end()
	p.reference("budget", c.Budget)
	for i := range c.Days {
		c.column(p, i, today, outlook)
	}
	p.finish()
	c.valuesTable(m, today, outlook)
	m.end()
	return m.html()
}

// outlook is the forecast for each day; that of the present day is what was
// spent, where the bands begin. It is empty if nothing is forecast.
func (c Burn) outlook(today int) []Outlook {
	days := make([]Outlook, len(c.Days))
	any := false
	for i := today + 1; i < min(len(days), len(c.Forecast)); i++ {
		days[i] = c.Forecast[i]
		any = any || days[i] != Outlook{}
	}
	if !any {
		return nil
	}
	spent := c.Spent[today]
	days[today] = Outlook{spent, spent, spent, spent, spent}
	return days
}

// bridged are the values of one line of the outlook: a day that has none gets
// one on the straight line between its neighbours.
func bridged(outlook []Outlook, of func(Outlook) Value) []Value {
	line := make([]Value, len(outlook))
	before := -1
	for i, o := range outlook {
		line[i] = of(o)
		if !line[i].Known {
			continue
		}
		for j := before + 1; before >= 0 && j < i; j++ {
			rise := line[i].Value.Sub(line[before].Value).Mul(decimal.NewFromInt(int64(j - before)))
			line[j] = Value{Value: line[before].Value.Add(rise.Div(decimal.NewFromInt(int64(i - before)))), Known: true}
		}
		before = i
	}
	return line
}

// band draws what lies between two lines of the outlook.
func (p *plot) band(b band, outlook []Outlook) {
	low, high := bridged(outlook, b.low), bridged(outlook, b.high)
	var there, back []string
	for i := range outlook {
		if low[i].Known && high[i].Known {
			there = append(there, step(len(there) > 0, p.middle(i), p.y(high[i].Value)))
			back = append(back, step(true, p.middle(i), p.y(low[i].Value)))
		}
	}
	if len(there) < 2 {
		return
	}
	for i := len(back) - 1; i >= 0; i-- {
		there = append(there, back[i])
	}
	p.shape("path", "class", b.class, "d", strings.Join(there, "")+"Z", "vector-effect", "non-scaling-stroke")
}

// end is the forecast of the month's end.
func end(outlook []Outlook) Outlook {
	if len(outlook) == 0 {
		return Outlook{}
	}
	return outlook[len(outlook)-1]
}

func (c Burn) summary(today int, outlook []Outlook) string {
	text := c.fullValue(c.Spent[today].Value) + " spent until " + isolated(c.Days[today].name())
	if c.Budget.Known {
		text += ", of a budget of " + c.fullValue(c.Budget.Value)
	}
	last := end(outlook)
	if last.Expected.Known {
		text += "; expected at the end: " + c.fullValue(last.Expected.Value)
	}
	if last.Low80.Known && last.High80.Known {
		text += ", in 80 % of outcomes " + c.between(last.Low80, last.High80)
	}
	return text
}

// between shows an interval: "1.2 to 3.4 EUR", "€1.20 to €3.40".
func (f *Frame) between(low, high Value) string {
	from := f.bare(amountOf(low))
	if f.Sign != "" {
		from = f.full(amountOf(low))
	}
	return from + " to " + f.full(amountOf(high))
}

func (c Burn) keys(outlook []Outlook) []key {
	keys := []key{{line: true, class: "line c1", name: "Spent"}}
	if c.Budget.Known {
		keys = append(keys, key{line: true, class: "budget", name: "Budget", value: c.fullValue(c.Budget.Value)})
	}
	if len(outlook) == 0 {
		return keys
	}
	keys = append(keys, key{line: true, class: "line expected c1", name: "Expected"})
	for i := len(bands) - 1; i >= 0; i-- {
		keys = append(keys, key{class: bands[i].class, name: bands[i].name + " of outcomes"})
	}
	return keys
}

// column makes one day a point: what was spent until then, or what is expected.
func (c Burn) column(p *plot, i, today int, outlook []Outlook) {
	name := c.Days[i].name()
	texts := c.texts(i, today, outlook)
	label, rows := isolated(name)+": ", []row{{name: name}}
	for j, t := range texts {
		if j > 0 {
			label += ", "
		}
		label += strings.TrimSpace(t.name + " " + t.value)
	}
	p.point(i, label, append(rows, texts...))
	defer p.end()
	at, class := valueAt(c.Spent[:today+1], i), "dot c1"
	if i > today && len(outlook) > 0 {
		at = outlook[i].Expected
	}
	if i != today {
		class += " quiet"
	}
	if at.Known {
		p.dot(class, i, at.Value)
	}
}

// texts are what is known of one day.
func (c Burn) texts(i, today int, outlook []Outlook) []row {
	if i <= today {
		return []row{{"c1", "spent", c.full(amountOf(c.Spent[i]))}}
	}
	var o Outlook
	if len(outlook) > 0 {
		o = outlook[i]
	}
	switch {
	case len(outlook) == 0:
		return []row{{name: "not yet"}}
	case !o.Expected.Known:
		return []row{{name: "not forecast by itself"}}
	}
	rows := []row{{"c1", "expected", c.fullValue(o.Expected.Value)}}
	for _, b := range bands {
		if low, high := b.low(o), b.high(o); low.Known && high.Known {
			rows = append(rows, row{b.class, "with " + b.name, c.between(low, high)})
		}
	}
	return rows
}

func (c Burn) valuesTable(m *markup, today int, outlook []Outlook) {
	heads := []string{"Day", "Spent"}
	if len(outlook) > 0 {
		heads = append(heads, "Expected", "80 % from", "80 % to", "95 % from", "95 % to")
	}
	rows := make([][]string, len(c.Days))
	for i, day := range c.Days {
		cells := []Value{valueAt(c.Spent[:today+1], i)}
		if len(outlook) > 0 {
			o := outlook[i]
			if i == today {
				o = Outlook{}
			}
			cells = append(cells, o.Expected, o.Low80, o.High80, o.Low95, o.High95)
		}
		rows[i] = []string{day.name()}
		for j, v := range cells {
			rows[i] = append(rows[i], c.cell(v, (j == 0) == (i <= today)))
		}
	}
	if c.Budget.Known {
		heads = append(heads, "Budget")
		for i := range rows {
			rows[i] = append(rows[i], c.bare(amountOf(c.Budget)))
		}
	}
	c.table(m, heads, rows)
}

// cell is a value in a table, a dash where none belongs.
func (f *Frame) cell(v Value, belongs bool) string {
	if !v.Known && !belongs {
		return "–"
	}
	return f.bare(amountOf(v))
}
