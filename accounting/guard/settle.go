package guard

import (
	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// Settle ends a call that was sent: what it did not use of its charges comes
// back into this replica's hands. e is the call's Closed, already recorded, of
// which decision, status and cost count. It comes once for each call.
//
// The charge of a call whose cost is not known yet is used up as a whole: the
// difference returns to the budget in Postgres when the cost is known.
func (g *Guard) Settle(e *accounting.Event) {
	d := e.Decision
	if d == nil {
		return
	}
	status := e.Status()
	for i := range d.Budgets {
		s := &d.Budgets[i]
		a := g.table.find(s.BudgetID, s.EachValue, s.PeriodStart.UnixNano())
		if a == nil {
			continue // not charged, and of no use any more
		}
		cost := g.cost(e, a.currency)
		if e.Usage.Cost.Known {
			a.spent(cost)
		}
		if !s.Charge.IsPositive() {
			continue
		}
		charge, _ := ceil(s.Charge)
		consumed := cost
		if status != accounting.StatusSettled && status != accounting.StatusFailed {
			consumed = max(charge, cost)
		}
		g.giveBack(a, g.pot(s.BudgetID, e.Tags.Purpose), charge, consumed)
	}
}

// Release ends a call that was not sent although the guard let it pass.
func (g *Guard) Release(d *accounting.BudgetDecision) {
	if d == nil {
		return
	}
	for i := range d.Budgets {
		s := &d.Budgets[i]
		if !s.Charge.IsPositive() {
			continue
		}
		if a := g.table.find(s.BudgetID, s.EachValue, s.PeriodStart.UnixNano()); a != nil {
			charge, _ := ceil(s.Charge)
			// Nobody says here whether the call was essential; money in that
			// pot is safe in any case.
			g.giveBack(a, g.pot(s.BudgetID, ""), charge, 0)
		}
	}
}

// pot is where the rest of a charge goes. A call without a purpose is
// essential.
func (g *Guard) pot(budget, purpose string) pot {
	if r := g.set.Load().byID[budget]; r != nil {
		return r.pot(purpose)
	}
	return common
}

// cost is what the call is known to have cost, in a currency; 0 if nothing is.
func (g *Guard) cost(e *accounting.Event, currency accounting.Currency) amount {
	if !e.Usage.Cost.Known || !e.Usage.Cost.Value.IsPositive() {
		return 0
	}
	cost := e.Usage.Cost.Value
	if currency == accounting.EUR {
		cost = cost.Mul(g.rate(e.Decision))
	}
	units, _ := ceil(cost)
	return units
}

// rate is the one that the call was charged at.
func (g *Guard) rate(d *accounting.BudgetDecision) decimal.Decimal {
	if d.Rate.IsPositive() {
		return d.Rate
	}
	return g.o.Rate()
}
