package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

// charged is a call of which a replica reserved an amount of q4's lease.
func charged(replica, amount, generation, cost string) accounting.Event {
	e := closed(noon, generation, cost)
	e.Decision = &accounting.BudgetDecision{
		Verdict: accounting.VerdictAllowed, Model: e.RequestedModel, Replica: replica, Bound: accounting.Some(dec(amount)), BoundBy: accounting.BoundComputed,
		Budgets: []accounting.BudgetShare{{BudgetID: "q4", PeriodStart: novemberStart, Verdict: accounting.VerdictAllowed, Limit: dec("10"), Charge: dec(amount)}},
	}
	return e
}

// cut is the beginning of a call, as the journal of a dead process tells it.
func cut(e accounting.Event) accounting.Event {
	e.Kind, e.Model, e.HTTPStatus, e.Duration, e.GenerationID, e.Usage = accounting.Interrupted, "", 0, 0, "", accounting.Usage{}
	return e
}

// hardBudget is a store with the hard budget q4 of 10 USD, of which r1 holds 4.
func hardBudget(t testing.TB) *Store {
	t.Helper()
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeHard, "10"))
	requireGranted(t, lease(t, s, "r1", need("4"))[0], "4", "4")
	return s
}

func heldBy(t testing.TB, s *Store, replica string) string {
	t.Helper()
	return lease(t, s, replica, accounting.LeaseRequest{LeaseKey: novemberOf("q4", "")})[0].Held.String()
}

func settleFor(t testing.TB, s *Store, e accounting.Event, cost string) {
	t.Helper()
	_, err := s.Settle(t.Context(), accounting.Unsettled{ID: e.ID}, accounting.Generation{Usage: usd(cost)}, later)
	require.NoError(t, err)
}

func TestACallsCostIsTakenFromTheLeaseThatWasCharged(t *testing.T) {
	s := hardBudget(t)
	e := charged("r1", "1.5", "gen-1", "0.25")
	for range 3 {
		ship(t, s, e)
		requirePeriod(t, s, novemberOf("q4", ""), "10", "4", "0.25", "0", "0")
		require.Equal(t, "3.75", heldBy(t, s, "r1"))
	}
	settleFor(t, s, e, "0.75") // OpenRouter's record has another figure
	requirePeriod(t, s, novemberOf("q4", ""), "10", "4.5", "0.75", "0", "0")
	require.Equal(t, "3.75", heldBy(t, s, "r1"))
	ship(t, s, e)
	requirePeriod(t, s, novemberOf("q4", ""), "10", "4.5", "0.75", "0", "0")
}

func TestACallWithoutACostKeepsItsReservationUntilItIsKnown(t *testing.T) {
	s := hardBudget(t)
	e := charged("r1", "1.5", "gen-1", "")
	ship(t, s, e, e)
	requirePeriod(t, s, novemberOf("q4", ""), "10", "4", "0", "1.5", "0")
	require.Equal(t, "2.5", heldBy(t, s, "r1"))
	settleFor(t, s, e, "0.5")
	settleFor(t, s, e, "0.5")
	requirePeriod(t, s, novemberOf("q4", ""), "10", "3", "0.5", "0", "0")
	require.Equal(t, "2.5", heldBy(t, s, "r1"), "what was too much is the pool's")
}

func TestAKnownButOpenCostCountsWithinTheReservation(t *testing.T) {
	s := hardBudget(t)
	e := charged("r1", "1.5", "gen-1", "0.5")
	e.Truncated = true // the stream broke off: its usage may not be final
	ship(t, s, e)
	requirePeriod(t, s, novemberOf("q4", ""), "10", "4", "0.5", "1", "0")
	settleFor(t, s, e, "2")
	requirePeriod(t, s, novemberOf("q4", ""), "10", "4.5", "2", "0", "0")
}

func TestABillAboveTheReservationIsRecordedAndShownAsOvershoot(t *testing.T) {
	s := hardBudget(t)
	lease(t, s, "r2", need("6"))
	ship(t, s, charged("r1", "1", "gen-1", "5"))
	requirePeriod(t, s, novemberOf("q4", ""), "10", "10", "5", "0", "1")
	require.Equal(t, "0", heldBy(t, s, "r1"))
	require.Equal(t, []string{"budget_overshoot", "budget_threshold"}, alertKinds(t, s))
	require.NoError(t, s.CloseLeases(t.Context(), "r2"))
	requirePeriod(t, s, novemberOf("q4", ""), "10", "5", "5", "0", "0")
}

