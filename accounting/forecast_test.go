package accounting

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// weeks is a history of whole days from a Monday on, each week the same.
func weeks(t testing.TB, n int, days ...string) CostHistory {
	t.Helper()
	first, err := ParseDay("2026-10-05") // a Monday
	require.NoError(t, err)
	h := CostHistory{First: first}
	for i := range n * len(days) {
		h.Days = append(h.Days, decimal.RequireFromString(days[i%len(days)]))
	}
	return h
}

func TestWhatNeverChangesIsForecastAsItIs(t *testing.T) {
	for _, n := range []int{7, 14, 30, 120} {
		h := weeks(t, n, "2.5")
		f, ok := ForecastCosts(h, h.Present().Start(), h.Present().Add(9))
		require.True(t, ok)
		assert.Equal(t, "25", f.Sum.String(), "%d days", n)
		assert.InDelta(t, 25, f.Sum95.Low, 1e-6)
		assert.InDelta(t, 25, f.Sum95.High, 1e-6)
		assert.Len(t, f.Days, 10)
	}
}

func TestAWeekThatRepeatsIsForecastDayByDay(t *testing.T) {
	for n, model := range map[int]ForecastModel{2: ModelWeekdayMean, 3: ModelHoltWinters, 8: ModelHoltWinters} {
		h := weeks(t, n, "4", "4", "4", "4", "4", "0.5", "0.5")
		f, ok := ForecastCosts(h, h.Present().Start(), h.Present().Add(6))
		require.True(t, ok)
		assert.Equal(t, model, f.Model)
		for i, want := range []float64{4, 4, 4, 4, 4, 0.5, 0.5} {
			assert.InDelta(t, want, statistic(f.Days[i].Expected.Decimal), 0.01, "%d weeks, day %d", n, i)
		}
	}
}

func TestBelowAWeekThereIsNotEnoughData(t *testing.T) {
	h := weeks(t, 6, "1")
	f, ok := ForecastCosts(h, h.Present().Start(), h.Present().Add(9))
	assert.False(t, ok)
	assert.Equal(t, ModelNone, f.Model)
	assert.Equal(t, 6, f.History)
	assert.Empty(t, f.Days)

	padded := CostHistory{First: h.First.Add(-50), Days: append(make([]decimal.Decimal, 50), h.Days...)}
	_, ok = ForecastCosts(padded, padded.Present().Start(), padded.Present().Add(9))
	assert.False(t, ok, "days before the first call are none of history")

	m := ForecastMonth(h, dec("3"), dec("123"), h.Present().Start())
	assert.False(t, m.Expected.Known)
	assert.False(t, m.AI().Known)
	_, ok = ForecastCosts(CostHistory{}, time.Unix(0, 0), Day{})
	assert.False(t, ok)
}

func TestTheEndOfAMonthIsWhatIsSettledTheRestAndFixedCosts(t *testing.T) {
	h := weeks(t, 21, "2")
	now := h.Present().Start().Add(12 * time.Hour)
	require.Equal(t, "2026-10-26T12:00:00Z", now.Format(time.RFC3339))
	m := ForecastMonth(h, dec("51.000000000001"), dec("123"), now)
	// Half of the 26th, and the 27th to 31st.
	assert.Equal(t, "185.000000000001", m.Expected.Value.String())
	assert.Equal(t, "62.000000000001", m.AI().Value.String())
	assert.Equal(t, "185", m.Bounds80.Value.Low.String())
	assert.Equal(t, "185.01", m.Bounds80.Value.High.String())

	last := ForecastMonth(h, dec("51"), dec("123"), MonthOf(now).End().Add(-time.Nanosecond))
	assert.Equal(t, MonthOf(now), last.Month)
}

func TestAForecastIsTheSameEachTime(t *testing.T) {
	h := weeks(t, 5, "4", "3.1", "5", "4.4", "3.9", "0.5", "0.2", "1.7")
	one, _ := ForecastCosts(h, h.Present().Start(), h.Present().Add(20))
	two, _ := ForecastCosts(h, h.Present().Start(), h.Present().Add(20))
	assert.Equal(t, one, two)
	assert.Less(t, one.Sum95.Low, one.Sum80.Low)
	assert.Less(t, one.Sum80.High, one.Sum95.High)
}

