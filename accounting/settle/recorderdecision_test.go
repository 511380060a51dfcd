package settle

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// charged is a call that holds money of a hard budget.
func charged(kind accounting.Kind) *accounting.Event {
	e := closed("")
	e.Kind, e.GenerationID = kind, "gen-1"
	e.Decision = &accounting.BudgetDecision{Verdict: accounting.VerdictAllowed, Replica: "r", Budgets: []accounting.BudgetShare{
		{BudgetID: "b", PeriodStart: accounting.TotalStart, Charge: decimal.RequireFromString("0.25")}}}
	return e
}

func refused() *accounting.Event {
	e := closed("")
	e.Kind = accounting.Refused
	e.Decision = &accounting.BudgetDecision{Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonExceeded}
	return e
}

func TestARowThatALivingCallMakesEarlyLeavesItsMoneyInTheLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		s.journal.set(func() { s.journal.appendErr = errDisk })
		identified := charged(accounting.Identified)
		s.record(identified)
		pass(time.Second)
		row := s.ledger.recorded()[identified.ID]
		assert.Equal(t, accounting.Interrupted, row.Kind)
		assert.Equal(t, "b", row.Decision.Budgets[0].BudgetID)
		assert.True(t, row.Decision.Budgets[0].Charge.IsZero())
		assert.Equal(t, "0.25", identified.Decision.Budgets[0].Charge.String(), "the caller's own decision is left alone")

		last := *identified
		last.Kind = accounting.Closed
		s.record(&last)
		pass(time.Second)
		assert.Equal(t, "0.25", s.ledger.recorded()[identified.ID].Decision.Budgets[0].Charge.String())
	})
}

func TestAnOpeningThatWaitsForPostgresLeavesItsMoneyInTheLease(t *testing.T) {
	j, ledger, log := newFakeJournal(), newFakeLedger(), new(logBook)
	r, err := NewRecorder(RecorderOptions{Journal: j, Ledger: ledger, Registerer: prometheus.NewRegistry(), Logger: log.logger()})
	require.NoError(t, err)
	j.appendErr = errDisk
	opened := charged(accounting.Opened)
	require.NoError(t, r.Record(opened))
	assert.True(t, ledger.recorded()[opened.ID].Decision.Budgets[0].Charge.IsZero())
	assert.Equal(t, "0.25", opened.Decision.Budgets[0].Charge.String())
}

func TestARefusalTheJournalDoesNotTakeReachesPostgresFromMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newShipping(t, nil)
		defer s.start()()
		s.journal.set(func() { s.journal.appendErr = errDisk })
		e := refused()
		s.record(e)
		pass(time.Second)
		assert.Equal(t, accounting.Refused, s.ledger.recorded()[e.ID].Kind)
	})
}

func TestRefusalsTakeNoMoreThanHalfOfTheMemoryFromCallsThatCost(t *testing.T) {
	j, log, reg := newFakeJournal(), new(logBook), prometheus.NewRegistry()
	r, err := NewRecorder(RecorderOptions{Journal: j, Overflow: 4, Registerer: reg, Logger: log.logger()})
	require.NoError(t, err)
	j.appendErr = errDisk
	for range 5 {
		require.NoError(t, r.Record(refused()))
	}
	for range 2 {
		require.NoError(t, r.Record(closed("0.1")))
	}
	assert.Equal(t, 4.0, metric(t, reg, "bursar_journal_overflow_events"))
	assert.Equal(t, 3.0, metric(t, reg, "bursar_events_lost_total"), "refusals only")
}
