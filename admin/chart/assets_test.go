package chart_test

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// channels are red, green and blue, linear, from 0 to 1.
type channels [3]float64

func parseColour(t *testing.T, hex string) channels {
	t.Helper()
	require.Len(t, hex, 7)
	var c channels
	for i := range c {
		v, err := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		require.NoError(t, err)
		c[i] = float64(v) / 255
		if c[i] <= 0.04045 {
			c[i] /= 12.92
		} else {
			c[i] = math.Pow((c[i]+0.055)/1.055, 2.4)
		}
	}
	return c
}

// contrast is that of WCAG 2.2.
func contrast(a, b channels) float64 {
	luminance := func(c channels) float64 { return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2] }
	lighter, darker := max(luminance(a), luminance(b)), min(luminance(a), luminance(b))
	return (lighter + 0.05) / (darker + 0.05)
}

// Machado, Oliveira and Fernandes, A Physiologically-based Model for Simulation
// of Color Vision Deficiency (2009), severity 1.
var visions = map[string][3]channels{
	"all":          {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
	"protanopia":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
	"deuteranopia": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
}

func seen(c channels, vision [3]channels) channels {
	var s channels
	for i, row := range vision {
		s[i] = min(1, max(0, row[0]*c[0]+row[1]*c[1]+row[2]*c[2]))
	}
	return s
}

// difference is the distance in Oklab, times a hundred: 2 can just be seen.
func difference(a, b channels) float64 {
	lab := func(c channels) channels {
		l := math.Cbrt(0.4122214708*c[0] + 0.5363325363*c[1] + 0.0514459929*c[2])
		m := math.Cbrt(0.2119034982*c[0] + 0.6806995451*c[1] + 0.1073969566*c[2])
		s := math.Cbrt(0.0883024619*c[0] + 0.2817188376*c[1] + 0.6299787005*c[2])
		return channels{
			0.2104542553*l + 0.7936177850*m - 0.0040720468*s,
			1.9779984951*l - 2.4285922050*m + 0.4505937099*s,
			0.0259040371*l + 0.7827717662*m - 0.8086757660*s,
		}
	}
	x, y, sum := lab(a), lab(b), 0.0
	for i := range x {
		sum += (x[i] - y[i]) * (x[i] - y[i])
	}
	return 100 * math.Sqrt(sum)
}

// schemes reads the colours of chart.css, of the light scheme and of the dark.
func schemes(t *testing.T) map[string]map[string]channels {
	t.Helper()
	css, err := os.ReadFile("../assets/chart.css")
	require.NoError(t, err)
	light, dark, found := strings.Cut(string(css), "@media screen and (prefers-color-scheme: dark)")
	require.True(t, found)
	dark, _, found = strings.Cut(dark, "\n}")
	require.True(t, found)
	read := func(part string) map[string]channels {
		colours := map[string]channels{}
		for _, m := range regexp.MustCompile(`--([a-z0-9-]+): (#[0-9a-f]{6})\b[;\s]`).FindAllStringSubmatch(part, -1) {
			colours[m[1]] = parseColour(t, m[2])
		}
		return colours
	}
	return map[string]map[string]channels{"light": read(light), "dark": read(dark)}
}

func TestTheColoursStandOutFromTheirGroundAndFromEachOther(t *testing.T) {
	grounds := map[string][]string{"light": {"#ffffff", "#f6f7f9"}, "dark": {"#1a212b", "#12171e"}}
	for scheme, colours := range schemes(t) {
		for _, ground := range grounds[scheme] {
			for i := 1; i <= 8; i++ {
				require.Contains(t, colours, fmt.Sprintf("c%d", i), scheme)
				assert.GreaterOrEqual(t, contrast(colours[fmt.Sprintf("c%d", i)], parseColour(t, ground)), 3.0, "%s: c%d on %s", scheme, i, ground)
			}
			for _, text := range []string{"chart-ink", "chart-soft"} {
				require.Contains(t, colours, text, scheme)
				assert.GreaterOrEqual(t, contrast(colours[text], parseColour(t, ground)), 4.5, "%s: %s on %s", scheme, text, ground)
			}
		}
		for name, vision := range visions {
			for i := 1; i <= 8; i++ {
				for j := i + 1; j <= 8; j++ {
					least := 5.0
					if j == i+1 {
						least = 12 // they lie on each other
					}
					a, b := seen(colours[fmt.Sprintf("c%d", i)], vision), seen(colours[fmt.Sprintf("c%d", j)], vision)
					assert.GreaterOrEqual(t, difference(a, b), least, "%s, %s: c%d and c%d", scheme, name, i, j)
				}
			}
		}
	}
}

func TestTheStylesheetKnowsEveryClassAndTheScriptWritesNoMarkup(t *testing.T) {
	css, err := os.ReadFile("../assets/chart.css")
	require.NoError(t, err)
	unstyled := map[string]bool{"bars": true, "burn": true, "lines": true, "intervals": true, "stretched": true, "empty": true, "axes": true}
	for _, drawn := range samples() {
		parse(t, string(drawn)).walk(func(n *node) {
			for class := range strings.FieldsSeq(n.attributes["class"]) {
				if !unstyled[class] && !regexp.MustCompile(`\.`+regexp.QuoteMeta(class)+`\b`).Match(css) {
					t.Errorf("no rule is about .%s", class)
				}
			}
		})
	}
	for _, forbidden := range []string{"@import", "http:", "https:", "//"} {
		assert.NotContains(t, string(css), forbidden, "%s: no request to any other place", forbidden)
	}
	script, err := os.ReadFile("../assets/chart.js")
	require.NoError(t, err)
	for _, forbidden := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "import", "setAttribute(\"style\""} {
		assert.NotContains(t, string(script), forbidden)
	}
}
