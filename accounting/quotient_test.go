package accounting_test

import (
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bursar/accounting"
)

func amounts(literals ...string) []decimal.Decimal {
	list := make([]decimal.Decimal, len(literals))
	for i, s := range literals {
		list[i] = decimal.RequireFromString(s)
	}
	return list
}

func TestAQuotientHasTenDecimalsHalfUp(t *testing.T) {
	third := accounting.Quotient(decimal.NewFromInt(2), decimal.NewFromInt(3))
	require.True(t, third.Known)
	assert.Equal(t, "0.6666666667", third.Value.String())
	half := accounting.Quotient(decimal.RequireFromString("0.00000000005"), decimal.NewFromInt(1))
	assert.Equal(t, "0.0000000001", half.Value.String())
}

func TestNothingToDivideByIsUnknown(t *testing.T) {
	assert.False(t, accounting.Per(decimal.NewFromInt(123), 0).Known)
	assert.False(t, accounting.Rate(0, 0).Known)
	assert.True(t, accounting.Rate(0, 5).Known, "none of five is a rate of zero")
}

func TestThePartsOfASplitAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := decimal.New(rapid.Int64().Draw(t, "coefficient"), rapid.Int32Range(-18, 4).Draw(t, "exponent"))
		weights := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) decimal.Decimal {
			return decimal.New(rapid.Int64Range(0, 1e12).Draw(t, "w"), rapid.Int32Range(-6, 0).Draw(t, "e"))
		}), 1, 12).Draw(t, "weights")
		parts := accounting.Split(total, weights)
		sum := decimal.Sum(decimal.Decimal{}, weights...)
		if sum.IsZero() {
			require.Nil(t, parts)
			return
		}
		require.Len(t, parts, len(weights))
		require.True(t, decimal.Sum(decimal.Decimal{}, parts...).Equal(total), "parts %v of %s", parts, total)
		for i, w := range weights {
			due := total.Mul(w).DivRound(sum, 20)
			require.True(t, parts[i].Sub(due).Abs().LessThanOrEqual(decimal.New(1, -accounting.QuotientPlaces)), "part %d is %s, due is %s", i, parts[i], due)
		}
	})
}

func TestTheLargestRemainderGetsTheUnitThatIsLeft(t *testing.T) {
	parts := accounting.Split(decimal.NewFromInt(1), amounts("1", "1", "1"))
	assert.Equal(t, []string{"0.3333333334", "0.3333333333", "0.3333333333"}, []string{parts[0].String(), parts[1].String(), parts[2].String()})
}
