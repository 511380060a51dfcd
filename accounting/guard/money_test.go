package guard

import (
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAnAmountIsTheNearestOnTheSafeSide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := decimal.New(rapid.Int64().Draw(t, "coefficient"), rapid.Int32Range(-40, 4).Draw(t, "exponent"))
		if rapid.Bool().Draw(t, "long") {
			d = d.Mul(decimal.New(rapid.Int64().Draw(t, "more"), -18))
		}
		up, ok := ceil(d)
		down := floor(d)
		limit := exact(most)
		if d.Abs().GreaterThan(limit) {
			if ok || abs(up) != most || abs(down) != most {
				t.Fatalf("%s: up %d (%t), down %d", d, up, ok, down)
			}
			return
		}
		unit := decimal.New(1, -digits)
		if !ok || exact(up).LessThan(d) || !exact(up).Sub(unit).LessThan(d) || exact(down).GreaterThan(d) || !exact(down).Add(unit).GreaterThan(d) {
			t.Fatalf("%s: up %d (%t), down %d", d, up, ok, down)
		}
	})
}

func TestAnAmountKeepsEveryDigitThatItHolds(t *testing.T) {
	for _, literal := range []string{"0", "0.000000000001", "1", "0.0025", "4611686.018427387903", "-0.5"} {
		d := decimal.RequireFromString(literal)
		up, ok := ceil(d)
		require.True(t, ok, literal)
		require.Equal(t, up, floor(d), literal)
		require.True(t, exact(up).Equal(d), literal)
	}
}
