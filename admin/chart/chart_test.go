package chart_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
	"bursar/admin/chart"
)

var update = flag.Bool("update", false, "rewrite the charts in testdata/")

func TestEachChartIsDrawnAsItsGoldenFile(t *testing.T) {
	for name, drawn := range samples() {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name+".html")
			got := strings.ReplaceAll(string(drawn), "><", ">\n<") + "\n"
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("if the change is meant: go test ./admin/chart -update, and look at it\n%s", diff)
			}
		})
	}
}

// node is an element with what stands in it.
type node struct {
	name       string
	attributes map[string]string
	text       string // its own and that of the elements in it
	children   []*node
}

// parse reads a chart as strict XML and fails the test if it is none.
func parse(t require.TestingT, chart string) *node {
	root := &node{}
	stack := []*node{root}
	for dec := xml.NewDecoder(strings.NewReader(chart)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err, chart)
		top := stack[len(stack)-1]
		switch token := token.(type) {
		case xml.StartElement:
			n := &node{name: token.Name.Local, attributes: map[string]string{}}
			for _, a := range token.Attr {
				if _, twice := n.attributes[a.Name.Local]; twice {
					t.Errorf("%s has %s twice", n.name, a.Name.Local)
				}
				n.attributes[a.Name.Local] = a.Value
			}
			top.children = append(top.children, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			for _, n := range stack {
				n.text += string(token)
			}
		}
	}
	require.Len(t, stack, 1)
	require.Len(t, root.children, 1, "a chart is one element")
	return root.children[0]
}

// all are the elements with a name and, unless it is empty, a class, in order.
func (n *node) all(name, class string) []*node {
	var found []*node
	if n.name == name && (class == "" || strings.Contains(" "+n.attributes["class"]+" ", " "+class+" ")) {
		found = append(found, n)
	}
	for _, c := range n.children {
		found = append(found, c.all(name, class)...)
	}
	return found
}

func (n *node) walk(visit func(*node)) {
	visit(n)
	for _, c := range n.children {
		c.walk(visit)
	}
}

func TestChartsCarryNothingThatAStrictContentSecurityPolicyForbids(t *testing.T) {
	for name, drawn := range samples() {
		t.Run(name, func(t *testing.T) {
			parse(t, string(drawn)).walk(func(n *node) {
				assert.NotContains(t, []string{"script", "style", "foreignObject", "image", "a", "use"}, n.name)
				for a := range n.attributes {
					assert.NotEqual(t, "style", a)
					assert.False(t, strings.HasPrefix(a, "on"), "%s has %s", n.name, a)
				}
			})
		})
	}
}

func TestEveryPointTellsItsValuesAndOnlyTheFirstIsATabStop(t *testing.T) {
	for name, points := range map[string]int{"bars": 22, "burn": 30, "lines": 11, "intervals": 4} {
		t.Run(name, func(t *testing.T) {
			figure := parse(t, string(samples()[name]))
			found := figure.all("g", "point")
			require.Len(t, found, points)
			for i, p := range found {
				assert.Equal(t, map[bool]string{true: "0", false: "-1"}[i == 0], p.attributes["tabindex"])
				assert.Equal(t, "img", p.attributes["role"])
				assert.NotEmpty(t, p.attributes["aria-label"])
				assert.NotEmpty(t, p.attributes["data-tip"])
			}
			for _, svg := range figure.all("svg", "") {
				if len(svg.all("g", "point")) > 0 {
					assert.Equal(t, "group", svg.attributes["role"], "an image hides what can be focused in it")
				}
			}
			assert.Len(t, figure.all("tbody", "")[0].all("tr", ""), points, "the table has a row for each point")
		})
	}
}

func TestDaysOnWhichNothingWasSpentAreNoPicture(t *testing.T) {
	zero := accounting.Some(decimal.Zero)
	c := chart.StackedBars{
		Frame: chart.Frame{Title: "AI cost per day", Unit: "EUR", Empty: "Nothing was spent in these days."}, Of: "Day",
		Categories: []chart.Category{{Label: "1", Name: "Monday"}, {Label: "2", Name: "Tuesday"}},
		Series:     []chart.Series{{Name: "research", Values: []chart.Value{zero, zero}}},
	}
	require.Contains(t, string(c.HTML()), "Nothing was spent in these days.")
	require.NotContains(t, string(c.HTML()), "<svg")

	c.Series[0].Values[1] = chart.Value{}
	require.Contains(t, string(c.HTML()), "<svg", "what is not known may be something")
}