func TestAFailedCallTakesNothing(t *testing.T) {
	s := hardBudget(t)
	e := charged("r1", "1.5", "", "")
	e.HTTPStatus, e.Error = 429, "rate_limited"
	ship(t, s, e)
	requirePeriod(t, s, novemberOf("q4", ""), "10", "4", "0", "0", "0")
	require.Equal(t, "4", heldBy(t, s, "r1"))
}

func TestAnInterruptedCallHoldsItsReservationUntilSomebodyDecides(t *testing.T) {
	s := hardBudget(t)
	dismissed, attached := cut(charged("r1", "1.5", "", "")), cut(charged("r1", "2", "", ""))
	ship(t, s, dismissed, attached)
	require.NoError(t, s.CloseLeases(t.Context(), "r1"))
	requirePeriod(t, s, novemberOf("q4", ""), "10", "3.5", "0", "3.5", "0")
	dismissCall(t, s, dismissed)
	requirePeriod(t, s, novemberOf("q4", ""), "10", "2", "0", "2", "0")
	attachTo(t, s, attached, "gen-1")
	requirePeriod(t, s, novemberOf("q4", ""), "10", "2", "0", "2", "0")
	settleFor(t, s, attached, "0.125")
	requirePeriod(t, s, novemberOf("q4", ""), "10", "0.125", "0.125", "0", "0")
}

// The opening of a call that went into the ledger because the journal was full
// carries no charges; its end does.
func TestTheEndOfACallBringsTheChargesThatItsOpeningDidNot(t *testing.T) {
	s := hardBudget(t)
	e := charged("r1", "1.5", "gen-1", "")
	opening := cut(charged("r1", "0", "", ""))
	opening.ID = e.ID
	ship(t, s, opening)
	requirePeriod(t, s, novemberOf("q4", ""), "10", "4", "0", "0", "0")
	ship(t, s, e)
	ship(t, s, opening, e)
	requirePeriod(t, s, novemberOf("q4", ""), "10", "4", "0", "1.5", "0")
	require.Equal(t, "2.5", heldBy(t, s, "r1"))

	// One that did carry them has taken too much by then, and gives it back.
	e = charged("r1", "2", "gen-2", "0.5")
	ship(t, s, cut(e))
	require.Equal(t, "0.5", heldBy(t, s, "r1"))
	ship(t, s, e)
	require.Equal(t, "2", heldBy(t, s, "r1"))
	requirePeriod(t, s, novemberOf("q4", ""), "10", "4", "0.5", "1.5", "0")
}

func TestAReplicaWithoutALeaseSpendsOfThePool(t *testing.T) {
	s := hardBudget(t)
	require.NoError(t, s.CloseLeases(t.Context(), "r1"))
	ship(t, s, charged("r1", "1.5", "gen-1", "1"))
	requirePeriod(t, s, novemberOf("q4", ""), "10", "1", "1", "0", "0")
}

func TestAJobHoldsItsReservationUntilAPollBringsTheCost(t *testing.T) {
	s := hardBudget(t)
	job := charged("r1", "3", "", "")
	job.JobID = "job-1"
	poll := accounting.Event{Kind: accounting.Polled, ID: callAt(noon), JobID: "job-1", HTTPStatus: 200, Usage: usd("2")}
	ship(t, s, job, poll, poll) // in one batch, and the poll again
	requirePeriod(t, s, novemberOf("q4", ""), "10", "3", "2", "0", "0")
	require.Equal(t, "1", heldBy(t, s, "r1"), "the guard has given up all that it reserved")
	ship(t, s, job, poll)
	requirePeriod(t, s, novemberOf("q4", ""), "10", "3", "2", "0", "0")
}

