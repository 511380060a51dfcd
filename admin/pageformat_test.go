package admin

import (
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// inText is an element's text.
func inText(element string) string {
	_, text, _ := strings.Cut(element, ">")
	return strings.TrimSuffix(strings.TrimSuffix(text, "</data>"), "</span>")
}

func TestPartsOfASumStandOnItsDecimals(t *testing.T) {
	number := decimal.RequireFromString
	euros := moneyFormat{Currency: accounting.EUR}
	for _, c := range []struct{ part, whole, want string }{
		{"77.6412", "192.28", "€77.64"},
		{"0.5461", "192.28", "€0.55"},
		{"0.5461", "0.9", "€0.546"}, // a small sum is not worth less
		{"0.0099", "192.28", "&lt; €0.01"},
		{"0.00999999", "1", "&lt; €0.01"},
		{"0.01", "1", "€0.01"},
		{"0", "192.28", "€0.00"},
		{"-3.999", "192.28", "−€4.00"},
		{"1234.5", "2000", "€1\u202f234.50"},
	} {
		element := string(euros.Part(number(c.part), number(c.whole)))
		require.Equal(t, c.want, inText(element), "%s of %s", c.part, c.whole)
		require.Contains(t, element, `title="`+c.part+` EUR"`)
	}
	require.Equal(t, "–", inText(string(euros.Part((*accounting.Amount)(nil), number("5")))))
	dollars := moneyFormat{Currency: accounting.USD, Rate: number("0.5")}
	require.Equal(t, "$1.09", inText(string(dollars.Part(number("0.5461"), number("0.5")))), "the whole is one dollar")
}

func TestExactAmountsStandOnTheirPoints(t *testing.T) {
	column := []string{"3.25", "0.37218545", "12", "0.123456789"}
	for _, text := range column {
		shown := padded(decimal.RequireFromString(text))
		require.Equal(t, text, strings.TrimRight(shown, "\u2007\u2008"), "no digit is lost")
		if text != "0.123456789" {
			_, behind, found := strings.Cut(strings.Replace(shown, "\u2008", ".", 1), ".")
			require.True(t, found)
			require.Len(t, []rune(behind), paddedPlaces, text)
		}
	}
	require.Equal(t, "–", padded((*accounting.Amount)(nil)))
}

func TestTheErrorOfACallIsToldInWords(t *testing.T) {
	row := call(1, "q4", "0.1")
	row.Status, row.Error = accounting.StatusFailed, ptr("provider_overloaded")
	require.Contains(t, text(show(t, row)), "failed provider overloaded")
}

func TestAScoreIsNotShownAboveItsBand(t *testing.T) {
	require.Equal(t, "89", scoreText(&accounting.Amount{Decimal: decimal.RequireFromString("89.99")}))
	require.Equal(t, "90", scoreText(&accounting.Amount{Decimal: decimal.RequireFromString("90")}))
	require.Equal(t, "–", scoreText(nil))
}