func TestForecastsAreNestedAndNeverBelowWhatIsSettled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Custom(func(t *rapid.T) decimal.Decimal {
			return decimal.New(rapid.Int64Range(0, 1e9).Draw(t, "cost"), rapid.Int32Range(-8, 1).Draw(t, "exponent"))
		})
		h := CostHistory{First: Day{rapid.Int64Range(0, 30000).Draw(t, "first")}, Days: rapid.SliceOfN(amount, 0, 60).Draw(t, "days")}
		now := h.Present().Start().Add(time.Duration(rapid.Int64Range(0, int64(24*time.Hour)-1).Draw(t, "time")))
		settled, fixed := amount.Draw(t, "settled"), amount.Draw(t, "fixed")
		m := ForecastMonth(h, settled, fixed, now)
		if !m.Expected.Known {
			if len(h.Trimmed().Days) >= MinForecastDays {
				t.Fatalf("%d days are enough", len(h.Trimmed().Days))
			}
			return
		}
		low95, low80 := m.Bounds95.Value.Low, m.Bounds80.Value.Low
		high95, high80 := m.Bounds95.Value.High, m.Bounds80.Value.High
		order := []decimal.Decimal{settled.Add(fixed), low95.Decimal, low80.Decimal, m.Expected.Value, high80.Decimal, high95.Decimal}
		for i := range order[1:] {
			if order[i+1].LessThan(order[i]) {
				t.Fatalf("out of order at %d: %v", i+1, order)
			}
		}
		sum := settled.Add(fixed)
		for _, d := range m.Rest.Days {
			if d.Expected.IsNegative() {
				t.Fatalf("%s costs %s", d.Day, d.Expected)
			}
			sum = sum.Add(d.Expected.Decimal)
		}
		if !sum.Equal(m.Expected.Value) {
			t.Fatalf("the days add up to %s, not %s", sum, m.Expected.Value)
		}
		if want := m.Month.End().Sub(h.Present().Start()).Hours() / 24; int(want) != len(m.Rest.Days) {
			t.Fatalf("%d days are left, not %d", int(want), len(m.Rest.Days))
		}
	})
}

func TestWeekdaysAreShownFromMondayOnWithTheirShares(t *testing.T) {
	h := weeks(t, 2, "4", "4", "4", "4", "3", "1", "0")
	pattern := h.WeekdayPattern()
	require.Len(t, pattern, 7)
	assert.Equal(t, "monday", pattern[0].Weekday)
	assert.Equal(t, "4", pattern[0].Mean.String())
	assert.Equal(t, "0.2", pattern[0].Share.String())
	assert.EqualValues(t, 2, pattern[6].Days)
	assert.Equal(t, "0", pattern[6].Mean.String())

	few := CostHistory{First: h.First, Days: h.Days[:2]}.WeekdayPattern()
	assert.Nil(t, few[6].Mean)
	assert.Nil(t, few[0].Share, "of a week that is not complete nothing has a share")
}

func TestABudgetRunsOutAtTheForecastPace(t *testing.T) {
	h := weeks(t, 21, "2") // up to the 25th
	now := h.Present().Start()
	reset := MonthOf(now).End()
	status := BudgetStatus{Budget: Budget{ID: "b", Currency: EUR}, Limit: Amount{dec("57")}, Settled: Amount{dec("50")}, Remaining: Amount{dec("7")}, ResetsAt: &reset}
	f := ForecastBudget(&status, Some(h), Some(dec("0.3")), now)
	assert.Equal(t, BasisForecast, f.Basis)
	assert.Equal(t, "2026-10-29T12:00:00Z", f.RunsOutAt.Format(time.RFC3339), "2 a day, 7 left")
	assert.Equal(t, "62", f.ExpectedAtReset.String())
	assert.EqualValues(t, 23, *f.EmailsLeft)

	status.Remaining = Amount{dec("12.01")}
	assert.Nil(t, ForecastBudget(&status, Some(h), Optional[decimal.Decimal]{}, now).RunsOutAt, "not before the reset")
	status.Remaining = Amount{}
	assert.Equal(t, now, *ForecastBudget(&status, Some(h), Optional[decimal.Decimal]{}, now).RunsOutAt)

	burn := now.Add(time.Hour)
	status.RunsOutAt = &burn
	f = ForecastBudget(&status, Optional[CostHistory]{}, Optional[decimal.Decimal]{}, now)
	assert.Equal(t, BasisBurnRate, f.Basis)
	assert.Equal(t, burn, *f.RunsOutAt)
	assert.Nil(t, f.EmailsLeft)
	assert.Nil(t, f.ExpectedAtReset)
}

func TestABudgetOfAnotherTimeZoneEndsWithinADay(t *testing.T) {
	h := weeks(t, 21, "24")
	now := h.Present().Start().Add(12 * time.Hour)
	reset := h.Present().Add(1).Start().Add(6 * time.Hour)
	status := BudgetStatus{Budget: Budget{Currency: USD}, Settled: Amount{dec("1")}, Remaining: Amount{dec("17")}, ResetsAt: &reset}
	f := ForecastBudget(&status, Some(h), Optional[decimal.Decimal]{}, now)
	assert.Equal(t, "19", f.ExpectedAtReset.String(), "12 hours today and 6 tomorrow, 1 an hour")
	assert.Equal(t, "2026-10-27T05:00:00Z", f.RunsOutAt.Format(time.RFC3339))

	status.ResetsAt = nil
	status.Remaining = Amount{dec("1000000")}
	f = ForecastBudget(&status, Some(h), Some(dec("0.000000001")), now)
	assert.Nil(t, f.RunsOutAt, "not within the days looked at")
	assert.Nil(t, f.ExpectedAtReset)
	assert.EqualValues(t, mostEmails, *f.EmailsLeft)
}

func dec(s string) decimal.Decimal { return decimal.RequireFromString(s) }
