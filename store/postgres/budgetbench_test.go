package postgres

import (
	"testing"

	"bursar/accounting"
)

// BenchmarkShipBudgets measures what budgets add to a batch of new calls: the one
// that exists from the first start, the same with its decision on each call, and
// a thousand more for other campaigns.
func BenchmarkShipBudgets(b *testing.B) {
	for _, c := range []struct {
		name            string
		budgets, others int
		decisions       bool
	}{
		{name: "none"},
		{name: "monthly-ai", budgets: 1},
		{name: "monthly-ai-decisions", budgets: 1, decisions: true},
		{name: "thousand", budgets: 1, others: 1000},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := budgetStore(b)
			for i := range c.budgets + c.others {
				monthly := budgetOf(accounting.ModeSoft, "77")
				monthly.Currency = accounting.EUR
				if i >= c.budgets {
					monthly.Scope.CampaignID = "another"
				}
				createBudget(b, s, monthly)
			}
			batch := make([]accounting.Event, 1000)
			for b.Loop() {
				b.StopTimer()
				for i := range batch {
					batch[i] = closed(noon, "", "0.000123")
					batch[i].GenerationID = "gen-" + batch[i].ID.String()
					if c.decisions {
						batch[i].Decision = &accounting.BudgetDecision{Verdict: accounting.VerdictAllowed, Model: "openai/gpt-4o", Rate: dec("0.92"),
							Budgets: []accounting.BudgetShare{{BudgetID: "q4", PeriodStart: novemberStart, Verdict: accounting.VerdictAllowed, Limit: dec("77"), Settled: dec("1.234567")}}}
					}
				}
				b.StartTimer()
				ship(b, s, batch...)
			}
			b.ReportMetric(float64(b.N*len(batch))/b.Elapsed().Seconds(), "calls/s")
		})
	}
}
