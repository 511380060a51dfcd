package journal

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bursar/accounting"
)

// drawDecision makes any decision that a guard could make, and some it could
// not.
func drawDecision(t *rapid.T) *accounting.BudgetDecision {
	text, amount := rapid.StringN(0, 10, 60), rapid.Custom(func(t *rapid.T) decimal.Decimal {
		return decimal.New(rapid.Int64().Draw(t, "coefficient"), rapid.Int32Range(-30, 30).Draw(t, "exponent"))
	})
	d := &accounting.BudgetDecision{Rate: amount.Draw(t, "rate"), Count: rapid.Int().Draw(t, "count")}
	for _, s := range decisionTexts(d) {
		if s != nil {
			*s = text.Draw(t, "text")
		}
	}
	if rapid.Bool().Draw(t, "bounded") {
		d.Bound = accounting.Some(amount.Draw(t, "bound"))
	}
	for range rapid.IntRange(0, 3).Draw(t, "calls") {
		d.Calls = append(d.Calls, newID())
	}
	for range rapid.IntRange(0, 4).Draw(t, "budgets") {
		var share accounting.BudgetShare
		for _, s := range shareTexts(&share) {
			if s != nil {
				*s = text.Draw(t, "text")
			}
		}
		for _, a := range shareAmounts(&share) {
			if a != nil {
				*a = amount.Draw(t, "amount")
			}
		}
		share.PeriodStart = time.UnixMicro(rapid.Int64Range(-1e15, 4e15).Draw(t, "start")).UTC()
		d.Budgets = append(d.Budgets, share)
	}
	return d
}

// manyShares is a decision about n budgets, of which the last charged hold
// money.
func manyShares(n, charged int) *accounting.Event {
	e := closed(newID())
	e.Decision = &accounting.BudgetDecision{Verdict: accounting.VerdictAllowed}
	for i := range n {
		share := accounting.BudgetShare{BudgetID: fmt.Sprint("budget-", i), EachValue: strings.Repeat("v", 200)}
		if i >= n-charged {
			share.Charge = decimal.New(1, -9)
		}
		e.Decision.Budgets = append(e.Decision.Budgets, share)
	}
	return e
}

func TestOfTooManyBudgetsThoseThatHoldMoneyAreKept(t *testing.T) {
	e := manyShares(maxShares+50, 100)
	frame, err := appendFrame(nil, e)
	require.NoError(t, err, "it fits into a frame")
	got, err := decodeEvent(frame[frameHeader:])
	require.NoError(t, err)
	want := append(e.Decision.Budgets[:maxShares-100:maxShares-100], e.Decision.Budgets[maxShares-50:]...)
	assert.Empty(t, cmp.Diff(want, got.Decision.Budgets))
	assert.Len(t, e.Decision.Budgets, maxShares+50, "the caller's decision is left as it was")
}

func TestADecisionWithMoreChargedBudgetsThanOneTakesIsAnError(t *testing.T) {
	_, err := appendEvent(nil, manyShares(maxShares+1, maxShares+1))
	assert.ErrorContains(t, err, "257 charged budgets: want at most 256")
}

func TestADecisionThatCannotHaveBeenWrittenIsMalformed(t *testing.T) {
	share := enclose([]byte{}, 0, decisionShare)
	for name, decision := range map[string][]byte{
		"more budgets than a reader takes": []byte(strings.Repeat(string(share), maxShares+1)),
		"half an id":                       appendText(nil, decisionCalls, "1234567"),
		"too many ids":                     appendText(nil, decisionCalls, strings.Repeat("x", 16*(accounting.MaxMergedCalls+1))),
		"an amount that is none":           appendText(nil, decisionBound, "1.5"),
		"a field cut off":                  appendText(nil, decisionVerdict, "allowed")[:4],
	} {
		e := closed(newID())
		payload, err := appendEvent(nil, e)
		require.NoError(t, err)
		payload = append(payload, enclose(decision, 0, fieldDecision)...)
		_, err = decodeEvent(payload)
		assert.ErrorIs(t, err, errPayload, name)
	}
}

func TestFieldsOfANewerDecisionAreSkipped(t *testing.T) {
	share := appendText(nil, shareBudget, "b")
	share = enclose(appendNumber(appendText(share, 99, "new"), 98, 1), 0, decisionShare)
	decision := appendNumber(appendText(share, 77, "new"), 78, 5)
	decision = binary.AppendUvarint(decision, 79<<3|wireFixed32)
	decision = enclose(append(decision, 1, 2, 3, 4), 0, fieldDecision)
	payload, err := appendEvent(nil, closed(newID()))
	require.NoError(t, err)
	got, err := decodeEvent(append(payload, decision...))
	require.NoError(t, err)
	assert.Equal(t, &accounting.BudgetDecision{Budgets: []accounting.BudgetShare{{BudgetID: "b"}}}, got.Decision)
}

func TestARefusalIsDeliveredAndAcknowledgedLikeTheEndOfACall(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := mustOpen(t, opts)
	refused := &accounting.Event{Kind: accounting.Refused, ID: newID(), Decision: &accounting.BudgetDecision{
		Verdict: accounting.VerdictBlocked, Reason: accounting.ReasonExceeded, Count: 3, Calls: []accounting.RequestID{newID(), newID()}}}
	mustAppend(t, j, refused)
	requireEvents(t, drain(t, j), refused)
	crash(j)

	again := mustOpen(t, opts)
	requireEvents(t, drainAndAck(t, again), refused)
	settle(t, again)
	require.NoError(t, again.Close())
	requireInstances(t, opts.Dir)
}

func TestAnInterruptedCallKeepsItsReservation(t *testing.T) {
	opts := testOptions(t.TempDir())
	j := mustOpen(t, opts)
	e := opened(newID())
	e.Decision = &accounting.BudgetDecision{Verdict: accounting.VerdictAllowed, Replica: "r", Budgets: []accounting.BudgetShare{
		{BudgetID: "b", PeriodStart: accounting.TotalStart, Charge: decimal.New(7, -5)}}}
	mustAppend(t, j, e, identified(e.ID))
	crash(j)

	again := mustOpen(t, opts)
	events := drain(t, again)
	require.Len(t, events, 1)
	assert.Equal(t, accounting.Interrupted, events[0].Kind)
	assert.Empty(t, cmp.Diff(e.Decision, events[0].Decision))
}

func TestAFullJournalTakesNoRefusals(t *testing.T) {
	opts := testOptions(t.TempDir())
	opts.MaxBytes = 1
	j := mustOpen(t, opts)
	err := j.Append(&accounting.Event{Kind: accounting.Refused, ID: newID(), Decision: &accounting.BudgetDecision{}})
	assert.ErrorIs(t, err, ErrFull)
}
