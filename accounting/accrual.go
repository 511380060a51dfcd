package accounting

import "github.com/shopspring/decimal"

// AccruedFixed is what of the months' fixed costs falls on the UTC days from
// from to to, both included. A month's cost is spread evenly over its days by
// [Split], so that its days add up to it; a whole month has all of it.
func AccruedFixed(months []MonthFigures, from, to Day) []FixedCost {
	var accrued []FixedCost
	for i := range months {
		m := &months[i]
		first, end := DayOf(m.Month.Start()), DayOf(m.Month.End())
		days := int(end.number - first.number)
		low, high := max(from.number, first.number)-first.number, min(to.number+1, end.number)-first.number
		if low >= high {
			continue
		}
		weights := make([]decimal.Decimal, days)
		for d := range weights {
			weights[d] = decimal.NewFromInt(1)
		}
		for _, c := range m.Fixed {
			c.EUR = decimal.Sum(decimal.Decimal{}, Split(c.EUR, weights)[low:high]...)
			accrued = addFixed(accrued, c)
		}
	}
	return accrued
}

// addFixed adds a cost to the one of the same name and platform.
func addFixed(list []FixedCost, c FixedCost) []FixedCost {
	for i := range list {
		if list[i].Name == c.Name && list[i].Platform == c.Platform {
			list[i].EUR = list[i].EUR.Add(c.EUR)
			return list
		}
	}
	return append(list, c)
}
