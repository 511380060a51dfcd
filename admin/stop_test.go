package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"bursar/accounting"
)

const stopTarget = "/api/guard/emergency-stop"

var errAway = errors.New("dial 10.1.2.3: connection refused")

// obeys has replica a obey at once and replica b after some listings.
func obeys(after int) func(*accounting.Stop) {
	seen := 0
	return func(s *accounting.Stop) {
		seen++
		at, seconds := s.CreatedAt.Add(100*time.Millisecond), 0.1
		s.Reach = []accounting.StopReach{{Replica: "a", SeenAt: at, ActiveAt: &at, After: &seconds}, {Replica: "b", SeenAt: at}}
		if seen > after {
			s.Reach[1].ActiveAt, s.Reach[1].After = &at, &seconds
		}
	}
}

func TestAStopHoldsHereAtOnceAndIsWrittenForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, guard := &fakeBudgets{obey: obeys(3)}, &fakeGuard{}
		h := withBudgets(t, store, func(o *BudgetOptions) { o.Guard = guard })
		view := dataOf[stopView](t, send(h, "PUT", stopTarget, `{"scope":{"campaign_id":"q4"},"reason":" it runs in circles ","cut_streams":true}`), http.StatusOK)
		require.True(t, view.Written)
		require.True(t, view.Obeyed, "the answer waits until every living replica obeys")
		require.Len(t, view.Reach, 2)
		require.Equal(t, 4, store.lists)
		require.Equal(t, accounting.Stop{
			ID: view.ID, Kind: accounting.StopEmergency, Scope: accounting.Scope{CampaignID: "q4"}, Reason: "it runs in circles",
			Actor: "admin token", CutStreams: true, CreatedAt: guard.stops[0].CreatedAt,
		}, guard.stops[0])
		require.Regexp(t, `^stop-\d{8}-\d{6}-[0-9a-f]{6}$`, view.ID)
		require.Len(t, store.stops, 1)
		require.Nil(t, view.LiftedAt)
	})
}

func TestAStopWithoutAScopeIsOfEverything(t *testing.T) {
	store := &fakeBudgets{obey: obeys(0)}
	view := dataOf[stopView](t, send(withBudgets(t, store), "PUT", stopTarget, `{"reason":"x"}`), http.StatusOK)
	require.True(t, view.Scope.IsZero())
	require.False(t, view.CutStreams)
}

func TestAReplicaThatDoesNotObeyIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakeBudgets{obey: obeys(1 << 30)}
		began := time.Now()
		view := dataOf[stopView](t, send(withBudgets(t, store), "PUT", stopTarget, `{"reason":"x"}`), http.StatusOK)
		require.Equal(t, reachWait, time.Since(began), "it is waited for, but not for ever")
		require.True(t, view.Written)
		require.False(t, view.Obeyed)
		require.NotNil(t, view.Reach[0].After)
		require.Nil(t, view.Reach[1].After)
	})
}

func TestWithoutTheDatabaseAStopHoldsHereAndSaysSo(t *testing.T) {
	for _, silent := range []bool{false, true} { // the database refuses, or says nothing at all
		synctest.Test(t, func(t *testing.T) {
			store, guard := &fakeBudgets{err: errAway, wait: silent}, &fakeGuard{}
			h := withBudgets(t, store, func(o *BudgetOptions) { o.Guard = guard })
			began := time.Now()
			view := dataOf[stopView](t, send(h, "PUT", stopTarget, `{"reason":"x"}`), http.StatusOK)
			require.LessOrEqual(t, time.Since(began), stopWriteTimeout)
			require.False(t, view.Written)
			require.False(t, view.Obeyed)
			require.Equal(t, view.ID, guard.stops[0].ID)

			list := dataOf[stopList](t, get(h, stopTarget), http.StatusOK)
			require.False(t, list.Complete)
			require.Len(t, list.Stops, 1)
			require.False(t, list.Stops[0].Written)

			problemIn(t, send(h, "DELETE", stopTarget+"/stop-of-somebody", ""), http.StatusServiceUnavailable)
			lifted := dataOf[liftedStops](t, send(h, "DELETE", stopTarget, ""), http.StatusOK)
			require.Len(t, lifted.Lifted, 1)
			require.False(t, lifted.Lifted[0].Written)
			require.Equal(t, "admin token", *lifted.Lifted[0].LiftedBy)
			require.Empty(t, guard.stops)
		})
	}
}

