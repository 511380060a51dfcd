package postgres

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func lease(t testing.TB, s *Store, replica string, requests ...accounting.LeaseRequest) []accounting.Lease {
	t.Helper()
	leases, err := s.Lease(t.Context(), replica, s.now(), requests)
	require.NoError(t, err)
	require.Len(t, leases, len(requests))
	return leases
}

// need asks for an amount of the budget q4 and no more.
func need(amount string) accounting.LeaseRequest {
	return accounting.LeaseRequest{LeaseKey: novemberOf("q4", ""), Need: dec(amount)}
}

func giveBack(amount string) accounting.LeaseRequest {
	return accounting.LeaseRequest{LeaseKey: novemberOf("q4", ""), Return: dec(amount)}
}

func requireGranted(t testing.TB, l accounting.Lease, granted, held string) {
	t.Helper()
	require.Equal(t, []string{granted, held}, []string{l.Granted.String(), l.Held.String()}, "granted, held")
}

func TestMoneyIsGrantedUpToTheCeilingAndNotBeyond(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeHard, "10"))
	requireGranted(t, lease(t, s, "r1", need("4"))[0], "4", "4")
	requireGranted(t, lease(t, s, "r2", need("6"))[0], "6", "6")
	l := lease(t, s, "r1", need("0.000000000001"))[0]
	requireGranted(t, l, "0", "4")
	require.True(t, l.Short)
	require.Equal(t, "10", l.Total.String())
	requirePeriod(t, s, novemberOf("q4", ""), "10", "10", "0", "0", "0")

	// Returned money can be granted again, in the same transaction too.
	requireGranted(t, lease(t, s, "r2", giveBack("5"))[0], "0", "1")
	both := lease(t, s, "r1", need("6"), giveBack("1"))
	requireGranted(t, both[0], "6", "9")
	requireGranted(t, both[1], "0", "9")
	requirePeriod(t, s, novemberOf("q4", ""), "10", "10", "0", "0", "0")
	requireGranted(t, lease(t, s, "r2", giveBack("100"))[0], "0", "0")
	require.EqualValues(t, 1, count1(t, s, `SELECT count(*) FROM budget_leases`), "a lease of nothing is none")
}

func TestAWishIsGrantedOnlyWithinAFairShare(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeHard, "90"))
	for _, replica := range []string{"r1", "r2", "r3"} {
		_, _, err := s.Heartbeat(t.Context(), replica, 1, s.now())
		require.NoError(t, err)
	}
	wish := accounting.LeaseRequest{LeaseKey: novemberOf("q4", ""), Want: dec("1000")}
	requireGranted(t, lease(t, s, "r1", wish)[0], "15", "15") // 90 ÷ (2 × 3)
	wish.Need = dec("50")
	requireGranted(t, lease(t, s, "r1", wish)[0], "50", "65") // what is needed goes before
	wish.Need, wish.Want = dec("0"), dec("2")
	requireGranted(t, lease(t, s, "r2", wish)[0], "2", "2")
	wish.Want = dec("23.5")
	l := lease(t, s, "r3", wish)[0]
	require.True(t, l.Granted.Equal(dec("3.833333333333")), "23 ÷ 6, cut: %s", l.Granted)
	require.False(t, l.Short, "a wish that is not met is no shortage")
	requireExactBudgets(t, s)
}

func TestShortageIsToldForSomeSeconds(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeHard, "1"))
	require.True(t, lease(t, s, "r1", need("2"))[0].Short)
	require.True(t, periodState(t, s, novemberOf("q4", "")).Short)
	at := s.now()
	s.opts.Now = func() time.Time { return at.Add(shortFor) }
	require.False(t, lease(t, s, "r1", need("0.5"))[0].Short)
	require.False(t, periodState(t, s, novemberOf("q4", "")).Short)
}

func TestACapKeepsMoneyForEssentialCalls(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeHard, "10"))
	capped := need("8")
	capped.Cap = dec("8")
	requireGranted(t, lease(t, s, "r1", capped)[0], "8", "8")
	capped.Need = dec("0.1")
	requireGranted(t, lease(t, s, "r1", capped)[0], "0", "8")
	requireGranted(t, lease(t, s, "r1", need("2"))[0], "2", "10")
	requireGranted(t, lease(t, s, "r1", capped)[0], "0", "10")
}

