package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// checks returns a change of options that sets the readiness checks.
func checks(list ...Check) func(*Options) {
	return func(o *Options) { o.Readiness = list }
}

func fine(context.Context) error { return nil }

// ready asks /readyz.
func ready(t *testing.T, h *Handler) (status int, state readyState) {
	t.Helper()
	res := request(h, "GET", "/readyz", "")
	if res.StatusCode != http.StatusOK {
		p := problemIn(t, res, http.StatusServiceUnavailable)
		require.NotNil(t, p.Data)
		return res.StatusCode, *p.Data
	}
	var got envelope[readyState]
	require.NoError(t, json.Unmarshal([]byte(bodyOf(t, res)), &got))
	require.True(t, got.Success)
	return res.StatusCode, got.Data
}

func TestTheProcessIsAliveWhateverTheChecksSay(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, func(o *Options) {
		checks(Check{"postgres", func(context.Context) error { return errors.New("gone") }})(o)
		o.Draining = func() bool { return true }
	})
	res := request(h, "GET", "/healthz", "")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.JSONEq(t, `{"success":true,"data":{"status":"alive","version":"1.2.3"}}`, bodyOf(t, res))
}

func TestReadyMeansThatEveryCheckPasses(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, checks(Check{"postgres", fine}, Check{"journal", fine}))
	status, state := ready(t, h)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, readyState{Ready: true, Version: "1.2.3", Checks: []checkResult{
		{"serving", true, "taking requests"}, {"postgres", true, "ok"}, {"journal", true, "ok"},
	}}, state)
}

func TestNotReadySaysWhichCheckAndWhy(t *testing.T) {
	h := newHandler(t, &fakeUsage{}, checks(
		Check{"postgres", func(context.Context) error { return errors.New("the pool has no connection") }},
		Check{"journal", fine},
		Check{"guard", func(context.Context) error { panic("broken") }},
	))
	status, state := ready(t, h)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.False(t, state.Ready)
	require.Equal(t, []checkResult{
		{"serving", true, "taking requests"},
		{"postgres", false, "the pool has no connection"},
		{"journal", true, "ok"},
		{"guard", false, "the check itself broke"},
	}, state.Checks)
}

func TestACheckThatIsExcludedIsShownAndDoesNotCount(t *testing.T) {
	draining := false
	h := newHandler(t, &fakeUsage{}, func(o *Options) {
		checks(Check{"database", func(context.Context) error { return errors.New("gone") }}, Check{"journal", fine})(o)
		o.Draining = func() bool { return draining }
	})
	res := request(h, "GET", "/readyz?exclude=database", "")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, bodyOf(t, res), `"message":"gone"`)
	require.Equal(t, http.StatusServiceUnavailable, request(h, "GET", "/readyz?exclude=journal", "").StatusCode)
	for _, unknown := range []string{"databse", "serving"} {
		p := problemIn(t, request(h, "GET", "/readyz?exclude="+unknown, ""), http.StatusUnprocessableEntity)
		require.Equal(t, []fieldError{{"exclude", unknown, "expected names of checks", "database, journal"}}, p.Errors)
	}
	draining = true
	require.Equal(t, http.StatusServiceUnavailable, request(h, "GET", "/readyz?exclude=database,journal", "").StatusCode)
}

func TestDrainingIsSeenAtOnceInSpiteOfTheCache(t *testing.T) {
	var draining atomic.Bool
	h := newHandler(t, &fakeUsage{}, func(o *Options) {
		checks(Check{"postgres", fine})(o)
		o.Draining = draining.Load
	})
	status, _ := ready(t, h)
	require.Equal(t, http.StatusOK, status)
	draining.Store(true)
	status, state := ready(t, h)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, state.Checks[0].Message, "stopping")
}

func TestHoweverManyAskNothingIsCheckedMoreThanOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		h := newHandler(t, &fakeUsage{}, checks(Check{"postgres", func(context.Context) error {
			time.Sleep(100 * time.Millisecond)
			asked.Add(1)
			return nil
		}}))
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { ready(t, h) })
		}
		all.Wait()
		require.EqualValues(t, 1, asked.Load())
		time.Sleep(checkCache - time.Millisecond)
		ready(t, h)
		require.EqualValues(t, 1, asked.Load())
		time.Sleep(time.Millisecond)
		ready(t, h)
		require.EqualValues(t, 2, asked.Load())
	})
}

func TestChecksRunSideBySideAndAreNotWaitedForLongerThanTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var started atomic.Int32
		stuck := func(context.Context) error { started.Add(1); <-release; return nil } // deaf to its context
		polite := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		h := newHandler(t, &fakeUsage{}, checks(Check{"stuck", stuck}, Check{"polite", polite}, Check{"quick", fine}))

		start := time.Now()
		status, state := ready(t, h)
		require.Equal(t, checkTimeout, time.Since(start))
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Equal(t, "no answer within 2s", state.Checks[1].Message)
		require.False(t, state.Checks[2].OK)
		require.True(t, state.Checks[3].OK)

		time.Sleep(checkCache)
		_, state = ready(t, h)
		require.Equal(t, "no answer yet to an earlier check", state.Checks[1].Message)
		require.EqualValues(t, 1, started.Load(), "a stuck check is not started again beside itself")

		close(release)
		time.Sleep(checkCache)
		_, state = ready(t, h)
		require.True(t, state.Checks[1].OK, "and recovers")
		require.EqualValues(t, 2, started.Load())
	})
}

func TestWhoStopsWaitingDoesNotSpoilTheResultForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReadiness([]Check{{"postgres", func(ctx context.Context) error { return ctx.Err() }}}, nil)
		gone, leave := context.WithCancel(t.Context())
		leave()
		require.True(t, r.state(gone)[1].OK)
	})
}
