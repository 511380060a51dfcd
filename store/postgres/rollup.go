package postgres

import (
	"cmp"
	"maps"
	"slices"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

// hourKey is the key of usage_hourly. The strings are empty where untagged.
type hourKey struct {
	hour                               int64 // start, Unix seconds
	campaign, purpose, model, platform string
}

func compareHours(a, b hourKey) int {
	return cmp.Or(
		cmp.Compare(a.hour, b.hour),
		cmp.Compare(a.campaign, b.campaign),
		cmp.Compare(a.purpose, b.purpose),
		cmp.Compare(a.model, b.model),
		cmp.Compare(a.platform, b.platform),
	)
}

// monthKey is the key of monthly_costs, in UTC.
type monthKey struct{ year, month int }

func monthKeyOf(r *row) monthKey {
	year, month, _ := r.createdAt.UTC().Date()
	return monthKey{year, int(month)}
}

func compareMonths(a, b monthKey) int {
	return cmp.Or(cmp.Compare(a.year, b.year), cmp.Compare(a.month, b.month))
}

// figures are what rows add to the sums.
type figures struct {
	calls, failed, cancelled, unsettled          int64
	cost, byokUpstream                           decimal.Decimal // USD
	prompt, completion, total, cached, reasoning int64           // tokens
}

// unsettled are the states of a call whose exact cost is still open. The queue
// moves rows between them without touching the sums.
var unsettled = []accounting.Status{
	accounting.StatusPending, accounting.StatusAwaitingKey,
	accounting.StatusUnresolved, accounting.StatusInterrupted,
}

// plus is f + sign × g; sign is 1 or -1.
func (f figures) plus(sign int64, g figures) figures {
	return figures{
		calls:        f.calls + sign*g.calls,
		failed:       f.failed + sign*g.failed,
		cancelled:    f.cancelled + sign*g.cancelled,
		unsettled:    f.unsettled + sign*g.unsettled,
		cost:         plus(f.cost, sign, g.cost),
		byokUpstream: plus(f.byokUpstream, sign, g.byokUpstream),
		prompt:       f.prompt + sign*g.prompt,
		completion:   f.completion + sign*g.completion,
		total:        f.total + sign*g.total,
		cached:       f.cached + sign*g.cached,
		reasoning:    f.reasoning + sign*g.reasoning,
	}
}

// plus is a + sign × b; sign is 1 or -1. Most sums have a part that is nothing,
// of which the decimal library would make numbers all the same.
func plus(a decimal.Decimal, sign int64, b decimal.Decimal) decimal.Decimal {
	switch {
	case b.IsZero():
		return a
	case sign < 0:
		return a.Sub(b)
	case a.IsZero():
		return b
	}
	return a.Add(b)
}

func (f figures) isZero() bool {
	cost, byok := f.cost, f.byokUpstream
	f.cost, f.byokUpstream = decimal.Decimal{}, decimal.Decimal{}
	return f == figures{} && cost.IsZero() && byok.IsZero()
}

// deltas are what a transaction adds to the sums.
type deltas struct {
	groups map[groupKey]*group // what hours and months are made of, by tally
	hours  map[hourKey]figures
	months map[monthKey]decimal.Decimal // USD
	opened map[monthKey]bool            // has a new call
	costs  []costChange                 // what months is the sum of

	budgets     *budgetDeltas
	experiments *experimentSums
	alerts      []accounting.Alert // that come of it
}

// costChange is by how much the cost of one call moved. Of a closed month each
// becomes a correction.
type costChange struct {
	id         requestID
	generation text
	month      monthKey
	amount     decimal.Decimal // USD, not zero
}

func newDeltas(b *book) *deltas {
	return &deltas{
		budgets:     newBudgetDeltas(b),
		experiments: newExperimentSums(b),
		hours:       make(map[hourKey]figures),
		months:      make(map[monthKey]decimal.Decimal),
		opened:      make(map[monthKey]bool),
		groups:      make(map[groupKey]*group),
	}
}

// move adds the step of one row from before to after. before is nil for a row
// that is new.
func (d *deltas) move(before, after *row) {
	var was *decimal.Decimal
	if before != nil {
		d.group(before).add(-1, before)
		was = before.cost
	}
	g := d.group(after)
	g.add(1, after)
	g.opened = g.opened || before == nil
	if moved := difference(after.cost, was); !moved.IsZero() {
		d.costs = append(d.costs, costChange{id: after.id, generation: after.generationID, month: monthKeyOf(after), amount: moved})
	}
}

func (d *deltas) group(r *row) *group {
	key := groupKeyOf(r)
	g := d.groups[key]
	if g == nil {
		g = new(group)
		d.groups[key] = g
	}
	return g
}

// tally makes hours and months of the groups. It is called once, when all rows
// have moved.
func (d *deltas) tally() {
	for k, g := range d.groups {
		f, hour, month := g.sums().figures, k.hourKey(), k.month()
		d.hours[hour] = d.hours[hour].plus(1, f)
		d.months[month] = plus(d.months[month], 1, f.cost)
		if g.opened {
			d.opened[month] = true
		}
	}
}

// changedHours are the keys of what is not zero, in the order in which their
// rows are locked.
func (d *deltas) changedHours() []hourKey {
	maps.DeleteFunc(d.hours, func(_ hourKey, f figures) bool { return f.isZero() })
	return slices.SortedFunc(maps.Keys(d.hours), compareHours)
}

// changedMonths are the months to write, in lock order: those whose cost moved
// and those with a new call, since the first one opens the month even if it is
// free.
func (d *deltas) changedMonths() []monthKey {
	maps.DeleteFunc(d.months, func(m monthKey, cost decimal.Decimal) bool { return cost.IsZero() && !d.opened[m] })
	return slices.SortedFunc(maps.Keys(d.months), compareMonths)
}

func count(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

func number(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
