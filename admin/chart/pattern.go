package chart

import "strconv"

// textures are what distinguishes the fields of series for those who do not see
// the colours: a path on a square of 8 by 8, empty for a plain field.
var textures = [...]string{
	"",
	"M-2 2L2 -2M0 8L8 0M6 10L10 6",
	"M0 4H8",
	"M2 2h0M6 6h0",
	"M-2 6L2 10M0 0L8 8M6 -2L10 2",
	"M4 0V8",
	"M0 4H8M4 0V8",
	"M-2 2L2 -2M0 8L8 0M6 10L10 6M-2 6L2 10M0 0L8 8M6 -2L10 2",
}

// patterns defines the fields of the first n colours: the colour of a class
// with its texture on it.
func (f *Frame) patterns(m *markup, n int) {
	m.start("defs")
	for i := range min(n, len(textures)) {
		m.start("pattern", "id", f.id()+"-"+strconv.Itoa(i+1), "width", "8", "height", "8", "patternUnits", "userSpaceOnUse")
		m.shape("rect", "class", colour(i), "width", "8", "height", "8")
		if textures[i] != "" {
			m.shape("path", "class", "texture", "d", textures[i])
		}
		m.end()
	}
	m.end()
}