func TestWithoutDatabaseAndGuardAStopIsNotPretended(t *testing.T) {
	h := withBudgets(t, &fakeBudgets{err: errAway}, func(o *BudgetOptions) { o.Guard = nil })
	p := problemIn(t, send(h, "PUT", stopTarget, `{"reason":"x"}`), http.StatusServiceUnavailable)
	require.Contains(t, p.Detail, "nothing was stopped")
	require.NotContains(t, p.Detail, "10.1.2.3")
	problemIn(t, get(h, stopTarget), http.StatusInternalServerError)
	problemIn(t, send(h, "DELETE", stopTarget, ""), http.StatusInternalServerError)
}

func TestAStopThatCannotBeKeptOnDiskIsWrittenAllTheSame(t *testing.T) {
	store, guard := &fakeBudgets{obey: obeys(0)}, &fakeGuard{err: errors.New("disk full")}
	h := withBudgets(t, store, func(o *BudgetOptions) { o.Guard = guard })
	require.True(t, dataOf[stopView](t, send(h, "PUT", stopTarget, `{"reason":"x"}`), http.StatusOK).Written)
	require.Len(t, dataOf[liftedStops](t, send(h, "DELETE", stopTarget, ""), http.StatusOK).Lifted, 1)
	require.Empty(t, guard.stops)
}

func TestADrillBlocksNothingAndEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, guard := &fakeBudgets{obey: obeys(2)}, &fakeGuard{}
		h := withBudgets(t, store, func(o *BudgetOptions) { o.Guard = guard })
		view := dataOf[stopView](t, send(h, "PUT", stopTarget, `{"reason":"drill of November","drill":true,"cut_streams":true}`), http.StatusOK)
		require.True(t, view.Drill)
		require.True(t, view.Obeyed)
		require.False(t, view.CutStreams, "a drill cuts nothing")
		require.InDelta(t, 0.1, *view.Reach[1].After, 0)
		require.NotNil(t, view.LiftedAt)
		require.NotNil(t, store.stops[0].LiftedAt)
		require.Empty(t, guard.stops)

		store.err = errAway
		p := problemIn(t, send(h, "PUT", stopTarget, `{"reason":"drill","drill":true}`), http.StatusServiceUnavailable)
		require.Contains(t, p.Detail, "nothing to measure")
	})
}

func TestADrillEndsEvenIfWhoeverAskedHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakeBudgets{obey: obeys(1 << 30)}
		h := withBudgets(t, store)
		ctx, cancel := context.WithCancel(t.Context())
		stop := accounting.Stop{ID: "s", Drill: true}
		view, err := h.giveStop(ctx, stop)
		require.NoError(t, err)
		cancel()
		require.NotNil(t, h.endDrill(ctx, h.awaitReach(ctx, view)).LiftedAt)
	})
}

func TestOnlyEmergencyStopsAreLiftedTogether(t *testing.T) {
	store, guard := &fakeBudgets{obey: obeys(0)}, &fakeGuard{}
	h := withBudgets(t, store, func(o *BudgetOptions) { o.Guard = guard })
	for range 2 {
		dataOf[stopView](t, send(h, "PUT", stopTarget, `{"reason":"x"}`), http.StatusOK)
	}
	hold := accounting.Stop{ID: "hold-q4", Kind: accounting.StopSpike, Scope: accounting.Scope{CampaignID: "q4"}, Reason: "spike"}
	store.stops = append(store.stops, hold)
	guard.stops = append(guard.stops, hold)
	require.Len(t, dataOf[stopList](t, get(h, stopTarget), http.StatusOK).Stops, 3)

	answer := dataOf[liftedStops](t, send(h, "DELETE", stopTarget, ""), http.StatusOK)
	require.Len(t, answer.Lifted, 2)
	require.True(t, answer.Lifted[0].Written)
	require.Len(t, answer.Active, 1)
	require.Equal(t, "hold-q4", answer.Active[0].ID)
	require.Equal(t, []accounting.Stop{hold}, guard.stops, "lifted here as well")

	again := dataOf[liftedStops](t, send(h, "DELETE", stopTarget, ""), http.StatusOK)
	require.Empty(t, again.Lifted)
	answer = dataOf[liftedStops](t, send(h, "DELETE", stopTarget+"?kind=spike", ""), http.StatusOK)
	require.Len(t, answer.Lifted, 1)
	require.Empty(t, answer.Active)
	require.Empty(t, dataOf[stopList](t, get(h, stopTarget), http.StatusOK).Stops)
}

