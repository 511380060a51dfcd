package chart

// table writes the exact values, closed until somebody opens them. Each row
// begins with its head.
func (f *Frame) table(m *markup, heads []string, rows [][]string) {
	m.start("details")
	m.start("summary")
	m.text("Show as table")
	m.element("span", ": "+clean(f.Title), "class", "unseen")
	m.end()
	// A part that scrolls has to be reachable by keyboard.
	m.start("div", "class", "scroll", "tabindex", "0", "role", "region", "aria-label", "Table: "+isolated(f.Title))
	m.start("table")
	caption := clean(f.Title)
	if f.Unit != "" {
		caption += ", " + clean(f.Unit)
	}
	m.element("caption", caption)
	m.start("thead")
	m.start("tr")
	for _, h := range heads {
		m.start("th", "scope", "col")
		m.element("bdi", clean(h))
		m.end()
	}
	m.ends(2)
	m.start("tbody")
	for _, r := range rows {
		m.start("tr")
		m.start("th", "scope", "row")
		m.element("bdi", clean(r[0]))
		m.end()
		for _, cell := range r[1:] {
			m.element("td", cell)
		}
		m.end()
	}
	m.ends(4) // tbody, table, div, details
}