func TestOnlyCallsInTheScopeCount(t *testing.T) {
	s := budgetStore(t)
	for _, b := range []struct {
		id    string
		scope accounting.Scope
	}{
		{"campaign", accounting.Scope{CampaignID: "q4"}}, {"other-campaign", accounting.Scope{CampaignID: "q3"}},
		{"purpose", accounting.Scope{Purpose: "follow_up"}}, {"platform", accounting.Scope{Platform: "instantly"}},
		{"asked", accounting.Scope{Model: "asked"}}, {"served", accounting.Scope{Model: "served"}},
		{"key", accounting.Scope{Key: accounting.Fingerprint("k")}}, {"all", accounting.Scope{}},
		{"both", accounting.Scope{CampaignID: "q4", Purpose: "research"}},
	} {
		made := budgetOf(accounting.ModeSoft, "10")
		made.ID, made.Scope = b.id, b.scope
		createBudget(t, s, made)
	}
	e := closed(noon, "gen-1", "1")
	e.RequestedModel, e.Model, e.KeyFingerprint = "asked", "served", accounting.Fingerprint("k")
	ship(t, s, e)
	before := closed(novemberStart.Add(-time.Millisecond), "gen-2", "1") // before the window in which the budgets were made
	ship(t, s, before)
	for id, want := range map[string]string{
		"campaign": "1", "other-campaign": "0", "purpose": "1", "platform": "0", "asked": "1", "served": "1", "key": "1", "all": "1", "both": "0",
	} {
		require.Equal(t, want, periodState(t, s, novemberOf(id, "")).Settled.String(), id)
	}
	require.EqualValues(t, 6, count1(t, s, `SELECT count(*) FROM budget_periods`))
	requireExactBudgets(t, s)
}

func TestANewBudgetCountsThePresentWindow(t *testing.T) {
	s := budgetStore(t)
	open := closed(noon, "gen-2", "")
	ship(t, s, closed(noon, "gen-1", "6"), open, closed(novemberStart.Add(-time.Hour), "gen-3", "2"))
	createBudget(t, s, budgetOf(accounting.ModeHard, "10"))
	requirePeriod(t, s, novemberOf("q4", ""), "10", "6", "6", "0", "0")
	require.Equal(t, []string{"budget_threshold"}, alertKinds(t, s), "it is past the first threshold already")

	total := budgetOf(accounting.ModeHard, "7")
	total.ID, total.Period = "total", accounting.PeriodTotal
	createBudget(t, s, total)
	requirePeriod(t, s, accounting.LeaseKey{BudgetID: "total", PeriodStart: accounting.TotalStart}, "7", "7", "8", "0", "1")
	settleFor(t, s, open, "0.5")
	requirePeriod(t, s, novemberOf("q4", ""), "10", "6.5", "6.5", "0", "0")
}

func TestAEuroBudgetIsChargedAtTheRateOfTheCall(t *testing.T) {
	s := budgetStore(t)
	old := closed(noon, "gen-old", "1")
	ship(t, s, old)
	_, err := s.pool.Exec(t.Context(), `UPDATE openrouter_usage SET usd_to_eur = NULL`) // as before there were budgets
	require.NoError(t, err)
	b := budgetOf(accounting.ModeSoft, "10")
	b.Currency = accounting.EUR
	createBudget(t, s, b)
	require.Equal(t, "0.92", periodState(t, s, novemberOf("q4", "")).Settled.String())

	decided, later := closed(noon, "gen-1", ""), closed(noon, "gen-2", "1")
	decided.Decision = &accounting.BudgetDecision{Verdict: accounting.VerdictAllowed, Rate: dec("0.5")}
	ship(t, s, decided)
	s.opts.USDToEURRate = dec("0.8")
	ship(t, s, later)
	settleFor(t, s, decided, "2") // at its own rate
	settleFor(t, s, old, "3")
	require.Equal(t, "4.56", periodState(t, s, novemberOf("q4", "")).Settled.String(), "3 × 0.92 + 2 × 0.5 + 1 × 0.8")
	requireExactBudgets(t, s)
}

func TestCallsOfADeletedBudgetStillSettle(t *testing.T) {
	s := hardBudget(t)
	open, early := charged("r1", "1.5", "gen-1", ""), closed(noon.Add(time.Minute), "gen-2", "0.25")
	ship(t, s, open, early)
	skewed := closed(noon.Add(2*time.Hour), "gen-3", "0.5") // after the deletion, by a clock that is ahead
	ship(t, s, skewed)
	require.NoError(t, s.DeleteBudget(t.Context(), "q4", "tester", ""))
	requirePeriod(t, s, novemberOf("q4", ""), "10", "4.25", "0.25", "1.5", "0")
	settleFor(t, s, open, "1")
	requirePeriod(t, s, novemberOf("q4", ""), "10", "3.75", "1.25", "0", "0")
	ship(t, s, closed(noon.Add(3*time.Hour), "gen-4", "7"))
	requirePeriod(t, s, novemberOf("q4", ""), "10", "3.75", "1.25", "0", "0")
}

