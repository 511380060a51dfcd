package chart_test

import (
	"html/template"
	"strconv"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/admin/chart"
)

// words is a text without the marks that isolate names.
func words(text string) string { return strings.NewReplacer("\u2068", "", "\u2069", "").Replace(text) }

// cells are the texts of a chart's table, its head first.
func cells(figure *node) [][]string {
	var rows [][]string
	for _, tr := range figure.all("tr", "") {
		var row []string
		for _, cell := range tr.children {
			row = append(row, cell.text)
		}
		rows = append(rows, row)
	}
	return rows
}

func labels(figure *node) []string {
	var all []string
	for _, p := range figure.all("g", "point") {
		all = append(all, words(p.attributes["aria-label"]))
	}
	return all
}

func days(n int) []chart.Category { return november()[:n] }

func TestASumOfWhichAPartIsUnknownSaysSoAndUnknownIsNotZero(t *testing.T) {
	figure := parse(t, string(chart.StackedBars{
		Frame: chart.Frame{Title: "Spend", Unit: "EUR"}, Categories: days(4),
		Series: []chart.Series{{"a", vals("1.5", "2", "", "0")}, {"b", vals("0.25", "", "", "0")}},
	}.HTML()))
	assert.Equal(t, []string{
		"1 November: 1.75 EUR: a 1.5, b 0.25",
		"2 November: at least 2 EUR: a 2, b unknown",
		"3 November: unknown",
		"4 November: 0 EUR",
	}, labels(figure))
	assert.Equal(t, [][]string{
		{"Day", "a", "b", "Total"},
		{"1 November", "1.5", "0.25", "1.75"},
		{"2 November", "2", "unknown", "at least 2"},
		{"3 November", "unknown", "unknown", "unknown"},
		{"4 November", "0", "0", "0"},
	}, cells(figure))
	assert.Equal(t, "1 November to 4 November: at least 3.75 EUR in all; most: 2 November, at least 2 EUR",
		words(figure.all("span", "summary")[0].text))
	assert.Len(t, figure.all("text", "unknown"), 1, "only the day of which nothing is known has a question mark")
}

func TestSeriesBeyondTheSevenLargestAreOther(t *testing.T) {
	c := chart.StackedBars{Frame: chart.Frame{Title: "Spend"}, Categories: days(1)}
	for i, size := range []string{"5", "0.1", "4", "3", "8", "", "7", "6", "9"} {
		c.Series = append(c.Series, chart.Series{Name: "s" + strconv.Itoa(i), Values: vals(size)})
	}
	c.Series = append(c.Series, chart.Series{Name: "other", Values: vals("0.02")})
	assert.Equal(t, [][]string{
		{"Day", "s0", "s2", "s3", "s4", "s6", "s7", "s8", "other", "Total"},
		{"1 November", "5", "4", "3", "8", "7", "6", "9", "at least 0.12", "at least 42.12"},
	}, cells(parse(t, string(c.HTML()))))
}

func TestASeriesOfZerosKeepsItsColourWithoutANameInTheLegend(t *testing.T) {
	figure := parse(t, string(chart.StackedBars{
		Frame: chart.Frame{ID: "x", Title: "Spend"}, Categories: days(2),
		Series: []chart.Series{{"none", vals("0", "0")}, {"some", vals("1", "0")}},
	}.HTML()))
	legend := figure.all("ul", "legend")[0]
	require.Len(t, legend.all("li", ""), 1)
	assert.Equal(t, "some", legend.text)
	assert.Equal(t, "url(#x-2)", figure.all("rect", "field")[0].attributes["fill"])
	require.Len(t, figure.all("pattern", ""), 2, "the pattern that is named is there")
	assert.Equal(t, "x-2", figure.all("pattern", "")[1].attributes["id"])
}

func TestEveryPatternThatIsNamedIsDefined(t *testing.T) {
	for name, drawn := range samples() {
		defined := map[string]bool{}
		figure := parse(t, string(drawn))
		for _, p := range figure.all("pattern", "") {
			defined["url(#"+p.attributes["id"]+")"] = true
		}
		figure.walk(func(n *node) {
			if fill := n.attributes["fill"]; fill != "" {
				assert.True(t, defined[fill], "%s: %s", name, fill)
			}
		})
	}
}

func TestANegativeValueIsToldButNotDrawn(t *testing.T) {
	figure := parse(t, string(chart.StackedBars{
		Frame: chart.Frame{Title: "Spend"}, Categories: days(1), Series: []chart.Series{{"a", vals("-2")}, {"b", vals("1")}},
	}.HTML()))
	assert.Equal(t, []string{"1 November: -1: a -2, b 1"}, labels(figure))
	assert.Len(t, figure.all("rect", "field"), 1)
}