func TestOnlyHardBudgetsThatHoldGrantMoney(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeHard, "10"))
	lease(t, s, "r1", need("4"))
	changeBudget(t, s, "q4", accounting.BudgetChange{Enabled: ref(false)})
	requireGranted(t, lease(t, s, "r1", need("1"))[0], "0", "4")
	changeBudget(t, s, "q4", accounting.BudgetChange{Enabled: ref(true), Mode: ref(accounting.ModeSoft)})
	requireGranted(t, lease(t, s, "r1", need("1"))[0], "0", "4")
	require.NoError(t, s.DeleteBudget(t.Context(), "q4", "tester", ""))
	requireGranted(t, lease(t, s, "r1", need("1"))[0], "0", "4")
	requireGranted(t, lease(t, s, "r1", giveBack("1"))[0], "0", "3")
	unknown := need("1")
	unknown.BudgetID = "unknown"
	requireGranted(t, lease(t, s, "r1", unknown)[0], "0", "0")
	requireExactBudgets(t, s)
}

func TestALoweredLimitHoldsAsMoneyComesBack(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeHard, "10"))
	lease(t, s, "r1", need("8"))
	changeBudget(t, s, "q4", accounting.BudgetChange{Limit: ref(dec("5"))})
	requirePeriod(t, s, novemberOf("q4", ""), "8", "8", "0", "0", "0")
	requireGranted(t, lease(t, s, "r2", need("0.1"))[0], "0", "0")
	lease(t, s, "r1", giveBack("2"))
	requirePeriod(t, s, novemberOf("q4", ""), "6", "6", "0", "0", "0")
	lease(t, s, "r1", giveBack("2"))
	requirePeriod(t, s, novemberOf("q4", ""), "5", "4", "0", "0", "0")
	requireGranted(t, lease(t, s, "r2", need("1"))[0], "1", "1")

	changeBudget(t, s, "q4", accounting.BudgetChange{Limit: ref(dec("6"))})
	requirePeriod(t, s, novemberOf("q4", ""), "6", "5", "0", "0", "0")
	requireGranted(t, lease(t, s, "r2", need("1"))[0], "1", "2")
}

func TestARaisedLimitFirstMakesUpForAnOvershoot(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeHard, "10"))
	ship(t, s, closed(noon, "gen-1", "13"))
	requirePeriod(t, s, novemberOf("q4", ""), "10", "10", "13", "0", "3")
	changeBudget(t, s, "q4", accounting.BudgetChange{Limit: ref(dec("14"))})
	requirePeriod(t, s, novemberOf("q4", ""), "14", "13", "13", "0", "0")
	requireGranted(t, lease(t, s, "r1", need("2"))[0], "0", "0")
	requireGranted(t, lease(t, s, "r1", need("1"))[0], "1", "1")
}

func TestReturnedMoneyFirstMakesUpForAnOvershoot(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeHard, "10"))
	lease(t, s, "r1", need("8"))
	ship(t, s, closed(noon, "gen-1", "5")) // of no lease
	requirePeriod(t, s, novemberOf("q4", ""), "10", "10", "5", "0", "3")
	lease(t, s, "r1", giveBack("4"))
	requirePeriod(t, s, novemberOf("q4", ""), "10", "9", "5", "0", "0")
}

func TestPastPeriodsKeepTheirLimit(t *testing.T) {
	s := budgetStore(t)
	b := budgetOf(accounting.ModeHard, "10")
	b.Period = accounting.PeriodDay
	createBudget(t, s, b)
	today := accounting.LeaseKey{BudgetID: "q4", PeriodStart: noon.Truncate(24 * time.Hour)}
	lease(t, s, "r1", accounting.LeaseRequest{LeaseKey: today, Need: dec("7")})
	s.opts.Now = func() time.Time { return noon.Add(24 * time.Hour) }
	changeBudget(t, s, "q4", accounting.BudgetChange{Limit: ref(dec("5"))})
	requirePeriod(t, s, today, "10", "7", "0", "0", "0")
	lease(t, s, "r1", accounting.LeaseRequest{LeaseKey: today, Return: dec("1")})
	requirePeriod(t, s, today, "10", "6", "0", "0", "0")
}