func TestAnotherEndCountsTheCallsBetweenAnew(t *testing.T) {
	s := budgetStore(t)
	b := budgetOf(accounting.ModeSoft, "10")
	b.EndsAt = ref(noon.Add(30 * time.Minute))
	createBudget(t, s, b)
	ship(t, s, closed(noon, "gen-1", "1"), closed(noon.Add(time.Hour), "gen-2", "2"), closed(noon.Add(2*time.Hour), "gen-3", "4"))
	requirePeriod(t, s, novemberOf("q4", ""), "10", "1", "1", "0", "0")
	changeBudget(t, s, "q4", accounting.BudgetChange{EndsAt: ref(ref(noon.Add(90 * time.Minute)))})
	requirePeriod(t, s, novemberOf("q4", ""), "10", "3", "3", "0", "0")
	changeBudget(t, s, "q4", accounting.BudgetChange{EndsAt: ref((*time.Time)(nil))})
	requirePeriod(t, s, novemberOf("q4", ""), "10", "7", "7", "0", "0")
	changeBudget(t, s, "q4", accounting.BudgetChange{EndsAt: ref(ref(noon))})
	requirePeriod(t, s, novemberOf("q4", ""), "10", "0", "0", "0", "0")
}

func TestADivisionAndAZoneSeparatePeriods(t *testing.T) {
	s := budgetStore(t)
	b := budgetOf(accounting.ModeHard, "10")
	b.Each, b.Period, b.Timezone = accounting.EachEmail, accounting.PeriodDay, "America/New_York"
	createBudget(t, s, b)
	midnight := time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC) // in New York
	for i, at := range []time.Time{midnight.Add(-time.Millisecond), midnight} {
		for _, email := range []string{"e1", "e2", ""} {
			e := closed(at, at.String()+email, "1")
			e.Tags.EmailID = email
			ship(t, s, e)
		}
		require.EqualValues(t, 2*(i+1), count1(t, s, `SELECT count(*) FROM budget_periods WHERE settled = 1`))
	}
	require.Equal(t, "1", periodState(t, s, accounting.LeaseKey{BudgetID: "q4", EachValue: "e1", PeriodStart: midnight}).Settled.String())
	requireExactBudgets(t, s)
}

func TestTagsThatMoveTakeTheirCostAlong(t *testing.T) {
	s := budgetStore(t)
	for _, campaign := range []string{"q4", "q5"} {
		b := budgetOf(accounting.ModeSoft, "10")
		b.ID, b.Scope.CampaignID = campaign, campaign
		createBudget(t, s, b)
	}
	ship(t, s, closed(noon, "gen-1", "1"))
	repeat := closed(noon.Add(time.Minute), "gen-1", "1") // a later call that returned the same generation
	repeat.Tags.CampaignID = "q5"
	ship(t, s, repeat)
	require.Equal(t, "0", periodState(t, s, novemberOf("q4", "")).Settled.String())
	require.Equal(t, "1", periodState(t, s, novemberOf("q5", "")).Settled.String())
	requireExactBudgets(t, s)
}

func TestTheCheckFindsWhatDoesNotAddUp(t *testing.T) {
	s := hardBudget(t)
	ship(t, s, charged("r1", "1", "gen-1", "0.5"))
	_, err := s.pool.Exec(t.Context(), `UPDATE budget_periods SET settled = settled + 1, estimated = 2`)
	require.NoError(t, err)
	differences, err := s.CheckBudgets(t.Context())
	require.NoError(t, err)
	require.Len(t, differences, 2)
	require.Equal(t, "estimated", differences[0].Figure)
	require.Equal(t, "settled", differences[1].Figure)
	require.Equal(t, []string{"1.5", "0.5"}, []string{differences[1].Recorded.String(), differences[1].Recomputed.String()})
	_, err = s.pool.Exec(t.Context(), `UPDATE budget_leases SET held = 1`)
	require.NoError(t, err)
	differences, err = s.CheckBudgets(t.Context())
	require.NoError(t, err)
	require.Equal(t, "granted", differences[1].Figure)
}