func TestWithoutAKnownValueThereIsASentenceInsteadOfAxes(t *testing.T) {
	frame := chart.Frame{Title: "Spend", Empty: "No calls yet."}
	unknown := []chart.Series{{"a", vals("", "")}}
	for name, drawn := range map[string]template.HTML{
		"bars":      chart.StackedBars{Frame: frame, Categories: days(2), Series: unknown, Mean: val("1")}.HTML(),
		"no days":   chart.StackedBars{Frame: frame, Series: unknown}.HTML(),
		"lines":     chart.Lines{Frame: frame, Categories: days(2), Series: unknown, Target: val("1")}.HTML(),
		"no months": chart.Lines{Frame: frame, Series: []chart.Series{{"a", vals("1")}}}.HTML(),
		"burn":      chart.Burn{Frame: frame, Days: days(2), Spent: vals("", ""), Budget: val("1")}.HTML(),
		"share":     chart.Share{Frame: frame, Parts: []chart.Part{{"a", chart.Value{}}}}.HTML(),
		"intervals": chart.Intervals{Frame: frame, Rows: []chart.Interval{{Name: "a"}}, Target: val("1")}.HTML(),
	} {
		figure := parse(t, string(drawn))
		assert.Empty(t, figure.all("svg", ""), name)
		assert.Equal(t, "SpendNo calls yet.", figure.text, name)
	}
	assert.Contains(t, string(chart.Lines{Frame: chart.Frame{Title: "T"}}.HTML()), "No figures yet.")
	assert.NotContains(t, string(chart.Sparkline{Name: "T", Values: vals("", "")}.HTML()), "<svg")
}

func TestTheForecastBeginsAtWhatWasSpentAndIsBridgedToTheMonthsEnd(t *testing.T) {
	figure := parse(t, string(chart.Burn{
		Frame: chart.Frame{Title: "Burn", Unit: "EUR"}, Days: days(5), Spent: vals("1", "2"), Budget: val("10"),
		Forecast: []chart.Outlook{
			{Expected: val("99")}, {Expected: val("99")}, {}, {},
			{Expected: val("8"), Low80: val("6"), High80: val("9"), Low95: val("5"), High95: val("10")},
		},
	}.HTML()))
	assert.Equal(t, []string{
		"1 November: spent 1 EUR", "2 November: spent 2 EUR", "3 November: not forecast by itself", "4 November: not forecast by itself",
		"5 November: expected 8 EUR, with 95 % 5 to 10 EUR, with 80 % 6 to 9 EUR",
	}, labels(figure))
	// The plot is 2000 high for 10 EUR and ends at 2220; columns are 2000 wide.
	assert.Equal(t, "M3000 1820L5000 1420L7000 1020L9000 620", figure.all("path", "expected")[0].attributes["d"])
	assert.Equal(t, "M3000 1820L5000 1353L7000 887L9000 420L9000 1020L7000 1287L5000 1553L3000 1820Z", figure.all("path", "b80")[0].attributes["d"])
	assert.Equal(t, []string{"2 November", "2", "–", "–", "–", "–", "–", "10"}, cells(figure)[2])
	assert.Equal(t, []string{"5 November", "–", "8", "6", "9", "5", "10", "10"}, cells(figure)[5])
}

func TestAGapInterruptsALineAndALoneValueIsADot(t *testing.T) {
	figure := parse(t, string(chart.Lines{
		Frame: chart.Frame{Title: "Trend"}, Categories: days(5), Series: []chart.Series{{"a", vals("1", "2", "", "1")}},
	}.HTML()))
	assert.Equal(t, "M1000 1220L3000 220M7000 1220h0", figure.all("path", "line")[0].attributes["d"])
	assert.Len(t, figure.all("circle", "dot"), 3)
	assert.Equal(t, "5 November: a unknown", labels(figure)[4])
}

func TestSharesFillTheWholeBarAndAreNotDrawnIfAPartIsUnknown(t *testing.T) {
	c := chart.Share{Frame: chart.Frame{Title: "Share", Unit: "EUR"}, Parts: []chart.Part{{"a", val("1")}, {"b", val("1")}, {"c", val("1")}}}
	figure := parse(t, string(c.HTML()))
	end := 0.0
	for _, field := range figure.all("rect", "field") {
		assert.InDelta(t, end, percent(t, field.attributes["x"]), 1e-9)
		end += percent(t, field.attributes["width"])
	}
	assert.InDelta(t, 100, end, 1e-9)
	assert.Equal(t, []string{"a", "1", "33.3 %"}, cells(figure)[1])

	c.Parts[2].Value = chart.Value{}
	figure = parse(t, string(c.HTML()))
	assert.Empty(t, figure.all("rect", "field"))
	assert.Equal(t, "at least 2 EUR in all", figure.all("span", "summary")[0].text)
	assert.Equal(t, [][]string{{"Part", "EUR", "Share"}, {"a", "1", "unknown"}, {"b", "1", "unknown"}, {"c", "unknown", "unknown"}}, cells(figure))
}

