package chart_test

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bursar/admin/chart"
)

// The plot's edges as plot.go has them, tenths of a pixel.
const (
	top    = 220
	bottom = 2220
)

// drawnValue is a value or, now and then, none.
func drawnValue(lowest int64) *rapid.Generator[chart.Value] {
	return rapid.Custom(func(t *rapid.T) chart.Value {
		if rapid.IntRange(0, 9).Draw(t, "unknown") == 0 {
			return chart.Value{}
		}
		return chart.Value{
			Value: decimal.New(rapid.Int64Range(lowest, 1_000_000).Draw(t, "coefficient"), int32(rapid.IntRange(-9, 3).Draw(t, "exponent"))),
			Known: true,
		}
	})
}

func drawnSeries(lowest int64, n int) *rapid.Generator[chart.Series] {
	return rapid.Custom(func(t *rapid.T) chart.Series {
		return chart.Series{
			Name:   rapid.OneOf(rapid.StringN(0, 20, 60), rapid.SampledFrom([]string{"other", "a", "b"})).Draw(t, "name"),
			Values: rapid.SliceOfN(drawnValue(lowest), 0, n+1).Draw(t, "values"),
		}
	})
}

func drawnCategories(t *rapid.T) []chart.Category {
	names := rapid.SliceOfN(rapid.StringN(0, 20, 60), 1, 10).Draw(t, "categories")
	categories := make([]chart.Category, len(names))
	for i, name := range names {
		categories[i] = chart.Category{Label: name}
	}
	return categories
}

// tenths reads a position in tenths of a pixel, exactly.
func tenths(t require.TestingT, s string) int64 {
	v, err := decimal.NewFromString(s)
	require.NoError(t, err)
	require.True(t, v.Shift(1).IsInteger(), s)
	return v.Shift(1).IntPart()
}

func percent(t require.TestingT, s string) float64 {
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	require.NoError(t, err)
	return v
}

func TestTheFieldsOfABarStandOnEachOtherAndEndWhereItsSumDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := chart.StackedBars{Frame: chart.Frame{Title: "Spend"}, Categories: drawnCategories(t)}
		c.Series = rapid.SliceOfN(drawnSeries(0, len(c.Categories)), 0, 12).Draw(t, "series")
		sums, most, anyKnown, onlyZeros := make([]float64, len(c.Categories)), 0.0, false, true
		for i := range c.Categories {
			for _, s := range c.Series {
				if i >= len(s.Values) || !s.Values[i].Known {
					onlyZeros = false // it may be something
					continue
				}
				sums[i] += s.Values[i].Value.InexactFloat64()
				anyKnown = true
			}
			most = max(most, sums[i])
		}
		onlyZeros = onlyZeros && most == 0
		figure := parse(t, string(c.HTML()))
		points := figure.all("g", "point")
		if !anyKnown || onlyZeros {
			require.Empty(t, points)
			return
		}
		require.Len(t, points, len(c.Categories))
		heights, tallest := make([]float64, len(points)), 0.0
		for i, p := range points {
			end := int64(bottom)
			for _, field := range p.all("rect", "field") {
				height := tenths(t, field.attributes["height"])
				require.Positive(t, height)
				require.Equal(t, end, tenths(t, field.attributes["y"])+height, "fields stand on each other")
				end = tenths(t, field.attributes["y"])
				x, width := percent(t, field.attributes["x"]), percent(t, field.attributes["width"])
				require.True(t, x >= 0 && width > 0 && x+width <= 100)
			}
			require.GreaterOrEqual(t, end, int64(top), "the bar stays in the plot")
			heights[i] = float64(bottom - end)
			tallest = max(tallest, heights[i])
		}
		if most == 0 {
			require.Zero(t, tallest)
			return
		}
		require.GreaterOrEqual(t, tallest, float64(bottom-top)/2, "the scale fits the values")
		for i, h := range heights {
			require.InDelta(t, sums[i]/most, h/tallest, 0.002)
		}
	})
}

func TestNoPositionIsOutsideOfThePlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		categories := drawnCategories(t)
		series := rapid.SliceOfN(drawnSeries(-1_000_000, len(categories)), 1, 5).Draw(t, "series")
		bars := chart.StackedBars{Frame: chart.Frame{Title: "Bars"}, Categories: categories, Series: series, Mean: drawnValue(-1000).Draw(t, "mean")}
		lines := chart.Lines{Frame: chart.Frame{Title: "Lines"}, Categories: categories, Series: series, Target: drawnValue(-1000).Draw(t, "target")}
		burn := chart.Burn{Frame: chart.Frame{Title: "Burn"}, Days: categories, Spent: series[0].Values, Budget: drawnValue(-1000).Draw(t, "budget")}
		for range rapid.IntRange(0, len(categories)+1).Draw(t, "outlooks") {
			v := rapid.SliceOfN(drawnValue(-1000), 5, 5).Draw(t, "outlook")
			burn.Forecast = append(burn.Forecast, chart.Outlook{Expected: v[0], Low80: v[1], High80: v[2], Low95: v[3], High95: v[4]})
		}
		for _, html := range []string{string(bars.HTML()), string(lines.HTML()), string(burn.HTML())} {
			parse(t, html).walk(func(n *node) {
				if n.name == "text" || n.attributes["class"] == "key" {
					return
				}
				for _, a := range []string{"y", "y1", "y2", "cy"} {
					if at := n.attributes[a]; at != "" {
						if y := tenths(t, at); y < 0 || y > bottom {
							t.Fatalf("%s %s=%s", n.name, a, at)
						}
					}
				}
				for _, a := range []string{"x", "x1", "x2", "cx"} {
					if at := n.attributes[a]; strings.HasSuffix(at, "%") {
						if x := percent(t, at); x < 0 || x > 100 {
							t.Fatalf("%s %s=%s", n.name, a, at)
						}
					}
				}
				if n.name == "path" && n.attributes["class"] != "texture" {
					requireInPlot(t, n.attributes["d"])
				}
			})
		}
	})
}