func TestOneStopIsLiftedByItsID(t *testing.T) {
	store := &fakeBudgets{obey: obeys(0), stops: []accounting.Stop{{ID: "a", Kind: accounting.StopEmergency}, {ID: "b", Kind: accounting.StopSpike}}}
	h := withBudgets(t, store)
	answer := dataOf[liftedStops](t, send(h, "DELETE", stopTarget+"/b", ""), http.StatusOK)
	require.Equal(t, "b", answer.Lifted[0].ID)
	require.Equal(t, "admin token", *answer.Lifted[0].LiftedBy)
	require.Equal(t, "a", answer.Active[0].ID)
	problemIn(t, send(h, "DELETE", stopTarget+"/b", ""), http.StatusNotFound)
}

func TestAStopThatOnlyThisReplicaKnowsIsLiftedHere(t *testing.T) {
	guard := &fakeGuard{stops: []accounting.Stop{{ID: "a", Kind: accounting.StopEmergency}}}
	h := withBudgets(t, &fakeBudgets{}, func(o *BudgetOptions) { o.Guard = guard })
	list := dataOf[stopList](t, get(h, stopTarget), http.StatusOK)
	require.True(t, list.Complete)
	require.False(t, list.Stops[0].Written)
	lifted := dataOf[liftedStops](t, send(h, "DELETE", stopTarget+"/a", ""), http.StatusOK).Lifted
	require.Len(t, lifted, 1)
	require.True(t, lifted[0].Written, "no replica that reaches the database obeys it")
	require.Empty(t, guard.stops)
}

func TestWhatCannotBeAStopStopsNothing(t *testing.T) {
	store, guard := &fakeBudgets{}, &fakeGuard{}
	h := withBudgets(t, store, func(o *BudgetOptions) { o.Guard = guard })
	for body, field := range map[string]string{
		`{}`:                               "reason",
		`{"reason":" "}`:                   "reason",
		`{"reason":"sk-or-v1-0123456789"}`: "reason",
		`{"reason":"` + strings.Repeat("x", 600) + `"}`:    "reason",
		`{"reason":"x","scope":{}}`:                        "scope",
		`{"reason":"x","scope":{"campaign_id":null}}`:      "scope",
		`{"reason":"x","scope":{"campaign_id":""}}`:        "scope.campaign_id",
		`{"reason":"x","scope":{"campaign":"q4"}}`:         "scope.campaign",
		`{"reason":"x","scope":{"purpose":"world_peace"}}`: "scope.purpose",
		`{"reason":"x","scope":{"key":"label"}}`:           "scope.key",
		`{"reason":"x","cut_streams":"yes"}`:               "cut_streams",
		`{"reason":"x","scop":{"campaign_id":"q4"}}`:       "scop",
	} {
		p := problemIn(t, send(h, "PUT", stopTarget, body), http.StatusUnprocessableEntity)
		require.Contains(t, p.Errors[0].Field, field, body)
	}
	problemIn(t, send(h, "DELETE", stopTarget+"?kind=all", ""), http.StatusUnprocessableEntity)
	problemIn(t, send(h, "DELETE", stopTarget+"?id=a", ""), http.StatusUnprocessableEntity)
	require.Empty(t, guard.stops)
	require.Empty(t, store.stops)
}
