package postgres

import (
	"encoding/json"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAnAmountInJSONIsItsString(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		coefficient := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-100_000, 100_000)).Draw(t, "coefficient")
		d := decimal.New(coefficient, rapid.Int32Range(-25, 5).Draw(t, "exponent"))
		if rapid.Bool().Draw(t, "long") {
			d = d.Mul(decimal.New(987654321987654321, -5))
		}
		require.Equal(t, d.String(), string(appendAmount(nil, d)))
	})
	require.Equal(t, "0", string(appendAmount(nil, decimal.Decimal{})))
}

func TestAStringInJSONIsWhatTheStandardLibraryMakesOfIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(clean(rapid.OneOf(rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune("ab\"\\<>&\x01\u2028é/")))).Draw(t, "s")))
		want, err := json.Marshal(s)
		require.NoError(t, err)
		require.Equal(t, string(want), string(appendString(nil, s)))
	})
}
