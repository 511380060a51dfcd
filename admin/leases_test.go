package admin

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

func TestLeasesOfADeadReplicaAreReleasedInTheNameOfWhoeverAsked(t *testing.T) {
	store := &fakeBudgets{}
	h := withBudgets(t, store)
	released := dataOf[releasedLeases](t, send(h, "POST", "/api/budgets/leases/r-1/release", `{"reason":"its disk is lost"}`), http.StatusOK)
	require.Equal(t, "r-1", released.Replica)
	require.Equal(t, []string{"release r-1 by admin token: its disk is lost"}, store.done)

	for _, body := range []string{`{}`, `{"reason":" "}`, `{"reason":"x","force":true}`} {
		problemIn(t, send(h, "POST", "/api/budgets/leases/r-1/release", body), http.StatusUnprocessableEntity)
	}
	require.Len(t, store.done, 1)
	for err, status := range map[error]int{accounting.ErrNoLease: http.StatusNotFound, accounting.ErrReplicaAlive: http.StatusConflict} {
		store.err = fmt.Errorf("release leases of replica r-1: %w", err)
		p := problemIn(t, send(h, "POST", "/api/budgets/leases/r-1/release", `{"reason":"x"}`), status)
		require.Contains(t, p.Detail, "r-1")
	}
}

func TestLeasesAreListed(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	store := &fakeBudgets{leases: []accounting.LeaseRow{{
		Replica: "r-1", BudgetID: "q4", PeriodStart: at, Currency: accounting.EUR, Held: money("0.000000000000000001"), UpdatedAt: at, SeenAt: &at,
	}}}
	h := withBudgets(t, store)
	require.JSONEq(t, `{"success":true,"data":{"leases":[{"replica":"r-1","budget_id":"q4","each_value":"","period_start":"2026-11-22T10:00:00Z","currency":"EUR",
		"held":0.000000000000000001,"updated_at":"2026-11-22T10:00:00Z","seen_at":"2026-11-22T10:00:00Z","ended_at":null,"alive":false}]}}`,
		bodyOf(t, get(h, "/api/budgets/leases?budget=q4")))
	require.Equal(t, "q4", store.asked)
	store.leases = nil
	require.JSONEq(t, `{"success":true,"data":{"leases":[]}}`, bodyOf(t, get(h, "/api/budgets/leases")))
	problemIn(t, get(h, "/api/budgets/leases?replica=r-1"), http.StatusUnprocessableEntity)
	store.err = errAway
	problemIn(t, get(h, "/api/budgets/leases"), http.StatusInternalServerError)
}

func TestReplicasAreListedWithWhenTheyWereHeardOf(t *testing.T) {
	list := dataOf[replicaList](t, get(withBudgets(t, &fakeBudgets{}), "/api/replicas"), http.StatusOK)
	require.Len(t, list.Replicas, 1)
	require.True(t, list.Replicas[0].Alive)
	require.Contains(t, spaced(pageOf(t, withBudgets(t, &fakeBudgets{}), "/health")), "01a2b3c4 2026-11-01 00:00:00 UTC 2026-11-01 00:00:00 UTC lives")
}