// requireInPlot reads a path of M, L, h and Z.
func requireInPlot(t require.TestingT, path string) {
	for _, move := range strings.FieldsFunc(strings.TrimSuffix(path, "Z"), func(r rune) bool { return r == 'M' || r == 'L' }) {
		at, _, _ := strings.Cut(move, "h")
		x, y, found := strings.Cut(at, " ")
		require.True(t, found, path)
		across, err := strconv.Atoi(x)
		require.NoError(t, err)
		down, err := strconv.Atoi(y)
		require.NoError(t, err)
		require.True(t, across >= 0 && across <= 10000 && down >= top && down <= bottom, path)
	}
}

func TestWhateverIsInNamesTheMarkupStaysTheSame(t *testing.T) {
	shape := func(t require.TestingT, html string) (tags []string) {
		parse(t, html).walk(func(n *node) {
			tags = append(tags, n.name)
			for _, text := range []string{n.attributes["aria-label"], n.attributes["data-tip"], n.text} {
				if strings.Count(text, "\u2068") != strings.Count(text, "\u2069") {
					t.Errorf("an isolate does not end: %q", text)
				}
				if strings.ContainsAny(text, "\u202a\u202b\u202d\u202e") {
					t.Errorf("a name turns what follows it: %q", text)
				}
			}
			if strings.Contains(n.attributes["data-tip"], "\nc1\tforged") {
				t.Errorf("a name adds a line to a tooltip")
			}
		})
		return tags
	}
	draw := func(name string) string {
		frame := chart.Frame{ID: "x", Title: name, Unit: name}
		values := vals("1", "", "3")
		categories := []chart.Category{{Label: "1", Name: name}, {Label: name}, {Label: "3"}}
		frame.Format = func(d decimal.Decimal) string { return d.String() + name }
		series := []chart.Series{{Name: name + "1", Values: values}, {Name: "2" + name, Values: values}}
		return "<div>" + string(chart.StackedBars{Frame: frame, Of: name, Categories: categories, Series: series, Mean: val("1"), MeanName: "m" + name}.HTML()+
			chart.Lines{Frame: frame, Of: name, Categories: categories, Series: series, Target: val("1"), TargetName: "m" + name}.HTML()+
			chart.Burn{Frame: frame, Days: categories, Spent: values[:1], Budget: val("4")}.HTML()+
			chart.Share{Frame: frame, Parts: []chart.Part{{name, val("1")}}}.HTML()+
			chart.Intervals{Frame: frame, Level: "l" + name, Rows: []chart.Interval{{name, val("1"), val("0"), val("2")}}}.HTML()+
			chart.Sparkline{Name: name, Unit: name, Values: values}.HTML()) + "</div>"
	}
	plain := shape(t, draw("plain"))
	for _, hostile := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' style='x`, "]]>", "<!--", "&amp;&lt;", "{{.}}",
		"a\tb\nc1\tforged\t1", "\x00\x01\x1f\u0085", "\xff\xfe bytes", "\u202eright to left\u202c", "\u2069\u2069\u2066", "\uffff\ufffe",
		strings.Repeat("👩‍👩‍👧‍👦", 60),
	} {
		assert.Equal(t, plain, shape(t, draw(hostile)), "%q", hostile)
	}
	rapid.Check(t, func(t *rapid.T) {
		require.Equal(t, plain, shape(t, draw("x"+rapid.StringN(0, 30, 90).Draw(t, "name"))))
	})
}

func TestTicksAreOneTwoOrFiveTimesAPowerOfTen(t *testing.T) {
	for exponent := int32(-9); exponent <= 9; exponent++ {
		for _, digits := range []int64{1000, 1001, 1999, 2000, 2001, 3333, 4999, 5000, 5001, 9999} {
			value := decimal.New(digits, exponent-3)
			c := chart.StackedBars{
				Frame:      chart.Frame{Title: "Ticks"},
				Categories: []chart.Category{{Label: "1"}},
				Series:     []chart.Series{{Name: "a", Values: []chart.Value{{Value: value, Known: true}}}},
			}
			ticks := ticksOf(t, parse(t, string(c.HTML())))
			require.True(t, len(ticks) >= 3 && len(ticks) <= 6, "%s: %s", value, ticks)
			require.True(t, ticks[0].IsZero())
			last := ticks[len(ticks)-1]
			require.True(t, last.GreaterThanOrEqual(value) && ticks[len(ticks)-2].LessThan(value), "%s: %s", value, ticks)
			lead := strings.Trim(ticks[1].String(), "0.")
			require.Contains(t, []string{"1", "2", "5"}, lead, "%s: %s", value, ticks)
			for i, tick := range ticks {
				require.True(t, tick.Equal(ticks[1].Mul(decimal.NewFromInt(int64(i)))), "%s: %s", value, ticks)
			}
		}
	}
}

// ticksOf are the labels of the vertical axis, from below.
func ticksOf(t require.TestingT, figure *node) []decimal.Decimal {
	var ticks []decimal.Decimal
	y := math.Inf(1)
	for _, text := range figure.all("text", "tick") {
		if text.attributes["text-anchor"] != "end" {
			continue
		}
		v, err := decimal.NewFromString(text.text)
		require.NoError(t, err)
		at, err := strconv.ParseFloat(text.attributes["y"], 64)
		require.NoError(t, err)
		require.Less(t, at, y, "ticks rise")
		y = at
		ticks = append(ticks, v)
	}
	return ticks
}
