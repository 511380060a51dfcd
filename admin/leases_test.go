package admin

import (
	"net/http"
	"testing"

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
	store.err = &accounting.DecisionError{Reason: "The replica r-1 lives."}
	p := problemIn(t, send(h, "POST", "/api/budgets/leases/r-1/release", `{"reason":"x"}`), http.StatusConflict)
	require.Equal(t, "The replica r-1 lives.", p.Detail)
}
