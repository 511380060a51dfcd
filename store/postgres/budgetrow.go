package postgres

import (
	"cmp"
	"time"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// periodKey is the key of budget_periods.
type periodKey struct {
	budget, each string
	start        int64 // Unix seconds; windows begin at whole ones
}

func periodKeyOf(k accounting.LeaseKey) periodKey {
	return periodKey{string(clean(k.BudgetID)), string(clean(k.EachValue)), k.PeriodStart.Unix()}
}

func (k periodKey) startTime() time.Time { return time.Unix(k.start, 0).UTC() }

func (k periodKey) leaseKey() accounting.LeaseKey {
	return accounting.LeaseKey{BudgetID: k.budget, EachValue: k.each, PeriodStart: k.startTime()}
}

// comparePeriods is the order in which periods are locked.
func comparePeriods(a, b periodKey) int {
	return cmp.Or(cmp.Compare(a.budget, b.budget), cmp.Compare(a.each, b.each), cmp.Compare(a.start, b.start))
}

// reservation is what was reserved for a call, as its row keeps it.
type reservation struct {
	Replica string   `json:"replica"`
	Charges []charge `json:"charges"`
}

// charge is money of one period, in the budget's currency.
type charge struct {
	Budget string          `json:"budget"`
	Each   string          `json:"each"`
	Period time.Time       `json:"period"` // start, UTC
	Amount decimal.Decimal `json:"amount"`
}

func (c *charge) key() periodKey { return periodKey{c.Budget, c.Each, c.Period.Unix()} }

// reservationOf is what a decision has reserved; nil: nothing.
func reservationOf(d *accounting.BudgetDecision) *reservation {
	if d == nil {
		return nil
	}
	var r *reservation
	for i := range d.Budgets {
		s := &d.Budgets[i]
		if !s.Charge.IsPositive() {
			continue
		}
		if r == nil {
			r = &reservation{Replica: string(clean(d.Replica))}
		}
		r.Charges = append(r.Charges, charge{
			Budget: string(clean(s.BudgetID)), Each: string(clean(s.EachValue)),
			Period: s.PeriodStart.UTC().Truncate(time.Second), Amount: s.Charge,
		})
	}
	return r
}

// sameReservation compares amounts and times by their value.
func sameReservation(a, b *reservation) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Replica != b.Replica || len(a.Charges) != len(b.Charges) {
		return false
	}
	for i := range a.Charges {
		if a.Charges[i].key() != b.Charges[i].key() || !a.Charges[i].Amount.Equal(b.Charges[i].Amount) {
			return false
		}
	}
	return true
}

// share is what a row adds to one period, in the budget's currency.
type share struct {
	key periodKey
	periodDelta
}

// consumption is what the row takes of the money that was granted.
func (s *share) consumption() decimal.Decimal { return s.settled.Add(s.reserved) }

// sharesOf are what the row adds to the budgets of the book, appended to buf.
//
// Its known cost is settled. As long as it may still be billed, what was
// reserved for it beyond that stays reserved, in the periods that were charged:
// also where it is not covered (yet), since the model that serves may make it.
func (b *book) sharesOf(r *row, buf []share) []share {
	open := r.is(unsettled...)
	b.covering(r, func(budget *booked, key periodKey) {
		s := share{key: key}
		s.settled = budget.convert(r, r.cost)
		if open && r.cost == nil {
			s.estimated = budget.convert(r, r.estimatedCost)
		}
		buf = append(buf, s)
	})
	if !open || r.reservation == nil {
		return buf
	}
	for i := range r.reservation.Charges {
		c := &r.reservation.Charges[i]
		if b.byID[c.Budget] == nil {
			continue // of another database
		}
		s := find(buf, c.key())
		if s == nil {
			buf = append(buf, share{key: c.key()})
			s = &buf[len(buf)-1]
		}
		if rest := c.Amount.Sub(s.settled); rest.IsPositive() {
			s.reserved = rest
		}
	}
	return buf
}

func find(shares []share, key periodKey) *share {
	for i := range shares {
		if shares[i].key == key {
			return &shares[i]
		}
	}
	return nil
}

// convert is an amount in USD in the budget's currency, at the row's rate. A row
// from before there were budgets has none, until one counts it or it changes.
func (b *booked) convert(r *row, usd *decimal.Decimal) decimal.Decimal {
	switch {
	case usd == nil || usd.IsZero():
		return decimal.Decimal{}
	case b.Currency != accounting.EUR:
		return *usd
	case r.usdToEUR == nil:
		return decimal.Decimal{}
	}
	return usd.Mul(*r.usdToEUR)
}