func TestAReplicaThatIsClosedGivesEverythingBackOnce(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeHard, "10"))
	each := budgetOf(accounting.ModeHard, "3")
	each.ID, each.Each = "each", accounting.EachLead
	createBudget(t, s, each)
	lease(t, s, "r1", need("4"),
		accounting.LeaseRequest{LeaseKey: novemberOf("each", "b"), Need: dec("1")}, accounting.LeaseRequest{LeaseKey: novemberOf("each", "a"), Need: dec("2")})
	lease(t, s, "r2", need("5"))
	rows, err := s.ListLeases(t.Context(), "each")
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, "a", rows[0].EachValue)
	require.Equal(t, "2", rows[0].Held.String())
	require.Equal(t, novemberStart, rows[0].PeriodStart)

	require.NoError(t, s.CloseLeases(t.Context(), "r1"))
	require.NoError(t, s.CloseLeases(t.Context(), "r1"))
	rows, err = s.ListLeases(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Equal(t, "r2", rows[0].Replica)
	requirePeriod(t, s, novemberOf("q4", ""), "10", "5", "0", "0", "0")
	requirePeriod(t, s, novemberOf("each", "a"), "3", "0", "0", "0", "0")
}

func TestAnOperatorReleasesOnlyADeadReplica(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeHard, "10"))
	require.ErrorIs(t, s.ReleaseLease(t.Context(), "r1", "tester", "it burnt"), accounting.ErrNoLease)
	lease(t, s, "r1", need("4"))
	_, living, err := s.Heartbeat(t.Context(), "r1", 1, s.now())
	require.NoError(t, err)
	require.Equal(t, 1, living)
	require.ErrorIs(t, s.ReleaseLease(t.Context(), "r1", "tester", "it burnt"), accounting.ErrReplicaAlive)

	at := s.now()
	s.opts.Now = func() time.Time { return at.Add(livingFor) }
	require.NoError(t, s.ReleaseLease(t.Context(), "r1", "tester", "it burnt"))
	requirePeriod(t, s, novemberOf("q4", ""), "10", "0", "0", "0", "0")
	log := auditLog(t, s, "replica/r1")
	require.Len(t, log, 1)
	require.Equal(t, accounting.ActionLeaseRelease, log[0].Action)
	require.Equal(t, "it burnt", *log[0].Reason)
	require.Contains(t, string(log[0].Before), `"held": 4`)
}

func TestPeriodsTellWhatHasChanged(t *testing.T) {
	s := budgetStore(t)
	createBudget(t, s, budgetOf(accounting.ModeHard, "10"))
	key := novemberOf("q4", "")
	require.Zero(t, periodState(t, s, key))
	ship(t, s, closed(noon, "gen-1", "1.5"))
	p := periodState(t, s, key)
	require.True(t, p.Settled.Equal(dec("1.5")) && p.Total.Equal(dec("1.5")))
	changed := func(since time.Time) int {
		states, err := s.Periods(t.Context(), since, []accounting.LeaseKey{key})
		require.NoError(t, err)
		return len(states)
	}
	require.Equal(t, 1, changed(p.UpdatedAt))
	require.Equal(t, 1, changed(p.UpdatedAt.Add(overlap)), "a transaction may have taken this long")
	require.Equal(t, 0, changed(p.UpdatedAt.Add(overlap+time.Second)))
}

func TestAGrantIsNeverMoreThanWhatRemains(t *testing.T) {
	now := noon
	for _, living := range []int{0, 1, 3, 7} {
		a := &account{grants: true, period: period{limit: dec("1")}}
		a.Ceiling = dec("1")
		sum := decimal.Decimal{}
		for range 200 {
			sum = sum.Add(a.grant(&accounting.LeaseRequest{Want: dec("0.3")}, living, now))
		}
		require.True(t, sum.Equal(a.held) && sum.Equal(a.Total) && sum.LessThanOrEqual(dec("1")), "%s of 1", sum)
		require.True(t, a.grant(&accounting.LeaseRequest{Need: a.Ceiling.Sub(a.Total)}, living, now).Equal(dec("1").Sub(sum)), "the last cent can be had")
	}
}
