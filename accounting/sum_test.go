package accounting_test

import (
	"math"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bursar/accounting"
)

func TestASumIsWhatDecimalsAddUpTo(t *testing.T) {
	amounts := rapid.Custom(func(t *rapid.T) decimal.Decimal {
		coefficient := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1000, 1000), rapid.SampledFrom([]int64{0, math.MaxInt64, math.MinInt64})).Draw(t, "coefficient")
		d := decimal.New(coefficient, rapid.Int32Range(-30, 8).Draw(t, "exponent"))
		if rapid.Bool().Draw(t, "long") {
			d = d.Mul(decimal.New(math.MaxInt64, -3))
		}
		return d
	})
	rapid.Check(t, func(t *rapid.T) {
		var sum accounting.Sum
		var want decimal.Decimal
		for _, d := range rapid.SliceOfN(amounts, 0, 20).Draw(t, "amounts") {
			if rapid.Bool().Draw(t, "subtract") {
				sum.Sub(d)
				want = want.Sub(d)
			} else {
				sum.Add(d)
				want = want.Add(d)
			}
			require.True(t, want.Equal(sum.Decimal()), "%s, want %s", sum.Decimal(), want)
		}
	})
}

func TestASumOfAmountsOfUsualLengthMakesNoObjects(t *testing.T) {
	a, b := decimal.RequireFromString("0.0000497013"), decimal.RequireFromString("0.0012")
	var sum accounting.Sum
	require.Zero(t, testing.AllocsPerRun(100, func() {
		sum.Add(a)
		sum.Sub(b)
	}))
	require.True(t, sum.Decimal().Equal(a.Sub(b).Mul(decimal.NewFromInt(101))))
}

func TestACopyOfASumGoesItsOwnWay(t *testing.T) {
	long := decimal.RequireFromString("123456789012345678901234567890.5")
	var sum accounting.Sum
	sum.Add(long)
	before := sum
	sum.Add(long)
	require.True(t, before.Decimal().Equal(long))
	require.True(t, sum.Decimal().Equal(long.Add(long)))
}