func TestAnIntervalIsToldWithItsTarget(t *testing.T) {
	figure := parse(t, string(intervals().HTML()))
	assert.Equal(t, []string{
		"Founders in Austria: 7.12 %, 95 % interval 4.1 to 12.03 %",
		"A campaign with a name that is longer than its line: 3.1 %, 95 % interval 2.55 to 3.8 %",
		"Nothing sent yet: unknown", "Without an interval: 5 %",
	}, labels(figure))
	assert.Equal(t, "A campaign with a name…", words(figure.all("text", "name")[1].text), "long names are cut where there is no room")
	assert.Len(t, figure.all("line", "interval"), 3, "two rows and the legend")
	assert.Contains(t, words(figure.all("span", "summary")[0].text), "target 5 %")
}

func TestASparklineTellsWhatItShows(t *testing.T) {
	svg := parse(t, string(sparkline().HTML()))
	const text = "Cost per email: latest 0.09 EUR, lowest 0.09 EUR, highest 0.2 EUR"
	assert.Equal(t, text, words(svg.attributes["aria-label"]))
	assert.Equal(t, text, words(svg.all("title", "")[0].text))
	one := parse(t, string(chart.Sparkline{Name: "One", Values: vals("0")}.HTML()))
	assert.Equal(t, "M30 250h0", one.all("path", "")[0].attributes["d"])
}

func TestNumbersAreShownByTheCallersFunctions(t *testing.T) {
	figure := parse(t, string(chart.StackedBars{
		Frame: chart.Frame{
			Title: "Spend", Unit: "EUR",
			Format: func(v decimal.Decimal) string { return v.StringFixed(4) },
			Tick:   func(v decimal.Decimal) string { return "<" + v.String() + ">" },
		},
		Categories: days(1), Series: []chart.Series{{"a", vals("1.5")}},
	}.HTML()))
	assert.Equal(t, []string{"1 November: 1.5000 EUR: a 1.5000"}, labels(figure))
	assert.Equal(t, "<0.5>", figure.all("text", "tick")[2].text)
	assert.Equal(t, "\t1 November\t1.5000 EUR\nc1\ta\t1.5000", figure.all("g", "point")[0].attributes["data-tip"])
}

func TestLabelsOfTheAxisAreFewerWhereThereIsLessRoom(t *testing.T) {
	c := chart.Lines{Frame: chart.Frame{Title: "T"}, Categories: november(), Series: []chart.Series{{"a", vals("1")}}}
	always, wide := 0, 0
	for _, text := range parse(t, string(c.HTML())).all("text", "tick") {
		switch {
		case text.attributes["text-anchor"] != "middle":
		case strings.Contains(text.attributes["class"], "wide"):
			wide++
		default:
			always++
		}
	}
	assert.LessOrEqual(t, always, 10)
	assert.GreaterOrEqual(t, always, 5)
	assert.Greater(t, wide+always, always)
}

func TestMoneyStandsBehindItsSignWhereverItIsReadAlone(t *testing.T) {
	cents := func(d decimal.Decimal) string { return d.StringFixed(2) }
	euros := chart.Frame{Title: "Spend", Unit: "EUR", Sign: "€", Format: cents}
	burn := string(chart.Burn{
		Frame: euros, Days: days(3), Spent: vals("1", "2"), Budget: val("10"),
		Forecast: []chart.Outlook{{}, {}, {Expected: val("3"), Low80: val("2.5"), High80: val("4")}},
	}.HTML())
	for _, want := range []string{"€2.00 spent until", "of a budget of €10.00", "expected at the end: €3.00", "in 80 % of outcomes €2.50 to €4.00"} {
		require.Contains(t, burn, want)
	}
	require.Contains(t, burn, "<caption>Spend, EUR</caption>", "the column's head names the currency, its numbers stand alone")
	require.Contains(t, burn, "<td>2.00</td>")
	bars := chart.StackedBars{
		Frame: euros, Categories: days(2),
		Series: []chart.Series{{"a", vals("-1.5", "2")}, {"b", []chart.Value{val("-1"), {}}}},
	}
	require.Contains(t, string(bars.HTML()), "−€2.50")
	require.Contains(t, string(bars.HTML()), "at least €2.00")
	require.NotContains(t, string(bars.HTML()), ".00 EUR")
	line := chart.Sparkline{Name: "Cost", Unit: "EUR", Sign: "€", Format: cents, Values: vals("1", "2")}
	require.Contains(t, string(line.HTML()), "latest €2.00, lowest €1.00, highest €2.00")
}
